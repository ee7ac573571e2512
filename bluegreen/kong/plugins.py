"""Plugins as resources: what a plugin has beyond other entities is a type, and a config with secrets in it.

The type's own schema is laid over the common one; the secrets are merged into the config before anything is compared
and taken out again after, so both ways there is one config. A route that is not there yet is made shut for it
(`shut.py`): what guards a route stands before anybody can meet it. Deprecated names are refused: Kong stores them under
their new names and would show a difference for ever.
"""

from collections.abc import Mapping
from typing import Any

from bluegreen.handler import Refused
from bluegreen.kong.api import Entity
from bluegreen.kong.collection import Row
from bluegreen.kong.entity import EntityHandler
from bluegreen.kong.schema import Shape, Tree, merged, secret_paths
from bluegreen.kong.shut import must_be_there
from bluegreen.kong.spec import PluginSpec


class PluginHandler(EntityHandler[PluginSpec]):
    """`bluegreen:kong:Plugin`. It is called by its instance name, so its type and its place may change."""

    spec = PluginSpec
    row = Row("plugins", "plugin", key="instance_name", refers=("service", "route", "consumer"))

    def declared(self, tree: Tree) -> Tree:
        config: Tree = dict(tree.get("config") or {})
        for dotted, value in (tree.get("secrets") or {}).items():
            config = merged(config, _nested(dotted.split("."), value))
        rest = {name: value for name, value in tree.items() if name not in ("config", "secrets")}
        return rest | {"config": config} if config or "config" in tree else rest

    def undeclared(self, shape: Shape, found: Tree, raw: Mapping[str, Any] | None) -> Tree:
        config = found.get("config") or {}
        dotted = [".".join(path) for path in secret_paths(shape.of("config"))] if raw is None else raw.get("secrets")
        secrets: Tree = {}
        for path in dotted or ():
            value, config = _taken(config, path.split("."), (raw or {}).get("config"))
            if value is not None:
                secrets[path] = value
        return found | {"config": config or None if raw is None else config, "secrets": secrets or None}

    async def shape(self, entity: Mapping[str, Any]) -> Shape:
        every = await self.schemas.shape("plugins")
        return every.joined(await self.schemas.shape(f"plugins/{entity['name']}"))

    def plugins(self, wanted: Tree) -> set[str]:
        return {wanted["name"]}

    def usable(self, wanted: Tree, shape: Shape) -> None:
        moved = shape.of("config").moved
        for name in wanted.get("config") or {}:
            if name in moved:
                raise Refused(
                    f"{self.all.called(self._name(wanted))} sets config.{name}, which is deprecated: Kong stores it as "
                    f"config.{moved[name]}, and every preview would show a difference.",
                    world="Nothing was changed.",
                    next=f"Write config.{moved[name]}, then run pulumi up again.",
                )

    async def apply(self, entity: Entity, changed: Tree, wanted: Tree, tags: list[str]) -> Entity:
        if changed.get("route"):
            await must_be_there(self.kong, str(wanted["route"]), wanted)
        if "name" not in changed:
            return await super().apply(entity, changed, wanted, tags)
        # Another type has another config: a merge would mix the two.
        body = self.all.body(self._entity(wanted), wanted, tags)
        return await self.kong.entity_upsert(self.all.path(entity["id"]), body)

    async def _found_or_made(self, wanted: Tree, id: str | None = None) -> tuple[Entity, bool]:
        if wanted.get("route") and await self.all.find(wanted) is None:
            await self._must_be_free(self._name(wanted), wanted.get("tags"))
            await must_be_there(self.kong, str(wanted["route"]), wanted)
        return await super()._found_or_made(wanted, id)

    def _after(self, shape: Shape, actual: Tree, changed: Tree, wanted: Tree) -> Tree:
        return self._entity(wanted) if "name" in changed else super()._after(shape, actual, changed, wanted)


def _nested(path: list[str], value: Any) -> Tree:
    return {path[0]: _nested(path[1:], value) if path[1:] else value}


def _taken(config: Mapping[str, Any], path: list[str], keep: Any) -> tuple[Any, Tree]:
    """The value at a path, and the config without it; a map that becomes empty goes too, unless `keep` has it."""
    inner = config.get(path[0])
    rest = {name: value for name, value in config.items() if name != path[0]}
    if not path[1:]:
        return inner, rest
    if not isinstance(inner, Mapping):
        return None, dict(config)
    kept = keep.get(path[0]) if isinstance(keep, Mapping) else None
    value, left = _taken(inner, path[1:], kept)
    return value, rest | {path[0]: left} if left or kept is not None else rest
