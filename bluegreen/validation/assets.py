"""The scripts, stylesheets and images that a web app's first page names: as users load them, and of each colour.

A colour whose page names what only the other one has is broken for whoever comes next, though its page answers 200.
"""

from collections.abc import Sequence
from dataclasses import replace

from bluegreen.measure.spec import Check
from bluegreen.validation.check import Room, Seen, Skip, check
from bluegreen.validation.endpoints import pageless, pages, renamed
from bluegreen.validation.judged import seen
from bluegreen.validation.looking import serving
from bluegreen.validation.releases import colours, resting, unmet
from bluegreen.validation.ways import TURN, asker, way_of_colour, way_of_users


def named(room: Room) -> list[tuple[str, Check]]:
    """The pages to look at."""
    if found := pages(room, assets=True):
        return found
    raise Skip("no app of kind web has a route")


@check(
    "assets",
    group="assets",
    expected="every asset that the page names answers 200",
    hint="Ship a release whose files are all there; until then bluegreen rollback full --reason …",
    within=TURN,
)
async def assets(room: Room) -> Sequence[Seen]:
    line, told = await asker(room), []
    for app, asked in named(room):
        result, answer = await line.answered(asked, way_of_users(room.settings, asked))
        why = "the page itself does not come, as page tells" if "page" in room.telling else pageless(asked, answer)
        told.append(_told(seen(asked, result), app, why))
    return told


@check(
    "colour-assets",
    group="assets",
    expected="every asset that the colour's page names comes from that colour",
    hint="Ship that colour again with all its files before it gets traffic.",
    within=TURN,
)
async def colour_assets(room: Room) -> Sequence[Seen]:
    line, told, asked = await asker(room), [], dict(named(room))
    for app, colour in colours(room):
        if app not in asked:
            continue
        name = room.settings.service_name(app, colour)
        if why := resting(room, app, colour):
            told.append(Seen(False, why, about=name, app=app, status="skipped"))
            continue
        # What is still to be shipped is told by `release`; its preview's mark says that this is the colour.
        release = room.settings.release_id(app, colour) if await serving(room, app) == colour else None
        way = way_of_colour(room.settings, room.connections, app, colour, release)
        result, answer = await line.answered(asked[app], way)
        told.append(_told(seen(asked[app], result), name, unmet(room, answer) or pageless(asked[app], answer)))
    return told


def _told(found: Seen, about: str, why: str) -> Seen:
    """A fault of an asset is led by its path; any other is the page's own, which `why` leaves to somebody else."""
    if found.ok or found.status == "error":
        return renamed(found, about)
    if found.observed.startswith("/"):
        return renamed(found, about, f"Ship a release of {found.app} in which the file is there.")
    if why and found.observed.startswith("answered"):
        return replace(renamed(found, about), observed=why, status="skipped", hint="")
    return renamed(found, about)
