"""A colour that somebody else deployed names no release: it is asked whether it answers, and nothing more.

Every colour that is ours still has to answer as its release, whatever stands beside it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bluegreen.analysis import Analysis, Subject
from bluegreen.cli.bypass import bypass
from bluegreen.cli.rehearse import rehearse
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.cli.verify import verify
from bluegreen.gateway import MoveTag
from bluegreen.handler import Context, Refused
from bluegreen.provider.diff import diff
from bluegreen.provider.wire import Bag
from bluegreen.rollout.breakglass import way_back, well
from bluegreen.rollout.endings import Stopped
from bluegreen.rollout.spec import Lane
from bluegreen.rollout.traffic import TrafficHandler
from bluegreen.spec import Colour
from tests.gateway_room import HELLO, Here, play
from tests.memory import START, Answers, Memory, Playing, Script, bad, tools
from tests.rollout_room import World, in_steps

Verb = Callable[..., Awaitable[Outcome]]
NAMELESS = ""  # what a 200 without our header is


@dataclass
class Watching(Script):
    """A meter that remembers whom it was asked to measure."""

    subjects: list[Subject] = field(default_factory=list)

    @asynccontextmanager
    async def watch(self, analysis: Analysis, subjects: Sequence[Subject], ctx: Context) -> AsyncIterator[Playing]:
        self.subjects += subjects
        async with super().watch(analysis, subjects, ctx) as playing:
            yield playing


class Adopted(World):
    """One app whose blue is somebody else's; it answers, and names no release."""

    def __init__(self) -> None:
        super().__init__(rollout=in_steps())
        self.meter = Watching()
        self.answers.releases["backend", "blue"] = NAMELESS

    def _lane(self, app: str, live: Colour) -> Lane:
        return super()._lane(app, live).model_copy(update={"unmarked": ["blue"]})


def test_traffic_comes_and_goes_back_where_nobody_names_a_release() -> None:
    world = Adopted()
    world.move("green")
    assert world.weights() == [{"blue": 0, "green": 100}]
    world.move("blue")
    assert world.weights() == [{"blue": 100, "green": 0}]


def test_a_release_of_ours_beside_it_still_has_to_name_itself() -> None:
    world = Adopted()
    world.answers.releases["backend", "green"] = NAMELESS
    with pytest.raises(Refused, match="green does not answer as release"):
        world.move("green")
    assert world.weights() == [{"blue": 100}]


def test_nobody_is_sent_where_nobody_answers() -> None:
    world = Adopted()
    world.move("green")
    world.answers.releases["backend", "blue"] = None
    with pytest.raises(Refused, match="blue does not answer"):
        world.move("blue")


def test_a_release_that_fails_is_taken_back_to_it() -> None:
    world = Adopted()
    world.meter.courses["backend"] = bad
    with pytest.raises(Stopped):
        world.move("green")
    assert world.weights() == [{"blue": 100, "green": 0}]


def test_an_unfinished_move_is_taken_back_to_it() -> None:
    world = Adopted()
    world.move("green")
    world.change("backend", "green", move=MoveTag("theirs", "blue", START))
    world.move("blue")
    assert world.weights() == [{"blue": 100, "green": 0}]
    assert "backend: an unfinished move is taken back to blue" in " ".join(world.clock.milestones)


def test_its_answers_are_measured_without_a_release() -> None:
    world = Adopted()
    world.move("green")
    assert isinstance(world.meter, Watching)
    assert world.meter.subjects != []
    assert {colour for subject in world.meter.subjects for colour in subject.releases} == {"green"}


def test_the_way_back_by_hand_asks_it_whether_it_answers() -> None:
    world = Adopted()
    world.move("green")
    way = way_back("backend", world.lanes("green")["backend"], world.splits()["backend"])
    with_ = tools(world.memory, world.answers, world.clock)
    asyncio.run(well(way, with_))
    world.answers.releases["backend", "blue"] = None
    with pytest.raises(Refused, match="blue is not well"):
        asyncio.run(well(way, with_))


def test_that_a_colour_becomes_ours_moves_nobody() -> None:
    lane = {"upstream": "api", "live": "blue", "release": "r", "addresses": {"blue": "a:1"}}
    before = {"owner": "acme.brown", "lanes": {"api": {**lane, "unmarked": ["blue"]}}}
    assert diff(TrafficHandler(Memory(), Answers()), Bag(before), Bag({**before, "lanes": {"api": lane}})) == []


def observed(here: Here) -> None:
    """Blue is somebody else's from now on."""
    here.shop.app()["blue"] = {"observe": True, "serviceName": "backend-blue", "healthcheckPath": "/api/health"}
    here.release = NAMELESS


def test_a_way_past_the_gateway_is_one_where_it_answers(tmp_path: Path) -> None:
    async def scene(here: Here) -> Outcome:
        observed(here)
        here.shop.config["shop:gateway"] = {"bypass": {"backend": {"blue": f"http://127.0.0.1:{here.app.port}"}}}
        return await here.do(bypass, "backend")

    outcome = play(tmp_path, scene)
    assert (Exit.OK, True) == (outcome.exit, outcome.what.endswith(", on blue.")), outcome


@pytest.mark.parametrize(("harmful", "ended"), [(False, Exit.OK), (True, Exit.FAILED_BEFORE_SWITCH)])
def test_the_first_gateway_is_rehearsed_although_no_weight_says_who_serves(
    tmp_path: Path, harmful: bool, ended: Exit
) -> None:
    async def scene(here: Here) -> Outcome:
        observed(here)
        here.shop.app()["kong"] = {"host": "backend-blue.railway.internal"}
        await here.stand()
        here.release = NAMELESS
        for row in (await here.row("/upstreams/backend/targets"))["data"]:
            await here.shop.room.made("DELETE", f"/upstreams/backend/targets/{row['id']}")
        await here.put("/services/backend", host="127.0.0.1", port=here.app.port)
        if harmful:
            await here.on("backend-blue-api", "request-termination", {"status_code": 503}, tags=[])
        here.settle()
        return await here.do(rehearse)

    outcome = play(tmp_path, scene, checks=[HELLO])
    assert outcome.exit == ended, outcome
    assert getattr(outcome.facts, "asked", 0) == 1


@pytest.mark.parametrize("verb", [rehearse, verify])
def test_it_is_verified_and_rehearsed_by_its_answers(tmp_path: Path, verb: Verb) -> None:
    given = {"app": "backend", "colour": "blue"} if verb is verify else {}

    async def scene(here: Here) -> Outcome:
        observed(here)
        return await here.do(verb, **given)

    outcome = play(tmp_path, scene, checks=[HELLO])
    assert outcome.exit == Exit.OK, outcome
