"""Asks every check at once and keeps each one's end to itself: a slow or crashing one never hides the others.

At most twelve are under way; each has its own time, which begins when it is its turn. What measures is asked after the
others, beside nobody. Whatever a check raises becomes its own finding: an expected end with its own words, anything
else without any, because a fault's text may hold a key. It deliberately knows no check.
"""

import asyncio
import re
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bluegreen.handler import Halt
from bluegreen.validation.check import Asked, Room, Seen, Skip
from bluegreen.validation.finding import Finding, Severity, Status, Validation

AT_ONCE = 12
SHOWN = 400  # characters of what was seen
TELLER = re.compile(r", as ([a-z-]+) tells")  # whom a skipped check leaves it to

Told = Callable[[Asked, Sequence[Finding]], None]


async def validate(
    room: Room,
    asked: Sequence[Asked],
    *,
    fail_on: Severity = "error",
    release: str = "",
    told: Told = lambda asked, found: None,
) -> Validation:
    """Every finding, in the order in which the checks were given.

    Args:
        told: hears of each check as it ends, in no order.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    ends = await _ends(room, asked, told)
    return Validation(
        stack=room.settings.owner.rpartition(".")[2],
        release=release,
        way=room.colour or "users",
        began=began,
        requests=room.sent.requests,
        took_ms=round((time.monotonic() - clock) * 1000, 1),
        fail_on=fail_on,
        findings=[finding for each in asked for finding in ends[id(each)]],
    )


async def _ends(room: Room, asked: Sequence[Asked], told: Told) -> dict[int, list[Finding]]:
    """What came of each check, by its identity: several may share a name."""
    doors = asyncio.Semaphore(AT_ONCE)
    room.telling.update(each.id for each in asked)

    async def one(each: Asked) -> list[Finding]:
        async with doors:
            found = await _found(room, each)
        told(each, found)
        return found

    together = [each for each in asked if not each.alone]
    tasks = [asyncio.create_task(one(each)) for each in together]
    try:
        ends = dict(zip(map(id, together), await asyncio.gather(*tasks), strict=True))
        for each in asked:
            if each.alone:
                ends[id(each)] = await one(each)
    finally:
        await _ended_all(tasks)
        await room.leave()
    return ends


async def _ended_all(tasks: Sequence["asyncio.Task[list[Finding]]"]) -> None:
    """Nobody is left behind: a journey that was cancelled may still be taking away what it made."""
    for task in tasks:
        if not task.cancelling():  # once is a wish, twice would cut it off
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _found(room: Room, asked: Asked) -> list[Finding]:
    """Whatever comes of a check; a cancelled validation alone goes on."""
    clock = time.monotonic()
    ended = await _ended(room, asked)
    took = round((time.monotonic() - clock) * 1000, 1)
    return [_finding(room, asked, seen, took) for seen in ended]


async def _ended(room: Room, asked: Asked) -> Sequence[Seen]:
    try:
        async with asyncio.timeout(asked.within):
            seen = await asked.ask(room)
    except Skip as skip:
        return [_left(room, skip)]
    except Halt as halt:
        hint = " ".join(beat for beat in (halt.next, asked.hint) if beat)
        return [Seen(False, halt.what, status="error", hint=hint)]
    except TimeoutError:
        return [Seen(False, f"no answer within {asked.within:g} s", status="error")]
    except Exception as fault:
        where = traceback.extract_tb(fault.__traceback__)[-1]
        at = f"{where.name} ({Path(where.filename).name}, line {where.lineno})"
        said = f"the check itself met a fault: {type(fault).__name__} in {at}"
        return [Seen(False, said, status="error", hint="That is a fault of bluegreen: report it with this line.")]
    if isinstance(seen, Seen):
        return [seen]
    return seen or [Seen(False, "there was nothing to look at", status="skipped")]


def _left(room: Room, skip: Skip) -> Seen:
    """Skipped; an error where it is left to a check that is not asked now: nobody would tell."""
    teller = TELLER.search(str(skip))
    if teller is None or teller[1] in room.telling:
        return Seen(False, str(skip), status="skipped")
    cause = skip.__cause__
    hint = cause.next if isinstance(cause, Halt) else f"bluegreen validate --only {teller[1]} says more."
    return Seen(False, TELLER.sub("", str(skip)), status="error", hint=hint)


def _finding(room: Room, asked: Asked, seen: Seen, took: float) -> Finding:
    severity = seen.severity or asked.severity
    status = seen.status or ("pass" if seen.ok else _missed(severity))
    return Finding(
        id=_clean(room, f"{asked.id}:{seen.about}") if seen.about else asked.id,
        group=seen.group or asked.group,
        app=seen.app,
        severity=severity,
        status=status,
        observed=_clean(room, seen.observed),
        expected=_clean(room, seen.expected or asked.expected),
        n=seen.n,
        duration_ms=took if seen.duration_ms is None else round(seen.duration_ms, 1),
        hint="" if status == "pass" else _clean(room, seen.hint or ("" if status == "skipped" else asked.hint)),
        doc=asked.doc if not seen.group else f"{asked.doc.partition('#')[0]}#{seen.group}",
    )


def _missed(severity: Severity) -> Status:
    """What it is called when it is not as expected: only an `error` fails."""
    return "fail" if severity == "error" else "warn"


def _clean(room: Room, text: str) -> str:
    """One line without secrets: what an app answers may hold anything, a terminal's control sequences included."""
    line = " ".join(room.redact(text).split())
    shown = "".join(sign if sign.isprintable() else "?" for sign in line)
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"
