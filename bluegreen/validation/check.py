"""How a check of the validation is written: its name beside a coroutine, and what it works with.

    @check("database-reachable", group="database", expected="an answer", hint="Start it.")
    async def reachable(room: Room) -> Seen: ...

A check answers what it saw, `Seen(ok, observed)`, or several of them, one for each thing that it looked at; it raises
`Skip` where there is nothing to look at. Whatever else it raises, and whatever takes too long, is an `error` of that
check alone: `run.py` sees to it. It deliberately holds no check itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from pydantic import SecretStr

from bluegreen.connections import SHORTEST, Connections
from bluegreen.handler import Context
from bluegreen.measure.checks import Sent
from bluegreen.settings import Settings
from bluegreen.spec import Colour
from bluegreen.standing import Recorded
from bluegreen.validation.finding import Severity, Status

T = TypeVar("T")


class Skip(Exception):
    """There is nothing to look at; the text says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen. `about` tells several answers of one check apart: it follows the check's id (`tls-expiry:api…`).

    `expected`, `hint` and `group` win over the check's own, `status` over what `ok` says: for one thing of several that
    there was nothing to look at (`skipped`), or that could not be asked (`error`).
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
    status: Status | None = None
    group: str = ""


@dataclass(frozen=True)
class Room:
    """Everything that a check may look at. `once` keeps what several checks need: read by the first that asks."""

    settings: Settings
    connections: Connections
    ctx: Context
    recorded: Callable[[], Awaitable[Recorded]]  # what Pulumi knows; `unread` says why it does not
    sealed: frozenset[str] = frozenset()  # paths under `secrets` that could not be read
    apps: tuple[str, ...] = ()  # whose checks are wanted: all of them unless --app named one
    colour: Colour | None = None  # only this colour is asked, past the weights
    kept: dict[str, "asyncio.Task[Any]"] = field(default_factory=dict)
    sent: Sent = field(default_factory=Sent)
    telling: set[str] = field(default_factory=set)  # the ids of what is asked now: who else could tell of a fault

    async def once(self, key: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `make` answers, made by whoever asks first; a fault of it is everybody's.

        Whoever runs out of time leaves it under way: the others may still be waiting for it.
        """
        if key not in self.kept:
            self.kept[key] = asyncio.create_task(make())
        found: T = await asyncio.shield(self.kept[key])
        return found

    async def leave(self) -> None:
        """End what is still under way for nobody."""
        under_way = list(self.kept.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        self.kept.clear()

    def wanted(self) -> tuple[str, ...]:
        """The apps to look at, in the order of a rollout."""
        return tuple(app for app in self.settings.order() if not self.apps or app in self.apps)

    def redact(self, text: str) -> str:
        """The text without anything that nobody may see."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    @cached_property
    def _hidden(self) -> tuple[str, ...]:
        told = {*self.connections.secrets, *_secrets(self.settings.secrets)}
        # One that is the beginning of another would spare its rest, so the longest goes first.
        return tuple(sorted((text for text in told if len(text) >= SHORTEST), key=len, reverse=True))


def _secrets(value: Any) -> set[str]:
    """Every secret text in a model, however deep."""
    if isinstance(value, SecretStr):
        whole = value.get_secret_value()
        return {whole, whole.strip()}
    if isinstance(value, Mapping):
        return set().union(*(_secrets(inner) for inner in value.values()))
    fields = getattr(type(value), "model_fields", ())
    return set().union(*(_secrets(getattr(value, name)) for name in fields))


Ask = Callable[[Room], Awaitable[Seen | Sequence[Seen]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One registered check.

    `of_colour`: it says something about one colour, so it is asked with --colour, too. `alone`: it measures, so it is
    asked after the others and beside nobody.
    """

    id: str
    group: str
    expected: str
    hint: str
    ask: Ask
    severity: Severity = "error"
    doc: str = ""
    within: float = 8.0  # seconds
    of_colour: bool = False
    alone: bool = False


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
    of_colour: bool = False,
    alone: bool = False,
) -> Callable[[Ask], Ask]:
    """Register a check under a name that users see, choose with --only and leave out with --skip."""

    def registered(ask: Ask) -> Ask:
        explained = doc or f"docs/validate.md#{group}"
        REGISTER.append(Asked(id, group, expected, hint, ask, severity, explained, within, of_colour, alone))
        return ask

    return registered
