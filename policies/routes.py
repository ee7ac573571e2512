"""Rules about who gets in: every route that leads to an app asks who is calling.

What guards a route in Kong is spread over resources (the route, its service, plugins on either or on everything), and
of several plugins of one kind only the most specific is in force; so these rules need the whole stack. They judge
what this stack declares; a plugin that somebody added to Kong by hand guards nothing that a restore would bring back.
They deliberately leave authorisation (who may do what) to the app.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policies.rule import Config, Finding, Resource, Unjudged, Violation

ROUTE, SERVICE, PLUGIN = "bluegreen:kong:Route", "bluegreen:kong:Service", "bluegreen:kong:Plugin"
AUTHENTICATING = frozenset(
    {"key-auth", "jwt", "basic-auth", "hmac-auth", "oauth2", "openid-connect", "ldap-auth", "mtls-auth"}
)
CLOSING = "request-termination"  # answers in the app's stead
PREVIEW_HEADER = "x-preview-colour"
ANONYMOUS: Mapping[str, Any] = {
    "type": "array",
    "items": {"type": "string"},
    "default": [],
    "description": "Routes that are public on purpose, such as a web frontend's pages.",
}
PREVIEWS: Mapping[str, Any] = {
    "type": "string",
    "enum": ["closed", "open"],
    "default": "closed",
    "description": "Whether preview and probe routes need authentication too.",
}


def routes_are_authenticated(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    """Every route that leads to an app is guarded, or named as public."""
    routes, services, plugins = (_of(kind, resources) for kind in (ROUTE, SERVICE, PLUGIN))
    open_previews: list[Resource] = []
    for route in routes:
        try:
            if route.name in config["anonymous"] or not _leads_somewhere(route, services):
                continue
            guard = _guard(route, plugins)
            if guard.closed:
                continue
            if not _is_preview(route):
                yield Violation(route, _open(route, guard))
            elif config["previews"] != "open":
                open_previews.append(route)
        except Unjudged as unjudged:
            yield unjudged
    if open_previews:  # one cause, one line
        yield Violation(open_previews[0], _previews_open(open_previews))


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands before a route: whether anything keeps strangers out, and what only looks as if it did."""

    closed: bool
    lenient: tuple[Resource, ...] = ()  # authentication that lets callers without credentials in as somebody


def _of(kind: str, resources: Sequence[Resource]) -> list[Resource]:
    return sorted((resource for resource in resources if resource.type == kind), key=lambda one: one.name)


def _leads_somewhere(route: Resource, services: Sequence[Resource]) -> bool:
    to = route.at("service")
    off = (service for service in services if _called(service) == to and service.at("enabled") is False)
    return to is not None and not any(off)


def _guard(route: Resource, plugins: Sequence[Resource]) -> Guard:
    in_force: dict[str, Resource] = {}
    for plugin in plugins:
        if _stands_on(plugin, route) and plugin.at("enabled", True) and not plugin.at("consumer"):
            kind = str(plugin.at("name"))
            if kind not in in_force or _specific(plugin) > _specific(in_force[kind]):
                in_force[kind] = plugin
    asking = [plugin for kind, plugin in in_force.items() if kind in AUTHENTICATING]
    lenient = tuple(plugin for plugin in asking if plugin.at("config.anonymous"))
    # With a `trigger` it answers only some requests.
    shut = CLOSING in in_force and not in_force[CLOSING].at("config.trigger")
    return Guard(shut or len(asking) > len(lenient), lenient)


def _stands_on(plugin: Resource, route: Resource) -> bool:
    return plugin.at("route") in (None, _called(route)) and plugin.at("service") in (None, route.at("service"))


def _specific(plugin: Resource) -> int:
    """Kong's precedence: on a route of a service, on a route, on a service, on everything."""
    return 2 * (plugin.at("route") is not None) + (plugin.at("service") is not None)


def _called(entity: Resource) -> str:
    """Kong's name of an entity, by which others refer to it."""
    return str(entity.at("name", entity.name))


def _is_preview(route: Resource) -> bool:
    headers = route.at("headers", {})
    return isinstance(headers, Mapping) and PREVIEW_HEADER in {str(name).lower() for name in headers}


def _open(route: Resource, guard: Guard) -> str:
    return (
        f"{route.name}: {_taken(route)} is open to strangers: {_why(route, guard)}. As declared, everybody who reaches "
        f"the gateway gets through. Give the route a plugin such as key-auth or jwt, or name {route.name} in "
        "`anonymous` of this rule's config if it is public on purpose."
    )


def _taken(route: Resource) -> str:
    """What a route takes, as `api.acme.dev /api`."""
    matched = [route.at("hosts"), route.at("paths")]
    return " ".join(str(part) for parts in matched if isinstance(parts, list) for part in parts) or "the route"


def _why(route: Resource, guard: Guard) -> str:
    if guard.lenient:
        names = " and ".join(plugin.name for plugin in guard.lenient)
        return f"{names} lets callers without credentials in (config.anonymous)"
    return f"no authentication plugin stands on it, on its service {route.at('service')} or on the whole gateway"


def _previews_open(routes: Sequence[Resource]) -> str:
    names = ", ".join(route.name for route in routes)
    return (
        f"{names}: nothing asks who is calling there. As declared, anybody can look "
        "past the weights, at a colour that is not live. Set secrets.previewKey in the stack config, which puts "
        'key-auth on every preview and probe route, or write "previews": "open" in this rule\'s config if it is meant.'
    )
