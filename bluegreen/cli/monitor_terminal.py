"""Where a watch is seen: one screen on a terminal, plain lines elsewhere; and how it goes on when nobody sees it.

The loss of a terminal (a hang-up, a broken pipe, an error of writing) ends the view and nothing else: from then on what
would have been shown goes nowhere, and so does what would have been printed there at the end. A pipe or a file that is
not a terminal is written to in lines, and a hang-up does not concern it. It deliberately reads no key.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.live import Live
from rich.text import Text

from bluegreen.journal import Beat
from bluegreen.monitor.picture import Picture
from bluegreen.monitor.plain import round_line
from bluegreen.monitor.view import screen

OFTEN = timedelta(seconds=0.25)  # between two drawings at least
LEAST = (20, 6)  # columns and lines: a terminal that says it has fewer is drawn for as if it had these
LOST = (OSError, ValueError)  # ValueError: the stream was closed


class Terminal:
    """Shows a watch on standard error; implements `bluegreen.monitor.ports.Show`."""

    def __init__(self) -> None:
        self._console = _Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live: Live | None = None
        self._drawn: datetime | None = None
        self._ends = [number for number in (2, 1) if _same(number, 2)]  # standard output, where it is the same place
        self.lost = False

    @property
    def views(self) -> bool:
        """Whether there is a terminal to draw on."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, there is a view where there can be one; afterwards its last state stays."""
        with self._guarded():
            if self.views:
                self._live = Live(
                    console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
                )
                self._live.start()
        try:
            yield
        finally:
            self._stop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, others may print: the view stands still, and begins anew below."""
        was = self._live is not None
        self._stop()
        if not was:
            yield
            return
        with contextlib.ExitStack() as after:
            yield
            after.enter_context(self._guarded())
            if not self.lost:
                self._live = Live(
                    console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
                )
                self._live.start()

    def draw(self, picture: Picture, now: datetime) -> None:
        """What the watch looks like now; seldom enough for any terminal."""
        if self._live is None or (self._drawn is not None and now - self._drawn < OFTEN):
            return
        self._drawn = now
        with self._guarded():
            width, height = (max(each, least) for each, least in zip(self._console.size, LEAST, strict=True))
            ascii_only = not self._console.encoding.lower().startswith("utf")
            self._live.update(screen(picture, now, width, height, ascii_only=ascii_only), refresh=True)

    def finish(self, picture: Picture, now: datetime) -> None:
        """The last drawing, however soon after the one before."""
        self._drawn = None
        self.draw(picture, now)

    def round(self, picture: Picture, beats: Sequence[Beat], at: datetime) -> None:
        """A line for the log; a view shows it anyway."""
        if self._live is None:
            self.say(round_line(picture, beats, at))

    def say(self, text: str) -> None:
        """One line that stays, above the view where there is one."""
        with self._guarded():
            self._console.print(Text(text), soft_wrap=True)

    def lose(self) -> None:
        """Nobody sees it any more, and nothing written there may end it."""
        if self.lost:
            return
        self.lost, self._live = True, None
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for number in self._ends:
                os.dup2(nowhere, number)
            os.close(nowhere)
        for stream in (sys.stderr, sys.stdout):
            with contextlib.suppress(*LOST):
                stream.flush()  # what could not be written is let go of

    def hang_up(self) -> None:
        """SIGHUP: a terminal is gone; a log is not."""
        if self.views or self._live is not None:
            self.lose()

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            with self._guarded():
                live.stop()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except LOST:
            self.lose()


class _Console(Console):
    """A console whose broken pipe is an error like any other, instead of the end of the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _same(number: int, other: int) -> bool:
    """Whether two of this process's outputs go to the same place."""
    try:
        one, two = os.fstat(number), os.fstat(other)
    except OSError:
        return False
    return (one.st_dev, one.st_ino, one.st_rdev) == (two.st_dev, two.st_ino, two.st_rdev)
