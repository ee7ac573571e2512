"""`bluegreen report`: it finds a release's record, makes its page, and asks what other bars would have said."""

import asyncio
import base64
import json
import os
import re
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from bluegreen.cli.report import Made, report
from bluegreen.cli.stack import Stack
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.connections import Connections
from bluegreen.evidence.bundle import Bundle
from bluegreen.evidence.bundles import Bundles
from bluegreen.handler import Refused
from bluegreen.journal import Analysed, AnyEntry, Began, whole
from bluegreen.report.listing import Listed
from bluegreen.report.rejudge import Rejudged
from bluegreen.settings import Settings
from sandbox.stack import ROOT
from tests.memory import Clock
from tests.published import faults, fits, fitting
from tests.report_room import NEW, caught, findings, material, shipped

RELEASE = whole({"backend": NEW})
OTHER = whole({"backend": "f" * 16})
SECRET = "Sesam <öffne> dich & zu"
CAUGHT = caught()


RUN = {"image": f"ghcr.io/acme/backend@sha256:{'a' * 64}", "replicas": {"us-west2": 1}}
CONFIG = {
    "shop:railway": {"projectId": "p", "environmentId": "e"},
    "shop:apps": {"backend": {"kind": "api", "live": "blue", "blue": RUN, "green": {**RUN, "port": 8001}}},
}


def settled() -> Settings:
    return Settings.parse("shop", "production", {key: json.dumps(value) for key, value in CONFIG.items()})


def asked(folder: Path, **given: Any) -> tuple[Outcome, list[str]]:
    """The verb's outcome, and what it told on the way."""

    async def run() -> tuple[Outcome, list[str]]:
        connections = Connections({"reports": str(folder), "kongAdminKey": SECRET})
        clock = Clock()
        try:
            desk = Desk(Stack("production", "shop", "production"), settled(), connections, clock)
            return fits("report", await report(desk, **given)), clock.milestones
        finally:
            await connections.close()

    return asyncio.run(run())


def kept(folder: Path, entries: Sequence[AnyEntry], releases: dict[str, str] | None = None) -> Bundle:
    """A bundle as a move leaves it: written by the scribe, sealed, identified."""

    async def write() -> str:
        scribe = Connections({"reports": str(folder), "kongAdminKey": SECRET}).journal("production")
        for entry in entries:
            scribe.note(entry, releases or {"backend": NEW})
        return await scribe.settle()

    assert "" == asyncio.run(write())
    bundle = Bundles(folder, "production").bundle(whole(releases or {"backend": NEW}))
    identity = material(entries).identity
    assert identity is not None
    bundle.write_json("release.json", identity.model_copy(update={"release": bundle.release}))
    bundle.write_text("validation-20260301T120500Z.json", json.dumps(findings()))
    bundle.seal()
    return bundle


def bars(folder: Path, text: str) -> Path:
    file = folder / "thresholds.yaml"
    file.write_text(text, encoding="utf-8")
    return file


# The page


def test_the_page_the_markdown_and_the_json_lie_beside_the_record(tmp_path: Path) -> None:
    bundle = kept(tmp_path, CAUGHT)
    outcome, _ = asked(tmp_path)
    assert (Exit.OK, f"{RELEASE}: Caught at 25 % and moved back in 0.6 s.") == (outcome.exit, outcome.what)
    assert f"The report is in {bundle.path / 'report.html'}." == outcome.world
    for name in ("report.html", "report.md", "report.json"):
        assert 0o600 == stat.S_IMODE((bundle.path / name).stat().st_mode)
    assert isinstance(outcome.facts, Made)
    assert 3 == len(outcome.facts.files)


def test_the_json_is_as_its_schema_says(tmp_path: Path) -> None:
    bundle = kept(tmp_path, shipped())
    asked(tmp_path)
    found = json.loads((bundle.path / "report.json").read_text(encoding="utf-8"))
    assert [] == faults("report", found)
    assert (1, "production", RELEASE, "shipped") == tuple(
        found[key] for key in ("schemaVersion", "stack", "release", "standing")
    )


def test_a_report_does_not_break_the_seal_and_sees_who_did(tmp_path: Path) -> None:
    bundle = kept(tmp_path, CAUGHT)
    asked(tmp_path)
    assert "otherwise than sealed" not in asked(tmp_path)[0].world
    journal = next(name for name in bundle.names() if name.startswith("journal-"))
    with (bundle.path / journal).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert "1 file is otherwise than sealed." in asked(tmp_path)[0].world
    assert f"{journal} has changed" in (bundle.path / "report.html").read_text(encoding="utf-8")


def test_no_secret_is_in_any_of_it_however_it_is_spelled(tmp_path: Path) -> None:
    began = CAUGHT[0]
    assert isinstance(began, Began)
    spelled = base64.b64encode(SECRET.encode()).decode()
    entries = [began.model_copy(update={"reason": f"with {SECRET} and {spelled}"}), *CAUGHT[1:]]
    bundle = kept(tmp_path, entries)
    bundle.write_text("validation-20260301T120600Z.json", json.dumps({"findings": [{"id": "x", "observed": SECRET}]}))
    asked(tmp_path)
    for name in ("report.html", "report.md", "report.json"):
        text = (bundle.path / name).read_text(encoding="utf-8")
        assert re.search(r"\[secret\\?]", text)
        for trace in (SECRET, spelled, "Sesam", "&lt;öffne"):
            assert trace not in text


def test_what_cannot_be_read_is_told_and_ends_nothing(tmp_path: Path) -> None:
    bundle = kept(tmp_path, CAUGHT)
    (bundle.path / "release.json").write_text('{"release', encoding="utf-8")
    outcome, _ = asked(tmp_path)
    assert isinstance(outcome.facts, Made)
    assert any("release.json cannot be read" in each for each in outcome.facts.missing)


def test_the_config_is_compared_with_that_of_the_release_before(tmp_path: Path) -> None:
    began = CAUGHT[0]
    assert isinstance(began, Began)
    before = Bundles(tmp_path, "production").bundle(whole(began.before))
    was = material([]).before
    assert was is not None
    before.write_json("release.json", was)
    bundle = kept(tmp_path, CAUGHT)
    asked(tmp_path, release=RELEASE)
    found = json.loads((bundle.path / "report.json").read_text(encoding="utf-8"))
    assert ["apps.backend.colour", "apps.backend.image", "apps.backend.release"] == [
        each["path"] for each in found["changes"]
    ]


def test_the_command_makes_the_page_where_there_is_no_pulumi_and_no_gateway(tmp_path: Path) -> None:
    bundle = kept(tmp_path / "reports", CAUGHT)
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    (tmp_path / "Pulumi.production.yaml").write_text(yaml.safe_dump({"config": CONFIG}), encoding="utf-8")
    done = subprocess.run(
        [str(ROOT / "bin" / "bluegreen"), "report", "production", "--json"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "BLUEGREEN_REPORTS": str(tmp_path / "reports")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    outcome = fitting("report", done.stdout)
    assert [str(bundle.path / name) for name in ("report.json", "report.md", "report.html")] == outcome["facts"][
        "files"
    ]
    assert (bundle.path / "report.html").read_text(encoding="utf-8").endswith("</html>\n")


# Which release


def test_the_newest_release_is_the_one_unless_another_is_named(tmp_path: Path) -> None:
    kept(tmp_path, shipped(), {"backend": "f" * 16})
    kept(tmp_path, CAUGHT)
    assert asked(tmp_path, release=OTHER[:6])[0].what.startswith(f"{OTHER}: Shipped")
    with pytest.raises(Refused, match="is no release that left a record") as refused:
        asked(tmp_path, release="0123")
    assert "bluegreen report --list names them." == refused.value.next


def test_releases_are_listed_with_how_they_ended(tmp_path: Path) -> None:
    kept(tmp_path, shipped(), {"backend": "f" * 16})
    kept(tmp_path, CAUGHT)
    outcome, _ = asked(tmp_path, listing=True)
    assert isinstance(outcome.facts, Listed)
    assert {(RELEASE, "caught"), (OTHER, "shipped")} == {(e.release, e.standing) for e in outcome.facts.releases}
    assert f"{RELEASE}  2026-03-01 12:00 UTC  Caught at 25 % and moved back in 0.6 s." in outcome.what.splitlines()


def test_a_stack_without_a_record_is_told_in_three_beats(tmp_path: Path) -> None:
    assert "has left no record" in asked(tmp_path, listing=True)[0].what
    with pytest.raises(Refused, match="has left no record") as refused:
        asked(tmp_path)
    assert ("Nothing was written.", True) == (refused.value.world, "bluegreen:reports" in refused.value.next)


# Somewhere else, and in a browser


def test_one_document_can_be_written_somewhere_else(tmp_path: Path) -> None:
    bundle = kept(tmp_path / "reports", CAUGHT)
    for suffix in (".html", ".md", ".json"):
        asked(tmp_path / "reports", out=tmp_path / f"page{suffix}")
    assert "</html>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "report.html" not in bundle.names()


def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    kept(tmp_path, CAUGHT)
    pdf, nowhere = tmp_path / "page.pdf", tmp_path / "no" / "a.md"
    for out, said in ((pdf, "a report is .html, .md or .json"), (nowhere, "cannot be written")):
        with pytest.raises(Refused, match=said) as refused:
            asked(tmp_path, out=out)
        assert "Nothing was written." == refused.value.world


def test_without_a_browser_the_address_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = kept(tmp_path, CAUGHT)
    monkeypatch.setenv("CI", "true")
    assert f"There is no browser here: open file://{bundle.path}/report.html" == asked(tmp_path, show=True)[0].next


def test_a_record_without_any_time_is_listed_without_one(tmp_path: Path) -> None:
    (tmp_path / "production" / OTHER).mkdir(parents=True)
    outcome, _ = asked(tmp_path, listing=True)
    assert f"{OTHER}  –                     Nothing is written down about a move of this release." == outcome.what


def test_of_more_releases_than_are_listed_it_is_told_how_many(tmp_path: Path) -> None:
    for at in range(103):
        (tmp_path / "production" / f"{at:016x}").mkdir(parents=True)
    outcome, _ = asked(tmp_path, listing=True)
    *listed, last = outcome.what.splitlines()
    assert (100, "… 3 older releases have records too; --release names each of them.") == (len(listed), last)
    assert isinstance(outcome.facts, Listed)
    assert (100, 3) == (len(outcome.facts.releases), outcome.facts.more)


# Other bars


def test_an_analysis_that_is_too_short_for_other_bars_keeps_no_other_from_being_judged(tmp_path: Path) -> None:
    first, entries = next(entry for entry in CAUGHT if isinstance(entry, Analysed)), list(CAUGHT)
    short = {**first.analysis, "duration": "4s", "minRequests": 50}
    entries[entries.index(first)] = first.model_copy(update={"analysis": short})
    kept(tmp_path, entries)
    outcome, lines = asked(tmp_path, rejudge=bars(tmp_path, "minRequests: 100"))
    assert isinstance(outcome.facts, Rejudged)
    preview, step = outcome.facts.analyses
    assert (None, "pass") == (preview.now.verdict, preview.then.verdict)
    assert "metric errors sees 80 requests in 4 s and needs 100 (minRequests)" == preview.unjudged
    assert ("", True) == (step.unjudged, step.now.after > 0)
    assert outcome.what.startswith(f"1 analysis of {RELEASE} judged again: ")
    assert outcome.what.endswith(" 1 cannot be judged so.")
    assert any(line.endswith(preview.told) for line in lines)


def test_stricter_bars_would_have_seen_it_earlier(tmp_path: Path) -> None:
    bundle = kept(tmp_path, CAUGHT)
    stricter = bars(tmp_path, "metrics: {slow: {thresholdRange: {max: 100}, failureLimit: 0}}")
    outcome, lines = asked(tmp_path, rejudge=stricter)
    assert isinstance(outcome.facts, Rejudged)
    preview, step = outcome.facts.analyses
    assert ("pass", "fail", True) == (preview.then.verdict, preview.now.verdict, (preview.sooner or 0) > 0)
    assert "earlier" in preview.told
    assert any(line.endswith(preview.told) for line in lines)
    assert ("25 %", "fail", "fail") == (step.share, step.then.verdict, step.now.verdict)
    assert "What was decided stays decided." in outcome.world
    [written] = [name for name in bundle.names() if name.startswith("rejudged-")]
    assert Rejudged.model_validate_json((bundle.path / written).read_bytes()) == outcome.facts
    asked(tmp_path)
    assert "1 file" not in asked(tmp_path)[0].world


def test_the_same_bars_say_the_same(tmp_path: Path) -> None:
    kept(tmp_path, CAUGHT)
    outcome, _ = asked(tmp_path, rejudge=bars(tmp_path, ""))
    assert isinstance(outcome.facts, Rejudged)
    for each in outcome.facts.analyses:
        assert (each.then, 0) == (each.now, each.sooner)
    assert f"2 analyses of {RELEASE} judged again: 0 end otherwise." == outcome.what


def test_where_the_record_ends_no_verdict_is_made_up(tmp_path: Path) -> None:
    kept(tmp_path, CAUGHT)
    outcome, _ = asked(tmp_path, rejudge=bars(tmp_path, "metrics: {errors: {thresholdRange: {max: 30}}}"))
    assert isinstance(outcome.facts, Rejudged)
    step = outcome.facts.analyses[-1]
    assert (None, None) == (step.now.verdict, step.sooner)
    assert "then fail after 4 s; now it would have gone on: the record ends after 4 s without a verdict" == step.told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics: {errors: {treshold: 1}}", "metrics.errors.treshold: unknown key"),
        ("bars: 1", "bars: unknown key"),
        ("metrics: {errors: {percentile: 100}}", "metrics.errors.percentile"),
        ("metrics: {speed: {failureLimit: 1}}", "metrics.speed: not in the record of this release; its metrics"),
        ("metrics: {errors: {thresholdRange: {min: 1}}}", "cannot be judged so"),
        ("minRequests: 100000", "cannot be judged so"),
        ("metrics: [", "cannot be read"),
        ("- 1", "thresholds.yaml"),
    ],
)  # fmt: skip
def test_bars_that_make_no_sense_are_refused_by_their_path(tmp_path: Path, text: str, said: str) -> None:
    bundle = kept(tmp_path, CAUGHT)
    with pytest.raises(Refused) as refused:
        asked(tmp_path, rejudge=bars(tmp_path, text))
    assert said in refused.value.what
    assert ("Nothing was judged or written.", True) == (refused.value.world, bool(refused.value.next))
    assert [] == [name for name in bundle.names() if name.startswith("rejudged-")]


def test_a_file_of_bars_that_is_not_there_is_refused(tmp_path: Path) -> None:
    kept(tmp_path, CAUGHT)
    with pytest.raises(Refused, match="cannot be read"):
        asked(tmp_path, rejudge=tmp_path / "none.yaml")
