"""Looking before queueing: whoever is in the way is seen, waited for and named, and nobody waits behind us."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from bluegreen.postgres.errand import Locked
from bluegreen.postgres.files import File
from bluegreen.postgres.statements import split
from bluegreen.postgres.wants import CONFLICTS, MODES, awaited, locks
from sandbox.postgres_address import PASSWORD
from tests.database import as_superuser, database, name_of, server
from tests.postgres_room import Context, ask, folder, halted, put, read

ADD = "alter table public.projects add column teams int;"


def one(at: Path, sql: str) -> File:
    return read(folder(at, _011_x=sql))[0]


@contextmanager
def old(url: str, sql: str) -> Iterator[int]:
    """Somebody in a transaction that is older than half a second; answers who."""
    with psycopg.connect(url, application_name="nightly report") as line:
        line.execute(sql.encode())
        line.execute("select pg_sleep(0.6)")
        yield line.info.backend_pid
        line.rollback()


@pytest.mark.parametrize(
    ("holds", "sql"),
    [
        ("select from public.projects", ADD),
        ("lock table public.projects in row exclusive mode", "create index on public.projects (id);"),
        (
            "lock table public.projects in row exclusive mode",
            "create table public.x (p uuid references public.projects);",
        ),
        (
            "lock table public.users in row exclusive mode",
            "alter table public.x add foreign key (p) references public.users;",
        ),
        ("select from public.projects", "drop trigger nothing on public.projects"),
        ("select from public.p1", "alter table public.p add column b int"),
    ],
)
def test_an_old_transaction_in_the_way_is_waited_for_without_asking_for_a_lock(
    tmp_path: Path, holds: str, sql: str
) -> None:
    url = database()
    ask(
        url,
        "create table public.x (p uuid); create table public.p (a int) partition by list (a); "
        "create table public.p1 partition of public.p default;",
    )
    with old(url, holds) as pid:
        halt = halted(put(url, one(tmp_path, sql), budget=0.3))
    assert isinstance(halt, Locked)
    assert halt.what.startswith(
        f"011_x did not get its locks within 0.3 s, held up by process {pid} (nightly report, postgres) in a trans"
    )
    assert halt.world == "Nothing was changed. It asked for no lock."


def test_what_the_caller_knows_of_its_locks_is_looked_at_too(tmp_path: Path) -> None:
    url = database()
    file = one(tmp_path, "do $$ begin alter table public.projects add column teams int; end $$")
    with old(url, "select from public.projects") as pid:
        halt = halted(put(url, file, budget=0.3, also=[("public.projects", "AccessExclusiveLock")]))
    assert f"within 0.3 s, held up by process {pid} " in halt.what


def test_who_may_not_see_how_old_others_are_measures_it(tmp_path: Path) -> None:
    url = database()
    role = "somebody_who_migrates"
    ask(as_superuser(url), f"create role {role} login createrole password '{PASSWORD}'")
    ask(
        as_superuser(url),
        f'grant create on database "{name_of(url)}" to {role}; create table public.mine (a int); '
        f"alter table public.mine owner to {role}; create schema supabase_migrations authorization {role}",
    )
    mine, ctx = server().url(role, name_of(url)), Context()
    with old(as_superuser(url), "select from public.mine") as pid:
        halt = halted(put(mine, one(tmp_path, "alter table public.mine add column b int"), ctx, budget=2.0))
    assert isinstance(halt, Locked)
    assert f"held up by process {pid}" in halt.what
    assert any("waits without queueing" in state for state in ctx.states)


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("create table a (b int references c)", [("c", "ShareRowExclusiveLock")]),
        ("alter table a validate constraint b", [("a", "ShareUpdateExclusiveLock")]),
        (
            "alter table a add foreign key (b) references c",
            [("a", "ShareRowExclusiveLock"), ("c", "ShareRowExclusiveLock")],
        ),
        ("alter table a add column b int", [("a", "AccessExclusiveLock")]),
        ("create policy p on a using (true)", [("a", "AccessExclusiveLock")]),
        ("create trigger t after insert on a execute function f()", [("a", "ShareRowExclusiveLock")]),
        ("create index i on a (b)", [("a", "ShareLock")]),
        ("create index concurrently i on a (b)", [("a", "ShareUpdateExclusiveLock")]),
        ("lock table a in share mode", [("a", "ShareLock")]),
        ("update a set b = 1", [("a", "RowExclusiveLock")]),
        ("comment on column a.b is 'c'", [("a", "ShareUpdateExclusiveLock")]),
        ("truncate a, c", [("a", "AccessExclusiveLock"), ("c", "AccessExclusiveLock")]),
        ("drop policy p on a", [("a", "AccessExclusiveLock")]),
        ("drop index concurrently a", [("a", "ShareUpdateExclusiveLock")]),
        ("refresh materialized view concurrently a", [("a", "ExclusiveLock")]),
        ("alter type a add value 'b'", []),
        ("vacuum a", [("a", "ShareUpdateExclusiveLock")]),
    ],
)
def test_what_a_statement_will_ask_for_is_known_from_its_text(sql: str, wanted: list[tuple[str, str]]) -> None:
    asked = [(name.replace('"', ""), mode) for name, mode in locks(split(sql)) if mode != "AccessShareLock"]
    assert asked == wanted


@pytest.mark.parametrize(
    ("sql", "mode"),
    [
        ("create index concurrently i on a (b)", "ShareLock"),
        ("drop index concurrently a", "AccessExclusiveLock"),
        ("alter table p detach partition a concurrently", "AccessExclusiveLock"),
    ],
)
def test_whom_a_concurrent_statement_would_wait_for_is_looked_at_before(sql: str, mode: str) -> None:
    assert ('"a"', mode) in awaited(split(sql))


def test_which_modes_cannot_be_held_beside_each_other_is_mutual() -> None:
    assert [(a, b) for a in MODES for b in MODES if (b in CONFLICTS[a]) != (a in CONFLICTS[b])] == []
