"""Which of Kong's services become apps: each that leads to one service of the environment, and no other does.

Pure. Where two readings are possible, nothing is chosen: it is refused, or told as left alone.
"""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from bluegreen.cli.adoption import Match, named, taken
from bluegreen.handler import Refused
from bluegreen.kong.brownfield import Way, Ways
from bluegreen.railway.brownfield import Found
from bluegreen.railway.spec import private_domain
from bluegreen.spec import Name

WORLD = "Nothing was changed."
NAME: TypeAdapter[str] = TypeAdapter(Name)


def wanted_apps(given: Sequence[str]) -> dict[str, str]:
    """Which services, and what their apps are to be called; empty where nothing was said."""
    pairs = [each.partition("=") for each in given]
    return {service: name for service, _, name in pairs}


def chosen(standing: Ways, there: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[Way]:
    """Kong's services that lead to a service of the environment, each to another.

    Raises:
        Refused: two lead to one, one leads to several, or a wanted service is reached by none.
    """
    leading = {host: [way for way in standing.services if _leads(way, host)] for host in there}
    leading = {host: those for host, those in leading.items() if not wanted or _service(host) in wanted}
    for service in wanted:
        if not any(_service(host) == service and those for host, those in leading.items()):
            known = any(_service(host) == service for host in there)
            what = f"No service of Kong leads to {service}." if known else f"Railway has no service {service} here."
            raise Refused(what, world=WORLD, next=f"It has {', '.join(sorted(map(_service, there))) or 'none'}.")
    for host, those in leading.items():
        if len(those) > 1:
            both = " and ".join(sorted(way.name for way in those))
            what = f"Kong's services {both} both lead to {_service(host)}, and an app has one service."
            next_ = "Lead the routes of both to one of them in Kong, or leave it out with --app."
            raise Refused(what, world=WORLD, next=next_)
        for way in those:
            if way.host == host:
                yield way
            elif wanted or sum(weight > 0 for weight in way.targets.values()) > 1:
                raise _split(way)


def _split(way: Way) -> Refused:
    carrying = [target for target, weight in way.targets.items() if weight > 0]
    if len(carrying) > 1:
        shares = " and ".join(f"{target} {way.targets[target]}" for target in carrying)
        what = f"Kong's service {way.name} leads to {way.host}, whose traffic is split ({shares}): no colour is live."
        return Refused(what, world=WORLD, next="Give one target all of it, or leave the app out with --app.")
    what = f"Kong's service {way.name} leads to the upstream {way.host}, and only a service of one host can be adopted."
    next_ = f"Give the service {way.name} the host of its live target ({', '.join(carrying) or 'none'}) in Kong first."
    return Refused(what, world=WORLD, next=next_)


def why_not(service: Found | None, health: str) -> str:
    if service is None:
        return "its Railway service has no instance in this environment"
    if not service.serving:
        return f"no deployment of {service.name} is running"
    if not (service.healthcheck_path or health):
        return f"{service.name} has no health check in Railway, so nothing could say that it is well (give --health)"
    return ""


def not_adoptable(way: Way, why: str) -> Refused:
    what = f"{_service(way.host)} cannot be adopted by Kong's service {way.name}: {why}."
    return Refused(what, world=WORLD, next="Correct that, or leave it out of --app.")


def matched(
    service: Found, way: Way, wanted: Mapping[str, str], health: str, standing: Ways, others: Sequence[Match]
) -> Match:
    """The app that this service is to be.

    Raises:
        Refused: every name that it could have is taken, or is none.
    """
    app, colour = named(service)
    asked = wanted.get(service.name)
    names = [asked] if asked else [app, f"{app}-app"]
    twin = next((each.found.name for each in others if each.app == names[0]), "")
    next_ = f"Give it another name: --app {service.name}=NAME."
    if twin:
        what = f"{twin} and {service.name} would both be the app {names[0]}, and both are reached through Kong."
        raise Refused(what, world=WORLD, next=next_)
    try:
        NAME.validate_python(names[0])
    except ValidationError:
        what = f"{names[0]!r} is no name of an app: letters, digits and hyphens, a letter first, at most 40."
        raise Refused(what, world=WORLD, next=next_) from None
    free = next((name for name in names if not taken(name, way, standing)), None)
    if free is None:
        what = f"Kong has {taken(names[0], way, standing)} already, so {service.name} cannot be the app {names[0]}."
        raise Refused(what, world=WORLD, next=next_)
    return Match(free, colour, service.healthcheck_path or health, way, service)


def strangers(standing: Ways, there: Mapping[str, str], matches: Sequence[Match]) -> Iterator[str]:
    """What is of no app here, a sentence each."""
    for way in standing.services:
        if way.host not in there and not way.why.startswith("it belongs to"):
            where = f"the upstream {way.host}" if way.targets else way.host
            yield f"Kong's service {way.name} leads to {where}, no service of this environment: it stays as it is"
    beside = sorted(_service(host) for host in there if not any(_leads(way, host) for way in standing.services))
    if beside:
        yield f"No service of Kong leads to {', '.join(beside)} in Railway: they stay as they are"
    for match in matches:
        ours = f"{match.app}-{match.other}"
        if ours in map(_service, there):
            yield (
                f"Railway has a service {ours} already, and {match.app}'s first release would be called so: give"
                f" {match.other} a serviceName of its own, or name that service's id as adopt.railway/{ours}"
                " if nothing uses it"
            )


def _service(host: str) -> str:
    return host.removesuffix(private_domain(""))


def _leads(way: Way, host: str) -> bool:
    """Whether users come to this host by this way, by its own or by that of a target."""
    return way.host == host or any(target.rpartition(":")[0] == host and way.targets[target] for target in way.targets)
