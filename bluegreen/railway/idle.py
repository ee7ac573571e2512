"""A colour that is stopped while it is idle, and brought back before traffic goes to it.

What is stopped is the deployment, and what is brought back is the same one: same image, same variables, no new
configuration. Railway answers SUCCESS for both at once, so each counts only when the instances say so. Where it cannot
be brought back (its image is gone, it does not come up, it is no longer the release), the release is deployed anew
from its digest; that is for whoever asked.
It deliberately judges no traffic: whether a colour may be stopped was decided before.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC

from bluegreen.handler import Cancelled, Held, Partial, Refused
from bluegreen.http import ApiError, RateLimited, Rejected
from bluegreen.railway.api import Railway
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.endpoint import private_name
from bluegreen.railway.patience import Patience
from bluegreen.railway.proof import Answers, unlike_itself
from bluegreen.railway.retention import keeps
from bluegreen.railway.spec import RELEASE, STOPPED, ServiceSpec, ServiceState
from bluegreen.railway.watch import GROWTH, SLOWEST

STOPS_WITHIN = 60  # seconds beyond what it has to finish what it is answering


async def stop(
    railway: Railway,
    spec: ServiceSpec,
    held: Held[ServiceState],
    patience: Patience,
    at_last: Callable[[], Awaitable[None]],
) -> ServiceState:
    """End what serves, and keep it.

    Args:
        at_last: asked right before; raises `Refused` when it must not be stopped after all.

    Raises:
        Refused: somebody else is deploying, or it must not be stopped; nothing was changed.
        Partial: it was told to stop, and still runs.
    """
    serving = await _serving(railway, spec, held, patience)
    if serving is not None and serving.in_flight:
        what = f"{spec.name} is being deployed by somebody else: deployment {serving.id} is {serving.status}."
        raise Refused(what, world="Nothing was changed.", next="Let it end in Railway, then run pulumi up again.")
    await at_last()
    if serving is None:
        await patience.ctx.milestone(f"{spec.name}: nothing of it runs, so there is nothing to stop")
        return held.state.model_copy(update={"status": STOPPED, "stopped_at": None, "kept_until": None})
    if not _ended(serving):
        await _told_to_stop(railway, spec, held, patience, serving.id)
    at = patience.ctx.now()
    kept = at + keeps(await _plan(railway, spec, patience))
    until = f"{kept.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    after = "after that it is deployed anew from its digest"
    await patience.ctx.milestone(f"{spec.name}: stopped; Railway keeps its image at least until {until}, {after}")
    return held.state.model_copy(update={"status": STOPPED, "stopped_at": at, "kept_until": kept})


async def _told_to_stop(
    railway: Railway, spec: ServiceSpec, held: Held[ServiceState], patience: Patience, id: str
) -> None:
    async def ended() -> bool:
        return _ended(await patience.while_away(lambda: railway.deployment_poll(id)))

    await patience.settled(lambda: railway.deployment_stop(id), ended)
    within = patience.at_most(STOPS_WITHIN + spec.release.draining_seconds)
    if await _until(_ended, railway, id, spec, within, "stopping") is None:
        _go_on(patience, held, f"{spec.name} was told to stop, and the update was stopped before it had.")
        what = f"{spec.name} was told to stop and still runs: deployment {id}."
        raise Partial(what, held=held, world="It carries no traffic.", next="Run pulumi up again.")


async def resume(
    railway: Railway, spec: ServiceSpec, held: Held[ServiceState], patience: Patience, answers: Answers | None = None
) -> ServiceState | None:
    """Start what was stopped; None where only a deployment of the same release can bring it back.

    Args:
        answers: which release answers on the way that users take; None where nobody can ask.

    Raises:
        Cancelled: somebody asked to stop before it was known to be well.
        Refused, ApiError: it may run, and nobody knows whether users would reach it.
    """
    why, serving = await _running(railway, spec, held, patience)
    if serving is not None and (differences := serving.differences(spec.release)):
        why = "; ".join(differences)
    if not why:
        await private_name(railway, spec, held.id, patience)
    if not why and answers is not None:
        why = await unlike_itself(spec, answers, patience)
    _go_on(patience, held, f"{spec.name} was being brought back when the update was stopped.")
    if why or serving is None:
        await patience.ctx.milestone(f"{spec.name}: cannot be restarted ({why}), so its release is deployed anew")
        return None
    update = {"deployment_id": serving.id, "status": serving.status, "stopped_at": None, "kept_until": None}
    return held.state.model_copy(update=update)


async def _running(
    railway: Railway, spec: ServiceSpec, held: Held[ServiceState], patience: Patience
) -> tuple[str, Deployment | None]:
    """The deployment of this release, running; or why there is none."""
    serving = await _serving(railway, spec, held, patience)
    if serving is None or serving.in_flight or not await _ours(railway, spec, held, serving, patience):
        return "what was stopped is not there any more", None
    if serving.end == "running":
        return "", serving
    id, began = serving.id, patience.ctx.now()

    async def runs() -> bool:
        return (await patience.while_away(lambda: railway.deployment_poll(id))).end == "running"

    try:
        await patience.settled(lambda: railway.deployment_restart(id), runs)
    except RateLimited:
        raise
    except Rejected as problem:
        return problem.what.rstrip("."), None
    await _until(
        _runs_or_failed, railway, id, spec, patience.at_most(spec.release.healthcheck_timeout_seconds), "restarting"
    )
    after = (patience.ctx.now() - began).total_seconds()
    serving = await patience.while_away(lambda: railway.deployment(id))
    if serving.end != "running":
        return f"deployment {id} is {serving.status} and not running after {after:.0f} s", None
    await patience.ctx.milestone(f"{spec.name}: restarted, deployment {id} runs again after {after:.0f} s")
    return "", serving


async def _plan(railway: Railway, spec: ServiceSpec, patience: Patience) -> str | None:
    """None where it cannot be read: it is stopped by now, and a guess at retention is no reason to fail."""
    try:
        return (await patience.while_away(lambda: railway.project(spec.place.project_id))).plan
    except ApiError:
        return None


async def _serving(
    railway: Railway, spec: ServiceSpec, held: Held[ServiceState], patience: Patience
) -> Deployment | None:
    seen = await patience.while_away(lambda: railway.deployments(spec.place, held.id))
    return next((each for each in seen if each.in_flight or each.active), None)


async def _ours(
    railway: Railway, spec: ServiceSpec, held: Held[ServiceState], serving: Deployment, patience: Patience
) -> bool:
    """Whether this deployment was made for exactly this release: a digest alone does not tell its variables."""
    if serving.id == held.state.deployment_id:
        return True
    try:
        variables = await patience.while_away(lambda: railway.deployment_snapshot(serving.id))
    except RateLimited:
        raise
    except Rejected:
        return False
    return variables.get(RELEASE) == spec.release_id


async def _until(
    there: Callable[[Deployment], bool],
    railway: Railway,
    id: str,
    spec: ServiceSpec,
    patience: Patience,
    doing: str,
) -> Deployment | None:
    pause = patience.poll
    while True:
        seen = await patience.while_away(lambda: railway.deployment_poll(id))
        if there(seen):
            return seen
        if patience.over:
            return None
        await patience.ctx.status(f"{spec.name}: {doing}, deployment {id} {seen.status}")
        await patience.pause(pause)
        pause = min(pause * GROWTH, patience.poll * SLOWEST)


def _ended(deployment: Deployment) -> bool:
    return deployment.stopped and "RUNNING" not in deployment.instances


def _runs_or_failed(deployment: Deployment) -> bool:
    # Right after the request it still reads as stopped, so that is no end yet.
    return deployment.end == "running" or (deployment.end is not None and not deployment.active)


def _go_on(patience: Patience, held: Held[ServiceState], what: str) -> None:
    if patience.ctx.cancelled or patience.ctx.orphaned:
        raise Cancelled(what, held=held, world="It carries no traffic.", next="Run pulumi up again.")
