"""The door to the database: what it says when it stays shut, whom it does not let in, and what a session is like."""

import asyncio
import socket

import psycopg
import pytest

from bluegreen.handler import Halt, Refused
from bluegreen.postgres.session import Database, Lost, SqlError, Unreachable
from tests.database import as_superuser, database, name_of
from tests.postgres_room import ask, halted
from tests.transaction_pooler import Mode, pooler


async def enter(url: str) -> int:
    """Open a session and answer its process id."""
    async with Database(url).session("011") as session:
        return session.pid


def nobody_listens() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_a_wrong_password_is_told_without_showing_it() -> None:
    url = database()
    halt = halted(enter(url.replace(":sandbox-postgres@", ":hush-hush%21@")))
    assert isinstance(halt, Refused)
    where = url.partition("@")[2]
    assert str(halt) == (
        f'Postgres refuses the password at {where}: password authentication failed for user "postgres". '
        "Nothing was changed. Set bluegreen:databaseUrl again (with --secret)."
    )


def test_a_database_that_does_not_exist_is_told_by_its_name() -> None:
    halt = halted(enter(f"{database()}_gone"))
    assert isinstance(halt, Refused)
    assert (halt.what.partition(" at ")[0], halt.next) == (
        "There is no such database",
        "Correct the name after the port in bluegreen:databaseUrl.",
    )


def test_a_server_that_is_not_there_is_unreachable() -> None:
    port = nobody_listens()
    halt = halted(enter(f"postgresql://me:hush@127.0.0.1:{port}/shop"))
    assert isinstance(halt, Unreachable)
    assert str(halt) == (
        f"Postgres cannot be reached at 127.0.0.1:{port}/shop: Connection refused. Nothing was changed. "
        "Check bluegreen:databaseUrl and that the database is reachable from here."
    )


def test_a_server_without_tls_is_refused_where_tls_is_asked_for() -> None:
    halt = halted(enter(f"{database()}?sslmode=require"))
    assert isinstance(halt, Refused)
    assert halt.what.startswith("No encrypted connection came about at 127.0.0.1:")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mysql://me:hush@host/shop",
        "postgresql://me:hu@sh#@host/shop",
        "postgresql://me:hush/@host:5432/shop",
        "postgresql://me:2hush/@host:5432/shop",
        "postgresql://me:123/hush@host:5432/shop",
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_without_a_word_of_it(url: str) -> None:
    halt = halted(enter(url))
    assert str(halt) == (
        "The database's address is no Postgres URL. Nothing was changed. "
        "Set bluegreen:databaseUrl to postgresql://user:password@host:5432/name, with the password percent-encoded."
    )


@pytest.mark.parametrize("backends", [1, 2, 3])
def test_a_transaction_pooler_is_refused(backends: int) -> None:
    async def inside() -> None:
        async with pooler(database(), "transaction", backends) as url:
            with pytest.raises(Refused) as refused:
                await enter(url)
            where = url.partition("@")[2]
            assert str(refused.value) == (
                f"{where} is a transaction pooler, where a session's lock and settings are anybody's. "
                "Nothing was changed. "
                "Name the session port (5432) or the database's own host in bluegreen:databaseUrl."
            )

    asyncio.run(inside())


def test_a_session_pooler_is_let_through_and_told_from_its_backend() -> None:
    async def inside() -> None:
        async with pooler(database(), "session", 2) as url:
            async with Database(url).session() as session:
                assert await session.rows("select pg_backend_pid()") == [(session.pid,)]

    asyncio.run(inside())


def leaked(mode: Mode) -> bool:
    """Whether a lock that one client of a pooler takes is another client's, too."""

    async def inside() -> bool:
        async with pooler(database(), mode, 2) as url:
            lines = [await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(2)]
            try:
                got = [await (await line.execute("select pg_try_advisory_lock(1)")).fetchone() for line in lines]
            finally:
                for line in lines:
                    await line.close()
            return got == [(True,), (True,)]

    return asyncio.run(inside())


def test_the_pooler_of_these_tests_leaks_a_lock_by_transaction_and_keeps_it_by_session() -> None:
    assert (leaked("transaction"), leaked("session")) == (True, False)


def test_a_session_says_what_it_is_for_and_lets_go_of_locks_when_its_client_is_gone() -> None:
    async def inside() -> list[tuple[str, str]]:
        async with Database(database()).session("011") as session:
            return await session.rows(
                "select name, setting from pg_settings where name in ('application_name', 'statement_timeout', "
                "'client_connection_check_interval', 'idle_in_transaction_session_timeout') order by name"
            )

    assert asyncio.run(inside()) == [
        ("application_name", "bluegreen-migrate/011"),
        ("client_connection_check_interval", "1000"),
        ("idle_in_transaction_session_timeout", "30000"),
        ("statement_timeout", "0"),
    ]


def test_a_refusal_says_how_many_statements_went_well_and_leaves_no_transaction() -> None:
    url = database()

    async def inside() -> tuple[SqlError, object]:
        async with Database(url).session() as session:
            with pytest.raises(SqlError) as error:
                await session.run("begin; create table public.kept (a int); select 1; select 1/0; select 2; commit")
            return error.value, await session.rows("select to_regclass('public.kept')")

    error, left = asyncio.run(inside())
    assert (error.done, error.code, error.message, left) == (3, "22012", "division by zero", [(None,)])


def test_a_connection_that_is_ended_is_lost_and_not_a_refusal() -> None:
    url = database()

    async def inside() -> None:
        async with Database(url).session() as session:
            ask(as_superuser(url), f"select pg_terminate_backend({session.pid})")
            with pytest.raises(Lost):
                await session.run("select 1; select 2")
            with pytest.raises(Lost):
                await session.rows("select 1")

    asyncio.run(inside())


def test_what_a_session_is_doing_can_be_cancelled() -> None:
    async def inside() -> str:
        async with Database(database()).session() as session:
            work = asyncio.ensure_future(session.run("select pg_sleep(60)"))
            while not work.done():
                await session.cancel()
                await asyncio.wait({work}, timeout=0.01)
            with pytest.raises(SqlError) as error:
                await work
            return error.value.code

    assert asyncio.run(inside()) == "57014"


def test_a_server_of_an_older_major_is_as_good() -> None:
    url = database(16)
    assert asyncio.run(enter(url)) > 0
    assert name_of(url).startswith("test_")


def test_a_halt_of_the_database_is_never_a_traceback_of_its_driver() -> None:
    halt = halted(enter("postgresql://me:hush@host.invalid/shop"))
    assert isinstance(halt, Halt)
    assert "host.invalid:5432/shop" in halt.what
