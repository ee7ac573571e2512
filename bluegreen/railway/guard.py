"""What must not be done to a colour while requests go there, or went there a moment ago.

The gateway is asked, never the state, and it is asked again after every wait: whoever takes traffic back by hand needs
no lock, so it may come back at any moment. Whether a colour carries traffic is a callable that is given from outside.
It deliberately changes nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from bluegreen.handler import Context, Refused
from bluegreen.railway.spec import ServiceSpec
from bluegreen.spec import Colour

Carries = Callable[[str, Colour], Awaitable[bool]]
IdleSince = Callable[[str, Colour], Awaitable[datetime | None]]


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses what would hurt whoever is being served.

    Args:
        carries: whether this colour of this app carries traffic now, read from the gateway.
        idle_since: when it was surely asked for the last time, on every node: that may still be under way.
    """

    ctx: Context
    carries: Carries
    idle_since: IdleSince

    async def may_deploy(self, new: ServiceSpec) -> None:
        """Nobody is served where a deployment would take the place of another."""
        if not await self.carries(new.app, new.colour):
            return
        what = f"{new.app} {new.colour} really carries traffic, and release {new.release_id} would be deployed over it."
        next_ = f"Release it on the other colour, or move traffic away from {new.colour} first."
        raise Refused(what, world="Nothing was changed.", next=next_)

    async def may_delete(self, name: str, app: str, colour: Colour) -> None:
        """Nobody is served by what goes away."""
        if not await self.carries(app, colour):
            return
        what = f"{name} really carries traffic, so it is not deleted."
        next_ = (
            "Move traffic to the other colour first. To take the whole stack down: BLUEGREEN_TEARDOWN=1 pulumi destroy."
        )
        raise Refused(what, world="Nothing was changed.", next=next_)

    async def may_stop(self, new: ServiceSpec) -> None:
        """Whoever carries traffic, or may have to take it back in a moment, goes on running."""
        setting = f"apps.{new.app}.idle: running"
        if await self.carries(new.app, new.colour):
            what = f"{new.name} carries traffic and would be stopped right after this update."
            raise Refused(what, world="Nothing was changed.", next=f"Set {setting} for this release.")
        since = await self.idle_since(new.app, new.colour)
        until = since + timedelta(seconds=new.rollback_seconds) if since is not None else self.ctx.now()
        if self.ctx.now() < until:
            at = f"{until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            what = f"{new.name} could still be rolled back to until {at} (rollbackWindow)."
            raise Refused(what, world="Nothing was changed.", next=f"Stop it after that, or set {setting}.")

    async def drained(self, app: str, colour: Colour, seconds: int, *, otherwise: str) -> None:
        """Whoever asked this colour while it had traffic has an answer by now, or is given time for one.

        Args:
            otherwise: what was not done, as a sentence, in case somebody asks to stop.

        Raises:
            Refused: somebody did.
        """
        since = await self.idle_since(app, colour)
        until = since + timedelta(seconds=seconds) if since is not None else self.ctx.now()
        if (left := (until - self.ctx.now()).total_seconds()) > 0:
            told = f"{app} {colour} lost its traffic just now: requests under way get {ceil(left)} s more"
            await self.ctx.milestone(told)
        while (left := (until - self.ctx.now()).total_seconds()) > 0 and not (self.ctx.cancelled or self.ctx.orphaned):
            await self.ctx.status(f"{app} {colour}: draining, {ceil(left)} s left")
            await self.ctx.sleep(min(1.0, left))
        if self.ctx.cancelled or self.ctx.orphaned:  # requests may still be under way there
            raise Refused(otherwise, world="Nothing was changed.", next="Run pulumi up again.")
