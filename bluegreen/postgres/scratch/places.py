"""Where scratch servers keep their files, whose they are, and how nothing of them stays behind.

Programs that had to be copied and new clusters lie in `bluegreen-scratch-UID` beside the system's temporary files
(`…-KEY`, a cache that may be deleted at any time that none runs). A running server has a folder `run-…` with a lock
beside it, there or, where there is plenty of memory, in a folder of the same name in `/dev/shm`. The kernel lets go of
the lock when its process dies, however it dies; whoever comes next removes the folders whose lock is free. A killed
server also leaves a small block of System V shared memory, which no removal of files takes along; it is freed here too.

As root the files belong to `nobody`, because Postgres refuses to run as root.
"""

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bluegreen.handler import Refused

HOME = "bluegreen-scratch"
RUN = "run-"
CLUSTER = "cluster"  # in a run's folder
MEMORY, PLENTY = Path("/dev/shm"), 1 << 30  # bytes
UNFINISHED_SECONDS, UNUSED_SECONDS = 3600, 30 * 24 * 3600
IPC_RMID = 0


class NoScratch(Refused):
    """No scratch server can be had here."""


def unavailable(why: str, next: str) -> NoScratch:
    return NoScratch(f"The dry run needs a Postgres of its own: {why}.", world="Nothing was changed.", next=next)


@dataclass(frozen=True, slots=True)
class Account:
    """The user as whom a server runs: this one, or `nobody` where this one is root."""

    uid: int
    gid: int

    @classmethod
    def here(cls) -> "Account":
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid)

    @property
    def foreign(self) -> bool:
        return self.uid != os.geteuid()

    def enters(self, folder: Path) -> bool:
        """Whether it can reach what is in the folder."""
        whole = (folder, *folder.parents)
        return not self.foreign or all(stat.S_IMODE(path.stat().st_mode) & stat.S_IXOTH for path in whole)


def home() -> Path:
    """Where programs and new clusters are kept.

    Raises:
        NoScratch: somebody else's folder lies there, or the server's user cannot enter it.
    """
    outer = Path(tempfile.gettempdir()).resolve()
    if not Account.here().enters(outer):
        raise unavailable(f"nobody, as whom it would run, cannot enter {outer}", "Set TMPDIR=/tmp and run it again.")
    return _ours(outer)


def ground() -> Path:
    """Where servers run: in memory if there is plenty, for a database is some hundred files; never where TMPDIR is set.

    Raises:
        NoScratch: as above.
    """
    there = "TMPDIR" not in os.environ and MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    roomy = there and shutil.disk_usage(MEMORY).free >= PLENTY and Account.here().enters(MEMORY)
    return _ours(MEMORY) if roomy else home()


def _ours(outer: Path) -> Path:
    """A folder that is ours, enterable by all and writable by nobody else."""
    folder = outer / f"{HOME}-{os.geteuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise unavailable(f"{folder} is not ours alone", "Remove it and run it again.")
    folder.chmod(0o755)
    return folder


@dataclass(frozen=True, slots=True)
class Run:
    """One folder that is ours as long as its lock is held."""

    folder: Path
    lock: int

    @classmethod
    def begin(cls) -> "Run":
        """A fresh folder; what others left behind is removed on the way."""
        at = ground()
        for place in {at, home()}:
            sweep(place)
        name, path = tempfile.mkstemp(prefix=".new-", dir=at)
        # Locked before it has the name by which others look for it.
        fcntl.flock(name, fcntl.LOCK_EX)
        folder = at / f"{RUN}{path.rpartition('-')[2]}"
        os.rename(path, f"{folder}.lock")
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        return cls(folder, name)

    def end(self) -> None:
        """Remove it all; the server in it has to be gone by now."""
        _removed(self.folder)
        os.close(self.lock)


def sweep(at: Path) -> None:
    """Remove the folders of those who are no more, what was never finished, and what nobody has used for a month."""
    for pattern, age in ((".*", UNFINISHED_SECONDS), ("*-*", UNUSED_SECONDS)):
        for path in at.glob(pattern):
            with contextlib.suppress(OSError):
                if not path.name.startswith(RUN) and path.stat().st_mtime < time.time() - age:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for lock in at.glob(f"{RUN}*.lock"):
        with contextlib.suppress(OSError), _taken(lock):
            folder = lock.with_suffix("")
            if not _still_running(folder):
                _removed(folder)


@contextlib.contextmanager
def _taken(lock: Path) -> Iterator[None]:
    """With the lock held; raises `OSError` while somebody else has it."""
    handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _removed(folder: Path) -> None:
    _free_memory(folder / CLUSTER)
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)


def _still_running(folder: Path) -> bool:
    """Whether its server outlived whoever started it; then it is asked to end, and the folder is the next one's."""
    pid = int(next(iter(_lock_file(folder / CLUSTER)), "0"))
    try:
        mine = str(folder) in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    if mine:
        os.kill(pid, signal.SIGQUIT)
    return mine


def _lock_file(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _free_memory(cluster: Path) -> None:
    """Free the shared memory that the lock file of a killed server names, if it is still that server's."""
    try:
        key, number = (int(word) for word in _lock_file(cluster)[6].split())
    except (IndexError, ValueError):
        return
    system = ctypes.CDLL(None)
    if system.shmget(ctypes.c_int(key & 0xFFFFFFFF), ctypes.c_size_t(0), 0) == number:
        system.shmctl(number, IPC_RMID, None)
