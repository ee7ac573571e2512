"""Migrations, as far as an update that changes none of them has to know: what they are, and what of them may differ.

Nearly every update finds its migrations as they were; Check and Diff answer that from here. Whoever reads, previews or
applies one is loaded with the first that needs it, and serves all that follow.
"""

from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

from bluegreen.handler import Context, Handler, Held
from bluegreen.postgres.spec import QUIET, MigrationSpec, MigrationState

Real = Handler[MigrationSpec, MigrationState]


class MigrationHandler(Handler[MigrationSpec, MigrationState]):
    """`bluegreen:postgres:Migration`; `load` makes the one that does the work."""

    spec = MigrationSpec
    state = MigrationState
    quiet: ClassVar[frozenset[str]] = QUIET

    def __init__(self, load: Callable[[], Real]) -> None:
        self._load = load

    @cached_property
    def real(self) -> Real:
        """Who does the work, one for the whole process: it knows what this update has applied."""
        return self._load()

    async def preview(self, ctx: Context, new: MigrationSpec, old: Held[MigrationState] | None) -> MigrationState:
        return await self.real.preview(ctx, new, old)

    async def create(self, ctx: Context, new: MigrationSpec) -> Held[MigrationState]:
        return await self.real.create(ctx, new)

    async def read(self, ctx: Context, id: str, old: Held[MigrationState] | None) -> Held[MigrationState] | None:
        return await self.real.read(ctx, id, old)

    async def update(self, ctx: Context, new: MigrationSpec, old: Held[MigrationState]) -> MigrationState:
        return await self.real.update(ctx, new, old)

    async def delete(self, ctx: Context, old: Held[MigrationState]) -> None:
        await self.real.delete(ctx, old)
