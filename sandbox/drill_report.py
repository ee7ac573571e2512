"""What a drill came to: a line for each case, the sums of each kind, the file for machines and the page for people.

A case is good when it converged and no request failed from its beginning to the next one's. Pure, but for writing.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.drill_case import Told

HEAD = ("case", "cases", "converged", "requests", "failed", "detected p50/max s", "whole again p50/max s")


@dataclass(frozen=True, slots=True)
class Case:
    """One case with the requests that were sent while it was played."""

    told: Told
    requests: int
    failed: int

    @property
    def good(self) -> bool:
        return not self.told.wrong and not self.failed


@dataclass(frozen=True, slots=True)
class Report:
    """A whole drill."""

    cases: tuple[Case, ...]
    seconds: float
    failures: Mapping[str, int]
    failed: int  # of all requests, those between two cases too
    requests: int

    @property
    def good(self) -> bool:
        return bool(self.cases) and not self.failed and all(case.good for case in self.cases)

    @property
    def rollbacks(self) -> dict[str, float | int]:
        """How long a rollback by hand took from its start to its proof, where no fault held it up."""
        held_up = ("delay", "kill-cli", "kill-node")
        backs = [case.told.back for case in self.cases if case.told.fate not in held_up]
        seconds = sorted(back for back in backs if back is not None)
        if not seconds:
            return {"count": 0}
        return {"count": len(seconds), "p50": _rank(seconds, 0.5), "p99": _rank(seconds, 0.99), "max": seconds[-1]}

    def as_json(self) -> dict[str, Any]:
        return {
            "good": self.good,
            "cases": len(self.cases),
            "converged": sum(not case.told.wrong for case in self.cases),
            "requests": self.requests,
            "failed": self.failed,
            "failures": dict(self.failures),
            "rollbackSeconds": self.rollbacks,
            "seconds": round(self.seconds, 1),
            "table": [
                {
                    "name": case.told.name,
                    **asdict(case.told),
                    "requests": case.requests,
                    "failed": case.failed,
                    "good": case.good,
                }
                for case in self.cases
            ],
        }


def sums(report: Report) -> list[tuple[str, ...]]:
    """A line for each kind of case, in the order in which they were played."""
    kinds = dict.fromkeys((case.told.subject, case.told.fate, case.told.real) for case in report.cases)
    lines: list[tuple[str, ...]] = []
    for subject, fate, real in kinds:
        of = [case for case in report.cases if (case.told.subject, case.told.fate) == (subject, fate)]
        lines.append(
            (
                f"{subject} · {fate}{' · real engine' if real else ''}",
                str(len(of)),
                str(sum(not case.told.wrong for case in of)),
                f"{sum(case.requests for case in of):,}",
                str(sum(case.failed for case in of)),
                _spread([case.told.detected for case in of]),
                _spread([case.told.healed for case in of]),
            )
        )
    return lines


def verdict(report: Report) -> str:
    """The drill in a sentence or two."""
    good = sum(not case.told.wrong for case in report.cases)
    said = f"{good} of {len(report.cases)} cases converged, {report.failed} of {report.requests:,} requests failed."
    backs = report.rollbacks
    if backs["count"]:
        said += f" A rollback by hand took {backs['p50']:.2f} s (p50), {backs['p99']:.2f} s (p99), command to proof."
    return f"{said} {report.seconds:.0f} s in all."


def write(report: Report, folder: Path) -> None:
    """`drill.json` and `drill.md` in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
    (folder / "drill.json").write_text(text + "\n", encoding="utf-8")
    (folder / "drill.md").write_text("\n".join(_page(report)) + "\n", encoding="utf-8")


def _page(report: Report) -> list[str]:
    lines = ["# Crash drill", "", verdict(report), "", *_table(HEAD, sums(report)), "", "## Every case", ""]
    head = ("case", "the write", "requests", "failed", "detected s", "whole again s", "rollback s", "converged")
    rows = [
        (
            f"{case.told.name}{' · real engine' if case.told.real else ''}",
            case.told.write,
            str(case.requests),
            str(case.failed),
            *(f"{value:.2f}" if value is not None else "–" for value in _times(case.told)),
            case.told.wrong.replace("|", "/").replace("\n", " ") or "yes",
        )
        for case in report.cases
    ]
    return [*lines, *_table(head, rows)]


def _times(told: Told) -> tuple[float | None, ...]:
    return told.detected, told.healed, told.back


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _spread(values: Sequence[float | None]) -> str:
    seconds = sorted(value for value in values if value is not None)
    return f"{_rank(seconds, 0.5):.2f} / {seconds[-1]:.2f}" if seconds else "–"


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
