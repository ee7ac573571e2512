"""Lay a chosen CLI out in the checkout's `.toolchain`: `bin/` with the CLI and its language host side by side, `home/`
with the command plugin.

The CLI looks for its language host beside its own real file (symlinks are followed first), and warns in every run about
one found on PATH. A CLI that was built has none, so its file is hard-linked here, or copied when the cache lies on
another file system, beside our launcher. A CLI that brought its own host stays where it is.
"""

import json
import os
import shlex
import shutil
import tempfile
from pathlib import Path

from toolchain import cache
from toolchain.build import EXECUTOR
from toolchain.checkout import Checkout
from toolchain.mode import Mode
from toolchain.sources import HOST, Source


def launcher(checkout: Checkout, plugin: str, variables: dict[str, str]) -> str:
    """A shell script that becomes one of our plugins, with the checkout's Python."""
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    started = " ".join(shlex.quote(str(part)) for part in (checkout.python, "-I", checkout.hosts, plugin))
    return f'#!/bin/sh\n# Written by `make setup`; runs in this checkout only.\n{exports}exec {started} "$@"\n'


def lay_out(checkout: Checkout, source: Source, inputs: str) -> None:
    """Make `.toolchain` serve this CLI, then record it: a reader sees the old choice or the new one."""
    pulumi = source.pulumi
    if source.kind is Mode.BUILD:
        pulumi = checkout.bin / "pulumi"
        _same_file(source.pulumi, pulumi)
        _same_file(source.pulumi.with_name(EXECUTOR), checkout.bin / EXECUTOR)
        told = {"PULUMI_LANGUAGE_PYTHON_EXEC": str(checkout.bin / EXECUTOR)}
        cache.write(checkout.bin / HOST, launcher(checkout, "language", told), executable=True)
    else:
        cache.remove(checkout.bin)
    cache.write(checkout.command_plugin, launcher(checkout, "command", {}), executable=True)
    record = {
        "inputs": inputs,
        "checkout": str(checkout.root),
        "kind": source.kind,
        "pulumi": str(pulumi),
        "version": source.version,
    }
    cache.write(checkout.record, json.dumps(record, indent=2) + "\n")


def _same_file(source: Path, target: Path) -> None:
    """`target` is `source`: the same file where that is possible, else a copy of it, put there in one move."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as scratch:
        new = Path(scratch) / target.name
        try:
            os.link(source, new)
        except OSError:
            shutil.copy2(source, new)
        os.replace(new, target)
