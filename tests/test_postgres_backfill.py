"""Changing many rows a few at a time: each once, along the primary key, and on from where it stopped."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from bluegreen.handler import Refused
from bluegreen.postgres.backfill import FIRST_BATCH, Pace
from bluegreen.postgres.errand import Failed, Locked, Stopped
from bluegreen.postgres.files import File
from tests.database import database
from tests.postgres_room import Context, ask, book, folder, halted, put, read

HEADER = "-- bluegreen:backfill public.t batch=100\n"
ROWS = 450
TABLE = f"""
create table public.t (id bigint generated always as identity primary key, n int not null default 0, b text);
insert into public.t (b) select case when i % 3 = 0 then null else 'row' end from generate_series(1, {ROWS}) i;
"""


def prepared(sql: str = TABLE) -> str:
    url = database()
    ask(url, sql)
    return url


def one(at: Path, sql: str) -> File:
    return read(folder(at, _011_x=sql))[0]


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        ("update public.t set n = n + 1;", ROWS),
        ("update public.t set n = n + 1 where b is null or b = 'where' -- the last word", ROWS // 3),
        ("UPDATE public.t AS x SET n = (select max(1) from public.t y where y.id = x.id) WHERE x.b IS NULL", ROWS // 3),
        (
            "update only public.t set n = 1 where (b is null and id in (select id from public.t where id > 0))",
            ROWS // 3,
        ),
    ],
)
def test_every_row_that_is_meant_is_changed_once(tmp_path: Path, sql: str, changed: int) -> None:
    url = prepared()
    asyncio.run(put(url, one(tmp_path, HEADER + sql)))
    assert ask(url, "select count(*), sum(n) from public.t where n > 0") == [(changed, changed)]
    assert ask(url, "select kind, state, seen, changed from bluegreen.segments") == [
        ("backfill", "done", ROWS, changed)
    ]
    assert ask(url, "select count(*) from bluegreen.migrations") == [(1,)]


def test_rows_are_deleted_the_same_way(tmp_path: Path) -> None:
    url = prepared()
    asyncio.run(put(url, one(tmp_path, f"{HEADER}delete from public.t where b is null")))
    assert ask(url, "select count(*) from public.t") == [(ROWS - ROWS // 3,)]


@pytest.mark.parametrize(
    "columns",
    ['team uuid, member text collate "C", "a B" timestamptz', 'team int, member numeric(9, 2), "a B" date'],
)
def test_a_key_of_several_columns_of_any_type_is_walked_along(tmp_path: Path, columns: str) -> None:
    uuids = "uuid" in columns
    values = (
        "('00000000-0000-0000-0000-0000000000' || lpad((i % 7)::text, 2, '0'))::uuid, 'm''' || (i % 11), "
        "now() + i * interval '1 us'"
        if uuids
        else "i % 7, (i % 11) / 4.0, date '2026-01-01' + i"
    )
    url = prepared(
        f'create table public.t ({columns}, n int default 0, primary key ("a B", team, member)); '
        f"insert into public.t select {values}, 0 from generate_series(1, {ROWS}) i"
    )
    asyncio.run(put(url, one(tmp_path, f"{HEADER}update public.t set n = n + 1")))
    assert ask(url, "select min(n), max(n), count(*) from public.t") == [(1, 1, ROWS)]


def test_a_table_without_a_primary_key_is_refused(tmp_path: Path) -> None:
    halt = halted(put(prepared("create table public.t (a int)"), one(tmp_path, f"{HEADER}update public.t set a = 1")))
    assert (type(halt), halt.what) == (
        Refused,
        '011_x backfills "public"."t" at line 2, which has no primary key.',
    )


def test_who_is_asked_to_stop_keeps_what_is_done_and_goes_on_there(tmp_path: Path) -> None:
    url, ctx = prepared(), Stopping(after=2)
    file = one(tmp_path, f"{HEADER}update public.t set n = n + 1")
    halt = halted(put(url, file, ctx))
    assert (type(halt), halt.what) == (Stopped, "011_x was asked to stop, and is half applied.")
    (done,) = ask(url, "select count(*) from public.t where n = 1")[0]
    assert halt.world.startswith(f"{done} rows of the backfill stay changed; nothing else was changed.")
    assert halt.next == "Run this again to continue: it goes on where it stopped."
    assert 0 < done < ROWS
    assert str(book(url).halves["011"]) == f"0 segments of it done, and {done} rows of the next"
    asyncio.run(put(url, file))
    assert ask(url, "select min(n), max(n) from public.t") == [(1, 1)]


class Stopping(Context):
    """Somebody who wants to stop after so many batches."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    async def status(self, text: str) -> None:
        await super().status(text)
        self.left -= 1
        self.cancelled = self.left <= 0


def test_a_row_that_does_not_go_through_is_told_and_the_statement_may_be_corrected(tmp_path: Path) -> None:
    url, ctx = prepared(), Context()
    halt = halted(put(url, one(tmp_path, f"{HEADER}update public.t set n = n + 10 / (id - 333)::int")))
    assert isinstance(halt, Failed)
    assert halt.what.startswith("011_x fails in the backfill at line 2, behind ('")
    assert halt.what.endswith("division by zero (22012).")
    (seen,) = ask(url, "select seen from bluegreen.segments")[0]
    assert 0 < seen < 333
    asyncio.run(put(url, one(tmp_path, f"{HEADER}update public.t set n = 7777"), ctx))
    assert ask(url, "select count(*), min(id) from public.t where n = 7777") == [(ROWS - seen, seen + 1)]
    assert f"011_x: its backfill was edited; {seen} rows keep what they got before" in ctx.milestones


def test_a_row_that_somebody_holds_is_waited_for_in_the_end_and_what_is_done_stays(tmp_path: Path) -> None:
    url = prepared()
    file = one(tmp_path, f"{HEADER}update public.t set n = n + 1")
    with psycopg.connect(url) as holder:
        holder.execute("select from public.t where id = 333 for update")
        halt = halted(put(url, file, budget=0.4))
        holder.rollback()
    assert isinstance(halt, Locked)
    assert halt.what.startswith("011_x did not get the rows of its next batch within 0.4 s")
    asyncio.run(put(url, file))
    assert ask(url, "select min(n), max(n) from public.t") == [(1, 1)]


def test_batches_grow_while_they_are_short_and_shrink_when_they_are_long() -> None:
    pace = Pace(2000)
    sizes = [pace.size]
    for seconds in (0.001, 0.001, 0.001, 0.1, 10.0, 10.0, 10.0, 0.025):
        pace.learn(seconds)
        sizes.append(pace.size)
    assert sizes == [FIRST_BATCH, 1000, 2000, 2000, 500, 125, 50, 50, 50]


@pytest.mark.parametrize(
    ("sql", "column"),
    [("update public.t set id = id + 1000", "id"), ("update public.t set (n, id) = (select n, id + 1)", "id")],
)
def test_a_backfill_that_moves_rows_along_the_key_is_refused(tmp_path: Path, sql: str, column: str) -> None:
    url = prepared(TABLE.replace("always", "by default"))
    halt = halted(put(url, one(tmp_path, HEADER + sql)))
    assert halt.what == f'011_x backfills "public"."t" at line 2 along {column}, and sets it.'
    assert (halt.world, book(url).halves) == ("Nothing was changed.", {})


def half_done(tmp_path: Path) -> str:
    """A database in which a backfill stopped half way, for a row that speaks against it."""
    url = prepared(f"{TABLE}; create table public.u (id bigint primary key, n int); insert into public.u values (1, 0)")
    halted(put(url, one(tmp_path, f"{HEADER}update public.t set n = n + 10 / (id - 333)::int")))
    return url


def test_a_place_in_one_table_is_no_place_in_another(tmp_path: Path) -> None:
    url = half_done(tmp_path)
    other = HEADER.replace("public.t", "public.u")
    halt = halted(put(url, one(tmp_path, f"{other}update public.u set n = 1")))
    assert halt.what.startswith("011_x was edited at line 2, where it is applied already: its segment 1 was begun with")
    assert ask(url, "select n from public.u") == [(0,)]


def test_a_place_along_one_key_is_no_place_along_another(tmp_path: Path) -> None:
    url = half_done(tmp_path)
    ask(url, "alter table public.t drop constraint t_pkey, add primary key (id, n)")
    halt = halted(put(url, one(tmp_path, f"{HEADER}update public.t set b = 'row'")))
    assert halt.what.endswith(
        ' rows along "public"."t" ("id" bigint), and would go on along "public"."t" ("id" bigint, "n" integer).'
    )
    assert halt.world.endswith(" rows of the backfill stay changed; nothing else was changed.")
