"""One deployment on its way up: INITIALIZING → (BUILDING) → DEPLOYING → health check → active, or FAILED with a reason.

The container's start takes the laptop's time, everything else the platform's. A deployment reaches traffic only after
every replica answered exactly 200 on its own health port; the deployment before keeps the private name until then.
Replicas are processes of their own that start side by side and accept from one queue.
A process that exits before is restarted as the restart policy says, and the deployment fails when that is used up.

Not modelled: what a build does (it takes its time and gives the image that the repository stands for), the pre-deploy
command's effect (a demo image holds no such command; the step is recorded, and fails by script), start commands, cron
schedules, sleeping by itself.
"""

import asyncio
from datetime import datetime

from sandbox import registry
from sandbox.railway_clock import Clock
from sandbox.railway_images import Images
from sandbox.railway_machines import Down, Impossible, Machine, Machines
from sandbox.railway_store import Deployment, Event, Store, Unit, new_id, replicas

INITIALIZING = 1.0  # platform seconds
BUILDING = 3.0  # only of a repository
DEPLOYING = 3.0
PRE_DEPLOY = 1.0
BETWEEN_CHECKS = 1.0
HEALTHCHECK_TIMEOUT = 300
LONG = 600.0  # how long a scripted queue takes unless it says otherwise
SLOW = 30.0  # how long a scripted health check takes unless it says otherwise
STARTED_WITHIN = 30.0  # real seconds: how long this machine may take to start a process
UNKNOWN_STATUS = "SNAPSHOTTING"


class Failed(Exception):
    """The deployment cannot come up; the text is what its events and logs show."""


class Skipped(Exception):
    """There was nothing to deploy."""


class Superseded(Exception):
    """Another actor's deployment took its place."""


class Rollout:
    """Brings one deployment up; `carry_out` returns when it is ready for traffic."""

    def __init__(
        self, deployment: Deployment, service: str, store: Store, machines: Machines, clock: Clock, images: Images
    ) -> None:
        self._deployment, self._service = deployment, service
        self._store, self._machines, self._clock, self._images = store, machines, clock, images

    @property
    def _scripted(self) -> str:
        return self._deployment.script.outcome if self._deployment.script else ""

    def _seconds(self, default: float) -> float:
        script = self._deployment.script
        return default if script is None or script.seconds is None else script.seconds

    def become(self, status: str) -> None:
        """Show this status from now on."""
        now = self._clock.now()
        if status != self._deployment.status:
            self._deployment.status, self._deployment.status_updated_at = status, now
        self._deployment.updated_at = now
        self._store.save()

    async def carry_out(self) -> None:
        await self._be_accepted()
        await self._build()
        self.become("DEPLOYING")
        event = self._begin("CREATE_CONTAINER")
        await self._clock.sleep(DEPLOYING)
        if self._scripted == "superseded":
            raise Superseded
        if self._scripted == "pull-failure":
            named = self._deployment.meta.get("image")
            raise Failed(f"failed to pull image {named}: connection to the registry timed out")
        image = self.image()
        await self._pre_deploy()
        machines = await self._start_all(image)
        self._complete(event)
        await self._check(machines)

    async def _be_accepted(self) -> None:
        self.become("INITIALIZING")
        await self._clock.sleep(INITIALIZING)
        match self._scripted:
            case "stuck":
                await self._store.until(lambda: self._deployment.status != "INITIALIZING")
            case "queued" | "waiting":
                self.become(self._scripted.upper())
                await self._clock.sleep(self._seconds(LONG))
            case "needs-approval":
                self.become("NEEDS_APPROVAL")
                await self._store.until(lambda: self._deployment.approved)
            case "skipped":
                raise Skipped
            case "unknown-status":
                self.become(UNKNOWN_STATUS)
                await self._clock.sleep(self._seconds(DEPLOYING))

    async def _build(self) -> None:
        if self._deployment.meta.get("repo") is None:
            return
        self.become("BUILDING")
        event = self._begin("BUILD_IMAGE")
        await self._clock.sleep(BUILDING)
        self.image()
        self._complete(event)

    def image(self) -> str:
        """The image to run, by its reference in the sandbox's registry."""
        repository = self._deployment.meta.get("repo")
        if repository is not None:
            try:
                return self._images.build(str(repository))
            except registry.UnknownImage as error:
                raise Failed(f"failed to build {repository}: no such repository") from error
        reference = str(self._deployment.meta.get("image"))
        try:
            image = self._images.pull(reference)
        except registry.UnknownImage as error:
            raise Failed(f"failed to pull image {reference}: manifest unknown") from error
        if "@" not in reference:  # of an image that is pinned already, only the reference tells the digest
            self._deployment.meta["imageDigest"] = image.digest
        return image.runs

    async def _pre_deploy(self) -> None:
        if not self._deployment.deploy.get("preDeployCommand"):
            return
        event = self._begin("PRE_DEPLOY_COMMAND")
        await self._clock.sleep(PRE_DEPLOY)
        if self._scripted == "pre-deploy-failure":
            raise Failed("pre-deploy command exited with code 1")
        self._complete(event)

    def _units(self) -> list[Unit]:
        """The replicas; those of an interrupted rollout are taken up again."""
        regions = self._deployment.deploy["multiRegionConfig"]
        assert isinstance(regions, dict)
        if not self._deployment.units:
            self._deployment.units = [
                Unit(id=new_id(), process=new_id(), region=region)
                for region, wanted in regions.items()
                for _ in range(replicas(wanted))
            ]
        return self._deployment.units

    async def _start_all(self, image: str) -> list[Machine]:
        """Start the replicas side by side; the first that cannot start fails them all."""
        starts = [asyncio.ensure_future(self.start(unit, image)) for unit in self._units()]
        try:
            return await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)

    async def start(self, unit: Unit, image: str) -> Machine:
        """Start a replica's process and wait until it runs, as often as the restart policy allows."""
        unit.status = "INITIALIZING"
        self._store.save()
        while True:
            port = self._deployment.variables.get("PORT")
            if port is not None and not port.isdecimal():
                raise Failed(f"the container did not start: PORT is {port!r}, which is no port")
            env = {**self._deployment.variables, **self._identity(unit), "SANDBOX_IMAGE": image, **self._draining()}
            try:
                await self._machines.start(unit.process, self._service, int(port) if port else None, env)
                machine = await self._started(unit)
            except (Down, Impossible) as error:
                raise Failed(f"the container did not start: {error}") from error
            if machine.state != "exited":
                return machine
            await self.restart(unit, machine)

    async def _started(self, unit: Unit) -> Machine:
        waited = 0.0
        while waited < STARTED_WITHIN:
            machine = await self._machines.wait(unit.process, "up", 10.0)
            if machine.state != "starting":
                return machine
            waited += 10.0
        raise Failed("the container did not start in time")

    async def restart(self, unit: Unit, machine: Machine) -> None:
        """Give a replica that exited its next process, or fail."""
        policy = self._deployment.deploy.get("restartPolicyType")
        again = policy == "ALWAYS" or (policy == "ON_FAILURE" and machine.exit_code != 0)
        if not again or unit.restarts >= self._deployment.seconds("restartPolicyMaxRetries", 10):
            unit.status = "EXITED" if machine.exit_code == 0 else "CRASHED"
            raise Failed(f"the container exited with code {machine.exit_code}")
        await self._machines.forget(unit.process)
        unit.restarts += 1
        unit.process, unit.status = new_id(), "RESTARTING"
        self._store.save()

    def _identity(self, unit: Unit) -> dict[str, str]:
        """What the platform tells a replica of itself."""
        told = {"RAILWAY_DEPLOYMENT_ID": self._deployment.id, "RAILWAY_REPLICA_ID": unit.id}
        return {**told, "RAILWAY_REPLICA_REGION": unit.region} if unit.region else told

    def _draining(self) -> dict[str, str]:
        seconds = self._clock.span(self._deployment.seconds("drainingSeconds")).total_seconds()
        return {"SANDBOX_DRAINING_SECONDS": str(seconds)}

    async def _check(self, machines: list[Machine]) -> None:
        path = self._deployment.deploy.get("healthcheckPath")
        if not isinstance(path, str) or not path:
            return
        event = self._begin("HEALTHCHECK")
        window = self._deployment.seconds("healthcheckTimeout", HEALTHCHECK_TIMEOUT)
        begun = self._clock.now()
        deadline = begun + self._clock.span(window)
        waiting = dict(zip((unit.id for unit in self._deployment.units), machines, strict=True))
        attempt = 0
        while waiting:
            attempt += 1
            for unit in [unit for unit in self._deployment.units if unit.id in waiting]:
                answer = await self._attempt(unit, waiting[unit.id], path)
                if isinstance(answer, Machine):
                    waiting[unit.id] = answer
                elif answer == 200 and self._counts(begun):
                    del waiting[unit.id]
            event.payload = {"attempt": attempt}
            if waiting and self._clock.now() >= deadline:
                count = len(self._deployment.units)
                raise Failed(f"{len(waiting)}/{count} replicas never became healthy! GET {path} did not answer 200")
            if waiting:
                self._store.save()
                await self._clock.sleep(BETWEEN_CHECKS)
        self._complete(event)

    def _counts(self, begun: datetime) -> bool:
        """Whether a good answer is believed by now; scripts hold it up."""
        match self._scripted:
            case "healthcheck-timeout":
                return False
            case "slow-healthcheck":
                return self._clock.now() >= begun + self._clock.span(self._seconds(SLOW))
        return True

    async def _attempt(self, unit: Unit, machine: Machine, path: str) -> int | Machine | None:
        """A status, none, or the process that took an exited one's place."""
        answer = await self._machines.check(machine, path)
        if answer is None:
            now = await self._machines.wait(unit.process, "starting", 0.0)
            if now.state == "exited":
                await self.restart(unit, now)
                return await self.start(unit, self.image())
        return answer

    def _begin(self, step: str) -> Event:
        event = Event(id=new_id(), step=step, created_at=self._clock.now())
        self._deployment.events.append(event)
        self._store.save()
        return event

    def _complete(self, event: Event) -> None:
        event.completed_at = self._clock.now()
        self._store.save()

    def fail(self, reason: str) -> None:
        """Write the reason on the step that was under way."""
        for event in self._deployment.events:
            if event.completed_at is None:
                event.completed_at = self._clock.now()
                event.payload = {**event.payload, "error": reason}
        self.become("FAILED")
