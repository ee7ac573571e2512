"""Deployments over time: one task each brings it up, stops it or takes it down, by the platform's clock.

A new deployment retires the one before after its overlap; one that is still on its way up is superseded at once.
What is active is looked after by `sandbox.railway_keeping`. A restarted stand-in takes every deployment up where its
store left it; only what a script had in store for one that succeeded is forgotten.

Assumed where the recordings are silent: a cancelled deployment ends REMOVED; a restart is not health-checked again.
"""

import logging
from datetime import timedelta

from sandbox.railway_clock import Clock
from sandbox.railway_images import Images
from sandbox.railway_keeping import LAST, Keeper
from sandbox.railway_machines import Down, Impossible, LogLine, Machines
from sandbox.railway_rollouts import Failed, Rollout, Skipped, Superseded
from sandbox.railway_scripts import Scripts
from sandbox.railway_snapshots import again, snapshot
from sandbox.railway_store import (
    ACTIVE,
    ENDED,
    Deployment,
    Event,
    Instance,
    Script,
    Service,
    Store,
    in_flight,
    new_id,
    stopped,
)
from sandbox.railway_tasks import Tasks

STOPPING = 1.0  # platform seconds until a stopped deployment says so
AFTER = 5.0  # platform seconds from a success until what a script has in store for it
AFTERWARDS = frozenset({"foreign-redeploy", *LAST})
RETENTION = timedelta(hours=120)  # how long a removed deployment's image is kept, in platform time
KEPT = 50  # deployments remembered per instance

log = logging.getLogger("railway")


class Platform:
    """Everything that happens to deployments by itself."""

    def __init__(
        self, store: Store, machines: Machines, clock: Clock, scripts: Scripts, images: Images, *, dark: bool = False
    ) -> None:
        """With `dark`, a service's first deployment succeeds and its private name does not answer: users met that."""
        self.store, self.machines, self.clock, self.scripts, self.images = store, machines, clock, scripts, images
        self._dark = dark
        self._tasks = Tasks()
        self._keeper = Keeper(store, machines, clock, self._rollout, self._tasks)

    def open(self) -> None:
        """Take up what the store remembers, and look after it from now on."""
        for deployment in list(self.store.world.deployments):
            if in_flight(deployment):
                deployment.events.clear()
                self._tasks.begin(deployment.id, self._bring_up(deployment))
            elif deployment.status == "REMOVING":
                self._tasks.begin(deployment.id, self._take_down(deployment))
            elif deployment.stopped and not stopped(deployment):
                self._tasks.begin(deployment.id, self._halt(deployment))
        for instance in self.store.world.instances:
            active = [each for each in self._of(instance) if each.status in ACTIVE and each.activated_at]
            for old in active[1:]:
                self._tasks.begin(old.id, self._retire(old, 0))
        self._tasks.begin("watch", self._keeper.watch())

    async def close(self) -> None:
        """Stop looking; the processes stay with their supervisor."""
        await self._tasks.close()

    async def deploy(self, instance: Instance) -> Deployment:
        """A new deployment of the instance's current configuration."""
        await self.machines.reachable()
        return self._launch(
            instance,
            snapshot(self.store, instance, self._script(instance.service_id), self.clock.now(), self.images),
        )

    async def repeat(self, old: Deployment, reason: str) -> Deployment:
        """A new deployment of an old snapshot."""
        await self.machines.reachable()
        instance = self.store.instance(old.service_id, old.environment_id)
        assert instance is not None
        return self._launch(instance, again(old, reason, self._script(old.service_id), self.clock.now()))

    async def stop(self, deployment: Deployment) -> None:
        await self.machines.reachable()
        deployment.stopped = True
        self.store.save()
        self._tasks.begin(deployment.id, self._halt(deployment))

    async def restart(self, deployment: Deployment) -> None:
        await self.machines.reachable()
        deployment.stopped = False
        self.store.save()
        self._tasks.begin(deployment.id, self._start_again(deployment))

    def remove(self, deployment: Deployment) -> None:
        self._tasks.begin(deployment.id, self._take_down(deployment))

    def remove_all(self, service: Service) -> None:
        for deployment in self.store.world.deployments:
            if deployment.service_id == service.id and deployment.status not in ENDED:
                self.remove(deployment)

    def rollback_possible(self, deployment: Deployment) -> bool:
        """Whether this one served once and its image is still kept."""
        if deployment.activated_at is None or in_flight(deployment):
            return False
        removed = deployment.removed_at
        return removed is None or self.clock.now() - removed < self.clock.span(RETENTION.total_seconds())

    async def logs(self, deployment: Deployment, lines: int) -> list[LogLine]:
        """What the deployment's processes wrote, oldest first."""
        found = [line for unit in deployment.units for line in await self.machines.logs(unit.process, lines)]
        return sorted(found, key=lambda line: line.time)[-lines:]

    # ── tasks ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _of(self, instance: Instance) -> list[Deployment]:
        return list(self.store.deployments_of(instance.service_id, instance.environment_id))

    def _script(self, service_id: str) -> Script | None:
        service = self.store.service(service_id)
        return self.scripts.take(service.name) if service else None

    def _launch(self, instance: Instance, deployment: Deployment) -> Deployment:
        for other in self._of(instance):
            if in_flight(other):
                self.remove(other)
        self.store.world.deployments.append(deployment)
        self._prune(instance)
        self.store.save()
        self._tasks.begin(deployment.id, self._bring_up(deployment))
        return deployment

    def _prune(self, instance: Instance) -> None:
        for old in [each for each in self._of(instance)[KEPT:] if each.status in ENDED]:
            self.store.world.deployments.remove(old)
            for unit in old.units:
                self._tasks.begin(unit.process, self.machines.forget(unit.process))

    async def _bring_up(self, deployment: Deployment) -> None:
        rollout = self._rollout(deployment)
        try:
            await rollout.carry_out()
            await self._activate(deployment)
        except Skipped:
            rollout.become("SKIPPED")
        except Superseded:
            await self._take_down(deployment)
        except (Failed, Down, Impossible) as error:
            await self._end_processes(deployment, draining=0)
            for unit in deployment.units:
                unit.status = "CRASHED" if unit.status == "CRASHED" else "REMOVED"
            rollout.fail(str(error))
        else:
            deployment.activated_at = self.clock.now()
            rollout.become("SUCCESS")
            self._retire_others(deployment)
            await self._carry_on(deployment)

    def _rollout(self, deployment: Deployment) -> Rollout:
        service = self.store.service(deployment.service_id)
        assert service is not None
        return Rollout(deployment, service.name, self.store, self.machines, self.clock, self.images)

    async def _activate(self, deployment: Deployment) -> None:
        """Let every replica serve the private name and port."""
        others = self.store.deployments_of(deployment.service_id, deployment.environment_id)
        lit = not self._dark or any(each.activated_at for each in others if each.id != deployment.id)
        for unit in deployment.units:
            if unit.status not in ("RUNNING", "CRASHED", "EXITED"):
                if lit:
                    await self.machines.activate(unit.process)
                unit.status = "RUNNING"
        self.store.save()

    async def _carry_on(self, deployment: Deployment) -> None:
        """What was arranged for a deployment that succeeded."""
        script = deployment.script
        if script is None or script.outcome not in AFTERWARDS:
            return
        seconds = AFTER if script.seconds is None else script.seconds
        if seconds:
            await self.clock.sleep(seconds)
        if deployment.status != "SUCCESS":
            return
        if script.outcome != "foreign-redeploy":
            await self._keeper.end_by_script(deployment, script.outcome)
            return
        instance = self.store.instance(deployment.service_id, deployment.environment_id)
        if instance is not None:
            self._launch(instance, again(deployment, "redeploy", None, self.clock.now()))

    def _retire_others(self, deployment: Deployment) -> None:
        overlap = deployment.seconds("overlapSeconds")
        for other in list(self.store.deployments_of(deployment.service_id, deployment.environment_id)):
            if other.id != deployment.id and other.status in ACTIVE:
                self._tasks.begin(other.id, self._retire(other, overlap))

    async def _retire(self, deployment: Deployment, overlap: int) -> None:
        await self.clock.sleep(overlap)
        await self._take_down(deployment)

    async def _take_down(self, deployment: Deployment) -> None:
        """REMOVING, SIGTERM, SIGKILL after draining, REMOVED."""
        self._rollout(deployment).become("REMOVING")
        now = self.clock.now()
        event = Event(id=new_id(), step="DRAIN_INSTANCES", created_at=now)
        deployment.events.append(event)
        await self._end_processes(deployment, deployment.seconds("drainingSeconds"))
        for unit in deployment.units:
            unit.status = "REMOVED"
        event.completed_at = deployment.removed_at = self.clock.now()
        self._rollout(deployment).become("REMOVED")

    async def _end_processes(self, deployment: Deployment, draining: int) -> None:
        """Return when the deployment's processes have ended, or their supervisor has."""
        seconds = self.clock.span(draining).total_seconds()
        try:
            await self.machines.end([unit.process for unit in deployment.units], seconds)
        except Down:
            log.warning("the supervisor is gone, and %s with it", deployment.id)

    async def _halt(self, deployment: Deployment) -> None:
        """Stop by request: the deployment keeps its status, its replicas end."""
        seconds = self.clock.span(deployment.seconds("drainingSeconds")).total_seconds()
        try:
            for unit in deployment.units:
                await self.machines.stop(unit.process, seconds)
        except Down:
            log.warning("the supervisor is gone, and %s with it", deployment.id)
        await self.clock.sleep(STOPPING)
        for unit in deployment.units:
            unit.status = "STOPPED"
        self._rollout(deployment).become(deployment.status)

    async def _start_again(self, deployment: Deployment) -> None:
        """Restart by request, or resume a stopped deployment: the same image and configuration in new processes."""
        for unit in deployment.units:
            unit.status = "RESTARTING"
        self.store.save()
        await self._end_processes(deployment, deployment.seconds("drainingSeconds"))
        for unit in deployment.units:
            unit.process, unit.restarts = new_id(), 0
        deployment.status = "SUCCESS"
        await self._keeper.start_missing(deployment, {})
