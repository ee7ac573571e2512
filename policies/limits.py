"""Rules about what every way in has beside authentication: a limit of requests, a limit of size, an id to be found by.

Previews are exempt: only we may call there, with a key and a limit of our own. Routes that miss the same thing are one
line: they miss it for one cause.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from policies.gateway import Gateway
from policies.parameters import names, number, stacks
from policies.rule import Config, Finding, Resource, Unjudged, Violation, is_number, shown

STACKS = stacks("The names of the stacks whose routes are judged.")
EXCEPT = names("Routes that do without it on purpose.")
MEGABYTES = number(50, "The largest body that may be let through, in megabytes.", minimum=1)
LIMITING = ("rate-limiting", "rate-limiting-advanced")
PERIODS = ("second", "minute", "hour", "day", "month", "year")
SIZE, ID = "request-size-limiting", "correlation-id"
UNITS = {"megabytes": 1.0, "kilobytes": 1 / 1024, "bytes": 1 / 1024**2}

Lack = Callable[[Gateway, Resource, Config], str | None]


def routes_are_limited(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    """One caller without a limit is enough to take the app away from everybody else."""
    yield from _lacking(resources, config, _unlimited, "Give them rate-limiting with a number, such as minute: 600")


def sizes_are_limited(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    """A body is read into memory or onto a disk before anybody can say no to it."""
    most = int(config["megabytes"])
    instead = f"Give the gateway request-size-limiting with allowed_payload_size: {most} or less"
    yield from _lacking(resources, config, _oversized, instead)


def requests_have_ids(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    """What a user reports is found again in the logs of Kong and of the app by one id, or not at all."""
    yield from _lacking(resources, config, _unmarked, "Give the gateway correlation-id with echo_downstream: true")


def _lacking(resources: Sequence[Resource], config: Config, lack: Lack, instead: str) -> Iterator[Finding]:
    gateway = Gateway.of(resources)
    missing: dict[str, list[Resource]] = {}
    for route in gateway.public(config):
        if not isinstance(route, Resource):
            yield route
            continue
        try:
            if (what := lack(gateway, route, config)) is not None:
                missing.setdefault(what, []).append(route)
        except Unjudged as unjudged:
            yield unjudged
    for what, routes in missing.items():
        said = ", ".join(route.name for route in routes)
        yield Violation(
            routes[0],
            f"{said}: {what}. As declared, that holds for everybody who gets through there. {instead}, or name the "
            "route in `except` of this rule's config if it is meant.",
        )


def _unlimited(gateway: Gateway, route: Resource, config: Config) -> str | None:
    limits = gateway.in_force(route, LIMITING)
    if not limits:
        return "nothing limits how often somebody may ask"
    if not any(_limits(plugin) for plugin in limits.values()):
        return f"{', '.join(plugin.name for plugin in limits.values())} names no number above 0 and limits nothing"
    return None


def _limits(plugin: Resource) -> bool:
    """`rate-limiting` has a number for each period; the advanced one a list of them."""
    numbers: list[Any] = [plugin.at(f"config.{period}") for period in PERIODS]
    listed = plugin.at("config.limit", [])
    numbers += listed if isinstance(listed, list) else []
    return any(is_number(one) and one > 0 for one in numbers)


def _oversized(gateway: Gateway, route: Resource, config: Config) -> str | None:
    plugin = gateway.in_force(route, {SIZE}).get(SIZE)
    if plugin is None:
        return "nothing limits how large a request may be"
    size, unit = plugin.at("config.allowed_payload_size", 128), plugin.at("config.size_unit", "megabytes")
    most = int(config["megabytes"])
    if not is_number(size) or unit not in UNITS or not 0 < size * UNITS[unit] <= most:
        return f"{plugin.name} lets requests of {shown(size)} {unit} through, and {most} megabytes is the most"
    return None


def _unmarked(gateway: Gateway, route: Resource, config: Config) -> str | None:
    plugin = gateway.in_force(route, {ID}).get(ID)
    if plugin is None:
        return "requests have no correlation id"
    if plugin.at("config.echo_downstream", False) is not True:
        return f"{plugin.name} does not tell callers their id (echo_downstream)"
    return None
