"""One service that is being brought somewhere: where it is, what is wanted of it, and how long Railway is waited for.

What the parts of a deployment have in common, so that each can be read by itself. It decides nothing.
"""

from dataclasses import dataclass
from datetime import timedelta

from bluegreen.handler import Context
from bluegreen.http import NotFound
from bluegreen.railway.api import Railway
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.patience import Patience
from bluegreen.railway.spec import ServiceSpec
from bluegreen.railway.template import Template

BEYOND_HEALTHCHECK = 300  # seconds for everything about a deployment that is not its health check


def whole(ctx: Context, spec: ServiceSpec, poll: float) -> Patience:
    """As long as a deployment of the release may take, and no longer than the engine waits."""
    until = ctx.now() + timedelta(seconds=spec.release.healthcheck_timeout_seconds + BEYOND_HEALTHCHECK)
    return Patience(ctx, min(until, ctx.deadline or until), poll)


@dataclass(frozen=True, slots=True)
class Subject:
    """One service and the release that is wanted of it; `poll` is the pause that all others grow from."""

    ctx: Context
    railway: Railway
    spec: ServiceSpec
    service_id: str
    poll: float

    @property
    def stopped(self) -> bool:
        """Whether somebody asked to stop, or nobody is left to report to."""
        return self.ctx.cancelled or self.ctx.orphaned

    def patience(self) -> Patience:
        """As long as a deployment of the release may take."""
        return whole(self.ctx, self.spec, self.poll)

    def template(self, within: float | None = None) -> Template:
        """What is written for the next deployment; `within` seconds even past the engine's deadline."""
        if within is None:
            return Template(self.railway, self.service_id, self.patience())
        until = self.ctx.now() + timedelta(seconds=within)
        return Template(self.railway, self.service_id, Patience(self.ctx, until, self.poll))

    async def deployments(self, within: float | None = None) -> list[Deployment]:
        """The latest, newest first."""
        patience = self.patience() if within is None else self.patience().at_most(within)
        try:
            return await patience.while_away(lambda: self.railway.deployments(self.spec.place, self.service_id))
        except NotFound:
            return []  # a service that was created a moment ago
