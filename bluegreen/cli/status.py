"""`bluegreen status [--watch]`: what serves, is it as wanted, can it go back, and what stands in the way.

Needs Kong alone. What Pulumi and the database know is shown where they can be asked and called unknown where not. It
ends with 14 when anything is otherwise than the config or the last update says, so that a pipeline can stand guard.
It deliberately changes nothing, and its lines carry no "ago": whatever changes in a watch has changed in the world.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bluegreen.cli.board import lines, table
from bluegreen.cli.recorded import recorded, sealed
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.connections import variable
from bluegreen.handler import Halt
from bluegreen.http import ApiError
from bluegreen.standing import AppFacts, Recorded
from bluegreen.survey import Survey, survey

FRESH = timedelta(seconds=10)  # so long one answer of Pulumi serves a watch: each costs a second of a core

Watch = Annotated[bool, typer.Option("--watch", help="Look again and again, until ^C.")]
Interval = Annotated[float, typer.Option(help="Seconds between two looks of a watch.", min=0.2, max=3600)]


async def status(desk: Desk, *, watch: Watch = False, interval: Interval = 2.0) -> Outcome:
    """Show what serves, whether it is as wanted, and whether it can go back."""
    eye = _Eye(desk)
    if watch:
        return await _watch(eye, interval)
    seen = await eye.look()
    if sys.stderr.isatty():
        Console(stderr=True).print(table(seen))
    else:
        for key, text in lines(seen).items():
            await desk.ctx.milestone(f"{key}: {text}")
    return _outcome(seen)


class _Eye:
    """Looks at one stack, as often as it is asked to; Pulumi is asked less often than Kong."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._sealed = sealed(desk.stack, desk.settings)
        self._known: tuple[datetime, Recorded] | None = None

    async def look(self) -> Survey:
        desk = self.desk
        seen = await survey(desk.settings, desk.connections, desk.ctx.now(), self._recorded, self._sealed)
        if "databaseUrl" not in desk.connections.values and self._hidden():
            why = f"bluegreen:databaseUrl is encrypted; {variable('databaseUrl')} would name it"
            seen = seen.model_copy(update={"database": seen.database.model_copy(update={"unread": why})})
        return seen

    async def _recorded(self, marked: bool) -> Recorded:
        if self._known is not None:
            at, known = self._known
            # Beside a mark, an older "nobody is at work" would make an orphan of a move that has just begun.
            if self.desk.ctx.now() - at < FRESH and not (marked and known.held is False):
                return known
        known = await recorded(self.desk.stack)
        self._known = (self.desk.ctx.now(), known)
        return known

    def _hidden(self) -> bool:
        try:
            return "bluegreen:databaseUrl" in self.desk.stack.plain_config()[1]
        except Halt:
            return False


async def _watch(eye: _Eye, interval: float) -> Outcome:
    began = eye.desk.ctx.now()
    try:
        if sys.stderr.isatty():
            with Live(console=Console(stderr=True), auto_refresh=False) as live:
                async for seen in _looks(eye, interval):
                    shown = table(seen) if isinstance(seen, Survey) else Text(seen)
                    live.update(shown, refresh=True)
        else:
            await _log(eye, interval)
    except asyncio.CancelledError:  # ^C
        pass
    took = (eye.desk.ctx.now() - began).total_seconds()
    return Outcome(exit=Exit.OK, what=f"Watched for {took:.0f} s.")


async def _looks(eye: _Eye, interval: float) -> AsyncIterator[Survey | str]:
    """What every look shows, or why it showed nothing; the first one has to."""
    first = True
    while True:
        try:
            yield await eye.look()
        except ApiError as problem:
            if first:
                raise
            yield problem.what
        first = False
        await eye.desk.ctx.sleep(interval)


async def _log(eye: _Eye, interval: float) -> None:
    """All lines once, then each that changes."""
    before: dict[str, str] = {}
    async for seen in _looks(eye, interval):
        now = lines(seen) if isinstance(seen, Survey) else {**before, "Kong": seen}
        at = f"{eye.desk.ctx.now():%H:%M:%S}"
        for key, text in now.items():
            if before.get(key) != text:
                await eye.desk.ctx.milestone(f"{at} {key}: {text}")
        for key in before:
            if key not in now:
                await eye.desk.ctx.milestone(f"{at} {key}: {'answers again' if key == 'Kong' else 'no more'}")
        before = now


def _outcome(seen: Survey) -> Outcome:
    serves = ", ".join(f"{app.app} on {_where(app)}" for app in seen.apps)
    if not seen.drift:
        moving = [app.app for app in seen.apps if app.move is not None]
        calm = f"A move of {', '.join(moving)} is under way." if moving else "Nothing drifts."
        return Outcome(exit=Exit.OK, what=f"Live: {serves}.", world=calm, facts=seen)
    world = f"{'; '.join(seen.drift)}."
    return Outcome(exit=Exit.DRIFT, what=f"Live: {serves}.", world=world, next=_next(seen), facts=seen)


def _where(app: AppFacts) -> str:
    if app.unread:
        return "unknown"
    shares = [f"{side.colour} {side.stored} %" for side in app.sides if side.stored]
    return app.live or " and ".join(shares) or "nothing"


def _next(seen: Survey) -> str:
    """The way out that has to come first."""
    if any(app.move is not None and app.move.alive is False for app in seen.apps):
        return "Run bluegreen recover, then pulumi up."
    held = [f"apps.{app.app}.live: {app.live}" for app in seen.apps if app.hold and app.live and app.live != app.wanted]
    if held:
        return f"Set {' and '.join(held)}, or go on with the config: bluegreen hold release --reason …"
    if barred := [app.barred.next for app in seen.apps if app.barred is not None and app.live != app.wanted]:
        return " ".join(barred)
    if seen.kept.drift:
        return "Revert the gateway's change in the config, or go on with it: bluegreen hold release --reason …"
    return "pulumi up makes it as the config says; pulumi preview shows how."
