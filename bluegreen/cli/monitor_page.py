"""What a monitor's metrics page shows beside the rounds: how long certificates last, until when a rollback is one step.

Both are read while it listens, at the beginning, every hour, and after a way back: certificates in a handshake with
each https address and route host at the proxy, deadlines from Pulumi's state. What cannot be read is absent from the
page, and so does no alarm. It deliberately keeps nobody waiting: the watch goes on beside it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bluegreen.cli.recorded import recorded, sealed
from bluegreen.cli.verb import Desk
from bluegreen.handler import Halt
from bluegreen.observe.exporter import Exporter
from bluegreen.standing import Recorded
from bluegreen.survey import survey
from bluegreen.validation.certificates import Door, NoTls, shown

HOUR = 3600.0
WITHIN = 4.0  # seconds for a handshake


@dataclass(slots=True)
class Page:
    """Keeps the slow half of an exporter's page true."""

    desk: Desk
    exporter: Exporter
    _stale: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator["Page"]:
        """Inside, it is read again and again."""
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def read(self) -> None:
        """Both, once."""
        await asyncio.gather(self._certificates(), self._deadlines())

    def moved(self) -> None:
        """Traffic went elsewhere: what is known of ways back is not true any more."""
        for app in self.desk.settings.apps:
            self.exporter.deadline(app, None)
        self._stale.set()

    async def _run(self) -> None:
        while True:
            self._stale.clear()
            await self.read()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HOUR):
                    await self._stale.wait()

    async def _certificates(self) -> None:
        for name, door in self._doors():
            with contextlib.suppress(NoTls, Halt):
                found = await shown(door, self.desk.connections.trust.context, WITHIN)
                self.exporter.certificate(name, found.until)

    def _doors(self) -> Iterator[tuple[str, Door]]:
        for key in ("kongProxyUrl", "kongAdminUrl"):
            address = urlsplit(self.desk.connections.values.get(key, ""))
            if address.scheme != "https" or not address.hostname:
                continue
            names = {address.hostname: address.netloc}
            if key == "kongProxyUrl":
                names |= {host: host for host in self._hosts()}
            yield from ((shown, Door(address.hostname, address.port or 443, name)) for name, shown in names.items())

    def _hosts(self) -> Iterator[str]:
        for block in self.desk.settings.apps.values():
            for route in block.routes.values():
                yield from (host for host in route.hosts or () if "*" not in host)

    async def _deadlines(self) -> None:
        desk = self.desk
        known = await recorded(desk.stack)

        async def handed(_: bool) -> Recorded:
            return known

        try:
            seen = await survey(
                desk.settings, desk.connections, desk.ctx.now(), handed, sealed(desk.stack, desk.settings)
            )
        except Halt:
            return  # Kong does not answer: what is known of it stays
        for facts in seen.apps:
            back = facts.rollback
            self.exporter.deadline(facts.app, back.until if back is not None and back.possible else None)
