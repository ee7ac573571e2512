"""Consumers as resources: somebody who calls, the groups they belong to and the keys they show.

Keys are secrets: they travel in bodies only, never in a path, a message or a log, and what Kong says about them is
never quoted. New ones are written before old ones are taken away, so a rotation leaves no moment without a valid key.
Only what carries our tag or was declared before is taken away; anything else first shows in a refresh.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bluegreen.handler import Halt, Held, Partial, Refused
from bluegreen.http import ApiError, Conflict, LostReply
from bluegreen.kong import spelling
from bluegreen.kong.api import Entity
from bluegreen.kong.collection import Row
from bluegreen.kong.entity import EntityHandler
from bluegreen.kong.ownership import OWNER, owner_of, tag
from bluegreen.kong.schema import Shape, Tree
from bluegreen.kong.spec import ConsumerSpec, EntityState


@dataclass(frozen=True, slots=True)
class Credentials:
    """One sort of thing that hangs on a consumer."""

    field: str  # in our spec
    path: str
    key: str  # in Kong
    plugin: str
    secret: bool


SORTS = (
    Credentials("keys", "key-auth", "key", "key-auth", secret=True),
    Credentials("groups", "acls", "group", "acl", secret=False),
)
LIST = Shape(kind="set")


class ConsumerHandler(EntityHandler[ConsumerSpec]):
    """`bluegreen:kong:Consumer`. Deleting it takes its keys and groups along."""

    spec = ConsumerSpec
    row = Row("consumers", "consumer", key="username")
    apart = frozenset(sort.field for sort in SORTS)

    async def shape(self, entity: Mapping[str, Any]) -> Shape:
        return (await super().shape(entity)).joined(Shape(fields=dict.fromkeys(self.apart, LIST)))

    def plugins(self, wanted: Tree) -> set[str]:
        return {sort.plugin for sort in SORTS if wanted.get(sort.field)}

    async def attached(self, entity: Entity, asked: Tree | None) -> Tree:
        found: Tree = {}
        for sort in SORTS:
            if asked is None or sort.field in asked:
                found[sort.field] = sorted(row[sort.key] for row in await self._rows(sort, entity["id"]))
        return found

    async def attach(self, new: ConsumerSpec, held: Held[EntityState], before: Tree) -> None:
        wanted = spelling.tree(new)
        for sort in SORTS:
            if sort.field not in wanted and sort.field not in before:
                continue
            try:
                id = str(held.state.id or held.id)
                await self._keep(sort, id, wanted, before.get(sort.field) or ())
            except Halt as problem:
                raise Partial(
                    problem.what,
                    held=held,
                    world=f"{self.all.called(new.username)} exists; which of its {sort.field} do is not certain.",
                    next=problem.next or "Run pulumi up again: it writes what is missing.",
                ) from None

    async def _keep(self, sort: Credentials, id: str, wanted: Tree, before: Iterable[str]) -> None:
        """First what is missing, then away with what is no longer wanted."""
        rows = await self._rows(sort, id)
        values = list(dict.fromkeys(wanted.get(sort.field) or ()))
        present = {row[sort.key] for row in rows}
        for position, value in enumerate(values):
            if value not in present:
                await self._add(sort, id, wanted, value, position)
        for row in rows:
            ours = owner_of(row.get("tags")) == wanted[OWNER] or row[sort.key] in before
            if ours and row[sort.key] not in values:
                await self._remove(sort, id, row["id"])

    async def _add(self, sort: Credentials, id: str, wanted: Tree, value: str, position: int) -> None:
        body = {sort.key: value, "tags": [tag(OWNER, wanted[OWNER])]}
        try:
            with self._unquoted(sort, wanted["username"]):
                await self.kong.entity_create(_path(sort, id), body)
        except (LostReply, Conflict) as problem:
            if value in {row[sort.key] for row in await self._rows(sort, id)}:
                return
            if isinstance(problem, LostReply):
                raise
            raise Refused(
                f"consumer {wanted['username']!r}: {sort.field}[{position}] belongs to another consumer already.",
                world="Nothing was changed.",
                next="Give every consumer its own, then run pulumi up again.",
            ) from None

    async def _remove(self, sort: Credentials, id: str, row: str) -> None:
        try:
            await self.kong.entity_delete(f"{_path(sort, id)}/{row}")
        except LostReply:
            if row in {found["id"] for found in await self._rows(sort, id)}:
                raise

    async def _rows(self, sort: Credentials, id: str) -> list[Entity]:
        with self._unquoted(sort, id):
            return await self.kong.entities(_path(sort, id))

    @contextmanager
    def _unquoted(self, sort: Credentials, name: str) -> Iterator[None]:
        """An error about secrets keeps its kind and loses what the server said: it may quote one."""
        try:
            yield
        except ApiError as problem:
            if not sort.secret:
                raise
            said = f"answered {problem.status}" if problem.status else "gave no answer"
            raise type(problem)(
                f"Kong's Admin API {said} about the {sort.field} of {self.all.called(name)}.",
                world=problem.world,
                next=problem.next,
                status=problem.status,
            ) from None


def _path(sort: Credentials, id: str) -> str:
    return f"/consumers/{quote(id, safe='')}/{sort.path}"
