"""The rule about who gets in: every route that leads to an app asks who is calling.

What guards a route is Kong's to say (`gateway.py`). It deliberately leaves authorisation (who may do what) to the app.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from policies.gateway import Gateway, is_preview
from policies.parameters import choice, names
from policies.rule import Config, Finding, Resource, Unjudged, Violation

AUTHENTICATING = frozenset(
    {"key-auth", "jwt", "basic-auth", "hmac-auth", "oauth2", "openid-connect", "ldap-auth", "mtls-auth"}
)
ANONYMOUS = names("Routes that are public on purpose, such as a web frontend's pages.")
PREVIEWS = choice("closed", "open", "Whether preview and probe routes need authentication too.")


def routes_are_authenticated(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    """Every route that leads to an app is guarded, or named as public."""
    gateway = Gateway.of(resources)
    open_previews: list[Resource] = []
    for route in gateway.routes:
        try:
            if route.name in config["anonymous"] or not gateway.leads_somewhere(route):
                continue
            guard = _guard(gateway, route)
            if guard.closed:
                continue
            if not is_preview(route):
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


def _guard(gateway: Gateway, route: Resource) -> Guard:
    asking = gateway.in_force(route, AUTHENTICATING).values()
    lenient = tuple(plugin for plugin in asking if plugin.at("config.anonymous"))
    return Guard(len(asking) > len(lenient) or gateway.shut(route), lenient)


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
