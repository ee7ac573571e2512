"""What an engine command did: its end, its words, and every resource operation in the order in which it happened.

Everything is read from the engine's own event log. It deliberately starts nothing (`sandbox.stack`).
"""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INTERRUPTED = 30.0  # seconds that an interrupted engine has to take traffic back and save its state


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that the engine did: `op` on `type` `name`; `kind` is pre, done or failed, `seq` its place in time."""

    seq: int
    at: float
    kind: str
    op: str
    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Run:
    """One finished engine command."""

    command: str
    code: int
    seconds: float
    output: str
    log: Path | None

    def events(self) -> list[Event]:
        """Every resource operation in the order in which it happened; previews have none of their own here."""
        return list(_events(self.log)) if self.log is not None and self.log.exists() else []

    def milestones(self) -> list[str]:
        """What the provider said for the record."""
        return [text for live, text in self.words() if not live and ": " in text]

    def words(self) -> list[tuple[bool, str]]:
        """What the provider said, in its order, and whether it was for the live row alone."""
        return [(live, text) for severity, text, live in self._told() if severity.startswith("info") and text]

    def violations(self) -> list[str]:
        """What the policy pack had against it."""
        entries = _entries(self.log) if self.log is not None and self.log.exists() else ()
        return [entry["policyEvent"]["message"].strip() for entry in entries if "policyEvent" in entry]

    def _told(self) -> Iterator[tuple[str, str, bool]]:
        for entry in _entries(self.log) if self.log is not None and self.log.exists() else ():
            told = entry.get("diagnosticEvent")
            if told:
                yield str(told.get("severity")), str(told.get("message", "")).strip(), bool(told.get("ephemeral"))


@dataclass(frozen=True, slots=True)
class Started:
    """An engine command under way."""

    process: "subprocess.Popen[bytes]"
    command: str
    began: float
    output: Path
    log: Path | None

    def finish(self) -> Run:
        """Wait for its end, however it ends; whoever interrupts the waiting interrupts the engine too."""
        try:
            code = self.process.wait()
        except BaseException:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(INTERRUPTED)
            self.process.kill()
            self.process.wait()
            raise
        seconds = time.monotonic() - self.began
        return Run(self.command, code, seconds, self.output.read_text(encoding="utf-8"), self.log)


def _entries(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue  # the last line of a killed engine


KINDS = {"resourcePreEvent": "pre", "resOutputsEvent": "done", "resOpFailedEvent": "failed"}


def _events(log: Path) -> Iterator[Event]:
    planning = False
    for entry in _entries(log):
        for key, kind in KINDS.items():
            meta = (entry.get(key) or {}).get("metadata")
            if meta is None:
                continue
            planning = bool((entry[key]).get("planning", planning))
            if not planning:
                yield Event(
                    int(entry["sequence"]),
                    float(entry["timestamp"]),
                    kind,
                    str(meta["op"]),
                    str(meta["type"]),
                    str(meta["urn"]).rpartition("::")[2],
                )
