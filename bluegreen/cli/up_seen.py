"""What an update has done so far, by the engine's events: operations, words, objections, and where traffic is.

Each event is told once, as a line for whoever watches: what was changed, what providers and policies say. It reads
what a version of the engine writes and passes over the rest, and it deliberately judges nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from bluegreen.planning.previewed import HALVES, QUIET, TRAFFIC
from bluegreen.rollout.spec import Done, TrafficState
from bluegreen.spec import State

OK, PARTIAL, UNKNOWN = 0, 1, 2  # how an operation of the engine failed: nothing done, something, nobody knows
WORDS = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted", "import": "imported"}
ENGINE = ("pulumi:", "bluegreen:components:")  # what is declared, and nothing that anybody runs
FRAMES = ("update failed", "preview failed")  # the engine's own last word, which says nothing
ERRORS = ("1 error occurred:", "* ", "error: ")  # before a provider's sentence
LOST = ("exited prematurely", "error reading from server", "transport is closing")  # of a provider that is gone
COMMAND = "command:local:Command"  # verifications and rehearsals: they tell a release, they do not change it
PROGRAM = "Program failed with an unhandled exception"
MANDATORY = "mandatory"


class Op(State):
    """One operation on one resource."""

    op: str = ""
    type: str = ""
    name: str = ""
    status: int = OK

    def __str__(self) -> str:
        return f"{WORDS.get(self.op, self.op)} {self.type.removeprefix('bluegreen:')} {self.name}"


@dataclass(slots=True)
class Seen:
    """Everything that one run of the engine has told."""

    changed: list[Op] = field(default_factory=list)
    failed: list[Op] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)  # mandatory ones that object
    crashed: bool = False  # the program, by a fault of its own
    lost: bool = False  # a provider, in the middle of its work
    began: bool = False
    moving: bool = False  # traffic was asked to change
    before: TrafficState | None = None  # as it was recorded, and as it is recorded now
    traffic: TrafficState | None = None
    _said: set[str] = field(default_factory=set)

    @property
    def moves(self) -> tuple[Done, ...]:
        """What history keeps of this update's own moves."""
        known = self.before.history if self.before is not None else ()
        return tuple(done for done in (self.traffic.history if self.traffic is not None else ()) if done not in known)

    def hear(self, event: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
        """Take one event in; what to tell of it, and whether that passes."""
        self.began = True
        for kind, about in event.items():
            if not isinstance(about, Mapping):
                continue
            if kind == "diagnosticEvent":
                yield from self._diagnosed(about)
            elif kind == "policyEvent":
                yield from self._objected(about)
            elif kind == "resourcePreEvent" and not about.get("planning"):
                meta = about.get("metadata") or {}
                self.moving |= meta.get("type") == TRAFFIC and meta.get("op") not in QUIET
            elif kind in ("resOutputsEvent", "resOpFailedEvent") and not about.get("planning"):
                yield from self._ended(about, failed=kind == "resOpFailedEvent")

    def _ended(self, about: Mapping[str, Any], *, failed: bool) -> Iterator[tuple[str, bool]]:
        meta = about.get("metadata") or {}
        urn, kind, op = str(meta.get("urn")), str(meta.get("type")), str(meta.get("op"))
        done = Op(op=op, type=kind, name=urn.rpartition("::")[2], status=int(about.get("status") or OK))
        if kind == TRAFFIC:
            self._recorded(meta, left=not failed or done.status == PARTIAL)
        if failed:
            self.failed.append(done)
        elif op not in (*QUIET, *HALVES) and not kind.startswith(ENGINE):
            self.changed.append(done)
            yield str(done), False

    def _recorded(self, meta: Mapping[str, Any], *, left: bool) -> None:
        old, new = _traffic(meta.get("old")), _traffic(meta.get("new"))
        self.before = self.before or old or (TrafficState() if left else None)
        if left:
            self.traffic = new  # None: recorded in words that nobody here knows

    def _diagnosed(self, about: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
        severity, text = str(about.get("severity", "")).partition("#")[0], str(about.get("message", "")).strip()
        if severity == "debug" or not text or text.startswith(FRAMES):
            return
        if about.get("ephemeral"):
            yield _first(text), True
            return
        if severity == "error" and any(words in text for words in LOST):
            text, self.lost = "The provider is gone, in the middle of its work.", True
        elif severity == "error":
            text = self._erred(text, whole=COMMAND in str(about.get("urn")))
        if text not in self._said:  # a preview has said it already
            self._said.add(text)
            yield text, False

    def _erred(self, text: str, *, whole: bool) -> str:
        if text.startswith(PROGRAM):
            self.crashed = True
            text = f"The stack's program met a fault of its own: {text.splitlines()[-1].strip()}"
        text = _plain(text)
        first = (
            " ".join(text.split()) if whole else _first(text)
        )  # after a sentence come logs, and a command's sentence
        if first not in self.errors:
            self.errors.append(first)
        return text

    def _objected(self, about: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
        rule, level = str(about.get("policyName", "")), str(about.get("enforcementLevel", ""))
        if level == MANDATORY and rule not in self.policies:
            self.policies.append(rule)
        text = f"policy {rule} ({level}): {_first(str(about.get('message', '')).strip())}"
        if text not in self._said:
            self._said.add(text)
            yield text, False


def _traffic(row: Any) -> TrafficState | None:
    """What a resource's outputs say of traffic; None where they say nothing, or nothing that we know."""
    outputs = row.get("outputs") if isinstance(row, Mapping) else None
    try:
        return TrafficState.model_validate(outputs) if outputs else None
    except ValidationError:
        return None


def _plain(text: str) -> str:
    """A provider's sentence without the frame that the engine puts around it."""
    for frame in ERRORS:
        text = text.strip().removeprefix(frame)
    return text.strip()


def _first(text: str) -> str:
    return text.splitlines()[0].strip() if text else ""
