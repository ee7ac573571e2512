"""What somebody wants watched: for how long, how often, and from where on it is somebody's business.

Spans come as seconds (`300`) or as the config writes them (`5m`). Everything that cannot be meant is refused here, by
what was typed, before anything is asked. It deliberately knows no stack.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from bluegreen.handler import Refused
from bluegreen.spec import Duration, problems

SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")
LONGEST = timedelta(days=7)
SHORTEST = timedelta(milliseconds=500)  # of an interval: a round asks every endpoint on every way
MAX_ERRORS = 5.0  # percent
MAX_LATENCY = 2000.0  # milliseconds


@dataclass(frozen=True, slots=True)
class Bars:
    """From where on an alert is raised; in percent of the requests, and in milliseconds."""

    errors: float = MAX_ERRORS
    latency: float = MAX_LATENCY


@dataclass(frozen=True, slots=True)
class Wish:
    """One watch, as it was asked for. No `apps` are all of them; `returns`: traffic goes back when it fails."""

    duration: timedelta = timedelta(minutes=5)
    interval: timedelta = timedelta(seconds=30)
    bars: Bars = Bars()
    apps: tuple[str, ...] = ()
    returns: bool = False
    fail_fast: bool = False


def span(name: str, text: str) -> timedelta:
    """The span that somebody typed.

    Raises:
        Refused: it is none.
    """
    if SECONDS.fullmatch(text):
        return timedelta(seconds=float(text))
    try:
        found: timedelta = TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        raise _unmeant(f"{name}: {problems(error)[0]}.", f"Write {name} in seconds (300) or as 5m.") from None
    return found


def spans(duration: str, interval: str) -> tuple[timedelta, timedelta]:
    """Both of them, where they fit together.

    Raises:
        Refused: one is none, or they do not.
    """
    whole, each = span("DURATION", duration), span("INTERVAL", interval)
    if each < SHORTEST:
        raise _unmeant(
            f"INTERVAL is {each.total_seconds():g} s, and a round over every endpoint needs "
            f"{SHORTEST.total_seconds():g} s at least.",
            "Give a longer INTERVAL.",
        )
    if whole < each:
        raise _unmeant(
            f"DURATION is {whole.total_seconds():g} s, which is no whole INTERVAL of {each.total_seconds():g} s.",
            "Give DURATION before INTERVAL: bluegreen monitor 300 30.",
        )
    if whole > LONGEST:
        what = f"DURATION is {whole.days} days, and a watch lasts {LONGEST.days} at most."
        raise _unmeant(what, "For what lasts, generate alert rules: bluegreen observe rules.")
    return whole, each


def bars(errors: float, latency: float) -> Bars:
    """The bars of the alerts.

    Raises:
        Refused: nothing could ever break them, or everything would.
    """
    if not 0 < errors < 100:
        what = f"--max-errors is {errors:g}, not between 0 and 100."
        raise _unmeant(what, "Write it in percent, such as 5.")
    if not 0 < latency < float("inf"):
        what = f"--max-latency is {latency:g}, and no request is that fast."
        raise _unmeant(what, "Write it in milliseconds, such as 2000.")
    return Bars(errors, latency)


def _unmeant(what: str, next: str) -> Refused:
    return Refused(what, world="Nothing was asked.", next=next)
