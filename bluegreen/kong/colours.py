"""What is known of one colour before its service is touched: does it serve, since when not, who else leads there.

Kong is the only witness: the weights say who serves, the tags since when, and any service of Kong may lead to a
colour's host past the weights. One thing is written here: while a release is being replaced, its target is not called
proven, so that nobody goes back by hand to what is about to become something else.
It deliberately moves no traffic.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import KongGateway
from bluegreen.spec import Colour

ABSENT = "absent"  # the plugin that answers for a colour without a block


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours behind one Kong; an app's upstream is called as the app is."""

    kong: Kong
    gateway: KongGateway

    async def carries(self, app: str, colour: Colour) -> bool:
        """Whether it carries traffic now, as Kong has it stored; False while the upstream does not exist."""
        return colour in (await self.gateway.split(app)).carrying

    async def quiet_since(self, app: str, colour: Colour) -> datetime | None:
        """When every worker knew that it lost its traffic; None while it carries any or nobody noted it."""
        slot = (await self.gateway.split(app)).slots.get(colour)
        if slot is None or slot.weight or slot.since is None:
            return None
        return slot.since + await self.gateway.budget()

    async def callers(self, app: str, colour: Colour, host: str) -> Sequence[str]:
        """The services of Kong that lead to this host past the weights, its own preview apart."""
        rows = await self.kong.entities("/services", size="1000")
        there = [str(row.get("name") or row["id"]) for row in rows if _same(str(row["host"]), host)]
        return sorted(name for name in there if name != _preview(app, colour))

    async def declared(self, app: str, colour: Colour, host: str) -> bool:
        """Whether its preview leads there, so that somebody still declares it; one without a block answers 503."""
        preview = await self.kong.entity(f"/services/{_preview(app, colour)}")
        if preview is None or not _same(str(preview["host"]), host):
            return False
        absent = await self.kong.entity(f"/plugins/{_preview(app, colour)}-{ABSENT}")
        return absent is None or not absent.get("enabled", True)

    async def replacing(self, app: str, colour: Colour) -> bool:
        """Call the release on its target proven no longer; whether it was, so that it can be given back."""
        slot = (await self.gateway.split(app)).slots.get(colour)
        if slot is None or not slot.proven:
            return False
        await self.gateway.put(app, replace(slot, proven=False), seen=slot)
        return True

    async def kept(self, app: str, colour: Colour, release: str | None) -> None:
        """What runs there is this release after all: if it is the one on its target, it is proven again."""
        slot = (await self.gateway.split(app)).slots.get(colour)
        if slot is not None and not slot.proven and slot.release == release is not None:
            await self.gateway.put(app, replace(slot, proven=True), seen=slot)


def _preview(app: str, colour: Colour) -> str:
    return f"{app}-{colour}"


def _same(one: str, other: str) -> bool:
    return one.lower().rstrip(".") == other.lower().rstrip(".")
