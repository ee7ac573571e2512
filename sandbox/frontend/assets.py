"""The files that a release of the frontend serves: its own script and stylesheet, and those of the releases before it.

A name holds the hash of the content, and the content depends on the version alone: the same image serves the same names
in either colour. A page that was loaded before a switch asks for the old names after it, so every release carries the
files of the three before it. (A page of the new release that meets the old one after a rollback cannot be served so; it
notices, and loads itself again once.)

Deliberately not here: a bundler, minification, source maps.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
CARRIED = 3  # releases before this one whose files it still serves
TEAMS_SINCE = 2


@dataclass(frozen=True, slots=True)
class Asset:
    """A file under a name that changes with its content."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What the page of one version loads."""

    script: Asset
    style: Asset


@cache
def bundle(version: int) -> Bundle:
    """The files of a version."""
    sources = ["app.js"] + (["teams.js"] if version >= TEAMS_SINCE else [])
    script = "".join(_source(name) for name in sources)
    return Bundle(
        _asset("js", "text/javascript", f'"use strict";\nconst VERSION = {version};\n{script}\nstart();\n'),
        _asset("css", "text/css", f"/* Release {version} */\n{_source('style.css')}"),
    )


def served(version: int) -> dict[str, Asset]:
    """Every file that this version answers with, by path."""
    bundles = [bundle(number) for number in range(max(1, version - CARRIED), version + 1)]
    return {f"/assets/{asset.name}": asset for one in bundles for asset in (one.script, one.style)}


def _asset(ending: str, kind: str, text: str) -> Asset:
    return Asset(f"app-{hashlib.sha256(text.encode()).hexdigest()[:12]}.{ending}", kind, text)


@cache
def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
