"""What stands before a route in Kong: which plugin of a kind is in force, and whether the route leads to an app at all.

It is spread over resources (the route, its service, plugins on either or on everything), and of several plugins of one
kind only the most specific is in force; so rules that ask here need the whole stack. They judge what this stack
declares; a plugin that somebody added to Kong by hand guards nothing that a restore would bring back.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from policies.rule import Config, Finding, Resource, Unjudged

ROUTE, SERVICE, PLUGIN = "bluegreen:kong:Route", "bluegreen:kong:Service", "bluegreen:kong:Plugin"
CLOSING = "request-termination"  # answers in the app's stead
PREVIEW_HEADER = "x-preview-colour"


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything in Kong that a stack declares about ways in, by name."""

    routes: Sequence[Resource]
    services: Sequence[Resource]
    plugins: Sequence[Resource]

    @classmethod
    def of(cls, resources: Sequence[Resource]) -> "Gateway":
        return cls(*(_of(kind, resources) for kind in (ROUTE, SERVICE, PLUGIN)))

    def leads_somewhere(self, route: Resource) -> bool:
        """Whether anybody but the gateway itself answers there."""
        to = route.at("service")
        off = (service for service in self.services if called(service) == to and service.at("enabled") is False)
        return to is not None and not any(off)

    def in_force(self, route: Resource, kinds: Collection[str]) -> Mapping[str, Resource]:
        """Of each kind the plugin that Kong runs on this route for whoever calls."""
        found: dict[str, Resource] = {}
        for plugin in self.plugins:
            kind = str(plugin.at("name"))
            if kind not in kinds or not _stands_on(plugin, route):
                continue
            if not plugin.at("enabled", True) or plugin.at("consumer"):
                continue  # off, or in force only for somebody who is known already
            if kind not in found or _specific(plugin) > _specific(found[kind]):
                found[kind] = plugin
        return found

    def shut(self, route: Resource) -> bool:
        """Whether the gateway answers every request there itself; with a `trigger` it answers only some."""
        closing = self.in_force(route, {CLOSING}).get(CLOSING)
        return closing is not None and not closing.at("config.trigger")

    def public(self, config: Config) -> Iterator[Resource | Finding]:
        """Every route by which users reach somebody, except those named in `except`; or why that is not known."""
        for route in self.routes:
            try:
                if route.name in config["except"] or route.stack not in config["stacks"] or is_preview(route):
                    continue
                if self.leads_somewhere(route) and not self.shut(route):
                    yield route
            except Unjudged as unjudged:
                yield unjudged


def called(entity: Resource) -> str:
    """Kong's name of an entity, by which others refer to it."""
    return str(entity.at("name", entity.name))


def is_preview(route: Resource) -> bool:
    """Whether it leads past the weights to one colour, which only we may."""
    headers = route.at("headers", {})
    return isinstance(headers, Mapping) and PREVIEW_HEADER in {str(name).lower() for name in headers}


def _of(kind: str, resources: Sequence[Resource]) -> list[Resource]:
    return sorted((resource for resource in resources if resource.type == kind), key=lambda one: one.name)


def _stands_on(plugin: Resource, route: Resource) -> bool:
    return plugin.at("route") in (None, called(route)) and plugin.at("service") in (None, route.at("service"))


def _specific(plugin: Resource) -> int:
    """Kong's precedence: on a route of a service, on a route, on a service, on everything."""
    return 2 * (plugin.at("route") is not None) + (plugin.at("service") is not None)
