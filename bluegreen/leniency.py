"""What may be left out of a config that does not fit, so that traffic can go back in the middle of the night.

As little goes as can: an unknown key by itself, a faulty item of a list, a faulty value with what stands beside it.
What an app is says where traffic may go, so no value below `apps` is ever left out; nor is one of `railway`, which has
nothing to fall back on. It deliberately judges nothing: the models of the config do.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

Where = tuple[int | str, ...]
NEEDED = ("apps", "railway")


def left_out(config: dict[str, Any], error: ValidationError) -> bool:
    """Take what is wrong out of the config; False where something is needed, or was not found.

    What is left may be wrong in another way, so it has to be read again.
    """
    wrong = {_apart(fault) for fault in error.errors(include_url=False)}
    if () in wrong:
        return False
    # From the last to the first: an item that goes moves those behind it.
    last_first = sorted(wrong, key=lambda where: [f"{part!s:>9}" for part in where], reverse=True)
    gone = [_taken_out(config, where) for where in last_first]
    return any(gone)


def _apart(fault: Any) -> Where:
    where: Where = fault["loc"]
    if fault["type"] == "extra_forbidden":
        return where
    if not where or where[0] in NEEDED:
        return ()
    return where[:3] if where[:2] == ("secrets", "apps") else where[:2]


def _taken_out(config: dict[str, Any], where: Where) -> bool:
    *outer, last = where
    inside: Any = config
    for part in outer:
        # The name of a union's branch is in no file, and in YAML an app's secrets have no `apps` above them.
        if not (isinstance(inside, Mapping) and part not in inside):
            inside = inside[part]
    there = last in inside if isinstance(inside, dict) else isinstance(last, int) and last < len(inside)
    if there:
        del inside[last]
    return there
