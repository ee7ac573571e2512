"""actionlint, which checks `.github/workflows`: built once from its Go module, and kept in the user's cache.

The module is pinned by `go-actionlint/go.mod` and its contents by `go-actionlint/go.sum`, as the CLI's are. It asks no
other linter for help, so that it says the same on every machine.
"""

import platform
import subprocess
import sys
from pathlib import Path

from toolchain import cache, golang, progress
from toolchain.build import variables

MODULE = Path(__file__).with_name("go-actionlint")
PACKAGE = "github.com/rhysd/actionlint/cmd/actionlint"
ALONE = ("-shellcheck=", "-pyflakes=")  # neither is part of this project


def place(cache_root: Path) -> Path:
    """Where the tool of exactly these inputs belongs."""
    inputs = [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum", "tools.go")]
    return cache_root / "tools" / f"actionlint-{cache.key([*inputs, sys.platform, platform.machine()])}"


def tool(cache_root: Path) -> Path:
    """The tool, built first if it is not there."""
    waiting = progress.Waiting("waiting for another setup that is building actionlint")
    return cache.entry(place(cache_root), lambda filling: _fill(filling, cache_root), waiting) / "actionlint"


def check(root: Path, cache_root: Path) -> str:
    """What is wrong with the workflows of a checkout; empty where nothing is."""
    files = sorted((root / ".github" / "workflows").glob("*.yml"))
    command: list[str | Path] = [tool(cache_root), *ALONE, "-no-color", "-oneline", *files]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _fill(filling: Path, cache_root: Path) -> None:
    work = cache_root / "go-build-actionlint"
    work.mkdir(parents=True, exist_ok=True)
    go = golang.find(MODULE, cache_root)
    log = work / "log"
    with progress.step("building actionlint from Go modules (once, about half a minute)", "built actionlint") as shown:
        command: list[str | Path] = [go, "build", "-v", "-trimpath", "-o", filling / "actionlint", PACKAGE]
        progress.run(command, log=log, shown=shown, environment=variables(work), folder=MODULE, read=lambda _: "")
    cache.remove(work)
