"""One service brought to one release: template, variables, deployment, proof; on a bad end the template put back.

The order is Railway's law: the full configuration first, then the variables without deploying, then one deployment
whose own id is polled, and at the end the *deployment* is compared with what was asked, because Railway has reported
success for another image. Deploying is idempotent: a deployment that already bears the release (its digest, and the
release id among the variables it was made with) is taken as it is, whoever started it and died.

A bad end puts the previous configuration back without deploying: any later restart by Railway itself would otherwise
pick up the image that has just failed. Not put back: when another actor deployed meanwhile, whose configuration it
may be, and when an approval is still to come.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bluegreen.handler import Context, Halt, Refused
from bluegreen.http import ApiError, NotFound, RateLimited, Rejected
from bluegreen.railway.api import Railway
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.diagnosis import diagnose
from bluegreen.railway.endings import FIX, LEAVES_TEMPLATE, SENTENCES
from bluegreen.railway.patience import Patience
from bluegreen.railway.regions import must_exist
from bluegreen.railway.spec import RELEASE, ServiceSpec, ServiceState, private_domain
from bluegreen.railway.template import Template
from bluegreen.railway.watch import GROWTH, SLOWEST, Watched, watch

BEYOND_HEALTHCHECK = 300  # seconds for everything about a deployment that is not its health check
PUT_BACK_WITHIN = LOOKED_AT_WITHIN = 60  # seconds
LOOK = "Look at the service in Railway, then run pulumi up again."
LOOKS = 5  # for a deployment whose id got lost; the list lags by seconds


class NotDeployed(Halt):
    """The release does not run; `state` is what really does."""

    def __init__(self, what: str, *, state: ServiceState, world: str, next: str, cancelled: bool = False) -> None:
        super().__init__(what, world=world, next=next)
        self.state = state
        self.cancelled = cancelled


@dataclass(frozen=True, slots=True)
class Deploy:
    """Brings one service to one release, once.

    Args:
        allowed: raises `Refused` when this colour must not be touched; asked right before the first write.
        before: what the template held when `state` was proven, to be put back; None when that is not known.
        poll: seconds between the first two looks at a deployment; all other waits grow from it.
    """

    ctx: Context
    railway: Railway
    spec: ServiceSpec
    service_id: str
    state: ServiceState
    before: ServiceSpec | None
    allowed: Callable[[], Awaitable[None]]
    poll: float

    async def bring(self) -> ServiceState:
        """The service's state once an instance of the release is proven to run.

        Raises:
            Refused: this colour must not be deployed now; nothing was changed.
            NotDeployed: something was changed, and the release does not run.
        """
        seen = await self._deployments()
        bearing = await self._bearing(seen)
        if bearing is None:
            known = _regions(seen) | set(self.before.release.replicas if self.before is not None else ())
            await self._patience().while_away(lambda: must_exist(self.railway, self.spec, known))
            await self.allowed()
            seen = await self._alone(seen)
        self._go_on()
        try:
            # Also for a deployment that bears the release: the configuration it was made of may have been put back.
            await self._write(seen)
            id = await self._start(seen) if bearing is None else bearing.id
        except NotDeployed:
            raise
        except Halt as problem:
            world = f"Nothing was deployed. {await self._put_back()}" if bearing is None else problem.world
            ended, next_ = self.ctx.cancelled, problem.next or FIX
            raise NotDeployed(problem.what, state=self.state, world=world, next=next_, cancelled=ended) from problem
        return await self._follow(id, seen, again=True)

    # ── before ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _bearing(self, seen: list[Deployment]) -> Deployment | None:
        """The deployment that serves or is about to, if it was made for exactly this release."""
        newest = next((each for each in seen if each.in_flight or each.active), None)
        if newest is None or newest.differences(self.spec.release) or not (newest.in_flight or newest.end == "running"):
            return None
        try:
            patience = self._patience()
            variables = await patience.while_away(lambda: self.railway.deployment_snapshot(newest.id))
        except RateLimited:
            raise  # says nothing about the deployment, and starting another one beside it is not safe
        except Rejected:
            return None  # not every token may read it; deploying once more is safe
        if variables.get(RELEASE) != self.spec.release_id:
            return None
        await self.ctx.milestone(f"{self.spec.name}: deployment {newest.id} already bears this release")
        return newest

    async def _alone(self, seen: list[Deployment]) -> list[Deployment]:
        """Wait until nobody else's deployment is in flight: starting ours would kill theirs."""
        patience, pause = self._patience(), self.poll
        while other := next((each for each in seen if each.in_flight), None):
            if other.status == "NEEDS_APPROVAL" or patience.over:
                what = f"{self.spec.name} is being deployed by somebody else: deployment {other.id} is {other.status}."
                next_ = "Let it end or cancel it in Railway, then run pulumi up again."
                raise Refused(what, world="Nothing was changed.", next=next_)
            await self.ctx.status(f"{self.spec.name}: waits for deployment {other.id} ({other.status})")
            await patience.pause(pause)
            pause = min(pause * GROWTH, self.poll * SLOWEST)
            seen = await self._deployments()
        return seen

    def _go_on(self) -> None:
        if self.ctx.cancelled or self.ctx.orphaned:
            what = f"{self.spec.name} was not deployed, because the update was stopped."
            raise Refused(what, world="Nothing was changed.", next="Run pulumi up again.")

    async def _write(self, seen: list[Deployment]) -> None:
        """Template and variables; Railway may want a first deployment before it takes a health check."""
        template = self._template()
        try:
            await template.write(self.spec, before=self.before, gone=_regions(seen))
            return
        except Rejected as problem:
            if seen or "healthcheck" not in problem.what.lower():
                raise
        await self.ctx.milestone(f"{self.spec.name}: deployed once without its health check, which Railway takes later")
        await template.write(self.spec, healthcheck=False)
        id = await self._start(seen)
        watched = await watch(self.railway, id, self.spec.name, self._patience())
        if watched.how != "running":
            raise await self._bad_end(id, watched)
        await template.write(self.spec)

    # ── the deployment ───────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self, seen: list[Deployment]) -> str:
        """The new deployment's id; after a lost reply it is looked for before another one is started."""
        self._go_on()
        known, id = {each.id for each in seen}, ""

        async def start() -> None:
            nonlocal id
            id = await self.railway.service_instance_deploy(self.spec.place, self.service_id)

        async def started() -> bool:
            nonlocal id
            patience = self._patience()
            for _ in range(LOOKS):
                new = [each for each in await self._deployments() if each.id not in known]
                ours = next((each for each in new if each.runs(self.spec.release)), None)
                if ours is not None:
                    id = ours.id
                    return True
                await patience.pause(patience.poll)
            return False

        await self._patience().settled(start, started)
        return id

    async def _follow(self, id: str, seen: list[Deployment], *, again: bool) -> ServiceState:
        """Watch it to its end and prove it; a stuck one is cancelled, and once replaced."""
        try:
            watched = await watch(self.railway, id, self.spec.name, self._patience())
            if watched.how == "stuck" and again:
                await self.ctx.milestone(f"{self.spec.name}: deployment {id} is stuck ({watched}), so it is replaced")
                await self._cancel(id)
                return await self._follow(await self._start([*seen, *_only(watched)]), seen, again=False)
            if watched.how == "running":
                return await self._prove(id, watched)
        except Halt as problem:
            if isinstance(problem, NotDeployed):
                raise
            # It may have come up: then its configuration has to stay, or a restart would bring the old release back.
            world = f"Deployment {id} may be under way or even serve; its configuration stays."
            unproven = self.state.model_copy(update={"release_id": None})
            raise NotDeployed(problem.what, state=unproven, world=world, next=problem.next or FIX) from problem
        raise await self._bad_end(id, watched)

    async def _prove(self, id: str, watched: Watched) -> ServiceState:
        deployed = await self._patience().while_away(lambda: self.railway.deployment(id))
        differences = deployed.differences(self.spec.release)
        if differences:
            what = f"{self.spec.name} runs something else than was asked for: {'; '.join(differences)}."
            state, serving = await self._serving(watched)
            world = f"Deployment {id} is {watched.status}. {serving} {await self._put_back()}"
            raise NotDeployed(what, state=state, world=world, next=LOOK)
        if deployed.manifest is None:
            await self.ctx.milestone(f"{self.spec.name}: Railway shows no manifest, replicas and health check unproven")
        await self.ctx.milestone(f"{self.spec.name}: deployment {id} {watched}")
        return ServiceState(
            service_id=self.service_id,
            deployment_id=id,
            release_id=self.spec.release_id,
            image=deployed.image,
            private_domain=private_domain(self.spec.name),
            status=deployed.status,
            deployed_at=deployed.created_at or self.ctx.now(),
        )

    # ── a bad end ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _bad_end(self, id: str, watched: Watched) -> NotDeployed:
        if watched.how in ("stuck", "overdue", "cancelled"):
            await self._cancel(id)
        secrets = [value.get_secret_value() for value in self.spec.secrets.values()]
        found = await diagnose(self.railway, id, secrets)
        what, next_ = SENTENCES[watched.how]
        details = {"where": found.where, "status": watched.status, "seconds": round(watched.seconds)}
        what = what.format(name=self.spec.name, id=id, **details)
        state, serving = await self._serving(watched)
        kept = watched.how in LEAVES_TEMPLATE
        world = serving if kept else f"{serving} {await self._put_back()}"
        await self.ctx.milestone(f"{self.spec.name}: deployment {id} {watched}")
        next_ = "\n".join(filter(None, (next_, found.details)))
        return NotDeployed(what, state=state, world=world, next=next_, cancelled=watched.how == "cancelled")

    async def _cancel(self, id: str) -> None:
        try:
            await self.railway.deployment_cancel(id)
        except ApiError as problem:
            await self.ctx.milestone(f"{self.spec.name}: deployment {id} could not be cancelled. {problem.what}")

    async def _serving(self, watched: Watched) -> tuple[ServiceState, str]:
        """What runs now, as state and as a sentence."""
        nothing = ServiceState(
            service_id=self.service_id,
            deployment_id=watched.deployment.id if watched.deployment else None,
            private_domain=private_domain(self.spec.name),
            status=watched.status,
        )
        try:
            seen = await self._deployments(LOOKED_AT_WITHIN)
        except ApiError as problem:
            return nothing, f"What it serves now could not be read: {problem.what}"
        serving = next((each for each in seen if each.active and not each.stopped), None)
        if serving is None:
            return nothing, "No deployment of it serves now; traffic was not moved."
        if serving.id == self.state.deployment_id:
            return self.state, f"Deployment {serving.id}, the one before, still serves; traffic was not moved."
        update = {"deployment_id": serving.id, "image": serving.image, "status": serving.status}
        return nothing.model_copy(update=update), f"Deployment {serving.id} serves; traffic was not moved."

    async def _put_back(self) -> str:
        """Write the configuration from before, without deploying it; says how that went."""
        failed = f"{self.spec.release.digest[:19]}…"
        if self.ctx.orphaned:
            return f"Its configuration names {failed}."
        if self.before is None:
            return f"Its configuration names {failed}; there is no earlier one to put back."
        try:
            left = self.spec.release.replicas
            await self._template(PUT_BACK_WITHIN).write(self.before, before=self.spec, gone=left)
        except Halt as problem:
            return (
                f"Its configuration still names {failed}, and a restart by Railway would deploy that,"
                f" because putting the earlier one back failed: {problem.what}"
            )
        return f"Its configuration is back on {self.before.release.digest[:19]}…, without a deployment."

    # ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _deployments(self, within: float | None = None) -> list[Deployment]:
        patience = self._patience() if within is None else self._patience().at_most(within)
        try:
            return await patience.while_away(lambda: self.railway.deployments(self.spec.place, self.service_id))
        except NotFound:
            return []  # a service that was created a moment ago

    def _patience(self) -> Patience:
        patience = self.spec.release.healthcheck_timeout_seconds + BEYOND_HEALTHCHECK
        return Patience(self.ctx, self._until(patience), self.poll)

    def _template(self, within: float | None = None) -> Template:
        patience = Patience(self.ctx, self.ctx.now() + timedelta(seconds=within), self.poll) if within else None
        return Template(self.railway, self.service_id, patience or self._patience())

    def _until(self, seconds: float) -> datetime:
        until = self.ctx.now() + timedelta(seconds=seconds)
        return min(until, self.ctx.deadline) if self.ctx.deadline is not None else until


def _regions(seen: list[Deployment]) -> set[str]:
    """The regions of the latest deployment that tells them: an update leaves only those that it names as left."""
    told = next((replicas for each in seen if (replicas := each.replicas()) is not None), {})
    return set(told)


def _only(watched: Watched) -> list[Deployment]:
    return [watched.deployment] if watched.deployment is not None else []
