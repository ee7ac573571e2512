"""Whose service is it: found by name, created once, taken over only when it is marked as ours.

The mark is the variable BLUEGREEN_OWNER, and it travels in the creating call itself: when that call's reply is lost,
what it left is found by name and known by its mark. A service without the mark is never touched, because its name may
be a coincidence.
"""

from bluegreen.handler import Refused
from bluegreen.http import ApiError, Conflict, NotFound, Unauthorized, Unavailable
from bluegreen.railway.answers import open_ended
from bluegreen.railway.api import Railway
from bluegreen.railway.patience import AGAIN, Patience
from bluegreen.railway.regions import must_exist
from bluegreen.railway.spec import OWNER, Place, ServiceSpec

LAG = 30.0  # seconds after which what was created has been listed everywhere


async def right_place(railway: Railway, place: Place) -> None:
    """Refuse a token that does not open this place: a project token has one of its own, a workspace token has many."""
    if railway.kind != "project":
        return await _opened(railway, place)
    own = await railway.project_token()
    if own == place:
        return None
    what = (
        f"The Railway token belongs to environment {own.environment_id} of project {own.project_id},"
        f" not to environment {place.environment_id} of project {place.project_id}."
    )
    next_ = "Set BLUEGREEN_RAILWAY_TOKEN to this environment's project token, or correct projectId and environmentId."
    raise Refused(what, world="Nothing was changed.", next=next_)


async def _opened(railway: Railway, place: Place) -> None:
    try:
        project = await railway.project(place.project_id)
    except (NotFound, Unauthorized) as problem:
        what = f"The Railway token opens no project {place.project_id}: {problem.what}"
        next_ = "Set BLUEGREEN_RAILWAY_TOKEN to a token of the workspace that has it, or correct railway.projectId."
        raise Refused(what, world="Nothing was changed.", next=next_) from problem
    if project.temporary:
        what = f"Project {place.project_id} is a temporary one: Railway deletes it a day after it was made."
        raise Refused(what, world="Nothing was changed.", next="Claim it in Railway, then run pulumi up again.")
    if place.environment_id in project.environments:
        return
    has = ", ".join(sorted(f"{name} ({id})" for id, name in project.environments.items())) or "none that it may see"
    what = (
        f"The Railway token opens project {place.project_id}, which has no environment {place.environment_id}"
        f" (it has {has})."
    )
    raise Refused(what, world="Nothing was changed.", next="Correct railway.environmentId.")


async def claim(railway: Railway, spec: ServiceSpec, patience: Patience) -> tuple[str, bool]:
    """The id of the service that is ours, and whether it existed before."""
    id = await _listed(railway, spec, patience)
    if id is not None:
        await _ours(railway, spec, id, patience)
        return id, True
    await patience.while_away(lambda: must_exist(railway, spec, ()))
    marks = {OWNER: spec.owner}
    for left in reversed(range(AGAIN)):
        try:
            return await patience.while_busy(lambda: railway.service_create(spec.place, spec.name, marks)), False
        except ApiError as problem:
            # A name that exists now, though it was not listed a moment ago, may be what a lost reply left behind.
            if not (open_ended(problem) or isinstance(problem, Conflict)):
                raise
            id = await _appears(railway, spec, patience.at_most(LAG))
            if id is not None:
                await _ours(railway, spec, id, patience)
                await patience.ctx.milestone(f"{spec.name}: found as service {id} after a lost reply")
                return id, True
            if not left or patience.over:
                raise
    raise Unavailable(
        f"Railway created no service {spec.name}.", world="Nothing was changed.", next="Run pulumi up again."
    )


async def _appears(railway: Railway, spec: ServiceSpec, patience: Patience) -> str | None:
    while True:
        id = await _listed(railway, spec, patience)
        if id is not None or patience.over:
            return id
        await patience.pause(patience.poll)


async def _listed(railway: Railway, spec: ServiceSpec, patience: Patience) -> str | None:
    return (await patience.while_away(lambda: railway.services(spec.place.project_id))).get(spec.name)


async def _ours(railway: Railway, spec: ServiceSpec, id: str, patience: Patience) -> None:
    owner = await _owner(railway, spec, id, patience.at_most(LAG))
    if owner == spec.owner:
        return
    whose = f"belongs to {owner}" if owner else "is not marked as ours"
    what = f"Railway already has a service called {spec.name}, and it {whose} (its {OWNER} is not {spec.owner})."
    next_ = (
        f"To take it over: pulumi import bluegreen:railway:Service {spec.name} {spec.name}."
        " Otherwise rename or delete it in Railway."
    )
    raise Refused(what, world="Nothing was changed.", next=next_)


async def _owner(railway: Railway, spec: ServiceSpec, id: str, patience: Patience) -> str | None:
    while True:
        try:
            return (await patience.while_away(lambda: railway.variables(spec.place, id))).get(OWNER)
        except NotFound:  # listed, and not yet readable
            if patience.over:
                return None
        await patience.pause(patience.poll)
