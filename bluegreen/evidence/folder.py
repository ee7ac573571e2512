"""How the record lies on disk: whole files, their owner's alone, and nothing reached through a link.

Whoever may write beside us must not make us write elsewhere, nor make us read what is not ours: below the folder of
all reports, links are refused, and a name is a name and no way. That folder itself may be wherever somebody wants it.
"""

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bluegreen.handler import Refused

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
OURS, OPEN = 0o600, 0o700  # of files, of folders
PIECE = 1 << 20  # bytes read at a time


def name(text: str) -> str:
    """The same, where it can be the name of a file or a folder.

    Raises:
        Refused: it cannot.
    """
    if NAME.fullmatch(text):
        return text
    raise Refused(
        f"{text!r} is no name that anything in the record has.",
        world="Nothing was read or written.",
        next="Use letters, digits, dots, underscores and hyphens, and a letter or a digit first.",
    )


def private(root: Path, *parts: str) -> Path:
    """A folder below `root`, made where it is missing, and its owner's alone where it is made here.

    Raises:
        Refused: something on the way is a link, or no folder.
        OSError: it cannot be made.
    """
    if root.exists() and not root.is_dir():  # a link to a folder is one: where the reports lie is their owner's choice
        raise _in_the_way(root, "no folder")
    root.mkdir(mode=OPEN, parents=True, exist_ok=True)
    folder = root
    for part in parts:
        folder = folder / name(part)
        _no_link(folder)
        folder.mkdir(mode=OPEN, exist_ok=True)
    return folder


def replaced(path: Path, text: str) -> Path:
    """Write a file in one step: a reader never meets half of one.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    handle, fresh = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # its owner's alone by itself
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
    return path


def appended(path: Path) -> int:
    """A new file that grows at its end, open for writing.

    Raises:
        OSError: there is one already, or it cannot be made.
    """
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, OURS)


def contents(path: Path) -> bytes:
    """All of a file that is a file.

    Raises:
        OSError: it is none, a link for example, or cannot be read.
    """
    # Whoever puts a pipe here would otherwise have us wait for a writer.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(None, "it is no file")
        return file.read()


def digest(path: Path) -> str:
    """The sha256 of a file, in hex; empty where it cannot be read."""
    sum_ = hashlib.sha256()
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            while piece := file.read(PIECE):
                sum_.update(piece)
    except OSError:
        return ""
    return sum_.hexdigest()


def files(folder: Path) -> Iterator[Path]:
    """Every file below it, without what is hidden or a link; nothing where it is not there."""
    for each in inside(folder):
        if each.name.startswith(".") or each.is_symlink():
            continue
        if each.is_dir():
            yield from files(each)
        elif each.is_file():
            yield each


def inside(folder: Path) -> Sequence[Path]:
    """What lies there, whatever it is; nothing where it is not there."""
    try:
        return list(folder.iterdir())
    except OSError:
        return ()


def _no_link(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise _in_the_way(folder, "a link" if folder.is_symlink() else "no folder")


def _in_the_way(folder: Path, what: str) -> Refused:
    return Refused(
        f"{folder} is {what}, and the record goes into folders alone.",
        world="Nothing of the record was written there.",
        next="Take it away, or name another folder with bluegreen:reports.",
    )
