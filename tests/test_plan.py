"""What a plan says against its file, and how each of it is set aside; no database is needed to read a plan."""

import pytest

from bluegreen.handler import Refused
from bluegreen.postgres.admission import admitted
from bluegreen.postgres.catalog import Reverse, Way
from bluegreen.postgres.lint.findings import Finding, Linted
from bluegreen.postgres.plan import Plan, Verified
from bluegreen.postgres.verify.leftovers import Fault
from bluegreen.postgres.verify.matrix import Matrix
from bluegreen.postgres.verify.replay import Broken, Replayed

FOUND: dict[str, tuple[dict[str, object], str]] = {
    "catalog-phase": (
        {"found_phase": "contract", "reasons": ("table public.t is gone.",)},
        "it says expand, and what runs today would notice: table public.t is gone",
    ),
    "unproven-reverse": (
        {"reverse": Reverse(proven=False, differences=("After the way back it is not as before: added: table x.",))},
        "its way back is not proven: After the way back it is not as before: added: table x",
    ),
    "leftover": (
        {"leftovers": (Fault(object="public.i", message="The index is invalid."),)},
        "public.i: The index is invalid",
    ),
    "matrix-differs": (
        {"matrix": Matrix(), "matrix_differences": ("anon may now SELECT public.t: 1.",)},
        "anon may now SELECT public.t: 1",
    ),
    "broken-statement": (
        {"replayed": Replayed(broken=(Broken(statement="select a from t", message="no column a"),))},
        "the running release asks 'select a from t', and then: no column a",
    ),
}


def plan(*rules: str, **more: object) -> Plan:
    found: dict[str, object] = {"version": "011", "name": "teams", "phase": "expand"}
    for rule in rules:
        found |= FOUND[rule][0]
    return Plan.model_validate({**found, **more})


def refused(found: Plan) -> Refused:
    with pytest.raises(Refused) as caught:
        admitted(found)
    return caught.value


@pytest.mark.parametrize("rule", FOUND)
def test_what_a_copy_shows_refuses_a_file_and_is_set_aside_by_its_rule_alone(rule: str) -> None:
    assert plan(rule).refusals == (f"{FOUND[rule][1]} ({rule})",)
    assert plan(rule, allowed={rule: "it is meant"}).refusals == ()
    others = {other: "it is meant" for other in FOUND if other != rule}
    assert plan(rule, allowed=others).refusals == plan(rule).refusals
    assert refused(plan(rule)).next == (
        f"Correct the file, or say above the statement why it is right: -- bluegreen:allow {rule} REASON; "
        "docs/rules.md tells more."
    )


def test_every_reason_is_told_until_there_are_many() -> None:
    said = refused(plan(*FOUND)).what
    assert all(rule in said for rule in FOUND)
    many = plan(leftovers=[Fault(object=f"public.i{number}", message="It is invalid.") for number in range(7)])
    assert refused(many).what.count("It is invalid (leftover)") == 5
    assert refused(many).what.endswith("; and 2 more.")


def test_what_can_only_go_forward_is_told_with_its_reason_and_not_as_a_fault_of_the_proof() -> None:
    reverse = Reverse(
        verdict="forward only",
        objects=(
            Way(object="enum public.mood", verdict="forward only", why="A value cannot be taken out of an enum."),
        ),
        differences=("After the way back it is not as before: changed: enum public.mood (values).",),
    )
    assert plan(reverse=reverse).refusals == (
        "it can only go forward with enum public.mood (A value cannot be taken out of an enum): "
        "allow that if it is meant (unproven-reverse)",
    )


def test_a_contract_may_break_what_an_expand_may_not() -> None:
    assert plan("catalog-phase", "broken-statement", phase="contract").refusals == ()


def test_what_can_never_be_allowed_is_not_offered_to_be() -> None:
    linted = Linted(findings=(Finding(rule="syntax-error", level="refuse", line=2, message="nonsense"),))
    halt = refused(plan(linted=linted))
    assert (halt.what, halt.next) == (
        "011_teams is refused: line 2: nonsense (syntax-error).",
        "Correct the file; docs/rules.md tells more.",
    )


def test_a_database_is_well_when_it_is_the_same_and_nothing_is_half_done() -> None:
    assert Verified(same=True).well
    assert not Verified(same=True, leftovers=(Fault(object="public.i"),)).well
    assert not Verified().well
