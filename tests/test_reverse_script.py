"""The way back as a script: it refuses where rows would be lost, keeps those that can be kept, and psql can run it."""

from pathlib import Path

import pytest

from bluegreen.postgres.catalog import Reverse, compare, script
from tests.catalog_room import MIXED, fresh, gone, run, taken, verdicts
from tests.database import as_superuser, name_of, server
from tests.postgres_room import ask


def test_rows_in_a_new_table_stop_the_script_until_their_loss_is_accepted() -> None:
    url = fresh()
    way = gone(url, "create table public.more (id int); alter table public.notes add column rank int default 3")
    ask(url, "insert into public.more values (1)")
    text = way.reverse.script
    assert run(url, text) == "BG002 public.more holds rows that this would lose"
    assert taken(url).fingerprint == way.after.fingerprint
    assert run(url, f"set bluegreen.accept_data_loss = 'on'; {text}") == ""
    assert taken(url).fingerprint == way.before.fingerprint


def test_values_in_a_new_column_stop_the_script_and_its_default_does_not() -> None:
    url = fresh()
    ask(url, "insert into public.notes (owner_id) values (gen_random_uuid())")
    way = gone(url, "alter table public.notes add column rank int default 3, add column title text")
    ask(url, "update public.notes set rank = 4")
    assert run(url, way.reverse.script) == "BG002 public.notes holds values in rank, title that this would lose"
    ask(url, "update public.notes set rank = 3")
    assert run(url, way.reverse.script) == ""


def test_rows_behind_a_policy_stop_the_script_too() -> None:
    url = fresh()
    way = gone(
        url,
        "create table public.more (id int); alter table public.more enable row level security; "
        "alter table public.more force row level security",
    )
    ask(url, "insert into public.more values (1)")
    ask(as_superuser(url), "alter role postgres nobypassrls")
    try:
        assert run(url, way.reverse.script)[:5] == "42501"
    finally:
        ask(as_superuser(url), "alter role postgres bypassrls")


def test_psql_alone_can_run_the_script(tmp_path: Path) -> None:
    url = fresh()
    way = gone(url, MIXED)
    file = tmp_path / "back.sql"
    told = script(way.reverse, about=["011_notes, applied on Monday"], last=["comment on table public.notes is 'old'"])
    file.write_text(told, encoding="utf-8")
    done = server().run("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={file}", url)
    assert (done.returncode, done.stderr) == (0, "")
    assert compare(way.before, taken(url)).told() == "added: comment table public.notes."


def test_what_a_script_says_of_itself_stands_in_its_head() -> None:
    made = script(Reverse(verdict="reversible", statements=("drop view x",), proven=True), about=["version 011\nby me"])
    assert made.splitlines()[-8:] == [
        "",
        "begin;",
        "set local search_path = '';",
        "set local check_function_bodies = off;",
        "set local row_security = off;",
        "set local lock_timeout = '50ms';",
        "drop view x;",
        "commit;",
    ]
    assert "-- version 011" in made.splitlines()
    assert "-- by me" in made.splitlines()


def test_a_table_that_was_put_aside_for_a_new_one_comes_back_with_its_rows() -> None:
    url = fresh()
    ask(url, "insert into public.notes (owner_id, body) values (gen_random_uuid(), 'kept')")
    way = gone(url, "alter table public.notes rename to old; create table public.notes (id int)")
    assert (way.reverse.proven, way.reverse.differences) == (True, ())
    ask(url, "insert into public.notes values (1)")
    assert run(url, way.reverse.script) == "BG002 public.notes holds rows that this would lose"
    ask(url, "delete from public.notes")
    assert run(url, way.reverse.script) == ""
    assert ask(url, "select body from public.notes") == [("kept",)]


def test_two_tables_that_changed_names_change_them_back_and_keep_their_rows() -> None:
    url = fresh()
    ask(
        url, "create table public.one (a int); create table public.two (b text); insert into public.two values ('kept')"
    )
    swap = (
        "alter table public.one rename to three; alter table public.two rename to one; "
        "alter table public.three rename to two"
    )
    way = gone(url, swap)
    assert (way.reverse.proven, way.reverse.verdict, way.reverse.guards) == (True, "reversible", ())
    assert run(url, way.reverse.script) == ""
    assert ask(url, "select b from public.two") == [("kept",)]


def test_a_column_that_has_to_be_made_anew_is_guarded_too() -> None:
    url = fresh()
    ask(url, "create table public.sums (a int, b int generated always as (a * 2) stored)")
    way = gone(url, "alter table public.sums alter b drop expression")
    assert (way.reverse.proven, verdicts(way.reverse)) == (True, {"column public.sums.b": "reversible with loss"})
    ask(url, "insert into public.sums values (1, 7)")
    assert run(url, way.reverse.script) == "BG002 public.sums holds values in b that this would lose"


@pytest.mark.parametrize(
    ("was", "now", "lost", "kept"),
    [
        ("int", "numeric(10,2)", "1.49", "1.00"),
        ("date", "timestamptz", "2020-01-01 13:00", "2020-01-01 00:00"),
        ("varchar(3)", "text", "long", "abc"),
        ("text", "json", '{"a":  [1]}', "null"),
        ("public.state", "text", "shut", "open"),
    ],
)
def test_a_value_that_would_not_fit_into_the_type_of_before_stops_the_script(
    was: str, now: str, lost: str, kept: str
) -> None:
    url = fresh()
    ask(url, f'create table public.sums (id int, "Sum" {was})')
    way = gone(url, f'alter table public.sums alter "Sum" type {now} using "Sum"::text::{now}')
    assert (way.reverse.proven, way.reverse.verdict) == (True, "reversible with loss")
    if lost not in ("shut", '{"a":  [1]}'):  # these fit
        ask(url, f"insert into public.sums values (1, '{lost}')")
        said = 'BG002 public.sums holds values in "Sum", of a type that was changed, that this would lose'
        assert run(url, way.reverse.script) == said
        ask(url, "delete from public.sums")
    ask(url, f"insert into public.sums values (1, '{kept}'), (2, null)")
    assert run(url, way.reverse.script) == ""


def test_a_type_under_another_name_is_no_other_type() -> None:
    way = gone(fresh(), "alter type public.state rename to condition")
    assert (way.reverse.proven, way.reverse.guards) == (True, ())
    assert verdicts(way.reverse)["enum public.condition"] == "reversible"


def test_a_type_that_is_made_anew_is_asked_for_by_nobody_before_it_is_there() -> None:
    url = fresh()
    anew = (
        "alter table public.notes alter state drop default; alter table public.notes alter state type text; "
        "drop type public.state"
    )
    way = gone(url, anew)
    assert (way.reverse.proven, way.reverse.guards) == (True, ())
    assert run(url, way.reverse.script) == ""


def test_no_name_ends_a_guard() -> None:
    url = fresh()
    name = '"a$here$; drop table public.notes; do $here_$ begin end; $here$ --"'
    way = gone(url, f"create table public.{name} (id int); alter table public.notes add column z text default '$here$'")
    assert (way.reverse.proven, len(way.reverse.guards)) == (True, 2)
    ask(url, f"insert into public.{name} values (1)")
    assert run(url, way.reverse.script)[:5] == "BG002"


def test_names_with_dots_and_blanks_and_lists_come_back_as_they_were() -> None:
    url = fresh()
    ask(
        url,
        'create unique index "i.x" on public.notes (owner_id); '
        'alter table public.notes replica identity using index "i.x"; '
        'alter table public.notes cluster on "i.x"; create type public.pair as ("a b" int, c text); '
        'create role "odd %s role"; alter role "odd %s role" set search_path = "$user", public, "a b"; ',
    )
    try:
        ask(url, f'alter role "odd %s role" in database {name_of(url)} set search_path = "$user", "50%"')
        way = gone(
            url,
            "alter table public.notes replica identity default; alter table public.notes set without cluster; "
            'alter type public.pair alter attribute "a b" type bigint; '
            'alter role "odd %s role" set search_path = public; '
            f'alter role "odd %s role" in database {name_of(url)} set search_path = public',
        )
        assert (way.reverse.proven, way.reverse.differences) == (True, ())
    finally:
        ask(as_superuser(url), 'drop role "odd %s role"')
