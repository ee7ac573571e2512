"""`bluegreen validate` end to end: a sound sandbox is all green, and a planted fault is told by its own check alone.

One sandbox for all of it: faults are planted, looked at and healed, and at the end everything is as it was.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import Path

import pytest

from bluegreen.validation.finding import Finding, Validation
from bluegreen.validation.run import TELLER
from tests import planted_database, planted_gateway, planted_platform
from tests.faults_room import Config, Sound, sound
from tests.planted import FAULTS, Fault, How
from tests.planted_gateway import unlocked

PLANTS = (planted_gateway, planted_platform, planted_database)  # which keep their faults when they are imported
MANY = 3  # patterns of what a fault hides, from which it is planted alone
from tests.published import fitting

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
    told = fitting("validate", done.stdout)
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


def rounds() -> list[tuple[Fault, ...]]:
    """Faults of different rooms, which do not touch each other, are planted at once; what hides much is alone."""
    few = [fault for fault in FAULTS if len(fault.hides) <= MANY and not fault.alone]
    rooms = ([fault for fault in few if fault.room == room] for room in ("gateway", "platform", "database"))
    mixed = [tuple(filter(None, beside)) for beside in zip_longest(*rooms)]
    return [*mixed, *((fault,) for fault in FAULTS if fault not in few)]


@pytest.mark.parametrize(
    "faults", rounds(), ids=lambda faults: "+".join(each.name.replace(" ", "-") for each in faults)
)
def test_a_planted_fault_is_told_by_its_own_check_alone(here: Here, faults: tuple[Fault, ...]) -> None:
    with ExitStack() as planted:
        found = looked(here.sound, [planted.enter_context(fault.plant(here.sound)) for fault in faults])
    told, expected = against(found), {id: words for fault in faults for id, words in fault.against.items()}
    assert {} == {id: one.observed for id, one in told.items() if not matched(id, expected)}
    unmet = [pattern for pattern in expected if not any(fnmatchcase(id, pattern) for id in told)]
    assert [] == unmet
    for id, one in told.items():
        assert any(expected[each] in one.hint for each in matched(id, expected)), (id, one.hint)
    before, after = statuses(here.healthy), statuses(found)
    others = {id: status for id, status in after.items() if id not in told and before.get(id, "pass") != status}
    hidden = tuple(pattern for fault in faults for pattern in fault.hides)
    assert {} == {id: status for id, status in others.items() if not matched(id, hidden)}
    tellers = {id: named[1] for id in others if (named := TELLER.search(seen_of(found, id)))}
    telling = {id.partition(":")[0] for id in (*told, *tellers)}  # one that is skipped itself names the next
    assert {} == {id: teller for id, teller in tellers.items() if teller not in telling}


def seen_of(validation: Validation, id: str) -> str:
    return next(finding.observed for finding in validation.findings if finding.id == id)


def looked(sound: Sound, planted: Sequence[How]) -> Validation:
    """What is said with all of them in place."""

    def edit(config: Config) -> None:
        for how in planted:
            how.get("edit", lambda config: None)(config)

    environment = {key: text for how in planted for key, text in how.get("environment", {}).items()}
    return sound.looked(edit, environment=environment, measured=any(how.get("measured") for how in planted))


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


@dataclass(frozen=True, slots=True)
class Edit:
    """What somebody does by hand, and the commands that every hint names: no more, and no others."""

    name: str
    rows: Sequence[
        tuple[str, str, Mapping[str, object] | None]
    ]  # method, path and body; a colour is stopped in Railway
    remedies: Sequence[str]
    beside: Sequence[str] = ()  # what names no command


OFF = {"enabled": False}
EDITS = (
    Edit(
        "edited and deleted",
        [
            ("PATCH", "/plugins/gateway-cors", {"config": {"origins": ["http://elsewhere.sandbox"]}}),
            ("PATCH", "/routes/frontend-blue-web", {"strip_path": True}),
            ("DELETE", "/plugins/backend-api-key-auth", None),
            ("DELETE", "/plugins/gateway-correlation-id", None),
            ("DELETE", "/consumers/web/key-auth/*", None),
            ("STOP", "backend-green", None),
        ],
        ("pulumi refresh", "pulumi up"),
        beside=("health:backend-green",),  # which says to look at the logs
    ),
    Edit(
        "switched off for users",
        [("PATCH", "/plugins/gateway-correlation-id", OFF), ("PATCH", "/plugins/backend-api-key-auth", OFF)],
        ("bluegreen rollback kong --reason …",),
    ),
    Edit("a service off", [("PATCH", "/services/backend", OFF)], ('PATCH /services/backend "enabled": true',)),
    Edit(
        "an idle target elsewhere",
        [("PATCH", "/upstreams/backend/targets/green", {"target": "127.0.0.1:9"})],
        ('PATCH /upstreams/backend/targets/green "target": "backend-green.railway.internal:*"',),
    ),
)
REMEDY = re.compile(r"pulumi refresh|pulumi up|bluegreen rollback kong --reason …|PATCH [^\s,]+")
WRITTEN = re.compile(r'(PATCH \S+) in Kong\'s Admin API, ("[a-z]+": [^\s,]+)')


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name.replace(" ", "-"))
def test_whoever_does_what_the_hints_say_has_a_sound_stack_again(here: Here, edit: Edit) -> None:
    for method, path, body in edit.rows:
        if method == "STOP":
            here.sound.stop(*path.split("-"))
        else:
            here.sound.admin(method, exact(here.sound, path), body)
    here.sound.settled()
    told = against(here.sound.looked())
    assert told
    remedies = {id: tuple(named(here.sound, one.hint)) for id, one in told.items() if id not in edit.beside}
    assert {id: each for id, each in remedies.items() if not fits(each, edit.remedies)} == {}
    for remedy in dict.fromkeys(remedy for each in remedies.values() for remedy in each):
        done(here.sound, remedy)
    here.sound.settled()
    assert {} == {id: one.observed for id, one in against(here.sound.looked()).items()}


def exact(sound: Sound, path: str) -> str:
    """The path with the ids that only Kong knows."""
    if path.endswith("/targets/green"):
        return path.replace("/green", f"/{sound.target('backend', 'green')['id']}")
    return path.replace("*", sound.admin("GET", path.removesuffix("/*"))["data"][0]["id"]) if "*" in path else path


def named(sound: Sound, hint: str) -> Iterator[str]:
    """What the hint says to do, in its order."""
    target = sound.target("backend", "green")["id"]
    for words in REMEDY.findall(WRITTEN.sub(r"\1", hint)):
        written = next((f"{each[1]} {each[2].rstrip('.')}" for each in WRITTEN.finditer(hint) if each[1] == words), "")
        yield (written or words).replace(target, "green")


def fits(remedies: Sequence[str], wanted: Sequence[str]) -> bool:
    return len(remedies) == len(wanted) and all(map(fnmatchcase, remedies, wanted))


def done(sound: Sound, remedy: str) -> None:
    """Exactly that."""
    if remedy.startswith("PATCH "):
        _, path, body = remedy.split(" ", 2)
        sound.admin("PATCH", exact(sound, path), json.loads(f"{{{body}}}"))
    elif remedy.startswith("bluegreen "):
        ended = sound.stack.bluegreen("rollback", "kong", "--reason", "somebody has switched plugins off")
        assert 0 == ended.returncode, ended.stdout + ended.stderr
    else:
        run = sound.stack.run(remedy.removeprefix("pulumi "), "--yes", "--skip-preview")
        assert 0 == run.code, run.output


def test_users_that_are_led_elsewhere_are_led_back_as_the_hint_says(here: Here) -> None:
    row = here.sound.target("backend", "blue")
    path = f"/upstreams/backend/targets/{row['id']}"
    here.sound.admin("PATCH", path, {"target": "127.0.0.1:9"})
    here.sound.settled()
    told = against(here.sound.looked())
    assert "Run pulumi refresh, then pulumi up: users are led back at once." == told["colours-apart:backend"].hint
    done(here.sound, "pulumi refresh")
    done(here.sound, "pulumi up")
    here.sound.settled()
    assert row["target"] == here.sound.target("backend", "blue")["target"]
    assert {} == {id: one.observed for id, one in against(here.sound.looked()).items()}


def test_what_cannot_be_asked_for_an_expired_certificate_names_the_check_that_says_so(here: Here) -> None:
    with here.sound.certificate(-1):
        found = here.sound.looked()
    skipped = [TELLER.search(one.observed) for one in found.findings if "proxy cannot be asked" in one.observed]
    named = {teller[1] for teller in skipped if teller is not None}
    assert (len(skipped) > 20, named) == (True, {"tls-expiry"})


def test_when_all_is_healed_everything_is_as_it_was(here: Here) -> None:
    now = statuses(here.sound.looked()) | statuses(here.sound.looked(measured=True))
    assert statuses(here.healthy) == now


def test_at_least_twenty_different_faults_were_planted() -> None:
    assert len({fault.name for fault in FAULTS}) >= 20
