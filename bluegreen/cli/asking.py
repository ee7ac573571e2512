"""How a stack's checks are asked from the command line: with whose key, through which client, and how they are shown.

Shared by the verbs that ask checks. It deliberately chooses no check and judges none.
"""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bluegreen.cli.verb import Desk
from bluegreen.http import Client
from bluegreen.measure.checks import NoWay, Result, Status, Way
from bluegreen.measure.spec import Check
from bluegreen.spec import Colour
from bluegreen.validation import ways

STYLES: dict[Status, str] = {"pass": "green", "fail": "bold red", "error": "bold red", "skipped": "yellow"}


def way_of_colour(desk: Desk, app: str, colour: Colour, release: str | None) -> Way:
    """Past the weights, through that colour's preview routes, which mark what they answer."""
    return ways.way_of_colour(desk.settings, desk.connections, app, colour, release)


def way_of_users(desk: Desk, check: Check) -> Way | NoWay:
    """As the check's consumer shows its key, or as a stranger."""
    return ways.way_of_users(desk.settings, check)


def door(desk: Desk, checks: Sequence[Check]) -> Client:
    """The proxy as anybody meets it: unlike the prober, it shows no key unless a check's way has one."""
    return ways.door(desk.settings, desk.connections, checks)


def alone(desk: Desk) -> Sequence[Check]:
    """The checks that can be asked again and again, each by itself: no steps of journeys, nothing that writes."""
    return [check for check in desk.settings.checks if check.alone]


def known(desk: Desk, check: Check) -> bool:
    """Whether the secrets are there with which this check is asked."""
    key = check.consumer is None or bool(ways.keys(desk.settings).get(check.consumer))
    return key and (check.token is None or bool(ways.tokens(desk.settings).get(check.token)))


async def show(desk: Desk, results: Sequence[Result]) -> None:
    """A table for a person; a line each for a log."""
    if sys.stderr.isatty():
        if results:
            Console(stderr=True).print(_table(results))
        return
    for result in results:
        await desk.ctx.milestone(_line(result))


def failing(results: Sequence[Result]) -> Sequence[Result]:
    """What did not pass although it was asked, or could not be."""
    return [result for result in results if result.status in ("fail", "error")]


def named(results: Sequence[Result]) -> str:
    """These checks, as a sentence names them."""
    return ", ".join(f"{result.app}/{result.id}" for result in results)


def asked(results: Sequence[Result]) -> str:
    """How users fare, as the part of a sentence: how many checks pass, and what those say that do not."""
    if not results:
        return "no check was asked on the way that users take"
    bad = failing(results)
    said = "; ".join(f"{named([result])} does not: {result.observed.rstrip('.')}" for result in bad)
    passed = f"{len(results) - len(bad)} of {len(results)} checks on the way that users take pass"
    return f"{passed} ({said})" if bad else passed


def _line(result: Result) -> str:
    took = f" in {result.seconds:.2f} s" if result.seconds is not None else ""
    said = f"{result.status:<7} {result.app}/{result.id}: {result.observed}{took}"
    if result.status in ("pass", "skipped"):
        return said
    return f"{said} (expected {result.expected}). {result.hint}".rstrip()


def _table(results: Sequence[Result]) -> Table:
    table = Table("check", "app", "", "seconds", "seen", box=None, header_style="dim")
    table.columns[0].overflow = "fold"
    table.columns[3].justify = "right"
    for result in results:
        took = "" if result.seconds is None else f"{result.seconds:.2f}"
        wanted = [f"expected {result.expected}", result.hint] if result.status in ("fail", "error") else []
        seen = "\n".join(line for line in (result.observed, *wanted) if line)
        # Text, never markup: what an app answers may look like a tag.
        cells = [Text(cell) for cell in (result.id, result.app, result.status, took, seen)]
        cells[2].stylize(STYLES[result.status])
        table.add_row(*cells)
    return table
