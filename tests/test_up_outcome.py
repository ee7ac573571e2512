"""How an update ended, judged by what an engine wrote: the code says where users are, the sentence what was wrong."""

import signal
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bluegreen.cli.troubles import known
from bluegreen.cli.up_outcome import End, held, outcome
from bluegreen.cli.up_seen import PARTIAL, UNKNOWN, Seen
from bluegreen.cli.verb import Exit, Outcome

TRAFFIC, SERVICE = "bluegreen:rollout:Traffic", "bluegreen:railway:Service"
VERIFIED = "command:local:Command"
FIRST = {"app": "backend", "kind": "first", "verdict": "passed", "goal": "blue", "release": "r1"}
Event = dict[str, Any]


def state(live: str, *history: Mapping[str, Any], weights: Mapping[str, int] | None = None) -> Event:
    known_ = {"blue": 100} if weights is None else weights
    return {"live": {"backend": live}, "weights": {"backend": known_}, "history": [FIRST, *history]}


def ended(verdict: str, kind: str = "rollout", origin: str = "blue", goal: str = "green") -> Event:
    return {"app": "backend", "kind": kind, "verdict": verdict, "origin": origin, "goal": goal, "release": "r2"}


def meta(kind: str, name: str, op: str, old: Any = None, new: Any = None) -> Event:
    rows = {side: {"outputs": outputs} for side, outputs in (("old", old), ("new", new)) if outputs is not None}
    return {"metadata": {"op": op, "type": kind, "urn": f"urn:pulumi:s::p::{kind}::{name}", **rows}}


def read(live: str = "blue") -> Event:
    """The look before: what was recorded, and what is so."""
    return {"resOutputsEvent": meta(TRAFFIC, "traffic", "refresh", state(live), state(live))}


def did(kind: str, name: str, op: str = "update") -> Event:
    return {"resOutputsEvent": meta(kind, name, op)}


def moves() -> Event:
    return {"resourcePreEvent": meta(TRAFFIC, "traffic", "update")}


def failed(kind: str, name: str, status: int = 0, new: Any = None) -> Event:
    return {"resOpFailedEvent": {**meta(kind, name, "update", state("blue"), new), "status": status}}


def erred(text: str, urn: str = "") -> Event:
    return {"diagnosticEvent": {"severity": "error", "message": f"{text}\n", "urn": urn}}


def heard(*events: Event) -> tuple[Seen, list[str]]:
    seen = Seen()
    return seen, [text for event in events for text, _ in seen.hear(event)]


def judged(*events: Event, **end: Any) -> Outcome:
    return outcome(heard(*events)[0], End(**{"code": 1, **end}), "shop")


def moved(live: str, *history: Mapping[str, Any], weights: Mapping[str, int] | None = None, **end: Any) -> Exit:
    """How a move ended after which traffic is so."""
    return judged(
        read(), moves(), failed(TRAFFIC, "traffic", PARTIAL, state(live, *history, weights=weights)), **end
    ).exit


MOVES: Mapping[str, tuple[Exit, Exit]] = {
    "rejected, and back": (moved("blue", ended("rejected")), Exit.FAILED_BEFORE_SWITCH),
    "nobody could judge it, and back": (moved("blue", ended("stopped")), Exit.FAILED_BEFORE_SWITCH),
    "no history of it, and back": (moved("blue"), Exit.FAILED_BEFORE_SWITCH),
    "left on the new colour": (moved("green", ended("rejected")), Exit.ROLLBACK_FAILED),
    "left in the middle": (moved("unfinished", ended("rejected")), Exit.ROLLBACK_FAILED),
    "left in the middle, without history": (moved("split"), Exit.ROLLBACK_FAILED),
    "a rollback did not arrive": (moved("blue", ended("stopped", "rollback")), Exit.ROLLBACK_FAILED),
    "a rollback was stopped by somebody": (
        moved("blue", ended("stopped", "rollback"), wish=signal.SIGINT),
        Exit.INTERRUPTED,
    ),
    "somebody took it by hand": (moved("held", ended("stopped")), Exit.INCONCLUSIVE),
    "the gateway is silent": (moved("none", ended("stopped"), weights={}), Exit.INCONCLUSIVE),
    "arrived, but for its mark": (moved("unfinished", ended("passed")), Exit.INCONCLUSIVE),
    "stopped by ^C, and back": (moved("blue", ended("stopped"), wish=signal.SIGINT), Exit.INTERRUPTED),
    "stopped by SIGTERM, and back": (moved("blue", ended("stopped"), wish=signal.SIGTERM), Exit.TERMINATED),
    "stopped by ^C, and not back": (moved("unfinished", ended("stopped"), wish=signal.SIGINT), Exit.ROLLBACK_FAILED),
}


@pytest.mark.parametrize(("found", "expected"), MOVES.values(), ids=MOVES)
def test_a_move_that_did_not_arrive_is_judged_by_where_users_are(found: Exit, expected: Exit) -> None:
    assert found == expected


def test_the_first_release_that_fails_is_a_failure_before_the_switch() -> None:
    first = {"app": "backend", "kind": "first", "verdict": "rejected", "origin": None, "goal": "blue", "release": "r1"}
    nothing = {"live": {"backend": "none"}, "weights": {"backend": {}}, "history": [first]}
    row = {**meta(TRAFFIC, "traffic", "create", None, nothing), "status": PARTIAL}
    assert judged(moves(), {"resOpFailedEvent": row}).exit is Exit.FAILED_BEFORE_SWITCH


AFTER = {"resOutputsEvent": meta(TRAFFIC, "traffic", "update", state("blue"), state("green", ended("passed")))}
OTHERS: Mapping[str, tuple[Sequence[Event], Mapping[str, Any], Exit]] = {
    "refused": ((read(), erred("no")), {}, Exit.REFUSED),
    "refused by traffic": ((read(), moves(), failed(TRAFFIC, "traffic")), {}, Exit.REFUSED),
    "refused after something was changed": ((read(), did("bluegreen:kong:Route", "r"), erred("no")), {}, Exit(10)),
    "a deployment that does not come up": ((read(), failed(SERVICE, "backend-green", PARTIAL)), {}, Exit(10)),
    "a verification that fails": ((read(), failed(VERIFIED, "backend-green-verified")), {}, Exit(10)),
    "after the switch": ((read(), AFTER, failed(SERVICE, "backend-blue", PARTIAL)), {}, Exit.FAULT),
    "a bug of the provider": ((read(), failed(SERVICE, "backend-green", UNKNOWN)), {}, Exit.FAULT),
    "a bug in the middle of a move": ((read(), moves(), failed(TRAFFIC, "traffic", UNKNOWN)), {}, Exit(13)),
    "a provider that is killed": ((read(), erred("it exited prematurely.")), {}, Exit.FAULT),
    "a provider that is killed in a move": (
        (read(), moves(), failed(TRAFFIC, "traffic"), erred("error reading from server: EOF")),
        {"now": {"backend": "unfinished"}},
        Exit.INCONCLUSIVE,
    ),
    "an engine that does not say why": ((read(), did(SERVICE, "s")), {"code": 3}, Exit.FAULT),
    "an engine that is killed": ((read(),), {"code": -9}, Exit.FAULT),
    "an engine that is killed in a move": ((read(), moves()), {"code": -9}, Exit.INCONCLUSIVE),
    "an old mark, and a refusal elsewhere": ((read(), erred("no")), {"now": {"backend": "unfinished"}}, Exit.REFUSED),
    "stopped before any traffic": ((read(), did(SERVICE, "s")), {"wish": signal.SIGHUP}, Exit.INTERRUPTED),
}


@pytest.mark.parametrize(("events", "end", "expected"), OTHERS.values(), ids=OTHERS)
def test_whatever_else_ends_an_update_has_its_code(
    events: Sequence[Event], end: Mapping[str, Any], expected: Exit
) -> None:
    assert judged(*events, **end).exit == expected


def test_a_traceback_of_the_program_reaches_nobody() -> None:
    trace = 'Program failed with an unhandled exception:\nTraceback (most recent call last):\n  File "x"\nKeyError: 1'
    seen, told = heard(read(), erred(trace))
    found = outcome(seen, End(1), "shop")
    assert (found.exit, found.what) == (Exit.FAULT, "The stack's program met a fault of its own: KeyError: 1")
    assert told == [found.what]


def test_logs_behind_a_sentence_are_shown_as_they_come_and_left_out_of_the_end() -> None:
    seen, told = heard(erred("1 error occurred:\n\t* backend-green did not come up.\nlast log lines:\n  boom\n\n"))
    assert told == ["backend-green did not come up.\nlast log lines:\n  boom"]
    assert outcome(seen, End(1), "shop").what == "backend-green did not come up."


def test_what_a_command_says_at_last_is_part_of_its_sentence() -> None:
    text = "the command ended with exit code 10.\nIts last lines:\n    backend-green is not fit to be live."
    seen, _ = heard(erred(text, f"urn:pulumi:s::p::{VERIFIED}::backend-green-verified"))
    assert seen.errors == ["the command ended with exit code 10. Its last lines: backend-green is not fit to be live."]


def test_what_a_preview_said_is_not_said_again_and_what_passes_is_no_line() -> None:
    word: Event = {"diagnosticEvent": {"severity": "warning", "message": "mind the gap\n"}}
    passing: Event = {"diagnosticEvent": {"severity": "info", "message": "proving", "ephemeral": True}}
    seen = Seen()
    told = [each for event in (word, passing, word) for each in seen.hear(event)]
    assert told == [("mind the gap", False), ("proving", True)]


def test_what_a_preview_would_do_is_not_told_as_done() -> None:
    planned = {**meta(SERVICE, "backend-green", "update"), "planning": True}
    seen, told = heard({"resOutputsEvent": planned})
    assert (seen.changed, told) == ([], [])


def test_an_advisory_policy_is_told_and_only_a_mandatory_one_is_named_at_the_end() -> None:
    def objects(rule: str, level: str) -> Event:
        return {"policyEvent": {"policyName": rule, "enforcementLevel": level, "message": f"{rule} objects."}}

    seen, told = heard(objects("soft", "advisory"), objects("hard", "mandatory"))
    assert told == ["policy soft (advisory): soft objects.", "policy hard (mandatory): hard objects."]
    found = outcome(seen, End(1), "shop")
    assert (found.exit, found.what, found.world) == (Exit.REFUSED, "Policies object: hard.", "Nothing was changed.")


LOCKS = {
    "a file": (
        "error: the stack is currently locked by 1 lock(s). Either wait …\n  file:///s/l.json: created by ann@ci "
        "(pid 7) at 2026-01-02T03:04:05Z",
        "process 7 of ann@ci since 2026-01-02T03:04:05Z",
    ),
    "a service": ("error: [409] Conflict: Another update is currently in progress.", "another update"),
}


@pytest.mark.parametrize(("said", "who"), LOCKS.values(), ids=LOCKS)
def test_a_lock_that_only_the_engine_meets_is_told_with_its_holder(said: str, who: str) -> None:
    found = outcome(Seen(), End(1, said), "shop")
    assert (found.exit, found.what) == (Exit.LOCKED, f"Stack shop is locked by {who}.")


def test_who_is_gone_is_said_and_how_its_lock_goes() -> None:
    found = held("shop", "process 7 of ann@ci", alive=False)
    assert found.what == "Stack shop is locked by process 7 of ann@ci, which is gone."
    assert found.next.startswith("Run bluegreen recover")


TROUBLES = {
    "a passphrase": ("error: getting stack configuration: incorrect passphrase", "The passphrase is not the one of"),
    "no passphrase": ("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE", "and none is given."),
    "no login": ("error: PULUMI_ACCESS_TOKEN must be set for login during", "Nobody is logged in to where stack shop"),
    "no stack": ("error: no stack named 'shop' found", "There is no stack 'shop' where the state is kept."),
    "no place": (
        'error: unable to open state directory "file:///x": stat /x',
        'cannot be opened: "file:///x": stat /x.',
    ),
    "no plugin": (
        "error: no resource plugin 'pulumi-resource-command' found",
        "A plugin of the engine is missing: no ",
    ),
}


@pytest.mark.parametrize(("said", "expected"), TROUBLES.values(), ids=TROUBLES)
def test_an_engine_that_does_not_begin_is_told_in_our_words(said: str, expected: str) -> None:
    found = outcome(Seen(), End(255, f"Updating (shop):\n{said}\n"), "shop")
    assert found.exit is Exit.REFUSED
    assert expected in found.what


def test_whatever_else_the_engine_says_stays_as_it_said_it() -> None:
    assert known("error: the sky is falling", "shop") is None
    found = outcome(Seen(), End(255, "error: the sky is falling"), "shop")
    assert (found.exit, found.what) == (Exit.FAULT, "pulumi up did not begin: the sky is falling.")


def test_a_stop_before_the_engine_began_is_an_interruption() -> None:
    found = outcome(Seen(), End(1, "error: canceled", wish=signal.SIGTERM), "shop")
    assert (found.exit, found.what) == (Exit.TERMINATED, "The update was stopped before it began.")
