"""An empty cluster: made by initdb once for each set of programs, then copied, which takes a tenth of the time.

Everything in it is for seconds and for one user: its superuser's password is random, made with it and kept beside it
where only we can read. WAL comes in pieces of 1 MB instead of 16, so there is less to copy.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bluegreen.postgres.scratch.places import CLUSTER, Account, home, unavailable
from bluegreen.postgres.scratch.programs import Programs, demoted, environment

SUPERUSER = "bluegreen_scratch"
PASSWORD = "password"
INITDB = (
    *("--username", SUPERUSER, "--auth=scram-sha-256", "--wal-segsize=1"),
    *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
)
SAID = 300  # characters of what a program said


@dataclass(frozen=True, slots=True)
class Template:
    """A stopped cluster that is only ever copied."""

    folder: Path

    @property
    def password(self) -> str:
        return (self.folder / PASSWORD).read_text(encoding="utf-8").strip()

    async def copied(self, into: Path) -> None:
        """Copy it to where a server is about to run; files keep their owner, and share blocks where they can."""
        process = await asyncio.create_subprocess_exec(
            *("cp", "-a", str(self.folder / CLUSTER), str(into)), stderr=asyncio.subprocess.PIPE, env=environment()
        )
        try:
            _, said = await process.communicate()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode:
            raise unavailable(f"its files cannot be copied ({said.decode(errors='replace').strip()[-SAID:]})", NEXT)

    def forget(self) -> None:
        """It is of no use: the next one is made anew."""
        shutil.rmtree(self.folder, ignore_errors=True)


NEXT = f"Make room in {tempfile.gettempdir()}, or set TMPDIR."


async def template(programs: Programs, binaries: Path, account: Account) -> Template:
    """The cluster that every scratch server of these programs begins as; `binaries` are those that the account can run.

    Raises:
        NoScratch: it cannot be made.
    """
    content = repr((programs.key, str(programs.folder), INITDB, account.uid))
    found = home() / f"{CLUSTER}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    if not (found / PASSWORD).exists():
        fresh = Path(tempfile.mkdtemp(prefix=f".{CLUSTER}-", dir=home()))
        fresh.chmod(0o755)
        try:
            await _made(binaries, account, fresh)
            if found.exists() and not (found / PASSWORD).exists():
                Template(found).forget()  # a cleaner took some of it
            with contextlib.suppress(OSError):  # somebody else was faster
                fresh.rename(found)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    os.utime(found)  # in use: see `sweep`
    return Template(found)


async def _made(binaries: Path, account: Account, fresh: Path) -> None:
    word, cluster = fresh / PASSWORD, fresh / CLUSTER
    cluster.mkdir(mode=0o700)
    word.touch(mode=0o600)
    word.write_text(f"{secrets.token_urlsafe(24)}\n", encoding="utf-8")
    if account.foreign:
        os.chown(cluster, account.uid, account.gid)
        os.chown(word, account.uid, account.gid)  # initdb has to read it
    process = await asyncio.create_subprocess_exec(
        *demoted(account, str(binaries / "initdb"), "--pgdata", str(cluster), "--pwfile", str(word), *INITDB),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        _, said = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    os.chown(word, os.geteuid(), os.getegid())
    if process.returncode:
        raise unavailable(f"initdb failed ({said.decode(errors='replace').strip()[-SAID:]})", NEXT)
