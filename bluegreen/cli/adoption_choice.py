"""Which of Kong's services become apps: each that leads to one service of the environment, and no other does.

Pure. Where two readings are possible, nothing is chosen: it is refused, or told as left alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from pydantic import TypeAdapter, ValidationError

from bluegreen.cli.adoption import Match, named, taken
from bluegreen.handler import Refused
from bluegreen.kong.brownfield import Way, Ways
from bluegreen.railway.brownfield import Found
from bluegreen.railway.spec import ServiceName, private_domain
from bluegreen.spec import COLOURS, Name

WORLD = "Nothing was changed."
NAME: TypeAdapter[str] = TypeAdapter(Name)
SERVICE: TypeAdapter[str] = TypeAdapter(ServiceName)


def wanted_apps(given: Sequence[str]) -> dict[str, str]:
    """Which services, and what their apps are to be called; empty where nothing was said.

    Raises:
        Refused: one of them names no service, no app, or a service that was named before.
    """
    wanted: dict[str, str] = {}
    for each in given:
        service, equals, name = each.partition("=")
        if not service or (equals and not name) or service in wanted:
            twice = f"names {service} twice" if service in wanted else "is neither SERVICE nor SERVICE=NAME"
            raise Refused(f"--app {each} {twice}.", world=WORLD, next="Name each service once, as Railway calls it.")
        wanted[service] = name
    return wanted


def chosen(standing: Ways, there: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[tuple[str, Way]]:
    """The hosts of this environment to which services of Kong lead, with the one that leads to each.

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
    for host, every in leading.items():
        # Nobody comes by a service without a route, so it stands in no other's way.
        those = [way for way in every if way.routes] or every
        if len(those) > 1:
            both = " and ".join(sorted(way.name for way in those))
            what = f"Kong's services {both} both lead to {_service(host)}, and an app has one service."
            next_ = "Lead the routes of both to one of them in Kong, or leave it out with --app."
            raise Refused(what, world=WORLD, next=next_)
        for way in those:
            if _same(way.host, host):
                yield host, way
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
    try:
        SERVICE.validate_python(service.name)
    except ValidationError:
        plain = "lower-case letters and digits, with single hyphens between"
        return f"Railway calls its service {service.name!r}, and an app's has {plain}"
    if not service.serving:
        return f"no deployment of {service.name} is running"
    if not (service.healthcheck_path or health):
        return f"{service.name} has no health check in Railway, so nothing could say that it is well (give --health)"
    return ""


def not_adoptable(host: str, way: Way, why: str) -> Refused:
    what = f"{_service(host)} cannot be adopted by Kong's service {way.name}: {why}."
    return Refused(what, world=WORLD, next="Correct that, or leave it out of --app.")


def matched(fit: Sequence[tuple[Found, Way]], wanted: Mapping[str, str], health: str, standing: Ways) -> list[Match]:
    """The apps that these services are to be; each gets its name without regard to the others, so no order counts.

    Raises:
        Refused: every name that one could have is taken, or is none, or two would have one.
    """
    matches = [_named(service, way, wanted.get(service.name, ""), health, standing) for service, way in fit]
    # Whoever is called so anyway comes first, and the other is to get a name.
    names = sorted(matches, key=lambda match: (match.app != named(match.found)[0], match.found.name))
    for first, second in combinations(names, 2):
        if first.app == second.app:
            both = f"would both be the app {first.app}, and both are reached through Kong"
        elif same := sorted(_in_kong(first.app) & _in_kong(second.app)):
            both = f"would be the apps {first.app} and {second.app}, and both would have a service {same[0]} in Kong"
        else:
            continue
        what = f"{first.found.name} and {second.found.name} {both}."
        raise Refused(what, world=WORLD, next=_rename(second.found))
    return matches


def _named(service: Found, way: Way, asked: str, health: str, standing: Ways) -> Match:
    app, colour = named(service)
    names = [asked] if asked else [app, f"{app}-app"]
    fitting = [name for name in names if _fits(name)]
    if names[0] not in fitting:
        what = f"{names[0]!r} is no name of an app: letters, digits and hyphens, a letter first, at most 40."
        raise Refused(what, world=WORLD, next=_rename(service))
    free = next((name for name in fitting if not taken(name, way, standing)), None)
    if free is None:
        what = f"Kong has {taken(names[0], way, standing)} already, so {service.name} cannot be the app {names[0]}."
        raise Refused(what, world=WORLD, next=_rename(service))
    return Match(free, colour, service.healthcheck_path or health, way, service)


def _rename(service: Found) -> str:
    return f"Give it another name: --app {service.name}=NAME."


def _fits(name: str) -> bool:
    try:
        NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _in_kong(app: str) -> set[str]:
    return {app, *(f"{app}-{colour}" for colour in COLOURS)}


def strangers(standing: Ways, there: Mapping[str, str], matches: Sequence[Match]) -> Iterator[str]:
    """What is of no app here, a sentence each."""
    adopted = {private_domain(match.found.name): match.way for match in matches}
    for way in standing.services:
        if way.why.startswith("it belongs to"):
            continue
        if any(_same(way.host, host) for host in there):
            if any(_same(way.host, host) and way is not other for host, other in adopted.items()):
                yield f"Kong's service {way.name} is not adopted: {way.why}"
        elif any(_leads(way, host) for host in there):
            through = _split(way)
            yield f"{through.what} {through.next.removesuffix('.')}"
        else:
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
                f" and write serviceName: {ours} if nothing uses it"
            )


def _service(host: str) -> str:
    return host.removesuffix(private_domain(""))


def _leads(way: Way, host: str) -> bool:
    """Whether users come to this host by this way, by its own or by that of a target."""
    carrying = (target.rpartition(":")[0] for target, weight in way.targets.items() if weight)
    return any(_same(each, host) for each in (way.host, *carrying))


def _same(written: str, host: str) -> bool:
    """Whether what is written in Kong reaches this service: names know no case, nor what Railway puts - for."""
    name = re.sub(r"[^a-z0-9-]+", "-", _service(host).lower())
    return written.lower().removesuffix(".") == private_domain(name)
