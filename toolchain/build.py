"""Build the Pulumi CLI from its Go modules: the way to a CLI where only package registries can be reached.

The modules are pinned by `go/go.mod` and their contents by `go/go.sum`. The result is an entry of the user's cache,
there whole or not at all. Go's own caches lie beside it while a build is unfinished, so that a build that was stopped
goes on where it was; they and a Go that was fetched (about 3 GB) are removed once the CLI is there. The Python language
host and the command plugin are not served as Go modules: `hosts/` stands in.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from toolchain import cache, golang, progress
from toolchain.trouble import Trouble
from toolchain.versions import PULUMI

PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK = "github.com/pulumi/pulumi/sdk/v3"
EXECUTOR = "pulumi-language-python-exec"
FLAGS = (
    "-trimpath",
    "-tags=osusergo,grpcnotrace",
    f"-ldflags=-s -w -X {SDK}/go/common/version.Version=v{PULUMI}",
)
PACKAGES = 1684  # what the CLI is made of; for the progress line alone
NEEDED_BYTES = 4 << 30


def place(module: Path, cache_root: Path) -> Path:
    """Where the CLI of exactly these inputs belongs."""
    inputs = [(module / name).read_bytes() for name in ("go.mod", "go.sum", "tools.go")]
    return cache_root / "cli" / f"{PULUMI}-{cache.key([*inputs, *FLAGS, PACKAGE, sys.platform, platform.machine()])}"


def build(module: Path, cache_root: Path) -> Path:
    """The folder with `pulumi` and Pulumi's executor script, built first if it is not there."""
    waiting = progress.Waiting("waiting for another setup that is building the Pulumi CLI")
    return cache.entry(place(module, cache_root), lambda filling: _fill(filling, module, cache_root), waiting)


def _fill(filling: Path, module: Path, cache_root: Path) -> None:
    work = cache_root / "go-build"
    work.mkdir(parents=True, exist_ok=True)
    _room(work)
    go = golang.find(module, cache_root)
    environment = variables(work)
    log = work / "log"
    log.unlink(missing_ok=True)
    what = f"building the Pulumi CLI {PULUMI} from Go modules (once, about 4 minutes)"
    with progress.step(what, f"built the Pulumi CLI {PULUMI}") as shown:
        command: list[str | Path] = [go, "build", "-v", *FLAGS, "-o", filling / "pulumi", PACKAGE]
        progress.run(command, log=log, shown=shown, environment=environment, folder=module, read=how_far)
    executor = Path(_go(go, ["list", "-m", "-f", "{{.Dir}}", SDK], environment, module)) / "python" / "cmd" / EXECUTOR
    shutil.copyfile(executor, filling / EXECUTOR)
    (filling / EXECUTOR).chmod(0o755)
    said = subprocess.run([filling / "pulumi", "version"], capture_output=True, text=True, check=False).stdout.strip()
    if said != f"v{PULUMI}":
        raise Trouble(
            f"the CLI that was built says `{said}` instead of v{PULUMI}.",
            world="It was thrown away.",
            next="Run `make setup` again; if it stays so, report it with your Go version.",
        )
    built = {"version": PULUMI, "go": _go(go, ["version"], environment, module)}
    (filling / "entry.json").write_text(json.dumps(built, indent=2) + "\n", encoding="utf-8")
    for used in (work, golang.wheel(cache_root)):
        cache.remove(used)


def variables(work: Path) -> dict[str, str]:
    """Go's environment: the user's own proxies, our caches, and nothing that changes what is built."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GOFLAGS", "GOOS", "GOARCH", "GOEXPERIMENT", "GOBIN", "GOWORK", "CGO_"))
    }
    return kept | {
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        "GOPATH": str(work / "path"),
        "GOMODCACHE": str(work / "modules"),
        "GOCACHE": str(work / "objects"),
    }


def how_far(log: Path) -> str:
    """How far a build is, from its log: a line for each module fetched and each package compiled."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    fetched = sum(line.startswith("go: downloading ") for line in lines)
    compiled = len(lines) - fetched
    if compiled:
        return f"{min(compiled, PACKAGES)} of {PACKAGES} packages compiled"
    return f"{fetched} modules fetched" if fetched else ""


def _room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise Trouble(
            f"building the CLI takes {NEEDED_BYTES >> 30} GB of disk for a while; {folder} has {free / (1 << 30):.1f}.",
            world="Nothing was installed.",
            next="Free some, or name a folder on another disk in BLUEGREEN_CACHE, then run `make setup` again.",
        )


def _go(go: Path, arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    return subprocess.run(
        [go, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()
