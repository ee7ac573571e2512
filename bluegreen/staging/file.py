"""A stack's file as bytes: read whole, written at once or not at all, and the diff between before and after.

It is written beside itself, read back as settings, and then put in its place with its mode; a link stays a link, and
what somebody else has written meanwhile is never overwritten. Line ends and the end of the last line are part of the
text here, so what is not edited stays as it is.
"""

import contextlib
import difflib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bluegreen.handler import Refused
from bluegreen.plain import LARGEST, Unreadable, plain
from bluegreen.settings import Settings

WORLD = "Nothing was changed."
CONTEXT = 3  # lines around a change, as everywhere
COLOURED = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
PLAIN = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Draft:
    """One file as it is and as it is to be."""

    file: Path
    before: str
    after: str

    @property
    def diff(self) -> str:
        """Unified; empty where nothing changes."""
        return "".join(self._lines())

    @property
    def hunks(self) -> int:
        """In how many places it changes."""
        return sum(line.startswith("@@ ") for line in self._lines())

    def shown(self) -> str:
        """The diff for a person: in colours on a terminal that takes them."""
        coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        lines = self.diff.splitlines()
        if not coloured:
            return "\n".join(lines)
        marks = [COLOURED.get(line[:1], "") if number > 1 else "" for number, line in enumerate(lines)]
        return "\n".join(f"{mark}{line}{PLAIN if mark else ''}" for mark, line in zip(marks, lines, strict=True))

    def write(self) -> None:
        """Put it in place.

        Raises:
            Refused: it cannot be written, or the file is another by now.
        """
        file = self.file.resolve()
        try:
            if read(file) != self.before:
                what = f"{file.name} has changed while this was working on it."
                raise Refused(what, world=WORLD, next="Run this again.")
            with _beside(file, self.after) as beside:
                shutil.copymode(file, beside)
                beside.replace(file)
        except OSError as problem:
            raise _unwritable(file, problem) from None

    def undo(self) -> None:
        """Put back what was there, because what had to follow did not succeed."""
        Draft(self.file, self.after, self.before).write()

    def settings(self, project: str, stack: str) -> Settings:
        """What the file will mean.

        Raises:
            Refused: it would not hang together, so it is not written.
        """
        file = self.file.resolve()
        try:
            with _beside(file, self.after) as beside:
                config, _ = plain(beside, project)
        except OSError as problem:
            raise _unwritable(file, problem) from None
        except Unreadable as problem:
            what = f"{file.name} could not be read any more: {problem}."
            raise Refused(what, world=WORLD, next="Make this edit by hand.") from None
        try:
            return Settings.parse(project, stack, config)
        except Refused as refused:
            next_ = "Correct what it names first, or make both edits by hand."
            raise Refused(refused.what, world="Nothing was written.", next=next_) from None

    def _lines(self) -> Iterator[str]:
        name = self.file.name
        lines = (self.before.splitlines(keepends=True), self.after.splitlines(keepends=True))
        for line in difflib.unified_diff(*lines, f"a/{name}", f"b/{name}", n=CONTEXT):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def read(file: Path) -> str:
    """The whole text, its line ends as they are.

    Raises:
        Refused: it is not there, too large, or no text.
    """
    try:
        content = file.read_bytes()
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or "it is no UTF-8"
        raise Refused(
            f"{file.name} cannot be read: {why}.", world=WORLD, next="Change to the project's directory."
        ) from None
    if len(content) > LARGEST:
        raise Refused(f"{file.name} is larger than {LARGEST:,} bytes.", world=WORLD, next="Make this edit by hand.")
    return text


@contextlib.contextmanager
def _beside(file: Path, text: str) -> Iterator[Path]:
    """The text in a file of its own in the same folder, gone afterwards unless it was put in place."""
    handle, name = tempfile.mkstemp(prefix=f".{file.stem}.", suffix=".yaml", dir=file.parent)
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(text.encode("utf-8"))
            out.flush()
            os.fsync(out.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)


def _unwritable(file: Path, problem: OSError) -> Refused:
    what = f"{file.name} cannot be written: {problem.strerror or problem}."
    return Refused(what, world=WORLD, next="Correct that, then run this again.")
