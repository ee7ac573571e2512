"""The parameters that rules have in common, as JSON schemas with their defaults: what a policy config may say.

They deliberately hold no values of this project: those are in `policy-config.json`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Parameter = Mapping[str, Any]


def names(description: str, default: Sequence[str] = ()) -> Parameter:
    """A list of names."""
    return {"type": "array", "items": {"type": "string"}, "default": list(default), "description": description}


def stacks(description: str) -> Parameter:
    """Which stacks a rule judges; every other one may do as it likes."""
    return names(description, ["production"])


def number(default: int, description: str, *, minimum: int = 0) -> Parameter:
    """A whole number that must not lie below `minimum`."""
    return {"type": "integer", "minimum": minimum, "default": default, "description": description}


def choice(default: str, other: str, description: str) -> Parameter:
    """One of two words."""
    return {"type": "string", "enum": [default, other], "default": default, "description": description}
