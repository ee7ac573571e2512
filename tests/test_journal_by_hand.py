"""What somebody who acts by hand leaves in the record: in the folder of the release that is left, with who and why."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event

import pytest

from bluegreen.cli.written import within
from bluegreen.evidence.bundle import IDENTITY, Bundle
from bluegreen.evidence.bundles import Bundles
from bluegreen.journal import Began, Ended, Told, Weighed, whole
from sandbox.stack import API_KEY, ROOT
from tests import rollback_room
from tests.published import JOURNAL, faults, in_records
from tests.rollback_room import APPS, BACK, OVER, Room

DEAD = "move:dead00 blue 2020-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with rollback_room.room(tmp_path_factory.mktemp("by_hand")) as made:
        shutil.copytree(made.stack.folder / "reports", made.world.data / "of the engine")
        yield made


@pytest.fixture
def here(room: Room) -> Room:
    room.as_shifted()
    return room


def engines(here: Room) -> Path:
    """What the updates have written."""
    return here.world.data / "of the engine"


def releases(here: Room, colour: str) -> dict[str, str]:
    """Every app's release of one colour, as its row after the shift says."""
    tags = {name: rows[colour]["tags"] for name, rows in here.after_shift.items()}
    return {name: next(t for t in each if t.startswith("release:")).partition(":")[2] for name, each in tags.items()}


def written(folder: Path, there: Mapping[str, str]) -> Bundle:
    return Bundles(folder, "sandbox").bundle(whole(there))


def test_a_shift_by_the_engine_leaves_what_the_release_is(room: Room) -> None:
    shifted = written(engines(room), releases(room, "green"))
    identity = shifted.identity()
    assert identity is not None
    assert releases(room, "green") == {name: app.release for name, app in identity.apps.items()}
    assert ["began", *["weighed"] * len(APPS), "ended"] == [entry.kind for entry in shifted.entries()]
    assert () == shifted.broken()


def test_the_verification_says_what_a_release_is_before_traffic_moves_to_it(room: Room) -> None:
    first = written(engines(room), releases(room, "blue"))
    identity, (began, *_) = first.identity(), first.entries()
    assert identity is not None
    assert isinstance(began, Began)
    assert {"first"} == {leg.way for leg in began.legs}
    assert identity.at < began.at
    assert {"bluegreen", "kong", "pulumi", "python"} == identity.versions.keys()


def test_a_way_back_is_written_into_the_record_of_what_it_leaves(here: Room, tmp_path: Path) -> None:
    here.rolls_back("full", BLUEGREEN_REPORTS=str(tmp_path))
    left, again = releases(here, "green"), releases(here, "blue")
    record = written(tmp_path, left)
    entries = record.entries()
    assert ["began", "weighed", "weighed", "ended"] == [entry.kind for entry in entries]
    began, first, *_, ended = entries
    assert isinstance(began, Began)
    assert isinstance(first, Weighed)
    assert isinstance(ended, Ended)
    assert (again, left, "logins fail") == (began.releases, began.before, began.reason)
    assert "@" in began.by
    assert [("frontend", "green", "blue"), ("backend", "green", "blue")] == [
        (leg.app, leg.origin, leg.goal) for leg in began.legs
    ]
    assert ("frontend", BACK, "passed") == (first.app, dict(sorted(first.weights.items())), ended.verdict)
    assert [whole(left)] == [each.release for each in Bundles(tmp_path, "sandbox").all()]


def test_a_way_back_of_one_app_is_part_of_the_whole_release(here: Room, tmp_path: Path) -> None:
    here.rolls_back("backend", BLUEGREEN_REPORTS=str(tmp_path))
    left = releases(here, "green")
    (began,) = [entry for entry in written(tmp_path, left).entries() if isinstance(entry, Began)]
    assert {**left, "backend": releases(here, "blue")["backend"]} == began.releases


def test_a_rollout_that_has_not_come_to_every_app_is_left_in_its_own_record(here: Room, tmp_path: Path) -> None:
    brought, before = releases(here, "green"), releases(here, "blue")
    identity = (written(engines(here), brought).path / IDENTITY).read_text(encoding="utf-8")
    written(tmp_path, brought).write_text(IDENTITY, identity)
    for colour, weight in (("blue", 75), ("green", 25)):
        tags = [*here.after_shift["backend"][colour]["tags"], DEAD]
        here.write("backend", colour, weight=weight, tags=tags if colour == "green" else tags[:-1])
    for colour, weight in (("blue", 100), ("green", 0)):
        here.write("frontend", colour, weight=weight)
    said = here.rolls_back("full", BLUEGREEN_REPORTS=str(tmp_path))
    assert 0 == said.code, said
    began = next(entry for entry in written(tmp_path, brought).entries() if isinstance(entry, Began))
    assert (before, brought) == (began.releases, began.before)


def test_what_is_refused_is_not_on_record(here: Room, tmp_path: Path) -> None:
    said = here.says("rollback", "full", "--reason", " ", BLUEGREEN_REPORTS=str(tmp_path / "reports"))
    assert (15, OVER) == (said.code, here.shares())
    assert not (tmp_path / "reports").exists()


def test_a_record_that_cannot_be_written_stops_no_way_back_and_is_said(here: Room, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("no folder", encoding="utf-8")
    said = here.rolls_back("full", BLUEGREEN_REPORTS=str(tmp_path / "reports"))
    assert (0, BACK) == (said.code, here.shares())
    assert f"{tmp_path}/reports is no folder, and the record goes into folders alone." in said.progress


def test_letting_go_is_on_record_with_its_reason(here: Room, tmp_path: Path) -> None:
    here.rolls_back("full", BLUEGREEN_REPORTS=str(tmp_path / "before"))
    said = here.says("hold", "release", "--reason", "it was the database", BLUEGREEN_REPORTS=str(tmp_path / "after"))
    assert 0 == said.code, said
    (told,) = written(tmp_path / "after", releases(here, "blue")).entries()
    assert isinstance(told, Told)
    assert "it was the database. It was so: Backend is held by " in told.text.replace("Frontend", "Backend")


def test_a_gateway_put_back_is_on_record_of_what_serves(here: Room, tmp_path: Path) -> None:
    assert 0 == here.says("keep").code
    said = here.says("rollback", "kong", "--reason", "a plugin is wrong", BLUEGREEN_REPORTS=str(tmp_path))
    assert said.code in (0, 13), said
    began, ended = written(tmp_path, releases(here, "green")).entries()
    assert isinstance(began, Began)
    assert isinstance(ended, Ended)
    assert ("a plugin is wrong", "passed") == (began.reason, ended.verdict)


def test_a_gateway_that_cannot_be_put_back_is_on_record_as_stopped(here: Room, tmp_path: Path) -> None:
    assert 0 == here.says("keep").code
    row = here.admin("PATCH", "/plugins/gateway-cors", {"config": {"max_age": 5}})["id"]
    with here.fault(
        {"kind": "answer", "status": 400, "body": "{}"}, method="PATCH", path=f"/plugins/{row}", times=None
    ):
        said = here.says("rollback", "kong", "--reason", "a plugin is wrong", BLUEGREEN_REPORTS=str(tmp_path))
    assert 12 == said.code, said
    began, ended = written(tmp_path, releases(here, "green")).entries()
    assert isinstance(began, Began)
    assert isinstance(ended, Ended)
    assert ("a plugin is wrong", "stopped") == (began.reason, ended.verdict)
    assert said.outcome["what"] in ended.text
    assert 0 == here.says("rollback", "kong", "--reason", "once more").code


def test_a_disk_that_fails_or_hangs_is_left_behind() -> None:
    go_on = Event()

    def failing() -> str:
        raise OSError

    try:
        assert ("found", None, None) == (within(lambda: "found", 60), within(failing, 60), within(go_on.wait, 0.05))
    finally:
        go_on.set()


def test_a_verification_fails_over_no_record_and_says_what_it_lacks(here: Room, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("no folder", encoding="utf-8")
    command = [str(ROOT / "bin" / "bluegreen"), "verify", "--app", "backend", "--colour", "green"]
    environment = {**here.stack.environment(), "BLUEGREEN_REPORTS": str(tmp_path / "reports")}
    said = subprocess.run(
        [*command, "--stack", here.stack.name], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (0, "backend-green is verified.") == (said.returncode, said.stdout.strip()), said
    assert f"{tmp_path}/reports is no folder, and the record goes into folders alone." in said.stderr


def test_what_recover_takes_back_is_on_record_of_what_was_on_its_way(here: Room, tmp_path: Path) -> None:
    for colour, weight in (("blue", 75), ("green", 25)):
        tags = [*here.after_shift["backend"][colour]["tags"], DEAD]
        here.write("backend", colour, weight=weight, tags=tags)
    here.says("recover", BLUEGREEN_REPORTS=str(tmp_path))  # whatever the engine says afterwards: users come first
    entries = written(tmp_path, releases(here, "green")).entries()
    assert ["began", "weighed", "told", "ended"] == [entry.kind for entry in entries]
    assert isinstance(entries[0], Began)
    assert ("rollback", "blue") == (entries[0].legs[0].way, entries[0].legs[0].goal)
    assert BACK == here.shares()


def test_every_document_of_every_record_fits_its_schema_and_shows_no_key(here: Room) -> None:
    """Of the updates, and of a way back by hand."""
    assert 0 == here.rolls_back("full").code
    reports = (engines(here), here.stack.folder / "reports")
    found = [document for folder in reports for document in in_records(folder)]
    assert [] == [fault for name, document in found for fault in faults(name, document)]
    assert {"release", "manifest", JOURNAL} == {name for name, _ in found}
    texts = [file.read_text(encoding="utf-8") for folder in reports for file in folder.rglob("*") if file.is_file()]
    assert not any(key in text for text in texts for key in (API_KEY, here.world.railway_token))
