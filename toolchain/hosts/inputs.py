"""The inputs of `command:local:Command`: what is valid, what a change to them means. Pure.

A change to `triggers` means another resource (replace); any other change runs the command again (update), as upstream
documents it. Asset and archive paths are refused: this stand-in does not collect files.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolchain.hosts.values import is_unknown

LOGGING = ("stdout", "stderr", "stdoutAndStderr", "none")
REPLACES = "triggers"
_TEXTS = ("create", "update", "delete", "dir", "stdin")
_UNSUPPORTED = ("assetPaths", "archivePaths")
_KNOWN = frozenset(
    {*_TEXTS, *_UNSUPPORTED, "environment", "interpreter", "logging", REPLACES, "addPreviousOutputInEnv"}
)


@dataclass(frozen=True, slots=True)
class Inputs:
    """One command's inputs, valid and with defaults filled in."""

    create: str | None = None
    update: str | None = None
    delete: str | None = None
    dir: str | None = None
    stdin: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    interpreter: Sequence[str] = ("/bin/sh", "-c")
    logging: str = "stdoutAndStderr"
    previous_output: bool = True

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Inputs":
        """From plain properties that `problems` found nothing in."""
        return cls(
            **{name: given.get(name) for name in _TEXTS},
            environment=given.get("environment", {}),
            interpreter=tuple(given.get("interpreter") or ("/bin/sh", "-c")),
            logging=given.get("logging", "stdoutAndStderr"),
            previous_output=given.get("addPreviousOutputInEnv", True),
        )


def problems(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each property that cannot be used, and why."""
    for name, value in given.items():
        if is_unknown(value) or name.startswith("__"):
            continue
        if name not in _KNOWN:
            yield name, "is not an input of command:local:Command. Remove it."
        elif name in _UNSUPPORTED:
            yield name, "is not supported by this stand-in: have the command put its files where they belong."
        elif name in _TEXTS and not isinstance(value, str):
            yield name, f"must be text, not {_kind(value)}."
        elif name == "environment" and not _is_text_map(value):
            yield name, "must map names to text: write numbers and booleans in quotes."
        elif name == "interpreter" and not _is_text_list(value):
            yield name, "must be a list of texts such as [/bin/bash, -c]."
        elif name == "logging" and value not in LOGGING:
            yield name, f"must be one of {', '.join(LOGGING)}."
        elif name == "addPreviousOutputInEnv" and not isinstance(value, bool):
            yield name, f"must be true or false, not {_kind(value)}."
        elif name == REPLACES and not isinstance(value, list):
            yield name, f"must be a list, not {_kind(value)}."


def changes(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every path at which two plain values differ, with `add`, `delete` or `update`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            inner = _child(path, name)
            if name not in new:
                yield inner, "delete"
            elif name not in old:
                yield inner, "add"
            else:
                yield from changes(old[name], new[name], inner)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            inner = f"{path}[{index}]"
            if index >= len(new):
                yield inner, "delete"
            elif index >= len(old):
                yield inner, "add"
            else:
                yield from changes(old[index], new[index], inner)
    elif type(old) is not type(new) or old != new:
        yield path, "update"


def _child(path: str, name: str) -> str:
    if re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$-]*", name):
        return f"{path}.{name}" if path else name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{escaped}"]'


def _kind(value: Any) -> str:
    """What it is, without saying it: it may be a secret."""
    kinds = {str: "text", bool: "true or false", list: "a list", dict: "a map"}
    return kinds.get(type(value), "a number")


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_text_map(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values())
