"""Everything that setup does, and the question whether there is anything to do.

The answer is a key of all that the choice of a CLI depends on, recorded with the choice; when it and the files are
still there, setup ends without starting anything.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from toolchain import build, cache, installer, place, progress, requirements, sources
from toolchain.checkout import Checkout
from toolchain.mode import Mode, cache_root, mode
from toolchain.sources import HOST
from toolchain.versions import COMMAND, PULUMI


def setup(checkout: Checkout, variables: Mapping[str, str] = os.environ) -> None:
    """Make `.venv` and get a CLI, as far as they are missing."""
    wanted, root = mode(variables), cache_root(variables)
    requirements.install(checkout, root)
    if wanted is Mode.OFF:
        return
    inputs = inputs_of(checkout, wanted, root, variables)
    if up_to_date(checkout, inputs):
        return
    waiting = progress.Waiting("waiting for another setup of this checkout")
    with cache.locked(checkout.private / ".lock", waiting):
        if not up_to_date(checkout, inputs):
            source = sources.choose(checkout, wanted, root, sources.say)
            place.lay_out(checkout, source, inputs)
            sources.say(f"the Pulumi CLI {source.version} is ready; `python3 -m toolchain doctor` says more")


def inputs_of(checkout: Checkout, wanted: Mode, root: Path, variables: Mapping[str, str] = os.environ) -> str:
    """A key of everything that decides which CLI is used and how it is laid out."""
    offered = [part for found in sources.candidates(variables) for part in _identity(found.resolve())]
    launchers = [place.launcher(checkout, plugin, {}) for plugin in ("language", "command")]
    built = build.place(checkout.go, root)
    return cache.key([PULUMI, COMMAND, wanted, str(built), str(installer.place(root)), *launchers, *offered])


def up_to_date(checkout: Checkout, inputs: str) -> bool:
    """Whether the recorded choice was made from these inputs and its files are there."""
    try:
        record = json.loads(checkout.record.read_text(encoding="utf-8"))
        pulumi = Path(record["pulumi"])
        files = (pulumi, pulumi.with_name(HOST), checkout.command_plugin)
        return record["inputs"] == inputs and all(os.access(file, os.X_OK) for file in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _identity(file: Path) -> tuple[str, str, str]:
    about = file.stat()
    return str(file), str(about.st_size), str(about.st_mtime_ns)
