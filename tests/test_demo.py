"""`make demo` tells what happened: here with three requests broken on purpose, it has to say three, and fail.

What a bad release fails itself is counted, too, and never among those three.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from sandbox.demo_report import Bad, counted, rejection
from sandbox.demo_story import scenes
from sandbox.load_records import Record
from sandbox.load_tally import phases_of, tally
from sandbox.stack import ROOT

SAID = "backend at 5 %: backend errors: 4.4 % of 181 requests (bar 1 %) in 3.1 s: fail, luck is no explanation."
DONE = {
    "app": "backend",
    "release": "bad",
    "started": "2030-01-01T00:00:10+00:00",
    "finished": "2030-01-01T00:00:13.5+00:00",
    "said": SAID,
}
MARKS = [("before", 100.0), ("bad", 200.0)]


def answer(at: float, *, status: int | None = 200, release: str | None = "good", failure: str | None = None) -> Record:
    """One request to the backend; `release` None: the gateway answered, or nobody."""
    colour = None if release is None else "green" if release == "bad" else "blue"
    failed = failure or (None if status == 200 else f"status {status}")
    return Record("backend", "new", at, at, at + 0.01, at, at + 0.01, 10.0, status, failed, None, colour, release)


def test_the_demo_plays_its_whole_story_and_counts_what_was_broken_on_purpose(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox.demo", "--inject", "3", "--reports", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    schema = json.loads((ROOT / "sandbox" / "demo.schema.json").read_text(encoding="utf-8"))
    assert [] == [error.message for error in Draft202012Validator(schema).iter_errors(report)]
    lines = done.stdout.splitlines()
    played = [line for line in lines if line[0:1] == "▶"]
    assert played == ["▶ bootstrap", *(f"▶ {scene.name}" for scene in scenes())], done.stdout
    assert len([line for line in lines if line.startswith("  ✓ ")]) == len(scenes()) + 1
    assert (report["total"]["failed"], report["failures"]) == (3, {"status 503": 3})
    assert [row["failed"] for row in report["phases"] if row["name"] == "shift to green"] == [3]
    assert report["total"]["wrong_colour"] == 0
    failing, slow, crashing = report["bad_releases"]
    assert [bad["scene"] for bad in (failing, slow, crashing)] == [scene.name for scene in scenes() if scene.rejects]
    assert 0 < failing["caught"] <= failing["back"]
    assert failing["errors"] <= failing["met"] > 0
    assert (slow["met"], slow["errors"]) == (0, 0)
    assert (crashing["errors"], crashing["caught"] > 0) == (0, True)  # the gateway asks the other colour again
    assert {row["name"]: row["release_errors"] for row in report["phases"] if row["release_errors"]} == (
        {failing["scene"]: failing["errors"]} if failing["errors"] else {}
    )
    assert report["total"]["release_errors"] == failing["errors"]
    assert report["total"]["requests"] == report["proxied"] > 5000
    assert report["slow_gap_seconds"] == {"backend": 0.0}
    assert done.returncode == 1
    assert "✗" not in done.stdout
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert failing["release"] in page
    (validated,) = tmp_path.glob("record/*/validation-*.json")
    assert json.loads(validated.read_text(encoding="utf-8"))["verdict"] == "pass"
    assert [line.partition(": backend's release")[0] for line in lines if " was caught in " in line] == [
        bad["scene"] for bad in report["bad_releases"]
    ]


def test_what_a_bad_release_answers_wrongly_is_its_own_error_and_nothing_else_is() -> None:
    records = [
        answer(150),
        answer(210),
        answer(211, release="bad"),
        answer(212, release="bad", status=500),  # its own
        answer(213, release="good", status=500),  # a good release has no excuse
        answer(214, release=None, status=502),  # the gateway's
        answer(215, release=None, status=500),
        answer(216, release="bad", status=None, failure="short body"),
        replace(answer(217, release="bad", status=500), colour=None),  # not as the app says it
    ]
    report = tally(records, phases_of(MARKS, 300.0))
    count = counted(report, records, MARKS, [rejection("ship it", DONE)])
    assert [(row.name, row.requests, row.failed) for row in count.report.phases] == [("before", 1, 0), ("bad", 8, 5)]
    assert (dict(count.own), count.report.total.failed) == ({"bad": 1}, 5)
    assert count.report.failures == {"status 500": 3, "status 502": 1, "short body": 1}
    assert list(count.bad) == [Bad("ship it", "backend", "bad", caught=3.1, back=3.5, met=4, errors=1)]
    written = count.as_json()
    assert [row["release_errors"] for row in written["phases"]] == [0, 1]
    assert (written["total"]["failed"], written["total"]["release_errors"]) == (5, 1)


def test_the_own_errors_of_a_release_that_nobody_rejected_are_failed_requests() -> None:
    records = [answer(210, release="bad", status=500)]
    count = counted(tally(records, phases_of(MARKS, 300.0)), records, MARKS, [])
    assert (count.report.total.failed, count.errors) == (1, 0)


def test_a_bad_release_is_told_with_what_it_did_to_users() -> None:
    known = rejection("ship it", DONE)
    assert str(known) == "ship it: backend's release bad was caught in 3.1 s, and no user met it."


def test_a_rejection_that_does_not_say_how_long_it_took_is_no_figure() -> None:
    with pytest.raises(ValueError, match="does not say in how many seconds"):
        rejection("ship it", {**DONE, "said": "backend: green did not answer"})
