"""One service brought to one release: template, variables, deployment, proof; on a bad end the template put back.

The order is Railway's law: the full configuration first, then the variables without deploying, then one deployment
whose own id is polled, and at the end the *deployment* is compared with what was asked, because Railway has reported
success for another image. Deploying is idempotent: a deployment that already bears the release (its digest, and the
release id among the variables it was made with) is taken as it is, whoever started it and died.
What a bad end leaves is in `aftermath.py`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bluegreen.handler import Context, Halt, Refused
from bluegreen.http import RateLimited, Rejected
from bluegreen.railway.aftermath import Aftermath, NotDeployed
from bluegreen.railway.api import Railway
from bluegreen.railway.deployment import Deployment
from bluegreen.railway.endings import FIX
from bluegreen.railway.endpoint import private_name
from bluegreen.railway.proof import Answers, unlike_itself
from bluegreen.railway.regions import must_exist
from bluegreen.railway.spec import RELEASE, ServiceSpec, ServiceState
from bluegreen.railway.subject import Subject
from bluegreen.railway.template import NoInstance
from bluegreen.railway.watch import GROWTH, SLOWEST, Watched, watch

AGAIN = "run pulumi up again."
LOOKS = 15  # polls, 30 s, for a deployment whose id got lost: lists lag by seconds, by up to 28 as was reported
LOOK = f"Look at the service in Railway, then {AGAIN}"


@dataclass(frozen=True, slots=True)
class Deploy:
    """Brings one service to one release, once.

    Args:
        allowed: raises `Refused` when this colour must not be touched; asked before the first write, after every wait,
            and right before each deployment is started.
        before: what the template held when `state` was proven, to be put back; None when that is not known.
        poll: seconds between the first two looks at a deployment; all other waits grow from it.
        answers: asks the service through the gateway; None leaves that to whoever comes later.
    """

    ctx: Context
    railway: Railway
    spec: ServiceSpec
    service_id: str
    state: ServiceState
    before: ServiceSpec | None
    allowed: Callable[[], Awaitable[None]]
    poll: float
    answers: Answers | None = None

    async def bring(self) -> ServiceState:
        """The service's state once an instance of the release is proven to run.

        Raises:
            Refused: this colour must not be deployed now; nothing was changed.
            NotDeployed: something was changed, and the release does not run.
        """
        seen = await self._about.deployments()
        bearing = await self._bearing(seen)
        if bearing is not None:
            await self.ctx.milestone(f"{self.spec.name}: deployment {bearing.id} already bears this release")
        else:
            known = _regions(seen) | set(self.before.release.replicas if self.before is not None else ())
            await self._about.patience().while_away(lambda: must_exist(self.railway, self.spec, known))
            await self.allowed()
            while (alone := await self._alone(seen)) is not seen:
                seen = alone
                await self.allowed()  # it may have been long, and traffic may have come back
        self._go_on()
        try:
            # Also for a deployment that bears the release: the configuration it was made of may have been put back.
            await self._write(seen)
            id = await self._start(seen) if bearing is None else bearing.id
        except NotDeployed:
            raise
        except Halt as problem:
            state, world = self.state, problem.world
            if bearing is None and not isinstance(problem, NoInstance):
                state, told = await self._after.undone(self.state)
                world = f"Nothing was deployed. {told}"
            ended, next_ = self.ctx.cancelled, problem.next or FIX
            raise NotDeployed(problem.what, state=state, world=world, next=next_, cancelled=ended) from problem
        return await self._follow(id, seen, again=True)

    # ── before ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _bearing(self, seen: list[Deployment]) -> Deployment | None:
        """The deployment that serves or is about to, if it was made for exactly this release."""
        newest = next((each for each in seen if each.in_flight or each.active), None)
        if newest is None or newest.differences(self.spec.release) or not (newest.in_flight or newest.end == "running"):
            return None
        try:
            patience = self._about.patience()
            variables = await patience.while_away(lambda: self.railway.deployment_snapshot(newest.id))
        except RateLimited:
            raise  # says nothing about the deployment, and starting another one beside it is not safe
        except Rejected:
            return None  # not every token may read it; deploying once more is safe
        if variables.get(RELEASE) != self.spec.release_id:
            return None
        return newest

    async def _alone(self, seen: list[Deployment]) -> list[Deployment]:
        """Wait until nobody else's deployment is in flight: starting ours would kill theirs."""
        patience, pause = self._about.patience(), self.poll
        while other := next((each for each in seen if each.in_flight), None):
            if other.status == "NEEDS_APPROVAL" or patience.over:
                what = f"{self.spec.name} is being deployed by somebody else: deployment {other.id} is {other.status}."
                next_ = "Let it end or cancel it in Railway, then run pulumi up again."
                raise Refused(what, world="Nothing was changed.", next=next_)
            await self.ctx.status(f"{self.spec.name}: waits for deployment {other.id} ({other.status})")
            await patience.pause(self.railway.budget.pace(pause, self.ctx.now()))
            pause = min(pause * GROWTH, self.poll * SLOWEST)
            seen = await self._about.deployments()
        return seen

    def _go_on(self) -> None:
        if self._about.stopped:
            what = f"{self.spec.name} was not deployed, because the update was stopped."
            raise Refused(what, world="Nothing was changed.", next="Run pulumi up again.")

    async def _write(self, seen: list[Deployment]) -> None:
        """Template and variables; Railway may want a first deployment before it takes a health check."""
        template = self._about.template()
        try:
            await template.write(self.spec, before=self.before, gone=_regions(seen))
            return
        except Rejected as problem:
            if seen or "healthcheck" not in problem.what.lower():
                raise
        await self.ctx.milestone(f"{self.spec.name}: deployed once without its health check, which Railway takes later")
        await template.write(self.spec, healthcheck=False)
        id = await self._start(seen)
        watched = await watch(self.railway, id, self.spec.name, self._about.patience())
        if watched.how != "running":
            raise await self._after.bad_end(id, watched)
        await template.write(self.spec)

    # ── the deployment ───────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self, seen: list[Deployment]) -> str:
        """The new deployment's id; after a lost reply it is looked for before another one is started."""
        await self.allowed()
        self._go_on()
        known, id = {each.id for each in seen}, ""

        async def start() -> None:
            nonlocal id
            id = await self.railway.service_instance_deploy(self.spec.place, self.service_id)

        async def started() -> bool:
            nonlocal id
            patience = self._about.patience()
            for _ in range(LOOKS):
                new = [each for each in await self._about.deployments() if each.id not in known]
                ours = next((each for each in new if each.runs(self.spec.release)), None)
                if ours is not None:
                    id = ours.id
                    return True
                await patience.pause(patience.poll)
            return False

        await self._about.patience().settled(start, started)
        return id

    async def _follow(self, id: str, seen: list[Deployment], *, again: bool) -> ServiceState:
        """Watch it to its end and prove it; once a stuck one is replaced, or one that gave way to its like is."""
        watched: Watched | None = None
        try:
            watched = await watch(self.railway, id, self.spec.name, self._about.patience())
            if watched.how == "superseded" and again:
                heir = await self._bearing(await self._about.deployments())
                if heir is not None and heir.id != id:
                    what = f"deployment {id} was replaced by Railway with {heir.id}, of the same release"
                    await self.ctx.milestone(f"{self.spec.name}: {what}")
                    return await self._follow(heir.id, seen, again=False)
            if watched.how == "stuck" and again:
                await self.ctx.milestone(f"{self.spec.name}: deployment {id} is stuck ({watched}), so it is replaced")
                await self._after.cancel(id)
                return await self._follow(await self._start([*seen, *_only(watched)]), seen, again=False)
            if watched.how == "running":
                return await self._prove(id, watched)
        except Halt as problem:
            if isinstance(problem, NotDeployed):
                raise
            # It may have come up: then its configuration has to stay, or a restart would bring the old release back.
            came_up = watched is not None and watched.how == "running"
            stands = "runs and is not proven" if came_up else "may be under way or even serve"
            world = f"Deployment {id} {stands}; its configuration stays."
            unproven = self.state.model_copy(update={"release_id": None})
            ended, next_ = self.ctx.cancelled, problem.next or FIX
            raise NotDeployed(problem.what, state=unproven, world=world, next=next_, cancelled=ended) from problem
        raise await self._after.bad_end(id, watched)

    async def _prove(self, id: str, watched: Watched) -> ServiceState:
        patience = self._about.patience()
        deployed = await patience.while_away(lambda: self.railway.deployment(id))
        differences = deployed.differences(self.spec.release)
        if differences:
            what = f"{self.spec.name} runs something else than was asked for: {'; '.join(differences)}."
            raise await self._after.disproved(id, what, watched, LOOK)
        if deployed.manifest is None:
            await self.ctx.milestone(f"{self.spec.name}: Railway shows no manifest, replicas and health check unproven")
        domain = await private_name(self.railway, self.spec, self.service_id, patience)
        if self.answers is not None and (seen := await unlike_itself(self.spec, self.answers, patience)):
            self._heard()
            what = f"{self.spec.name} runs and does not answer as release {self.spec.release_id}: {seen}."
            raise await self._after.disproved(id, what, watched, f"Look at {self.spec.name}'s logs, then {AGAIN}")
        await self.ctx.milestone(f"{self.spec.name}: deployment {id} {watched}")
        return ServiceState(
            service_id=self.service_id,
            deployment_id=id,
            release_id=self.spec.release_id,
            image=deployed.image,
            private_domain=domain,
            status=deployed.status,
            deployed_at=deployed.created_at or self.ctx.now(),
        )

    def _heard(self) -> None:
        """Somebody who asked to stop ended the questions, not the release."""
        if self._about.stopped:
            what = f"{self.spec.name} was not asked to the end, because the update was stopped."
            raise Refused(what, world="", next="Run pulumi up again.")

    # ── pieces ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _about(self) -> Subject:
        return Subject(self.ctx, self.railway, self.spec, self.service_id, self.poll)

    @property
    def _after(self) -> Aftermath:
        return Aftermath(self._about, self.state, self.before)


def _regions(seen: list[Deployment]) -> set[str]:
    """The regions of the latest deployment that tells them: an update leaves only those that it names as left."""
    told = next((replicas for each in seen if (replicas := each.replicas()) is not None), {})
    return set(told)


def _only(watched: Watched) -> list[Deployment]:
    return [watched.deployment] if watched.deployment is not None else []
