"""Nothing that guards migration 011 is there for nothing: without any one of its parts the matrix has another answer.

Each mutant is the seeded world with one thing dropped or loosened (a policy, a clause of it, one condition within it, a
trigger, a grant), in a transaction that is taken back. They are derived from the migration's own text, so that
collecting the tests needs no database; two tests compare them with the catalog.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import psycopg
import pytest
from pglast import ast, parse_sql
from pglast.stream import RawStream

from tests.teams_matrix import answers, expected
from tests.teams_world import MIGRATION, TABLES, world


def made(kind: type[ast.Node]) -> list[Any]:
    """The migration's statements of this kind."""
    return [raw.stmt for raw in parse_sql(MIGRATION.read_text(encoding="utf-8")) if isinstance(raw.stmt, kind)]


_POLICIES = made(ast.CreatePolicyStmt)
POLICIES = [(found.policy_name, found.table.relname) for found in _POLICIES]
TRIGGERS = [(found.trigname, found.relation.relname) for found in made(ast.CreateTrigStmt)]
CLAUSES = [
    (found.policy_name, found.table.relname, clause, tree)
    for found in _POLICIES
    for clause, tree in (("using", found.qual), ("with check", found.with_check))
    if tree is not None
]
# What one statement cannot show, and test_011_life.py does.
SHOWN_BY_A_LIFE = ("teams_touch", "team_members_pass_on", "team_members_take_along")
FUNCTIONS = (
    "my_teams(text[])",
    "team_role(uuid)",
    "is_team_member(uuid)",
    "my_shares()",
    "project_access(uuid)",
    "discover_teams()",
    "shared_projects()",
    "shared_generations(uuid)",
    "invite_to_team(uuid, text, text)",
    "accept_invitation(text)",
    "transfer_generation(uuid, uuid)",
    "may_collaborate(uuid, uuid, text)",
)


def without_one_condition(tree: Any) -> Iterator[Any]:
    """The expression, each time without one of the conditions that AND or OR put together."""
    parts: tuple[Any, ...] = (tree.args or ()) if isinstance(tree, ast.BoolExpr) else ()
    for index, part in enumerate(parts):
        before, after = parts[:index], parts[index + 1 :]
        others = (*before, *after)
        yield others[0] if len(others) == 1 else ast.BoolExpr(boolop=tree.boolop, args=others)
        for smaller in without_one_condition(part):
            yield ast.BoolExpr(boolop=tree.boolop, args=(*before, smaller, *after))


NARROWED = [
    pytest.param(policy, table, f"{clause} ({RawStream()(smaller)})", id=f"{policy}-{clause}-{number}")
    for policy, table, clause, tree in CLAUSES
    for number, smaller in enumerate(without_one_condition(tree))
]


@cache
def laboratory() -> str:
    """One copy of the world for all mutants; none of them outlives its transaction."""
    return world()


def difference(change: str, table: str) -> tuple[tuple[str, str], str] | None:
    """The first answer that is not the matrix's, once this was changed."""
    wanted = expected()
    with psycopg.connect(laboratory(), autocommit=True) as line, line.transaction(force_rollback=True):
        line.execute(change)
        return next(((cell, told) for cell, told in answers(line, first=table) if told != wanted[cell]), None)


def test_the_policies_and_clauses_are_those_of_the_catalog() -> None:
    with psycopg.connect(world()) as line:
        rows = line.execute(
            "select policyname, tablename, qual is not null, with_check is not null from pg_policies"
            " where schemaname = 'public' and tablename = any (%s)",
            (list(TABLES),),
        ).fetchall()
    found = [
        (policy, table, clause)
        for policy, table, *has in rows
        for clause, there in zip(("using", "with check"), has, strict=True)
        if there
    ]
    assert sorted(found) == sorted((policy, table, clause) for policy, table, clause, _ in CLAUSES)


def test_the_triggers_are_those_of_the_catalog() -> None:
    with psycopg.connect(world()) as line:
        found = line.execute(
            "select tgname, relname from pg_trigger join pg_class on pg_class.oid = tgrelid"
            " where not tgisinternal and relname = any (%s)",
            (list(TABLES),),
        ).fetchall()
    assert sorted(found) == sorted(TRIGGERS)


@pytest.mark.parametrize(("policy", "table"), POLICIES)
def test_the_matrix_notices_when_a_policy_is_dropped(policy: str, table: str) -> None:
    assert difference(f"drop policy {policy} on public.{table}", table) is not None


@pytest.mark.parametrize(("policy", "table", "clause"), [clause[:3] for clause in CLAUSES])
def test_the_matrix_notices_when_a_policy_is_loosened(policy: str, table: str, clause: str) -> None:
    assert difference(f"alter policy {policy} on public.{table} {clause} (true)", table) is not None


@pytest.mark.parametrize(("policy", "table", "clause"), NARROWED)
def test_the_matrix_notices_when_a_policy_loses_one_condition(policy: str, table: str, clause: str) -> None:
    assert difference(f"alter policy {policy} on public.{table} {clause}", table) is not None


@pytest.mark.parametrize(("trigger", "table"), [pair for pair in TRIGGERS if pair[0] not in SHOWN_BY_A_LIFE])
def test_the_matrix_notices_when_a_trigger_is_dropped(trigger: str, table: str) -> None:
    assert difference(f"drop trigger {trigger} on public.{table}", table) is not None


@pytest.mark.parametrize("table", TABLES)
def test_the_matrix_notices_when_row_level_security_is_off(table: str) -> None:
    assert difference(f"alter table public.{table} disable row level security", table) is not None


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize("table", TABLES)
def test_the_matrix_notices_when_the_platforms_default_grants_stay(table: str, role: str) -> None:
    assert difference(f"grant all on public.{table} to {role}", table) is not None


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_matrix_notices_when_anon_may_call_a_function(function: str) -> None:
    assert difference(f"grant execute on function public.{function} to anon", "functions") is not None


def test_the_matrix_is_itself_when_nothing_is_changed() -> None:
    assert difference("select", "teams") is None
