"""The story of a release: what its record says, what it does not, and nothing that it does not."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.journal import (
    Alert,
    Analysed,
    AnyEntry,
    Began,
    Decided,
    Ended,
    LegTold,
    Looked,
    LookTold,
    Pulse,
    SeenTold,
    Told,
    Weighed,
)
from bluegreen.page.markdown import COMMENT
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.scratch.traced import LockTaken, Step, Traced
from bluegreen.report import head
from bluegreen.report.rendered import html, markdown
from bluegreen.report.said import amount, image, lasted, said
from bluegreen.report.story import Story
from bluegreen.report.telling import story
from tests.published import faults
from tests.report_room import AT, NEW, OLD, Writer, after, caught, findings, material, shipped

MADE = after(7200)
CAUGHT = caught()


def told(entries: list[AnyEntry], **more: Any) -> Story:
    return story(material(entries, **more), MADE)


def rolled_back() -> list[AnyEntry]:
    """Shipped, and moved back by hand two hours later."""
    writer = Writer()
    writer.begin()
    writer.weigh(0)
    writer.note(Ended(verdict="passed", text="backend serves from green"))
    writer.now += 7200
    writer.begin(way="rollback", goal="blue")
    writer.weigh(100, 0.8)
    writer.note(Ended(verdict="passed", text="backend is back on blue"))
    return writer.entries


def duties(found: Story) -> dict[str, tuple[str, str]]:
    return {duty.key: (duty.ticked, duty.evidence) for period in found.checklist for duty in period.duties}


# The sentence


def test_a_release_that_failed_on_the_way_was_caught_and_moved_back() -> None:
    found = told(CAUGHT)
    assert ("caught", "Caught at 25 % and moved back in 0.6 s.") == (found.standing, found.sentence)
    [move] = found.moves
    assert (25, 4.0, 0.6) == (move.highest, move.detected, round(move.back or 0, 3))


def test_a_release_that_passed_was_shipped() -> None:
    found = told(shipped())
    assert ("shipped", "Shipped in 1 min 32 s, after 3 analyses that passed.") == (found.standing, found.sentence)


def test_a_release_that_failed_in_the_preview_had_no_users() -> None:
    writer = Writer()
    writer.begin()
    writer.analyse("preview", 0.5)
    writer.note(Ended(verdict="rejected", text="backend at preview: too many errors"))
    assert "Caught in the preview: no users were on it." == told(writer.entries).sentence


def test_a_rollback_by_hand_says_how_long_the_release_was_live() -> None:
    found = told(rolled_back())
    assert ("rolledBack", "Rolled back in 0.8 s, 2 h after it was shipped.") == (found.standing, found.sentence)


def test_a_move_without_an_end_is_not_called_shipped() -> None:
    found = told(CAUGHT[:-1])
    assert "unfinished" == found.standing
    assert any("has no end in the record" in each for each in found.missing)


def test_an_empty_record_is_told_as_such() -> None:
    found = story(material([], identity=None, before=None, changes=None, files={}), MADE)
    assert ("empty", "Nothing is written down about a move of this release.") == (found.standing, found.sentence)
    assert [
        "No move of traffic is written down.",
        "No validation was written down.",
        "Nobody watched the release with bluegreen monitor.",
        "The config before is not in the record, so nothing is compared.",
        "The record was never sealed: whether it was changed since cannot be told.",
    ] == list(found.missing)


def test_a_move_whose_way_back_failed_is_not_called_caught() -> None:
    entries = [*CAUGHT[:-3], Ended(at=CAUGHT[-1].at, verdict="rejected", text="backend could not be taken back: …")]
    assert "failed" == told(entries).standing


def test_a_move_that_left_traffic_where_it_was_is_not_called_moved_back() -> None:
    writer = Writer()
    writer.begin()
    writer.weigh(75)
    writer.note(
        Ended(verdict="stopped", text="The engine is gone. Traffic stays as it is; its mark tells the way back.")
    )
    found = told(writer.entries)
    wanted = "Stopped at 25 %, and no way back is written down: where traffic is, bluegreen status says."
    assert ("failed", wanted, 25) == (found.standing, found.sentence, found.moves[0].left)
    assert {"blue": 75, "green": 25} == dict(found.apps[0].weights)


def test_a_move_of_which_one_app_never_came_back_has_no_time_to_the_proof() -> None:
    writer = Writer()
    legs = tuple(LegTold(app=app, origin="blue", goal="green") for app in ("backend", "frontend"))
    writer.note(Began(legs=legs))
    for blue, app in ((75, "frontend"), (75, "backend")):
        writer.weigh(blue, app=app)
    writer.analyse("25 %", 0.2)
    writer.weigh(100)
    writer.note(Ended(verdict="rejected", text="too many errors"))
    found = told(writer.entries)
    assert ("failed", None) == (found.standing, found.moves[0].back)


def test_without_its_beginning_nobody_says_that_a_move_had_no_users() -> None:
    assert "Caught at 25 %, and how many users were on it is not in the record." == told(CAUGHT[5:]).sentence


def test_a_repair_beside_a_move_is_no_share_of_its_candidate() -> None:
    writer = Writer()
    legs = (
        LegTold(app="frontend", way="repair", origin="blue", goal="blue"),
        LegTold(app="backend", origin="blue", goal="green"),
    )
    writer.note(Began(legs=legs))
    writer.note(Weighed(app="frontend", weights={"blue": 100}))
    writer.weigh(95)
    assert (5, "rollout") == (told(writer.entries).moves[0].highest, told(writer.entries).moves[0].way)


def test_a_release_that_a_monitor_found_failing_since_is_not_in_order() -> None:
    writer = Writer()
    writer.begin()
    writer.weigh(0)
    writer.note(Ended(verdict="passed"))
    writer.monitor(3, bad=(1,))
    found = told(writer.entries)
    assert ("bad", True) == (head.mark(found), found.sentence.endswith("A monitor found it failing afterwards."))
    writer.monitor(3)
    assert ("good", "Shipped in 0.6 s.") == (head.mark(told(writer.entries)), told(writer.entries).sentence)


def test_a_first_release_has_nothing_to_be_compared_with_and_lacks_nothing() -> None:
    writer = Writer()
    writer.note(Began(legs=(LegTold(app="backend", way="first", goal="green", release=NEW),)))
    writer.weigh(0)
    writer.note(Ended(verdict="passed"))
    found = told(writer.entries, before=None, changes=None)
    assert not any("config before" in each for each in found.missing)
    assert "There is nothing to compare with: this is the first release." in html(found)


# Its numbers


def test_every_decision_has_the_numbers_that_it_was_made_on() -> None:
    decision = told(CAUGHT).moves[0].decisions[-1]
    assert ("25 %", "fail", 4.0, 2) == (decision.share, decision.verdict, decision.after, decision.looks)
    errors = next(each for each in decision.rulings if each.metric == "errors")
    assert ("≤ 1 %", "%", 80, 4.0) == (errors.bar, errors.unit, errors.n, errors.window)
    assert errors.value is not None
    assert errors.bound is not None
    assert 7.5 == errors.value < errors.bound


def test_requests_past_the_weights_are_not_called_users() -> None:
    counted = [(each.what, each.users, each.judged, each.n, each.failed) for each in told(CAUGHT).counted]
    assert [
        ("Probes of backend on green, the candidate", False, True, 680, 6),
        ("Probes of backend on blue, live beside the candidate", False, False, 680, 0),
    ] == counted


def test_what_a_monitor_asked_on_the_users_way_is_counted_as_such() -> None:
    [users, *_] = told(shipped()).counted
    assert ("A monitor's requests on the users' way", 24, 0, True) == (users.what, users.n, users.failed, users.users)


def test_what_kong_counted_is_the_users_own_and_counted_once() -> None:
    analysis = {"metrics": [{"name": "users", "kong": {}, "measures": "errors", "thresholdRange": {"max": 1}}]}
    seen = [SeenTold(requests=requests, errors=errors) for requests, errors in ((10, 1), (30, 2))]
    looks = [
        Looked(at=after(n), share="25 %", looks=(LookTold(app="backend", metric="users", candidate=each),))
        for n, each in enumerate(seen, 1)
    ]
    found = told([Analysed(at=AT, share="25 %", analysis=analysis), *looks])
    assert [(30, 2, True)] == [(each.n, each.failed, each.users) for each in found.counted]
    [chapter] = found.chapters
    assert [("users", [(10, 1), (20, 1)])] == [
        (line.who, [(p.n, p.errors) for p in line.points]) for line in chapter.lines
    ]


def test_a_silence_of_more_than_five_minutes_begins_a_chapter() -> None:
    assert ["A rollout of backend", "A rollback of backend"] == [each.title for each in told(rolled_back()).chapters]


def test_a_chapter_begins_with_the_weights_that_a_move_found() -> None:
    [first, second, *_] = told(CAUGHT).chapters[0].weights
    assert (0.0, {"blue": 100}) == (first.t, dict(first.weights))
    assert {"blue": 75, "green": 25} == dict(second.weights)


def test_no_chapter_has_more_slices_than_fit_whatever_was_measured() -> None:
    samples = tuple((number / 500, "green", 50.0 + number % 7, "") for number in range(100_000))
    entries: list[AnyEntry] = [
        Analysed(at=AT, share="25 %"),
        Looked.model_validate({"at": after(200), "share": "25 %", "elapsed": 200, "samples": {"backend": samples}}),
    ]
    found = told(entries)
    [line] = found.chapters[0].lines
    assert (True, 100_000) == (len(line.points) <= 121, sum(point.n for point in line.points))
    assert len(html(found).encode()) < 300_000


def test_apps_have_their_releases_and_images_before_and_after() -> None:
    [app] = told(CAUGHT).apps
    assert ("backend", "blue", "green", OLD, NEW) == (app.app, app.origin, app.goal, app.before, app.release)
    assert ("a" * 64, "b" * 64) == (app.image_before[-64:], app.image[-64:])


def test_what_is_said_twice_in_a_row_is_told_once() -> None:
    writer = Writer()
    writer.begin()
    alert = Alert(level="warning", subject="/api", text="p95 is 3 s")
    writer.note(Pulse(number=1, alerts=(alert,)))
    writer.note(Told(text="warning: /api: p95 is 3 s"))
    writer.weigh(50)
    texts = [moment.text for moment in told(writer.entries).chapters[0].moments]
    assert 1 == texts.count("warning: /api: p95 is 3 s")
    texts = [moment.text for moment in told(CAUGHT).chapters[0].moments]
    assert 1 == sum("luck is no explanation" in text for text in texts)


def test_where_an_app_came_from_is_nothing_only_where_a_move_says_so() -> None:
    writer = Writer()
    writer.note(Began(legs=(LegTold(app="backend", way="first", goal="green", release=NEW),)))
    first, unknown = told(writer.entries, before=None), told([], before=None)
    assert ["nothing", "not known"] == [head.origin(each, each.apps[0]) for each in (first, unknown)]


def test_a_long_chapter_tells_how_it_ended_and_how_much_is_left_out() -> None:
    writer = Writer()
    writer.begin()
    for number in range(200):
        writer.note(Told(text=f"word {number}"), 1)
    writer.note(Ended(verdict="passed", text="at last"))
    texts = [moment.text for moment in told(writer.entries).chapters[0].moments]
    assert ("Ended: passed. at last", True) == (texts[-1], "… and 142 more, in the journal" in texts)


def test_of_many_chapters_the_last_are_drawn_and_those_before_are_counted() -> None:
    writer = Writer()
    for number in range(15):
        writer.begin(goal="green" if number % 2 else "blue")
        writer.weigh(0 if number % 2 else 100)
        writer.note(Ended(verdict="passed"))
        writer.now += 1000
    found = told(writer.entries)
    assert (12, found.moves[-1].began) == (len(found.chapters), found.chapters[-1].began)
    assert "3 earlier chapters are not drawn; the numbers are in the journal." in found.missing


def test_requests_that_were_too_many_for_the_record_are_told() -> None:
    entries: list[AnyEntry] = [Analysed(at=AT, share="25 %"), Looked(at=after(2), share="25 %", dropped=1200)]
    assert any(each.startswith("1,200 requests of analyses were too many") for each in told(entries).missing)


def test_what_failed_is_told_in_full_and_what_passed_as_a_list() -> None:
    found = told(CAUGHT, validations=[findings(bad=True), findings()])
    text = markdown(found)
    assert "| health | 1 | health-backend |" in text
    assert "Passed now, and not at 2026-03-01 12:05:00: database-reachable." in text
    assert "no answer in 5 s | an answer | 3 |" in markdown(told(CAUGHT, validations=[findings(bad=True)]))


# What is due after it


def test_what_a_monitor_and_a_validation_found_is_ticked_with_its_evidence() -> None:
    found = duties(told(shipped(), validations=[findings()]))
    assert ("yes", "0 of 24: 0 %") == found["errors"]
    assert ("yes", "0 in 24 rounds") == found["alerts"]
    assert ("yes", "rollback-possible: as it should be") == found["rollback"]
    assert ("yes", "5 pass, at 2026-03-01 12:05 UTC") == found["validations"]


def test_what_nobody_measured_is_never_ticked() -> None:
    found = duties(told(CAUGHT))
    assert {"unknown", "person"} == {ticked for ticked, _ in found.values()}


def test_what_was_measured_and_is_not_so_is_crossed_out() -> None:
    writer = Writer()
    writer.begin()
    writer.weigh(0)
    writer.note(Ended(verdict="passed"))
    writer.monitor(24, bad=(3, 4))
    found = duties(told(writer.entries, validations=[findings(bad=True)]))
    assert ("no", "2 of 24: 8.33 %") == found["errors"]
    assert "no" == found["alerts"][0] == found["validations"][0]


def test_alike_documents_of_a_monitor_add_what_only_they_know() -> None:
    document = {
        "began": shipped()[-25].at.isoformat(), "verdict": "pass", "rounds": 24,
        "baseline": {"release": OLD, "said": "compared with the release before"},
        "endpoints": [
            {"endpoint": "/api/hello", "app": "backend", "way": "users", "asked": 24, "trend": "same", "ratio": 1.02}
        ],
    }  # fmt: skip
    found = told(shipped(), monitors=[document, {"began": "nonsense"}])
    assert ["compared with the release before"] == [watch.baseline for watch in found.monitors]
    assert "same (1.02 ×)" == next(row.trend for row in found.monitors[0].endpoints if row.way == "users")
    assert ("yes", "compared with the release before") == duties(found)["baseline"]


# Whatever is in the record


@settings(max_examples=10, deadline=None)
@given(st.integers(0, len(CAUGHT)), st.integers(0, 5))
def test_any_part_of_a_record_makes_a_page(length: int, start: int) -> None:
    found = told(CAUGHT[start : start + length])
    assert "</html>" in html(found)
    assert found.sentence in html(found).replace("\u00a0", " ")
    assert len(markdown(found)) <= COMMENT


COLOUR, SHARE = st.sampled_from(["blue", "green"]), st.sampled_from(["25 %", "monitor", ""])
ENTRY = st.one_of(
    st.builds(Began, legs=st.lists(st.builds(LegTold, app=st.text(max_size=5)), max_size=2).map(tuple)),
    st.builds(Weighed, app=st.text(max_size=5), weights=st.dictionaries(COLOUR, st.integers(0, 100))),
    st.builds(Analysed, share=SHARE, analysis=st.just({"metrics": [{"name": 3}, "odd"]})),
    st.builds(Decided, share=SHARE, verdict=st.sampled_from(["pass", "fail", "odd"])),
    st.builds(Looked, share=SHARE, elapsed=st.floats(0, 1e6)),
    st.builds(Ended, verdict=st.text(max_size=9), text=st.text(max_size=30)),
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(ENTRY, st.floats(0, 900)), max_size=12))
def test_entries_in_any_order_make_a_story_that_its_schema_knows(rows: list[tuple[Any, float]]) -> None:
    at, entries = AT, list[AnyEntry]()
    for entry, wait in rows:
        at += timedelta(seconds=wait)
        entries.append(entry.model_copy(update={"at": at}))
    found = told(entries)
    assert [] == faults("report", json.loads(found.model_dump_json(by_alias=True)))
    assert Story.model_validate_json(found.model_dump_json(by_alias=True)) == found


def test_a_document_that_is_none_is_left_out() -> None:
    assert (
        ()
        == told([], validations=[{"findings": "many"}, {"began": 3}], monitors=[{"endpoints": 3, "began": []}]).monitors
    )


def test_a_migration_is_told_with_its_locks_and_its_way_back() -> None:
    plan = Plan(version="011", name="teams", phase="expand", statements=3)
    lock = LockTaken(relation="public.users", mode="ShareRowExclusiveLock")
    plan = plan.model_copy(update={"traced": Traced(statements=(Step(number=1, locks=(lock,)),))})
    [row] = told(CAUGHT, migrations=[("011_teams", plan)]).migrations
    assert ["SHARE ROW EXCLUSIVE"] == [each.mode for each in row.locks]
    assert ("011_teams", "pending", "migrations/011_teams/plan.html") == (row.label, row.standing, row.page)


def test_what_was_changed_since_the_seal_is_said_first() -> None:
    found = told(CAUGHT, broken=("release.json has changed",), complaints=("journal-x: one line cannot be read",))
    assert ("release.json has changed",) == found.broken
    assert "journal-x: one line cannot be read" == found.missing[0]


# Words


def test_spans_and_numbers_are_told_as_a_person_reads_them() -> None:
    spans = [lasted(seconds) for seconds in (0, 0.0004, 0.031, 0.84, 4, 9.97, 59.6, 123, 3600, 12_000, 187_200)]
    assert [
        "0 s",
        "1 ms",
        "31 ms",
        "0.8 s",
        "4 s",
        "10 s",
        "1 min",
        "2 min 3 s",
        "1 h",
        "3 h 20 min",
        "2 d 4 h",
    ] == spans
    assert ["–", "0 %", "0.50 %", "14.3", "1,204 ms"] == [
        amount(None, "%"), amount(0, "%"), amount(0.5, "%"), amount(14.28), amount(1204.4, "ms"),
    ]  # fmt: skip
    assert ("shop@0123456789ab", "shop:v1") == (
        image("ghcr.io/a/shop@sha256:0123456789abcdef"),
        image("ghcr.io/a/shop:v1"),
    )


def test_signs_that_turn_a_line_around_are_shown_as_what_they_are() -> None:
    assert "a\ufffdb\ufffdc" == said("a\u202eb\x1b" + "c")
    assert len(said("x" * 10_000_000)) < 2100


def test_the_markdown_is_as_it_was_agreed() -> None:
    found = markdown(told(CAUGHT, validations=[findings()]))
    golden = Path(__file__).with_name("recorded") / "report.md"
    assert golden.read_text(encoding="utf-8") == found
