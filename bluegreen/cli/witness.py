"""The gateway's witnesses from the command line: whether a change is in force, and something new for them to say.

A witness answers with the gateway's id, so it tells a change of the config. A change that leaves the id as it is (a
hand edit put back, a preview's plugin switched off) needs a witness that says something new: it is moved to a path of
its own, asked there, and put back. It deliberately creates none: they are declared (`components/entities.py`).
"""

import secrets

from bluegreen.cli.verb import Desk
from bluegreen.declared import ANSWERING
from bluegreen.kong.spec import KEY_HEADER
from bluegreen.measure.witness import in_force


async def point(desk: Desk, part: str, id: str) -> None:
    """Have this part's witness answer with this id, on that path alone."""
    kong, name = desk.connections.kong(), desk.settings.witness_name(part)
    await kong.entity_update(f"/routes/{name}", {"paths": [desk.settings.witness_path(part, id)]})
    await kong.entity_update(f"/plugins/{name}-{ANSWERING}", {"config": {"message": id}})


async def points(desk: Desk, part: str, id: str) -> bool:
    """Whether it is stored so; one that somebody was about to put back is not."""
    kong, name = desk.connections.kong(), desk.settings.witness_name(part)
    route, plugin = await kong.entity(f"/routes/{name}"), await kong.entity(f"/plugins/{name}-{ANSWERING}")
    if route is None or plugin is None:
        return False
    return bool(route["paths"] == [desk.settings.witness_path(part, id)] and plugin["config"]["message"] == id)


def anew(id: str) -> str:
    """Something that this witness has never said; a path that went on after the id would be met by the old route."""
    return f"{secrets.token_hex(4)}-{id}"


async def proved(desk: Desk, part: str, id: str) -> str:
    """Empty once this part's witness says the id on every worker of every node; else what was seen last."""
    gateway = desk.connections.gateway()
    patience = await gateway.budget()
    key = desk.connections.values.get("previewKey", "")  # shown, because the whole gateway may ask for one
    async with desk.connections.proxy(headers={KEY_HEADER: key} if key else {}, secrets=[key]) as line:
        answers = gateway.answers(desk.settings.gateway.nodes)
        path = desk.settings.witness_path(part, id)
        return await in_force(line, path, id, answers=answers, patience=patience, ctx=desk.ctx)
