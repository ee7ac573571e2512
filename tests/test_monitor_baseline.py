"""What a watch is compared with: read from what was written down before the release, and never invented."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from bluegreen.evidence.bundles import Bundles
from bluegreen.evidence.scribe import Scribe
from bluegreen.handler import Refused
from bluegreen.journal import Analysed, AnyEntry, Beat, Began, Looked, Pulse, SubjectTold, whole
from bluegreen.monitor.baseline import Baseline, baseline
from bluegreen.monitor.row import Before
from tests.memory import START

OLD, NEW = {"shop": "release-old"}, {"shop": "release-new"}
BEGAN = Began(at=START, releases=NEW, before=OLD)


def written(folder: Path, *notes: tuple[AnyEntry, Mapping[str, str]]) -> Bundles:
    async def whole_record() -> None:
        scribe = Scribe(folder, "test", now=lambda: START)
        for entry, releases in notes:
            scribe.note(entry, releases)
        assert "" == await scribe.settle()

    asyncio.run(whole_record())
    return Bundles(folder, "test")


def pulse(ms: float, *, fault: str = "", way: str = "users") -> Pulse:
    beat = Beat(endpoint="hello", app="shop", way=way, status=200, ms=ms, fault=fault)
    return Pulse(at=START, beats=(beat,), weights={"shop": {"blue": 100, "green": 0}})


def read(bundles: Bundles, wanted: str | None = None) -> Baseline:
    return baseline(bundles, whole(NEW), wanted, {"shop": "hello"})


def test_what_monitors_saw_of_the_release_before_is_the_baseline(tmp_path: Path) -> None:
    pulses = [(pulse(ms, way=way), OLD) for ms in (10.0, 20.0, 30.0) for way in ("users", "blue", "green")]
    found = read(written(tmp_path, *pulses, (pulse(999.0, fault="answered 503"), OLD), (BEGAN, NEW)))
    assert whole(OLD) == found.release
    assert {"users", "live"} == {role for _, _, role in found.rows}
    assert Before(3, 20.0, 30.0, 1) == found.rows["shop", "hello", "users"]
    assert Before(3, 20.0, 30.0) == found.rows["shop", "hello", "live"]


def test_where_nobody_watched_the_rollouts_probes_of_the_old_colour_are_it(tmp_path: Path) -> None:
    subject = SubjectTold(app="shop", candidate="green", live="blue")
    samples = {"shop": ((0.1, "blue", 5.0, ""), (0.2, "green", 50.0, ""), (0.3, "blue", None, "no answer"))}
    entries: list[AnyEntry] = []
    for at, share in LOOKS:  # as they are written: each analysis, then its look
        entries.append(Analysed(at=START + timedelta(seconds=at), share=share, subjects=(subject,)))
        entries.append(Looked(at=START + timedelta(seconds=at + 1), share=share, samples=samples))
    found = read(written(tmp_path, (BEGAN, NEW), *((entry, NEW) for entry in entries)))
    assert {("shop", "hello", "live"): Before(1, 5.0, 5.0, 1)} == found.rows
    assert "what the rollout's probes saw of the colour that served before (1 endpoints)" == found.said


LOOKS = ((1, "25 %"), (5, "100 %"))


def test_without_a_record_there_is_none_and_that_is_said(tmp_path: Path) -> None:
    found = read(Bundles(tmp_path, "test"))
    assert ({}, None, "no baseline: nothing was recorded before this release") == (
        found.rows,
        found.release,
        found.said,
    )
    assert "no baseline, as asked for" == read(Bundles(tmp_path, "test"), "none").said


def test_another_release_may_be_named_where_it_left_evidence(tmp_path: Path) -> None:
    bundles = written(tmp_path, (pulse(10.0), OLD))
    assert {("shop", "hello", "users")} == read(bundles, whole(OLD)).rows.keys()
    with pytest.raises(Refused) as refused:
        read(bundles, "0" * 16)
    assert "Release 0000000000000000 left no evidence" in refused.value.what
    with pytest.raises(Refused):
        read(bundles, "../../etc")
