"""`bluegreen stage --from STACK`: what serves there and has passed there, by its state or by what its releases left."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from bluegreen.evidence.bundle import IDENTITY, Bundle
from bluegreen.evidence.identity import Identity, Running
from bluegreen.journal import Ended
from bluegreen.plain import plain
from bluegreen.settings import Settings
from sandbox.stack import ROOT
from tests.stage_room import PRODUCTION, Around, Project, project, pulumi, served

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = {"backend": "sha256:" + "b" * 64, "frontend": "sha256:" + "f" * 64}
IMAGE = {app: f"ghcr.io/velro/{app}@{digest}" for app, digest in DIGEST.items()}
NEVER = "its history knows no move"


@pytest.fixture(scope="module")
def around() -> Iterator[Around]:
    with served() as made:
        yield made


@pytest.fixture
def here(tmp_path: Path, around: Around) -> Project:
    """Production, and beside it a staging that serves newer images."""
    made = project(tmp_path / "shop", around)
    text = (ROOT / "Pulumi.staging.yaml").read_text(encoding="utf-8")
    for app in DIGEST:
        old = yaml.safe_load(text)["config"]["velro:apps"][app]["blue"]["image"]
        text = text.replace(old, IMAGE[app])
    text = "\n".join(_retagged(line) for line in text.splitlines())
    (made.folder / "Pulumi.staging.yaml").write_text(f"{text}\n", encoding="utf-8")
    return made


def _retagged(line: str) -> str:
    return line.replace(line.rpartition(":")[2], "v50") if "blue: # ghcr.io/velro/" in line else line


def left(here: Project, release: str, *verdicts: str, monitor: str = "", hours: int = 0) -> None:
    """A release of staging with these images left this behind."""
    bundle = Bundle(here.folder / "reports", "staging", release)
    apps = {app: Running(colour="blue", release="0" * 16, image=image) for app, image in IMAGE.items()}
    bundle.write_json(IDENTITY, Identity(stack="staging", release=release, apps=apps, at=AT))
    entries = [Ended(at=AT + timedelta(seconds=at), verdict=verdict) for at, verdict in enumerate(verdicts)]
    lines = "".join(f"{entry.model_dump_json(by_alias=True)}\n" for entry in entries)
    stamp = f"{AT + timedelta(hours=hours):%Y%m%dT%H%M%SZ}"
    (bundle.path / f"journal-{stamp}-aa.ndjson").write_text(lines, encoding="utf-8")
    if monitor:
        (bundle.path / f"monitor-{stamp}.json").write_text(json.dumps({"verdict": monitor}), encoding="utf-8")


def moved(here: Project, verdict: str, *, goal: str = "blue") -> list[dict[str, str]]:
    settings = Settings.parse("velro", "staging", plain(here.folder / "Pulumi.staging.yaml", "velro")[0])
    release = {app: settings.release_id(app, "blue") for app in DIGEST}
    return [
        {"app": app, "release": release[app], "verdict": verdict, "goal": goal, "finished": AT.isoformat()}
        for app in DIGEST
    ]


def test_what_the_evidence_says_has_passed_is_staged_with_its_tag(here: Project) -> None:
    left(here, "1" * 16, "passed")
    said = here.says("stage", "--from", "staging")
    assert said.code == 0, said
    apps = yaml.safe_load(here.text)["config"]["velro:apps"]
    assert {app: apps[app]["green"]["image"] for app in DIGEST} == IMAGE
    assert [told["tag"] for told in said.facts["apps"]] == ["v50", "v50"]
    assert {told["passed"] for told in said.facts["apps"]} == {f"release {'1' * 16} ended as passed"}
    blue = yaml.safe_load(PRODUCTION)["config"]["velro:apps"]["backend"]["blue"]
    assert apps["backend"]["green"] == {**blue, "image": IMAGE["backend"]}


def test_one_app_alone_may_be_named(here: Project) -> None:
    left(here, "1" * 16, "passed")
    assert here.says("stage", "frontend", "--from", "staging").code == 0
    apps = yaml.safe_load(here.text)["config"]["velro:apps"]
    assert ("green" in apps["backend"], "green" in apps["frontend"]) == (False, True)


def test_the_state_of_the_other_stack_says_it_as_well(here: Project, tmp_path: Path) -> None:
    config, _ = plain(here.folder / "Pulumi.staging.yaml", "velro")
    said = here.says("stage", "--from", "staging", PATH=pulumi(tmp_path, moved(here, "passed"), config))
    assert said.code == 0, said
    assert "passed on 2026-03-01 12:00 UTC" in said.facts["apps"][0]["passed"]


@pytest.mark.parametrize(
    ("verdicts", "monitor", "why"),
    [
        (("passed", "rejected"), "", "ended as rejected"),
        ((), "", "ended as nothing that is written down"),
        (("passed",), "fail", "the last monitor of release 1111111111111111 failed"),
    ],
)
def test_what_did_not_pass_is_refused_with_what_is_missing(
    here: Project, verdicts: tuple[str, ...], monitor: str, why: str
) -> None:
    left(here, "1" * 16, *verdicts, monitor=monitor)
    said = here.says("stage", "backend", "--from", "staging")
    assert (said.code, here.file.read_bytes()) == (15, PRODUCTION)
    assert said.outcome["what"].startswith("Nobody can say that backend v50 passed in staging: there is no pulumi")
    assert why in said.outcome["what"]
    assert said.outcome["next"] == "Run pulumi up there, or bluegreen monitor staging; or name the image."


def test_the_newest_release_with_the_image_has_the_word(here: Project) -> None:
    left(here, "1" * 16, "passed")
    left(here, "2" * 16, "rejected", hours=1)
    assert here.says("stage", "backend", "--from", "staging").code == 15
    left(here, "3" * 16, "stopped", monitor="pass", hours=2)
    assert here.says("stage", "backend", "--from", "staging").code == 0


@pytest.mark.parametrize("verdict", ["rejected", "stopped"])
def test_a_move_that_did_not_pass_counts_for_nothing(here: Project, tmp_path: Path, verdict: str) -> None:
    config, _ = plain(here.folder / "Pulumi.staging.yaml", "velro")
    path = pulumi(tmp_path, moved(here, verdict), config)
    said = here.says("stage", "backend", "--from", "staging", PATH=path)
    assert (said.code, here.file.read_bytes()) == (15, PRODUCTION)
    assert ("ended as rejected on blue" if verdict == "rejected" else NEVER) in said.outcome["what"]


def test_what_is_live_here_already_is_left_out(here: Project) -> None:
    left(here, "1" * 16, "passed")
    blue = yaml.safe_load(PRODUCTION)["config"]["velro:apps"]["backend"]["blue"]["image"]
    here.write(PRODUCTION.replace(blue.encode(), IMAGE["backend"].encode()))
    said = here.says("stage", "--from", "staging")
    assert [told["app"] for told in said.facts["apps"]] == ["frontend"]
    refused = here.says("stage", "backend", "--from", "staging")
    assert (refused.code, "is live already, on blue" in refused.outcome["what"]) == (15, True)


@pytest.mark.parametrize(
    ("stack", "what"),
    [
        ("production", "--from names production, which is this stack."),
        ("test", "Pulumi.test.yaml cannot be read: No such file or directory."),
    ],
)
def test_a_stack_that_cannot_be_meant_is_refused(here: Project, stack: str, what: str) -> None:
    said = here.says("stage", "--from", stack)
    assert (said.code, said.outcome["what"]) == (15, what)
