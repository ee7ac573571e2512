"""How long the dry run of 011 takes, with the server that it starts for its copy and without.

Nobody else tries a migration on a copy and back, so there is nobody to compare with.
"""

import time
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.flips.contenders import Silent
from benchmarks.migrations.contenders import OURS
from benchmarks.migrations.place import MAJOR, Place
from benchmarks.result import Goal, Result
from benchmarks.row import NotMeasured, Wanted
from bluegreen.handler import Halt
from bluegreen.postgres import files
from bluegreen.postgres.scratch.server import server
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import Migrations

WHOLE, SERVER = "whole", "its server alone"


async def measured(here: Place, path: Path, wanted: Wanted) -> dict[str, list[float]]:
    """Seconds of whole dry runs, and of what they spend on a server for the copy."""
    from bluegreen.postgres.rehearsal import rehearse  # the linters that it brings are slow to import

    database, one = Database(here.database()), Migrations(target="011", baseline="010", folder=str(path.parent))
    (file,) = files.read(path.parent, one)
    took: dict[str, list[float]] = {WHOLE: [], SERVER: []}
    for turn in range(wanted.repetitions):
        took[SERVER].append(await _seconds(_server_alone()))
        took[WHOLE].append(await _seconds(rehearse(database, file, (), file.spec("bench", one), Silent())))
        said = ", ".join(f"{what} {each[-1]:.2f} s" for what, each in took.items())
        wanted.say(f"  dry run, turn {turn + 1}: {said}")
    return took


async def _server_alone() -> None:
    async with server(MAJOR):
        pass


async def _seconds(work: Awaitable[object]) -> float:
    began = time.monotonic()
    try:
        await work
    except Halt as halt:
        said = f"{halt.what} {halt.world} {halt.next}"
        raise NotMeasured(f"The dry run ended: {said} Nothing of this row was written.") from halt
    return time.monotonic() - began


def figures(took: Mapping[str, Sequence[float]]) -> list[Result]:
    """The server's part is told in each turn's own time: the machine is not equally fast in all of them."""
    rest = [whole - part for whole, part in zip(took[WHOLE], took[SERVER], strict=True)]
    return [
        _figure("dry run of 011, whole, median", took[WHOLE], Goal(4)),
        _figure("dry run of 011 without its server's start and end, median", rest, Goal(2)),
    ]


def _figure(metric: str, took: Sequence[float], goal: Goal) -> Result:
    spread = {OURS: (round(min(took), 2), round(max(took), 2))}
    return Result("migration-011", metric, "s", round(median(took), 2), {}, goal, len(took), spread)
