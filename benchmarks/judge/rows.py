"""The row about the judge: how fast it gives a bad release up, and how often a healthy one.

The same drawn runs go to everybody, from a fixed seed, so the figures are the same on every machine.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.judge.contenders import PEERS, ours, suspicious
from benchmarks.judge.streams import SECONDS, Release, drawn
from benchmarks.result import Goal, Result
from benchmarks.row import NotMeasured, Wanted

OURS = "ours"
RATES = (1, 5, 20)
HEALTHY = tuple(Release(share, rps) for share in (0.002, 0.005) for rps in RATES)
BAD = tuple(Release(share, rps) for share in (0.02, 0.05, 0.2) for rps in RATES)
OUTAGE = Release(0.05, 20)
SEED = 5
SPARED = 100  # every so many runs are replayed though they are not suspicious: that the short cut loses nothing
STEP = 30  # seconds that one step is analysed by default


@dataclass(frozen=True, slots=True)
class Runs:
    """How many runs are drawn of a release."""

    healthy: int = 20_000
    bad: int = 1_000


@dataclass(frozen=True, slots=True)
class Cell:
    """When everybody gave up each run of one release; the time is None where somebody never did."""

    release: Release
    ends: Mapping[str, Sequence[float | None]]
    passed: int = 0  # by ours

    def share(self, who: str) -> float:
        """The percentage of runs that were given up."""
        return 100 * sum(end is not None for end in self.ends[who]) / len(self.ends[who])

    def seconds(self, who: str) -> list[float]:
        """When each run was given up; one that never was counts with its whole length."""
        return [SECONDS if end is None else end for end in self.ends[who]]


def judge(wanted: Wanted) -> Sequence[Result]:
    """Everybody judges the same runs of healthy and of bad releases."""
    return measured(Runs(), wanted.say)


def measured(runs: Runs, say: Callable[[str], None]) -> Sequence[Result]:
    healthy = [cell(release, runs.healthy, say, spares=True) for release in HEALTHY]
    bad = [cell(release, runs.bad, say) for release in BAD]
    return figures(healthy, bad, step_passes(Release(0.002, 20), runs.bad))


def cell(release: Release, count: int, say: Callable[[str], None], *, spares: bool = False) -> Cell:
    """So many runs of this release, judged by everybody; `spares` ours the runs that it cannot fail."""
    chance = random.Random(f"{SEED} {release}")
    ends: dict[str, list[float | None]] = {name: [] for name in (OURS, *PEERS)}
    passed = 0
    for number in range(count):
        run = drawn(release, chance)
        spared = spares and not suspicious(run)
        verdict, at = ours(run) if not spared or number % SPARED == 0 else (None, 0.0)
        if spared and verdict == "fail":
            raise NotMeasured(
                f"The judge failed a run of {release} that had been taken for harmless. "
                "Nothing of this row was written. Make `suspicious` in benchmarks/judge know its new rule."
            )
        passed += verdict == "pass"
        ends[OURS].append(at if verdict == "fail" else None)
        for name, peer in PEERS.items():
            ends[name].append(peer(run))
    found = Cell(release, ends, passed)
    say(f"  {release}: " + ", ".join(f"{name} gave up {found.share(name):.4g} %" for name in ends))
    return found


def step_passes(release: Release, count: int) -> float:
    """The percentage of healthy runs that the judge passes after one step's time."""
    chance = random.Random(f"{SEED} {release} step")
    return 100 * sum(ours(drawn(release, chance), STEP)[0] == "pass" for _ in range(count)) / count


def figures(healthy: Sequence[Cell], bad: Sequence[Cell], pass_share: float) -> list[Result]:
    """The cells in figures."""
    outage = next(cell for cell in bad if cell.release == OUTAGE)
    few = next(cell for cell in bad if cell.release == Release(0.2, 1))
    faint = next(cell for cell in bad if cell.release == Release(0.02, 5))
    wrong = {name: [round(cell.share(name), 4) for cell in healthy] for name in (OURS, *PEERS)}
    missed = {name: [round(100 - cell.share(name), 4) for cell in bad] for name in (OURS, *PEERS)}
    let_through = {**missed, OURS: [round(100 * cell.passed / len(cell.ends[OURS]), 4) for cell in bad]}
    healthy_runs, bad_runs = len(healthy[0].ends[OURS]), len(outage.ends[OURS])
    return [
        _caught(outage, Goal(20)),
        _caught(few),
        _caught(faint),
        _worst(f"healthy releases wrongly failed, worst of {len(healthy)} kinds", wrong, healthy_runs, Goal(0.1)),
        _worst(f"bad releases not failed in {SECONDS // 60} minutes, worst of {len(bad)} kinds", missed, bad_runs),
        _worst(f"bad releases passed after {SECONDS // 60} minutes, worst of {len(bad)} kinds", let_through, bad_runs),
        Result(
            "judge",
            f"healthy releases (0.2 % at 20 rps) that {STEP} s cannot pass: inconclusive",
            "%",
            round(100 - pass_share, 2),
            repetitions=bad_runs,
            compared=False,
        ),
    ]


def _caught(cell: Cell, goal: Goal | None = None) -> Result:
    seconds = {name: cell.seconds(name) for name in cell.ends}
    values = {name: median(each) for name, each in seconds.items()}
    spread = {name: (min(each), max(each)) for name, each in seconds.items()}
    mine = values.pop(OURS)
    metric = f"caught: errors of {cell.release}, median"
    return Result("judge", metric, "s", mine, values, goal, len(seconds[OURS]), spread)


def _worst(metric: str, shares: Mapping[str, Sequence[float]], runs: int, goal: Goal | None = None) -> Result:
    values = {name: max(each) for name, each in shares.items()}
    spread = {name: (min(each), max(each)) for name, each in shares.items()}
    mine = values.pop(OURS)
    return Result("judge", metric, "%", mine, values, goal, runs, spread)
