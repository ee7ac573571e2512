"""What somebody changed by hand since the last migration is named before the next one, object by object."""

import asyncio
import tempfile
from functools import cache
from pathlib import Path

import pytest

from bluegreen.handler import Refused
from bluegreen.postgres import drift, ledger
from bluegreen.postgres.apply import apply
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import Drift as Policy
from tests.database import database, name_of
from tests.postgres_room import OWNER, Context, ask, book, folder, halted, put_all, read, wanted

FIRST = "create table public.teams (id int primary key, name text);"


@cache
def seen() -> str:
    """The database that has seen the first file, and that nobody changes any more."""
    url = database()
    with tempfile.TemporaryDirectory() as at:
        put_all(url, folder(Path(at), _011_teams=FIRST))
    return name_of(url)


def begun(at: Path) -> str:
    """A database that has seen one file, and another file beside it."""
    folder(at, _011_teams=FIRST, _012_more="alter table public.teams add column more int;")
    return database(template=seen())


async def second(url: str, at: Path, ctx: Context | None = None, policy: Policy = "refuse") -> None:
    file = read(at, "012")[1]
    spec = file.spec(OWNER, wanted("012")).model_copy(update={"drift": policy})
    await apply(Database(url), file, spec, ctx or Context())


@pytest.mark.parametrize(
    ("by_hand", "told"),
    [
        ("create table public.extra (id int)", "new: "),
        (
            "alter table public.teams enable row level security",
            "different: table public.teams",
        ),
        ("alter table public.teams drop column name", "gone: "),
        ("grant select on public.teams to anon, public", "different: table public.teams"),
    ],
)
def test_a_change_by_hand_is_refused_with_the_names_of_what_changed(tmp_path: Path, by_hand: str, told: str) -> None:
    url = begun(tmp_path)
    ask(url, by_hand)
    halt = halted(second(url, tmp_path))
    assert type(halt) is Refused
    assert halt.what.startswith("The schema was changed by hand since 011_teams: ")
    assert told in halt.what
    assert "public." in halt.what
    assert halt.world == "Nothing was changed. 012_more waits."
    assert list(book(url).entries) == ["011"]


def test_nothing_changed_by_hand_is_no_drift_and_comments_in_data_are_none_either(tmp_path: Path) -> None:
    url, ctx = begun(tmp_path), Context()
    ask(url, "insert into public.teams values (1, 'a')")
    asyncio.run(second(url, tmp_path, ctx))
    assert (ctx.milestones, list(book(url).entries)) == ([], ["011", "012"])


def test_a_stack_may_take_drift_for_granted_and_is_told(tmp_path: Path) -> None:
    url, ctx = begun(tmp_path), Context()
    ask(url, "create table public.extra (id int)")
    asyncio.run(second(url, tmp_path, ctx, "warn"))
    assert ctx.milestones[0].startswith("012_more: the schema was changed by hand since 011_teams: new: ")
    assert list(book(url).entries) == ["011", "012"]


def test_what_was_undone_by_hand_is_no_drift_any_more(tmp_path: Path) -> None:
    url = begun(tmp_path)
    ask(url, "alter table public.teams rename to groups")
    halted(second(url, tmp_path))
    ask(url, "alter table public.groups rename to teams")
    asyncio.run(second(url, tmp_path))


def test_what_is_accepted_is_the_new_shape_with_who_and_why(tmp_path: Path) -> None:
    url, ctx = begun(tmp_path), Context()
    ask(url, "create table public.extra (id int)")
    found = asyncio.run(drift.accept(Database(url), "ann", "a hot fix", Context()))
    assert any(name.endswith("public.extra") for name in found.added)
    assert ask(url, "select version, by, reason from bluegreen.catalog order by id desc limit 1") == [
        ("011", "ann", "a hot fix")
    ]
    asyncio.run(second(url, tmp_path, ctx))
    assert ctx.milestones == []


def test_a_database_without_any_migration_may_be_accepted_as_it_is() -> None:
    url = database()
    assert not asyncio.run(drift.accept(Database(url), "ann", "from here on", Context()))
    assert ask(url, "select version, reason from bluegreen.catalog") == [(None, "from here on")]


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        ("delete from bluegreen.catalog", "it was not recorded after 011_teams"),
        ("update bluegreen.catalog set version = '010'", "the run that applied 011_teams ended before it was recorded"),
        ("update bluegreen.catalog set major = 9", "it was recorded by another version of this program or of Postgres"),
    ],
)
def test_a_record_that_is_missing_is_said_and_made_anew(tmp_path: Path, lost: str, why: str) -> None:
    url, ctx = begun(tmp_path), Context()
    ask(url, lost)
    asyncio.run(second(url, tmp_path, ctx))
    assert ctx.milestones == [f"012_more: whether the schema was changed by hand since 011_teams is not known: {why}"]
    assert ask(url, "select version from bluegreen.catalog order by id desc limit 1") == [("012",)]


def test_a_ledger_of_an_older_program_is_read_and_gets_what_it_lacks(tmp_path: Path) -> None:
    url, ctx = begun(tmp_path), Context()
    ask(url, "drop table bluegreen.segments, bluegreen.catalog")
    assert (list(book(url).entries), book(url).halves) == (["011"], {})
    asyncio.run(second(url, tmp_path, ctx))
    assert list(book(url).entries) == ["011", "012"]
    assert ask(
        url,
        "select relrowsecurity from pg_class where relname in ('segments', 'catalog') and "
        "relnamespace = 'bluegreen'::regnamespace",
    ) == [(True,), (True,)]


def test_what_is_undone_is_in_no_ledger_and_the_record_before_it_counts_again(tmp_path: Path) -> None:
    url, ctx = begun(tmp_path), Context()
    asyncio.run(second(url, tmp_path))

    async def undo() -> None:
        async with Database(url).session("undo") as session:
            rows = "; ".join(ledger.undo_rows(session, "012", supabase=True))
            await session.run(f"begin; alter table public.teams drop column more; {rows}; commit")

    asyncio.run(undo())
    assert list(book(url).entries) == ["011"]
    assert ask(url, "select version from supabase_migrations.schema_migrations") == [("011",)]
    asyncio.run(second(url, tmp_path, ctx))
    assert ctx.milestones == []
