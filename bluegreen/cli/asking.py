"""How a stack's checks are asked from the command line: with whose key, through which client, and how they are shown.

Shared by the verbs that ask checks. It deliberately chooses no check and judges none.
"""

import sys
from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bluegreen.cli.verb import Desk
from bluegreen.http import Client
from bluegreen.kong.spec import KEY_HEADER
from bluegreen.measure.checks import NoWay, Result, Status, Way
from bluegreen.measure.spec import Check
from bluegreen.settings import PREVIEW_MARK
from bluegreen.spec import Colour

GRACE = timedelta(seconds=1)  # a check's own `within` ends a request; the client's patience is there for what is left
STYLES: dict[Status, str] = {"pass": "green", "fail": "bold red", "error": "bold red", "skipped": "yellow"}


def way_of_colour(desk: Desk, app: str, colour: Colour, release: str | None) -> Way:
    """Past the weights, through that colour's preview routes, which mark what they answer."""
    settings, key = desk.settings, desk.connections.values.get("previewKey", "")
    headers = {name: values[colour] for name, values in settings.preview_headers(app).items()}
    shown = {KEY_HEADER: key} if key else {}
    mark = (PREVIEW_MARK, settings.service_name(app, colour))
    named = None if settings.observed(app, colour) else release  # what somebody else deploys names none
    return Way({**headers, **shown}, named, settings.lanes()[app].probe.release_header, mark, young=True)


def way_of_users(desk: Desk, check: Check) -> Way | NoWay:
    """As the check's consumer shows its key, or as a stranger."""
    if check.consumer is None:
        return Way({})
    key, place = keys(desk).get(check.consumer, ""), f"secrets.consumers.{check.consumer}"
    if not key:
        hint = f"Set {desk.stack.project}:{place} (with --secret)."
        return NoWay("error", f"There is no key of the consumer {check.consumer}.", hint)
    if not (key.isascii() and key.isprintable()):
        hint = f"Set {desk.stack.project}:{place} again, without line breaks around it."
        return NoWay("error", f"The key of the consumer {check.consumer} holds characters that no key has.", hint)
    return Way({KEY_HEADER: key})


def door(desk: Desk, checks: Sequence[Check]) -> Client:
    """The proxy as anybody meets it: unlike the prober, it shows no key unless a check's way has one."""
    patience = max((check.within for check in checks), default=GRACE) + GRACE
    secrets = {*keys(desk).values(), desk.connections.values.get("previewKey", "")}
    # A key that is the beginning of another would spare its rest, so the longest goes first.
    longest_first = sorted(secrets, key=len, reverse=True)
    return desk.connections.proxy(secrets=longest_first, read=patience.total_seconds())


def keys(desk: Desk) -> dict[str, str]:
    """What every consumer shows, as far as the stack knows it."""
    return {name: key.get_secret_value().strip() for name, key in desk.settings.secrets.consumers.items()}


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
