"""Whole watches of a real gateway, as a user runs them: what is told, judged, moved, written down, and how it ends."""

import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest

from bluegreen.cli.documents import schema_of
from bluegreen.monitor.document import Monitored
from tests.monitor_room import BARE, KEY, PATIENCE, PREVIEW, Ran, Shop, Status, shop


def between(first: int, last: int) -> Status:
    """Broken from the time users were asked so often until they were asked so often."""

    def answer(here: Shop) -> int:
        return 503 if first <= here.asked["users"] <= last else 200

    return answer


async def healthy(folder: Path) -> Ran:
    async with shop(folder) as here:
        here.environment["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
        return await here.run("6", "0.5")


async def healed(folder: Path) -> Ran:
    """Green breaks for users' second request, and is well again from their fifth."""
    async with shop(folder) as here:
        here.answers["green"] = between(2, 4)
        return await here.run("9", "0.5")


async def returned(folder: Path) -> Ran:
    async with shop(folder) as here:
        here.answers["green"] = between(3, 10**6)
        ran = await here.run("10", "0.5", "--rollback-on-fail")
        assert await here.weights() == {"blue": 100, "green": 0}
        return ran


async def no_way_back(folder: Path) -> Ran:
    """Blue breaks as soon as green does, so it is no place to go back to."""
    async with shop(folder) as here:
        here.answers |= {"green": between(3, 10**6), "blue": between(3, 10**6)}
        ran = await here.run("10", "0.5", "--rollback-on-fail")
        ran.moved = await here.weights() != {"blue": 0, "green": 100}
        return ran


async def kong_away(folder: Path) -> Ran:
    """Kong's Admin API answers nobody for a while."""
    async with shop(folder) as here:
        process = await here.start("10", "0.5", "--json")
        await heard(process, "round 3")
        fault = {"where": {"path": "/upstreams/*", "times": None}, "effect": {"kind": "answer", "status": 500}}
        await here.room.admin("PUT", "/__faults/away", fault)
        await heard(process, "Kong: ")
        await here.room.admin("DELETE", "/__faults/away")
        return await here.end(process)


def encrypt(here: Shop) -> None:
    """The consumer's key is in the file, and nobody can read it there."""
    here.config["shop:secrets"] = {"consumers": {"web": {"secure": "v1:AAAA:BBBB"}}}


async def without_pulumi(folder: Path) -> Ran:
    async with shop(folder) as here:
        encrypt(here)
        return await here.run("3", "0.5")


async def with_pulumi(folder: Path) -> Ran:
    """A `pulumi` that opens the config."""
    async with shop(folder) as here:
        texts = {key: text if isinstance(text, str) else json.dumps(text) for key, text in here.config.items()}
        encrypt(here)
        (folder / "config.json").write_text(json.dumps({key: {"value": text} for key, text in texts.items()}))
        (folder / "pulumi").write_text(f"#!/bin/sh\ncat '{folder / 'config.json'}'\n")
        (folder / "pulumi").chmod(0o755)
        here.environment["PATH"] = f"{folder}:{BARE}"
        return await here.run("3", "0.5")


async def heard(process: "asyncio.subprocess.Process", text: str) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while text.encode() not in (line := await process.stderr.readline()):
            assert line, f"it ended without {text!r}"


async def asked_to_stop(folder: Path) -> Ran:
    async with shop(folder) as here:
        process = await here.start("60", "0.5", "--json")
        await heard(process, "round 3")
        process.send_signal(signal.SIGTERM)
        return await here.end(process)


SCENES = (healthy, healed, returned, no_way_back, kong_away, asked_to_stop, without_pulumi, with_pulumi)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ran]:
    """All of them at the same time, each in a shop of its own."""
    root = tmp_path_factory.mktemp("watches")

    async def all_of_them() -> list[Ran]:
        return await asyncio.gather(*(scene(root / scene.__name__) for scene in SCENES))

    return {scene.__name__: ran for scene, ran in zip(SCENES, asyncio.run(all_of_them()), strict=True)}


def test_what_is_well_passes_with_the_judges_own_words(runs: Mapping[str, Ran]) -> None:
    ran = runs["healthy"]
    assert (0, "pass", "") == (ran.code, ran.facts["verdict"], ran.facts["interrupted"])
    assert ran.facts["judged"]["sentence"] == ran.facts["sentence"]
    assert "backend errors: 0 % of" in ran.facts["sentence"]
    assert {"backend": "green"} == ran.facts["judged"]["colours"]
    assert [] == ran.facts["alerts"]
    assert 13 == ran.facts["rounds"] + ran.facts["skipped"]


def test_every_endpoint_is_asked_on_every_way_in_every_round(runs: Mapping[str, Ran]) -> None:
    ran = runs["healthy"]
    assert ["users", "green", "blue"] == [each["way"] for each in ran.facts["endpoints"]]
    assert ["users", "live", "idle"] == [each["role"] for each in ran.facts["endpoints"]]
    assert {ran.facts["rounds"]} == {each["asked"] for each in ran.facts["endpoints"]}
    assert {ran.facts["rounds"]} == {each["n"] for each in ran.facts["endpoints"]}
    assert "no baseline" == ran.row("users")["trend"]


def test_a_log_has_one_line_for_each_round(runs: Mapping[str, Ran]) -> None:
    ran = runs["healthy"]
    told = [line for line in ran.lines if " · verdict " in line]
    assert ran.facts["rounds"] == len(told)
    assert " round 1: users 1 of 1 well, slowest " in told[0]
    assert "backend blue 0 / green 100 · verdict none yet" in told[0]


def test_a_pipelines_summary_gets_the_table(runs: Mapping[str, Ran]) -> None:
    told = (runs["healthy"].shop.folder / "summary.md").read_text()
    assert "### Monitor of test: pass\n" in told
    assert "| backend | hello | users | " in told
    assert "| backend | hello | green (live) | " in told


def test_a_fault_that_heals_is_raised_once_resolved_once_and_stays_a_failure(runs: Mapping[str, Ran]) -> None:
    ran = runs["healed"]
    assert (10, "fail") == (ran.code, ran.facts["verdict"])
    assert ran.alerts("critical") != []
    assert all(each["resolved"] is not None for each in ran.alerts("critical"))
    subjects = [each["subject"] for each in ran.alerts("critical")]
    assert sorted(set(subjects)) == sorted(subjects)
    assert 3 == ran.row("users")["errors"]
    assert {"answered 503": 3} == ran.row("users")["faults"]
    assert 0 == ran.row("blue")["errors"]
    assert ran.facts["rounds"] + ran.facts["skipped"] == 19


def test_how_long_it_took_to_notice_is_measured(runs: Mapping[str, Ran]) -> None:
    timings = runs["healed"].facts["timings"]
    assert timings["detectMs"] > 0
    assert timings["rollbackMs"] is None


def test_a_failure_takes_traffic_back_where_that_was_wished_for(runs: Mapping[str, Ran]) -> None:
    ran = runs["returned"]
    assert (11, "fail") == (ran.code, ran.facts["verdict"])
    assert (True, True, {"backend": "blue"}) == tuple(ran.facts["rollback"][key] for key in ("done", "well", "apps"))
    assert {"backend": {"blue": 100, "green": 0}} == ran.facts["weights"]
    assert ran.facts["timings"]["rollbackMs"] > 0
    assert "Users are well again." in ran.outcome["world"]
    assert any("held by" in each["text"] and "monitor: " in each["text"] for each in ran.alerts("info"))


def test_a_way_back_to_what_is_not_well_is_not_gone(runs: Mapping[str, Ran]) -> None:
    ran = runs["no_way_back"]
    assert (10, "fail") == (ran.code, ran.facts["verdict"])
    assert (False, True) == (ran.facts["rollback"]["done"], ran.facts["rollback"]["refused"])
    assert "backend's blue was not well in the last round either (hello: answered 503)" in ran.facts["rollback"]["said"]
    assert not ran.moved


def test_a_watch_survives_the_loss_of_kongs_admin_api(runs: Mapping[str, Ran]) -> None:
    ran = runs["kong_away"]
    assert (0, "pass") == (ran.code, ran.facts["verdict"])
    assert {} in [pulse["weights"] for pulse in ran.entries("pulse")]
    assert {"backend": {"blue": 0, "green": 100}} == ran.entries("pulse")[-1]["weights"]
    assert 0 == ran.row("users")["errors"]


def test_without_pulumi_what_needs_a_closed_secret_is_not_asked_and_said(runs: Mapping[str, Ran]) -> None:
    ran = runs["without_pulumi"]
    assert ["green", "blue"] == [each["way"] for each in ran.facts["endpoints"]]
    closed, unasked = ran.facts["notes"]
    assert "Secrets of the config stay closed (there is no pulumi on PATH), so what needs one is not asked." == closed
    assert "its secret (secrets.consumers.web) is not known here" in unasked
    assert all(any(note in line for line in ran.lines) for note in ran.facts["notes"])


def test_with_pulumi_secrets_are_opened(runs: Mapping[str, Ran]) -> None:
    ran = runs["with_pulumi"]
    assert [] == ran.facts["notes"]
    assert 0 == ran.row("users")["errors"]


def test_whoever_is_asked_to_stop_ends_with_the_report(runs: Mapping[str, Ran]) -> None:
    ran = runs["asked_to_stop"]
    assert (143, "inconclusive", "SIGTERM") == (ran.code, ran.facts["verdict"], ran.facts["interrupted"])
    assert "stopped by SIGTERM" in ran.facts["sentence"]
    assert [ran.facts["rounds"]] == [entry["number"] for entry in ran.entries("pulse")][-1:]


def test_everything_is_written_into_the_bundle_of_what_served(runs: Mapping[str, Ran]) -> None:
    for ran in runs.values():
        written = [json.loads(file.read_text()) for file in ran.bundle.glob("monitor-*.json")]
        assert [ran.facts] == written
        assert Monitored.model_validate(written[0]).release == ran.bundle.name
        assert ran.facts["rounds"] == len(ran.entries("pulse"))
        assert ran.facts["verdict"] in [entry["verdict"] for entry in ran.entries("ended")]
        assert ran.entries("looked") != []
        assert "monitor-" in (ran.bundle / "manifest.json").read_text()


def test_what_is_printed_and_written_fits_its_published_schema(runs: Mapping[str, Ran]) -> None:
    outcome, document = schema_of("outcome-monitor"), schema_of("monitor")
    for ran in runs.values():
        jsonschema.validate(ran.outcome, outcome)
        for file in ran.bundle.glob("monitor-*.json"):
            jsonschema.validate(json.loads(file.read_text()), document)


def test_no_key_is_shown_or_written_anywhere(runs: Mapping[str, Ran]) -> None:
    for ran in runs.values():
        files = [file.read_text() for file in ran.bundle.iterdir()]
        texts = [*files, *ran.lines, json.dumps(ran.outcome)]
        assert [text for text in texts if KEY in text or PREVIEW in text] == []
