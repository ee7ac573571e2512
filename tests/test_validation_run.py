"""The runner of a validation: every check ends by itself, whatever becomes of the others, and tells no secret."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from bluegreen.connections import Connections
from bluegreen.handler import Refused
from bluegreen.settings import Settings
from bluegreen.standing import Recorded
from bluegreen.validation.check import Ask, Asked, Room, Seen, Skip
from bluegreen.validation.finding import Finding, Severity, Validation
from bluegreen.validation.register import register
from bluegreen.validation.run import AT_ONCE, validate
from tests.memory import Clock

SECRET = "hunter2-and-more"


def settings() -> Settings:
    whole = {
        "railway": {"projectId": "p", "environmentId": "e"},
        "apps": {
            "backend": {
                "kind": "api",
                "live": "blue",
                "blue": {"image": f"ghcr.io/a/b@sha256:{'a' * 64}", "replicas": {"us-west2": 1}},
            }
        },
        "gateway": {"consumers": {"web": {}}},
        "secrets": {"consumers": {"web": SECRET}, "tokens": {"ann": f"{SECRET}-longer"}},
    }
    return Settings.parse("shop", "test", {f"shop:{key}": json.dumps(value) for key, value in whole.items()})


def room() -> Room:
    async def nobody() -> Recorded:
        return Recorded(unread="nobody asks")

    return Room(settings(), Connections({"previewKey": "key-of-previews"}), Clock(), nobody)


def asked(id: str, ask: Ask, **given: Any) -> Asked:
    return Asked(**{"id": id, "group": "health", "expected": "well", "hint": "Heal it.", "ask": ask, **given})


def says(seen: Seen | Sequence[Seen]) -> Ask:
    async def ask(room: Room) -> Seen | Sequence[Seen]:
        return seen

    return ask


def raises(fault: BaseException) -> Ask:
    async def ask(room: Room) -> Seen:
        raise fault

    return ask


def found(*checks: Asked, fail_on: Severity = "error") -> Validation:
    return asyncio.run(validate(room(), checks, fail_on=fail_on))


def one(ask: Ask, **given: Any) -> Finding:
    return found(asked("check", ask, **given)).findings[0]


WELL = says(Seen(True, "well"))


async def forever(room: Room) -> Seen:
    await asyncio.Event().wait()
    raise AssertionError


def test_findings_stand_in_the_order_of_the_checks_however_late_each_ends() -> None:
    async def late(room: Room) -> Seen:
        for _ in range(50):
            await asyncio.sleep(0)
        return Seen(True, "late")

    told = found(
        asked("a", late), asked("b", says([Seen(True, "x", about="1"), Seen(True, "y", about="2")])), asked("c", WELL)
    )
    assert [finding.id for finding in told.findings] == ["a", "b:1", "b:2", "c"]


def test_one_that_never_ends_and_one_that_crashes_hide_no_other() -> None:
    told = found(asked("stuck", forever, within=0.05), asked("crash", raises(KeyError("x"))), asked("well", WELL))
    assert [(each.id, each.status) for each in told.findings] == [
        ("stuck", "error"),
        ("crash", "error"),
        ("well", "pass"),
    ]
    assert told.findings[0].observed == "no answer within 0.05 s"


def test_a_crash_is_told_by_its_place_and_never_by_its_words() -> None:
    finding = one(raises(ValueError(f"https://ann:{SECRET}@db")))
    assert finding.observed.startswith("the check itself met a fault: ValueError in ask (test_validation_run.py, line ")
    assert SECRET not in finding.model_dump_json()


def test_an_expected_end_is_told_in_its_own_words() -> None:
    finding = one(raises(Refused("Kong cannot be reached.", world="Nothing was changed.", next="Start Kong.")))
    assert (finding.status, finding.observed, finding.hint) == (
        "error",
        "Kong cannot be reached.",
        "Start Kong. Heal it.",
    )


def test_what_there_is_nothing_to_look_at_for_is_skipped_with_the_reason() -> None:
    finding = one(raises(Skip("no database is configured")))
    assert (finding.status, finding.observed, finding.hint) == ("skipped", "no database is configured", "")
    assert one(says([])).status == "skipped"


def test_what_is_left_to_a_check_that_nobody_asks_is_an_error() -> None:
    lost = asked("lost", raises(Skip("Kong cannot be asked, as gateway-reachable tells: refused.")))
    (alone,) = found(lost).findings
    assert (alone.status, alone.observed) == ("error", "Kong cannot be asked: refused.")
    assert alone.hint == "bluegreen validate --only gateway-reachable says more."
    assert [each.status for each in found(asked("gateway-reachable", says(Seen(False, "refused"))), lost).findings] == [
        "fail",
        "skipped",
    ]


@pytest.mark.parametrize(
    ("severity", "status", "against", "strictly"),
    [("error", "fail", 1, 1), ("warn", "warn", 0, 1), ("info", "warn", 0, 0)],
)
def test_what_is_not_as_expected_weighs_what_its_severity_says(
    severity: Severity, status: str, against: int, strictly: int
) -> None:
    check = asked("check", says(Seen(False, "ill")), severity=severity)
    told = found(check)
    assert (told.findings[0].status, len(told.against), len(found(check, fail_on="warn").against)) == (
        status,
        against,
        strictly,
    )


def test_a_warning_that_could_not_be_asked_for_is_no_more_than_a_warning() -> None:
    told = found(asked("check", raises(KeyError()), severity="warn"), asked("well", WELL))
    assert (told.findings[0].status, told.verdict) == ("error", "pass")


def test_where_nothing_was_asked_nothing_is_known() -> None:
    assert found().verdict == "inconclusive"
    assert found(asked("check", raises(Skip("nothing")))).verdict == "inconclusive"


def test_no_more_than_twelve_are_under_way_at_once() -> None:
    under_way, most = 0, 0

    async def ask(room: Room) -> Seen:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(5):
            await asyncio.sleep(0)
        under_way -= 1
        return Seen(True, "well")

    found(*(asked(str(number), ask) for number in range(3 * AT_ONCE)))
    assert most == AT_ONCE


def test_what_measures_is_asked_after_all_others_and_beside_nobody() -> None:
    steps: list[str] = []

    def ask(name: str) -> Ask:
        async def told(room: Room) -> Seen:
            steps.append(f"{name} begins")
            await asyncio.sleep(0)
            steps.append(f"{name} ends")
            return Seen(True, "well")

        return told

    told = found(asked("m1", ask("m1"), alone=True), asked("m2", ask("m2"), alone=True), asked("a", ask("a")))
    assert steps == ["a begins", "a ends", "m1 begins", "m1 ends", "m2 begins", "m2 ends"]
    assert [finding.id for finding in told.findings] == ["m1", "m2", "a"]


def test_who_is_cancelled_may_take_away_what_it_made_before_the_validation_ends() -> None:
    steps: list[str] = []
    begun = asyncio.Event()

    async def journey(room: Room) -> Seen:
        steps.append("made")
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            steps.append("taken away")
        raise AssertionError

    async def go() -> None:
        run = asyncio.create_task(validate(room(), [asked("stuck", forever), asked("journey", journey)]))
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        steps.append("ended")

    asyncio.run(go())
    assert steps == ["made", "taken away", "ended"]


def test_what_several_need_is_read_once_and_a_late_one_takes_it_from_nobody() -> None:
    reads = 0
    ready = asyncio.Event()

    async def read() -> str:
        nonlocal reads
        reads += 1
        await ready.wait()
        return "read"

    async def hasty(room: Room) -> Seen:
        return Seen(True, await room.once("it", read))

    async def patient(room: Room) -> Seen:
        asyncio.get_running_loop().call_later(0.1, ready.set)
        return Seen(True, await room.once("it", read))

    told = found(asked("hasty", hasty, within=0.02), asked("patient", patient))
    assert ([(each.status, each.observed) for each in told.findings][1], reads) == (("pass", "read"), 1)
    assert told.findings[0].status == "error"


def test_a_fault_of_what_several_need_is_everybodys_own_finding() -> None:
    async def read() -> str:
        raise Refused("No answer.", world="", next="")

    async def ask(room: Room) -> Seen:
        return Seen(True, await room.once("it", read))

    assert [each.status for each in found(asked("a", ask), asked("b", ask)).findings] == ["error", "error"]


def test_no_secret_of_the_stack_is_in_any_field_however_long_the_text() -> None:
    long = "x" * 390 + f" {SECRET}-longer key-of-previews {SECRET}"
    told = found(asked("check", says(Seen(False, long, expected=SECRET, hint=f"Use {SECRET}.")))).model_dump_json()
    assert [secret for secret in (SECRET, "key-of-previews", "hunter2", "-longer") if secret in told] == []


def test_an_answer_cannot_write_on_the_terminal() -> None:
    assert one(says(Seen(False, "red \x1b[31m\nnext line"))).observed == "red ?[31m next line"
    assert one(says(Seen(False, "it is prepared", about="a\x1b[31m\nb"))).id.endswith(":a?[31m b")


def test_every_check_of_the_register_has_one_name_an_expectation_and_a_remedy() -> None:
    checks = register()
    assert len({each.id for each in checks}) == len(checks) >= 40
    assert [each.id for each in checks if not each.hint.endswith((".", "…", ")")) or not each.expected] == []
    assert [each.id for each in checks if not each.doc.startswith("docs/validate.md#")] == []
