"""Replicas in the Railway stand-in: one deployment, several processes behind one name, as many as are asked for."""

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import aiohttp

from sandbox.railway_store import Deployment
from tests.railway_platform import REGION, Railway, real
from tests.test_app import free_port

TWO = {REGION: {"numReplicas": 2}}


async def pid(port: int) -> int:
    """The process that answers now, over a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health") as answer:
        return int(answer.headers["X-Pid"])


async def ship(railway: Railway, service: str, port: int, tag: str = "v1", **more: object) -> Deployment:
    await railway.configure(service, tag, **{"multiRegionConfig": TWO, **more})
    await railway.variables(service, PORT=str(port), BLUEGREEN_RELEASE=tag, BLUEGREEN_COLOUR="blue")
    return await railway.deploy(service)


async def answering(port: int, among: Iterable[int]) -> set[int]:
    """Which of these processes answer when they alone can: the others are held still meanwhile."""
    processes, found = set(among), set()
    for one in processes:
        others = processes - {one}
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            found.add(await pid(port))
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)
    return found


async def processes(railway: Railway, deployment: Deployment) -> set[int]:
    """The deployment's processes, by what each wrote when it started."""
    logs = await railway.do("DeploymentLogs", deploymentId=deployment.id)
    return {int(line["message"].rpartition("pid ")[2]) for line in logs if "is up, pid" in line["message"]}


def test_two_replicas_are_one_deployment_with_two_instances_that_both_answer(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(40), real(tmp_path) as railway:
            port = free_port()
            deployment = await ship(railway, await railway.create(), port)
            await railway.until(deployment, "SUCCESS")
            polled = await railway.do("DeploymentPoll", id=deployment.id)
            pids = await processes(railway, deployment)
            assert [each["status"] for each in polled["instances"]] == ["RUNNING", "RUNNING"]
            assert len({each["id"] for each in polled["instances"]}) == 2
            assert len(pids) == 2
            assert await answering(port, pids) == pids

    asyncio.run(run())


def test_a_replica_that_dies_is_made_up_for_by_the_other_and_comes_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(40), real(tmp_path) as railway:
            port = free_port()
            deployment = await ship(railway, await railway.create(), port)
            await railway.until(deployment, "SUCCESS")
            before = {unit.id: unit.process for unit in deployment.units}
            dead, alive = sorted(await processes(railway, deployment))
            os.kill(dead, signal.SIGKILL)
            assert {await pid(port) for _ in range(20)} == {alive}
            await railway.store.until(lambda: {unit.id: unit.process for unit in deployment.units} != before)
            await railway.store.until(lambda: all(unit.status == "RUNNING" for unit in deployment.units))
            assert deployment.status == "SUCCESS"
            assert {unit.id for unit in deployment.units} == set(before)

    asyncio.run(run())


def test_a_new_deployment_replaces_every_replica_of_the_old_one(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), real(tmp_path) as railway:
            port, service = free_port(), await railway.create()
            old = await ship(railway, service, port)
            await railway.until(old, "SUCCESS")
            before = await processes(railway, old)
            new = await ship(railway, service, port, "v2", overlapSeconds=0)
            await railway.until(new, "SUCCESS")
            await railway.until(old, "REMOVED")
            after = await processes(railway, new)
            assert (len(after), before & after) == (2, set())
            assert await answering(port, after) == after

    asyncio.run(run())


def test_a_deployment_whose_replicas_cannot_start_fails_as_a_whole(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), real(tmp_path) as railway:
            deployment = await ship(
                railway, await railway.create(), free_port(), "v1-crashing", restartPolicyMaxRetries=0
            )
            await railway.until(deployment, "FAILED")
            events = await railway.do("DeploymentEvents", id=deployment.id)
            (error,) = [
                each["node"]["payload"]["error"] for each in events["edges"] if each["node"]["payload"]["error"]
            ]
            assert error == "the container exited with code 1"
            assert not any(unit.status == "RUNNING" for unit in deployment.units)

    asyncio.run(run())


def test_replicas_of_two_regions_add_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), real(tmp_path) as railway:
            regions = {REGION: {"numReplicas": 2}, "us-west2": {"numReplicas": 1}}
            deployment = await ship(railway, await railway.create(), free_port(), multiRegionConfig=regions)
            await railway.until(deployment, "SUCCESS")
            assert sorted(unit.region or "" for unit in deployment.units) == [REGION, REGION, "us-west2"]
            assert len(await processes(railway, deployment)) == 3

    asyncio.run(run())
