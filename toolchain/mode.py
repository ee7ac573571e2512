"""How a person steers the choice of the CLI: BLUEGREEN_TOOLCHAIN and BLUEGREEN_CACHE."""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from toolchain.trouble import Trouble

MODE_VARIABLE = "BLUEGREEN_TOOLCHAIN"
CACHE_VARIABLE = "BLUEGREEN_CACHE"


class Mode(StrEnum):
    """Where the CLI may come from."""

    AUTO = "auto"  # PATH, then the installer, then a build
    PATH = "path"
    INSTALLER = "installer"
    BUILD = "build"
    OFF = "off"  # nowhere: what needs a CLI fails


def mode(variables: Mapping[str, str] = os.environ) -> Mode:
    """The mode that the environment asks for."""
    text = variables.get(MODE_VARIABLE) or Mode.AUTO
    try:
        return Mode(text)
    except ValueError:
        raise Trouble(
            f"{MODE_VARIABLE} is `{text}`, which is none of {', '.join(Mode)}.",
            world="Nothing was changed.",
            next=f"Unset {MODE_VARIABLE} or set it to one of these.",
        ) from None


def cache_root(variables: Mapping[str, str] = os.environ) -> Path:
    """The user's folder for what is expensive to get and the same for every checkout."""
    if named := variables.get(CACHE_VARIABLE):
        return Path(named).expanduser().absolute()
    base = variables.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "bluegreen"
