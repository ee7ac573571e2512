"""Everything that may happen to a stack's traffic, in any order: what may never happen, and where it always ends.

Releases are staged, shifted to, reverted, judged good, bad or not at all; deployers die before any write; somebody goes
back by hand, edits a weight, stops a colour, takes an old schema away. After every write: somebody carries traffic, no
share goes up that nothing has passed for, a split has a mark that tells the way back, and no update moves what is
held. At the end an update or two settle everything on one colour per app.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bluegreen.gateway import Gateway, Hold, Slot, Split
from bluegreen.handler import Halt, Held, Partial, Refused
from bluegreen.rollout.breakglass import take_back, way_back, well
from bluegreen.rollout.moves import carry_out
from bluegreen.rollout.plan import Move, current, unfinished
from bluegreen.rollout.spec import Lane, Probe, Rollout, Step, TrafficSpec, TrafficState
from bluegreen.rollout.traffic import TrafficHandler
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour
from tests.memory import Answers, Clock, Course, Died, Script, bad, good, nothing, tools
from tests.rollout_room import LOOK
from tests.test_settings import colour as block
from tests.test_settings import settings as stack
from tests.traffic_judged import SHARES, Judged, Watched, weights

QUALITIES: Mapping[str, Course] = {"good": good, "bad": bad, "silent": nothing}
ROLLOUT = Rollout(steps=[Step(set_weight=share) for share in SHARES], step_analysis=LOOK, post_promotion_analysis=LOOK)
APPS = st.sampled_from(("backend", "frontend"))


def other(colour: Colour) -> Colour:
    return "green" if colour == "blue" else "blue"


class Traffic(RuleBasedStateMachine):
    """Two apps, the config that somebody edits, the state that an engine keeps, and a gateway in memory."""

    apps: tuple[str, ...] = ("backend", "frontend")

    def __init__(self) -> None:
        super().__init__()
        self.judged, self.clock, self.answers, self.meter = Judged(), Clock(), Answers(), Script()
        self.live: dict[str, Colour] = dict.fromkeys(self.apps, "blue")
        self.before = dict(self.live)
        self.deployed: dict[tuple[str, Colour], str] = {}
        self.schema: dict[str, int] = {}  # the least that a release can live with
        self.stopped: set[tuple[str, Colour]] = set()
        self.contracted, self.expanded, self.number = 0, 0, 0
        self.held: Held[TrafficState] | None = None
        self.failed = False  # the engine calls an update again after one that failed, whether anything differs or not
        self.gateway: Gateway = self.opened()

    def opened(self) -> Gateway:
        self.memory = Watched(self.judged)
        return self.memory

    def run(self, what: Any) -> Any:
        """Nothing in memory ever waits, so a whole update takes one step; an event loop would take most of the time."""
        try:
            what.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError

    def dies(self, before: int | None) -> None:
        """The deployer dies before its n-th write."""
        self.memory.dies_before = before

    # What somebody does.

    @initialize()
    def begin(self) -> None:
        for app in self.apps:
            for colour in COLOURS:
                self._deploy(app, colour, "good")
        self._up()

    @rule(app=APPS, quality=st.sampled_from(sorted(QUALITIES)), expands=st.booleans())
    def stage(self, app: str, quality: str, expands: bool) -> None:
        """A new release for the colour that is not named live; one that carries traffic is never replaced."""
        if app in self.apps and not self._weight(app, other(self.live[app])):
            self.expanded += expands
            self._deploy(app, other(self.live[app]), quality)

    @rule(app=APPS)
    def shift(self, app: str) -> None:
        if app in self.apps:
            self._edit({app: other(self.live[app])})
            self._up()

    @rule()
    def shift_everything(self) -> None:
        self._edit({app: other(self.live[app]) for app in self.apps})
        self._up()

    @rule()
    def revert(self) -> None:
        self._edit(dict(self.before))
        self._up()

    @rule()
    def update_for_another_reason(self) -> None:
        self._up()

    @rule(app=APPS)
    def retry(self, app: str) -> None:
        """`rollout.retry` names what runs in the idle colour, and the update wants it."""
        if app in self.apps:
            goal = other(self.live[app])
            self.judged.retry = self.deployed[app, goal]
            self._edit({app: goal})
            self._up()

    @rule(writes=st.integers(0, 12), reverts=st.booleans())
    def kill(self, writes: int, reverts: bool) -> None:
        """A deployer that dies before its n-th write, on its way there or back."""
        self._edit(dict(self.before) if reverts else {app: other(self.live[app]) for app in self.apps})
        self.dies(writes)
        with suppress(Died):
            self._up()
        self.dies(None)

    @rule(looks=st.integers(1, 8))
    def stop_the_update(self, looks: int) -> None:
        """^C, while it is at work."""
        left = iter(range(looks))

        def slept() -> None:
            self.clock.cancelled = self.clock.cancelled or next(left, None) is None

        self._edit({app: other(self.live[app]) for app in self.apps})
        self.clock.passing = slept
        self._up()
        self.clock.passing, self.clock.cancelled = None, False

    @rule()
    def recover(self) -> None:
        lanes, splits = self._lanes(), self.splits()
        ended = [end for app in self.apps if (end := unfinished(app, lanes[app], splits[app]))]
        self.judged.writer = "recover"
        with suppress(Halt):
            self.run(carry_out(Move(ended=tuple(ended)), tools(self.gateway, self.answers, self.clock, id="recover")))

    @rule(app=APPS)
    def go_back_by_hand(self, app: str) -> None:
        if app not in self.apps:
            return
        hold = Hold("ann@laptop", self.clock.now().replace(microsecond=0), "it does not look well")
        self.judged.writer = "hand"
        with suppress(Halt):
            way = way_back(app, self._lanes()[app], self.splits()[app])
            self.judged.trusted.add(str(way.release))  # a person says so
            by_hand = tools(self.gateway, self.answers, self.clock, id="hand")
            self.run(well(way, by_hand))
            self.run(take_back(way, hold, by_hand))
            self.judged.rejected |= {release for release in way.left if release != way.release}
            self.judged.trusted -= self.judged.rejected

    @rule(app=APPS)
    def agree_with_the_hold(self, app: str) -> None:
        live = self.splits()[app].live if app in self.apps else None
        if live is not None:
            self._edit({app: live})
            self._up()

    @rule(app=APPS)
    def release_the_hold(self, app: str) -> None:
        self.judged.writer = "hand"
        for slot in list(self.splits()[app].slots.values()) if app in self.apps else ():
            self.run(self.gateway.put(app, replace(slot, hold=None), seen=slot))

    @rule(app=APPS, colour=st.sampled_from(COLOURS), weight=st.sampled_from((0, 10, 40, 100)))
    def edit_a_weight_by_hand(self, app: str, colour: Colour, weight: int) -> None:
        slots = self.splits()[app].slots if app in self.apps else {}
        slot, rest = slots.get(colour), sum(each.weight for each in slots.values() if each.colour != colour)
        if slot is None or (app, colour) in self.stopped or rest + weight == 0 or self.splits()[app].hold:
            return
        if weight > slot.weight:
            self.judged.trusted.add(str(slot.release))  # a person says so
        self._by_hand(app, replace(slot, weight=weight), slot)

    @rule(app=APPS, colour=st.sampled_from(COLOURS))
    def stop_a_colour(self, app: str, colour: Colour) -> None:
        if app in self.apps and not self._weight(app, colour):
            self.stopped.add((app, colour))
            self.answers.releases[app, colour] = None

    @precondition(lambda self: self.stopped)
    @rule()
    def start_what_is_stopped(self) -> None:
        for key in self.stopped:
            self.answers.releases[key] = self.deployed[key]
        self.stopped.clear()

    @rule()
    def contract(self) -> None:
        """What an older schema had is taken away, where every colour of the config can live without it."""
        with suppress(Refused):
            self._config().admit([("drop-it.sql", f"{self.expanded:03}")])
            self.contracted = self.expanded

    # What has to be true.

    def _never_a_contract_behind_a_rollback(self) -> None:
        for app, split in self.splits().items():
            for slot in split.slots.values():
                if slot.weight and slot.release is not None:
                    needs = self.schema[slot.release]
                    assert needs >= self.contracted, f"{app} serves {slot.release}, which needs what is gone"

    def _settled(self) -> None:
        for app, split in self.splits().items():
            assert weights(split) in ({self.live[app]: 100}, {self.live[app]: 100, other(self.live[app]): 0})
            assert split.hold is None
            assert not [slot for slot in split.slots.values() if slot.move is not None]

    def teardown(self) -> None:
        self.dies(None)
        if self.held is None:
            return
        self.start_what_is_stopped()
        self.recover()
        for app in self.apps:
            self.release_the_hold(app)
            live = current(app, self.splits()[app], self.held.state.history)
            assert live is not None
            self.live[app] = live
        for _ in range(2):
            self._up()
        self._settled()

    # How it is done.

    def splits(self) -> dict[str, Split]:
        return {app: self.run(self.gateway.split(app)) for app in self.apps}

    def _weight(self, app: str, colour: Colour) -> int:
        slot = self.splits()[app].slots.get(colour)
        return slot.weight if slot is not None else 0

    def _by_hand(self, app: str, slot: Slot, seen: Slot) -> None:
        self.judged.writer = "hand"
        self.memory.rows[app][slot.colour] = slot

    def _edit(self, live: Mapping[str, Colour]) -> None:
        self.before, self.live = dict(self.live), {**self.live, **live}

    def _deploy(self, app: str, colour: Colour, quality: str) -> None:
        self.number += 1
        release = f"{app}-{self.number}"
        self.deployed[app, colour] = release
        self.schema[release] = self.expanded
        self.meter.courses[release] = QUALITIES[quality]
        self.stopped.discard((app, colour))
        self.answers.releases[app, colour] = release

    def _config(self) -> Settings:
        def declared(app: str, colour: Colour) -> dict[str, Any]:
            return block(schemaMin=f"{self.schema[self.deployed[app, colour]]:03}")

        both = {app: {colour: declared(app, colour) for colour in COLOURS} for app in self.apps}
        return stack(apps={app: {"kind": "api", "live": self.live[app], **both[app]} for app in self.apps})

    def _lanes(self) -> dict[str, Lane]:
        return {
            app: Lane(
                upstream=app,
                live=self.live[app],
                release=self.deployed[app, self.live[app]],
                addresses=self.addresses(app),
                probe=Probe(headers={"app": dict.fromkeys(COLOURS, app), "colour": {c: c for c in COLOURS}}),
            )
            for app in self.apps
        }

    def addresses(self, app: str) -> dict[Colour, str]:
        return {"blue": f"{app}-blue:1", "green": f"{app}-green:1"}

    def _up(self) -> None:
        """One `pulumi up` by a deployer of its own: read, check, and an update where anything differs."""
        self.judged.writer = "up"
        self.clock.at += timedelta(minutes=1)
        handler = TrafficHandler(self.gateway, self.answers, meter=self.meter, audience=self.judged)
        rollout = ROLLOUT.model_copy(update={"retry": self.judged.retry})
        wanted = TrafficSpec(owner="velro.test", lanes=self._lanes(), rollout=rollout)
        with suppress(Refused):
            self._reconcile(handler, wanted)
        self._never_a_contract_behind_a_rollback()

    def _reconcile(self, handler: TrafficHandler, wanted: TrafficSpec) -> None:
        if self.held is None:
            self.held = self.run(handler.create(self.clock, handler.fill(wanted, {})))
            self.held = replace(self.held, inputs=_inputs(wanted))
            return
        found = self.run(handler.read(self.clock, self.held.id, self.held))
        self.held = found
        filled = handler.fill(wanted, found.inputs)
        if not self.failed and _compared(_inputs(filled)) == _compared(found.inputs):
            return
        try:
            state = self.run(handler.update(self.clock, filled, found))
        except Partial as partial:
            self.held, self.failed = partial.held, True
            self.judged.rejected |= {done.release for done in partial.held.state.history if done.verdict == "rejected"}
            self.judged.trusted -= {
                done.release for done in partial.held.state.history[-2:] if done.verdict == "rejected"
            }
        else:
            self.held, self.failed = Held(found.id, _inputs(filled), state), False
            arrived = {done.release for done in state.history if done.verdict == "passed"}
            self.judged.rejected -= arrived if self.judged.retry in arrived else set()


def _inputs(of: TrafficSpec) -> dict[str, Any]:
    return of.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _compared(inputs: Mapping[str, Any]) -> Any:
    """What a diff compares: addresses and probes alone move nobody."""
    lanes = {
        app: {key: lane.get(key) for key in ("live", "release", "weights")} for app, lane in inputs["lanes"].items()
    }
    return lanes, inputs["rollout"]


CALM = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(CALM, max_examples=300, stateful_step_count=25)
