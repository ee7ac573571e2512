"""A release of before migration 011 gets the same answers after it, also while teams refer to its rows.

`DAY` is what that release does, in the order of a day: sign-up, its own rows, its mistakes, its deletions. The same day
runs in a database without 011, with 011, and with 011 while teams, shares, settings and notes point at the very rows it
changes and deletes.
"""

from collections.abc import Sequence

import psycopg
import pytest

from sandbox.postgres_binaries import MAJORS, Major
from tests.database import as_app, database
from tests.teams_world import acting, apply, before, filled, seeded

ADMINISTRATOR = "postgres"
DAY: Sequence[tuple[str, str]] = (
    (ADMINISTRATOR, "insert into auth.users (id, email) values ('{newcomer}', 'new@people.test') returning email"),
    (ADMINISTRATOR, "insert into auth.users (id, email) values ('{double}', 'new@people.test')"),
    ("newcomer", "select id, email from public.users"),
    ("newcomer", "update public.users set display_name = 'New' where id = '{me}' returning display_name"),
    ("editor", "update public.users set display_name = 'Ed' returning id, display_name"),
    ("editor", "select id, name from public.projects order by name"),
    ("editor", "select id, name, description from public.projects where id = '{film}'"),
    (
        "editor",
        "insert into public.projects (id, user_id, name) values ('{fresh}', '{me}', 'Fresh') returning id, name",
    ),
    ("editor", "insert into public.projects (user_id, name) values ('{owner}', 'not mine')"),
    ("editor", "insert into public.projects (user_id, name) values ('{me}', '')"),
    ("editor", "update public.projects set name = 'Film, cut' where id = '{film}' returning name"),
    ("editor", "update public.projects set name = 'not mine' where id = '{poster}' returning name"),
    ("editor", "update public.projects set user_id = '{owner}' where id = '{film}'"),
    ("editor", "select id, prompt, status from public.generations where project_id = '{film}' order by prompt"),
    ("editor", "select id, prompt from public.generations where id = '{cover}'"),
    (
        "editor",
        "insert into public.generations (id, user_id, project_id, model, prompt)"
        " values ('{shot}', '{me}', '{film}', 'flux', 'a shot') returning id, status",
    ),
    ("editor", "insert into public.generations (user_id, project_id, model, prompt) values ('{me}', '{no}', 'm', 'p')"),
    ("editor", "update public.generations set status = 'running' where id = '{shot}' returning status"),
    ("editor", "update public.generations set status = 'unknown' where id = '{shot}'"),
    ("editor", "update public.generations set project_id = '{fresh}' where id = '{take}' returning project_id"),
    ("editor", "delete from public.generations where id = '{shot}' returning id"),
    ("editor", "delete from public.generations where id = '{cover}' returning id"),
    ("stranger", "select id from public.projects order by name"),
    ("stranger", "select public.touch_updated_at()"),
    ("anon", "select id from public.projects"),
    ("anon", "insert into public.projects (user_id, name) values ('{editor}', 'n')"),
    ("anon", "delete from public.generations returning id"),
    ("service_role", "select count(*) from public.users"),
    ("service_role", "update public.generations set status = 'failed' where status = 'queued' returning status"),
    ("editor", "delete from public.projects where id = '{film}' returning id"),
    ("editor", "select id, project_id from public.generations order by id"),
    ("editor", "delete from public.generations where id = '{take}' returning id"),
    ("owner", "delete from public.projects returning id"),
    ("owner", "select id, project_id from public.generations order by id"),
    (ADMINISTRATOR, "delete from auth.users where id = '{editor}' returning id"),
    (ADMINISTRATOR, "delete from auth.users where id in ('{owner}', '{admin}')"),
    (ADMINISTRATOR, "delete from public.users where id = '{viewer}'"),
    (ADMINISTRATOR, "delete from auth.users where email like '%@people.test'"),
    (ADMINISTRATOR, "select (select count(*) from public.users), (select count(*) from public.projects)"),
    (ADMINISTRATOR, "select count(*) from public.generations"),
)


def day(url: str, major: Major) -> list[object]:
    """Every answer of that day: rows, or a count, or the state and sentence of the refusal."""
    with psycopg.connect(url, autocommit=True) as owner, psycopg.connect(as_app(url, major), autocommit=True) as app:
        return [_answer(owner, app, person, filled(statement, person)) for person, statement in DAY]


def _answer(owner: psycopg.Connection, app: psycopg.Connection, person: str, statement: str) -> object:
    try:
        if person == ADMINISTRATOR:
            return _told(owner.execute(statement.encode()))
        with acting(app, person):
            return _told(app.execute(statement.encode()))
    except psycopg.Error as refusal:
        return refusal.sqlstate, str(refusal).splitlines()[0]


def _told(cursor: psycopg.Cursor[tuple[object, ...]]) -> object:
    return sorted(cursor.fetchall(), key=str) if cursor.description else cursor.rowcount


@pytest.mark.parametrize("major", MAJORS)
def test_a_day_of_the_release_before_has_the_same_answers_with_011(major: Major) -> None:
    then, now = database(major, before(major)), database(major, before(major))
    apply(now)
    assert list(zip(DAY, day(now, major), strict=True)) == list(zip(DAY, day(then, major), strict=True))


@pytest.mark.parametrize("major", MAJORS)
def test_a_day_of_the_release_before_has_the_same_answers_while_teams_refer_to_its_rows(major: Major) -> None:
    then, now = database(major, before(major)), database(major, seeded(major))
    assert list(zip(DAY, day(now, major), strict=True)) == list(zip(DAY, day(then, major), strict=True))


def test_that_day_leaves_nothing_of_the_teams_of_those_who_went() -> None:
    url = database(18, seeded(18))
    day(url, 18)
    with psycopg.connect(url) as line:
        left = [line.execute(f"select count(*) from public.{table}").fetchone() for table in ("teams", "team_members")]
    assert left == [(0,), (0,)]


def test_that_day_holds_successes_refusals_and_cascades() -> None:
    told = day(database(18, before(18)), 18)
    refusals = {answer[0] for answer in told if isinstance(answer, tuple)}
    assert refusals == {"23505", "23514", "23503", "42501", "0A000"}
    assert [answer for answer in told if isinstance(answer, list) and answer] != []


def plans(url: str, major: Major) -> list[str]:
    """How the planner would run each statement of a signed-in person, whatever the values are."""
    reads = [(person, statement) for person, statement in DAY if person != ADMINISTRATOR]
    found = []
    with psycopg.connect(as_app(url, major), autocommit=True) as app:
        for person, statement in reads:
            with acting(app, person):
                rows = app.execute(f"explain (costs off) {filled(statement, person)}".encode()).fetchall()
                found.append("\n".join(str(row[0]) for row in rows))
    return found


@pytest.mark.parametrize("major", MAJORS)
def test_the_release_before_has_the_same_plans_with_011(major: Major) -> None:
    then, now = database(major, before(major)), database(major, seeded(major))
    assert plans(now, major) == plans(then, major)
