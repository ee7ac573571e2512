"""`bluegreen adopt`: what runs already, in Railway behind Kong, as the config of a stack; nothing else is written.

Each of Kong's services that leads to a service of the environment becomes an app, whose live colour is only observed:
no resource stands for it, so that nothing here can touch what serves. The apps' entities in Kong are imported by the
first update, by the ids written below `adopt`. What is written was read back and understood before it is put in place,
and it is put in place at once or not at all. What could not be known is in `facts.left`.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
import yaml

from bluegreen.cli.adoption import Draft, Match, draft
from bluegreen.cli.adoption_choice import WORLD, chosen, matched, not_adoptable, strangers, wanted_apps, why_not
from bluegreen.cli.stack import Stack
from bluegreen.cli.stack_file import put
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.connections import Connections
from bluegreen.handler import Context, Refused
from bluegreen.kong.brownfield import Way, Ways, ways
from bluegreen.kong.ownership import KEPT
from bluegreen.railway.brownfield import Found, callers, found, services
from bluegreen.railway.claim import right_place
from bluegreen.railway.spec import Place, private_domain
from bluegreen.settings import Settings
from bluegreen.spec import Name, Spec

KEYS = ("apps", "adopt")  # of the project: where one of them is, somebody has written a stack already


@dataclass(frozen=True, slots=True)
class Door:
    """What there is before a stack has a config that says anything."""

    stack: Stack
    config: Mapping[str, str]
    connections: Connections
    ctx: Context


class Adopted(Spec):
    """One app, and what it was made of."""

    service: str  # in Railway
    kong: str  # the service's name in Kong until the first update
    live: str
    address: str
    routes: Sequence[str]


class Facts(Spec):
    """What was adopted, the block to ship each app's first release with, what is written, and what nobody can know."""

    apps: Mapping[Name, Adopted]
    first_release: Mapping[Name, Mapping[str, Any]]
    config: Mapping[str, Any]
    encrypted: Sequence[str]
    left: Sequence[str]


App = Annotated[
    list[str] | None, typer.Option("--app", help="A Railway service to adopt, or SERVICE=NAME; all by default.")
]
Health = Annotated[str, typer.Option(help="The path that answers 200, where Railway knows of none.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]


async def adopt(door: Door, *, app: App = None, health: Health = "", dry_run: DryRun = False) -> Outcome:
    """Write the config for what runs already; neither Railway nor Kong is changed."""
    _not_begun(door)
    railway, place = door.connections.railway(), await _place(door)
    there = await services(railway, place)
    standing = await _standing(door)
    matches, left = await _matches(door, place, there, standing, wanted_apps(app or ()), health)
    made = draft(matches, standing)
    made.left += left
    for each in matches:
        if past := await callers(railway, place, there, private_domain(each.found.name)):
            made.left.append(
                f"{', '.join(past)} in Railway lead to {each.found.name} past Kong: whoever calls so is neither moved"
                f" nor counted, and {each.colour} is idle only without that"
            )
    if "nodes" not in _written_before(door, "gateway"):
        made.left.append("gateway.nodes is 1 unless it is written: say so where Kong has more nodes")
    return await _written(door, place, matches, made, dry_run=dry_run)


def _not_begun(door: Door) -> None:
    project = door.stack.project
    for key in KEYS:
        if f"{project}:{key}" in door.config:
            what = f"{project}:{key} is in the config of {door.stack.name} already."
            raise Refused(what, world=WORLD, next="Take it out, or adopt into another stack.")


def _written_before(door: Door, key: str) -> dict[str, Any]:
    """What the config has below a key of the project already."""
    name = f"{door.stack.project}:{key}"
    try:
        found = json.loads(door.config.get(name, "{}"))
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    what = f"{name} in the config of {door.stack.name} is no block of keys."
    raise Refused(what, world=WORLD, next="Correct it, or take it out.")


async def _standing(door: Door) -> Ways:
    """What stands in a Kong that has no stack yet."""
    kong = door.connections.kong()
    standing = await ways(kong)
    if standing.other("route", KEPT):
        what = f"Kong at {kong.where} has a stack already: its route {KEPT} is there."
        raise Refused(what, world=WORLD, next="Add the app to that stack's config, or adopt behind another Kong.")
    return standing


async def _matches(
    door: Door, place: Place, there: Mapping[str, str], standing: Ways, wanted: Mapping[str, str], health: str
) -> tuple[list[Match], list[str]]:
    """The apps to be, and what is left alone; at least one app."""
    railway = door.connections.railway()
    fit, left = list[tuple[Found, Way]](), list[str]()
    for host, way in chosen(standing, there, wanted):
        service = await found(railway, place, host, there[host])
        why = way.why or why_not(service, health)
        if not why and service is not None:
            fit.append((service, way))
        elif wanted:
            raise not_adoptable(host, way, why)
        else:
            left.append(f"Kong's service {way.name} is not adopted: {why}")
    matches = matched(fit, wanted, health, standing)
    left += strangers(standing, there, matches)
    if not matches:
        said = f": {'; '.join(left)}" if left else ", and Kong has no service"
        what = f"Nothing here can be adopted{said}."
        raise Refused(what, world=WORLD, next="Correct that in Kong or Railway, or write the config by hand.")
    return matches, left


async def _place(door: Door) -> Place:
    """Where to look: the config's word, or the place of the token."""
    railway, text = door.connections.railway(), door.config.get(f"{door.stack.project}:railway")
    if text is None:
        if railway.kind == "project":
            return await railway.project_token()
        what = f"A workspace token says nothing about the environment, and {door.stack.project}:railway is not set."
        raise Refused(what, world=WORLD, next="Set its projectId and environmentId, or use a project token.")
    try:
        place = Place.model_validate(json.loads(text))
    except ValueError:
        what = f"{door.stack.project}:railway is no place: it needs a projectId and an environmentId."
        raise Refused(what, world=WORLD, next="Correct it, or take it out.") from None
    await right_place(railway, place)
    return place


async def _written(door: Door, place: Place, matches: Sequence[Match], made: Draft, *, dry_run: bool) -> Outcome:
    project, stack = door.stack.project, door.stack
    values: dict[str, Any] = {
        f"{project}:railway": place.model_dump(mode="json", by_alias=True),
        f"{project}:apps": made.apps,
        f"{project}:adopt": made.adopt,
    }
    values = {key: value for key, value in values.items() if key not in door.config}
    hidden = _secrets(door, made)
    meant = _understood(door, values, hidden)
    if not dry_run:
        put(stack, values, hidden, meant)
    for sentence in made.left:
        await door.ctx.milestone(f"left: {sentence}.")
    for match in matches:
        block = yaml.safe_dump({match.other: made.other[match.app]}, sort_keys=False, width=120)
        await door.ctx.milestone(f"What the first release of {match.app} begins with:\n{block.rstrip()}")
    apps = ", ".join(f"{match.app} ({match.found.name}, live)" for match in matches)
    count = f"{len(matches)} app{'' if len(matches) == 1 else 's'}"
    would = "would be adopted" if dry_run else "adopted"
    return Outcome(
        exit=Exit.OK,
        what=f"{count} {would} into the config of {stack.name}: {apps}.",
        world=f"{WORLD[:-1]} in Railway or Kong{'' if dry_run else f'; {stack.file.name} is written'}.",
        next="Run it without --dry-run." if dry_run else "Run pulumi preview, then pulumi up.",
        facts=_facts(matches, made, values, hidden),
    )


def _understood(door: Door, values: Mapping[str, Any], hidden: Mapping[str, str]) -> dict[str, str]:
    """The whole config as it will be read, in clear.

    Raises:
        Refused: it would not hang together.
    """
    project, stack = door.stack.project, door.stack
    meant = {**door.config, **{key: json.dumps(value) for key, value in values.items()}}
    meant |= {key: value for key, value in hidden.items() if not key.startswith(f"{project}:secrets.")}
    meant[f"{project}:secrets"] = json.dumps(_nested(_written_before(door, "secrets"), project, hidden))
    try:
        Settings.parse(project, stack.name, meant)
    except Refused as refused:
        # The half of it that is at fault may be in no file yet.
        next_ = f"Correct what {stack.file.name} says of it, or give other words: --app SERVICE=NAME, --health /path."
        raise Refused(refused.what, world=WORLD, next=next_) from None
    return meant


def _facts(matches: Sequence[Match], made: Draft, values: Mapping[str, Any], hidden: Mapping[str, str]) -> Facts:
    return Facts(
        apps={
            match.app: Adopted(
                service=match.found.name,
                kong=match.way.name,
                live=match.colour,
                address=f"{match.way.host}:{match.way.port}",
                routes=list(made.apps[match.app]["routes"]),
            )
            for match in matches
        },
        first_release={match.app: {match.other: made.other[match.app]} for match in matches},
        config=values,
        encrypted=sorted(hidden),
        left=made.left,
    )


def _secrets(door: Door, made: Draft) -> dict[str, str]:
    """What is encrypted: the apps' own, and the keys of the program that are not there yet."""
    project, known = door.stack.project, _written_before(door, "secrets")
    hidden = {}
    for path, value in made.secrets.items():
        before = _at(known, path)
        if before is None:
            hidden[f"{project}:secrets.{path}"] = value
        elif before != value:
            made.left.append(f"secrets.{path} is written already and stays as it is: Railway has another value")
    shown = door.connections.values.get("previewKey")
    key = known.get("previewKey") or shown or secrets.token_hex(16)
    if not known.get("previewKey"):
        hidden[f"{project}:secrets.previewKey"] = key
    if not shown:
        hidden["bluegreen:previewKey"] = key
    if not known.get("releaseKey"):
        hidden[f"{project}:secrets.releaseKey"] = secrets.token_hex(16)
    return hidden


def _nested(tree: dict[str, Any], project: str, hidden: Mapping[str, str]) -> dict[str, Any]:
    """The secrets as they will be, in clear: nothing but a parser ever sees this."""
    for key, value in hidden.items():
        if key.startswith(f"{project}:secrets."):
            *parts, last = key.partition(".")[2].split(".")
            inner = tree
            for depth, part in enumerate(parts, 1):
                inner = inner.setdefault(part, {})
                if not isinstance(inner, dict):
                    what = f"{project}:secrets.{'.'.join(parts[:depth])} is no block of keys."
                    raise Refused(what, world=WORLD, next="Correct it, or take it out.")
            inner[last] = value
    return tree


def _at(tree: Any, path: str) -> Any:
    for part in path.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
