"""What a verb is: a coroutine that gets a desk and answers an outcome.

The exit codes continue Pulumi's own (0 to 9). A verb prints nothing on standard output: progress goes through the
desk's context to standard error, and the outcome is printed once, as text or as JSON.
"""

from dataclasses import dataclass
from enum import IntEnum

from pydantic import SerializeAsAny

from bluegreen.cli.stack import Stack
from bluegreen.connections import Connections
from bluegreen.handler import Context
from bluegreen.settings import Settings
from bluegreen.spec import Spec


class Exit(IntEnum):
    """How a verb ended."""

    OK = 0
    FAULT = 1
    FAILED_BEFORE_SWITCH = 10
    ROLLED_BACK = 11
    ROLLBACK_FAILED = 12
    INCONCLUSIVE = 13
    DRIFT = 14
    REFUSED = 15
    LOCKED = 16
    INTERRUPTED = 130  # by SIGINT, as shells count it
    TERMINATED = 143  # by SIGTERM


class Outcome(Spec):
    """The end of a verb, in three beats, with its facts for machines."""

    schema_version: int = 1
    exit: Exit
    what: str
    world: str = ""
    next: str = ""
    facts: SerializeAsAny[Spec] | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a verb works with."""

    stack: Stack
    settings: Settings
    connections: Connections
    ctx: Context
