"""Writes down what happens of a release, while it happens: a thread appends, and nobody waits for it.

Whatever was noted half a second ago is in the file, so the end of this process, however hard, leaves what came before;
only a machine that loses its power may lose more. Whoever notes is never held up: what waits is bounded, and what does
not fit, cannot be written or is not written in time is counted and told in one sentence at the end. Who makes the
release, and from which commit, is found out here, in the thread as well.
"""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from secrets import token_hex

from bluegreen.evidence.bundle import IDENTITY, stamp
from bluegreen.evidence.bundles import Bundles
from bluegreen.evidence.folder import appended, private
from bluegreen.evidence.hidden import NOTHING, Hide
from bluegreen.evidence.identity import Identity
from bluegreen.evidence.who import Who
from bluegreen.handler import Halt
from bluegreen.journal import NEVER, AnyEntry, Began, whole

WAITING = 10_000  # entries that the thread may lag behind
FAREWELL = 2.0  # seconds for what is left at the end


@dataclass(frozen=True, slots=True)
class _Note:
    entry: AnyEntry
    release: str


@dataclass(frozen=True, slots=True)
class _End:
    """After it the thread seals what it wrote into, says so, and ends."""

    reached: Callable[[], None]


@dataclass(slots=True)
class _File:
    """A journal under way; after half a line, what follows begins on one of its own."""

    handle: int
    torn: bool = False

    def append(self, line: bytes) -> None:
        """Raises OSError where not all of it is in the file."""
        text = b"\n" + line if self.torn else line
        self.torn = os.write(self.handle, text) != len(text)
        if self.torn:
            raise OSError(None, "the disk took a part of it only")


@dataclass(slots=True)
class _Account:
    """What was noted since the last account, and why some of it is not on disk."""

    noted: int = 0
    written: int = 0
    missed: Counter[str] = field(default_factory=Counter)  # entries, by why they are missing
    beside: list[str] = field(default_factory=list)  # what else is not as it should be, a phrase each

    def complaint(self, *, late: bool) -> str:
        """One sentence, or nothing; `late`: the thread is still at it."""
        missing = self.noted - self.written
        lack = f"{missing:,} of {self.noted:,} entries of this release's record are"
        if late and missing > self.missed.total():
            return f"{lack} not on disk after {FAREWELL:g} s."
        if self.missed:
            return f"{lack} missing: {self.missed.most_common(1)[0][0]}."
        beside = [*dict.fromkeys(self.beside), *([f"is not sealed after {FAREWELL:g} s"] if late else [])]
        return f"The record of this release {', and '.join(beside)}." if beside else ""


Identify = Callable[[Began, Who], Identity | None]


class Scribe:
    """Keeps the record of one stack's releases; implements `bluegreen.journal.Journal`.

    Args:
        root: the folder of all reports.
        now: the clock, for entries without a time and for names of files.
        hide: takes secrets out of every entry.
        who: who makes the release, asked in the thread and once, when a move begins without that.
        identify: what the release is that a move brings, asked in the thread where nobody has written that down.
    """

    def __init__(
        self,
        root: Path,
        stack: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        hide: Hide = NOTHING,
        who: Callable[[], Who] = Who,
        identify: Identify = lambda began, who: None,
    ) -> None:
        self._bundles = Bundles(root, stack, hide)
        self._now = now
        self._who = who
        self._identify = identify
        self._known: Who | None = None
        self._account = _Account()
        self._queue: SimpleQueue[_Note | _End] | None = None

    def note(self, entry: AnyEntry, releases: Mapping[str, str]) -> None:
        """Keep one entry of the record of this release; never waits, never raises."""
        self._account.noted += 1
        try:
            self._queue = self._queue or self._writing(self._account)
        except RuntimeError as problem:  # no thread can be had
            self._account.missed[str(problem)] += 1
            return
        if self._queue.qsize() >= WAITING:
            self._account.missed[f"{WAITING:,} were waiting for the disk"] += 1
            return
        dated = entry if entry.at != NEVER else entry.model_copy(update={"at": self._now()})
        self._queue.put(_Note(dated, whole(releases)))

    async def settle(self) -> str:
        """Everything is on disk, or a sentence about what is not; after two seconds it is given up."""
        queue, account = self._queue, self._account
        self._queue, self._account = None, _Account()
        if queue is None:
            return account.complaint(late=False)
        loop, reached = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            try:
                loop.call_soon_threadsafe(reached.set)
            except RuntimeError:  # nobody waits any more, and the loop is closed
                return

        queue.put(_End(tell))
        try:
            async with asyncio.timeout(FAREWELL):
                await reached.wait()
        except TimeoutError:
            return account.complaint(late=True)
        return account.complaint(late=False)

    def _writing(self, account: _Account) -> "SimpleQueue[_Note | _End]":
        queue: SimpleQueue[_Note | _End] = SimpleQueue()
        # A daemon: a disk that hangs must not keep this process from ending.
        threading.Thread(target=self._write, args=(queue, account), name="scribe", daemon=True).start()
        return queue

    def _write(self, queue: "SimpleQueue[_Note | _End]", account: _Account) -> None:
        """The thread: one entry after another, each in the file before the next is looked at."""
        open_: dict[str, _File] = {}
        while isinstance(note := queue.get(), _Note):
            try:
                self._append(note, open_)
                account.written += 1
            except Exception as problem:  # whatever is wrong with one entry is no reason to lose the next
                account.missed[_why(problem)] += 1
                continue
            try:
                self._introduce(note)
            except Exception as problem:
                account.beside.append(f"is not whole ({_why(problem)})")
        for release, file in open_.items():
            try:
                os.close(file.handle)
                self._bundles.bundle(release).seal()
            except Exception as problem:
                account.beside.append(f"is not sealed ({_why(problem)})")
        note.reached()

    def _append(self, note: _Note, open_: dict[str, _File]) -> None:
        line = self._line(note.entry)
        if note.release not in open_:
            folder = private(self._bundles.root, self._bundles.stack, note.release)
            made = appended(folder / f"journal-{stamp(self._now())}-{token_hex(2)}.ndjson")
            open_[note.release] = _File(made)
        open_[note.release].append(line)

    def _introduce(self, note: _Note) -> None:
        """The release that a move brings, where its folder does not say yet what it is."""
        entry, bundle = note.entry, self._bundles.bundle(note.release)
        if not isinstance(entry, Began) or whole(entry.releases) != note.release or IDENTITY in bundle.names():
            return
        identity = self._identify(entry, self._known or Who())
        if identity is not None:
            self._bundles.introduce(bundle, identity)

    def _line(self, entry: AnyEntry) -> bytes:
        if isinstance(entry, Began) and not entry.by:
            entry = entry.model_copy(update=self._told(entry))
        shown = self._bundles.hide.json(entry.model_dump_json(by_alias=True))
        return shown.encode("utf-8", "replace") + b"\n"

    def _told(self, entry: Began) -> dict[str, str]:
        self._known = self._known or self._who()
        known = self._known
        return {"by": known.by, "reason": entry.reason or known.reason, "commit": entry.commit or known.commit}


def _why(problem: Exception) -> str:
    """In words that no secret is in: what a fault says may hold anything."""
    if isinstance(problem, Halt):
        return problem.what.rstrip(".")
    if isinstance(problem, OSError):
        return problem.strerror or type(problem).__name__
    return f"a fault of bluegreen itself, {type(problem).__name__}"
