"""An update's engine, from the side of whoever runs it: events as they come, ^C passed on once, never ended midway.

The engine here is a script that writes an event log, as the real one does, and notes every signal.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bluegreen.cli.stack import Stack
from bluegreen.cli.up_engine import Event, Order, Run, run
from tests.memory import Clock

PULUMI = """#!/bin/sh
here={folder}
trap 'echo SIGINT >> "$here/signals"' INT
trap 'echo another >> "$here/signals"' TERM HUP
echo "$@" > "$here/command"
echo "$BLUEGREEN_REASON" > "$here/reason"
while [ "$1" != --event-log ]; do shift; done
echo '{{"preludeEvent": {{}}}}' >> "$2"
echo 'no event' >> "$2"
printf '{{"diagnosticEvent": {{"mess' >> "$2"
echo 'age": "halfway"}}}}' >> "$2"
while [ ! -e "$here/{until}" ]; do sleep 0.02; done
echo '{{"summaryEvent": {{}}}}' >> "$2"
echo 'error: some words'
exit 7
"""
FIRST = ["Stopping: what is under way is taken back, and state is saved."]


@dataclass
class Person(Clock):
    """Asks once more as soon as the first wish is answered, and is content with the second answer."""

    folder: Path = Path()

    async def milestone(self, text: str) -> None:
        await super().milestone(text)
        if len(self.milestones) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            (self.folder / "go").touch()


class Room:
    """A `pulumi` on PATH, and what it was asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, until: str = "go") -> None:
        self.folder = folder
        command = folder / "pulumi"
        command.write_text(PULUMI.format(folder=folder, until=until), encoding="utf-8")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
        monkeypatch.delenv("BLUEGREEN_CONFIG_FILE", raising=False)
        monkeypatch.delenv("BLUEGREEN_REASON", raising=False)

    def run(self, hears: Callable[[Event], Awaitable[None]], order: Order | None = None) -> tuple[Run, Person]:
        person = Person(folder=self.folder)
        done = asyncio.run(run(Stack("test", "shop", "test"), order or Order(), hears, person))
        return done, person

    def said(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8").strip()


def test_every_event_is_heard_once_whole_and_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room, heard = Room(tmp_path, monkeypatch), list[Event]()

    async def hears(event: Event) -> None:
        heard.append(event)
        if "diagnosticEvent" in event:
            (tmp_path / "go").touch()  # heard while the engine runs, or it would never end

    done, _ = room.run(hears)
    assert heard == [{"preludeEvent": {}}, {"diagnosticEvent": {"message": "halfway"}}, {"summaryEvent": {}}]
    assert done == Run(7, "error: some words\n", None)


def test_a_wish_to_stop_is_passed_on_once_and_a_second_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path, monkeypatch)

    async def hears(event: Event) -> None:
        if "preludeEvent" in event:
            os.kill(os.getpid(), signal.SIGINT)

    done, person = room.run(hears)
    assert (done.wish, room.said("signals")) == (signal.SIGINT, "SIGINT")
    assert person.milestones[:1] == FIRST
    assert "kill -9 " in person.milestones[1]
    assert "bluegreen recover" in person.milestones[1]


def test_a_fault_of_ours_asks_the_engine_to_stop_and_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path, monkeypatch, until="signals")

    async def hears(event: Event) -> None:
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        room.run(hears)
    assert room.said("signals") == "SIGINT"


def test_a_preview_is_left_out_unless_policies_judge_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "policy-config.json").write_text("{}", encoding="utf-8")

    async def hears(event: Event) -> None:
        (tmp_path / "go").touch()

    Room(tmp_path, monkeypatch).run(hears, Order(reason="why not"))
    plain = Room(tmp_path, monkeypatch).said("command")
    Room(tmp_path, monkeypatch).run(hears, Order(packs=(pack,)))
    judged = Room(tmp_path, monkeypatch).said("command")
    assert plain.startswith("up --yes --skip-preview --message=why not --event-log ")
    assert plain.endswith(" --stack test --non-interactive --color never")
    assert judged.startswith("up --yes --event-log ")
    assert f"--policy-pack {pack} --policy-pack-config {pack}/policy-config.json" in judged
    assert Room(tmp_path, monkeypatch).said("reason") == ""
