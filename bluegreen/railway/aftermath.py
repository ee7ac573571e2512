"""What is left when a deployment came to no good end: why it did, what serves now, what a restart would deploy.

A bad end puts the previous configuration back without deploying: any later restart by Railway itself would otherwise
pick up the image that has just failed. Not put back: when another actor deployed meanwhile, whose configuration it
may be, and when an approval is still to come. Whatever is not put back is remembered, so that going back to the release
before writes its configuration, though it needs no deployment.
"""

from dataclasses import dataclass

from bluegreen.handler import Halt
from bluegreen.http import ApiError
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.diagnosis import diagnose
from bluegreen.railway.endings import LEAVES_TEMPLATE, SENTENCES
from bluegreen.railway.spec import ServiceSpec, ServiceState, private_domain
from bluegreen.railway.subject import Subject
from bluegreen.railway.watch import Watched

PUT_BACK_WITHIN = LOOKED_AT_WITHIN = 60  # seconds


class NotDeployed(Halt):
    """The release does not run; `state` is what really does."""

    def __init__(self, what: str, *, state: ServiceState, world: str, next: str, cancelled: bool = False) -> None:
        super().__init__(what, world=world, next=next)
        self.state = state
        self.cancelled = cancelled


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Ends a deployment of `subject` that failed.

    Args:
        state: what was known before.
        before: what the template held when `state` was proven, to be put back; None when that is not known.
    """

    subject: Subject
    state: ServiceState
    before: ServiceSpec | None

    async def bad_end(self, id: str, watched: Watched) -> NotDeployed:
        """The error that tells how deployment `id` ended, after what could be undone was undone."""
        ctx, spec = self.subject.ctx, self.subject.spec
        if watched.how in ("stuck", "overdue", "cancelled"):
            await self.cancel(id)
        secrets = [value.get_secret_value() for value in spec.secrets.values()]
        found = await diagnose(self.subject.railway, id, secrets)
        what, next_ = SENTENCES[watched.how]
        details = {"where": found.where, "status": watched.status, "seconds": round(watched.seconds)}
        what = what.format(name=spec.name, id=id, **details)
        state, serving = await self.serving(watched)
        if watched.how in LEAVES_TEMPLATE:
            state, world = self._astray(state), serving
        else:
            state, told = await self.undone(state)
            world = f"{serving} {told}"
        await ctx.milestone(f"{spec.name}: deployment {id} {watched}")
        next_ = "\n".join(filter(None, (next_, found.details)))
        return NotDeployed(what, state=state, world=world, next=next_, cancelled=watched.how == "cancelled")

    async def disproved(self, id: str, what: str, watched: Watched, next: str) -> NotDeployed:
        """The error for a deployment that runs and is not what was asked for; the pin is undone."""
        state, serving = await self.serving(watched)
        state, told = await self.undone(state)
        world = f"Deployment {id} is {watched.status}. {serving} {told}"
        return NotDeployed(what, state=state, world=world, next=next)

    async def cancel(self, id: str) -> None:
        try:
            await self.subject.railway.deployment_cancel(id)
        except ApiError as problem:
            what = f"{self.subject.spec.name}: deployment {id} could not be cancelled. {problem.what}"
            await self.subject.ctx.milestone(what)

    async def serving(self, watched: Watched) -> tuple[ServiceState, str]:
        """What runs now, as state and as a sentence."""
        nothing = ServiceState(
            service_id=self.subject.service_id,
            deployment_id=watched.deployment.id if watched.deployment else None,
            private_domain=private_domain(self.subject.spec.name),
            status=watched.status,
        )
        try:
            seen = await self.subject.deployments(LOOKED_AT_WITHIN)
        except ApiError as problem:
            return nothing, f"What it serves now could not be read: {problem.what}"
        serving: Deployment | None = next((each for each in seen if each.active and not each.stopped), None)
        if serving is None:
            return nothing, "No deployment of it serves now; traffic was not moved."
        if serving.id == self.state.deployment_id:
            return self.state, f"Deployment {serving.id}, the one before, still serves; traffic was not moved."
        update = {"deployment_id": serving.id, "image": serving.image, "status": serving.status}
        return nothing.model_copy(update=update), f"Deployment {serving.id} serves; traffic was not moved."

    async def undone(self, state: ServiceState) -> tuple[ServiceState, str]:
        """Write the configuration from before, without deploying it: the state then, and a sentence about it."""
        spec = self.subject.spec
        failed = f"{spec.release.digest[:19]}…"
        if self.subject.ctx.orphaned:
            return self._astray(state), f"Its configuration names {failed}."
        if self.before is None:
            return self._astray(state), f"Its configuration names {failed}; there is no earlier one to put back."
        try:
            left = spec.release.replicas
            await self.subject.template(PUT_BACK_WITHIN).write(self.before, before=spec, gone=left)
        except Halt as problem:
            told = (
                f"Its configuration still names {failed}, and a restart by Railway would deploy that,"
                f" because putting the earlier one back failed: {problem.what}"
            )
            return self._astray(state), told
        put_back = state.model_copy(update={"template_image": None})
        return put_back, f"Its configuration is back on {self.before.release.digest[:19]}…, without a deployment."

    def _astray(self, state: ServiceState) -> ServiceState:
        return state.model_copy(update={"template_image": self.subject.spec.release.image})
