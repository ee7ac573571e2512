"""The desk of a verb whose stack file changes under it: made anew after every edit.

A phase that takes users back has to begin while Pulumi is out of reach; one that brings something up needs every
secret in clear. So there are two kinds of the same desk, and one of them is open at a time.
"""

import asyncio
import os

from bluegreen.cli.screen import Screen
from bluegreen.cli.stack import Stack
from bluegreen.cli.verb import Desk
from bluegreen.connections import DOORS, connect, variable
from bluegreen.settings import Settings


class Desks:
    """One desk at a time; whoever has changed the file closes it, and the next one is asked for again."""

    def __init__(self, stack: Stack, screen: Screen) -> None:
        self._stack, self._screen = stack, screen
        self._desk: tuple[Desk, bool] | None = None

    async def sealed(self) -> Desk:
        """What is encrypted in the config stays so, unless the way to the gateway is behind it."""
        if self._desk is not None:
            return self._desk[0]
        config, encrypted = self._stack.plain_config()
        if any(f"bluegreen:{key}" in encrypted and not os.environ.get(variable(key)) for key in DOORS):
            return await self.opened()
        return self._made(config, opened=False)

    async def opened(self) -> Desk:
        """Every secret in clear, which only the engine can give."""
        if self._desk is not None and self._desk[1]:
            return self._desk[0]
        await self.close()
        Stack.named(self._stack.qualified)  # says so where there is no engine
        return self._made(await asyncio.to_thread(self._stack.config), opened=True)

    async def close(self) -> None:
        """Whoever asks next gets a desk of the file as it is then."""
        if self._desk is not None:
            desk, self._desk = self._desk[0], None
            await desk.connections.close()

    def _made(self, config: dict[str, str], *, opened: bool) -> Desk:
        settings = Settings.parse(self._stack.project, self._stack.name, config)
        own = {key.partition(":")[2]: text for key, text in config.items() if key.startswith("bluegreen:")}
        desk = Desk(self._stack, settings, connect(own, os.environ), self._screen)
        self._desk = (desk, opened)
        return desk
