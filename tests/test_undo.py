"""Taking a migration back: the schema as before, the ledgers without it, and no row lost that nobody gave up."""

import asyncio
import subprocess
import tempfile
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

import psycopg
import pytest

from bluegreen.handler import Refused
from bluegreen.postgres import report
from bluegreen.postgres.catalog import Snapshot, reverse, snapshot
from bluegreen.postgres.errand import Failed, Locked, Stopped
from bluegreen.postgres.files import File
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.scratch.programs import client, environment
from bluegreen.postgres.session import Database
from bluegreen.postgres.turn import turn
from bluegreen.postgres.undo import Undone, WouldLose, undo
from sandbox.postgres_binaries import Major
from tests.cut_line import When, cut_line
from tests.database import as_superuser, database, name_of
from tests.postgres_room import PATIENCE, Context, ask, book, folder, halted, put, read, until

USER = "11111111-1111-1111-1111-111111111111"
TEAMS = """
create table public.teams (id bigint primary key, name text not null);
alter table public.projects add column team_id bigint references public.teams (id);
create or replace function public.touch_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := clock_timestamp();
    return new;
end
$$;
"""


async def seen(url: str) -> Snapshot:
    async with Database(url).session("test") as session:
        return await snapshot(session)


async def applied(url: str, file: File) -> Plan:
    """Apply a file; answers the plan that knows the way back."""
    before = await seen(url)
    await put(url, file)
    after = await seen(url)
    async with Database(url).session("test") as session:
        way = await reverse(session, before, after)
    return Plan(
        version=file.version,
        name=file.name,
        sha256=file.sha256,
        owner="shop.test",
        written_at=Context().now(),
        reverse=way,
        production=before.fingerprint,
    )


@cache
def changed(sql: str, major: Major) -> tuple[str, Plan]:
    """A database in which this was applied, which nobody changes any more, and its plan."""
    url = database(major)
    with tempfile.TemporaryDirectory() as at:
        [file] = read(folder(Path(at), _011_teams=sql))
        return name_of(url), asyncio.run(applied(url, file))


def teams(tmp_path: Path, sql: str = TEAMS, major: Major = 18) -> tuple[str, Path]:
    """A database of the test's own in which this was applied, and where the script lies that takes it back."""
    template, plan = changed(sql, major)
    folder(tmp_path / "migrations", _011_teams=sql)
    return database(major, template), report.write(plan, tmp_path / "report")[-1]


def with_rows(url: str, major: Major = 18) -> None:
    ask(
        as_superuser(url, major),
        f"""
        insert into auth.users (id, email) values ('{USER}', 'ada@example.org');
        insert into public.teams values (1, 'one'), (2, 'two');
        insert into public.projects (user_id, name, team_id) values ('{USER}', 'p', 1), ('{USER}', 'q', null);
        """,
    )


async def undone(
    url: str,
    tmp_path: Path,
    script: Path | str | None,
    *,
    accept: bool = False,
    ctx: Context | None = None,
    version: str = "011",
    **more: object,
) -> Undone:
    async with asyncio.timeout(PATIENCE):
        return await undo(
            Database(url),
            version,
            script,
            accept_data_loss=accept,
            ctx=ctx or Context(),
            folder=tmp_path / "backups",
            **more,  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("major", [16, 18])
def test_a_migration_is_taken_back_and_its_rows_in_the_ledgers_go_with_it(tmp_path: Path, major: Major) -> None:
    url, script = teams(tmp_path, major=major)
    told = asyncio.run(undone(url, tmp_path, script))
    assert (True, (), {}, None) == (told.same, told.differences, told.lost, told.backup)
    assert {} == dict(book(url).entries)
    assert [(0,)] == ask(url, "select count(*) from supabase_migrations.schema_migrations")
    assert [(None,)] == ask(url, "select to_regclass('public.teams')")


def test_it_can_be_applied_again_and_taken_back_again(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    for _ in range(2):
        assert asyncio.run(undone(url, tmp_path, script)).same
        asyncio.run(put(url, read(tmp_path / "migrations")[0]))
    assert ["011"] == list(book(url).entries)


def test_the_script_says_in_its_head_what_it_undoes_and_has_its_name_from_it(tmp_path: Path) -> None:
    _, script = teams(tmp_path)
    assert script.name.startswith("rollback_011_teams_2")
    text = script.read_text(encoding="utf-8")
    [file] = read(tmp_path / "migrations")
    for line in (
        "undoes 011_teams",
        f"sha256 {file.sha256}",
        "owner shop.test",
        "verdict reversible with loss",
        "proven no",
    ):
        assert f"\n-- bluegreen:{line}\n" in text


def test_psql_alone_can_run_the_script_and_the_ledger_knows(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    command = [str(client(18).folder / "psql"), url, "--set", "ON_ERROR_STOP=1", "--quiet", "--file", str(script)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert (0, "") == (ended.returncode, ended.stderr)
    assert {} == dict(book(url).entries)


def test_psql_alone_loses_nothing_that_nobody_gave_up(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    with_rows(url)
    psql = [str(client(18).folder / "psql"), url, "--set", "ON_ERROR_STOP=1", "--quiet"]
    run = ["--file", str(script)]
    ended = subprocess.run([*psql, *run], capture_output=True, text=True, check=False, env=environment())
    assert (3, True) == (ended.returncode, "holds rows that this would lose" in ended.stderr)
    assert ["011"] == list(book(url).entries)
    accepted = ["--command", "set bluegreen.accept_data_loss = 'on'", *run]
    ended = subprocess.run([*psql, *accepted], capture_output=True, text=True, check=False, env=environment())
    assert (0, {}) == (ended.returncode, dict(book(url).entries))


def test_the_script_that_the_ledger_keeps_does_as_well(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    text = script.read_text(encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as line:
        line.execute("update bluegreen.migrations set reverse = %s", [text])
    assert asyncio.run(undone(url, tmp_path, None)).same


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize(("when", "breaks"), [("before", 1), ("after", 1)])
def test_a_lost_connection_is_never_guessed_about(tmp_path: Path, when: When, breaks: int, kept: bool) -> None:
    url, script = teams(tmp_path)
    # The line breaks where it meets these words.
    text = f"-- insert into bluegreen.migrations\n{script.read_text(encoding='utf-8')}"
    if kept:
        with psycopg.connect(url, autocommit=True) as line:
            line.execute("update bluegreen.migrations set reverse = %s", [text])

    async def through() -> tuple[Undone | str, int]:
        async with cut_line(url, when) as (address, line):
            try:
                return await undone(address, tmp_path, None if kept else text), line.breaks
            except Refused as refused:
                return refused.world, line.breaks

    told, broke = asyncio.run(through())
    assert breaks == broke
    if when == "before":
        assert "It was rolled back: the database is as it was." == told
        assert ["011"] == list(book(url).entries)
    else:
        assert isinstance(told, Undone)
        assert ("011", True, {}) == (told.version, told.same, dict(book(url).entries))


def test_it_waits_for_its_turn_and_says_who_has_it(tmp_path: Path) -> None:
    url, script = teams(tmp_path)

    async def beside_another() -> None:
        async with turn(Database(url, "other-deployer"), "other", timedelta(seconds=5), Context(), "011"):
            await undone(url, tmp_path, script, budget=timedelta(seconds=0.5))

    halt = halted(beside_another())
    assert isinstance(halt, Locked)
    assert "other-deployer" in halt.what


def test_rows_that_would_be_lost_are_counted_and_named_and_nothing_is_changed(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    with_rows(url)
    before = asyncio.run(seen(url)).fingerprint
    halt = halted(undone(url, tmp_path, script))
    assert isinstance(halt, WouldLose)
    assert "Taking 011_teams back would lose 2 rows of public.teams; 1 row of public.projects (team_id)." == halt.what
    assert "--accept-data-loss" in halt.next
    assert (before, ["011"]) == (asyncio.run(seen(url)).fingerprint, list(book(url).entries))


def test_an_accepted_loss_is_dumped_first_and_told(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    with_rows(url)
    told = asyncio.run(undone(url, tmp_path, script, accept=True))
    assert {"public.teams": 2, "public.projects (team_id)": 1} == told.lost
    assert told.backup is not None
    assert told.backup.archive is not None
    assert (2, True) == (told.backup.archive.rows["public.teams"], told.backup.restored)
    assert told.same
    assert "2 rows of public.teams" in told.told()


def test_rows_that_no_dump_can_hold_are_not_given_up(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    with_rows(url)
    halt = halted(undone(url, tmp_path, script, accept=True, budget_bytes=0))
    assert isinstance(halt, WouldLose)
    assert "rows that no dump holds: public.teams" in halt.what
    assert halt.next.startswith("Raise migrations.backup.megabytes")
    assert ["011"] == list(book(url).entries)


def test_a_guard_that_cannot_be_asked_keeps_what_it_guards(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    with_rows(url)
    text = script.read_text(encoding="utf-8").replace("lock table public.teams in", "lock public.teams in")
    for accept in (True, False):
        halt = halted(undone(url, tmp_path, text, accept=accept))
        assert isinstance(halt, WouldLose)
        assert "takes away what no guard of it looks into: line" in halt.what
        assert "(drop table public.teams)" in halt.what
    assert ["011"] == list(book(url).entries)


@pytest.mark.parametrize(
    "statement",
    [
        "drop table public.users cascade",
        "drop table users",
        "alter table public.users drop column email",
        "truncate public.users",
        "delete from public.users",
        "drop schema auth cascade",
        "drop owned by current_user",
        "do $$ begin drop table public.users; end $$",
        "alter table public.users rename to people; drop table public.people",
        "alter table public.projects rename column name to title; alter table public.projects drop column title",
    ],
)
def test_what_has_no_guard_is_not_taken_away(tmp_path: Path, statement: str) -> None:
    url, script = teams(tmp_path)
    text = script.read_text(encoding="utf-8").replace("\ncommit;", f"\n{statement};\ncommit;")
    for accept in (True, False):
        halt = halted(undone(url, tmp_path, text, accept=accept))
        assert isinstance(halt, WouldLose)
        assert halt.world.startswith("Nothing was changed.")
    assert ["011"] == list(book(url).entries)


def test_a_script_without_a_head_is_refused(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    text = script.read_text(encoding="utf-8")
    for word in ("undoes", "sha256"):
        halt = halted(undone(url, tmp_path, text.replace(f"bluegreen:{word}", f"bluegreen:no-{word}")))
        assert "The script does not say that it takes 011_teams back" in halt.what
    assert ["011"] == list(book(url).entries)


def test_a_script_that_is_more_than_one_transaction_is_refused(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    alone = "\ndrop index concurrently public.projects_user_id_idx;\ncommit;"
    text = script.read_text(encoding="utf-8").replace("\ncommit;", alone)
    assert "DROP INDEX CONCURRENTLY is a transaction of its own" in halted(undone(url, tmp_path, text)).what
    assert ["011"] == list(book(url).entries)


PARTS = """
create table public.days (day date) partition by range (day);
create table public.april partition of public.days for values from ('2026-04-01') to ('2026-05-01');
create table public."Odd.Name" (id int, "Twice" int generated always as (id * 2) stored);
alter table public.users add column doubled text generated always as (email || email) stored, add column "No" int;
alter table public.projects rename to work;
alter table public.work rename column name to title;
alter table public.work add column extra int;
"""


def test_partitions_computed_columns_and_renamed_tables_are_guarded_by_what_they_belong_to(tmp_path: Path) -> None:
    url, script = teams(tmp_path, PARTS)
    ask(url, "insert into public.days values ('2026-04-05')")
    assert "would lose 1 row of public.days." in halted(undone(url, tmp_path, script)).what
    told = asyncio.run(undone(url, tmp_path, script, accept=True))
    assert (True, {"public.days": 1}) == (told.same, told.lost)


def written(url: str, sql: str, text: str) -> None:
    ask(url, sql)


def test_an_accepted_loss_is_not_one_of_rows_that_came_since(tmp_path: Path) -> None:
    url, script = teams(tmp_path, f"{TEAMS}create table public.other (id int primary key);")
    with_rows(url)
    for more in ("other values (1), (2)", "teams values (3, 'three')"):
        ctx = Context(on_milestone=partial(written, url, f"insert into public.{more}"))
        halt = halted(undone(url, tmp_path, script, accept=True, ctx=ctx))
        assert isinstance(halt, WouldLose)
        assert f"public.{more.partition(' ')[0]} holds rows that this would lose" in halt.what
        assert ["011"] == list(book(url).entries)
        ask(url, "delete from public.other; delete from public.teams where id = 3")
    assert {"public.teams": 2, "public.projects (team_id)": 1} == asyncio.run(
        undone(url, tmp_path, script, accept=True)
    ).lost


def test_a_half_applied_migration_says_that_it_is_one_and_what_to_do(tmp_path: Path) -> None:
    url = database()
    sql = "create table public.n (); create index concurrently n_idx on public.users ((1 / (length(email) - 15)));"
    ask(as_superuser(url), f"insert into auth.users (id, email) values ('{USER}', 'ada@example.org')")
    assert isinstance(halted(put(url, read(folder(tmp_path, _011_teams=sql))[0])), Failed)
    halt = halted(undone(url, tmp_path, None))
    assert "011 is half applied (1 segment of it done); only what is applied whole is taken back." == halt.what
    assert halt.next.startswith("Bring it to its end first (bluegreen migrate apply")


def test_a_change_by_hand_does_not_become_what_counts_by_a_way_back(tmp_path: Path) -> None:
    url, _ = teams(tmp_path)
    folder(tmp_path / "migrations", _012_more="create table public.more (id int);")
    file = read(tmp_path / "migrations", "012")[1]
    script = report.write(asyncio.run(applied(url, file)), tmp_path / "report")[-1]
    ask(url, "create table public.by_hand (id int)")
    assert asyncio.run(undone(url, tmp_path, script, version="012")).same is False
    assert "changed by hand since 011_teams: new: " in halted(put(url, file)).what


def test_a_wish_to_stop_is_heard_while_rows_are_counted(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    ask(as_superuser(url), f"insert into auth.users (id, email) values ('{USER}', 'ada@example.org')")
    ask(url, f"insert into public.projects (user_id, name) values ('{USER}', 'p')")
    text = script.read_text(encoding="utf-8").replace(
        "(select from public.projects where ", "(select from public.projects where pg_sleep(60) is null or "
    )
    ctx = Context()

    async def stopped() -> None:
        way = asyncio.ensure_future(undone(url, tmp_path, text, ctx=ctx))
        counting = "select count(*) > 0 from pg_stat_activity where query like 'select count(%pg_sleep(60)%'"
        await until(as_superuser(url), f"{counting} and pid <> pg_backend_pid()")
        ctx.cancelled = True
        await way

    halt = halted(stopped())
    assert isinstance(halt, Stopped)
    assert "The way back of 011_teams was given up: somebody asked to stop." == halt.what
    assert ["011"] == list(book(url).entries)


def test_only_the_newest_migration_is_taken_back(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    folder(tmp_path / "migrations", _012_more="create table public.more (id int);")
    asyncio.run(put(url, read(tmp_path / "migrations", "012")[1]))
    halt = halted(undone(url, tmp_path, script))
    assert "011_teams is not the newest: 012_more came after it." == halt.what


def test_a_script_of_another_text_or_another_migration_is_refused(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    text = script.read_text(encoding="utf-8")
    [file] = read(tmp_path / "migrations")
    other = halted(undone(url, tmp_path, text.replace(file.sha256, "0" * 64)))
    assert "takes another text of 011_teams back" in other.what
    foreign = halted(undone(url, tmp_path, text.replace("undoes 011_teams", "undoes 010_users")))
    assert "The script takes 010_users back, not 011_teams." == foreign.what
    broken = halted(undone(url, tmp_path, text.replace("drop table", "drop tabel", 1)))
    assert "cannot be run: line" in broken.what
    assert [Refused] * 3 == [type(halt) for halt in (other, foreign, broken)]


def test_a_script_that_ends_the_transaction_by_itself_is_refused(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    text = script.read_text(encoding="utf-8").replace("commit;", "rollback;\ncommit;")
    assert "BEGIN, COMMIT, ROLLBACK and SAVEPOINT are the runner's" in halted(undone(url, tmp_path, text)).what


def test_what_is_not_applied_cannot_be_taken_back(tmp_path: Path) -> None:
    assert "011 is not applied" in halted(undone(database(), tmp_path, "select 1")).what


def test_a_colour_that_needs_it_keeps_it(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    halt = halted(undone(url, tmp_path, script, needed_by=("backend green",)))
    assert "011 cannot be taken back: backend green declares a schemaMin that needs it." == halt.what


def test_a_missing_script_says_where_scripts_are(tmp_path: Path) -> None:
    url, _ = teams(tmp_path)
    assert "the ledger keeps none" in halted(undone(url, tmp_path, None)).what
    assert "cannot be read" in halted(undone(url, tmp_path, tmp_path / "none.sql")).what


def test_what_came_after_it_by_hand_is_told_and_all_is_rolled_back(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    ask(url, "create view public.named as select name from public.teams")
    before = asyncio.run(seen(url)).fingerprint
    halt = halted(undone(url, tmp_path, script))
    assert isinstance(halt, Failed)
    assert "other objects depend on it" in halt.what
    assert "All of it was rolled back: 011_teams stays applied." == halt.world
    assert (before, ["011"]) == (asyncio.run(seen(url)).fingerprint, list(book(url).entries))


def test_a_lock_in_the_way_is_waited_for_within_the_budget_and_named(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    with psycopg.connect(url, application_name="report-job") as other:
        other.execute("lock table public.projects in row exclusive mode")
        halt = halted(undone(url, tmp_path, script, budget=timedelta(seconds=1)))
    assert isinstance(halt, Locked)
    assert "report-job" in halt.what
    assert ["011"] == list(book(url).entries)


def test_somebody_who_asks_to_stop_is_heard(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    with psycopg.connect(url) as other:
        other.execute("lock table public.projects in row exclusive mode")
        halt = halted(undone(url, tmp_path, script, ctx=Context(cancelled=True)))
    assert isinstance(halt, Stopped)
    assert halt.world.endswith("011_teams stays applied.")


def test_what_differs_from_the_schema_that_was_recorded_is_named(tmp_path: Path) -> None:
    url, _ = teams(tmp_path)
    folder(tmp_path / "migrations", _012_more="create table public.more (id int);")
    plan = asyncio.run(applied(url, read(tmp_path / "migrations", "012")[1]))
    script = report.write(plan, tmp_path / "report")[-1]
    ask(url, "create table public.by_hand (id int); alter table public.teams add column motto text")
    told = asyncio.run(undone(url, tmp_path, script, version="012"))
    assert told.same is False
    assert "table public.by_hand" in told.differences[0]
    assert "public.teams.motto" in told.differences[0]
    assert ["011"] == list(book(url).entries)


def test_a_schema_that_is_not_as_before_is_told(tmp_path: Path) -> None:
    url, script = teams(tmp_path)
    ask(url, "create table public.by_hand (id int)")
    told = asyncio.run(undone(url, tmp_path, script))
    assert (False, ("its fingerprint is another one",)) == (told.same, told.differences)
    assert "the schema is not as before it" in told.told()
