"""The user's cache: entries that are there whole or not at all, whatever is killed and whoever else is at it.

An entry is filled in a folder beside its place and renamed into it; one lock lets a single process fill at a time, and
the kernel drops the lock with the process that held it. What a killed filler left is swept by the next one.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".unfinished-"
_LOCK_CHECK_SECONDS = 0.2


def key(parts: Iterable[str | bytes]) -> str:
    """A short name for exactly these inputs, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:20]


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock at `path`; `waiting` is called again and again while somebody else does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(_LOCK_CHECK_SECONDS)
        yield
    finally:
        os.close(handle)


def entry(place: Path, fill: Callable[[Path], None], waiting: Callable[[], None] = lambda: None) -> Path:
    """The entry at `place`, filled first if it is not there."""
    if place.is_dir():
        return place
    with locked(place.parent / ".lock", waiting):
        if place.is_dir():
            return place  # somebody else filled it while we waited
        for left in place.parent.glob(f"{UNFINISHED}*"):
            remove(left)
        filling = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=place.parent))
        try:
            fill(filling)
            filling.chmod(0o755)
            filling.rename(place)
        except BaseException:
            remove(filling)
            raise
    return place


def write(path: Path, text: str, *, executable: bool = False) -> None:
    """Put a file in its place whole; a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(name, 0o755 if executable else 0o644)
    os.replace(name, path)


def remove(path: Path) -> None:
    """Remove a folder, read-only parts included; what an orphan still writes there is left to the next sweep."""
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o755)
    shutil.rmtree(path, ignore_errors=True)
