"""A Kong entity as a resource: the one handler that all five kinds share.

Writes are merges that carry only what differs, so an update with nothing to change writes nothing. Comparing is done
by Kong's own schemas (`schema.py`), which is what keeps an unchanged stack free of differences. Everything is addressed
by uuid once it is known, so a rename stays a rename; what was lost is made again under the same uuid.

It deliberately does not write targets (`gateway.py` does) and does not order anything: the program's `depends_on` does.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic.alias_generators import to_camel

from bluegreen.handler import Context, Handler, Held, Refused
from bluegreen.http import LostReply
from bluegreen.kong import spelling
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.collection import Collection, Row
from bluegreen.kong.kept import must_be_free
from bluegreen.kong.ownership import FRONT, OWNER, owner_of
from bluegreen.kong.schema import Schemas, Shape, Tree, departures, difference, known, merged, seen
from bluegreen.kong.spec import EntitySpec, EntityState

ROUNDS = 2  # Kong derives some fields from others (`algorithm` from `hash_on`), so one write may undo its own half
SOMEWHERE = "00000000-0000-0000-0000-000000000000"  # validation wants references by id, and looks none of them up

E = TypeVar("E", bound=EntitySpec)


class EntityHandler(Handler[E, EntityState]):
    """One kind of Kong entity, kept as declared; `entities.py` is the table of them."""

    state = EntityState
    row: ClassVar[Row]
    apart: ClassVar[frozenset[str]] = frozenset()  # declared with the entity, but no fields of it in Kong

    def __init__(self, kong: Kong) -> None:
        self.kong = kong
        self.all = Collection(kong, self.row)
        self.schemas = Schemas(kong)

    async def preview(self, ctx: Context, new: E, old: Held[EntityState] | None) -> EntityState:
        wanted = self._wanted(new)
        id = (old.state.id or old.id) if old else None
        if os.environ.get("BLUEGREEN_OFFLINE") != "1":
            with self.all.told(self._name(wanted), spelling.secrets(new)):
                entity, changed = await self._judge(wanted, old)
            if entity is not None:
                id = str(entity["id"])
                if old is None and not self.awaited(entity):
                    await ctx.milestone(self._adoption(wanted, changed))
        return EntityState(id=id, name=self._name(wanted))

    async def create(self, ctx: Context, new: E) -> Held[EntityState]:
        wanted = self._wanted(new)
        with self.all.told(self._name(wanted), spelling.secrets(new)):
            shape = await self._usable(wanted)
            entity, fresh = await self._found_or_made(wanted)
            before = {} if fresh else known(shape, entity)
            if not fresh and not self.awaited(entity):
                changed = self._changed(shape, wanted, before, await self.all.view(entity, wanted))
                await ctx.milestone(self._adoption(wanted, changed))
            entity = await self._settle(ctx, shape, entity, wanted, before)
        held = Held(str(entity["id"]), spelling.inputs(new), self._state(entity))
        await self.attach(new, held, {})
        return held

    async def read(self, ctx: Context, id: str, old: Held[EntityState] | None) -> Held[EntityState] | None:
        raw = old.inputs if old and old.inputs else None
        with self.all.told(id):
            entity = await self.all.get((old.state.id if old else None) or id)
            if entity is None:
                return None
            shape = await self.shape(entity)
            declared = None if raw is None else self.declared(spelling.from_inputs(self.spec, raw))
            actual = await self.all.view(entity, declared) | await self.attached(entity, declared)
        found = self._imported(shape, actual) if declared is None else seen(shape, declared, actual)
        inputs = spelling.to_inputs(self.spec, self.undeclared(shape, found, raw), raw)
        return Held(str(entity["id"]), inputs, self._state(entity))

    async def update(self, ctx: Context, new: E, old: Held[EntityState]) -> EntityState:
        wanted, before = self._wanted(new), self._before(old)
        with self.all.told(self._name(wanted), spelling.secrets(new)):
            shape = await self._usable(wanted)
            entity = await self.all.get(old.state.id or old.id)
            reset = before
            if entity is None:
                entity, fresh = await self._found_or_made(wanted, old.state.id or old.id)
                how = "created again" if fresh else "another with our tag is taken instead"
                await ctx.milestone(f"{self.all.called(self._name(wanted))} was gone from Kong: {how}")
                reset = {} if fresh else known(shape, entity)
            self.all.must_not_be_foreign(entity, wanted, before.get(OWNER))
            entity = await self._settle(ctx, shape, entity, wanted, reset)
        state = self._state(entity)
        await self.attach(new, Held(old.id, old.inputs, state), before)
        return state

    async def delete(self, ctx: Context, old: Held[EntityState]) -> None:
        id = old.state.id or old.id
        name = old.state.name or id
        with self.all.told(name):
            entity = await self.all.get(id)
            if entity is None:
                return
            owner = owner_of(entity.get("tags"))
            if owner not in (None, old.inputs.get(OWNER)):
                await ctx.milestone(f"{self.all.called(name)} belongs to {owner!r} by now: left as it is")
                return
            await self._must_be_free(name, entity.get("tags"))
            await self.all.remove(id, name)

    # What a kind may say otherwise.

    def declared(self, tree: Tree) -> Tree:
        """A tree as it was declared, in the form in which it is compared with Kong's."""
        return tree

    def undeclared(self, shape: Shape, found: Tree, raw: Mapping[str, Any] | None) -> Tree:
        """The way back from there to what was declared; `raw` is None for an import."""
        return found

    async def shape(self, entity: Mapping[str, Any]) -> Shape:
        """The schema to compare an entity by, real or wanted."""
        return await self.schemas.shape(self.row.kind)

    def plugins(self, wanted: Tree) -> set[str]:
        """What has to be installed on the server for this."""
        return set()

    def usable(self, wanted: Tree, shape: Shape) -> None:
        """Refuse what would not stay as it is written, before anything is."""

    def awaited(self, entity: Entity) -> bool:
        """Whether it was made ahead of its declaration, by somebody who needed it: then finding it is no news."""
        return False

    async def apply(self, entity: Entity, changed: Tree, wanted: Tree, tags: list[str]) -> Entity:
        """Write what changed; `tags` are the ones to keep when no others are wanted."""
        return await self.kong.entity_update(self.all.path(entity["id"]), self.all.body(changed, wanted, tags))

    async def attach(self, new: E, held: Held[EntityState], before: Tree) -> None:
        """Keep what is `apart`."""

    async def attached(self, entity: Entity, asked: Tree | None) -> Tree:
        """What is `apart`, as it really is; `asked` None asks for everything."""
        return {}

    # How it is done.

    def _wanted(self, new: E) -> Tree:
        if not new.owner:
            raise Refused(
                f"{self.all.called(getattr(new, self.row.key))} has no owner.",
                world="Nothing was changed.",
                next="Give it the owner of this stack, e.g. acme.production.",
            )
        return self.declared(spelling.tree(new))

    def _before(self, old: Held[EntityState]) -> Tree:
        return self.declared(spelling.from_inputs(self.spec, old.inputs))

    def _name(self, wanted: Tree) -> str:
        return str(wanted[self.row.key])

    def _state(self, entity: Entity) -> EntityState:
        return EntityState(id=entity["id"], name=str(entity.get(self.row.key) or ""))

    def _entity(self, tree: Tree) -> Tree:
        return {
            name: value for name, value in tree.items() if name in self.spec.model_fields and name not in self.apart
        }

    async def _usable(self, wanted: Tree) -> Shape:
        needed = self.plugins(wanted)
        if needed:
            installed = ((await self.kong.node()).get("plugins") or {}).get("available_on_server") or needed
            for name in sorted(needed - set(installed)):
                raise Refused(
                    f"{self.all.called(self._name(wanted))} needs the plugin {name!r}, which this Kong does not have.",
                    world=f"Nothing was changed. It has {', '.join(sorted(installed))}.",
                    next="Correct the name, or add the plugin to Kong's `plugins` setting.",
                )
        shape = await self.shape(wanted)
        self.usable(wanted, shape)
        return shape

    async def _found_or_made(self, wanted: Tree, id: str | None = None) -> tuple[Entity, bool]:
        if FRONT in (wanted.get("tags") or ()) and await self.all.find(wanted) is None:
            await self._must_be_free(self._name(wanted), wanted.get("tags"))
        return await self.all.find_or_make(self._entity(wanted), id)

    async def _must_be_free(self, name: str, tags: Iterable[str] | None) -> None:
        """What users meet may be held by somebody who put it back by hand."""
        if FRONT in (tags or ()):
            await must_be_free(self.kong, self.all.called(name))

    async def _settle(self, ctx: Context, shape: Shape, entity: Entity, wanted: Tree, before: Tree) -> Entity:
        """Write what differs until nothing does; say so when Kong stores something else than it was given."""
        sent: Tree | None = None
        for _ in range(ROUNDS):
            actual = await self.all.view(entity, wanted, sent)
            changed = self._changed(shape, wanted, before, actual)
            if not changed:
                return entity
            await self._must_be_free(self._name(wanted), wanted.get("tags"))
            try:
                entity, sent = await self.apply(entity, changed, wanted, actual["tags"]), wanted
            except LostReply:
                found = await self.all.get(entity["id"])
                if found is None or self._changed(shape, wanted, before, await self.all.view(found, wanted)):
                    raise
                return found
        left = self._changed(shape, wanted, before, await self.all.view(entity, wanted, sent))
        if left:
            fields = ", ".join(sorted(to_camel(name) for name in left))
            await ctx.milestone(f"{self.all.called(self._name(wanted))}: Kong does not store {fields} as asked")
        return entity

    def _adoption(self, wanted: Tree, changed: Tree) -> str:
        what = ", ".join(sorted(to_camel(name) for name in changed))
        how = f"adopted, which changes {what}" if what else "adopted as it is"
        return f"{self.all.called(self._name(wanted))} is there with our tag: {how}"

    def _changed(self, shape: Shape, wanted: Tree, before: Tree, actual: Tree) -> Tree:
        return difference(shape, self._entity(wanted), self._entity(before), actual)

    def _imported(self, shape: Shape, actual: Tree) -> Tree:
        found = {name: value for name, value in departures(shape, actual).items() if name in self.spec.model_fields}
        return found | {OWNER: actual[OWNER], self.row.key: actual[self.row.key]}

    async def _judge(self, wanted: Tree, old: Held[EntityState] | None) -> tuple[Entity | None, Tree]:
        """What can be known before writing: whose it is, whether this Kong can, whether it would accept.

        Answers what is there now and what of it will change.
        """
        shape = await self._usable(wanted)
        entity = await self.all.get(old.state.id or old.id) if old else None
        before = self._before(old) if old else {}
        if entity is not None:
            self.all.must_not_be_foreign(entity, wanted, before.get(OWNER))
        else:
            entity = await self.all.find(wanted)
            before = {} if entity is None else known(shape, entity)
        body, changed = self._entity(wanted), Tree()
        if entity is not None:
            actual = await self.all.view(entity, wanted)
            changed = self._changed(shape, wanted, before, actual)
            body = self._after(shape, actual, changed, wanted) if changed else {}
        if body:
            await self._must_be_free(self._name(wanted), wanted.get("tags"))
            written = self.all.body(body, wanted)
            somewhere = {field: {"id": SOMEWHERE} for field in self.row.refers if written.get(field)}
            await self.kong.validate(self.row.kind, written | somewhere)
        return entity, changed

    def _after(self, shape: Shape, actual: Tree, changed: Tree, wanted: Tree) -> Tree:
        """What will be stored when the change is written."""
        return merged(known(shape, actual), changed)
