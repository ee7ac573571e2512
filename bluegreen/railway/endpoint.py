"""The private name of a service: what Kong is sent to has to exist, and to be this service's.

Railway makes the name with the first deployment and activates it a little later; until then the gateway would send
people to a name that nobody answers to. Only the name's first label is compared: how much of the rest Railway shows is
not documented. A token that may not read private networks proves nothing, and what asks through the gateway still does.
"""

from collections.abc import Mapping
from typing import Any

from bluegreen.handler import Refused
from bluegreen.http import NotFound, RateLimited, Rejected
from bluegreen.railway.api import Railway
from bluegreen.railway.patience import Patience
from bluegreen.railway.spec import Place, ServiceSpec, private_domain

WITHIN = 60  # seconds
NOT_THERE = frozenset({"CREATING", "DELETING", "DELETED"})  # any other status has a name that answers


async def private_name(railway: Railway, spec: ServiceSpec, service_id: str, patience: Patience) -> str:
    """The name under which Kong reaches the service, once Railway has activated it.

    Raises:
        Refused: there is none after a minute, or it is not the one that Kong would be sent to.
        ApiError: Railway did not tell in time.
    """
    soon = patience.at_most(WITHIN)  # for the name alone: what Railway asks for in between is waited for besides
    while True:
        try:
            endpoint = await patience.while_away(lambda: _endpoint(railway, spec.place, service_id))
        except RateLimited:
            raise
        except NotFound:
            endpoint = None
        except Rejected:
            return private_domain(spec.name)
        status = str(endpoint.get("syncStatus")) if endpoint is not None else "missing"
        if endpoint is not None and status not in NOT_THERE:
            break
        if patience.ctx.cancelled or patience.ctx.orphaned:
            what = f"{spec.name} still waited for its private name when the update was stopped."
            raise Refused(what, world="", next="Run pulumi up again.")
        if soon.over:
            what = f"{spec.name} runs and has no private name yet: its endpoint is {status} after {WITHIN} s."
            world = "Kong could not reach it under any name."
            next_ = "Look at the service's private networking in Railway, then run pulumi up again."
            raise Refused(what, world=world, next=next_)
        await patience.ctx.status(f"{spec.name}: waits for its private name, whose endpoint is {status}")
        await patience.pause(patience.poll)
    name = str(endpoint.get("dnsName") or "")
    if name.partition(".")[0] != spec.name:
        ours, theirs = private_domain(spec.name), private_domain(name.partition(".")[0])
        what = f"Kong would be sent to {ours}, and its private name is {theirs}."
        next_ = f"Rename its private endpoint to {spec.name} in Railway, then run pulumi up again."
        raise Refused(what, world="Nobody answers there.", next=next_)
    return private_domain(spec.name)


async def _endpoint(railway: Railway, place: Place, service_id: str) -> Mapping[str, Any] | None:
    """The service's endpoint in the environment's private network; None while it has none."""
    for network in await railway.private_networks(place.environment_id):
        endpoint = await railway.private_endpoint(place.environment_id, service_id, network)
        if endpoint is not None:
            return endpoint
    return None
