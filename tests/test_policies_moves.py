"""The policy rules about what one update does together, and about proof before traffic."""

from dataclasses import replace
from typing import Any

import pytest

from policies.rule import UNKNOWN, Resource, Violation
from tests.policies_room import contract, done, findings, lane, said, service, traffic, unjudged, verification

OLD = [done("blue", ago=100)]  # users are on blue, and the window of 72 h is over
YOUNG = [done("blue", ago=1)]
BACK = [done("green", ago=200), done("blue", ago=1)]  # green passed before blue did


def colour(name: str = "green", **fields: Any) -> Resource:
    inputs = {"app": "backend", "colour": name, "role": "idle", "running": True, **fields}
    return Resource("bluegreen:railway:Service", f"backend-{name}", "production", inputs, f"urn:{name}")


# contract-alone


@pytest.mark.parametrize(
    "resources",
    [
        [traffic(history=OLD), contract()],
        [traffic(), contract()],  # the first update of all
        [traffic({"backend": lane("green")}, history=OLD), contract("2026-01-01T00:00:00Z")],  # applied long ago
        [traffic({"backend": lane("green")}, history=OLD), contract(phase="expand", upstreams=None)],
        [traffic({"backend": lane(addresses={"blue": "b:1"})}, history=YOUNG), contract()],  # no way back is left
        [traffic(history=[done("blue", ago=1, kind="first", origin=None)]), contract()],
        [contract()],
    ],
)
def test_a_contract_alone_is_content(resources: list[Resource]) -> None:
    assert said("contract-alone", resources) == []


@pytest.mark.parametrize("applied", [None, UNKNOWN])
def test_a_contract_in_the_update_of_a_move_is_refused(applied: Any) -> None:
    moving = traffic({"backend": lane("green")}, history=OLD)
    assert said("contract-alone", [moving, contract(applied)]) == [
        "012_away: takes away what older releases need in the very update that moves backend. A rollback of that move "
        "would meet a schema without it. Move traffic first, and raise migrations.target in an update of its own when "
        "the rollback window is over."
    ]


def test_a_move_that_went_back_left_users_where_they_were() -> None:
    stopped = [*OLD, done("green", ago=90, verdict="rejected")]
    assert said("contract-alone", [traffic(history=stopped), contract()]) == []
    assert len(said("contract-alone", [traffic({"backend": lane("green")}, history=stopped), contract()])) == 1


def test_a_contract_while_an_app_may_go_back_is_refused() -> None:
    [sentence] = said("contract-alone", [traffic(history=YOUNG), contract()])
    assert sentence.startswith("012_away: takes away what older releases need, and backend may still go back until 20")


@pytest.mark.parametrize(
    ("slack", "fault"),
    [
        (contract(rollbackWindow="1d"), "waits 86400 s after a move, and one can be taken back for 259200 s"),
        (contract(rollbackWindow=None), "waits 0 s after a move, and one can be taken back for 259200 s"),
        (contract(upstreams=[]), "does not ask when backend last moved"),
        (replace(contract(), needs=()), "does not come after traffic"),
    ],
)
def test_a_contract_that_would_not_wait_is_refused_even_when_it_is_applied(slack: Resource, fault: str) -> None:
    applied = replace(slack, outputs={"appliedAt": "2026-01-01T00:00:00Z"})
    assert said("contract-alone", [traffic(history=OLD), applied]) == [
        f"012_away: {fault}. Nothing would keep it from being applied while a rollback may come. Declare contracts as "
        "components/migrations.py does, after Traffic and with its rollbackWindow."
    ]


# freeze-kept

WINDOW = {"name": "weekend", "cron": "0 0 * * 6", "duration": "48h"}


@pytest.mark.parametrize(
    "one",
    [
        traffic(history=OLD),
        traffic(history=OLD, freeze=[WINDOW]),
        traffic({"backend": lane("green")}, history=OLD, freeze=[WINDOW], freezeOverride="an incident"),
        traffic(history=YOUNG, freeze=[WINDOW], freezeOverride="an incident"),  # it has just been used
        traffic(on="staging", freezeOverride="always"),
    ],
)
def test_a_freeze_that_is_kept_is_content(one: Resource) -> None:
    assert said("freeze-kept", one) == []


def test_a_window_that_was_taken_out_is_refused() -> None:
    assert said("freeze-kept", traffic(freeze=[WINDOW]), windows=["weekend"]) == []
    assert said("freeze-kept", traffic(freeze=[{**WINDOW, "name": "night"}]), windows=["weekend"]) == [
        "traffic: rollout.freeze of stack production lacks weekend. As declared, rollouts go on in that time. Write "
        "the window back, or take its name out of `windows` of this rule's config."
    ]


@pytest.mark.parametrize("history", [(), OLD])
def test_an_override_that_nobody_needs_any_more_is_refused(history: Any) -> None:
    assert said("freeze-kept", traffic(history=history, freezeOverride="an incident")) == [
        "traffic: rollout.freezeOverride stands in the config, and no rollout needs it. As declared, the next freeze "
        "stops nothing. Take it out; write it with the rollout that cannot wait."
    ]


def test_how_long_an_override_may_stand_is_configurable() -> None:
    assert len(said("freeze-kept", traffic(history=YOUNG, freezeOverride="x"), overrideHours=0)) == 1
    assert said("freeze-kept", traffic(history=OLD, freezeOverride="x"), overrideHours=101) == []


def test_a_rollback_is_never_stopped_whatever_became_of_the_freeze() -> None:
    back = traffic({"backend": lane("green")}, history=BACK, freezeOverride="left behind")
    assert said("freeze-kept", back, windows=["weekend"]) == []
    on = traffic({"backend": lane("green", release="another")}, history=BACK)
    assert len(said("freeze-kept", on, windows=["weekend"])) == 1


# way-back-kept


@pytest.mark.parametrize(
    "resources",
    [
        [traffic(history=YOUNG), colour()],
        [traffic(history=OLD)],
        [traffic()],
        [traffic({"backend": lane("green")}, history=YOUNG)],  # this very update goes back to it
        [traffic({"backend": lane(unmarked=["green"])}, history=YOUNG)],  # somebody else deploys it
        [traffic(history=[done("blue", kind="rollback")])],  # nobody goes back to what was bad
        [traffic(on="staging", history=YOUNG)],
    ],
)
def test_a_way_back_that_is_kept_is_content(resources: list[Resource]) -> None:
    assert said("way-back-kept", resources) == []


@pytest.mark.parametrize(
    ("there", "how", "instead"),
    [
        ([], "is gone from", "Keep apps.backend.green"),
        ([service()], "is gone from", "Keep apps.backend.green"),
        ([colour(running=False)], "is stopped in", "Set apps.backend.idle: running"),
    ],
)
def test_a_way_back_that_was_taken_away_is_refused(there: list[Resource], how: str, instead: str) -> None:
    [sentence] = said("way-back-kept", [traffic(history=YOUNG), *there])
    assert sentence.startswith(f"backend-green: {how} stack production, and backend may have to go back to it until 20")
    assert sentence.endswith(f"As declared, a rollback would have to deploy it first. {instead} until then.")


# traffic-verified


def test_traffic_that_waits_for_a_verification_is_content() -> None:
    assert said("traffic-verified", [traffic(), verification()]) == []


def test_it_may_wait_by_way_of_something_else() -> None:
    between = Resource(
        "bluegreen:x:Y", "between", "production", {}, "urn:between", needs=("urn:verified", "urn:traffic")
    )
    assert said("traffic-verified", [traffic(needs=["urn:between"]), between, verification()]) == []


def test_what_somebody_else_deploys_is_verified_by_nobody() -> None:
    assert said("traffic-verified", traffic({"backend": lane(unmarked=["blue"])})) == []


@pytest.mark.parametrize(
    ("resources", "fault"),
    [
        ([traffic()], "no command verifies it"),
        ([traffic(), verification("green")], "no command verifies it"),
        ([traffic(), verification(app="frontend")], "no command verifies it"),
        ([traffic(), replace(verification(), properties={"create": "echo 'verify"})], "no command verifies it"),
        ([traffic(needs=[]), verification()], "traffic does not wait for backend-blue-verified"),
        ([traffic(), verification("blue", "x")], "backend-blue-verified does not run again for release of-blue"),
        ([traffic(), verification("blue", [])], "backend-blue-verified does not run again for release of-blue"),
    ],
)
def test_traffic_that_waits_for_no_proof_is_refused(resources: list[Resource], fault: str) -> None:
    [sentence] = said("traffic-verified", resources)
    assert sentence.startswith(f"traffic: backend blue is to be live, and {fault}. As declared, users meet a release")


def test_an_id_that_only_the_update_knows_leaves_a_release_that_is_among_the_triggers() -> None:
    assert said("traffic-verified", [traffic(), verification("blue", "of-blue", UNKNOWN)]) == []
    assert unjudged("traffic-verified", [traffic(), verification("blue", "another", UNKNOWN)]) == [
        "backend-blue-verified: triggers is not known here, so it is not judged. A whole update judges it."
    ]


def test_a_command_of_which_nothing_is_known_may_be_the_one() -> None:
    unheard = replace(verification(), properties=UNKNOWN)
    assert len(unjudged("traffic-verified", [traffic(), unheard])) == 1
    both = findings("traffic-verified", [traffic(needs=[]), verification(), unheard])
    assert [type(finding) for finding in both] == [Violation]
