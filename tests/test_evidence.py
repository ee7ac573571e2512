"""The evidence bundle: what is written is whole, its owner's alone and without secrets; what is broken is told."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bluegreen.evidence import scribe
from bluegreen.evidence import who as who_
from bluegreen.evidence.bundle import IDENTITY, MANIFEST, Bundle, Unwritten, stamp
from bluegreen.evidence.bundles import Bundles
from bluegreen.evidence.hidden import SHOWN, Hide, hiding
from bluegreen.evidence.identity import Change, Identity, Running, difference
from bluegreen.evidence.scribe import Scribe
from bluegreen.evidence.who import Who, who
from bluegreen.handler import Refused
from bluegreen.journal import (
    Alert,
    Analysed,
    AnyEntry,
    Beat,
    Began,
    Decided,
    Ended,
    LegTold,
    Looked,
    LookTold,
    Pulse,
    RulingTold,
    SeenTold,
    SubjectTold,
    Told,
    Weighed,
    whole,
)

START = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
RELEASES = {"backend": "aaaa", "frontend": "bbbb"}
RELEASE = whole(RELEASES)
ENTRY: TypeAdapter[AnyEntry] = TypeAdapter(AnyEntry)

WORDS, COLOURS = st.text(max_size=20), st.sampled_from(["blue", "green"])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 2**53)
TIMES = st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC))
SEEN = st.builds(
    SeenTold,
    requests=COUNTS,
    errors=COUNTS,
    buckets=st.lists(st.tuples(st.none() | NUMBERS, COUNTS), max_size=3).map(tuple),
    value=st.none() | NUMBERS,
    error=WORDS,
)
SAMPLES = st.lists(st.tuples(NUMBERS, COLOURS, st.none() | NUMBERS, WORDS), max_size=3).map(tuple)
ENTRIES = st.one_of(
    st.builds(
        Began, at=TIMES, move=WORDS, releases=st.dictionaries(WORDS, WORDS, max_size=3), legs=st.just((LegTold(),))
    ),
    st.builds(Weighed, at=TIMES, app=WORDS, weights=st.dictionaries(COLOURS, st.integers(0, 100)), said=WORDS),
    st.builds(Analysed, at=TIMES, share=WORDS, subjects=st.just((SubjectTold(live="green"),))),
    st.builds(
        Looked,
        at=TIMES,
        elapsed=NUMBERS,
        looks=st.lists(
            st.builds(LookTold, app=WORDS, metric=WORDS, candidate=SEEN, live=st.none() | SEEN), max_size=2
        ).map(tuple),
        samples=st.dictionaries(WORDS, SAMPLES, max_size=2),
        rulings=st.lists(st.builds(RulingTold, sentence=WORDS, value=st.none() | NUMBERS), max_size=2).map(tuple),
    ),
    st.builds(Decided, at=TIMES, verdict=WORDS, sentence=WORDS, because=WORDS),
    st.builds(Pulse, at=TIMES, beats=st.just((Beat(status=200), Beat(ms=1.5))), alerts=st.just((Alert(),))),
    st.builds(Told, at=TIMES, text=WORDS, app=st.none() | WORDS),
    st.builds(Ended, at=TIMES, verdict=WORDS, text=WORDS, done=st.just(({"app": "backend"},))),
)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is, nothing is given up that is only late."""
    monkeypatch.setattr(scribe, "FAREWELL", 60.0)
    monkeypatch.setattr(who_, "PATIENCE", 60.0)


def said(text: str, second: float = 0) -> Told:
    return Told(at=START + timedelta(seconds=second), text=text)


def write(root: Path, *entries: AnyEntry, releases: Mapping[str, str] = RELEASES, **given: Any) -> str:
    """One process writes these down; what it complains of."""

    async def writing() -> str:
        journal = Scribe(root, "test", lambda: START, **given)
        for entry in entries:
            journal.note(entry, releases)
        return await journal.settle()

    return asyncio.run(writing())


def bundle(root: Path) -> Bundle:
    return Bundles(root, "test").bundle(RELEASE)


def journal(root: Path) -> Path:
    """The one journal that was written."""
    (file,) = bundle(root).path.glob("journal-*.ndjson")
    return file


@given(entry=ENTRIES)
def test_every_entry_comes_back_from_its_line_as_it_was(entry: AnyEntry) -> None:
    line = entry.model_dump_json(by_alias=True)
    assert "\n" not in line
    assert ENTRY.validate_json(line) == entry


def test_what_was_noted_is_read_in_the_order_in_which_it_happened(tmp_path: Path) -> None:
    assert write(tmp_path, said("second", 2), said("fourth", 4)) == ""
    assert write(tmp_path, said("first", 1), said("third", 3)) == ""
    assert ["first", "second", "third", "fourth"] == [
        entry.text for entry in bundle(tmp_path).entries() if isinstance(entry, Told)
    ]


def test_a_clock_that_jumps_puts_no_line_before_the_one_above_it(tmp_path: Path) -> None:
    write(tmp_path, said("began", 50), said("set back", 10), said("ended", 20))
    write(tmp_path, said("sooner", 40), said("later", 60))
    assert ["sooner", "began", "set back", "ended", "later"] == [
        entry.text for entry in bundle(tmp_path).entries() if isinstance(entry, Told)
    ]


def test_an_entry_without_a_time_gets_the_clocks(tmp_path: Path) -> None:
    write(tmp_path, Told(text="now"))
    assert [START] == [entry.at for entry in bundle(tmp_path).entries()]


def test_each_process_has_a_file_of_its_own_named_by_its_time(tmp_path: Path) -> None:
    write(tmp_path, said("one"))
    write(tmp_path, said("two"))
    names = [file.name for file in bundle(tmp_path).path.glob("journal-*")]
    assert 2 == len(names)
    assert all(name.startswith("journal-20260301T030000Z-") and len(name) == 36 for name in names), names


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    write(tmp_path / "reports", said("one"))
    bundle(tmp_path / "reports").write_json(IDENTITY, Identity())
    inside = [*(tmp_path / "reports").rglob("*")]
    assert {0o700} == {file.stat().st_mode & 0o777 for file in inside if file.is_dir()}
    assert {0o600} == {file.stat().st_mode & 0o777 for file in inside if file.is_file()}
    assert 3 == sum(file.is_file() for file in inside)


def test_nothing_is_written_before_there_is_something_to_write(tmp_path: Path) -> None:
    assert write(tmp_path / "reports") == ""
    assert not (tmp_path / "reports").exists()


KILLED = """
import asyncio, sys
from pathlib import Path
from bluegreen.evidence.scribe import Scribe
from bluegreen.journal import Told

async def main():
    scribe, folder = Scribe(Path(sys.argv[1]), "test"), Path(sys.argv[1])
    for number in range(500):
        scribe.note(Told(text=f"entry {number}"), {"backend": "aaaa", "frontend": "bbbb"})
    while not any(b"entry 499" in file.read_bytes() for file in folder.glob("test/*/journal-*")):
        await asyncio.sleep(0.01)
    print("all of it is there", flush=True)
    while True:
        scribe.note(Told(text="more " * 1000), {"backend": "aaaa", "frontend": "bbbb"})
        await asyncio.sleep(0)

asyncio.run(main())
"""


def test_what_is_noted_gets_into_the_file_unasked_and_stays_there_when_the_writer_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert "all of it is there\n" == writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    entries = [entry.text for entry in bundle(tmp_path).entries() if isinstance(entry, Told)]
    assert [f"entry {number}" for number in range(500)] == entries[:500]


def test_a_torn_last_line_and_foreign_lines_are_told_and_cost_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, said("before"))
    with journal(tmp_path).open("a", encoding="utf-8") as file:
        file.write('{"kind":"of another version"}\nnot even JSON\n{"kind":"told","te')
    read = bundle(tmp_path)
    assert [said("before")] == read.entries()
    assert (f"{journal(tmp_path).name}: its last line is torn and 2 lines are no entry.",) == read.complaints


def test_every_prefix_of_a_journal_can_be_read(tmp_path: Path) -> None:
    write(tmp_path, said("é"), Weighed(app="backend", weights={"blue": 5}), said("end"))
    file = journal(tmp_path)
    text = file.read_bytes()
    for length in range(len(text) + 1):
        file.write_bytes(text[:length])
        assert text[:length].count(b"\n") == len(bundle(tmp_path).entries())


@pytest.mark.parametrize("text", ["", "{", '{"apps": 3}', "\x00\xff"])
def test_a_broken_identity_is_told_and_not_raised(text: str, tmp_path: Path) -> None:
    read = bundle(tmp_path)
    read.write_text(IDENTITY, text)
    assert read.identity() is None
    assert ("release.json cannot be read: it is cut off, or of another form.",) == read.complaints


def test_no_identity_is_no_complaint(tmp_path: Path) -> None:
    read = bundle(tmp_path)
    assert (None, (), [], ()) == (read.identity(), read.names(), read.entries(), read.complaints)


def test_documents_come_oldest_first_and_a_cut_off_one_is_told(tmp_path: Path) -> None:
    read = bundle(tmp_path)
    for hours, text in ((5, '{"n": 2}'), (4, '{"n": 1}'), (6, '{"n": ')):
        read.write_text(f"validation-{stamp(START + timedelta(hours=hours))}.json", text)
    assert [{"n": 1}, {"n": 2}] == read.validations()
    assert ("validation-20260301T090000Z.json cannot be read: it is cut off, or of another form.",) == read.complaints


def test_bundles_are_found_newest_first_and_nothing_else_is(tmp_path: Path) -> None:
    stack = Bundles(tmp_path, "test")
    for second, app in enumerate(("old", "older", "new")):
        at = START + timedelta(hours=(2, 1, 3)[second])
        stack.bundle(whole({"a": app})).write_json(f"monitor-{stamp(at)}.json", Identity())
    stack.bundle(whole({"a": "old"})).write_text(f"rejudged-{stamp(START + timedelta(hours=9))}.json", "{}")
    (tmp_path / "test" / "migrations").mkdir()
    (tmp_path / "test" / ("f" * 16)).symlink_to(tmp_path)
    assert [whole({"a": app}) for app in ("new", "old", "older")] == [each.release for each in stack.all()]
    assert () == Bundles(tmp_path, "other").all()


def test_a_release_is_found_by_some_of_its_apps(tmp_path: Path) -> None:
    apps = {app: Running(release=release) for app, release in RELEASES.items()}
    bundle(tmp_path).write_json(IDENTITY, Identity(apps=apps))
    stack = Bundles(tmp_path, "test")
    assert (RELEASES, None) == (stack.bringing({"backend": "aaaa"}), stack.bringing({"backend": "bbbb"}))


def test_a_seal_says_what_has_changed_since(tmp_path: Path) -> None:
    write(tmp_path, said("one"))
    sealed = bundle(tmp_path)
    for name in ("release.json", "validation-1.json", "report.html"):
        sealed.write_text(name, "{}")
    sealed.seal()
    assert () == sealed.broken()
    sealed.write_text("report.html", "a newer page")
    sealed.write_text("rejudged-20260301T030000Z.json", "{}")
    sealed.write_text("release.json", "{ }")
    sealed.write_text("monitor-1.json", "{}")
    (sealed.path / "validation-1.json").unlink()
    expected = ("monitor-1.json is new", "release.json has changed", "validation-1.json is missing")
    assert expected == sealed.broken()


class Crowded(Bundle):
    """Somebody else writes into it while it is being sealed."""

    def _digests(self) -> dict[str, str]:
        found = super()._digests()
        (self.path / "monitor-2.json").write_text("{}", encoding="utf-8")
        return found


def test_a_seal_covers_what_another_process_wrote_meanwhile(tmp_path: Path) -> None:
    crowded = Crowded(tmp_path, "test", RELEASE)
    crowded.write_text("monitor-1.json", "{}")
    crowded.seal()
    assert () == bundle(tmp_path).broken()


def test_a_scribe_seals_what_it_wrote_into(tmp_path: Path) -> None:
    write(tmp_path, said("one"))
    assert () == bundle(tmp_path).broken()
    manifest = json.loads((bundle(tmp_path).path / MANIFEST).read_text(encoding="utf-8"))
    assert [journal(tmp_path).name] == [*manifest["files"]]


def test_a_report_on_a_migration_is_taken_over(tmp_path: Path) -> None:
    report = tmp_path / "test" / "migrations" / "011_teams"
    report.mkdir(parents=True)
    (report / "plan.md").write_text("# the password is planted-secret", encoding="utf-8")
    taking = Bundles(tmp_path, "test", hiding(["planted-secret"])).bundle(RELEASE)
    taking.copy_migration(report)
    assert {"011_teams": taking.path / "migrations" / "011_teams"} == taking.migrations()
    assert (taking.path / "migrations/011_teams/plan.md").read_text(encoding="utf-8") == f"# the password is {SHOWN}"
    taking.seal()
    assert () == taking.broken()


@pytest.mark.parametrize("name", ["../up.json", "a/b.json", "", ".hidden", "a\nb"])
def test_a_name_that_is_a_way_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Unwritten, match="is no name"):
        bundle(tmp_path).write_text(name, "text")
    assert [] == [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize("release", ["", "..", "0123456789abcdeg", "0123456789ABCDEF", "0123456789abcdef0"])
def test_what_is_no_release_is_refused(release: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is no release of stack test"):
        Bundles(tmp_path, "test").bundle(release)


def test_nothing_is_written_or_read_through_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / IDENTITY).write_text('{"by": "somebody"}', encoding="utf-8")
    (tmp_path / "test").mkdir()
    linked = bundle(tmp_path)
    linked.path.symlink_to(elsewhere)
    with pytest.raises(Unwritten, match="is a link"):
        linked.write_text("report.md", "text")
    complaint = write(tmp_path, said("one"))
    assert complaint.startswith("1 of 1 entries of this release's record are missing: ")
    assert "is a link" in complaint
    assert (None, [], ()) == (linked.identity(), linked.entries(), linked.names())
    assert [elsewhere / IDENTITY] == [*elsewhere.iterdir()]


def test_a_file_that_is_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    read = bundle(tmp_path)
    read.write_text("report.md", "text")
    (tmp_path / "secret").write_text('{"by": "somebody"}', encoding="utf-8")
    (read.path / IDENTITY).symlink_to(tmp_path / "secret")
    os.mkfifo(read.path / "validation-1.json")
    (read.path / "journal-1.ndjson").mkdir()
    assert (None, [], []) == (read.identity(), read.validations(), read.entries())
    assert ("report.md",) == read.names()
    assert (
        "journal-1.ndjson is a folder, and was not read.",
        "release.json is a link, and was not read.",
        "validation-1.json is no file, and was not read.",
    ) == read.complaints
    read.write_json(IDENTITY, Identity(by="us"))  # the link is replaced, and what it led to is as it was
    assert '{"by": "somebody"}' == (tmp_path / "secret").read_text(encoding="utf-8")


def test_what_a_later_version_wrote_is_not_read_as_if_it_were_ours(tmp_path: Path) -> None:
    read = bundle(tmp_path)
    for file in (IDENTITY, "monitor-1.json"):
        read.write_text(file, '{"schemaVersion": 99, "by": "somebody"}')
    read.write_text("monitor-2.json", '{"schemaVersion": 1, "release": "this one"}')
    assert (None, ["this one"]) == (read.identity(), [each["release"] for each in read.monitors()])
    assert (
        "release.json was not read: its schemaVersion is 99, and 1 is known here.",
        "monitor-1.json was not read: its schemaVersion is 99, and 1 is known here.",
    ) == read.complaints


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("no folder", encoding="utf-8")
    complaint = write(tmp_path / "reports", said("one"), said("two"))
    why = f"{tmp_path / 'reports'} is no folder, and the record goes into folders alone."
    assert f"2 of 2 entries of this release's record are missing: {why}" == complaint
    with pytest.raises(Unwritten, match="is no folder, and the record goes into folders alone"):
        bundle(tmp_path / "reports").write_json(IDENTITY, Identity())


FULL = """
import asyncio, resource, sys
from pathlib import Path
from bluegreen.evidence import scribe as writing
from bluegreen.journal import Told

async def main():
    writing.FAREWELL = 60.0
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    scribe = writing.Scribe(Path(sys.argv[1]), "test")
    for number in range(100):
        scribe.note(Told(text=f"entry {number}"), {"backend": "aaaa", "frontend": "bbbb"})
    print(await scribe.settle())

asyncio.run(main())
"""


def test_a_full_disk_is_said_and_what_fitted_is_there(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    entries = [entry.text for entry in bundle(tmp_path).entries() if isinstance(entry, Told)]
    assert [f"entry {number}" for number in range(len(entries))] == entries
    assert 10 < len(entries) < 100
    lost = f"{100 - len(entries)} of 100 entries of this release's record are missing: File too large.\n"
    assert (lost, "") == (told.stdout, told.stderr)


ROOM_AGAIN = """
import asyncio, resource, sys
from pathlib import Path
from bluegreen.evidence import scribe as writing
from bluegreen.journal import Told

async def main():
    writing.FAREWELL = 60.0
    folder = Path(sys.argv[1])
    scribe = writing.Scribe(folder, "test")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    scribe.note(Told(text="torn " * 100), {"backend": "aaaa", "frontend": "bbbb"})
    while not any(file.stat().st_size == 100 for file in folder.glob("test/*/journal-*")):
        await asyncio.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    scribe.note(Told(text="whole"), {"backend": "aaaa", "frontend": "bbbb"})
    print(await scribe.settle())

asyncio.run(main())
"""


def test_what_follows_half_a_line_is_on_a_line_of_its_own(tmp_path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", ROOM_AGAIN, str(tmp_path)], capture_output=True, text=True, check=True)
    read = bundle(tmp_path)
    assert ["whole"] == [entry.text for entry in read.entries() if isinstance(entry, Told)]
    assert (f"{journal(tmp_path).name}: 1 line is no entry.",) == read.complaints
    lost = "1 of 2 entries of this release's record are missing: the disk took a part of it only.\n"
    assert (lost, "") == (told.stdout, told.stderr)


def test_a_scribe_that_has_settled_writes_on(tmp_path: Path) -> None:
    async def writing() -> tuple[str, str, str]:
        journal = Scribe(tmp_path, "test")
        journal.note(said("one", 1), RELEASES)
        first = await journal.settle()
        second = await journal.settle()
        journal.note(said("two", 2), RELEASES)
        return first, second, await journal.settle()

    assert ("", "", "") == asyncio.run(writing())
    assert [said("one", 1), said("two", 2)] == bundle(tmp_path).entries()


class Stuck(Hide):
    """Hides nothing, and does not come back before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on, self.reached = threading.Event(), threading.Event()

    def json(self, text: str) -> str:
        self.reached.set()
        self.go_on.wait(20)
        return text


def test_a_disk_that_hangs_holds_up_nobody_and_what_was_lost_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe, "WAITING", 100)
    stuck = Stuck()

    async def writing() -> str:
        journal = Scribe(tmp_path, "test", hide=stuck)
        journal.note(said("one"), RELEASES)
        await asyncio.to_thread(stuck.reached.wait)
        for _ in range(100 + 5):
            journal.note(said("more"), RELEASES)
        stuck.go_on.set()
        return await journal.settle()

    assert "5 of 106 entries of this release's record are missing: 100 were waiting for the disk." == asyncio.run(
        writing()
    )


def test_a_disk_that_hangs_to_the_end_is_given_up_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "FAREWELL", 0.05)
    stuck = Stuck()

    async def writing() -> tuple[str, str]:
        journal = Scribe(tmp_path, "test", hide=stuck)
        journal.note(said("one"), RELEASES)
        journal.note(said("two"), RELEASES)
        return await journal.settle(), await journal.settle()

    complaint = "2 of 2 entries of this release's record are not on disk after 0.05 s."
    try:
        assert (complaint, "") == asyncio.run(writing())
    finally:
        stuck.go_on.set()


def test_what_stands_beside_the_entries_and_could_not_be_written_is_said_as_what_it_is(tmp_path: Path) -> None:
    (bundle(tmp_path).path / IDENTITY).mkdir(parents=True)
    (bundle(tmp_path).path / MANIFEST).mkdir()
    began = Began(at=START, by="ann", releases=RELEASES)
    complaint = write(tmp_path, began, identify=lambda began, who: Identity())
    assert complaint.startswith("The record of this release is not whole (")
    assert "release.json cannot be written" in complaint
    assert ", and is not sealed (" in complaint
    assert [began] == bundle(tmp_path).entries()


def test_secrets_are_hidden_in_every_spelling_wherever_they_stand(tmp_path: Path) -> None:
    secret = 'pl"anted+key/1?'
    spelled = [secret, "pl%22anted%2Bkey%2F1%3F", "cGwiYW50ZWQra2V5LzE/", json.dumps(secret)[1:-1]]
    given: list[AnyEntry] = [
        Told(text=f"the key {secret} and {spelled[1]}", app=secret),
        Ended(text=spelled[2], done=({secret: [secret, {"a": spelled[1]}]},)),
        Looked(samples={"backend": ((0.1, "blue", 2.0, f"answered {secret}"),)}),
    ]
    write(tmp_path, *given, hide=hiding([secret]))
    text = journal(tmp_path).read_text(encoding="utf-8")
    assert [] == [each for each in spelled if each in text]
    assert 3 == len(bundle(tmp_path).entries())
    assert text.count(SHOWN) == 8


def test_a_secret_that_is_a_word_of_the_form_breaks_no_entry(tmp_path: Path) -> None:
    write(tmp_path, Weighed(app="weighed", weights={"blue": 100}), hide=hiding(["weighed", "123456"]))
    (entry,) = bundle(tmp_path).entries()
    assert isinstance(entry, Weighed)
    assert SHOWN == entry.app


def test_a_secret_made_of_digits_leaves_numbers_and_digests_alone(tmp_path: Path) -> None:
    digits = hiding([f"{number}" for number in range(100_000, 101_000)])
    write(tmp_path, Looked(elapsed=100_123.5), Told(text="100123"), hide=digits)
    sealing = Bundles(tmp_path, "test", digits).bundle(RELEASE)
    looked, told = sealing.entries()
    assert isinstance(looked, Looked)
    assert isinstance(told, Told)
    assert (100_123.5, SHOWN) == (looked.elapsed, told.text)
    sealing.write_json("monitor-1.json", Looked(elapsed=100_123.5))
    sealing.seal()
    assert (100_123.5, ()) == (sealing.monitors()[0]["elapsed"], sealing.broken())


def test_a_time_without_a_zone_is_utc_and_a_document_without_end_is_told(tmp_path: Path) -> None:
    write(tmp_path, said("later", 5))
    read = bundle(tmp_path)
    read.write_text("journal-2.ndjson", '{"kind": "told", "text": "sooner", "at": "2026-03-01T03:00:00"}\n')
    assert ["sooner", "later"] == [entry.text for entry in read.entries() if isinstance(entry, Told)]
    read.write_text("monitor-1.json", "[" * 100_000)
    assert [] == read.monitors()
    assert ("monitor-1.json cannot be read: it is cut off, or of another form.",) == read.complaints


def test_who_makes_a_release_is_filled_in_where_a_move_does_not_say(tmp_path: Path) -> None:
    known = Who("ann@laptop", "faster logins", "c0ffee")
    by_hand = Began(at=START + timedelta(seconds=1), by="bob@desk", reason="logins fail")
    write(tmp_path, Began(at=START), by_hand, who=lambda: known)
    found = [(e.by, e.reason, e.commit) for e in bundle(tmp_path).entries() if isinstance(e, Began)]
    assert [("ann@laptop", "faster logins", "c0ffee"), ("bob@desk", "logins fail", "")] == found


def test_what_a_release_is_is_written_down_once_and_by_the_move_that_brings_it(tmp_path: Path) -> None:
    asked: list[str] = []

    def identify(began: Began, who: Who) -> Identity:
        asked.append(began.move)
        return Identity(by=began.by)

    write(tmp_path, Began(move="leaves it", by="ann", releases={"backend": "other"}), identify=identify)
    write(tmp_path, Began(move="brings it", by="ann", releases=RELEASES), identify=identify)
    write(tmp_path, Began(move="again", by="bob", releases=RELEASES), identify=identify)
    assert ["brings it"] == asked
    assert Identity(by="ann") == bundle(tmp_path).identity()


def test_the_pipeline_says_who_and_from_which_commit() -> None:
    said = who({"GITHUB_ACTOR": "octocat", "GITHUB_SHA": "c0ffee" * 6 + "aaaa", "BLUEGREEN_REASON": " faster\nlogins "})
    assert Who("octocat", "faster logins", "c0ffee" * 6 + "aaaa") == said


def test_a_person_and_the_commit_here_say_it_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "Faster"],
    ):
        subprocess.run(["git", *command], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    said = who({})
    assert ("Faster", head) == (said.reason, said.commit)
    assert "@" in said.by


def test_without_git_nothing_is_known_of_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ("", "") == (who({}).reason, who({}).commit)


def test_two_identities_differ_by_path() -> None:
    before = Identity(
        apps={"backend": Running(colour="blue", release="a")},
        config={"rollout": {"steps": [{"setWeight": 5}], "retry": "x"}, "gateway": {"nodes": 1}},
    )
    after = Identity(
        apps={"backend": Running(colour="green", release="a")},
        config={"rollout": {"steps": [{"setWeight": 10}, {"pause": "5s"}]}, "gateway": {"nodes": 1}},
    )
    expected = (
        Change("apps.backend.colour", "blue", "green"),
        Change("config.rollout.retry", "x", None),
        Change("config.rollout.steps[0].setWeight", 5, 10),
        Change("config.rollout.steps[1]", None, {"pause": "5s"}),
    )
    assert expected == difference(before, after)
    assert ["changed", "removed", "changed", "added"] == [change.kind for change in expected]
    assert () == difference(after, after)


Reading = Callable[[Bundle], object]
READINGS: tuple[Reading, ...] = (Bundle.identity, Bundle.entries, Bundle.validations, Bundle.monitors, Bundle.broken)


@given(text=st.binary(max_size=200))
def test_whatever_lies_in_a_bundle_no_reader_raises(text: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    read = bundle(tmp_path_factory.mktemp("any"))
    read.path.mkdir(parents=True)
    for name in (IDENTITY, MANIFEST, "journal-1.ndjson", "validation-1.json", "monitor-1.json"):
        (read.path / name).write_bytes(text)
    for reading in READINGS:
        reading(read)
