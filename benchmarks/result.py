"""One measured figure and the file that keeps them: `results.json`, a list; measuring one row again replaces that row.

What the machine was like lies beside it, row by row, because rows are not measured on one day. Deliberately not here:
how anything is measured.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Spread = Mapping[str, tuple[float, float]]  # by who: the lowest and the highest value


class Unreadable(Exception):
    """The results file is not what this program writes; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure must not exceed, or what it must reach; with `times`, in units of the best peer's figure."""

    most: float | None = None
    least: float | None = None
    times: bool = False

    def __post_init__(self) -> None:
        if (self.most is None) == (self.least is None):
            msg = "a goal has one bound: most or least"
            raise ValueError(msg)

    def met(self, value: float) -> bool:
        """Whether this figure, or this multiple, keeps it."""
        return value <= self.most if self.most is not None else value >= (self.least or 0)

    def __str__(self) -> str:
        bound = f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"
        return f"{bound} x the best peer's" if self.times else bound


@dataclass(frozen=True, slots=True)
class Result:
    """One figure of one row: ours beside the peers', all from the same run.

    `spread` holds the lowest and the highest of the repetitions, where one figure stands for several measurements.
    """

    row: str
    metric: str
    unit: str
    ours: float
    peers: Mapping[str, float] = field(default_factory=dict)
    goal: Goal | None = None
    repetitions: int = 1
    spread: Spread = field(default_factory=dict)
    compared: bool = True  # False for what is only told, such as how many requests there were

    @property
    def ratio(self) -> float | None:
        """Ours as a part of the best peer's; None where nobody is to be compared with, or the best peer's is 0.

        Less is better, except where the goal is a least.
        """
        of = max if self.goal is not None and self.goal.least is not None else min
        best = of(self.peers.values(), default=0.0)
        return round(self.ours / best, 4) if self.compared and best else None

    @property
    def met(self) -> bool | None:
        """None where nothing was promised, or where what was promised is by peers of whom there are none."""
        if self.goal is None:
            return None
        value = self.ratio if self.goal.times else self.ours
        return None if value is None else self.goal.met(value)

    def as_json(self) -> dict[str, Any]:
        shown = asdict(self)
        del shown["compared"]
        shown["goal"] = None if self.goal is None else str(self.goal)
        return {
            **{key: shown[key] for key in ("row", "metric", "unit", "ours", "peers")},
            "ratio": self.ratio,
            "goal": shown["goal"],
            "met": self.met,
            "repetitions": self.repetitions,
            "spread": {who: list(ends) for who, ends in self.spread.items()},
        }


def save(path: Path, row: str, results: Sequence[Result], machine: Mapping[str, object]) -> None:
    """Put this row's figures in the place of what the file held of it; every other row stays where it is."""
    before = read(path)
    kept = [entry for entry in before if entry["row"] != row]
    at = next((place for place, entry in enumerate(before) if entry["row"] == row), len(kept))
    machines = {**_machines(path), row: dict(machine)}
    present = {entry["row"] for entry in kept} | {row}
    _replace(path, [*kept[:at], *(result.as_json() for result in results), *kept[at:]])
    _replace(beside(path), {name: machines[name] for name in sorted(machines) if name in present})


def read(path: Path) -> list[dict[str, Any]]:
    """Every figure that the file holds; none when there is no file yet."""
    entries = _load(path, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "row" in entry for entry in entries):
        raise _unreadable(path, "it is not a list of figures")
    return entries


def beside(path: Path) -> Path:
    """Where the machine's facts lie: `results.json` has `results.machine.json`."""
    return path.with_suffix(".machine.json")


def _machines(path: Path) -> dict[str, Any]:
    machines = _load(beside(path), {})
    if not isinstance(machines, dict):
        raise _unreadable(beside(path), "it is not a map of rows")
    return machines


def _load(path: Path, otherwise: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return otherwise
    except ValueError as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> Unreadable:
    return Unreadable(f"{path} cannot be read: {why}. It was left as it is. Move it away, or choose another --out.")


def _replace(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)
