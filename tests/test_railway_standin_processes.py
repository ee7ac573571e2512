"""The Railway stand-in over the real supervisor: deployments are processes that answer, and a restart remembers."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from sandbox import supervisor
from sandbox.railway_clock import LaptopClock
from sandbox.railway_store import Deployment, Unit
from tests.railway_platform import PROJECT, REGION, Railway, real, served, standin
from tests.test_app import free_port

FAST = LaptopClock(0.02)


async def release(port: int) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/api/x") as answer:
        return answer.headers["X-Release"]


async def ship(railway: Railway, service: str, port: int, tag: str, **more: object) -> Deployment:
    """The way a release manager deploys: everything set, then one deployment."""
    await railway.configure(service, tag, **more)
    await railway.variables(service, PORT=str(port), BLUEGREEN_RELEASE=tag, BLUEGREEN_COLOUR="blue")
    return await railway.deploy(service)


def test_a_deployment_is_processes_that_answer_on_the_services_port(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(40), real(tmp_path) as railway:
            port = free_port()
            service = await railway.create()
            deployment = await ship(railway, service, port, "v1", multiRegionConfig={REGION: {"numReplicas": 2}})
            await railway.until(deployment, "SUCCESS")
            logs = await railway.do("DeploymentLogs", deploymentId=deployment.id)
            assert await release(port) == "v1"
            assert [line["message"].partition(", pid")[0] for line in logs] == ["backend blue v1 is up"] * 2

    asyncio.run(run())


def test_a_new_deployment_takes_the_port_over_without_a_failed_request(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), real(tmp_path) as railway:
            port = free_port()
            service = await railway.create()
            old = await ship(railway, service, port, "v1")
            await railway.until(old, "SUCCESS")
            seen: list[str] = []
            over = asyncio.Event()

            async def knock() -> None:
                while not over.is_set():
                    seen.append(await release(port))

            knocking = [asyncio.create_task(knock()) for _ in range(4)]
            new = await ship(railway, service, port, "v2")
            await railway.until(new, "SUCCESS")
            await railway.until(old, "REMOVED")
            over.set()
            await asyncio.gather(*knocking)
            assert set(seen) == {"v1", "v2"}
            assert await release(port) == "v2"

    asyncio.run(run())


@pytest.mark.parametrize("behaviour", ["unready", "crashing"])
def test_a_bad_image_fails_and_the_old_release_keeps_serving(tmp_path: Path, behaviour: str) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), real(tmp_path) as railway:
            port = free_port()
            service = await railway.create()
            good = await ship(railway, service, port, "v1")
            await railway.until(good, "SUCCESS")
            bad = await ship(railway, service, port, f"v2-{behaviour}", healthcheckTimeout=1, restartPolicyMaxRetries=1)
            await railway.until(bad, "FAILED")
            assert await release(port) == "v1"
            assert good.status == "SUCCESS"

    asyncio.run(run())


def test_a_release_that_dies_after_its_retries_is_crashed(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), real(tmp_path) as railway:
            service = await railway.create()
            await railway.configure(service, "v1-crash-later", restartPolicyMaxRetries=0)
            await railway.variables(service, SANDBOX_CRASH_AFTER="0.5")
            deployment = await railway.deploy(service)
            await railway.until(deployment, "CRASHED")
            logs = await railway.do("DeploymentLogs", deploymentId=deployment.id)
            assert logs[-1]["message"] == "fatal: out of luck, as shipped"
            assert logs[-1]["severity"] == "error"

    asyncio.run(run())


def test_a_sleeping_release_answers_nobody_until_it_is_restarted(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), real(tmp_path) as railway:
            port = free_port()
            service = await railway.create()
            await railway.script({"outcome": "sleeping", "seconds": 0})
            deployment = await ship(railway, service, port, "v1")
            (unit,) = await _units(railway, deployment, "STOPPED")
            asleep = unit.process
            with pytest.raises(aiohttp.ClientConnectionError):
                await _until_refused(port)
            await railway.do("DeploymentRestart", id=deployment.id)
            await _units(railway, deployment, "RUNNING")
            assert await release(port) == "v1"
            assert unit.process != asleep

    asyncio.run(run())


async def _until_refused(port: int) -> None:
    while True:
        await release(port)


async def _units(railway: Railway, deployment: Deployment, status: str) -> list[Unit]:
    """The replicas, once all have this status."""
    await railway.store.until(
        lambda: bool(deployment.units) and all(unit.status == status for unit in deployment.units)
    )
    return deployment.units


def test_a_restarted_stand_in_remembers_and_its_processes_went_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            address = await stack.enter_async_context(served(supervisor.application(tmp_path / "logs")))
            port = free_port()
            async with standin(tmp_path, address, FAST) as before:
                service = await before.create()
                shipped = await ship(before, service, port, "v1")
                await before.until(shipped, "SUCCESS")
            between = await release(port)
            async with standin(tmp_path, address, FAST) as after:
                listed = await after.do("ProjectServices", id=PROJECT)
                polled = await after.do("DeploymentPoll", id=shipped.id)
                newer = await ship(after, service, port, "v2")
                await after.until(newer, "SUCCESS")
                remembered = after.store.deployment(shipped.id)
                assert remembered is not None
                await after.until(remembered, "REMOVED")
                assert await release(port) == "v2"
            assert between == "v1"
            assert [edge["node"]["id"] for edge in listed["services"]["edges"]] == [service]
            assert (polled["status"], polled["deploymentStopped"]) == ("SUCCESS", False)

    asyncio.run(run())


def test_a_deployment_under_way_is_taken_up_by_the_restarted_stand_in(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            address = await stack.enter_async_context(served(supervisor.application(tmp_path / "logs")))
            async with standin(tmp_path, address, LaptopClock(1000)) as before:
                service = await before.create()
                under_way = await ship(before, service, free_port(), "v1")
            async with standin(tmp_path, address, FAST) as after:
                found = after.store.deployment(under_way.id)
                assert found is not None
                await after.until(found, "SUCCESS")
            assert under_way.status == "INITIALIZING"

    asyncio.run(run())


def test_the_command_serves_until_sigterm_and_refuses_another_projects_store(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "sandbox.railway", "--port", str(port), "--supervisor", "http://127.0.0.1:9"]
    command += ["--data", str(tmp_path), "--token", "t", "--environment", "e"]
    with subprocess.Popen([*command, "--project", "one"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        made = asyncio.run(_create(port))
        process.terminate()
        code = process.wait(20)
    refused = subprocess.run([*command, "--project", "two"], capture_output=True, text=True, timeout=30)
    assert (said, made, code) == (b"ready\n", "backend-blue", 0)
    assert refused.returncode == 2
    assert "holds project one, environment e; it cannot serve two, e." in refused.stderr


async def _create(port: int) -> str:
    query = 'mutation { serviceCreate(input: {projectId: "one", name: "backend-blue"}) { name } }'
    headers = {"User-Agent": "bluegreen-tests/1", "Project-Access-Token": "t"}
    url = f"http://127.0.0.1:{port}/graphql/v2?source=tests"
    async with aiohttp.ClientSession() as session, session.post(url, json={"query": query}, headers=headers) as answer:
        return str((await answer.json())["data"]["serviceCreate"]["name"])
