"""Services of the Railway stand-in that are built from a repository, as teams have them before releasing by digest."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sandbox import registry
from sandbox.railway_images import Images
from sandbox.railway_rollouts import BUILDING, DEPLOYING, INITIALIZING
from sandbox.railway_store import Deployment
from tests.railway_platform import ENVIRONMENT, FakeSupervisor, ManualClock, Railway, faked

REPOSITORY = "acme/web"
BUILT = {REPOSITORY: "registry.sandbox/backend:v1"}
Scene = Callable[[Railway, FakeSupervisor, ManualClock], Awaitable[None]]


def play(folder: Path, scene: Scene, built: dict[str, str] = BUILT) -> None:
    async def run() -> None:
        clock = ManualClock()
        async with asyncio.timeout(20), faked(folder, clock, images=Images(built=built)) as (railway, machines):
            await scene(railway, machines, clock)

    asyncio.run(run())


async def latest(railway: Railway, service: str) -> Deployment:
    return next(railway.store.deployments_of(service, ENVIRONMENT))


async def up(railway: Railway, clock: ManualClock, deployment: Deployment, *, built: bool = True) -> None:
    await clock.wake(INITIALIZING)
    if built:
        await railway.until(deployment, "BUILDING")
        await clock.wake(BUILDING)
    await railway.until(deployment, "DEPLOYING")
    await clock.wake(DEPLOYING)
    await railway.until(deployment, "SUCCESS")


def test_a_service_of_a_repository_is_built_and_its_deployment_names_a_commit_and_no_image(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create("web-api", source={"repo": REPOSITORY}, branch="stable")
        deployment = await latest(railway, service)
        await up(railway, clock, deployment)
        read = await railway.do("DeploymentRead", id=deployment.id)
        instance = await railway.do("ServiceInstanceRead", serviceId=service, environmentId=ENVIRONMENT)
        (process,) = machines.processes.values()
        assert {key: read["meta"][key] for key in ("repo", "branch")} == {"repo": REPOSITORY, "branch": "stable"}
        assert len(read["meta"]["commitHash"]) == 40
        assert {"image", "imageDigest"}.isdisjoint(read["meta"])
        assert instance["source"] == {"repo": REPOSITORY, "image": None}
        assert process["env"]["SANDBOX_IMAGE"] == registry.resolve(BUILT[REPOSITORY])
        assert [event.step for event in deployment.events] == ["BUILD_IMAGE", "CREATE_CONTAINER"]

    play(tmp_path, scene)


def test_an_image_takes_the_whole_place_of_a_repository_and_the_other_way_round(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create("web-api", source={"repo": REPOSITORY})
        await up(railway, clock, await latest(railway, service))
        await railway.configure(service, "v2")
        of_image = await railway.deploy(service)
        await up(railway, clock, of_image, built=False)
        await railway.configure(service, source={"repo": REPOSITORY})
        instance = await railway.do("ServiceInstanceRead", serviceId=service, environmentId=ENVIRONMENT)
        of_repository = await railway.deploy(service)
        assert (of_image.meta["image"], of_image.meta.get("repo")) == ("registry.sandbox/backend:v2", None)
        assert instance["source"] == {"repo": REPOSITORY, "image": None}
        assert (of_repository.meta.get("image"), of_repository.meta["repo"]) == (None, REPOSITORY)

    play(tmp_path, scene)


def test_a_source_that_cannot_be_deployed_is_refused_before_anything_changes(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        place = {"projectId": "project-1", "environmentId": ENVIRONMENT, "name": "web-api"}
        both = {"repo": REPOSITORY, "image": "registry.sandbox/backend:v1"}
        unknown = {"repo": "acme/other"}
        said = [
            await railway.error("ServiceCreate", input={**place, "source": unknown}),
            await railway.error(
                "ServiceInstanceUpdate", serviceId=service, environmentId=ENVIRONMENT, input={"source": unknown}
            ),
            await railway.error("ServiceCreate", input={**place, "source": both}),
        ]
        missing = "the repository acme/other (without --built acme/other=IMAGE) is not modelled by the sandbox"
        assert said == [missing, missing, "Invalid input: source must name an image or a repository, not both"]
        assert [each.name for each in railway.store.world.services] == ["backend-blue"]
        assert railway.store.world.instances[0].config["source"] is None

    play(tmp_path, scene)


def test_another_image_of_a_repository_is_another_commit() -> None:
    older, newer = Images(built=BUILT), Images(built={REPOSITORY: "registry.sandbox/backend:v2"})
    assert older.commit(REPOSITORY) == Images(built=BUILT).commit(REPOSITORY)
    assert older.commit(REPOSITORY) != newer.commit(REPOSITORY)


def test_a_repository_that_the_stand_in_forgot_fails_at_its_build(tmp_path: Path) -> None:
    async def before(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        await railway.create("web-api", source={"repo": REPOSITORY})

    async def after(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        deployment = await railway.deploy(railway.store.world.services[0].id)
        await clock.wake(INITIALIZING)
        await railway.until(deployment, "BUILDING")
        await clock.wake(BUILDING)
        await railway.until(deployment, "FAILED")
        assert deployment.events[-1].payload["error"] == "failed to build acme/web: no such repository"

    play(tmp_path, before)
    play(tmp_path, after, {})


@pytest.mark.parametrize(
    ("built", "said"),
    [
        ("acme/web", "--built acme/web names no image. Write REPO=IMAGE, such as"),
        ("acme/web=nginx:1", "--built names an image that does not exist: nginx:1"),
    ],
)
def test_the_command_refuses_a_repository_without_an_image(tmp_path: Path, built: str, said: str) -> None:
    command = [sys.executable, "-m", "sandbox.railway", "--port", "0", "--supervisor", "http://127.0.0.1:9"]
    command += ["--data", str(tmp_path), "--token", "t", "--project", "p", "--environment", "e", "--built", built]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 2
    assert said in refused.stderr
