"""`bluegreen validate` end to end: a sound sandbox is all green, and a planted fault is told by its own check alone.

One sandbox for all of it: each fault is planted, looked at and healed, and at the end everything is as it was.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from bluegreen.validation.finding import Finding, Validation
from tests.faults_room import Sound, sound
from tests.planted import FAULTS, Fault, orphan, unlocked

AGAINST = ("fail", "warn", "error")
GROUPS = {"api", "assets", "colours", "cors", "database", "freeze", "gateway", "health", "idle", "performance"}
GROUPS |= {"rollback", "tls", "tokens", "traffic"}
UNASKED = {  # in a sandbox that is as it should be, with the reason
    "colours-replicas": "production",
    "database-time:api-says-hello": "Server-Timing",
    "database-time:page-and-its-assets": "Server-Timing",
}


@dataclass(frozen=True, slots=True)
class Here:
    """The sandbox, and what was said of it while nothing was wrong."""

    sound: Sound
    healthy: Validation


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with sound(tmp_path_factory.mktemp("faults")) as one:
        healthy, measured = one.looked(), one.looked(measured=True)
        yield Here(one, healthy.model_copy(update={"findings": [*healthy.findings, *measured.findings]}))


def against(validation: Validation) -> dict[str, Finding]:
    return {finding.id: finding for finding in validation.findings if finding.status in AGAINST}


def statuses(validation: Validation) -> dict[str, str]:
    return {finding.id: finding.status for finding in validation.findings}


def matched(id: str, patterns: Mapping[str, str] | tuple[str, ...]) -> list[str]:
    return [pattern for pattern in patterns if fnmatchcase(id, pattern)]


def test_a_sound_stack_passes_every_check_as_a_pipeline_asks_for_it(here: Here) -> None:
    done = here.sound.said()
    told = json.loads(done.stdout)
    findings = told["facts"]["findings"]
    assert (0, 0) == (done.returncode, told["exit"]), done.stderr
    assert {} == {one["id"]: one["observed"] for one in findings if one["status"] in AGAINST}
    assert {one["id"] for one in findings if one["status"] == "skipped"} == set(UNASKED)
    assert len([one for one in findings if one["status"] == "pass"]) >= 40
    assert {one["group"] for one in findings} >= GROUPS
    assert "pass" == told["facts"]["verdict"]


def test_what_was_not_asked_says_why(here: Here) -> None:
    skipped = {one.id: f"{one.observed} {one.hint}" for one in here.healthy.findings if one.status == "skipped"}
    assert {id: reason in skipped.get(id, "") for id, reason in UNASKED.items()} == dict.fromkeys(UNASKED, True)


def test_the_journey_of_a_team_leaves_nothing_behind(here: Here) -> None:
    ran = [
        finding for finding in here.healthy.findings if finding.id in ("check:team-is-made", "check:team-is-deleted")
    ]
    assert ["pass", "pass"] == [finding.status for finding in ran]
    with here.sound.line() as line:
        left = line.execute("select (select count(*) from teams), (select count(*) from projects)").fetchone()
    assert (0, 0) == left


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
def test_a_planted_fault_is_told_by_its_own_check_alone(here: Here, fault: Fault) -> None:
    with fault.plant(here.sound) as how:
        found = here.sound.looked(**how)
    told = against(found)
    assert {} == {id: one.observed for id, one in told.items() if not matched(id, fault.against)}
    unmet = [pattern for pattern in fault.against if not any(fnmatchcase(id, pattern) for id in told)]
    assert [] == unmet
    remedies = {id: one.hint for id, one in told.items()}
    assert {} == {id: hint for id, hint in remedies.items() if fault.against[matched(id, fault.against)[0]] not in hint}
    before, after = statuses(here.healthy), statuses(found)
    others = {id: status for id, status in after.items() if id not in told and before.get(id, "pass") != status}
    assert {} == {id: status for id, status in others.items() if not matched(id, fault.hides)}


def test_a_warning_fails_the_command_only_where_that_was_asked(here: Here) -> None:
    with orphan(here.sound):
        warned, strict = (here.sound.said("--only", "gateway-*", *more) for more in ((), ("--fail-on", "warn")))
    assert [0, 10] == [warned.returncode, strict.returncode]
    assert "bluegreen orphans" in json.loads(strict.stdout)["next"]


def test_a_fault_ends_the_command_with_10_and_no_secret_is_in_anything_that_it_says(here: Here, tmp_path: Path) -> None:
    config = json.loads(here.sound.config["velro:secrets"])
    secrets = [*config["tokens"].values(), *config["consumers"].values(), config["previewKey"], config["releaseKey"]]
    written = tmp_path / "junit.xml", tmp_path / "validate.md"
    with unlocked(here.sound):
        done = here.sound.said("--junit", str(written[0]), "--markdown", str(written[1]), "--skip", "latency*")
    said = done.stdout + done.stderr + "".join(file.read_text(encoding="utf-8") for file in written)
    assert 10 == done.returncode
    assert "key-required:backend-api" in json.loads(done.stdout)["what"]
    assert [] == [secret for secret in secrets if secret in said]


def test_when_all_is_healed_everything_is_as_it_was(here: Here) -> None:
    now = statuses(here.sound.looked()) | statuses(here.sound.looked(measured=True))
    assert statuses(here.healthy) == now


def test_at_least_twenty_different_faults_were_planted() -> None:
    assert len({fault.name for fault in FAULTS}) >= 20
