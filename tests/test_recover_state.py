"""Whoever reads a stack while an engine writes its state may meet half a file: that is waited out, nothing else is."""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bluegreen.cli.stack import AGAIN, Stack
from bluegreen.handler import Refused

# A `pulumi` that finds half a state so many times, and says where its backend is.
PULUMI = """#!/bin/sh
here={folder}
case "$1" in
whoami) echo '{{"url": "file://{folder}"}}'; exit 0;;
esac
echo "$1" >> "$here/asked"
if [ "$(wc -l < "$here/asked")" -le {times} ]; then
    echo "error: failed to load checkpoint: EOF" >&2
    exit 255
fi
echo '{{"shop:railway": {{"value": "p", "secret": false}}}}'
"""


def stack(folder: Path, monkeypatch: pytest.MonkeyPatch, times: int, *, locked: bool) -> Stack:
    command = folder / "pulumi"
    command.write_text(PULUMI.format(folder=folder, times=times), encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    if locked:
        lock = folder / ".pulumi/locks/organization/shop/test/lock.json"
        lock.parent.mkdir(parents=True)
        held = {"pid": os.getpid(), "username": "ann", "hostname": socket.gethostname()}
        lock.write_text(json.dumps({**held, "timestamp": datetime.now(UTC).isoformat()}), encoding="utf-8")
    return Stack("test", "shop", "test")


def asked(folder: Path) -> int:
    return len((folder / "asked").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("times", [0, 1, 2])
def test_half_a_state_is_read_again_while_somebody_has_the_stack(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack(tmp_path, monkeypatch, times, locked=True).config() == {"shop:railway": "p"}
    assert asked(tmp_path) == times + 1


def test_half_a_state_that_nobody_writes_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="The state of stack test cannot be read: EOF"):
        stack(tmp_path, monkeypatch, 1, locked=False).config()
    assert asked(tmp_path) == 1


def test_half_a_state_that_stays_is_told_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="The state of stack test cannot be read: EOF"):
        stack(tmp_path, monkeypatch, 100, locked=True).config()
    assert asked(tmp_path) == len(AGAIN) + 1
