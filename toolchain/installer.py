"""Pulumi's official installer: used when its site can be reached, one line said when not.

It is tried for the pinned version and into a folder of the user's cache, so that it changes neither `~/.pulumi` nor any
shell profile. What has been run is the refusal and, with a stand-in for the site, the way after it: not its script.
"""

import os
import tempfile
from pathlib import Path

from toolchain import cache, progress
from toolchain.trouble import Trouble
from toolchain.versions import PULUMI

SITE_VARIABLE = "BLUEGREEN_PULUMI_INSTALLER"  # another address for the same script, such as a company mirror
SITE = "https://get.pulumi.com/"
TIMEOUT_SECONDS = 3.0


def place(cache_root: Path) -> Path:
    """Where an installed CLI belongs."""
    return cache_root / "installed" / PULUMI


def install(cache_root: Path) -> Path:
    """The folder with the official CLI and its language hosts, installed first if it is not there."""
    return cache.entry(place(cache_root), _fill) / "bin"


def _fill(filling: Path) -> None:
    script = _script(os.environ.get(SITE_VARIABLE, SITE))
    with (
        tempfile.TemporaryDirectory() as scratch,
        progress.step(f"running Pulumi's installer for {PULUMI}", f"installed the Pulumi CLI {PULUMI}") as shown,
    ):
        saved = Path(scratch) / "install.sh"
        saved.write_bytes(script)
        command: list[str | Path] = ["sh", saved, "--version", PULUMI, "--install-root", filling, "--no-edit-path"]
        progress.run(command, log=Path(scratch) / "log", shown=shown)
    if not (filling / "bin" / "pulumi").is_file():
        raise Trouble("Pulumi's installer left no CLI.", world="Nothing was installed.", next="Install it by hand.")


def _script(site: str) -> bytes:
    import urllib.request  # costs more than all the rest of setup, and is rarely needed

    try:
        with urllib.request.urlopen(site, timeout=TIMEOUT_SECONDS) as answer:
            script: bytes = answer.read()
    except OSError as problem:
        reason = getattr(problem, "reason", problem)
        raise Trouble(
            f"Pulumi's installer cannot be reached at {site}: {reason}.",
            world="Nothing was installed.",
            next="Reach it, or let the CLI be built from package registries.",
        ) from problem
    if not script.startswith(b"#!"):
        raise Trouble(
            f"{site} did not answer with a script.", world="Nothing was run.", next="Check what stands between."
        )
    return script
