"""A scratch server starts anywhere, several at a time, and leaves nothing behind however it ends."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bluegreen.handler import Refused
from bluegreen.postgres.scratch import places
from bluegreen.postgres.scratch.cluster import template
from bluegreen.postgres.scratch.places import Account, NoScratch
from bluegreen.postgres.scratch.programs import THE_WHEEL, WHEEL, Programs, client, installed, nearest
from bluegreen.postgres.scratch.server import Scratch, server
from bluegreen.postgres.session import Database
from tests.scratch_room import ALWAYS, MAJORS, ask, do

PATIENCE = 20.0
ROOT = Path(__file__).resolve().parent.parent
ALONE = """
import asyncio, sys
from bluegreen.postgres.scratch.server import server

async def wait():
    async with server(16) as scratch:
        print((await (pid(scratch))), flush=True)
        await asyncio.Event().wait()

async def pid(scratch):
    async with scratch.superuser().session() as session:
        return (await session.rows("select pg_read_file('postmaster.pid')"))[0][0].split()[0]

try:
    asyncio.run(wait())
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.fixture
def empty_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that only this test uses, and that `nobody` can enter."""
    made = Path(tempfile.mkdtemp(prefix="bluegreen-tests-", dir=places.ground().parent))
    made.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    monkeypatch.setenv("TMPDIR", str(made))
    yield made
    subprocess.run(["rm", "-rf", str(made)], check=True)


@pytest.fixture(scope="module")
def made_once() -> Path:
    """The new cluster that is copied for every server; making it takes half a second."""
    programs, account = nearest(16)[0], Account.here()
    return asyncio.run(template(programs, programs.for_server(account), account)).folder


@pytest.fixture
def own_place(made_once: Path, empty_place: Path) -> Path:
    """The same with a new cluster in it."""
    subprocess.run(["cp", "-a", str(made_once), str(places.home())], check=True)
    return empty_place


def left(place: Path) -> list[str]:
    """What of servers lies around there."""
    return sorted(path.name for path in place.glob("*/run-*"))


async def postmaster(scratch: Scratch) -> int:
    rows = await ask(scratch.superuser(), "select pg_read_file('postmaster.pid')")
    return int(str(rows[0][0]).split()[0])


def runs(pid: int) -> bool:
    """Whether there is such a process, and it is not only unburied."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False


async def gone(pid: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while runs(pid):  # noqa: ASYNC110  it is no child of ours, nobody tells
            await asyncio.sleep(0.01)


def test_the_wheel_brings_two_majors_wherever_it_is_installed() -> None:
    assert set(ALWAYS) <= set(MAJORS)


@pytest.mark.parametrize("major", MAJORS)
def test_a_server_of_each_installed_major_starts_and_lets_in_who_knows_the_password(major: int) -> None:
    async def run() -> None:
        async with server(major) as scratch:
            made = await scratch.database("shop")
            rows = await ask(made, "select current_setting('server_version_num')::int / 10000, current_user::text")
            assert rows == [(major, "postgres")]
            assert await ask(made, "select rolsuper from pg_roles where rolname = current_user") == [(False,)]
            assert scratch.told.startswith(f"Postgres {major}.")
            with pytest.raises(Refused, match="refuses the password"):
                await ask(Database(f"postgresql://postgres:wrong@127.0.0.1:{scratch.port}/shop"), "select 1")

    asyncio.run(run())


def test_a_clone_has_what_its_template_has_and_a_dropped_database_is_gone() -> None:
    async def run() -> None:
        async with server(16) as scratch:
            await do(await scratch.database("one"), "create table t (a int)", "insert into t values (1)")
            assert await ask(await scratch.clone("two", "one"), "select a from t") == [(1,)]
            await scratch.drop("two")
            with pytest.raises(Refused, match="There is no such database"):
                await ask(scratch.at("two"), "select 1")

    asyncio.run(run())


def test_several_servers_run_at_once_and_know_nothing_of_each_other() -> None:
    async def run() -> None:
        async with server(16) as one, server(16) as two, server(18) as three:
            await one.database("shop")
            assert [one.major, two.major, three.major] == [16, 16, 18]
            assert len({one.port, two.port, three.port}) == 3
            with pytest.raises(Refused, match="There is no such database"):
                await ask(two.at("shop"), "select 1")

    asyncio.run(run())


def test_the_loop_goes_on_while_a_server_starts_and_ends() -> None:
    async def run() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.ensure_future(tick())
        async with server(16):
            started = ticks
        ticking.cancel()
        assert started > 10
        assert ticks > started

    asyncio.run(run())


def test_a_major_that_is_not_here_is_served_by_the_next_higher_one_which_is_said() -> None:
    programs, words = nearest(17)
    assert programs.major == (17 if 17 in MAJORS else 18)
    assert words == ("" if 17 in MAJORS else ", the nearest here to 17")


def test_a_major_above_all_that_are_here_is_refused_with_what_to_do() -> None:
    with pytest.raises(NoScratch) as refused:
        nearest(99)
    assert str(refused.value) == (
        "The dry run needs a Postgres of its own: of version 99 or newer, and there is only "
        f"{', '.join(map(str, MAJORS))} on this machine. Nothing was changed. "
        "Run make setup, or install the package postgresql-99."
    )
    with pytest.raises(Refused, match="There is no pg_dump here that understands Postgres 99"):
        client(99)


def test_after_the_block_neither_process_nor_file_is_left(own_place: Path) -> None:
    async def run() -> int:
        async with server(16) as scratch:
            assert len(left(own_place)) == 2  # the folder and its lock
            return await postmaster(scratch)

    assert not runs(asyncio.run(run()))
    assert left(own_place) == []


def test_an_exception_and_a_cancelled_task_take_the_server_along(own_place: Path) -> None:
    pids: list[int] = []

    async def broken() -> None:
        async with server(16) as scratch:
            pids.append(await postmaster(scratch))
            raise ZeroDivisionError

    async def endless(begun: asyncio.Event) -> None:
        async with server(16) as scratch:
            pids.append(await postmaster(scratch))
            begun.set()
            await asyncio.Event().wait()

    async def run() -> None:
        with pytest.raises(ZeroDivisionError):
            await broken()
        begun = asyncio.Event()
        task = asyncio.ensure_future(endless(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert [runs(pid) for pid in pids] == [False, False]
    assert left(own_place) == []


def test_a_start_that_is_cancelled_at_any_moment_leaves_nothing(own_place: Path) -> None:
    async def begun() -> None:
        async with server(16):
            pass

    async def run() -> None:
        for turns in range(1, 200, 19):
            task = asyncio.ensure_future(begun())
            for _ in range(turns):
                await asyncio.sleep(0.0007)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert left(own_place) == []

    asyncio.run(run())
    assert [path.name for path in own_place.rglob(".*")] == []


@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGINT, 7), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_or_killed_parent_takes_its_server_along(own_place: Path, signal_number: int, code: int) -> None:
    environment = {**os.environ, "TMPDIR": str(own_place)}
    with subprocess.Popen(
        [sys.executable, "-c", ALONE], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal_number)
        assert parent.wait(PATIENCE) == code
    asyncio.run(gone(pid))
    assert bool(left(own_place)) == (signal_number == signal.SIGKILL)

    async def next_one() -> None:
        async with server(16):
            assert len(left(own_place)) == 2

    asyncio.run(next_one())
    assert left(own_place) == []


def test_shared_memory_of_a_server_that_was_killed_itself_is_freed_too(own_place: Path) -> None:
    async def run() -> str:
        async with server(16) as scratch:
            lines = str((await ask(scratch.superuser(), "select pg_read_file('postmaster.pid')"))[0][0]).splitlines()
            os.kill(int(lines[0]), signal.SIGKILL)
            await gone(int(lines[0]))
            return lines[6].split()[1]

    number = asyncio.run(run())
    listed = Path("/proc/sysvipc/shm").read_text(encoding="utf-8").splitlines()
    assert number not in [line.split()[1] for line in listed]


def test_a_template_of_which_a_cleaner_took_files_is_made_again(empty_place: Path) -> None:
    async def started() -> str:
        async with server(16) as scratch:
            return scratch.told

    asyncio.run(started())
    for found in empty_place.glob("*/cluster-*/cluster/global/pg_control"):
        found.unlink()
    with pytest.raises(NoScratch, match="it does not start"):
        asyncio.run(started())
    assert asyncio.run(started()).startswith("Postgres 16.")
    assert left(empty_place) == []


def test_what_nobody_finished_or_used_for_long_is_swept_and_a_broken_template_made_again(empty_place: Path) -> None:
    async def started() -> list[str]:
        async with server(16):
            return sorted(path.name.partition("-")[0] for path in places.home().glob("*") if path.is_dir())

    home = places.home()
    for name in (".cluster-x", "cluster-unused", "programs-unused", "cluster-young"):
        (home / name).mkdir()
        if name != "cluster-young":
            os.utime(home / name, (1, 1))
    assert asyncio.run(started()) == ["cluster", "cluster", "run"]
    for word in home.glob("cluster-*/password"):
        word.unlink()
    assert asyncio.run(started()) == ["cluster", "cluster", "run"]


def test_a_wheel_that_the_servers_user_cannot_reach_runs_from_a_copy_made_once(own_place: Path) -> None:
    site = own_place / "private"
    real = installed()[16].folder.parents[2]
    shutil.copytree(real / WHEEL / "pginstall", site / WHEEL / "pginstall", symlinks=True)
    shutil.copytree(real / f"{WHEEL}.libs", site / f"{WHEEL}.libs")
    site.chmod(0o700)
    programs, account = Programs(16, site / WHEEL / "pginstall" / "bin", THE_WHEEL), Account.here()
    found = programs.for_server(account)
    assert account.enters(found)
    assert (found == programs.folder) == (not account.foreign)
    made = subprocess.run([str(found / "initdb"), "--version"], capture_output=True, text=True, check=True)
    assert made.stdout.startswith("initdb (PostgreSQL) 16.")
    before = found.stat().st_ino
    assert programs.for_server(account).stat().st_ino == before
    if account.foreign:
        (found / "psql").unlink()  # as a cleaner of temporary files would
    assert (programs.for_server(account) / "psql").exists()


def test_other_programs_that_the_servers_user_cannot_reach_are_refused(own_place: Path) -> None:
    inside = own_place / "private" / "bin"
    inside.mkdir(parents=True)
    (own_place / "private").chmod(0o700)
    programs, somebody = Programs(16, inside, str(inside)), Account(os.geteuid() + 12345, os.getegid())
    with pytest.raises(NoScratch, match=r"nobody, as whom it would run, cannot enter .*/private/bin. Nothing was"):
        programs.for_server(somebody)


def test_a_folder_that_is_not_ours_alone_is_refused(own_place: Path) -> None:
    places.home().chmod(0o777)
    with pytest.raises(NoScratch, match=r"is not ours alone. Nothing was changed. Remove it"):
        places.home()


def test_a_password_never_stands_in_the_arguments_of_a_program() -> None:
    async def run() -> None:
        async with server(16) as scratch:
            secret = "p@ss/w%rd 'quoted' \\"
            doubled = secret.replace("'", "''")
            await scratch.run(f"create role odd login password E'{doubled.replace(chr(92), chr(92) * 2)}'")
            address = f"postgresql://odd:{quote(secret, safe='')}@127.0.0.1:{scratch.port}/postgres"
            on = Database(f"{address}?sslmode=disable&keepalives_idle=7&application_name=a%20b")
            asked = "select current_user, current_setting('application_name')"
            output = await scratch.programs.run("psql", "--no-psqlrc", "-Atc", asked, on=on)
            assert (output.code, output.out.decode(), output.err) == (0, "odd|a b\n", "")
            asleep = asyncio.ensure_future(scratch.programs.run("psql", "-Xc", "select pg_sleep(60)", on=on))
            async with asyncio.timeout(PATIENCE):
                while not (shown := arguments("pg_sleep(60)")):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            asleep.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asleep
            assert [words for words in shown if "p@ss" in words or "rd 'quoted'" in words] == []
            assert arguments("pg_sleep(60)") == []

    asyncio.run(run())


def arguments(part: str) -> list[str]:
    """The command lines of psql that hold this."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_text(encoding="utf-8", errors="replace").replace("\0", " ")
            found += [words] if part in words and "psql" in words else []
    return found


def test_a_server_knows_nothing_of_the_environment_of_whoever_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLUEGREEN_DATABASE_URL", "postgresql://u:planted-s3cret@h/d")

    async def run() -> str:
        async with server(18) as scratch:
            await do(scratch.superuser(), "copy (select 1) to program 'env > seen'")
            return str((await ask(scratch.superuser(), "select pg_read_file('seen')"))[0][0])

    seen = asyncio.run(run())
    assert "PATH" in seen
    assert "BLUEGREEN_DATABASE_URL" not in seen


def test_what_is_installed_is_ordered_by_major() -> None:
    assert list(installed()) == sorted(installed())
