"""What traffic is asked to be, and what is remembered of how it came there.

A lane is one app's way through the gateway. `live` in a lane is the wanted colour in a stack's config and the real one
after a read: `split` while two carry traffic, `none` while nothing does, `unfinished` while a move has left its mark,
`held` while somebody holds it by hand.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from bluegreen.analysis import Analysis, Question
from bluegreen.rollout.freeze import Freeze
from bluegreen.spec import Colour, Duration, Name, Spec, State

RELEASE_HEADER = "X-Release"  # which release answers, said by the app itself
COLOUR_HEADER, APP_HEADER = "X-Preview-Colour", "X-Preview-App"

Kind = Literal["first", "rollout", "rollback", "repair"]
Verdict = Literal["passed", "rejected", "stopped"]


def preview_headers(app: str, colour: Colour) -> Mapping[str, str]:
    """What leads a request to this colour of this app, past the weights."""
    return {COLOUR_HEADER: colour, APP_HEADER: app}


class Probe(Spec):
    """How a colour is asked, through the gateway and past the weights, which release it runs."""

    path: str = "/health"
    headers: Mapping[str, Mapping[Colour, str]] = {}  # what singles one colour out on the preview route
    release_header: str = RELEASE_HEADER
    questions: Sequence[Question] = ()  # what an analysis asks; none: the health check

    @property
    def health(self) -> Question:
        """The health check as a question."""
        return Question(path=self.path)


class Lane(Spec):
    """One app's way through the gateway. `whole`: its traffic is never split, so it skips weights between 0 and 100.

    A colour in `unmarked` is somebody else's deployment: it answers without naming a release, and any 200 is its own.
    """

    upstream: Name
    live: Colour | Literal["split", "none", "unfinished", "held"]
    release: str  # the live colour's
    addresses: Mapping[Colour, str]
    probe: Probe = Probe()
    whole: bool = False
    unmarked: Sequence[Colour] = ()
    weights: Mapping[Colour, int] = {}  # filled in by Check; as they are in Kong after a read


class RollbackWindow(Spec):
    """How far back a release may lie and still be returned to in one step."""

    revisions: int = Field(default=3, ge=0)
    duration: Duration = timedelta(hours=72)


class Step(Spec):
    """One step of a rollout: a share of traffic in percent, a pause, an analysis, or a gate.

    A gate waits for `bluegreen approve`; when its time is over without one, traffic goes back. It never promotes.
    """

    set_weight: int | None = Field(default=None, ge=1, le=100)
    pause: Duration | None = None
    analysis: Analysis | None = None
    gate: Duration | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in ("setWeight", "pause", "analysis", "gate") if getattr(self, _snake(name)) is not None]
        if len(given) != 1:
            msg = f"a step is one of setWeight, pause, analysis and gate, and this is {' and '.join(given) or 'none'}"
            raise ValueError(msg)
        return self

    @property
    def longest(self) -> timedelta:
        """The longest it may take by its own word."""
        return self.pause or self.gate or (self.analysis.duration if self.analysis else timedelta())


class Rollout(Spec):
    """How traffic moves.

    `order` is the order of apps in a rollout, and reversed in a rollback; apps it does not name follow in alphabetical
    order. Each app takes the `steps` one after another, and 100 % at the end; `stepAnalysis` follows every setWeight
    below 100. `prePromotionAnalysis` comes before any traffic moves, `postPromotionAnalysis` once every app has
    arrived. `freeze` stops rollouts, never rollbacks; `freezeOverride` is the reason for one all the same. `retry`
    names one rejected release id that may be tried once more. A colour is redeployed or deleted no sooner than
    `maxRequestSeconds` after it lost its traffic; 60 is Kong's own patience with an answer.
    """

    order: Sequence[Name] = ()
    steps: Sequence[Step] = ()
    pre_promotion_analysis: Analysis | None = None
    step_analysis: Analysis | None = None
    post_promotion_analysis: Analysis | None = None
    progress_deadline_seconds: int = Field(default=600, ge=10, le=86_400)
    max_request_seconds: int = Field(default=60, ge=0, le=3600)
    rollback_window: RollbackWindow = RollbackWindow()
    freeze: Sequence[Freeze] = ()
    freeze_override: str | None = Field(default=None, min_length=1)
    retry: str | None = None

    def credentials(self) -> tuple[str, ...]:
        """Texts that nothing may show: the headers with which sources are asked, and each one's last word by itself."""
        around = (self.pre_promotion_analysis, self.step_analysis, self.post_promotion_analysis)
        analyses = (*around, *(step.analysis for step in self.steps))
        metrics = [metric for analysis in analyses if analysis is not None for metric in analysis.metrics]
        headers = [metric.authorization.get_secret_value() for metric in metrics if metric.authorization is not None]
        return tuple(dict.fromkeys(text for header in headers for text in (header, header.rpartition(" ")[2])))

    @field_validator("steps")
    @classmethod
    def _ascend(cls, steps: Sequence[Step]) -> Sequence[Step]:
        weights = [step.set_weight for step in steps if step.set_weight is not None]
        if weights != sorted(set(weights)):
            msg = f"setWeight goes {', '.join(map(str, weights))}, and has to ascend"
            raise ValueError(msg)
        if steps and not weights:
            msg = "no step sets a weight, so nothing would be seen. Begin with setWeight"
            raise ValueError(msg)
        if steps and steps[0].gate is not None:
            msg = "a gate comes after a setWeight: before, there is nothing to approve"
            raise ValueError(msg)
        if weights and weights[-1] == 100 and steps[-1].set_weight != 100:
            msg = "what comes after setWeight 100 belongs to postPromotionAnalysis"
            raise ValueError(msg)
        return steps

    @model_validator(mode="after")
    def _fits_its_deadline(self) -> Self:
        around = (self.pre_promotion_analysis, self.post_promotion_analysis)
        longest = sum((analysis.duration for analysis in around if analysis), timedelta())
        longest += sum((step.longest for step in self.steps), timedelta())
        if self.step_analysis is not None:
            longest += self.step_analysis.duration * sum((step.set_weight or 100) < 100 for step in self.steps)
        if longest.total_seconds() > self.progress_deadline_seconds:
            msg = (
                f"one app's steps and analyses take up to {longest.total_seconds():g} s, and progressDeadlineSeconds "
                f"is {self.progress_deadline_seconds}. Raise it, or shorten them"
            )
            raise ValueError(msg)
        return self


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
    retried: bool = False  # rollout.retry allowed it


class TrafficState(State):
    """What traffic is, and the last moves, oldest first."""

    live: Mapping[str, str] = {}
    releases: Mapping[str, str] = {}
    weights: Mapping[str, Mapping[Colour, int]] = {}
    history: Sequence[Done] = ()


def _snake(name: str) -> str:
    return "set_weight" if name == "setWeight" else name
