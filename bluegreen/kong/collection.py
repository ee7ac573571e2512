"""One of Kong's collections: where an entity is, whose it is, and how it looks as a tree.

A tree is what schemas compare: references by name instead of `{"id": …}`, the owner apart from the other tags. What
carries another's owner tag, or none, is never taken over by a create; what carries ours is what a lost create left.
It deliberately decides nothing about fields: `entities.py` does, by Kong's schemas.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from bluegreen.handler import Refused
from bluegreen.http import ApiError, Conflict, LostReply, Rejected
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.faults import refusal
from bluegreen.kong.ownership import OWNER, owner_of, tag, untag
from bluegreen.kong.schema import Tree

REFERRED: Mapping[str, tuple[str, str]] = {  # field: the collection it leads to, and what names an entity there
    "service": ("services", "name"),
    "route": ("routes", "name"),
    "consumer": ("consumers", "username"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What tells one kind of entity from another."""

    kind: str  # the collection, and what its schema is called
    noun: str
    key: str = "name"  # the field that names an entity, unique in Kong
    refers: tuple[str, ...] = ()


class Collection:
    """The entities of one kind, found by name or uuid."""

    def __init__(self, kong: Kong, row: Row) -> None:
        self.kong = kong
        self.row = row

    def path(self, name: str = "") -> str:
        """Where one entity is, or all of them."""
        return f"/{self.row.kind}/{quote(name, safe='')}" if name else f"/{self.row.kind}"

    def called(self, name: str) -> str:
        """How a message calls it: `route 'api'`."""
        return f"{self.row.noun} {name!r}"

    @contextmanager
    def told(self, name: str, secrets: Iterable[str] = ()) -> Iterator[None]:
        """Kong's answers to what is done inside, in sentences and without the secrets."""
        try:
            yield
        except ApiError as problem:
            raise refusal(problem, self.called(name), secrets) from None

    async def get(self, name: str) -> Entity | None:
        return await self.kong.entity(self.path(name))

    async def find(self, wanted: Tree) -> Entity | None:
        """The entity of the wanted name, if there is one and it is ours.

        Raises:
            Refused: there is one, and it is not.
        """
        found = await self.get(wanted[self.row.key])
        if found is not None and owner_of(found.get("tags")) != wanted[OWNER]:
            raise self._foreign(found, wanted)
        return found

    async def find_or_make(self, wanted: Tree, id: str | None = None) -> tuple[Entity, bool]:
        """The entity of the wanted name if it is ours, else a new one (with that uuid), and whether it is new."""
        found = await self.find(wanted)
        if found is not None:
            return found, False
        body = self.body(wanted, wanted)
        try:
            if id is not None:
                return await self.kong.entity_upsert(self.path(id), body), True
            return await self.kong.entity_create(self.path(), body), True
        except (LostReply, Conflict):
            found = await self.find(wanted)
            if found is None:
                raise
            return found, False

    def must_not_be_foreign(self, entity: Entity, wanted: Tree, before: str | None) -> None:
        """What state holds may have lost its tag or never had one (an import), but not carry somebody else's.

        Raises:
            Refused: it does.
        """
        if owner_of(entity.get("tags")) not in (None, wanted[OWNER], before):
            raise self._foreign(entity, wanted)

    async def remove(self, id: str, name: str) -> None:
        """Delete one; gone is fine.

        Raises:
            Refused: something still refers to it.
        """
        try:
            await self.kong.entity_delete(self.path(id))
        except LostReply:
            if await self.get(id) is not None:
                raise
        except Rejected as problem:
            by = (problem.body.get("fields") or {}).get("@referenced_by") if isinstance(problem.body, dict) else None
            if not by:
                raise
            users = [str(row.get("name") or row["id"]) for row in await self.kong.entities(f"{self.path(id)}/{by}")]
            raise Refused(
                f"{self.called(name)} cannot be deleted: its {by} {', '.join(sorted(users))} still lead to it.",
                world="It is still there.",
                next=f"Delete these {by} first, then run it again.",
            ) from None

    async def view(self, entity: Entity, asked: Tree | None, sent: Tree | None = None) -> Tree:
        """An answer of Kong as a tree.

        A reference that was `sent` just now needs no lookup; one that was `asked` for by uuid stays a uuid.
        """
        tree = dict(entity)
        for field in self.row.refers:
            id = (entity.get(field) or {}).get("id")
            wanted = (asked or {}).get(field)
            known = id is not None and (wanted == id or bool((sent or {}).get(field)))
            tree[field] = wanted if known else await self._name_of(field, id)
        tags = entity.get("tags") or []
        return tree | {OWNER: owner_of(tags) or "", "tags": [text for text in tags if untag(text)[0] != OWNER]}

    def body(self, tree: Tree, wanted: Tree, tags: Iterable[str] = ()) -> Tree:
        """A tree as Kong wants it written; `tags` are the ones to keep when no others are wanted."""
        body = {name: value for name, value in tree.items() if name not in (OWNER, "tags")}
        for field in self.row.refers:
            if body.get(field) is not None:
                body[field] = {"id" if _is_uuid(body[field]) else REFERRED[field][1]: body[field]}
        if OWNER in tree or "tags" in tree:
            kept = tree["tags"] or () if "tags" in tree else wanted.get("tags", tags)
            body["tags"] = [*kept, tag(OWNER, wanted[OWNER])]
        return body

    async def _name_of(self, field: str, id: str | None) -> str | None:
        if id is None:
            return None
        collection, key = REFERRED[field]
        entity = await self.kong.entity(f"/{collection}/{id}")
        return str((entity or {}).get(key) or id)

    def _foreign(self, entity: Entity, wanted: Tree) -> Refused:
        tags, name = entity.get("tags") or [], str(wanted[self.row.key])
        owner, known = owner_of(tags), f"Kong already has a {self.called(name)}, and it"
        if owner:
            return Refused(
                f"{known} belongs to {owner!r}, not to {wanted[OWNER]!r}.",
                world="Nothing was changed.",
                next=f"Give yours another name, or take it out of {owner!r} first.",
            )
        mark = shlex.quote(json.dumps({"tags": [*tags, tag(OWNER, wanted[OWNER])]}))
        return Refused(
            f"{known} is not marked as anybody's.",
            world="Nothing was changed.",
            next="Give yours another name, or mark this one as yours and run pulumi up again, which then adopts it: "
            f"curl -X PATCH {self.kong.where}{self.path(entity['id'])} -H 'Content-Type: application/json' -d {mark}",
        )


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
