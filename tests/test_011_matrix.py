"""Row level security of migration 011 as real roles meet it: the matrix of tests/teams_matrix.py, on both majors."""

import psycopg
import pytest

from sandbox.postgres_binaries import MAJORS, Major
from tests.database import as_app
from tests.teams_matrix import TRIES, answer, answers, expected
from tests.teams_world import TABLES, world


@pytest.mark.parametrize("major", MAJORS)
def test_everybody_may_what_the_matrix_says_and_nothing_else(major: Major) -> None:
    with psycopg.connect(as_app(world(major), major), autocommit=True) as line:
        told = dict(answers(line))
    wanted = expected()
    assert {cell: found for cell, found in told.items() if found != wanted[cell]} == {}


def test_the_matrix_has_a_statement_for_each_line_and_a_line_for_each_statement() -> None:
    assert {what for what, _ in expected()} == set(TRIES)


@pytest.mark.parametrize("table", TABLES)
def test_every_verb_is_tried_on_every_table(table: str) -> None:
    said = [statement for what, statement in TRIES.items() if what.startswith(f"{table}:")]
    verbs = ("select from", "insert into", "update", "delete from")
    assert [verb for verb in verbs if not any(f"{verb} public.{table}" in text for text in said)] == []


def test_anon_is_denied_all_six_tables_and_every_function() -> None:
    new = [what for what in TRIES if what.split(":")[0] in (*TABLES, "functions")]
    assert {what: expected()[what, "anon"] for what in new if expected()[what, "anon"] != "denied"} == {}


def test_probing_leaves_the_world_as_it_was() -> None:
    with psycopg.connect(as_app(world()), autocommit=True) as line:
        counts = [answer(line, "service_role", f"select from public.{table}") for table in TABLES]
        list(answers(line))
        assert [answer(line, "service_role", f"select from public.{table}") for table in TABLES] == counts
