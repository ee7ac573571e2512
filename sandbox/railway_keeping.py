"""Deployments that are active: a look at their machines now and then, and what becomes of replicas that end.

A process that died is started again as the restart policy allows, or its deployment becomes CRASHED; one that vanished
with its supervisor is started again; a process that belongs to no deployment is ended.

By script a replica ends for good (`end_by_script`): it is as if every restart that its policy allows had ended so too,
without the time that they take. Assumed: SLEEPING shows its replicas as STOPPED, and only a restart wakes them (the
platform also wakes them at a first request, which no proxy stands here to see).
"""

import logging
from collections.abc import Callable

from sandbox.railway_clock import Clock
from sandbox.railway_machines import Down, Impossible, Machine, Machines
from sandbox.railway_rollouts import Failed, Rollout
from sandbox.railway_store import ACTIVE, ENDED, Deployment, Store, Unit, new_id
from sandbox.railway_tasks import Tasks

LOOK = 2.5  # platform seconds between two looks at the machines
OVER = frozenset({"CRASHED", "EXITED", "STOPPED"})  # nothing starts such a replica again but a request
LAST = {  # outcome: the deployment's status from then on, and that of the replicas that ended
    "crash-after-success": ("CRASHED", "CRASHED"),
    "crash-partial": ("CRASHED", "CRASHED"),
    "exit-zero": ("SUCCESS", "EXITED"),
    "sleeping": ("SLEEPING", "STOPPED"),
}

log = logging.getLogger("railway")


class Keeper:
    """Looks after the replicas of active deployments."""

    def __init__(
        self,
        store: Store,
        machines: Machines,
        clock: Clock,
        rollout: Callable[[Deployment], Rollout],
        tasks: Tasks,
    ) -> None:
        self._store, self._machines, self._clock = store, machines, clock
        self._rollout, self._tasks = rollout, tasks

    async def watch(self) -> None:
        """Look now and then, for ever."""
        while True:
            await self._clock.sleep(LOOK)
            try:
                settled = [each for each in self._store.world.deployments if self._settled(each)]
                machines = await self._machines.all()
                for deployment in settled:
                    if self._settled(deployment):  # still; what began in between is not in this picture
                        self._look_after(deployment, machines)
                await self._end_strays(machines)
            except (Down, Impossible) as error:
                log.debug("cannot look after the machines: %s", error)

    def _settled(self, deployment: Deployment) -> bool:
        """Whether its replicas should run, and nothing is under way for it."""
        return deployment.status in ACTIVE and not deployment.stopped and deployment.id not in self._tasks

    def _look_after(self, deployment: Deployment, machines: dict[str, Machine]) -> None:
        gone = {
            unit.process: machines.get(unit.process)
            for unit in deployment.units
            if unit.status not in OVER and (unit.process not in machines or machines[unit.process].state == "exited")
        }
        if gone:
            self._tasks.begin(deployment.id, self.start_missing(deployment, gone))

    async def start_missing(self, deployment: Deployment, gone: dict[str, Machine | None]) -> None:
        """Bring replicas back that ended, each as the restart policy allows; with none named, all of them."""
        rollout = self._rollout(deployment)
        for unit in deployment.units:
            machine = gone.get(unit.process)
            if unit.status in OVER or (gone and unit.process not in gone):
                continue
            try:
                if machine is not None and machine.state == "exited":
                    await rollout.restart(unit, machine)
                elif gone:
                    unit.process = new_id()
                await rollout.start(unit, rollout.image())
                await self._machines.activate(unit.process)
                unit.status = "RUNNING"
                self._store.save()
            except Failed:
                if unit.status == "EXITED":
                    self._store.save()
                else:
                    unit.status = "CRASHED"
                    rollout.become("CRASHED")

    async def end_by_script(self, deployment: Deployment, outcome: str) -> None:
        """End its replicas, or with `crash-partial` the last of them, as the outcome says."""
        status, of_unit = LAST[outcome]
        ended: list[Unit] = deployment.units[-1:] if outcome == "crash-partial" else deployment.units
        for unit in ended:
            unit.status = of_unit
        self._rollout(deployment).become(status)
        await self._machines.end([unit.process for unit in ended], 0)

    async def _end_strays(self, machines: dict[str, Machine]) -> None:
        """End processes that no deployment wants, such as one whose start was overtaken by its removal."""
        wanted = {
            unit.process for deployment in self._store.world.deployments if deployment.status not in ENDED
            for unit in deployment.units
        }  # fmt: skip
        for name, machine in machines.items():
            if name not in wanted and machine.state not in ("stopping", "exited"):
                await self._machines.stop(name, 0)
