"""What traffic is asked to be, and what is remembered of how it came there.

A lane is one app's way through the gateway. `live` in a lane is the wanted colour in a stack's config and the real one
after a read: `split` while two carry traffic, `none` while nothing does, `unfinished` while a move has left its mark.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from bluegreen.spec import Colour, Duration, Name, Spec, State

Kind = Literal["first", "rollout", "rollback", "repair"]
Verdict = Literal["passed", "rejected", "stopped"]


class Probe(Spec):
    """How a colour is asked, through the gateway and past the weights, which release it runs."""

    path: str = "/health"
    headers: Mapping[str, Mapping[Colour, str]] = {}  # what singles one colour out on the preview route
    release_header: str = "X-Release"


class Lane(Spec):
    """One app's way through the gateway."""

    upstream: Name
    live: Colour | Literal["split", "none", "unfinished"]
    release: str  # the live colour's
    addresses: Mapping[Colour, str]
    probe: Probe = Probe()
    weights: Mapping[Colour, int] = {}  # filled in by Check; as they are in Kong after a read


class RollbackWindow(Spec):
    """How far back a release may lie and still be returned to in one step."""

    revisions: int = Field(default=3, ge=0)
    duration: Duration = timedelta(hours=72)


class Rollout(Spec):
    """How traffic moves.

    `retry` names one rejected release id that may be tried once more. `order` is the order of apps in a rollout, and
    reversed in a rollback; apps it does not name follow in alphabetical order.
    """

    order: Sequence[Name] = ()
    progress_deadline_seconds: int = Field(default=600, ge=10, le=86_400)
    rollback_window: RollbackWindow = RollbackWindow()
    retry: str | None = None


class TrafficSpec(Spec):
    """All lanes of a stack: the unit that moves together and comes back together."""

    owner: str
    nodes: int = Field(default=1, ge=1)  # of the gateway: how many must have answered before weights count as proved
    lanes: Mapping[Name, Lane]
    rollout: Rollout = Rollout()


class Done(State):
    """One app's part of one move, as history keeps it. Times are UTC; `finished` is when the last weight was proved."""

    app: str = ""
    kind: str = "rollout"  # a Kind; whatever another version wrote is kept
    verdict: str = "stopped"  # a Verdict
    origin: Colour | None = None
    goal: Colour = "blue"
    origin_release: str | None = None
    release: str = ""
    started: datetime = datetime.min.replace(tzinfo=UTC)
    finished: datetime = datetime.min.replace(tzinfo=UTC)
    said: str = ""


class TrafficState(State):
    """What traffic is, and the last moves, oldest first."""

    live: Mapping[str, str] = {}
    releases: Mapping[str, str] = {}
    weights: Mapping[str, Mapping[Colour, int]] = {}
    history: Sequence[Done] = ()
