"""Takes out of the way what the config declares no longer, so that a removal is judged before it is final.

The engine deletes last of all. So what a change takes away still stands while the change is rehearsed, and what a
harmful one brought still stands while its revert is. Nothing is deleted here and everything is undone when the config
wants it again: a plugin is switched off, a route asks for a header that nobody sends.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bluegreen.cli.verb import Desk
from bluegreen.cli.witness import anew, point, points
from bluegreen.coherence import FRONTS, PREVIEWS
from bluegreen.declared import EVERYWHERE, Standing, before_users, on_previews
from bluegreen.kong.api import Entity
from bluegreen.kong.ownership import FRONT, OWNER, tag
from bluegreen.spec import COLOURS

Change = tuple[str, Entity, Entity]  # where, what is written, and what undoes it
RETIRED: Mapping[str, list[str]] = {"X-Bluegreen-Retired": ["nobody"]}


@dataclass(frozen=True, slots=True)
class Retired:
    """What was done: what this part's witness says once it is in force, and what undoes it."""

    part: str
    said: str
    back: Mapping[str, Entity]

    async def undo(self, desk: Desk) -> None:
        """The change is not to be: what the state still has stands there again."""
        for path, change in self.back.items():
            await desk.connections.kong().entity_update(path, change)
        await self.settle(desk)

    async def settle(self, desk: Desk) -> None:
        """What was retired stays so until the engine deletes it; the witness is as it is declared."""
        if self.said != desk.settings.gateway_id:
            await point(desk, self.part, desk.settings.gateway_id)


async def retire(desk: Desk) -> Retired:
    """Take out of the previews what is declared no longer; nothing is written where there is no such thing."""
    settings = desk.settings
    services, routes, plugins = [await _ours(desk, kind) for kind in ("services", "routes", "plugins")]
    colours = {settings.service_name(app, colour) for app in settings.order() for colour in COLOURS}
    leading = {row["id"] for row in services if row["name"] in colours}
    wanted = on_previews(settings)
    previews = [row for row in routes if row["name"] in wanted or (row.get("service") or {}).get("id") in leading]
    return await _done(desk, PREVIEWS, [*_routes(previews, wanted), *_plugins(plugins, previews, wanted)])


async def withdraw(desk: Desk) -> Retired:
    """Take from users what is declared no longer, last of all before the engine deletes it.

    On the previews not every absence shows: the whole gateway's plugins and the previews' own guards are there anyway.
    """
    routes, plugins = [await _ours(desk, kind, FRONT) for kind in ("routes", "plugins")]
    wanted = before_users(desk.settings)
    return await _done(desk, FRONTS, [*_routes(routes, wanted), *_plugins(plugins, routes, wanted)])


async def _ours(desk: Desk, kind: str, *tags: str) -> list[Entity]:
    mine = ",".join((tag(OWNER, desk.settings.owner), *tags))
    return await desk.connections.kong().entities(f"/{kind}", tags=mine, size="1000")


async def _done(desk: Desk, part: str, changes: Sequence[Change]) -> Retired:
    id = desk.settings.gateway_id
    for path, change, _ in changes:
        await desk.connections.kong().entity_update(path, change)
    if not changes and await points(desk, part, id):
        return Retired(part, id, {})
    said = anew(id)
    await point(desk, part, said)  # written last: who says this has all of it
    return Retired(part, said, {path: back for path, _, back in changes})


def _routes(routes: Sequence[Entity], wanted: Standing) -> Iterator[Change]:
    for row in routes:
        headers = row.get("headers") or {}
        plain = {name: values for name, values in headers.items() if name not in RETIRED}
        meant = plain if row["name"] in wanted else {**plain, **RETIRED}
        if headers != meant:
            yield f"/routes/{row['id']}", {"headers": meant}, {"headers": row.get("headers")}


def _plugins(plugins: Sequence[Entity], routes: Sequence[Entity], wanted: Standing) -> Iterator[Change]:
    names = {row["id"]: row["name"] for row in routes if row["name"] in wanted}
    names |= {None: EVERYWHERE} if EVERYWHERE in wanted else {}
    for row in plugins:
        on = names.get((row.get("route") or {}).get("id"))
        if on is not None and row["enabled"] != (row["name"] in wanted[on]):
            yield f"/plugins/{row['id']}", {"enabled": not row["enabled"]}, {"enabled": row["enabled"]}
