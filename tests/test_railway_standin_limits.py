"""What the platform makes a client wait for or do without: lags, limits, sealed variables, an absent instance."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.railway_arguments import options_of, parsed
from sandbox.railway_call import Options
from sandbox.railway_rollouts import DEPLOYING, INITIALIZING
from sandbox.railway_store import Deployment
from tests.railway_platform import ENVIRONMENT, PROJECT, FakeSupervisor, ManualClock, Railway, faked

Scene = Callable[[Railway, FakeSupervisor, ManualClock], Awaitable[None]]


def play(folder: Path, scene: Scene, **options: Any) -> None:
    async def run() -> None:
        clock = ManualClock()
        async with asyncio.timeout(20), faked(folder, clock, Options(**options)) as (railway, machines):
            await scene(railway, machines, clock)

    asyncio.run(run())


def at(service: str) -> dict[str, str]:
    return {"serviceId": service, "environmentId": ENVIRONMENT}


async def up(railway: Railway, clock: ManualClock, service: str) -> Deployment:
    deployment = await railway.deploy(service)
    await clock.wake(INITIALIZING)
    await railway.until(deployment, "DEPLOYING")
    await clock.wake(DEPLOYING)
    await railway.until(deployment, "SUCCESS")
    return deployment


async def patch(railway: Railway, **services: Any) -> str:
    return str(await railway.do("EnvironmentPatchCommit", environmentId=ENVIRONMENT, patch={"services": services}))


async def read(railway: Railway, service: str, **more: Any) -> dict[str, str]:
    values: dict[str, str] = await railway.do("VariablesRead", projectId=PROJECT, **at(service), **more)
    return values


# ── the command ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ("", Options()),
        ("--read-lag 2 --instance-lag 3 --endpoint-lag 4", Options(read_lag=2, instance_lag=3, endpoint=4)),
        ("--busy 5 --dark-first-deploy --own-variables", Options(busy=5, dark_first=True, own_variables=True)),
        ("--no-reset-rule --refuse-early-healthcheck", Options(reset=False, early_healthcheck=False)),
    ],
)
def test_each_option_of_the_command_is_one_of_the_platforms_manners(given: str, options: Options) -> None:
    needed = "--port 0 --supervisor http://127.0.0.1:9 --data d --token t --project p --environment e"
    assert options_of(parsed([*needed.split(), *given.split()])) == options


# ── lags ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_private_endpoint_is_null_until_the_first_deployment_and_then_created_for_a_second(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        (network,) = await railway.do("PrivateNetworksRead", environmentId=ENVIRONMENT)
        seen = []

        async def look() -> None:
            found = await railway.do("PrivateEndpointRead", **at(service), privateNetworkId=network["publicId"])
            seen.append(found and (found["dnsName"], found["syncStatus"]))

        await look()
        await railway.configure(service)
        await railway.deploy(service)
        await look()
        clock.advance(1)
        await look()
        assert seen == [None, ("backend-blue", "CREATING"), ("backend-blue", "ACTIVE")]

    play(tmp_path, scene)


def test_a_new_instance_can_lag_behind_its_service_and_an_update_of_it_changes_nothing(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        early = await railway.error("ServiceInstanceRead", **at(service))
        await railway.configure(service)
        clock.advance(3)
        instance = await railway.do("ServiceInstanceRead", **at(service))
        assert early == "ServiceInstance not found"
        assert instance["source"] is None

    play(tmp_path, scene, instance_lag=3)


def test_a_first_deployment_can_be_dark_until_the_next_one(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service)
        first = await up(railway, clock, service)
        second = await up(railway, clock, service)
        states = [machines.processes[each.units[0].process]["state"] for each in (first, second)]
        assert states == ["up", "serving"]
        assert [each.units[0].status for each in (first, second)] == ["RUNNING", "RUNNING"]

    play(tmp_path, scene, dark_first=True)


def test_the_platforms_own_variables_can_be_read_unrendered(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create(variables={"OURS": "1"})
        names = set(await read(railway, service, unrendered=True))
        assert {"OURS", "RAILWAY_PRIVATE_DOMAIN", "RAILWAY_SERVICE_NAME"} <= names

    play(tmp_path, scene, own_variables=True)


# ── limits ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ("ServiceInstanceUpdate", {"input": {"healthcheckPath": "/ready"}}),
        ("ServiceInstanceDeploy", {}),
    ],
)
def test_a_change_too_soon_after_another_one_is_refused(tmp_path: Path, operation: str, change: Any) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        clock.advance(2)
        await railway.configure(service)
        clock.advance(1.9)
        assert "operation is already in progress" in await railway.error(operation, **at(service), **change)
        clock.advance(0.2)
        await railway.do(operation, **at(service), **change)

    play(tmp_path, scene, busy=2)


def test_a_project_gets_25_services_a_day(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        for number in range(25):
            await railway.do("ServiceDelete", id=await railway.create(f"service-{number}"))
        place = {"projectId": PROJECT, "environmentId": ENVIRONMENT, "name": "one-more"}
        refused = await railway.error("ServiceCreate", input=place)
        clock.advance(24 * 3600)
        assert "service creation limit (25 services per day)" in refused
        await railway.create("one-more")

    play(tmp_path, scene)


# ── patches ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_patch_makes_the_instance_that_is_absent_and_then_there_is_nothing_to_apply(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        await railway.script({"outcome": "absent-instance"})
        service = await railway.create()
        before = await railway.error("ServiceInstanceRead", **at(service))
        await patch(railway, **{service: {}})
        await railway.configure(service)
        after = await railway.do("ServiceInstanceRead", **at(service))
        again = await railway.error(
            "EnvironmentPatchCommit", environmentId=ENVIRONMENT, patch={"services": {service: {}}}
        )
        assert before == "ServiceInstance not found"
        assert after["source"]["image"] == "registry.sandbox/backend:v1"
        assert again == "No patch to apply"

    play(tmp_path, scene)


def test_a_sealed_variable_reaches_the_process_and_is_never_read(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await railway.configure(service)
        await patch(railway, **{service: {"variables": {"KEY": {"value": "s3cret", "isSealed": True}}}})
        await railway.variables(service, replace=False, OPEN="${{KEY}}!", KEY="s3cret, too")
        deployment = await up(railway, clock, service)
        (process,) = machines.processes.values()
        snapshot = await railway.do("DeploymentSnapshotRead", deploymentId=deployment.id)
        assert process["env"]["KEY"] == "s3cret, too"
        assert await read(railway, service, unrendered=True) == {"OPEN": "${{KEY}}!"}
        assert "KEY" not in await read(railway, service)
        assert "KEY" not in snapshot["variables"]

    play(tmp_path, scene)


def test_a_variable_that_was_replaced_away_is_sealed_no_more(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        await patch(railway, **{service: {"variables": {"KEY": {"value": "1", "isSealed": True}}}})
        await railway.variables(service, OTHER="1")
        await railway.variables(service, KEY="2")
        assert await read(railway, service, unrendered=True) == {"KEY": "2"}

    play(tmp_path, scene)


def test_a_patch_of_variables_deploys_what_was_deployed(tmp_path: Path) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create(variables={"OLD": "1"})
        await railway.configure(service)
        await up(railway, clock, service)
        await patch(railway, **{service: {"variables": {"OLD": None}}})
        old, new = railway.store.world.deployments
        assert ("OLD" in old.variables, "OLD" in new.variables) == (True, False)

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([], "Invalid input: patch must be a map with services"),
        ({"sharedVariables": {}}, "a patch of sharedVariables is not modelled by the sandbox"),
        ({"services": {"ID": {"deploy": {}}}}, "a service's deploy in a patch is not modelled by the sandbox"),
        (
            {"services": {"ID": {"variables": {"A": {"value": "1"}, "B": "2"}}}},
            "Invalid input: variable B in a patch must",
        ),
        ({"services": {"ID": {"variables": {"A": {"value": 1}}}}}, "Invalid input: variable A must be a string"),
        ({"services": {"ID": {"variables": {"A": {"value": "1"}}}, "nobody": {}}}, "Service not found"),
    ],
)
def test_a_patch_is_refused_whole(tmp_path: Path, wanted: Any, said: str) -> None:
    async def scene(railway: Railway, machines: FakeSupervisor, clock: ManualClock) -> None:
        service = await railway.create()
        if isinstance(wanted, dict) and "ID" in wanted.get("services", {}):
            wanted["services"] = {**wanted["services"], service: wanted["services"]["ID"]}
            del wanted["services"]["ID"]
        refused = await railway.error("EnvironmentPatchCommit", environmentId=ENVIRONMENT, patch=wanted)
        assert refused.startswith(said)
        assert railway.store.world.instances[0].variables == {}

    play(tmp_path, scene)
