"""A plan as a document for machines: what will serve what, by which steps, at what risk, and what decided it.

Its fields are a format that pipelines read: they only grow, and `schemaVersion` rises when one goes or means another
thing. What somebody may not see is in none of them: of variables it holds the names.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from bluegreen.spec import Colour, State

SCHEMA = 1


class Runs(State):
    """What one colour of one app runs. `weight` is its share of users, in percent."""

    release: str = ""
    image: str = ""  # repository@digest; empty where somebody else deploys it
    tag: str = ""  # as a comment in the stack's file calls it
    replicas: int = 0
    schema_min: str | None = None
    weight: int | None = None


class Shift(State):
    """One value of the container's own settings; None where it is not there."""

    path: str = ""
    before: str | None = None
    after: str | None = None


class Names(State):
    """Names alone: what is new, what goes, and what has another value."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class Side(State):
    """One colour, before and after; `done` says what becomes of its service."""

    colour: Colour = "blue"
    before: Runs | None = None
    after: Runs | None = None
    done: Literal["deployed", "removed", "stays", "observed"] = "stays"
    variables: Names = Names()
    container: tuple[Shift, ...] = ()


class Back(State):
    """Whether a rollback is possible, and why in a whole sentence."""

    possible: bool | None = None  # None: nobody can tell
    until: datetime | None = None
    why: str = ""
    blocks: tuple[str, ...] = ()


class AppPlan(State):
    """One app: its two colours, and the way back now and after the change."""

    app: str = ""
    live: Colour | None = None  # now, as the gateway has it
    goal: Colour = "blue"
    sides: tuple[Side, ...] = ()
    now: Back = Back()
    after: Back = Back()


class Leg(State):
    """One app's part of the move of traffic."""

    app: str = ""
    kind: str = ""
    origin: Colour | None = None
    goal: Colour = "blue"
    stages: tuple[str, ...] = ()
    seconds: float = 0.0


class Way(State):
    """How traffic moves; `seconds` is the longest by its own stages and analyses, without the proofs between them."""

    legs: tuple[Leg, ...] = ()
    before: str = ""  # the analysis before any traffic moves
    after: str = ""
    seconds: float = 0.0
    also: tuple[str, ...] = ()  # what else it does: a move that was cut short goes back, a hold is released


class Locked(State):
    """One relation for which somebody waits."""

    relation: str = ""
    stops: str = ""  # writes, or reads and writes
    ms: float = 0.0


class Schema(State):
    """One migration, as its rehearsal found it; `rehearsed` False: only its text was read."""

    label: str = ""
    phase: str = ""
    told: str = ""
    rehearsed: bool = False
    known: bool = False  # whether there is a report of this very text
    ms: float | None = None
    locks: tuple[Locked, ...] = ()
    rewrites: tuple[str, ...] = ()
    grows: tuple[str, ...] = ()
    reverse: str = ""
    proven: bool = False
    refusals: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    report: str = ""


class Fit(State):
    """What schema one colour needs, and whether it is there: before and after."""

    app: str = ""
    colour: Colour = "blue"
    needs: str | None = None
    now: bool | None = None
    after: bool | None = None


class Part(State):
    """One thing of the gateway that changes: for users, or on the previews."""

    op: Literal["added", "changed", "removed"] = "changed"
    kind: str = ""
    name: str = ""
    users: bool = False


class Policy(State):
    """What one policy objects to."""

    rule: str = ""
    level: str = ""
    resource: str = ""
    says: str = ""


class Fleet(State):
    """How many replicas run beside those that serve, and for how long they have to: no prices."""

    live: int = 0
    idle_before: int = 0
    idle_after: int = 0
    window_hours: float = 0.0
    replica_hours: float = 0.0  # of the idle ones, until the rollback window is over
    a_day: float = 0.0


class Unchecked(State):
    """What nobody could look at, and why."""

    what: str = ""
    why: str = ""


class Planned(State):
    """One change of a stack, told before it is made.

    `decides` is everything that decided it, by path; None where it could not be known. `refused` is why an update would
    stop before anything changes, a sentence each.
    """

    schema_version: int = SCHEMA
    owner: str = ""
    stack: str = ""
    at: datetime | None = None
    title: str = ""
    users: str = ""
    back: str = ""
    risks: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    apps: tuple[AppPlan, ...] = ()
    steps: tuple[str, ...] = ()
    traffic: Way = Way()
    seconds: float | None = None
    schema_now: str | None = None
    schema_after: str | None = None
    migrations: tuple[Schema, ...] = ()
    fits: tuple[Fit, ...] = ()
    gateway: tuple[Part, ...] = ()
    policies: tuple[Policy, ...] = ()
    rules: tuple[str, ...] = ()
    fleet: Fleet = Fleet()
    unchecked: tuple[Unchecked, ...] = ()
    operations: tuple[str, ...] = ()  # as the engine names them
    decides: Mapping[str, str | None] = {}
    fingerprint: str = ""
