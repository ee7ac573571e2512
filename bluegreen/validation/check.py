"""How a check of the validation is written: its name beside a coroutine, and what it works with.

    @check("database-reachable", group="database", expected="an answer", hint="Start it.")
    async def reachable(room: Room) -> Seen: ...

A check answers what it saw, `Seen(ok, observed)`, or several of them, one for each thing that it looked at; it raises
`Skip` where there is nothing to look at. Whatever else it raises, and whatever takes too long, is an `error` of that
check alone: `run.py` sees to it. It deliberately holds no check itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bluegreen.connections import Connections
from bluegreen.handler import Context
from bluegreen.settings import Settings
from bluegreen.spec import Colour
from bluegreen.standing import Recorded
from bluegreen.validation.finding import Severity


class Skip(Exception):
    """There is nothing to look at; the text says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen. `about` tells several answers of one check apart: it follows the check's id (`tls-expiry:api…`).

    `expected` and `hint` win over the check's own.
    """

    ok: bool
    observed: str
    about: str = ""
    app: str | None = None
    expected: str = ""
    hint: str = ""
    n: int = 1
    duration_ms: float | None = None
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """Everything that a check may look at. `once` keeps what several checks need: read by the first that asks."""

    settings: Settings
    connections: Connections
    ctx: Context
    recorded: Callable[[], Awaitable[Recorded]]  # what Pulumi knows; `unread` says why it does not
    sealed: frozenset[str] = frozenset()  # paths under `secrets` that could not be read
    apps: tuple[str, ...] = ()  # whose checks are wanted: all of them unless --app named one
    colour: Colour | None = None  # only this colour is asked, past the weights
    kept: dict[str, Any] = field(default_factory=dict)


Ask = Callable[[Room], Awaitable[Seen | Sequence[Seen]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One registered check."""

    id: str
    group: str
    expected: str
    hint: str
    ask: Ask
    severity: Severity = "error"
    doc: str = ""
    within: float = 8.0  # seconds


REGISTER: list[Asked] = []


def check(
    id: str,
    *,
    group: str,
    expected: str,
    hint: str,
    severity: Severity = "error",
    doc: str = "",
    within: float = 8.0,
) -> Callable[[Ask], Ask]:
    """Register a check under a name that users see, choose with --only and leave out with --skip."""

    def registered(ask: Ask) -> Ask:
        REGISTER.append(Asked(id, group, expected, hint, ask, severity, doc or f"docs/validate.md#{group}", within))
        return ask

    return registered
