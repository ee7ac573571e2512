"""Nothing about who may what changes in migration 011 without the recorded matrix noticing.

Each mutant is 011 with one thing dropped, loosened or widened. What the matrix says of a mutant has to differ from what
is recorded beside the migration; where a condition or a guard goes, in an answer of somebody and not only in what the
catalog says. The mutants of one table are asked in one session, because a fresh one has everything to learn.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify.matrix import compare, matrix
from tests.teams_world import TABLES
from tests.test_011_mutations import CLAUSES, FUNCTIONS, NARROWED, POLICIES
from tests.verify_room import altered, seed, shared, told

CATALOG = ("Policy ", "Rights of ", "Row level security of ", "Who may call ", "The seed of ")
GUARDS = (
    ("team_members_guard_owner", "team_members"),
    ("team_members_keep", "team_members"),
    ("team_invitations_keep", "team_invitations"),
    ("project_privacy_settings_keep", "project_privacy_settings"),
    ("project_teams_keep", "project_teams"),
    ("generation_collaborations_keep", "generation_collaborations"),
)
PUBLIC = [(policy, table, "to public") for policy, table in POLICIES]
OPENED = [(policy, table, f"{clause} (true)") for policy, table, clause, _ in CLAUSES]
LOST: list[Any] = [case.values for case in NARROWED]


def differences(table: str, changes: Iterable[str], *, first: bool = True) -> Mapping[str, tuple[str, ...]]:
    """For each change of the schema, what is otherwise than it was recorded; made before the rows come, or after."""
    recorded = seed().recorded
    assert recorded is not None

    async def one_by_one(session: Session) -> Mapping[str, tuple[str, ...]]:
        await session.rows("vacuum")  # thousands of rows that were rolled back lie in the way
        seeds = {change: altered(change, first=first) for change in changes}
        found = {change: await matrix(session, made, only=[f"public.{table}"]) for change, made in seeds.items()}
        return {change: compare(recorded, each) for change, each in found.items()}

    return told(shared(), one_by_one)


def unnoticed(table: str, changes: Iterable[str], *, first: bool = True) -> list[str]:
    """The changes after which everybody still gets the answers that are recorded."""
    found = differences(table, changes, first=first)
    assert found != {}
    return [change for change, said in found.items() if all(line.startswith(CATALOG) for line in said)]


def altering(table: str, cases: Iterable[tuple[str, str, str]]) -> list[str]:
    return [f"alter policy {policy} on public.{on} {how}" for policy, on, how in cases if on == table]


@pytest.mark.parametrize("table", TABLES)
def test_no_policy_is_dropped_without_a_change_of_somebodys_answer(table: str) -> None:
    assert unnoticed(table, [f"drop policy {policy} on public.{on}" for policy, on in POLICIES if on == table]) == []


@pytest.mark.parametrize("table", TABLES)
def test_no_condition_becomes_always_true_without_a_change_of_somebodys_answer(table: str) -> None:
    assert unnoticed(table, altering(table, OPENED)) == []


@pytest.mark.parametrize("table", sorted({on for _, on, _ in LOST}))
def test_no_part_of_a_condition_is_lost_without_a_change_of_somebodys_answer(table: str) -> None:
    assert unnoticed(table, altering(table, LOST)) == []


@pytest.mark.parametrize("table", TABLES)
def test_row_level_security_is_not_switched_off_without_a_change_of_somebodys_answer(table: str) -> None:
    assert unnoticed(table, [f"alter table public.{table} disable row level security"]) == []


@pytest.mark.parametrize("table", TABLES)
def test_nothing_more_is_granted_without_a_change_of_somebodys_answer(table: str) -> None:
    assert unnoticed(table, [f"grant all on public.{table} to {role}" for role in ("anon", "authenticated")]) == []


@pytest.mark.parametrize("table", sorted({on for _, on in GUARDS}))
def test_no_guard_is_dropped_without_a_change_of_somebodys_answer(table: str) -> None:
    drops = [f"drop trigger {guard} on public.{on}" for guard, on in GUARDS if on == table]
    assert unnoticed(table, drops, first=False) == []


@pytest.mark.parametrize("table", TABLES)
def test_what_changes_nobodys_answer_is_noticed_in_the_catalog(table: str) -> None:
    # anon has no grant here and an UPDATE's new row is kept by the guards: both are the next layer's absence.
    force = f"alter table public.{table} force row level security"
    unlooked = f"""do $$ declare name text; begin
        for name in select polname from pg_policy where polrelid = 'public.{table}'::regclass and polcmd = 'w' loop
            execute format('alter policy %I on public.{table} with check (true)', name);
        end loop;
    end $$"""
    found = differences(table, [force, unlooked, *altering(table, PUBLIC)])
    assert [change for change, said in found.items() if not said] == []


def test_a_function_that_anon_may_call_is_noticed() -> None:
    grants = [f"grant execute on function public.{function} to anon" for function in FUNCTIONS]
    said = differences("teams", grants)
    names = [function.partition("(")[0] for function in FUNCTIONS]
    told = [
        sum(line.startswith(f"Who may call public.{name}(") for line in said[grant])
        for name, grant in zip(names, grants, strict=True)
    ]
    assert told == [1] * len(FUNCTIONS)


@pytest.mark.parametrize("table", TABLES)
def test_nothing_differs_while_nothing_is_changed(table: str) -> None:
    assert differences(table, ["select"]) == {"select": ()}
