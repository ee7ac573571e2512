"""Some apps behind a gateway in memory, moved as updates would move them: what tests of rollouts share."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bluegreen.analysis import Analysis, KongDeltas, Metric, ThresholdRange
from bluegreen.event import Event
from bluegreen.gateway import Hold, Split
from bluegreen.rollout.endings import Stopped
from bluegreen.rollout.moves import carry_out
from bluegreen.rollout.plan import Move, plan
from bluegreen.rollout.spec import Done, Lane, Probe, Rollout, Step
from bluegreen.spec import COLOURS, Colour
from tests.memory import START, Answers, Clock, Memory, Script, tools

ERRORS = Metric(name="errors", kong=KongDeltas(), threshold_range=ThresholdRange(max=1))
LOOK = Analysis(metrics=[ERRORS], duration=timedelta(seconds=10))
STEPS = tuple(Step(set_weight=weight) for weight in (5, 25, 50, 100))
HOLD = Hold("ann@laptop", START, "logins fail")


def metric(name: str, **given: Any) -> Metric:
    """Errors as Kong counts them, at most 1 %."""
    return ERRORS.model_copy(update={"name": name, **given})


def in_steps(**given: Any) -> Rollout:
    """5, 25, 50 and 100 percent, with an analysis of ten seconds at each step below 100."""
    return Rollout(**{"steps": STEPS, "step_analysis": LOOK, **given})


def release(app: str, colour: Colour) -> str:
    return f"{'r' if app == 'backend' else app}-{colour}"


class World:
    """Some apps, live on blue, with both colours healthy."""

    def __init__(self, *apps: str, rollout: Rollout | None = None, whole: frozenset[str] = frozenset()) -> None:
        self.apps, self.whole = apps or ("backend",), whole
        self.memory, self.clock, self.answers, self.meter = Memory(), Clock(), Answers(), Script()
        self.events: list[Event] = []
        self.releases = {(app, colour): release(app, colour) for app in self.apps for colour in COLOURS}
        self.answers.releases.update(self.releases.items())
        self.history: list[Done] = []
        self.rollout = Rollout()
        self.move("blue")
        self.rollout = rollout or Rollout()
        self.clock.at += timedelta(hours=1)
        for told in (self.memory.writes, self.memory.proofs, self.clock.milestones, self.clock.rows, self.events):
            told.clear()

    def lanes(self, live: Colour) -> dict[str, Lane]:
        return {app: self._lane(app, live) for app in self.apps}

    def plan(self, live: Colour, id: str = "mine") -> Move:
        """What an update that wants `live` everywhere would do."""
        return plan(self.lanes(live), self.rollout, self.splits(), self.history, self.clock.now(), mine=id)

    def move(self, live: Colour, id: str = "mine") -> None:
        """One update that wants `live` everywhere; history grows as state would."""
        wanted = self.plan(live, id)
        minutes = self.rollout.progress_deadline_seconds / 60
        with_ = tools(
            self.memory, self.answers, self.clock, id=id, minutes=minutes, meter=self.meter, tell=self.events.append
        )
        try:
            self.history += asyncio.run(carry_out(wanted, with_))
        except Stopped as stopped:
            self.history += stopped.done
            raise

    def splits(self) -> dict[str, Split]:
        return {app: asyncio.run(self.memory.split(app)) for app in self.apps}

    def weights(self) -> list[dict[Colour, int]]:
        return [self.memory.weights(app) for app in self.apps]

    def marks(self) -> list[str]:
        return [slot.move.id for slots in self.memory.rows.values() for slot in slots.values() if slot.move]

    def rejected(self) -> list[tuple[str, Colour]]:
        """The targets that are tagged so."""
        return [(app, colour) for app in self.apps for colour, slot in self.memory.rows[app].items() if slot.rejected]

    def verdicts(self) -> list[tuple[str, str]]:
        """What history keeps of everything since the beginning."""
        return [(done.app, done.verdict) for done in self.history[len(self.apps) :]]

    def change(self, app: str, colour: Colour, **changed: Any) -> None:
        """Somebody writes to a row, and no move of ours."""
        row = self.memory.rows[app][colour]
        self.memory.rows[app][colour] = replace(row, **changed)

    def hold(self, app: str) -> None:
        """Both rows of an app are held, as they are."""
        for colour in self.memory.rows[app]:
            self.change(app, colour, hold=HOLD)

    def _lane(self, app: str, live: Colour) -> Lane:
        return Lane(
            upstream=app,
            live=live,
            release=self.releases[app, live],
            addresses={"blue": f"{app}-blue:1", "green": f"{app}-green:1"},
            probe=Probe(headers={"app": dict.fromkeys(COLOURS, app), "colour": {c: c for c in COLOURS}}),
            whole=app in self.whole,
        )
