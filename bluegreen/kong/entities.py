"""The table of the five kinds: where each lives in Kong, what names it, what it refers to, what is special about it.

How an entity is kept is in `entity.py`, the same for all; plugins and consumers have more to say, in their modules.
"""

from collections.abc import Mapping
from typing import Any

from bluegreen.kong.collection import Row
from bluegreen.kong.consumers import ConsumerHandler
from bluegreen.kong.entity import EntityHandler
from bluegreen.kong.plugins import PluginHandler
from bluegreen.kong.schema import Shape, Tree
from bluegreen.kong.spec import RouteSpec, ServiceSpec, UpstreamSpec

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
    """`bluegreen:kong:Service`."""

    spec = ServiceSpec
    row = Row("services", "service")


class RouteHandler(EntityHandler[RouteSpec]):
    """`bluegreen:kong:Route`."""

    spec = RouteSpec
    row = Row("routes", "route", refers=("service",))


def _hashed(tree: Tree) -> bool:
    return str(tree.get("hash_on", "none")) != "none"
