"""Where verbs print to. What a verb does is worth more than what it prints, so no reader who is gone ends it midway.

A closed pipe, a full disk or a terminal that knows ASCII alone costs what was to be read there, never a rollback its
third write. The exit code is the verb's either way.
"""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Lossy(io.FileIO):
    """A descriptor that may be written to whatever happens to it; `lost` says why something did not arrive."""

    lost = ""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write this, or drop it."""
        try:
            return super().write(data)
        except BrokenPipeError:  # whoever read has seen enough
            return len(memoryview(data))
        except OSError as problem:
            self.lost = problem.strerror or type(problem).__name__
            return len(memoryview(data))


class Forgiving(io.TextIOWrapper):
    """Text for a person who may be gone; what their terminal cannot show is written as its escape."""

    def __init__(self, stream: TextIO) -> None:
        self.raw = Lossy(stream.fileno(), "w", closefd=False)
        super().__init__(io.BufferedWriter(self.raw), stream.encoding, errors="backslashreplace", line_buffering=True)


def forgive() -> None:
    """From now on printing never raises, also where a stream was closed before we began."""
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)


def printed() -> None:
    """Say on standard error what standard output lost, after the last line of it."""
    if isinstance(sys.stdout, Forgiving) and sys.stdout.raw.lost:
        print(f"It could not all be printed: {sys.stdout.raw.lost}.", file=sys.stderr)


def _forgiving(stream: TextIO | None) -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8") if stream is None else Forgiving(stream)
