"""A point to come back to: what it holds, that it comes back, and that a failed one leaves nothing behind."""

import asyncio
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from bluegreen.postgres.backup import Backup, NoBackup, backup, instructions
from bluegreen.postgres.errand import Stopped
from bluegreen.postgres.scratch.programs import client
from bluegreen.postgres.scratch.server import server
from bluegreen.postgres.session import Database
from sandbox.postgres_binaries import Major
from tests.database import as_superuser, database
from tests.postgres_room import PATIENCE, ROOT, Context, ask, halted, until

MEGABYTES = 256 * 1024 * 1024
USER = "11111111-1111-1111-1111-111111111111"
ROWS = f"""
insert into auth.users (id, email) values ('{USER}', 'ada@example.org');
insert into public.projects (user_id, name) select '{USER}', 'project ' || n from generate_series(1, 7) n;
"""


class Stops(Context):
    """Somebody who asks to stop as soon as it is begun."""

    async def status(self, text: str) -> None:
        self.cancelled = True


def filled(major: Major = 18) -> str:
    url = database(major)
    ask(as_superuser(url, major), ROWS)
    return url


async def made(
    url: str, folder: Path, *tables: str, budget: int = MEGABYTES, major: Major = 18, ctx: Context | None = None
) -> Backup:
    async with server(major) as scratch:
        return await backup(
            Database(url), folder, tables=tables, budget_bytes=budget, scratch=scratch, ctx=ctx or Context()
        )


async def unproven(url: str, folder: Path, *tables: str, budget: int = MEGABYTES) -> Backup:
    return await backup(Database(url), folder, tables=tables, budget_bytes=budget, scratch=None, ctx=Context())


def quick(url: str, folder: Path, *tables: str, budget: int = MEGABYTES) -> Backup:
    return asyncio.run(unproven(url, folder, *tables, budget=budget))


@pytest.mark.parametrize("major", [16, 18])
def test_a_small_database_is_dumped_whole_and_comes_back_on_a_scratch_server(tmp_path: Path, major: Major) -> None:
    url = filled(major)
    point = asyncio.run(made(url, tmp_path, "public.projects", major=major))
    assert point.archive is not None
    rows = {name: point.archive.rows[name] for name in ("public.projects", "public.users", "public.generations")}
    assert {"public.projects": 7, "public.users": 1, "public.generations": 0} == rows
    assert (True, (), ("public.projects",), ()) == (point.restored, point.faults, point.asked, point.left_out)
    assert f"Postgres {major}" in point.restored_on


def test_files_are_ours_alone_and_are_what_their_sha256_says(tmp_path: Path) -> None:
    point = quick(filled(), tmp_path / "backups", "public.projects")
    place = Path(point.folder)
    assert {"database.dump", "schema.sql", "backup.json"} == {path.name for path in place.iterdir()}
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
    assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in (place, place.parent)}
    told = {file.name: file.sha256 for file in point.files}
    assert told == {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in told}
    assert point == Backup.model_validate_json((place / "backup.json").read_text(encoding="utf-8"))


def test_the_mark_in_time_lies_after_the_dump_and_names_log_and_snapshot(tmp_path: Path) -> None:
    url = filled()
    before = ask(url, "select clock_timestamp(), pg_current_wal_lsn()::text")[0]
    point = quick(url, tmp_path)
    after = ask(url, "select clock_timestamp(), pg_current_wal_lsn()::text")[0]
    assert point.at is not None
    assert point.dumped_at is not None
    assert before[0] < point.dumped_at < point.at < after[0]
    [(ordered,)] = ask(
        url, f"select '{before[1]}'::pg_lsn <= '{point.lsn}'::pg_lsn and '{point.lsn}' <= '{after[1]}'::pg_lsn"
    )
    assert ordered
    assert ask(url, f"select pg_snapshot_xmin('{point.snapshot}'::pg_snapshot) is not null") == [(True,)]


def test_what_is_over_the_budget_is_left_out_by_name_with_its_size_the_reason_and_the_way_out(tmp_path: Path) -> None:
    url = filled()
    [(size,)] = ask(url, "select pg_total_relation_size('public.projects')")
    point = quick(url, tmp_path, "public.users", "public.projects", budget=size)
    [left] = point.left_out
    assert ("public.projects", size) == (left.table, left.bytes)
    assert left.reason.startswith("with it the dump is over its budget of ")
    assert left.next.startswith("raise migrations.backup.megabytes")
    assert point.archive is not None
    assert {"public.users": 1} == point.archive.rows
    assert ("public.projects",) == tuple(each.table for each in point.missing(["public.users", "public.projects"]))


def test_a_dump_without_rows_still_holds_every_shape(tmp_path: Path) -> None:
    point = asyncio.run(made(filled(), tmp_path, "public.projects", budget=0))
    assert point.archive is not None
    assert ({}, True) == (point.archive.rows, point.restored)
    assert "CREATE TABLE public.projects" in (Path(point.folder) / "schema.sql").read_text(encoding="utf-8")


def test_a_table_above_others_brings_them_along_and_odd_names_stay_themselves(tmp_path: Path) -> None:
    url = filled()
    ask(
        url,
        """
        create table public."Odd.Name * ?" (day date) partition by range (day);
        create table public.of_2025 partition of public."Odd.Name * ?" for values from ('2025-01-01') to ('2026-01-01');
        insert into public.of_2025 values ('2025-05-05');
        create table public.other (filler text);
        insert into public.other select repeat(md5(n::text), 40) from generate_series(1, 2000) n;
        """,
    )
    point = asyncio.run(made(url, tmp_path, 'public."Odd.Name * ?"', "public.none", budget=1_000_000))
    assert point.archive is not None
    assert {'public."Odd.Name * ?"': 0, "public.of_2025": 1} == point.archive.rows
    assert {"public.none": "there is no such table"} == {each.table: each.reason for each in point.left_out}


def test_rows_that_row_level_security_hides_are_not_taken_for_none(tmp_path: Path) -> None:
    url = filled()
    name = "reader_of_" + url.rpartition("/")[2]
    ask(as_superuser(url), f"create role {name} login password 'x'; grant pg_read_all_data to {name}")
    point = quick(url.replace(url.partition("//")[2].partition("@")[0], f"{name}:x"), tmp_path, "public.projects")
    assert {"public.projects": "row level security hides rows of it"} == {
        each.table: each.reason for each in point.left_out
    }


def test_a_table_that_may_not_be_read_stops_nothing_and_is_named(tmp_path: Path) -> None:
    url = filled()
    ask(
        as_superuser(url),
        "create schema vault; create table vault.secrets (id int); revoke pg_read_all_data from postgres",
    )
    try:
        point = asyncio.run(made(url, tmp_path, "public.projects", "vault.secrets"))
    finally:
        ask(as_superuser(url), "grant pg_read_all_data to postgres")
    assert {"vault.secrets": "the user may not read it: neither its shape nor its rows"} == {
        each.table: each.reason for each in point.left_out
    }
    assert point.restored


def test_what_comes_back_when_old_rows_break_a_constraint_that_was_never_validated(tmp_path: Path) -> None:
    url = filled()
    ask(url, "alter table public.projects add constraint short check (length(name) < 3) not valid")
    point = asyncio.run(made(url, tmp_path, "public.projects"))
    assert (True, ()) == (point.restored, point.faults)


def test_a_table_that_needs_a_missing_extension_is_read_back_from_the_archive(tmp_path: Path) -> None:
    url = filled()
    # An extension that no server here can make: only its rows in the catalog, and a type that belongs to it.
    ask(
        as_superuser(url),
        """
        set allow_system_table_mods = on;
        create domain extensions.postcode as text;
        with made as (
            insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
            values (99999, 'postcodes', 10, 'extensions'::regnamespace, false, '1.0') returning oid
        )
        insert into pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
        select 'pg_type'::regclass, 'extensions.postcode'::regtype, 0, 'pg_extension'::regclass, oid, 0, 'e' from made;
        create table public.places (code extensions.postcode);
        insert into public.places values ('N1'), (E'two\nlines'), (null), (E'\\\\.');
        alter table public.places owner to postgres;
        """,
    )
    point = asyncio.run(made(url, tmp_path, "public.places"))
    assert (True, ("public.places",)) == (point.restored, point.read_back)
    assert 'extension "postcodes" is not available' in point.faults
    assert "but for public.places, only read back" in point.told()
    assert {"database.dump", "schema.sql", "backup.json"} == {path.name for path in Path(point.folder).iterdir()}


def test_large_objects_stay_out_of_it_and_of_the_budget(tmp_path: Path) -> None:
    url = filled()
    ask(as_superuser(url), "select lo_from_bytea(0, sha256('large')) from generate_series(1, 50)")
    point = asyncio.run(made(url, tmp_path, "public.projects"))
    listed = asyncio.run(client(18).run("pg_restore", "--list", f"{point.folder}/database.dump")).out
    assert (True, ()) == (point.restored, point.faults)
    assert b"BLOB" not in listed
    assert b"TABLE DATA public projects" in listed


def test_a_failed_dump_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    url = filled()
    with psycopg.connect(url) as other:
        other.execute("lock table public.projects in access exclusive mode")
        halt = halted(impatient(url, tmp_path))
    assert isinstance(halt, NoBackup)
    assert "lock timeout" in halt.what
    assert halt.next.startswith("Let whoever changes the shape of a table end")
    assert "Nothing was changed. What was dumped so far is removed." == halt.world
    assert [] == list(tmp_path.iterdir())


async def impatient(url: str, folder: Path) -> Backup:
    return await backup(
        Database(url), folder, tables=(), budget_bytes=0, scratch=None, ctx=Context(), lock_wait="100ms"
    )


def test_rows_that_do_not_come_back_are_a_failed_backup(tmp_path: Path) -> None:
    url = filled()
    # A check that reads another table: true where it was written, false where that table is still empty.
    ask(
        url,
        """
        create function public.known(text) returns boolean language sql as 'select exists (select from public.users)';
        create table public.aaa (name text check (public.known(name)));
        insert into public.aaa values ('one');
        """,
    )
    halt = halted(made(url, tmp_path, "public.aaa"))
    assert isinstance(halt, NoBackup)
    assert "public.aaa has 0 rows instead of 1" in halt.what
    assert "migrations.backup.megabytes: 0" in halt.next
    assert [] == list(tmp_path.iterdir())


def test_somebody_who_asks_to_stop_is_heard_and_no_half_stays(tmp_path: Path) -> None:
    url = filled()
    with psycopg.connect(url) as other:
        other.execute("lock table public.projects in access exclusive mode")
        halt = halted(stopped(url, tmp_path))
    assert "somebody asked to stop" in halt.what
    assert [] == list(tmp_path.iterdir())


async def stopped(url: str, folder: Path) -> Backup:
    ctx = Stops()
    async with asyncio.timeout(PATIENCE):
        return await backup(Database(url), folder, tables=(), budget_bytes=0, scratch=None, ctx=ctx)


def test_a_backup_that_took_too_long_says_so_and_ends_as_whatever_was_stopped_does(tmp_path: Path) -> None:
    url, ctx = filled(), Context()
    ctx.deadline = ctx.now()
    with psycopg.connect(url) as other:
        other.execute("lock table public.projects in access exclusive mode")
        halt = halted(backup(Database(url), tmp_path, tables=(), budget_bytes=0, scratch=None, ctx=ctx))
    assert isinstance(halt, Stopped)
    assert "The backup ran too long." == halt.what
    assert [] == list(tmp_path.iterdir())


def test_a_table_that_has_a_lock_in_its_name_is_no_lock_in_the_way(tmp_path: Path) -> None:
    url = filled()
    ask(
        url,
        """
        create function public.known(text) returns boolean language sql as 'select exists (select from public.users)';
        create table public.clock (name text check (public.known(name)));
        insert into public.clock values ('one');
        """,
    )
    halt = halted(made(url, tmp_path, "public.clock"))
    assert "public.clock has 0 rows instead of 1" in halt.what
    assert "migrations.backup.megabytes: 0" in halt.next


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    halt = halted(unproven(filled(), tmp_path / "file" / "backups"))
    assert isinstance(halt, NoBackup)
    assert "Not a directory" in halt.what


ALONE = """
import asyncio, sys
from pathlib import Path
from bluegreen.postgres.backup import backup
from bluegreen.postgres.session import Database
from tests.postgres_room import Context
point = backup(
    Database(sys.argv[1]), Path(sys.argv[2]), tables=(), budget_bytes=1 << 30, scratch=None, ctx=Context(),
    lock_wait="60s",
)
asyncio.run(point)
"""
DUMPS = "select count(*) = {} from pg_stat_activity where datname = current_database() and application_name = 'pg_dump'"


def test_a_killed_backup_takes_its_dump_along_and_what_it_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    url = filled()
    ask(url, "create view public.one as select 1 as one")
    with psycopg.connect(url) as other:
        other.execute("alter view public.one set (security_barrier)")  # in the way of nobody but the program
        with subprocess.Popen([sys.executable, "-c", ALONE, url, str(tmp_path)], cwd=ROOT) as process:
            asyncio.run(until(url, DUMPS.format(1)))
            process.kill()
        asyncio.run(until(url, DUMPS.format(0)))
    [left] = list(tmp_path.iterdir())
    (tmp_path / "of-somebody-else").mkdir()
    point = quick(url, tmp_path, "public.projects")
    assert [Path(point.folder).name, "of-somebody-else"] == sorted(path.name for path in tmp_path.iterdir())
    assert not left.exists() or left == Path(point.folder)
    assert "database.dump" in {path.name for path in Path(quick(url, tmp_path).folder).iterdir()}
    assert Path(point.folder).exists()


def test_a_point_that_is_being_made_is_not_removed_by_another(tmp_path: Path) -> None:
    url = filled()

    async def beside() -> tuple[Backup, Backup]:
        return await asyncio.gather(unproven(url, tmp_path), unproven(url, tmp_path))

    one, two = asyncio.run(beside())
    assert {one.folder, two.folder} == {str(path) for path in tmp_path.iterdir()}


def test_no_password_is_in_any_file_argument_or_text(tmp_path: Path) -> None:
    url = filled()
    password = url.partition("//")[2].partition("@")[0].partition(":")[2]
    point = quick(url, tmp_path, "public.projects")
    shown = instructions(point, None, point.where) + point.model_dump_json() + point.told()
    assert password not in shown
    assert "BLUEGREEN_DATABASE_URL" in shown
    written = [path.read_bytes() for path in Path(point.folder).iterdir()]
    assert [] == [text for text in written if password.encode() in text]


def test_the_printed_commands_bring_the_rows_back(tmp_path: Path) -> None:
    url = filled()
    point = quick(url, tmp_path, "public.projects")
    ask(as_superuser(url), "update public.projects set name = 'spoilt'; delete from public.projects where name is null")
    text = instructions(point, None, point.where)
    commands = text.partition("```sh\n")[2].partition("```")[0]
    programs = client(18).folder
    environment = {
        **os.environ,
        "BLUEGREEN_DATABASE_URL": as_superuser(url),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }
    ended = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands], env=environment, capture_output=True, text=True, check=False
    )
    assert (0, "") == (ended.returncode, ended.stderr)
    assert [("project 1",), ("project 2",)] == ask(
        as_superuser(url), "select name from public.projects order by 1 limit 2"
    )
    assert [(7,)] == ask(as_superuser(url), "select count(*) from public.projects")
