"""A deployer that is killed at any message it sends: the next one goes on there, and nothing is done twice.

After a message that changes nothing, the server is as it was before it; so one kill stands for all of those in a row.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from bluegreen.postgres.catalog import snapshot
from bluegreen.postgres.session import Database
from tests.database import database
from tests.deployers import Nursery, nursery
from tests.fuse import When, fused
from tests.postgres_room import Context, ask, book, folder, put, read

LANES = 3
ROWS = 900
PREPARED = f"""
drop table if exists public.orders, public.labels, public.more;
drop schema if exists bluegreen, supabase_migrations cascade;
create table public.orders (id bigint generated always as identity primary key, total int not null default 0);
alter table public.orders add column note text;
insert into public.orders (note) select 'order ' || n from generate_series(1, {ROWS}) n;
create index orders_old on public.orders (total);
analyze public.orders;
"""
MIXED = f"""
-- bluegreen:verify select count(*) = {ROWS} from public.orders where counted = 1
create table public.labels (id int primary key);
alter table public.orders add column counted int;
create index concurrently orders_note on public.orders (lower(note));
-- bluegreen:backfill public.orders batch=300
update public.orders o set counted = coalesce(counted, 0) + 1, total = total + 1 where note like 'order%';
drop index concurrently public.orders_old;
create table public.more (id int primary key references public.labels);
insert into public.labels values (1);
"""
NEVER = 1_000
# A question, a setting of the session alone, the end of what only looked. Who holds the turn is no such thing.
SILENT = re.compile(
    r"\s*(?!.*advisory)(set|reset|rollback|select|begin[^;]*read only|with(?!.*\b(insert|update|delete)\b))\b",
    re.DOTALL,
)


def telling(heard: Sequence[str], when: When) -> list[int]:
    """The messages at which a kill leaves something else than at those before."""
    changing = [number for number, text in enumerate(heard, 1) if not SILENT.match(text)]
    return changing if when == "midway" else [1, *(number + 1 for number in changing)]


def prepared(url: str) -> str:
    """The same database as if nobody had ever migrated it."""
    ask(url, PREPARED)
    return url


async def world(url: str) -> tuple[object, ...]:
    """Everything that must be the same, however often it was interrupted."""
    async with Database(url).session("look") as session:
        fingerprint = (await snapshot(session)).fingerprint
        rows = await session.rows("select min(counted), max(counted), min(total), max(total), count(*) from orders")
        segments = await session.rows("select number, state, seen, changed from bluegreen.segments order by number")
        invalid = await session.rows("select indexrelid::regclass::text from pg_index where not indisvalid")
        labels = await session.rows("select count(*) from public.labels")
        ledgers = await session.rows(
            "select (select count(*) from bluegreen.migrations), "
            "(select count(*) from supabase_migrations.schema_migrations)"
        )
    return fingerprint, rows, segments, invalid, labels, ledgers


async def killed_at(deployers: Nursery, url: str, at: Path, when: When, number: int) -> tuple[bool, object]:
    """What is there after a deployer was killed at that message and another one came; and whether it was killed."""
    await asyncio.to_thread(prepared, url)
    async with fused(url, when, number) as (address, fuse):
        fuse.pid = await deployers.bear(address, at, "011")
        code = await deployers.go(fuse.pid)
    assert (code < 0) == fuse.blown, f"message {number}: {code}"
    # A killed deployer's turn must be free soon: that is all the patience that the next one has.
    applied = await put(url, read(at)[0], Context(), budget=5.0)
    assert applied.entry.version == "011"
    return fuse.blown, await world(url)


@pytest.mark.parametrize("when", ["before", "midway"])
def test_a_deployer_that_is_killed_at_any_message_is_followed_by_one_that_ends_it(tmp_path: Path, when: When) -> None:
    at = folder(tmp_path, _011_mixed=MIXED)
    whole, *others = [database() for _ in range(LANES + 1)]

    async def lane(deployers: Nursery, expected: object, url: str, numbers: Sequence[int]) -> int:
        kills = 0
        for number in numbers:
            blown, found = await killed_at(deployers, url, at, when, number)
            assert found == expected, f"killed {when} message {number}"
            kills += blown
        return kills

    async def inside() -> int:
        async with fused(prepared(whole), when, NEVER) as (address, fuse):
            await put(address, read(at)[0])
        expected = await world(whole)
        assert expected[1] == [(1, 1, 1, 1, ROWS)]
        numbers = telling(fuse.heard, when)
        async with nursery() as deployers:
            lanes = (lane(deployers, expected, url, numbers[n::LANES]) for n, url in enumerate(others))
            return sum(await asyncio.gather(*lanes))

    assert asyncio.run(inside()) > 15, "the file changes something with that many messages, and each was the last once"


def test_what_is_half_applied_is_seen_in_the_ledger(tmp_path: Path) -> None:
    url = prepared(database())
    at = folder(tmp_path, _011_mixed=MIXED.replace("lower(note)", "nothing(note)"))

    async def inside() -> None:
        with pytest.raises(Exception, match="function nothing"):
            await put(url, read(at)[0])

    asyncio.run(inside())
    found = book(url)
    assert (dict(found.entries), [*found.halves], str(found.halves["011"])) == ({}, ["011"], "1 segment of it done")
