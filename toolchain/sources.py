"""Which CLI: one on PATH that fits, else the official installer's, else one built from package registries.

What is expensive and already in the cache comes before what would have to be fetched. A CLI that does not fit is passed
over with one line that says why; when none is left, the reasons are the error.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain import build, installer
from toolchain.checkout import Checkout
from toolchain.mode import Mode
from toolchain.trouble import Trouble
from toolchain.versions import PULUMI, at_least

HOST = "pulumi-language-python"


@dataclass(frozen=True, slots=True)
class Source:
    """A CLI that fits: where it is, where it came from, and whether the Python language host lies beside it."""

    kind: Mode
    pulumi: Path
    version: str


def unfit(version: str, has_host: bool) -> str:
    """Why a CLI on PATH cannot be used; empty when it can."""
    if not at_least(version, PULUMI, same_major=True):
        return f"it is {version or 'of no version that it would tell'}, and {PULUMI} or a newer 3.x is needed"
    return "" if has_host else f"no {HOST} lies beside it"


def candidates(variables: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Every `pulumi` on PATH but those that a setup of ours has put there."""
    for folder in variables.get("PATH", "").split(os.pathsep):
        found = shutil.which("pulumi", path=folder) if folder else None
        if found and Path(folder).parent.name != ".toolchain":
            yield Path(found)


def on_path(say: Callable[[str], None]) -> Source | None:
    """The first CLI on PATH that fits."""
    for found in candidates():
        real = found.resolve()
        version = _version(real)
        if not (why := unfit(version, (real.parent / HOST).is_file())):
            return Source(Mode.PATH, real, version)
        say(f"passing over {found}: {why}")
    return None


def choose(checkout: Checkout, mode: Mode, cache_root: Path, say: Callable[[str], None]) -> Source:
    """The CLI to use, fetched or built if it must be."""
    if mode in (Mode.AUTO, Mode.PATH) and (found := on_path(say)):
        return found
    cached = build.place(checkout.go, cache_root).is_dir() and not installer.place(cache_root).is_dir()
    if mode is Mode.INSTALLER or (mode is Mode.AUTO and not cached):
        try:
            pulumi = installer.install(cache_root) / "pulumi"
            return Source(Mode.INSTALLER, pulumi, _version(pulumi))
        except Trouble as trouble:
            if mode is Mode.INSTALLER:
                raise
            say(f"{trouble.what} Building the CLI from package registries instead.")
    if mode in (Mode.AUTO, Mode.BUILD):
        pulumi = build.build(checkout.go, cache_root) / "pulumi"
        return Source(Mode.BUILD, pulumi, PULUMI)
    raise Trouble(
        f"no Pulumi CLI on PATH fits ({PULUMI} or a newer 3.x, with {HOST} beside it).",
        world="Nothing was changed.",
        next="Install one, or unset BLUEGREEN_TOOLCHAIN so that one is fetched.",
    )


def say(line: str) -> None:
    """One line for whoever waits."""
    print(line, file=sys.stderr, flush=True)


def _version(pulumi: Path) -> str:
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        asked = subprocess.run(
            [pulumi, "version"], capture_output=True, text=True, check=False, timeout=30, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip().removeprefix("v")
