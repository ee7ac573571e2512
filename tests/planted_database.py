"""Faults of the database, and of the migrations that it has seen."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest

from bluegreen.validation import sessions
from sandbox.stack import ROOT
from tests.faults_room import Config, Sound
from tests.planted import AS_IT_IS, How, edited, fault

OF_APPS = ("database-drift", "check:*", "health:*", "page:*", "assets:*", "users-release:*")
OF_DATABASE = ("database-*", "migrations-*", "schema-fit*", "check:*")


@fault(
    "the database is down",
    {"database-reachable": "bluegreen:databaseUrl", "check:*": "backend's logs"},
    hides=OF_DATABASE,
)
def no_database(here: Sound) -> Iterator[How]:
    with here.gone("postgres"):
        yield AS_IT_IS


@fault("an applied migration was edited", {"migrations-unedited:011*": "restore the file"})
def edited_migration(here: Sound) -> Iterator[How]:
    with files(here) as folder:
        (file,) = folder.glob("011_*.sql")
        file.write_text(file.read_text(encoding="utf-8") + "\n-- looked at\n", encoding="utf-8")
        yield edited(lambda config: config["velro:migrations"].update(folder=str(folder)))


@fault("a migration is pending", {"migrations-applied": "pulumi up applies it"})
def pending(here: Sound) -> Iterator[How]:
    with files(here) as folder:
        (folder / "012_more.sql").write_text("-- bluegreen:phase expand\ncreate table public.more (id bigint);\n")
        yield edited(lambda config: config["velro:migrations"].update(folder=str(folder), target="012"))


@contextmanager
def files(here: Sound) -> Iterator[Path]:
    """The migrations, in a folder of their own."""
    folder = here.tls.parent / "files"
    shutil.copytree(ROOT / "migrations", folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@fault(
    "a release needs a newer schema than there is",
    {"schema-fit:backend-blue": "a release that needs less", "migrations-applied": "pulumi up applies it"},
)
def too_new(here: Sound) -> Iterator[How]:
    with pending(here) as more:

        def edit(config: Config) -> None:
            more["edit"](config)
            config["velro:apps"]["backend"]["blue"]["schemaMin"] = "012"

        yield edited(edit)


@fault("somebody waits for a lock", {"database-locks:*": "pg_terminate_backend"})
def locked(here: Sound) -> Iterator[How]:
    with here.line() as holding, here.line() as waiting, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "WAITING", 0.0)
        holding.execute("begin")
        holding.execute("lock table public.generation_collaborations in share update exclusive mode")
        with blocked(waiting, "lock table public.generation_collaborations in share update exclusive mode"):
            yield AS_IT_IS
            holding.execute("rollback")


@fault("somebody locks a table that the app reads", {"database-locks:*": "pg_terminate_backend"}, hides=OF_APPS)
def app_waits(here: Sound) -> Iterator[How]:
    with here.line() as holding, here.line() as waiting, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "WAITING", 0.0)
        holding.execute("begin")
        holding.execute("lock table public.teams in access exclusive mode")
        with blocked(waiting, "lock table public.teams in access share mode"):
            yield AS_IT_IS
            holding.execute("rollback")


@contextmanager
def blocked(line: "psycopg.Connection[Any]", statement: str) -> Iterator[None]:
    """Somebody is at this statement and does not get on."""

    def wait() -> None:
        with line.transaction():
            line.execute(statement)

    thread = Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@fault("a transaction is open for long", {"database-transactions:*": "pg_terminate_backend"})
def long_transaction(here: Sound) -> Iterator[How]:
    with here.line() as line, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "OPEN", 0.0)
        line.execute("begin")
        line.execute("select 1")
        yield AS_IT_IS


@fault("there is no room for a second fleet", {"database-connections": "max_connections"})
def crowded(here: Sound) -> Iterator[How]:
    with ExitStack() as lines:
        for _ in range(78):
            lines.enter_context(here.line())
        yield AS_IT_IS


@fault("an index is invalid", {"database-indexes:*": "DROP INDEX CONCURRENTLY", "database-drift": "next migration"})
def invalid(here: Sound) -> Iterator[How]:
    with here.line() as line:
        line.execute("create table public.twins (id bigint)")
        line.execute("insert into public.twins values (1), (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            line.execute("create unique index concurrently twins_idx on public.twins (id)")
        try:
            yield AS_IT_IS
        finally:
            line.execute("drop table public.twins")


@fault("somebody has changed the schema by hand", {"database-drift*": "next migration"})
def by_hand(here: Sound) -> Iterator[How]:
    with here.line() as line:
        line.execute("create table public.by_hand (id bigint)")
        try:
            yield AS_IT_IS
        finally:
            line.execute("drop table public.by_hand")
