"""Open-loop load on the gateway: `python -m sandbox.load --config FILE --out FILE`, and `Load`, its handle for drivers.

The generator is its own process, so that a busy driver cannot slow it down and it cannot slow the driver. It prints
`ready`, writes a record of every request to the out file while it runs, and ends on SIGTERM once everything in flight
is answered (at most 35 s later), with its totals as the last line.

A request failed when its answer was not a whole one with status 200: `connect`, `reset`, `short body`, `bad answer`,
`timeout`, `status N`. There is no retry, no warm-up and no exclusion; `load_schedule` says what happens on a kept
connection. Reading the numbers is `load_tally`'s part, the bytes are `load_wire`'s.
"""

import argparse
import asyncio
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from sandbox.load_records import Config, Ledger, Reader, Record, Target
from sandbox.load_schedule import AGENT, DRAIN_SECONDS, Generator, orphaned
from sandbox.load_tally import Report, Span, phases_of, tally

__all__ = ["AGENT", "Config", "Load", "LoadError", "Target", "main"]

READY_SECONDS = 20.0


class LoadError(Exception):
    """The load generator did not do its part; the text says what to do next."""


class Load:
    """A running load as its driver sees it: marks phases, says which colours may answer, and gets the report."""

    def __init__(self, process: "subprocess.Popen[str]", out_dir: Path) -> None:
        self._process = process
        self._reader = Reader(out_dir / "load.jsonl")
        self._marks: list[tuple[str, float]] = [("start", time.time())]
        self._spans: list[Span] = []
        self._log = out_dir / "load.log"
        self._report: Report | None = None

    @classmethod
    def start(cls, config: Config, out_dir: Path) -> Self:
        """Begin; when this returns, requests are under way. The first phase is called `start`."""
        out_dir.mkdir(parents=True, exist_ok=True)
        (out_dir / "load.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
        command = [sys.executable, "-m", "sandbox.load", "--die-with-parent", str(os.getpid())]
        command += ["--config", str(out_dir / "load.json"), "--out", str(out_dir / "load.jsonl")]
        with (out_dir / "load.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                cwd=Path(__file__).resolve().parents[1],
            )
        load = cls(process, out_dir)
        load._await_ready()
        return load

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._report is None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def mark(self, phase: str) -> float:
        """From now on requests belong to this phase."""
        now = time.time()
        self._marks.append((phase, now))
        return now

    def serving(self, app: str, *colours: str, since: float | None = None) -> float:
        """From now (or `since`) on only these colours may answer for this app: before a raise, after a proof of 0."""
        now = time.time() if since is None else since
        self._spans = [replace(s, until=min(s.until, now)) if s.app == app else s for s in self._spans]
        self._spans.append(Span(app, frozenset(colours), now))
        return now

    def records(self) -> list[Record]:
        """Every request finished so far."""
        self._reader.read()
        return self._reader.records

    def report(self) -> Report:
        """The numbers so far; the last phase ends with the last request that was sent."""
        records = self.records()
        marks = self._marks_in_use(records)
        end = math.nextafter(max([marks[-1][1], *(record.sent for record in records)]), math.inf)
        report = tally(records, phases_of(marks, end), self._spans)
        return replace(report, generator=self._reader.totals)

    def stop(self) -> Report:
        """End the load, wait for everything in flight, and count."""
        if self._report is None:
            self._process.terminate()
            try:
                self._process.wait(DRAIN_SECONDS + 5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            report = self.report()
            if self._reader.totals is None:
                raise LoadError(
                    f"The load generator ended before it was done (exit {self._process.returncode}): "
                    f"{self._last_words()} {len(self._reader.records)} requests are recorded, the rest is unknown. "
                    f"See {self._log}."
                )
            self._report = report
        return self._report

    def _marks_in_use(self, records: Sequence[Record]) -> list[tuple[str, float]]:
        """The phase `start` begins with its first request; without one it is left out for the driver's own first."""
        first = min((record.sent for record in records), default=math.inf)
        (name, began), *later = self._marks
        if later and first >= later[0][1]:
            return later
        return [(name, first if first < math.inf else began), *later]

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing."

    def _await_ready(self) -> None:
        assert self._process.stdout is not None
        watchdog = threading.Timer(READY_SECONDS, self._process.kill)
        watchdog.start()
        with self._process.stdout as words:
            said = words.readline()
        watchdog.cancel()
        if said != "ready\n":
            self._process.kill()
            self._process.wait()
            raise LoadError(
                f"The load generator did not start: {self._last_words()} No request was sent. See {self._log}."
            )


async def generate(config: Config, out: Path, parent: int | None) -> None:
    """The process's whole life."""
    ledger = Ledger(out)
    try:
        generator = Generator(config, ledger)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, generator.stop)
        if parent is not None:
            watch = asyncio.create_task(orphaned(parent))
            watch.add_done_callback(lambda task: None if task.cancelled() else generator.stop("orphaned"))
        print("ready", flush=True)
        await generator.run()
        ledger.close()
    finally:
        ledger.abandon()


def _more_files() -> None:
    """An open-loop generator against a hanging server holds a socket for every request until its timeout."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.load", description="Open-loop load on the gateway.")
    parser.add_argument("--config", type=Path, required=True, help="a JSON file: targets and bounds")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one for each finished request")
    parser.add_argument("--seconds", type=float, help="end after this time at the latest (overrides max_seconds)")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when this process is gone")
    asked = parser.parse_args(arguments)
    try:
        config = Config.model_validate_json(asked.config.read_bytes())
        if asked.seconds is not None:
            config = Config.model_validate({**config.model_dump(), "max_seconds": asked.seconds})
        _more_files()
        asyncio.run(generate(config, asked.out, asked.die_with_parent))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        print(
            f"{asked.config}: {place}: {first['msg']}. No request was sent. Correct it and start again.",
            file=sys.stderr,
        )
        return 2
    except OSError as error:
        print(f"The load cannot run: {error}. Check the paths and the targets' addresses.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
