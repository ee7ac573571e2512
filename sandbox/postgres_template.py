"""The cluster that every sandbox's database begins as: made once on a computer, then copied, which takes a moment.

`baseline/supabase.sql` is what the platform brings (roles, `auth`, default privileges), `baseline/010.sql` what the
app's first ten migrations left (users, projects, generations). The template lies in the cache of the programs that
made it; other files in `baseline/` or other programs make another template, and the one before goes.

Deliberately not here: the cluster of a sandbox, which is its own from the copy on.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sandbox.postgres_address import OWNER, PASSWORD, SUPERUSER, address
from sandbox.postgres_binaries import NoPostgres, Owner
from sandbox.postgres_process import Postmaster, demoted, environment

BASELINE = Path(__file__).resolve().parent / "baseline"
# The platform's part as the platform, the app's part as the app's owner would have left it.
SCRIPTS = ((SUPERUSER, BASELINE / "supabase.sql"), (OWNER, BASELINE / "010.sql"))
INITDB = (
    *("--username", SUPERUSER, "--auth=scram-sha-256"),
    *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
)


def copied(cluster: Path, programs: Path, cache: Path, port: int, owner: Owner) -> None:
    """Make this cluster; the port is used for a moment when the template is missing.

    Raises:
        NoPostgres: it cannot be made; the text says why.
    """
    found = _template(programs, cache, port, owner)
    fresh = cluster.with_name(f"{cluster.name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)  # what a start that was cut short has left
    # `cp -a` keeps the owner, and shares the blocks where the file system can.
    done = subprocess.run(["cp", "-a", str(found), str(fresh)], capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise NoPostgres(f"The database cannot be made: {done.stderr.strip()[-300:]} Nothing was started.")
    fresh.rename(cluster)


def psql(programs: Path, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Postgres's own client, to its end, without anybody's settings."""
    command = [str(programs / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment())


def _template(programs: Path, cache: Path, port: int, owner: Owner) -> Path:
    content = repr((INITDB, PASSWORD, [(user, script.read_bytes()) for user, script in SCRIPTS]))
    found = cache / f"cluster-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    if not found.exists():
        before = list(cache.glob("cluster-*"))
        making = Path(tempfile.mkdtemp(prefix="fresh-", dir=cache))
        try:
            making.chmod(0o755)
            _made(making / "cluster", programs, port, making / "log", owner)
            for old in before:  # out of the way first: a copy under way has to fail, not to miss files
                with contextlib.suppress(OSError):
                    old.rename(making / old.name)
            with contextlib.suppress(OSError):  # somebody else was faster
                (making / "cluster").rename(found)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return found


def _made(cluster: Path, programs: Path, port: int, log: Path, owner: Owner) -> None:
    """A new cluster with the baseline in it, stopped."""
    cluster.mkdir(mode=0o700)
    os.chown(cluster, owner.uid, owner.gid)
    word = cluster.parent / "password"
    word.touch(mode=0o600)
    word.write_text(f"{PASSWORD}\n", encoding="utf-8")
    os.chown(word, owner.uid, owner.gid)
    command = [str(programs / "initdb"), "--pgdata", str(cluster), "--pwfile", str(word), *INITDB]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **demoted(owner))
    if done.returncode:
        raise NoPostgres(f"initdb failed: {done.stderr.strip()[-300:]} Nothing was started.")
    server = Postmaster(programs, cluster, port, log, owner)
    server.start()
    try:
        for user, script in SCRIPTS:
            laid = psql(programs, address(port, user), "--file", str(script))
            if laid.returncode:
                raise NoPostgres(f"{script.name} failed: {laid.stderr.strip()[-300:]} Nothing was started.")
    finally:
        server.stop()
