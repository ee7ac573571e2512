"""What one app's part of a move consists of, as data: weights, pauses, analyses and gates, one after another. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bluegreen.analysis import Analysis
from bluegreen.rollout.spec import Lane, Rollout, Step


@dataclass(frozen=True, slots=True)
class Weigh:
    """So many percent to the candidate, the rest to the others; raised, proved, lowered, proved."""

    weight: int

    def __str__(self) -> str:
        return f"{self.weight} %"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing changes for so long."""

    span: timedelta

    def __str__(self) -> str:
        return f"pause {self.span.total_seconds():g} s"


@dataclass(frozen=True, slots=True)
class Analyse:
    """Only a pass lets the move go on."""

    analysis: Analysis

    def __str__(self) -> str:
        return f"analysis of {self.analysis.duration.total_seconds():g} s"


@dataclass(frozen=True, slots=True)
class Gate:
    """Somebody has to approve; without a word for so long, traffic goes back."""

    timeout: timedelta

    def __str__(self) -> str:
        return f"gate of {self.timeout.total_seconds():g} s"


Stage = Weigh | Pause | Analyse | Gate
AT_ONCE: tuple[Stage, ...] = (Weigh(100),)


def stages(rollout: Rollout, lane: Lane) -> tuple[Stage, ...]:
    """What a rollout of this app goes through; traffic that is never split goes over at once, after all the rest."""
    if not rollout.steps:
        return AT_ONCE
    if lane.whole:
        return tuple(_whole(rollout.steps))
    return tuple(_stages(rollout.steps, rollout.step_analysis))


def _whole(steps: Sequence[Step]) -> Iterator[Stage]:
    """The steps without their weights: what they wait for and look at is the release, here on its preview."""
    if any(step.gate is not None for step in steps):
        yield Weigh(0)  # an approval is written on the candidate's row, so there has to be one
    yield from _stages([step for step in steps if step.set_weight is None], None)


def _stages(steps: Sequence[Step], after: Analysis | None) -> Iterator[Stage]:
    for step in steps:
        if step.set_weight is not None:
            yield Weigh(step.set_weight)
            if after is not None and step.set_weight < 100:
                yield Analyse(after)
        elif step.pause is not None:
            yield Pause(step.pause)
        elif step.analysis is not None:
            yield Analyse(step.analysis)
        elif step.gate is not None:
            yield Gate(step.gate)
    if not steps or steps[-1].set_weight != 100:
        yield Weigh(100)
