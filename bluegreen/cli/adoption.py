"""What an adoption writes: the config of apps that are there already, and the ids of what is to become theirs.

Pure: from what was found in Railway and Kong to a stack's config. Whatever is written says the same as what stands, so
that the first update changes names and tags alone; whatever cannot be said, or is not known, is told in a sentence and
never guessed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from bluegreen.coherence import PROBE
from bluegreen.config import KongService, Route
from bluegreen.handler import Refused
from bluegreen.kong.brownfield import Led, Way, Ways
from bluegreen.railway.brownfield import Found
from bluegreen.railway.spec import PORT, RESERVED_VARIABLES, VARIABLE
from bluegreen.spec import COLOURS, PINNED, Colour, problems

REFERENCE = re.compile(r"(\$\{\{[^{}]+\}\})+")  # a value that Railway puts together: it holds nothing itself
WRITTEN_BY_US = ("BLUEGREEN_", "RAILWAY_")
UNNAMED = "main"  # a route that has no name in Kong

# What green's block takes over: Railway's word for it, and ours.
TAKEN = {
    "healthcheckTimeout": "healthcheckTimeoutSeconds",
    "overlapSeconds": "overlapSeconds",
    "drainingSeconds": "drainingSeconds",
    "startCommand": "startCommand",
}


@dataclass(frozen=True, slots=True)
class Match:
    """One app to be: a service of Kong and the one of Railway that it leads to."""

    app: str
    colour: Colour
    health: str
    way: Way
    found: Found

    @property
    def other(self) -> Colour:
        """The colour in which the first release ships."""
        return COLOURS[1] if self.colour == COLOURS[0] else COLOURS[0]


@dataclass(slots=True)
class Draft:
    """What is to be written, and what is to be said."""

    apps: dict[str, Any] = field(default_factory=dict)
    adopt: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)  # by their path below `secrets`
    other: dict[str, dict[str, Any]] = field(default_factory=dict)  # by app: the block to ship the first release with
    left: list[str] = field(default_factory=list)


def named(found: Found) -> tuple[str, Colour]:
    """What an app would be called, and the colour that its service is: what is called no colour becomes blue."""
    for colour in COLOURS:
        if found.name.endswith(f"-{colour}"):
            return found.name.removesuffix(f"-{colour}"), colour
    return found.name, COLOURS[0]


def taken(app: str, way: Way, ways: Ways) -> str:
    """What else in Kong has a name that this app would give; empty where nothing has."""
    # Its own service may be called so already; a preview's is another one.
    if ways.other("service", app, way.id):
        return f"a service {app}"
    preview = next((f"{app}-{colour}" for colour in COLOURS if ways.other("service", f"{app}-{colour}")), None)
    if preview is not None:
        return f"a service {preview}"
    return f"an upstream {app}" if ways.other("upstream", app) else ""


def draft(matches: Sequence[Match], ways: Ways) -> Draft:
    """Everything that is written about these apps.

    Raises:
        Refused: a name that an app would give is somebody else's, or what Kong holds fits no declaration.
    """
    whole = Draft()
    for match in matches:
        try:
            _app(match, ways, whole)
        except ValidationError as error:
            raise Refused(
                f"What Kong holds of {match.way.name} fits no declaration: {'; '.join(problems(error))}.",
                world="Nothing was changed.",
                next="Correct it in Kong, or leave it out with --app.",
            ) from None
        whole.other[match.app] = _first_release(match, whole)
    whole.left += ways.left
    return whole


def _app(match: Match, ways: Ways, whole: Draft) -> None:
    app, colour, way, found = match.app, match.colour, match.way, match.found
    kong = KongService.model_validate({"host": way.host, "port": way.port, **way.rules})
    block: dict[str, Any] = {
        "kind": "web",  # never split, so it is right for either kind
        "live": colour,
        colour: {"observe": True, "serviceName": found.name, "port": way.port, "healthcheckPath": match.health},
        "kong": kong.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "routes": {},
    }
    whole.adopt[f"railway/{app}-{colour}"] = found.id
    whole.adopt[f"service/{app}"] = way.id
    for led in way.routes:
        key = _key(app, led, block["routes"])
        block["routes"][key] = _route(app, key, led, ways, whole)
    whole.apps[app] = block
    whole.left += _unsaid(match)


def _key(app: str, led: Led, known: Mapping[str, Any]) -> str:
    """A route's name below its app: Kong's own without the app's, as far as it can be one."""
    plain = re.sub(r"[^a-z0-9]+", "-", (led.name or UNNAMED).lower()).strip("-")
    base = plain.removeprefix(f"{app}-")[:30].strip("-") or UNNAMED
    base = base if base[0].isalpha() and base != PROBE else f"{UNNAMED}-{base}"
    return next(name for name in (base, *(f"{base}-{n}" for n in range(2, 1000))) if name not in known)


def _route(app: str, key: str, led: Led, ways: Ways, whole: Draft) -> dict[str, Any]:
    name = f"{app}-{key}"
    _free("route", [name, *(f"{app}-{colour}-{key}" for colour in COLOURS)], led.id, app, ways)
    whole.adopt[f"route/{name}"] = led.id
    called, plugins = led.name or led.id, dict[str, Any]()
    for plugin in led.plugins:
        if plugin.why:
            whole.left.append(
                f"Kong's route {called} keeps its plugin {plugin.name}, and nothing declares it: {plugin.why}."
                " Previews do not have it"
            )
            continue
        _free("plugin", [f"{name}-{plugin.name}"], plugin.id, app, ways)
        whole.adopt[f"plugin/{name}-{plugin.name}"] = plugin.id
        plugins[plugin.name] = plugin.config
        whole.left += _tags(f"plugin {plugin.name} of route {called}", plugin.tags)
    whole.left += _tags(f"route {called}", led.tags)
    rules = Route.model_validate(led.rules).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {**rules, **({"plugins": plugins} if plugins else {})}


def _free(kind: str, names: Sequence[str], id: str, app: str, ways: Ways) -> None:
    for position, name in enumerate(names):
        if ways.other(kind, name, id if position == 0 else ""):
            raise Refused(
                f"Kong has another {kind} {name} already, and {app} would call one of its own so.",
                world="Nothing was changed.",
                next=f"Give the app another name: --app SERVICE=NAME. Or rename that {kind} in Kong.",
            )


def _first_release(match: Match, whole: Draft) -> dict[str, Any]:
    """The other colour's block, as far as it is known; what nobody may see goes into the secrets of its colour."""
    app, found, variables = match.app, match.found, dict[str, str]()
    for name, value in found.variables.items():
        if name == PORT or name.startswith(WRITTEN_BY_US):
            continue
        if not VARIABLE.fullmatch(name):
            whole.left.append(f"{found.name}'s variable {name!r} has no name that can be written: add it by hand")
        elif REFERENCE.fullmatch(value):
            variables[name] = value
        else:
            whole.secrets[f"{app}.{match.other}.{name}"] = value
    whole.left += [
        f"{found.name}'s variable {name} is not taken over: {why}"
        for name, why in RESERVED_VARIABLES.items()
        if name in found.variables and name != PORT
    ]
    told = {ours: found.template[theirs] for theirs, ours in TAKEN.items() if found.template.get(theirs) is not None}
    before = found.template.get("preDeployCommand")
    first = before[0] if isinstance(before, list) and before else before
    pinned = found.image if found.image and PINNED.fullmatch(found.image) else "REPOSITORY@sha256:DIGEST"
    return {
        "image": pinned,
        "port": match.way.port,
        "healthcheckPath": match.health,
        "replicas": dict(found.replicas),
        **told,
        **({"preDeployCommand": first} if first else {}),
        **({"variables": variables} if variables else {}),
    }


def _unsaid(match: Match) -> Iterator[str]:
    """What nobody can know from here, or nobody declares; a sentence each."""
    app, found, way = match.app, match.found, match.way
    yield f"{app}: kind is web, whose traffic is never split. Write api where any answer may come from either colour"
    if found.domains:
        yield (
            f"{found.name} answers at {', '.join(found.domains)} too, past Kong: whoever goes there is neither moved"
            f" nor counted, and {match.colour} is idle only without that"
        )
    if found.image is None or not PINNED.fullmatch(found.image):
        yield f"{found.name} comes from {found.source}: {match.other} needs an image that is pinned to a digest"
    if not found.replicas:
        yield f"Railway does not say in which regions {found.name} runs: write {match.other}.replicas"
    if "-" in match.health:
        yield f"{app}: Railway takes no health check with a hyphen, so {match.other} needs another than {match.health}"
    if found.template.get("cronSchedule") or found.template.get("sleepApplication"):
        yield f"{found.name} sleeps or runs by a schedule: {match.other} will not"
    if (port := found.variables.get(PORT)) is not None and port != str(way.port):
        yield f"{found.name} has {PORT} {port}, and Kong asks it at {way.port}: {match.other} gets {way.port}"
    yield f"{found.name}: Railway shows no sealed variable. Write those that it has below secrets.{app}.{match.other}"
    for plugin in way.plugins:
        yield f"Kong's service {way.name} keeps its plugin {plugin}, and nothing declares it. Previews do not have it"
    yield from _tags(f"service {way.name}", way.tags)


def _tags(what: str, tags: Sequence[str]) -> Iterator[str]:
    if tags:
        yield f"Kong's {what} is tagged {', '.join(tags)}: the first update writes our tags in their place"
