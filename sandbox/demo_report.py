"""What the demo counted, as its table and its report: what the gateway failed, and what a bad release failed itself.

A release that is judged while users meet it does harm before it is caught. Its own errors are told apart from failed
requests, and never left out: an answer counts as the release's own error when the app itself said 500, with the id of
a release that was rejected afterwards. Everything else that is not a whole 200 in time is a failed request.

Deliberately not here: what a request is, when it failed and from which colour (`sandbox.load_tally`).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from sandbox.load_records import Record
from sandbox.load_tally import Report, Row

OWN = 500  # what the demo app answers when it fails as shipped
WINDOW = re.compile(r"in (?:the last )?([\d.]+) s: fail")


@dataclass(frozen=True, slots=True)
class Bad:
    """A release that was rejected: how long until the judge knew, and until nobody met it any more.

    `caught` is the judge's window when it said fail, `back` the time from the first raise to the proof that all traffic
    is back; `met` counts the answers that users got from it, `errors` those that were its own errors.
    """

    scene: str
    app: str
    release: str
    caught: float
    back: float
    met: int = 0
    errors: int = 0

    def __str__(self) -> str:
        who = f"{self.scene}: {self.app}'s release {self.release} was caught in {self.caught:g} s"
        if not self.met:
            return f"{who}, and no user met it."
        wrong = "none of them with an error" if not self.errors else f"{self.errors} of them with an error of its own"
        return f"{who}, and traffic was back after {self.back:.1f} s; {self.met} requests met it, {wrong}."


@dataclass(frozen=True, slots=True)
class Counted:
    """The load's report with the bad releases' own errors taken out of what failed; `own` has them, by phase."""

    report: Report
    own: Mapping[str, int]
    bad: Sequence[Bad]

    @property
    def errors(self) -> int:
        return sum(self.own.values())

    def as_json(self) -> dict[str, Any]:
        whole = self.report.as_json()
        for row in whole["phases"]:
            row["release_errors"] = self.own.get(row["name"], 0)
        whole["total"]["release_errors"] = self.errors
        return {**whole, "bad_releases": [asdict(bad) for bad in self.bad]}


def rejection(scene: str, done: Mapping[str, Any]) -> Bad:
    """What history tells of a rejected release.

    Raises:
        ValueError: it says nothing of how long the judge looked.
    """
    window = WINDOW.search(done["said"])
    if window is None:
        raise ValueError(f"{done['said']!r} does not say in how many seconds the release was caught")
    took = datetime.fromisoformat(done["finished"]) - datetime.fromisoformat(done["started"])
    return Bad(scene, done["app"], done["release"], float(window[1]), took.total_seconds())


def counted(
    report: Report, records: Sequence[Record], marks: Sequence[tuple[str, float]], bad: Sequence[Bad]
) -> Counted:
    """Tell the two kinds of errors apart.

    Args:
        marks: when each phase began, in order; a request belongs to the last one that began before it was sent.
    """
    theirs = [record for record in records if record.release in {one.release for one in bad}]
    own = [record for record in theirs if record.status == OWN and record.colour is not None]
    phases = [_phase(record, marks, report) for record in own]
    by_phase = {row.name: phases.count(row.name) for row in report.phases}
    rows = tuple(replace(row, failed=row.failed - by_phase[row.name]) for row in report.phases)
    left = {**report.failures, f"status {OWN}": report.failures.get(f"status {OWN}", 0) - len(own)}
    cleared = replace(
        report,
        phases=rows,
        total=replace(report.total, failed=report.total.failed - len(own)),
        failures={reason: count for reason, count in left.items() if count},
    )
    met = [
        replace(
            one,
            met=sum(record.release == one.release for record in theirs),
            errors=sum(record.release == one.release for record in own),
        )
        for one in bad
    ]
    return Counted(cleared, {name: count for name, count in by_phase.items() if count}, met)


def table(count: Counted) -> Table:
    """The report as people read it in a terminal."""
    report = count.report
    view = Table(box=SIMPLE, pad_edge=False, collapse_padding=True)
    view.add_column("phase", no_wrap=True)
    for heading in ("seconds", "requests", "failed", "wrong\ncolour", "own\nerrors", "p99 ms"):
        view.add_column(heading, justify="right", no_wrap=True)
    for row in report.phases:
        view.add_row(*_cells(row, count.own.get(row.name, 0)))
    view.add_section()
    view.add_row(*_cells(report.total, count.errors), style="bold")
    failures = [f"{number} × {reason}" for reason, number in sorted(report.failures.items())]
    view.caption = "; ".join([*failures, "own errors: answered 500 by a release that was rejected"])
    return view


def publish(count: Counted, seconds: dict[str, float], proxied: int | None, reports: Path) -> None:
    """`report.json`: what was counted, what the proxy counted, and how long each update took."""
    reports.mkdir(parents=True, exist_ok=True)
    whole = {
        **count.as_json(),
        "proxied": proxied,
        "up_seconds": {name: round(value, 2) for name, value in seconds.items()},
    }
    (reports / "report.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def verdict(
    count: Counted, unexpected: str, seconds: dict[str, float], say: Callable[[str], None], written: Sequence[Path]
) -> int:
    """The last lines; 0 when everything was as it must be, every request and the load itself included."""
    report, total = count.report, count.report.total
    for bad in count.bad:
        say(str(bad))
    if "roll back, Railway down" in seconds:
        say(f"The rollback took {seconds['roll back, Railway down']:.1f} s from command to proof, Railway down.")
    said = f"{total.requests:,} requests, {total.failed} failed, {total.wrong_colour} from the wrong colour"
    if count.errors:
        said += f", {count.errors} error{'s' * (count.errors != 1)} of bad releases themselves"
    say(f"{said}. Report: {', '.join(str(file) for file in written)}")
    unloaded = [row.name for row in report.phases if not row.requests]
    if report.generator is None or report.generator.ended != "asked" or unloaded:
        unexpected = unexpected or f"The load did not last: {', '.join(unloaded) or 'its own bound ended it'}."
    if unexpected:
        say(f"✗ {unexpected}")
    return 1 if unexpected or total.failed or total.wrong_colour else 0


def _phase(record: Record, marks: Sequence[tuple[str, float]], report: Report) -> str:
    begun = [name for name, since in marks if since <= record.sent]
    return begun[-1] if begun else report.phases[0].name


def _cells(row: Row, own: int) -> list[str]:
    wrong = [f"[red]{number}[/red]" if number else "0" for number in (row.failed, row.wrong_colour)]
    told = f"[yellow]{own}[/yellow]" if own else "0"
    slowest = [ranked.p99 for ranked in (row.kept, row.new) if ranked is not None]
    end = f"{max(slowest):.1f}" if slowest else "–"
    return [row.name, f"{row.seconds:.1f}", f"{row.requests:,}", *wrong, told, end]
