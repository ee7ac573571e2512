"""Where the database files of a data folder lie, and how they go: in the folder, unless the server cannot enter it.

As root the server runs as `nobody`, who enters no private folder. Its files then lie beside the system's temporary
files, in `bluegreen-clusters-UID`, with a note that says whose they are. Files in the data folder stay until somebody
deletes the folder; files outside go with their world (`leave`), and those whose data folder has vanished meanwhile
go when the next cluster is made (`sweep`), so that nothing is left behind for good.

A killed server leaves a small block of System V shared memory that no file removal takes along; that goes here too.
Deliberately not here: starting anything (`sandbox.postgres`).
"""

import ctypes
import hashlib
import shutil
from pathlib import Path

from sandbox.postgres_binaries import Owner, ours

OUTSIDE = "bluegreen-clusters"
NOTE = "of"  # beside a cluster outside: the data folder that it belongs to
IPC_RMID = 0


def cluster(data: Path, owner: Owner) -> Path:
    """Where the database files of this data folder lie."""
    return data / "cluster" if owner.enters(data.resolve()) else _outside(data) / "cluster"


def claim(data: Path, owner: Owner) -> Path:
    """The same, with the folder around it made ready and noted."""
    data.mkdir(parents=True, exist_ok=True)
    found = cluster(data, owner)
    if found.parent != data:
        sweep()
        found.parent.mkdir(mode=0o755, exist_ok=True)
        found.parent.chmod(0o755)
        (found.parent / NOTE).write_text(str(data.resolve()), encoding="utf-8")
    return found


def leave(data: Path) -> None:
    """The world of this data folder has ended: what lies outside goes, what lies in the folder stays."""
    found = cluster(data, Owner.here())
    _free_memory(found)
    if found.parent != data:
        shutil.rmtree(found.parent, ignore_errors=True)


def forget(data: Path) -> None:
    """Remove the database files of this data folder, wherever they are."""
    leave(data)
    shutil.rmtree(found := cluster(data, Owner.here()), ignore_errors=True)
    shutil.rmtree(found.with_name(f"{found.name}.fresh"), ignore_errors=True)


def sweep() -> None:
    """Remove what lies outside and belongs to a data folder that is no more."""
    for note in ours(OUTSIDE).glob(f"*/{NOTE}"):
        try:
            abandoned = not Path(note.read_text(encoding="utf-8")).exists()
        except OSError:  # somebody else was faster
            continue
        if abandoned:
            _free_memory(note.parent / "cluster")
            shutil.rmtree(note.parent, ignore_errors=True)


def _outside(data: Path) -> Path:
    return ours(OUTSIDE) / hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:16]


def _free_memory(cluster: Path) -> None:
    """Remove the shared memory that the lock file of a killed server names, if it is still that server's."""
    try:
        words = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()[6].split()
        key, number = int(words[0]), int(words[1])
    except (OSError, IndexError, ValueError):
        return
    system = ctypes.CDLL(None)
    if system.shmget(ctypes.c_int(key & 0xFFFFFFFF), ctypes.c_size_t(0), 0) == number:
        system.shmctl(number, IPC_RMID, None)
