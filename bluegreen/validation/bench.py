"""One endpoint asked many times over: what each request took, and what Kong and the database say their part of it was.

Half of the requests go over connections that are kept, half over new ones: what a handshake costs is seen by itself.
Percentiles are exact, from the samples. It never hammers: four at a time, a bounded number, and it stops at the first
429, at the fifth error, and when its time is over. It deliberately holds nothing against any bar.
"""

import asyncio
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bluegreen.handler import Halt
from bluegreen.http import Answer, Client
from bluegreen.measure.checks import Way
from bluegreen.measure.spec import Check

AT_ONCE = 4
ERRORS = 5  # after so many it is known to be broken, and more would only make it worse
BUDGET = 8.0  # seconds for one endpoint, half of them for either kind; what was not begun by then is not asked
DATABASE = re.compile(r"(?:^|,)\s*db\s*(?:;[^,]*)?;\s*dur=([0-9.]+)", re.IGNORECASE)


@dataclass(slots=True)
class Bench:
    """What came of it, in milliseconds."""

    kept: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    kong: list[float] = field(default_factory=list)  # Kong's own part of each answer
    database: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    limited: bool = False
    sent: int = 0

    @property
    def over(self) -> bool:
        return self.limited or len(self.errors) >= ERRORS

    @property
    def asked(self) -> int:
        return len(self.kept) + len(self.fresh) + len(self.errors)


async def bench(gateway: Client, check: Check, way: Way, requests: int) -> Bench:
    """Ask it so many times."""
    seen, half = Bench(), math.ceil(requests / 2 / AT_ONCE)
    for way_of_asking in (_kept, _fresh):
        end = time.monotonic() + BUDGET / 2
        await asyncio.gather(*(way_of_asking(gateway, check, way, half, seen, end) for _ in range(AT_ONCE)))
    return seen


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that so many per cent of all are not above (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


async def _kept(gateway: Client, check: Check, way: Way, times: int, seen: Bench, end: float) -> None:
    async with gateway.fresh() as line:
        opening = Bench()  # what opens the connection is nobody's measurement
        await _one(gateway, check, way, line, opening)
        seen.sent += opening.sent
        seen.limited |= opening.limited
        for _ in range(times):
            if seen.over or time.monotonic() >= end:
                return
            await _one(gateway, check, way, line, seen, into=seen.kept)


async def _fresh(gateway: Client, check: Check, way: Way, times: int, seen: Bench, end: float) -> None:
    for _ in range(times):
        if seen.over or time.monotonic() >= end:
            return
        async with gateway.fresh() as line:
            await _one(gateway, check, way, line, seen, into=seen.fresh)


async def _one(
    gateway: Client, check: Check, way: Way, line: Any, seen: Bench, *, into: list[float] | None = None
) -> None:
    headers = {**check.headers, **({"Host": check.host} if check.host else {}), **way.headers}
    began = time.monotonic()
    seen.sent += 1
    try:
        async with asyncio.timeout(check.within.total_seconds()):
            answer = await gateway.probe(check.path, headers=headers, client=line)
    except TimeoutError:
        seen.errors.append(f"no answer within {check.within.total_seconds():g} s")
        return
    except Halt as halt:
        seen.errors.append(halt.what.rstrip("."))
        return
    took = (time.monotonic() - began) * 1000
    if answer.status == 429:
        seen.limited = True
    elif answer.status != check.expect.status:
        seen.errors.append(f"answered {answer.status}")
    elif into is not None:
        into.append(took)
        _parts(answer, seen)


def _parts(answer: Answer, seen: Bench) -> None:
    kong, database = answer.headers.get("x-kong-proxy-latency", ""), answer.headers.get("server-timing", "")
    if kong.isdigit():
        seen.kong.append(float(kong))
    if found := [float(part) for part in DATABASE.findall(database)]:
        seen.database.append(sum(found))
