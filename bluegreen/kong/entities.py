"""The table of the five kinds: where each lives in Kong, what names it, what it refers to, what is special about it.

How an entity is kept is in `entity.py`, the same for all; plugins and consumers have more to say, in their modules.
"""

from collections.abc import Mapping
from typing import Any

from bluegreen.handler import Held, Refused
from bluegreen.kong.api import Entity
from bluegreen.kong.collection import Row
from bluegreen.kong.consumers import ConsumerHandler
from bluegreen.kong.entity import EntityHandler
from bluegreen.kong.ownership import owner_of
from bluegreen.kong.plugins import PluginHandler
from bluegreen.kong.schema import Shape, Tree
from bluegreen.kong.shut import ROUTES, is_shut
from bluegreen.kong.spec import EntityState, RouteSpec, ServiceSpec, UpstreamSpec

__all__ = ["ConsumerHandler", "PluginHandler", "RouteHandler", "ServiceHandler", "UpstreamHandler"]


class UpstreamHandler(EntityHandler[UpstreamSpec]):
    """`bluegreen:kong:Upstream`. Another name is another upstream: its targets would not move along."""

    spec = UpstreamSpec
    row = Row("upstreams", "upstream")
    replace_on = frozenset({"name"})

    def declared(self, tree: Tree) -> Tree:
        # Kong derives the algorithm from hash_on; said aloud, it is compared with what Kong will hold.
        return tree | {"algorithm": "consistent-hashing"} if _hashed(tree) else tree

    def undeclared(self, shape: Shape, found: Tree, raw: Mapping[str, Any] | None) -> Tree:
        derived = raw is None and _hashed(found)
        return {name: value for name, value in found.items() if not (derived and name == "algorithm")}


class ServiceHandler(EntityHandler[ServiceSpec]):
    """`bluegreen:kong:Service`. One that serves is never led to an upstream behind which nobody is."""

    spec = ServiceSpec
    row = Row("services", "service")

    async def apply(self, entity: Entity, changed: Tree, wanted: Tree, tags: list[str]) -> Entity:
        await self._leads_somewhere(entity, changed, wanted)
        return await super().apply(entity, changed, wanted, tags)

    async def _judge(self, wanted: Tree, old: Held[EntityState] | None) -> tuple[Entity | None, Tree]:
        entity, changed = await super()._judge(wanted, old)
        if entity is not None:
            await self._leads_somewhere(entity, changed, wanted)
        return entity, changed

    async def _leads_somewhere(self, entity: Entity, changed: Tree, wanted: Tree) -> None:
        """Targets are Traffic's, which comes later: an update that imports a service has none for it yet."""
        if "host" not in changed:
            return
        host, called = changed["host"], self.all.called(self._name(wanted))
        targets = await self.kong.targets(str(host))
        # A preview looks before the upstream is made, so of a service that is not ours yet its absence says the same.
        expected = targets is not None or owner_of(entity.get("tags")) is None
        if expected and not any(target.get("weight") for target in targets or ()):
            raise Refused(
                f"{called} leads to {entity.get('host')}, and would be led to {host}, behind which nobody answers yet.",
                world="Nothing was changed.",
                next=f"Leave its host as it is (apps.{self._name(wanted)}.kong.host) until an update has brought "
                "traffic there, then take it out in an update of its own.",
            )


class RouteHandler(EntityHandler[RouteSpec]):
    """`bluegreen:kong:Route`. One that is shut, for its plugins to stand first, is opened by its declaration."""

    spec = RouteSpec
    row = ROUTES

    def awaited(self, entity: Entity) -> bool:
        return is_shut(entity)


def _hashed(tree: Tree) -> bool:
    return str(tree.get("hash_on", "none")) != "none"
