"""What a rollout leaves in its record: steps, looks, verdicts and its end, in the folder of the right release."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter

from bluegreen.analysis import Analysis, Look, Metric, Probes, Prometheus, Seen, Subject, ThresholdRange
from bluegreen.evidence.bundle import Bundle
from bluegreen.evidence.bundles import Bundles
from bluegreen.evidence.scribe import Scribe
from bluegreen.gateway import Hold, MoveTag
from bluegreen.handler import Refused
from bluegreen.journal import Analysed, AnyEntry, Began, Decided, Ended, Journal, Looked, Told, Weighed, whole
from bluegreen.rollout.endings import Stopped
from bluegreen.rollout.judge import Judge
from bluegreen.rollout.moves import carry_out
from bluegreen.rollout.record import analysed, analysis_of, home, looked, looks, rejudged, under_way
from bluegreen.rollout.spec import Rollout, Step, TrafficSpec
from bluegreen.rollout.traffic import TrafficHandler
from bluegreen.spec import Colour
from tests.memory import START, Clock, Course, bad, good, nothing, tools, unanswered
from tests.rollout_room import LOOK, World, in_steps, release

ENTRY: TypeAdapter[AnyEntry] = TypeAdapter(AnyEntry)
E = TypeVar("E", bound=AnyEntry)
BLUE, GREEN = ({"backend": release("backend", colour)} for colour in ("blue", "green"))


@dataclass
class Book:
    """A journal in memory: every entry as a reader would get it, with the release whose record it is in."""

    entries: list[tuple[AnyEntry, Mapping[str, str]]] = field(default_factory=list)
    complaint: str = ""
    settled: int = 0

    def note(self, entry: AnyEntry, releases: Mapping[str, str]) -> None:
        self.entries.append((ENTRY.validate_json(entry.model_dump_json(by_alias=True)), dict(releases)))

    async def settle(self) -> str:
        self.settled += 1
        return self.complaint

    def all(self, kind: type[E]) -> list[E]:
        return [entry for entry, _ in self.entries if isinstance(entry, kind)]

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry, _ in self.entries]

    @property
    def records(self) -> list[Mapping[str, str]]:
        """The releases whose records were written into, each once."""
        found: list[Mapping[str, str]] = []
        for _, releases in self.entries:
            if releases not in found:
                found.append(releases)
        return found


class Recorded(World):
    """Some apps whose moves are written down."""

    def __init__(self, *apps: str, **given: Any) -> None:
        self.book = Book()
        super().__init__(*apps, **given)
        self.book.entries.clear()

    def move(self, live: Colour, id: str = "mine", journal: Journal | None = None) -> None:
        wanted = self.plan(live, id)
        made = tools(self.memory, self.answers, self.clock, id=id, meter=self.meter)
        releases = {app: lane.release for app, lane in self.lanes(live).items()}
        made = replace(made, journal=journal or self.book, releases=releases)
        try:
            self.history += asyncio.run(carry_out(wanted, made))
        except Stopped as stopped:
            self.history += stopped.done
            raise


def test_a_rollout_is_written_into_the_record_of_the_release_that_it_brings() -> None:
    world = Recorded(rollout=Rollout(steps=(Step(set_weight=25), Step(set_weight=100)), step_analysis=LOOK))
    world.move("green")
    looking = ["looked"] * len(world.book.all(Looked))
    assert ["began", "weighed", "analysed", *looking, "decided", "weighed", "ended"] == world.book.kinds
    assert [GREEN] == world.book.records
    (began,) = world.book.all(Began)
    assert (GREEN, BLUE, ("25 %", "analysis of 10 s", "100 %")) == (began.releases, began.before, began.legs[0].stages)
    assert [{"blue": 75, "green": 25}, {"blue": 0, "green": 100}] == [e.weights for e in world.book.all(Weighed)]
    (ended,) = world.book.all(Ended)
    assert ("passed", ["passed"]) == (ended.verdict, [done["verdict"] for done in ended.done])


def test_a_rollout_that_fails_says_why_it_went_back_and_where_everything_is() -> None:
    world = Recorded(rollout=in_steps())
    world.meter.courses["backend"] = bad
    with pytest.raises(Stopped):
        world.move("green")
    assert [{"blue": 95, "green": 5}, {"blue": 100, "green": 0}] == [e.weights for e in world.book.all(Weighed)]
    (decided,) = world.book.all(Decided)
    assert ("5 %", "fail", "9 answered 503") == (decided.share, decided.verdict, decided.because)
    assert decided.sentence == next(r.sentence for e in world.book.all(Looked) for r in e.rulings if r.verdict)
    assert world.book.all(Told)[0].text.startswith("It goes back: backend at 5 %: ")
    (ended,) = world.book.all(Ended)
    assert ("rejected", ["rejected"]) == (ended.verdict, [done["verdict"] for done in ended.done])
    assert "backend is back on blue" in ended.text
    assert [GREEN] == world.book.records


def test_a_move_that_is_cancelled_ends_as_stopped() -> None:
    world = Recorded(rollout=in_steps())
    world.meter.looking = lambda: setattr(world.clock, "cancelled", True)
    with pytest.raises(Stopped):
        world.move("green")
    assert ["stopped"] == [ended.verdict for ended in world.book.all(Ended)]
    assert "The update was stopped on request." in world.book.all(Ended)[0].text


def test_a_move_whose_engine_is_gone_says_that_its_mark_tells_the_way_back() -> None:
    world = Recorded(rollout=in_steps())
    world.meter.looking = lambda: setattr(world.clock, "orphaned", True)
    with pytest.raises(Stopped):
        world.move("green")
    (ended,) = world.book.all(Ended)
    assert "stopped" == ended.verdict
    assert "Traffic stays as it is; its mark tells the way back." in ended.text
    assert [{"blue": 95, "green": 5}] == [weighed.weights for weighed in world.book.all(Weighed)]


def test_a_rollback_is_written_into_the_record_of_the_release_that_it_leaves() -> None:
    world = Recorded()
    world.move("green")
    world.book.entries.clear()
    world.move("blue")
    assert [GREEN] == world.book.records
    (began,) = world.book.all(Began)
    assert (BLUE, GREEN, "rollback") == (began.releases, began.before, began.legs[0].way)
    assert ["passed"] == [ended.verdict for ended in world.book.all(Ended)]


def test_nothing_to_do_writes_nothing() -> None:
    world = Recorded()
    world.move("blue")
    assert [] == world.book.entries


def test_a_gate_writes_who_approved() -> None:
    world = Recorded(rollout=Rollout(steps=(Step(set_weight=5), Step(gate=timedelta(seconds=60)))))

    def approve() -> None:
        if world.memory.weights("backend").get("green") == 5:
            world.change("backend", "green", approved=Hold("ann@laptop", START, "looks fine"))

    world.clock.passing = approve
    world.move("green")
    assert ["backend at 5 %: approved by ann@laptop (looks fine)"] == [told.text for told in world.book.all(Told)]


def test_an_unfinished_move_is_taken_back_on_record() -> None:
    world = Recorded()
    there = {"blue": 75, "green": 25}
    mark = MoveTag("gone", "blue", START)
    world.memory.rows["backend"]["green"] = replace(
        world.memory.rows["backend"]["blue"], colour="green", row="row-x", release=GREEN["backend"], proven=False
    )
    for colour, weight in there.items():
        world.change("backend", "blue" if colour == "blue" else "green", weight=weight, move=mark)
    splits = world.splits()
    assert (GREEN, BLUE) == (under_way(BLUE, splits), home(GREEN, splits))
    world.move("blue")
    assert ["began", "weighed", "told", "weighed", "ended"] == world.book.kinds
    assert ("rollback", "blue") == (world.book.all(Began)[0].legs[0].way, world.book.all(Began)[0].legs[0].goal)
    assert {"blue": 100, "green": 0} == world.book.all(Weighed)[-1].weights


def test_a_candidate_that_does_not_answer_is_on_record_as_stopped() -> None:
    world = Recorded()
    world.answers.releases["backend", "green"] = None
    with pytest.raises(Refused):
        world.move("green")
    assert ["began", "ended"] == world.book.kinds
    assert "stopped" == world.book.all(Ended)[0].verdict


def test_a_fault_of_our_own_ends_a_move_on_record_as_well() -> None:
    world = Recorded()

    async def faulty(*_: object) -> tuple[str | None, str]:
        raise ZeroDivisionError

    made = replace(tools(world.memory, world.answers, world.clock), ask=faulty, journal=world.book, releases=GREEN)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(carry_out(world.plan("green"), made))
    (ended,) = world.book.all(Ended)
    assert "stopped" == ended.verdict
    assert "The move met a fault of bluegreen itself: ZeroDivisionError." in ended.text


def test_a_release_has_one_record_of_every_try_and_of_how_it_was_left(tmp_path: Path) -> None:
    world = Recorded("backend", "frontend", rollout=in_steps())
    tries: list[tuple[Colour, Course]] = [("green", nothing), ("green", good), ("blue", good), ("green", good)]
    for turn, (live, course) in enumerate(tries):
        world.meter.courses |= dict.fromkeys(world.apps, course)
        world.clock.at += timedelta(minutes=1)
        journal = Scribe(tmp_path, "test", lambda: START)  # each is another process, all in the same second
        with suppress(Stopped):
            world.move(live, f"turn-{turn}", journal)
        assert "" == asyncio.run(journal.settle())
    bundles = Bundles(tmp_path, "test")
    green, blue = ({app: release(app, colour) for app in world.apps} for colour in ("green", "blue"))
    assert {whole(green), whole(blue)} == {each.release for each in bundles.all()}
    # It has passed here before, so to go there again is a way back, and part of the life of what it leaves.
    assert ["rollback", "passed"] == moves_of(bundles.bundle(whole(blue)))
    kept = bundles.bundle(whole(green))
    assert ["rollout", "stopped", "rollout", "passed", "rollback", "passed"] == moves_of(kept)
    assert () == kept.broken()


def moves_of(bundle: Bundle) -> list[str]:
    """How each move of it began and ended, in the order in which a reader gets them."""
    entries = [entry for entry in bundle.entries() if isinstance(entry, Began | Ended)]
    return [entry.legs[0].way if isinstance(entry, Began) else entry.verdict for entry in entries]


class Deafening:
    """A journal with a fault."""

    def note(self, entry: AnyEntry, releases: Mapping[str, str]) -> None:
        raise OSError("no space left on device")

    async def settle(self) -> str:
        return "Nothing of it was written."


def test_a_journal_with_a_fault_ends_no_move() -> None:
    world = World(rollout=in_steps())
    made = replace(tools(world.memory, world.answers, world.clock, meter=world.meter), journal=Deafening())
    done = asyncio.run(carry_out(world.plan("green"), made))
    assert ["passed"] == [each.verdict for each in done]


def test_what_cannot_be_put_into_words_is_said_to_be_missing() -> None:
    def wordless(**_: object) -> AnyEntry:
        raise ZeroDivisionError

    world, book = World(), Book()
    replace(tools(world.memory, world.answers, world.clock), journal=book, releases=GREEN).note(wordless)
    assert ["What was to stand here could not be written: ZeroDivisionError."] == [e.text for e in book.all(Told)]
    assert [GREEN] == book.records


COURSES: Mapping[str, Course] = {"good": good, "bad": bad, "nothing": nothing, "unanswered": unanswered}
PROBED = Metric(name="errors", probe=Probes(rps=100), threshold_range=ThresholdRange(max=1))
SLOW = Metric(name="slow", probe=Probes(rps=100), measures="latency", threshold_range=ThresholdRange(max=100))
ASKED = Metric(
    name="queue",
    prometheus=Prometheus(url="http://prometheus", query="queue"),
    threshold_range=ThresholdRange(max=10),
    allowed_increase=2,
    failure_limit=2,
    authorization=SecretStr("Bearer planted-token"),
)
WHOLE = Analysis(
    metrics=[PROBED, SLOW, ASKED], duration=timedelta(seconds=10), interval=timedelta(seconds=2), min_requests=100
)
VALUES = st.floats(allow_nan=True, allow_infinity=True, width=32) | st.none()


@st.composite
def seens(draw: st.DrawFn) -> list[Seen]:
    """What one metric has seen at each of five looks: counts that only grow, values of any kind."""
    found, requests, errors, slow = [], 0, 0, 0
    for _ in range(5):
        fresh = draw(st.integers(0, 400))
        requests, errors = requests + fresh, errors + draw(st.integers(0, fresh // 20))
        slow += draw(st.integers(0, fresh // 10))
        buckets = ((50.0, requests - slow), (250.0, requests - slow // 2), (float("inf"), requests))
        error = draw(st.sampled_from(["", "", "", "the source answered 502."]))
        found.append(Seen(requests, errors, buckets, draw(VALUES), error))
    return found


@given(candidate=seens(), live=seens(), asked=seens(), beside=seens())
def test_the_judge_comes_to_the_same_from_the_record_alone(
    candidate: list[Seen], live: list[Seen], asked: list[Seen], beside: list[Seen]
) -> None:
    judge, entries, said = Judge(WHOLE), list[Looked](), list[Any]()
    for at in range(5):
        seen = [
            *(Look("backend", metric.name, candidate[at], live[at]) for metric in (PROBED, SLOW)),
            Look("backend", "queue", asked[at], beside[at]),
        ]
        elapsed, last = timedelta(seconds=2.003 * (at + 1)), at == 4
        said.append(judge.look(seen, elapsed, last=last))
        entries.append(looked(START, "5 %", elapsed, last, seen, Unprobed(), said[-1]))
        if said[-1].verdict is not None:
            break
    read = [ENTRY.validate_json(entry.model_dump_json(by_alias=True)) for entry in entries]
    begun = ENTRY.validate_json(analysed(START, "5 %", WHOLE, []).model_dump_json(by_alias=True))
    assert isinstance(begun, Analysed)
    again = rejudged(analysis_of(begun), [entry for entry in read if isinstance(entry, Looked)])
    assert [(each.verdict, each.sentence) for each in said] == [(each.verdict, each.sentence) for each in again]


class Unprobed:
    """A watch that has sent nothing."""

    async def look(self) -> Sequence[Look]:
        return ()

    def told(self, app: str, colour: Colour) -> str:
        return ""

    def samples(self) -> Mapping[str, Any]:
        return {}

    def dropped(self) -> int:
        return 0


def test_what_was_decided_in_a_rollout_is_decided_again_from_its_record() -> None:
    for course in COURSES.values():
        world = Recorded(rollout=in_steps())
        world.meter.courses["backend"] = course
        try:
            world.move("green")
        except Stopped:
            assert course is not good
        entries = [entry for entry, _ in world.book.entries]
        for decided in world.book.all(Decided):
            of = [e for e in entries if isinstance(e, Analysed | Looked) and e.share == decided.share]
            assert isinstance(of[0], Analysed)
            decisions = rejudged(analysis_of(of[0]), [entry for entry in of if isinstance(entry, Looked)])
            assert (decided.verdict, decided.sentence) == (decisions[-1].verdict, decisions[-1].sentence)


def test_the_last_bound_is_null_on_record_and_infinite_again() -> None:
    seen = Seen(3, 1, ((25.0, 2), (float("inf"), 3)))
    decision = Judge(LOOK).look([], timedelta(), last=False)
    entry = looked(START, "5 %", timedelta(seconds=2), False, [Look("a", "errors", seen)], Unprobed(), decision)
    assert [[25.0, 2], [None, 3]] == json.loads(entry.model_dump_json())["looks"][0]["candidate"]["buckets"]
    assert (Look("a", "errors", seen),) == looks(entry)


def test_no_credential_of_a_source_is_on_record() -> None:
    text = analysed(START, "5 %", WHOLE, [Subject("backend", "green", "blue", {}, {}, ())]).model_dump_json()
    assert "prometheus" in text
    assert "planted-token" not in text
    assert "authorization" not in text.lower()


def test_what_traffic_may_not_show_is_handed_to_whoever_writes() -> None:
    analysis = Analysis(metrics=[ASKED])
    rollout = Rollout(steps=(Step(set_weight=5), Step(analysis=analysis)), post_promotion_analysis=analysis)
    assert ("Bearer planted-token", "planted-token") == rollout.credentials()


class Desk:
    """The handler as the provider makes it, on a gateway in memory."""

    def __init__(self, complaint: str = "") -> None:
        self.world, self.book, self.clock = World(), Book(complaint=complaint), Clock()
        self.asked: list[tuple[str, Sequence[str]]] = []

        def journal(owner: str, hidden: Sequence[str]) -> Book:
            self.asked.append((owner, hidden))
            return self.book

        self.handler = TrafficHandler(self.world.memory, self.world.answers, meter=self.world.meter, journal=journal)

    def wants(self, live: Colour) -> TrafficSpec:
        return TrafficSpec(owner="velro.test", lanes=self.world.lanes(live))


def test_an_update_writes_its_move_and_waits_for_the_disk() -> None:
    desk = Desk(complaint="3 of 4 entries of this release's record are missing: No space left on device.")
    asyncio.run(desk.handler.create(desk.clock, desk.wants("green")))
    assert ["began", "weighed", "ended"] == desk.book.kinds
    assert ([("velro.test", ())], 1, [GREEN]) == (desk.asked, desk.book.settled, desk.book.records)
    assert desk.book.complaint in desk.clock.milestones


def test_a_preview_writes_nothing() -> None:
    desk = Desk()
    asyncio.run(desk.handler.preview(desk.clock, desk.wants("green"), None))
    assert ([], []) == (desk.book.entries, desk.asked)
