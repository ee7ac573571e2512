"""A plan as a pull request's comment: the three answers first, then what serves what, then the rest, folded.

It reads on a phone: no table has more than four narrow columns. Whatever others wrote in it (a tag, a table's name, a
policy's sentence) makes no sign of Markdown, no tag and no mention. What does not fit into a comment is counted.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from bluegreen.page.markdown import COMMENT, cell, fence, plain
from bluegreen.page.rendering import rendered
from bluegreen.page.section import count, span
from bluegreen.planning.colours import short
from bluegreen.planning.document import Planned, Runs, Side
from bluegreen.planning.steps import LEAST_MS, clock

TEMPLATE = Path(__file__).with_name("templates") / "plan.md.j2"
ROWS = (200, 100, 50, 20, 10, 3)  # of one list, until the whole fits
MARK = re.compile(r"\n{3,}")
SHORT = 8  # hex digits of a digest that a person compares
LONGEST = 64_000  # characters that a comment may have

T = TypeVar("T")


def markdown(plan: Planned) -> str:
    """The whole comment; lists that are too long end with how many more there are."""
    for most in ROWS:
        text = MARK.sub("\n\n", rendered(TEMPLATE, {"plan": plan, "most": most}, FILTERS))
        if len(text) <= COMMENT:
            return text
    # Only sentences that others wrote can be as long as that: the beginning has what a reviewer has to know.
    return text[: LONGEST - 100].rpartition("\n")[0] + "\n\nThe rest does not fit into a comment.\n"


def _runs(runs: Runs | None) -> str:
    """What one colour runs, in a narrow cell."""
    if runs is None:
        return "–"
    digest = runs.image.partition("@sha256:")[2][:SHORT]
    share = "–" if runs.weight is None else f"**{runs.weight} %**" if runs.weight else "0 %"
    tag = f" {cell(short(runs.tag))}" if runs.tag else ""
    return f"{share}{tag}{f' `{digest}`' if digest else ''}"


def _first_of(found: Sequence[str], most: int) -> list[str]:
    more = len(found) - most
    return [*found[:most], f"and {more:,} more"] if more > 0 else list(found)


def _first_rows(found: Sequence[T], most: int) -> Sequence[T]:
    return found[:most]


def _listed(found: Sequence[str], most: int) -> str:
    return ", ".join(cell(each) for each in _first_of(found, most)) or "none"


def _fenced(found: Sequence[str], most: int) -> str:
    text = "\n".join(_first_of(found, most)) or "nothing changes"
    around = fence(text)
    return f"{around}\n{text}\n{around}"


def _all_sides(plan: Planned) -> list[tuple[str, Side]]:
    return [(f"{app.app} {side.colour}", side) for app in plan.apps for side in app.sides]


def _differing(sides: Sequence[tuple[str, Side]]) -> str:
    """Which of them are not as they were."""
    names = [name for name, side in sides if side.done in ("deployed", "removed") or side.variables or side.container]
    return f"{', '.join(names)} change{'s' * (len(names) == 1)}" if names else "none changes"


def _pair(both: Sequence[Runs | None], field: str) -> str:
    """One text before and after, or once where it stays."""
    shown = [f"`{_code(getattr(runs, field))}`" if runs is not None and getattr(runs, field) else "–" for runs in both]
    return shown[1] if shown[0] == shown[1] or both[0] is None else " → ".join(shown)


def _code(text: str) -> str:
    """Inside of single backticks, where only they are read."""
    return " ".join(text.split()).replace("`", "'")


def _after_label(told: str, label: str) -> str:
    return told.removeprefix(f"{label}: ")


def _span(ms: float) -> str:
    return span(max(ms, LEAST_MS))


def _possible(found: bool | None) -> str:
    return "unknown" if found is None else "possible" if found else "blocked"


def _fits(found: bool | None) -> str:
    return "unknown" if found is None else "✓" if found else "✗"


FILTERS: dict[str, Any] = {
    "after_label": _after_label,
    "all_sides": _all_sides,
    "clock": clock,
    "differing": _differing,
    "count": count,
    "fenced": _fenced,
    "first_of": _first_of,
    "first_rows": _first_rows,
    "fits": _fits,
    "listed": _listed,
    "pair": _pair,
    "plain": plain,
    "possible": _possible,
    "runs": _runs,
    "span": _span,
}
