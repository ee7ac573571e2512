"""A stack's config as its file has it, without what is encrypted in it: for whoever has no Pulumi, or no time for it.

It has the shape in which Pulumi hands a config out, so settings are made of it the same way. It deliberately decrypts
nothing, and does not know whether anything of it is wanted.
"""

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LARGEST = 1 << 20  # bytes of a file that is read


class Unreadable(Exception):
    """The file is not there, or is no stack's config; the text is a phrase without the file's name."""


def plain(file: Path, project: str) -> tuple[dict[str, str], frozenset[str]]:
    """The config in clear, and the keys that are left out because they are encrypted as a whole.

    Raises:
        Unreadable: there is none to read.
    """
    import yaml

    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise Unreadable("it is no file")  # a pipe would have us wait, and is empty for whoever comes next
        if about.st_size > LARGEST:
            raise Unreadable(f"it is larger than {LARGEST:,} bytes")
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
        config = dict((read or {}).get("config") or {})
    except (OSError, yaml.YAMLError, AttributeError, TypeError, ValueError) as problem:
        raise Unreadable(str(problem).splitlines()[0]) from problem
    named = {key if ":" in key else f"{project}:{key}": _in_clear(value) for key, value in config.items()}
    clear = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in named.items() if value is not None
    }
    return clear, frozenset(key for key, value in named.items() if value is None)


def _in_clear(value: Any) -> Any:
    """A config value without what is encrypted in it; None where nothing is left."""
    if isinstance(value, Mapping):
        if set(value) == {"secure"}:
            return None
        return {key: clear for key, inner in value.items() if (clear := _in_clear(inner)) is not None}
    if isinstance(value, list):
        return [clear for inner in value if (clear := _in_clear(inner)) is not None]
    return value
