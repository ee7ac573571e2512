"""What must not be done to a colour while requests go there, or went there a moment ago.

The gateway is asked, never the state, and it is asked again after every wait: whoever takes traffic back by hand needs
no lock, so it may come back at any moment. Whether a colour carries traffic is a callable that is given from outside.
It deliberately changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Protocol

from bluegreen.handler import Context, Refused
from bluegreen.railway.spec import ServiceSpec, private_domain
from bluegreen.spec import Colour

UNCHANGED = "Nothing was changed."
TEARDOWN = "To take the whole stack down: BLUEGREEN_TEARDOWN=1 pulumi destroy."


class Colours(Protocol):
    """What is asked of the gateway about one colour of one app."""

    async def carries(self, app: str, colour: Colour) -> bool:
        """Whether it carries traffic now."""

    async def quiet_since(self, app: str, colour: Colour) -> datetime | None:
        """When it was surely asked for the last time, on every node: that may still be under way."""

    async def callers(self, app: str, colour: Colour, host: str) -> Sequence[str]:
        """Who else leads to this host, past the weights."""

    async def declared(self, app: str, colour: Colour, host: str) -> bool:
        """Whether the colour still is in the config."""

    async def replacing(self, app: str, colour: Colour) -> bool:
        """Let nobody go back by hand to the release that is there; whether anybody could have."""

    async def kept(self, app: str, colour: Colour, release: str | None) -> None:
        """This is what is there after all."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses what would hurt whoever is being served."""

    ctx: Context
    colours: Colours

    async def may_deploy(self, new: ServiceSpec) -> None:
        """Nobody is served where a deployment would take the place of another."""
        if await self.colours.carries(new.app, new.colour):
            served = f"{new.app} {new.colour} really carries traffic"
            what = f"{served}, and release {new.release_id} would be deployed over it."
            next_ = f"Release it on the other colour, or move traffic away from {new.colour} first."
            raise Refused(what, world=UNCHANGED, next=next_)
        await self._alone(new.name, new.app, new.colour, "redeployed")

    async def may_delete(self, name: str, app: str, colour: Colour) -> None:
        """Nobody is served by what goes away, and nobody declares it."""
        if await self.colours.carries(app, colour):
            what = f"{name} really carries traffic, so it is not deleted."
            raise Refused(what, world=UNCHANGED, next=f"Move traffic to the other colour first. {TEARDOWN}")
        await self._alone(name, app, colour, "deleted")
        if await self.colours.declared(app, colour, private_domain(name)):
            what = f"{name} is not deleted, because the gateway still leads to it as {app} {colour}."
            next_ = f"Take apps.{app}.{colour} out, or write its release again (observe is for what is not ours)."
            raise Refused(what, world=UNCHANGED, next=f"{next_} {TEARDOWN}")

    async def may_stop(self, new: ServiceSpec) -> None:
        """Whoever carries traffic, or may have to take it back in a moment, goes on running."""
        setting = f"apps.{new.app}.idle: running"
        if await self.colours.carries(new.app, new.colour):
            what = f"{new.name} carries traffic and would be stopped right after this update."
            raise Refused(what, world=UNCHANGED, next=f"Set {setting} for this release.")
        await self._alone(new.name, new.app, new.colour, "stopped")
        since = await self.colours.quiet_since(new.app, new.colour)
        until = since + timedelta(seconds=new.rollback_seconds) if since is not None else self.ctx.now()
        if self.ctx.now() < until:
            at = f"{until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            what = f"{new.name} could still be rolled back to until {at} (rollbackWindow)."
            raise Refused(what, world=UNCHANGED, next=f"Stop it after that, or set {setting}.")

    async def _alone(self, name: str, app: str, colour: Colour, done: str) -> None:
        host = private_domain(name)
        if callers := await self.colours.callers(app, colour, host):
            who = f"service{'' if len(callers) == 1 else 's'} {', '.join(callers)}"
            what = f"Kong leads to {host} past the weights, by its {who}, so {name} is not {done}."
            raise Refused(what, world=UNCHANGED, next=f"Lead it to the host {app} instead, which goes by the weights.")

    async def drained(self, app: str, colour: Colour, seconds: int, *, otherwise: str) -> None:
        """Whoever asked this colour while it had traffic has an answer by now, or is given time for one.

        Args:
            otherwise: what was not done, as a sentence, in case somebody asks to stop.

        Raises:
            Refused: somebody did.
        """
        since = await self.colours.quiet_since(app, colour)
        until = since + timedelta(seconds=seconds) if since is not None else self.ctx.now()
        if (left := (until - self.ctx.now()).total_seconds()) > 0:
            told = f"{app} {colour} lost its traffic just now: requests under way get {ceil(left)} s more"
            await self.ctx.milestone(told)
        while (left := (until - self.ctx.now()).total_seconds()) > 0 and not (self.ctx.cancelled or self.ctx.orphaned):
            await self.ctx.status(f"{app} {colour}: draining, {ceil(left)} s left")
            await self.ctx.sleep(min(1.0, left))
        if self.ctx.cancelled or self.ctx.orphaned:  # requests may still be under way there
            raise Refused(otherwise, world=UNCHANGED, next="Run pulumi up again.")
