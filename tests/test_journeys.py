"""Journeys at the wire: what one step hands on to the next, what is skipped, and what is always taken away again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from bluegreen.http import Client
from bluegreen.measure.checks import Asker, NoWay, Result, Way
from bluegreen.measure.journey import walked
from bluegreen.measure.spec import Check, misfits
from tests.memory import Clock

KEY = "hunter2-and-more"
MADE = {"name": "made", "method": "POST", "path": "/teams", "writes": True, "expect": {"status": 201}}
MADE |= {"body": {"name": "Owls", "slug": "owls-${run}"}, "capture": {"team": "id"}}
SEEN = {"name": "seen", "path": "/teams/${team}", "expect": {"json": {"id": "${team}"}}}
GONE = {"name": "gone", "method": "DELETE", "path": "/teams/${team}", "writes": True, "cleanup": True}


@dataclass
class Teams:
    """An app that keeps teams; it may refuse to show one, or answer with something else than what it made."""

    kept: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    refuses: str = ""
    made: Callable[[Any], Any] = field(default=lambda body: {"id": "team 1/2", **body})
    status: int = 201
    stuck: asyncio.Event | None = None  # set when somebody asks for a team, and then nobody answers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.raw_path, body))
        if request.method == self.refuses:
            return web.json_response({"error": f"no {self.refuses} here"}, status=500)
        if request.method == "POST":
            made = self.made(body)
            self.kept["team 1/2"] = made
            return web.json_response(made, status=self.status)
        if request.method == "GET" and self.stuck is not None:
            self.stuck.set()
            await asyncio.Event().wait()
        name = request.path.removeprefix("/teams/")
        if name not in self.kept:
            return web.json_response({"error": f"no team {name}"}, status=404)
        return web.json_response(self.kept.pop(name) if request.method == "DELETE" else self.kept[name])


@asynccontextmanager
async def served(teams: Teams) -> AsyncIterator[Client]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", teams.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with Client("The gateway", f"http://127.0.0.1:{runner.addresses[0][1]}", secrets=[KEY]) as client:
            yield client
    finally:
        await runner.cleanup()


def step(given: dict[str, Any], **more: Any) -> Check:
    return Check.model_validate({"app": "backend", "journey": "teams", "within": "30s", **given, **more})


def went(teams: Teams, *steps: Check | tuple[Check, Way | NoWay]) -> list[Result]:
    async def go() -> list[Result]:
        async with served(teams) as gateway:
            ways = [each if isinstance(each, tuple) else (each, Way({})) for each in steps]
            return await walked(ways, Asker(gateway, Clock(), asyncio.Semaphore(8)), "0a1b2c3d")

    return asyncio.run(go())


def statuses(results: list[Result]) -> list[tuple[str, str]]:
    return [(result.id, result.status) for result in results]


def test_a_step_hands_on_what_its_answer_holds_to_path_and_expectation() -> None:
    teams = Teams()
    assert statuses(went(teams, step(MADE), step(SEEN))) == [("made", "pass"), ("seen", "pass")]
    assert [(method, path) for method, path, _ in teams.asked] == [("POST", "/teams"), ("GET", "/teams/team%201%2F2")]


def test_every_run_has_a_name_of_its_own() -> None:
    teams = Teams()
    went(teams, step(MADE))
    assert teams.asked[0][2] == {"name": "Owls", "slug": "owls-0a1b2c3d"}


def test_a_number_that_is_handed_on_stays_a_number_and_is_text_within_a_text() -> None:
    teams = Teams(made=lambda body: {"id": 7, "open": True, **body})
    body = {"team": "${team}", "said": "team ${team} is ${open}", "list": ["${team}"]}
    again = step(MADE, name="again", body=body, capture={})
    assert statuses(went(teams, step(MADE, capture={"team": "id", "open": "open"}), again))[1] == ("again", "pass")
    assert teams.asked[1][2] == {"team": 7, "said": "team 7 is true", "list": [7]}


def test_what_lies_deep_in_lists_can_be_handed_on() -> None:
    teams = Teams(made=lambda body: {"members": [{"id": "ann"}, {"id": "bob"}]})
    made = step(MADE, capture={"second": "members.1.id"})
    seen = step(SEEN, path="/teams/x", headers={"X-Who": "${second}"}, expect={"status": 404})
    assert statuses(went(teams, made, seen)) == [("made", "pass"), ("seen", "pass")]


def test_what_needs_a_step_that_did_not_pass_is_skipped_with_the_reason() -> None:
    made, seen = went(Teams(refuses="POST"), step(MADE), step(SEEN))
    assert (made.status, seen.status) == ("fail", "skipped")
    assert seen.observed == "made, which captures ${team}, did not pass"


def test_what_needs_nothing_of_a_failed_step_is_asked_all_the_same() -> None:
    apart = step(SEEN, name="apart", path="/teams/nobody", expect={"status": 404})
    assert statuses(went(Teams(refuses="POST"), step(MADE), apart)) == [("made", "fail"), ("apart", "pass")]


def test_a_step_whose_answer_holds_nothing_to_hand_on_fails() -> None:
    results = went(Teams(made=lambda body: {"team": {"id": 1}}), step(MADE), step(SEEN))
    assert [result.observed for result in results] == [
        "there is no text or number at id",
        "made, which captures ${team}, did not pass",
    ]


def test_cleanups_are_asked_last_wherever_they_stand_and_told_where_they_stand() -> None:
    teams = Teams()
    results = went(teams, step(GONE), step(MADE), step(SEEN))
    assert statuses(results) == [("gone", "pass"), ("made", "pass"), ("seen", "pass")]
    assert [method for method, _, _ in teams.asked] == ["POST", "GET", "DELETE"]


def test_what_was_made_is_taken_away_even_by_a_journey_that_failed() -> None:
    teams = Teams(status=200)
    results = went(teams, step(MADE), step(SEEN), step(GONE))
    assert statuses(results) == [("made", "fail"), ("seen", "skipped"), ("gone", "pass")]
    assert teams.kept == {}


def test_what_was_made_is_taken_away_even_by_a_journey_that_is_cancelled() -> None:
    teams = Teams()

    async def go() -> None:
        asked = asyncio.Event()
        teams.stuck = asked
        async with served(teams) as gateway:
            steps = [(step(each), Way({})) for each in (MADE, SEEN, GONE)]
            walk = asyncio.create_task(walked(steps, Asker(gateway, Clock(), asyncio.Semaphore(8)), "0a1b2c3d"))
            await asked.wait()
            walk.cancel()
            with pytest.raises(asyncio.CancelledError):
                await walk

    asyncio.run(go())
    assert [method for method, _, _ in teams.asked] == ["POST", "GET", "DELETE"]
    assert teams.kept == {}


def test_a_cleanup_of_what_was_never_made_is_skipped() -> None:
    teams = Teams(refuses="POST")
    assert statuses(went(teams, step(MADE), step(GONE))) == [("made", "fail"), ("gone", "skipped")]
    assert [method for method, _, _ in teams.asked] == ["POST"]


def test_a_step_that_cannot_be_asked_at_all_skips_what_needs_it() -> None:
    made, seen = went(Teams(), (step(MADE), NoWay("error", "There is no token of ann.", "Set it.")), step(SEEN))
    assert (made.status, seen.status) == ("error", "skipped")


def test_what_is_handed_on_as_a_token_is_never_shown() -> None:
    teams = Teams(made=lambda body: {"id": "x", "token": "s3cr3t-invitation"}, status=200)
    made = step(MADE, capture={"invite": "token"})
    used = step(SEEN, name="used", path="/teams/none", expect={"json": {"token": "${invite}"}}, cleanup=True)
    told = "".join(result.model_dump_json() for result in went(teams, made, used))
    assert "s3cr3t-invitation" not in told
    assert "***" in told


# What no journey may look like


def faults(*steps: dict[str, Any]) -> list[str]:
    return list(
        misfits([Check.model_validate({"app": "backend", "journey": "teams", **each}) for each in steps], {"backend"})
    )


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ([SEEN], "checks[0].journey: in teams ${team} is not known yet: no step of it captures it"),
        ([SEEN, MADE], "checks[0].journey: in teams ${team} is not known yet: made captures it only afterwards"),
        (
            [{**MADE, "path": "/teams/${team}"}],
            "checks[0].journey: in teams ${team} is not known yet: itself captures it only afterwards",
        ),
        (
            [MADE, {**SEEN, "journey": "other"}],
            "checks[1].journey: in other ${team} is not known yet: no step of it captures it",
        ),
        ([MADE, {**MADE, "name": "again"}], "checks[1].capture.team: made captures it already; take another name"),
        (
            [{**MADE, "capture": {"run": "id"}}],
            "checks[0].capture.run: every run captures it already; take another name",
        ),
        (
            [{**MADE, "journey": None, "body": {}}],
            "checks[0].journey: capture is for steps of a journey; name the `journey`",
        ),
        ([{**SEEN, "journey": None}], "checks[0].journey: ${…} is for steps of a journey; name the `journey`"),
        (
            [{**MADE, "cleanup": True}],
            "checks[0].capture: a cleanup is asked last of all, and nobody takes anything over from it",
        ),
        (
            [{**MADE, "writes": False}],
            "checks[0].writes: POST changes something wherever it is asked; `writes: true` says so",
        ),
    ],
)
def test_a_journey_that_cannot_be_walked_is_refused_by_its_path(steps: list[dict[str, Any]], fault: str) -> None:
    assert faults(*steps) == [fault]


def test_a_cleanup_may_stand_before_what_it_takes_away() -> None:
    assert faults(GONE, MADE, SEEN) == []


@pytest.mark.parametrize(
    ("given", "msg"),
    [
        ({"capture": {"Team": "id"}}, "capture"),
        ({"capture": {"team": "a..b"}}, "capture"),
        ({"token": "ann", "headers": {"authorization": "Bearer x"}}, "`token` and the header Authorization both say"),
        ({"thresholds": {"p95Ms": 1}}, "thresholds are for a plain GET outside journeys"),
    ],
)
def test_a_step_that_contradicts_itself_is_refused(given: dict[str, Any], msg: str) -> None:
    with pytest.raises(ValueError, match=msg):
        step(SEEN, **given)


def test_only_checks_that_stand_alone_are_asked_again_and_again() -> None:
    alone = step(SEEN, journey=None, path="/teams")
    assert [check.alone for check in (alone, step(SEEN), step(MADE, journey=None))] == [True, False, False]
