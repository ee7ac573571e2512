"""`bluegreen rollback full | APP` met by others and by accidents: cut off, unanswered, undone, an update at work."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.ports import COLOURS
from sandbox.stack import ROOT
from tests import rollback_room
from tests.box import wait
from tests.rollback_room import APPS, BACK, OVER, Room, hits

LOWERING: dict[str, Any] = {"method": "PATCH", "path": "/upstreams/backend/targets/*", "body": '"weight":0'}
# What a way back of one app writes: the hold on what carries traffic, the weight, then every row anew.
WRITES = ("PATCH", "PATCH", "DELETE", "POST", "DELETE", "POST")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with rollback_room.room(tmp_path_factory.mktemp("rollback")) as made:
        yield made


@pytest.fixture
def here(room: Room) -> Room:
    room.as_shifted()
    assert (room.shares(), room.shares("frontend"), room.holds()) == (OVER, OVER, [])
    return room


def test_an_unfinished_move_goes_back_to_where_it_began(here: Room) -> None:
    here.write("backend", "blue", weight=75)
    here.write("backend", "green", weight=25)
    here.tag("backend", "green", "move:dead00 blue 2020-01-01T00:00:00+00:00")
    said = here.rolls_back("backend")
    assert (said.code, here.shares()) == (0, BACK)
    tags = [tag for row in here.rows("backend").values() for tag in row["tags"]]
    assert [tag for tag in tags if tag.startswith("move:")] == []


def test_an_unfinished_move_that_has_just_arrived_goes_back_as_well(here: Room) -> None:
    here.tag("backend", "green", "move:dead00 blue 2020-01-01T00:00:00+00:00")
    assert (here.rolls_back("backend").code, here.shares()) == (0, BACK)


@pytest.mark.parametrize("at", range(len(WRITES) + 1))
def test_a_way_back_that_was_cut_off_is_finished_by_running_it_again(at: int, here: Room) -> None:
    """Killed at every write of the first app, and at the first one of the second; that write itself lands later."""
    method = (*WRITES, WRITES[0])[at]
    before = (*WRITES, WRITES[0])[:at].count(method)
    with here.loaded() as load:
        with here.fault({"kind": "hold"}, method=method, path="/upstreams/*/targets*", skip=before):
            process = _rollback(here)
            wait(lambda: hits(here) == 1)
            process.kill()
            process.communicate()
        said = here.rolls_back("full")
        # The row that nobody carries any more may have been taken away and never made anew: an update makes it.
        assert [{"green": 0, **here.shares(name)} for name in APPS] == [BACK, BACK], said
        assert (said.code, all(here.holds(name) for name in APPS)) == (0, True)
        report = load.stop()
    assert (report.total.failed, report.failures) == (0, {})


@pytest.mark.parametrize("at", range(len(WRITES)))
def test_a_write_whose_reply_is_lost_does_not_end_a_way_back(at: int, here: Room) -> None:
    where: dict[str, Any] = {
        "method": WRITES[at],
        "path": "/upstreams/*/targets*",
        "skip": WRITES[:at].count(WRITES[at]),
    }
    with here.loaded() as load:
        with here.fault({"kind": "lost"}, **where):
            said = here.rolls_back("full")
            assert hits(here) == 1
        assert (said.code, here.shares(), here.shares("frontend")) == (0, BACK, BACK), said
        report = load.stop()
    assert (report.total.failed, report.failures) == (0, {})


@pytest.mark.parametrize("at", [at for at, method in enumerate(WRITES) if method == "POST"])
@pytest.mark.parametrize("status", [409, 503])
def test_a_row_that_somebody_keeps_from_being_made_anew_is_made_all_the_same(status: int, at: int, here: Room) -> None:
    """A second writer has taken its place for a moment, or Kong did not do it."""
    where: dict[str, Any] = {"path": "/upstreams/*/targets*", "skip": WRITES[:at].count("POST"), "times": 2}
    with here.loaded() as load:
        with here.fault({"kind": "answer", "status": status}, method="POST", **where):
            said = here.rolls_back("full")
            assert hits(here) == 2
        assert (said.code, here.shares(), here.shares("frontend")) == (0, BACK, BACK), said
        report = load.stop()
    assert (report.total.failed, report.failures) == (0, {})


def test_while_it_is_guarded_what_a_late_writer_undoes_is_put_right(here: Room) -> None:
    """A tool that knows nothing of holds gives green a half."""
    with here.loaded() as load:
        said = _guarded(here, lambda: here.write("backend", "green", weight=50))
        report = load.stop()
    assert (said["exit"], here.shares(), said["facts"]["mended"]) == (0, BACK, 1)
    assert "Put right once while it was guarded." in said["world"]
    assert (report.total.failed, report.failures) == (0, {})


def test_a_hold_that_somebody_releases_while_it_is_guarded_stays_released(here: Room) -> None:
    said = _guarded(here, lambda: _release(here))
    assert (said["exit"], here.shares(), here.holds(), said["facts"]["mended"]) == (0, BACK, [], 0)


def test_no_request_fails_on_the_way(here: Room) -> None:
    with here.loaded() as load:
        for colour in ("blue", "green", "blue"):
            assert here.rolls_back("full", "--to", colour).code == 0
        report = load.stop()
    assert (report.total.failed, report.failures, report.total.requests > 100) == (0, {}, True)


@pytest.mark.parametrize(("words", "ends"), [(["--to", "blue"], BACK), ([], OVER)])
def test_a_running_update_is_stopped_and_leaves_it_alone(words: list[str], ends: dict[str, int], here: Room) -> None:
    """The stack is locked meanwhile: nothing of this needs it. The update is a way back itself: unless a colour is
    named, what it began is finished and not turned round."""
    with here.loaded() as load:
        here.rolls_back("full", "--to", "blue")
        here.says("hold", "release", "--reason", "again")
        for name in APPS:
            clean = [t for t in here.rows(name)["green"]["tags"] if not t.startswith("rejected:")]
            here.write(name, "green", tags=clean)
        with here.fault({"kind": "hold"}, **LOWERING):
            started = here.stack.start("up", "--yes", "--skip-preview")
            wait(lambda: here.shares() == {"blue": 100, "green": 100})
            wait(lambda: hits(here) == 1)
            said = here.rolls_back("full", *words)
        run = started.finish()
        report = load.stop()
    assert (said.code, here.shares(), here.shares("frontend")) == (0, ends, ends), said
    assert run.code != 0
    assert (len(here.holds()), report.total.failed, report.failures) == (2, 0, {})


def test_an_update_that_wants_otherwise_is_refused_and_one_that_agrees_releases_the_hold(here: Room) -> None:
    here.rolls_back("full")
    refused = here.stack.up("--skip-preview")
    assert (refused.code != 0, here.shares(), len(here.holds())) == (True, BACK, 2)
    assert "Set apps.backend.live: blue, or go on with it: bluegreen hold release --reason" in refused.output
    here.stack.shift("blue")
    agreed = here.ok("--skip-preview")
    assert (here.shares(), here.shares("frontend"), here.holds(), here.holds("frontend")) == (BACK, BACK, [], [])
    assert any("backend: no longer held by " in text for text in agreed.milestones())
    last = [entry for entry in _history(here) if entry["app"] == "backend"][-1]
    assert (last["kind"], last["verdict"], last["goal"]) == ("rollback", "passed", "blue")
    assert last["said"].startswith("by hand, ")
    assert last["said"].endswith(": logins fail")


def test_every_row_is_made_anew_so_that_a_late_write_finds_nothing(here: Room) -> None:
    before = {row["id"] for row in here.rows("backend").values()}
    here.rolls_back("backend")
    assert before & {row["id"] for row in here.rows("backend").values()} == set()


def _rollback(here: Room, *options: str) -> "subprocess.Popen[str]":
    """A way back as a process of its own, under way."""
    command = [str(ROOT / "bin" / "bluegreen"), "rollback", *(options or ("full",)), "--reason", "logins fail"]
    command += ["--stack", here.stack.name, "--json"]
    env, pipe = here.stack.environment(), subprocess.PIPE
    return subprocess.Popen(command, cwd=here.stack.folder, env=env, stdout=pipe, stderr=pipe, text=True)


def _guarded(here: Room, meddle: Callable[[], None]) -> dict[str, Any]:
    """What a way back says with which somebody meddles as soon as it has arrived."""
    with _rollback(here, "backend", "--guard", "3") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert any("backend: blue 100 %" in line for line in process.stderr)
        meddle()
        process.stderr.read()
        said: dict[str, Any] = json.loads(process.stdout.read())
    return said


def _release(here: Room) -> None:
    for colour in COLOURS:
        kept = [tag for tag in here.rows("backend")[colour]["tags"] if not tag.startswith("hold:")]
        here.write("backend", colour, tags=kept)


def _history(here: Room) -> list[dict[str, Any]]:
    resources = here.stack.exported()["deployment"]["resources"]
    traffic = next(each for each in resources if each["type"] == "bluegreen:rollout:Traffic")
    history: list[dict[str, Any]] = traffic["outputs"]["history"]
    return history
