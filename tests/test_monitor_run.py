"""Whole watches of a real gateway, as a user runs them: what is told, judged, moved, written down, and how it ends."""

import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bluegreen.cli.documents import schema_of
from bluegreen.monitor.document import Monitored
from tests.monitor_room import BARE, KEY, PATIENCE, PREVIEW, Ran, Shop, shop

NOTHING_IS_SLOW = ("--max-latency", "60000")  # however busy the machine is


def from_third(here: Shop) -> int:
    """Broken from the time users were asked thrice."""
    return 503 if here.asked["users"] >= 3 else 200


def encrypt(here: Shop) -> None:
    """The consumer's key is in the file, and nobody can read it there."""
    here.config["shop:secrets"] = {"consumers": {"web": {"secure": "v1:AAAA:BBBB"}}}


def pulumi(here: Shop) -> None:
    """A `pulumi` that opens the config."""
    texts = {key: text if isinstance(text, str) else json.dumps(text) for key, text in here.config.items()}
    (here.folder / "config.json").write_text(json.dumps({key: {"value": text} for key, text in texts.items()}))
    (here.folder / "pulumi").write_text(f"#!/bin/sh\ncat '{here.folder / 'config.json'}'\n")
    (here.folder / "pulumi").chmod(0o755)
    here.environment["PATH"] = f"{here.folder}:{BARE}"


async def healthy(folder: Path) -> Ran:
    """With a secret that Pulumi opens, and in a pipeline."""
    async with shop(folder) as here:
        pulumi(here)
        encrypt(here)
        here.environment["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
        return await here.run("4", "0.5", *NOTHING_IS_SLOW)


async def returned(folder: Path) -> Ran:
    """Two of them watch at once, and both would take traffic back."""
    async with shop(folder) as here:
        here.answers["green"] = from_third
        process = [await here.start("8", "0.5", "--rollback-on-fail", "--json") for _ in range(2)]
        one, two = await asyncio.gather(*map(here.end, process))
        assert await here.weights() == {"blue": 100, "green": 0}
        first, second = sorted((one, two), key=lambda ran: ran.code != 11)
        first.other = second
        return first


async def foreign(folder: Path) -> Ran:
    """What serves is another stack's: a config file was read under a wrong name."""
    async with shop(folder) as here:
        await here.put("blue", 0, owner="shop.production")
        await here.put("green", 100, owner="shop.production")
        return await here.run("8", "0.5", "--rollback-on-fail")


async def dark(folder: Path) -> Ran:
    """Nothing can be reached for a while, neither the proxy nor Kong's Admin API."""
    async with shop(folder) as here:
        process = await here.start("9", "0.5", "--rollback-on-fail", "--json")
        await heard(process, "round 2")
        await here.close()
        await heard(process, "Nothing answers")
        await here.open()
        return await here.end(process)


async def stopped(folder: Path) -> Ran:
    """By SIGTERM, without a pulumi, after its metrics were fetched."""
    async with shop(folder) as here:
        encrypt(here)
        process = await here.start("60", "0.5", "--listen", "0", "--json")
        url = (await heard(process, "Metrics: ")).partition("Metrics: ")[2].strip()
        await heard(process, "round 2")
        page = await asyncio.to_thread(lambda: urlopen(url).read().decode())
        process.send_signal(signal.SIGTERM)
        ran = await here.end(process)
        ran.page = page
        return ran


async def heard(process: "asyncio.subprocess.Process", text: str) -> str:
    """The line in which it says this."""
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while text.encode() not in (line := await process.stderr.readline()):
            assert line, f"it ended without {text!r}"
    return line.decode()


SCENES = (healthy, returned, foreign, dark, stopped)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ran]:
    """All of them at the same time, each in a shop of its own."""
    root = tmp_path_factory.mktemp("watches")

    async def all_of_them() -> list[Ran]:
        return await asyncio.gather(*(scene(root / scene.__name__) for scene in SCENES))

    return {scene.__name__: ran for scene, ran in zip(SCENES, asyncio.run(all_of_them()), strict=True)}


def test_what_is_well_passes_with_the_judges_own_words(runs: Mapping[str, Ran]) -> None:
    ran = runs["healthy"]
    assert {"pass": 0, "inconclusive": 13}[ran.facts["verdict"]] == ran.code  # a busy machine may see too little
    assert ran.facts["judged"]["sentence"] == ran.facts["sentence"]
    assert "backend errors: 0 % of" in ran.facts["sentence"]
    assert {"backend": "green"} == ran.facts["judged"]["colours"]
    assert [] == ran.facts["alerts"]
    assert 9 == ran.facts["rounds"] + ran.facts["skipped"]


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
    ran = runs["healthy"]
    told = (ran.shop.folder / "summary.md").read_text()
    assert f"### Monitor of test: {ran.facts['verdict']}\n" in told
    assert "| backend | hello | users | " in told
    assert "| backend | hello | green (live) | " in told


def test_a_failure_takes_traffic_back_where_that_was_wished_for(runs: Mapping[str, Ran]) -> None:
    ran = runs["returned"]
    assert (11, "fail") == (ran.code, ran.facts["verdict"])
    assert (True, True, {"backend": "blue"}) == tuple(ran.facts["rollback"][key] for key in ("done", "well", "apps"))
    assert {"backend": {"blue": 100, "green": 0}} == ran.facts["weights"]
    assert ran.facts["timings"]["detectMs"] > 0
    assert ran.facts["timings"]["rollbackMs"] > 0
    assert "Users are well again." in ran.outcome["world"]
    assert any("held by" in each["text"] and "monitor: " in each["text"] for each in ran.alerts("info"))


def test_of_two_monitors_one_takes_traffic_back_and_the_other_one_leaves_it_there(runs: Mapping[str, Ran]) -> None:
    other = runs["returned"].other
    assert other is not None
    # It failed too, or met the colour that is well in time; or both wrote the same at the same moment.
    assert other.code in (0, 10, 11, 13), other.outcome
    assert "Nothing was moved" not in other.outcome["next"]
    assert 100 == other.facts["weights"]["backend"]["blue"]  # green's row may be on its way to 0


def test_another_stacks_traffic_is_watched_and_moved_by_nobody(runs: Mapping[str, Ran]) -> None:
    ran = runs["foreign"]
    assert (15, None) == (ran.code, ran.outcome["facts"])
    assert "backend's rows in Kong belong to shop.production, not to shop.test." == ran.outcome["what"]
    assert "Nothing was watched, moved or written." == ran.outcome["world"]
    assert not ran.shop.reports.exists()
    assert 0 == ran.shop.asked.total()


def test_a_network_that_goes_away_and_comes_back_is_told_and_moves_nothing(runs: Mapping[str, Ran]) -> None:
    ran = runs["dark"]
    assert ran.facts["verdict"] in ("pass", "inconclusive"), ran.facts["sentence"]  # by how much time was left
    assert ran.facts["rollback"] is None
    assert [] == ran.alerts("critical")
    gone, back = ran.facts["notes"]
    assert "Nothing answers, Kong's Admin API included: the network from here may be away." in gone
    assert back.endswith(": There are answers again.")
    assert {} in [pulse["weights"] for pulse in ran.entries("pulse")]
    assert {"backend": {"blue": 0, "green": 100}} == ran.entries("pulse")[-1]["weights"]


def test_without_pulumi_what_needs_a_closed_secret_is_not_asked_and_said(runs: Mapping[str, Ran]) -> None:
    ran = runs["stopped"]
    assert ["green", "blue"] == [each["way"] for each in ran.facts["endpoints"]]
    closed, unasked = ran.facts["notes"]
    assert "Secrets of the config stay closed (there is no pulumi on PATH), so what needs one is not asked." == closed
    assert "its secret (secrets.consumers.web) is not known here" in unasked


def test_with_pulumi_secrets_are_opened(runs: Mapping[str, Ran]) -> None:
    ran = runs["healthy"]
    assert [] == ran.facts["notes"]
    assert 0 == ran.row("users")["errors"]


def test_its_metrics_are_there_while_it_watches(runs: Mapping[str, Ran]) -> None:
    families = {family.name: family for family in text_string_to_metric_families(runs["stopped"].page)}
    weights = {each.labels["colour"]: each.value for each in families["bluegreen_weight"].samples}
    assert {"blue": 0.0, "green": 100.0} == weights
    assert {1.0} == {each.value for each in families["probe_success"].samples}
    assert [] == families["bluegreen_rollback_deadline_timestamp_seconds"].samples  # no state, no deadline


def test_whoever_is_asked_to_stop_ends_with_the_report(runs: Mapping[str, Ran]) -> None:
    ran = runs["stopped"]
    assert (143, "inconclusive", "SIGTERM") == (ran.code, ran.facts["verdict"], ran.facts["interrupted"])
    assert "stopped by SIGTERM" in ran.facts["sentence"]
    assert [ran.facts["rounds"]] == [entry["number"] for entry in ran.entries("pulse")][-1:]


def test_everything_is_written_into_the_bundle_of_what_served(runs: Mapping[str, Ran]) -> None:
    for ran in (runs[name] for name in ("healthy", "dark", "stopped")):  # two shared the bundle of the third
        written = [json.loads(file.read_text()) for file in ran.bundle.glob("monitor-*.json")]
        assert [ran.facts] == written
        assert Monitored.model_validate(written[0]).release == ran.bundle.name
        assert ran.facts["rounds"] == len(ran.entries("pulse"))
        assert ran.facts["verdict"] in [entry["verdict"] for entry in ran.entries("ended")]
        assert ran.entries("looked") != []
        assert "monitor-" in (ran.bundle / "manifest.json").read_text()


def test_what_is_printed_and_written_fits_its_published_schema(runs: Mapping[str, Ran]) -> None:
    outcome, document = schema_of("outcome-monitor"), schema_of("monitor")
    for ran in (each for each in runs.values() if each.outcome["facts"]):
        jsonschema.validate(ran.outcome, outcome)
        for file in ran.bundle.glob("monitor-*.json"):
            jsonschema.validate(json.loads(file.read_text()), document)


def test_no_key_is_shown_or_written_anywhere(runs: Mapping[str, Ran]) -> None:
    for ran in (each for each in runs.values() if each.outcome["facts"]):
        files = [file.read_text() for file in ran.bundle.iterdir()]
        texts = [*files, *ran.lines, json.dumps(ran.outcome)]
        assert [text for text in texts if KEY in text or PREVIEW in text] == []
