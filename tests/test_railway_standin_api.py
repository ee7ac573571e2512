"""The Railway stand-in's API: transport, tokens, errors, and the rules of its store. No deployment is waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from sandbox import railway as module
from sandbox.railway_call import Options
from sandbox.railway_clock import LaptopClock
from sandbox.railway_graphql import SDL
from sandbox.railway_mutations import MUTATIONS
from sandbox.railway_queries import QUERIES
from tests.railway_platform import (
    ENVIRONMENT,
    HEADERS,
    OPERATIONS,
    PROJECT,
    RECORDED,
    REGION,
    WORKSPACE_TOKEN,
    Railway,
    standin,
)
from tests.railway_platform import faked as platform

Scene = Callable[[Railway], Awaitable[None]]
BROWSER = {"User-Agent": "bluegreen-tests/1"}


def play(folder: Path, scene: Scene, options: Options | None = None, limit: int = 10_000) -> None:
    async def run() -> None:
        async with asyncio.timeout(20), platform(folder, options=options, limit=limit) as (railway, _):
            await scene(railway)

    asyncio.run(run())


# ── schema ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_recorded_operation_validates_against_the_schema() -> None:
    assert validate(build_schema(SDL.read_text()), parse(RECORDED.read_text())) == []


def test_the_docstring_lists_exactly_what_is_not_modelled() -> None:
    schema = build_schema(SDL.read_text())
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    missing = (set(schema.query_type.fields) - set(QUERIES)) | (set(schema.mutation_type.fields) - set(MUTATIONS))
    text = str(module.__doc__).partition("an error that says so:")[2]
    assert sorted(text.replace("\n", " ").strip(" .").replace(" ", "").split(",")) == sorted(missing)


def test_a_document_that_the_schema_does_not_know_is_a_400(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        status, body = await railway.post({"query": "{ project(id: 1) { id name colour } }"})
        assert (status, body["errors"][0]["extensions"]["code"]) == (400, "GRAPHQL_VALIDATION_FAILED")

    play(tmp_path, scene)


def test_a_document_that_does_not_parse_is_a_400(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        status, body = await railway.post({"query": "{ project("})
        assert (status, body["errors"][0]["extensions"]["code"]) == (400, "GRAPHQL_PARSE_FAILED")

    play(tmp_path, scene)


def test_a_variable_of_the_wrong_type_is_a_400(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        status, body = await railway.post({"query": OPERATIONS["ProjectRead"], "variables": {"id": [1]}})
        assert (status, body["errors"][0]["extensions"]["code"]) == (400, "BAD_USER_INPUT")

    play(tmp_path, scene)


def test_what_is_not_modelled_says_so(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        message = await railway.error("VolumeDelete", volumeId="v")
        assert message == "volumeDelete is not modelled by the sandbox"

    play(tmp_path, scene)


# ── transport ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_error_is_a_200_without_data_and_with_a_trace_id(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        status, body = await railway.post({"query": OPERATIONS["ServiceRead"], "variables": {"id": "nobody"}})
        (error,) = body["errors"]
        assert (status, body["data"], error["message"]) == (200, None, "Service not found")
        assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR"}
        assert len(error["traceId"]) == 16

    play(tmp_path, scene)


def test_a_post_without_a_query_string_meets_cloudflare(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        status, body = await railway.post({"query": "{ __typename }"}, query="")
        assert status == 429
        assert "Error 1015" in body

    play(tmp_path, scene)


@pytest.mark.parametrize("agent", ["python-httpx/0.28.1", "Python/3.11 aiohttp/3.14.5", "Go-http-client/2.0", ""])
def test_a_library_default_user_agent_meets_cloudflare(tmp_path: Path, agent: str) -> None:
    async def scene(railway: Railway) -> None:
        status, body = await railway.post({"query": "{ __typename }"}, headers={"User-Agent": agent})
        assert status == 403
        assert "Error 1010" in body

    play(tmp_path, scene)


def test_the_hourly_limit_is_counted_down_and_then_refused_with_retry_after(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        url = railway.address + "/graphql/v2?source=tests"
        body = {"query": "{ __typename }"}
        async with railway.session.post(url, json=body, headers=HEADERS) as first:
            assert (first.status, first.headers["X-RateLimit-Limit"]) == (200, "1")
            assert first.headers["X-RateLimit-Remaining"] == "0"
        async with railway.session.post(url, json=body, headers=HEADERS) as second:
            assert second.status == 429
            assert int(second.headers["Retry-After"]) in range(3500, 3601)
            assert "Rate limit exceeded" in (await second.json())["errors"][0]["message"]

    play(tmp_path, scene, limit=1)


# ── tokens ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_project_token_tells_its_project_and_environment(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        told = await railway.do("WhoAmIProjectToken")
        assert (told["projectId"], told["environmentId"]) == (PROJECT, ENVIRONMENT)

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "token",
    [{}, {"Project-Access-Token": "wrong"}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer secret"}],
)
def test_a_wrong_token_or_header_opens_nothing(tmp_path: Path, token: dict[str, str]) -> None:
    async def scene(railway: Railway) -> None:
        headers = {**BROWSER, **token}
        who = await railway.ask("WhoAmIProjectToken", headers=headers)
        made = await railway.ask("ServiceCreate", headers=headers, input={"projectId": PROJECT, "name": "a"})
        assert who["errors"][0]["message"] == "Project Token not found"
        assert made["errors"][0]["message"] == "Not Authorized"
        assert railway.store.world.services == []

    play(tmp_path, scene)


def test_a_project_token_ends_at_its_project_and_environment(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        elsewhere = await railway.error("ServiceInstanceDeploy", serviceId=service, environmentId="other")
        assert await railway.error("ProjectRead", id="other") == "Not Authorized"
        assert elsewhere == "Not Authorized"
        assert await railway.error("WhoAmIApiToken") == "Not Authorized"
        assert await railway.error("WhoAmIAccount") == "Not Authorized"

    play(tmp_path, scene)


def test_a_workspace_token_reads_the_project_and_is_no_project_token(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        headers = {**BROWSER, "Authorization": f"Bearer {WORKSPACE_TOKEN}"}
        project = await railway.ask("ProjectRead", headers=headers, id=PROJECT)
        budget = await railway.ask("ApiBudget", headers=headers, workspaceId="workspace")
        who = await railway.ask("WhoAmIProjectToken", headers=headers)
        assert project["data"]["project"]["id"] == PROJECT
        assert budget["data"]["workspace"]["apiTokenRateLimit"]["remainingPoints"] == 10_000
        assert who["errors"][0]["message"] == "Project Token not found"

    play(tmp_path, scene)


def test_introspection_needs_no_token(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        status, body = await railway.post({"query": "{ __schema { queryType { name } } }"}, headers=BROWSER)
        assert (status, body["data"]) == (200, {"__schema": {"queryType": {"name": "Query"}}})

    play(tmp_path, scene)


# ── services and their instances ───────────────────────────────────────────────────────────────────────────────────


def test_a_service_name_is_unique_in_its_project(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        await railway.create("backend-blue")
        place = {"projectId": PROJECT, "environmentId": ENVIRONMENT, "name": "backend-blue"}
        message = await railway.error("ServiceCreate", input=place)
        assert message == 'A service named "backend-blue" already exists in this project'

    play(tmp_path, scene)


@pytest.mark.parametrize("name", ["Backend", "health", "railway", "-a", "a" * 64])
def test_a_name_that_could_not_be_a_private_name_is_refused(tmp_path: Path, name: str) -> None:
    async def scene(railway: Railway) -> None:
        message = await railway.error("ServiceCreate", input={"projectId": PROJECT, "name": name})
        assert message.startswith("Invalid input: ")

    play(tmp_path, scene)


def test_services_come_in_pages(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        names = [f"service-{number:03d}" for number in range(103)]
        for name in names:
            await railway.create(name)
        first = (await railway.do("ProjectServices", id=PROJECT))["services"]
        rest = (await railway.do("ProjectServices", id=PROJECT, after=first["pageInfo"]["endCursor"]))["services"]
        assert [edge["node"]["name"] for edge in first["edges"] + rest["edges"]] == names
        assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)

    play(tmp_path, scene, Options(services_per_day=1000))


def test_a_service_without_source_deploys_nothing_and_keeps_the_variables_of_its_creation(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create(variables={"BLUEGREEN_OWNER": "velro.production"})
        place = {"projectId": PROJECT, "environmentId": ENVIRONMENT, "serviceId": service}
        assert await railway.do("VariablesRead", **place) == {"BLUEGREEN_OWNER": "velro.production"}
        assert railway.store.world.deployments == []

    play(tmp_path, scene)


def test_a_service_with_an_image_deploys_at_once(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        await railway.create(source={"image": "registry.sandbox/backend:v1"})
        (deployment,) = railway.store.world.deployments
        assert deployment.meta["image"] == "registry.sandbox/backend:v1"

    play(tmp_path, scene)


def test_a_created_service_is_hidden_while_reads_lag(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        listed = await railway.do("ProjectServices", id=PROJECT)
        place = {"projectId": PROJECT, "name": "backend-blue"}
        assert listed["services"]["edges"] == []
        assert await railway.error("ServiceRead", id=service) == "Service not found"
        assert "already exists" in await railway.error("ServiceCreate", input=place)

    play(tmp_path, scene, Options(read_lag=1_000_000))


def test_a_lag_fault_hides_a_created_service_too(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        fault = {"effect": {"kind": "lag", "seconds": 1000}}
        async with railway.session.put(railway.address + "/__faults/behind", json=fault) as armed:
            assert armed.status == 200
        service = await railway.create()
        assert await railway.error("ServiceRead", id=service) == "Service not found"

    play(tmp_path, scene)


def test_an_update_changes_the_template_and_deploys_nothing(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        await railway.configure(service, drainingSeconds=30, preDeployCommand=["python -m app.migrate"])
        read = await railway.do("ServiceInstanceRead", serviceId=service, environmentId=ENVIRONMENT)
        assert read["source"]["image"] == "registry.sandbox/backend:v1"
        assert (read["drainingSeconds"], read["healthcheckPath"]) == (30, "/health")
        assert (read["region"], read["numReplicas"]) == (REGION, 1)
        assert read["latestDeployment"] is None
        assert railway.store.world.deployments == []

    play(tmp_path, scene)


def test_a_partial_update_resets_regions_and_health_check_path(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        await railway.configure(service, multiRegionConfig={REGION: {"numReplicas": 3}})
        change = {"drainingSeconds": 5}
        await railway.do("ServiceInstanceUpdate", serviceId=service, environmentId=ENVIRONMENT, input=change)
        (instance,) = railway.store.world.instances
        assert instance.config["multiRegionConfig"] == {"us-west2": {"numReplicas": 1}}
        assert instance.config["healthcheckPath"] is None
        assert instance.config["overlapSeconds"] == 7

    play(tmp_path, scene)


def test_the_reset_rule_can_be_switched_off(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        await railway.configure(service, multiRegionConfig={REGION: {"numReplicas": 3}})
        await railway.do("ServiceInstanceUpdate", serviceId=service, environmentId=ENVIRONMENT, input={})
        (instance,) = railway.store.world.instances
        assert instance.config["multiRegionConfig"] == {REGION: {"numReplicas": 3}}

    play(tmp_path, scene, Options(reset=False))


def test_the_legacy_region_fields_are_accepted_and_change_nothing(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        await railway.configure(service, region="us-east4-eqdc4a", numReplicas=4)
        (instance,) = railway.store.world.instances
        assert instance.config["multiRegionConfig"] == {REGION: {"numReplicas": 1}}
        assert "numReplicas" not in instance.config

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "change",
    [
        {"healthcheckPath": "/health-check"},
        {"preDeployCommand": ["one", "two"]},
        {"multiRegionConfig": {REGION: {"numReplicas": 0}}},
        {"multiRegionConfig": {"moon-1": {"numReplicas": 1}}},
        {"multiRegionConfig": {REGION: None}},
        {"multiRegionConfig": {REGION: {"numReplicas": 51}}},
        {"overlapSeconds": -1},
    ],
)
def test_an_update_that_railway_refuses_changes_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        await railway.configure(service)
        before = railway.store.world.model_dump_json()
        place = {"serviceId": service, "environmentId": ENVIRONMENT}
        message = await railway.error("ServiceInstanceUpdate", **place, input={"source": {"image": "x"}, **change})
        assert message.startswith("Invalid input: ")
        assert railway.store.world.model_dump_json() == before

    play(tmp_path, scene)


def test_an_early_health_check_path_can_be_refused(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        place = {"serviceId": service, "environmentId": ENVIRONMENT}
        message = await railway.error("ServiceInstanceUpdate", **place, input={"healthcheckPath": "/health"})
        assert message == "Invalid input: healthcheckPath cannot be set before the first deployment"

    play(tmp_path, scene, Options(early_healthcheck=False))


def test_an_update_of_an_absent_instance_is_true_and_changes_nothing(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        await railway.script({"service": "backend-*", "outcome": "absent-instance"})
        service = await railway.create()
        await railway.configure(service)
        message = await railway.error("ServiceInstanceRead", serviceId=service, environmentId=ENVIRONMENT)
        assert message == "ServiceInstance not found"

    play(tmp_path, scene)


def test_registry_credentials_are_never_kept_in_the_clear(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        await railway.configure(service, registryCredentials={"username": "me", "password": "hunter2"})
        assert railway.store.world.instances[0].credentials is True

    play(tmp_path, scene)
    assert "hunter2" not in (tmp_path / "railway.json").read_text()


def test_limits_are_read_back_beside_the_plans_own(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        place = {"serviceId": service, "environmentId": ENVIRONMENT}
        await railway.do("ServiceInstanceLimitsUpdate", input={**place, "memoryGB": 2})
        answer = await railway.ask("ServiceInstanceLimits", serviceId=service, environmentId=ENVIRONMENT)
        assert answer["data"]["serviceInstanceLimitOverride"] == {"containers": {"memoryBytes": 2e9}}
        assert answer["data"]["serviceInstanceLimits"] == {"containers": {"cpu": 8, "memoryBytes": 2e9}}

    play(tmp_path, scene)


def test_a_service_without_source_cannot_be_deployed(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        message = await railway.error("ServiceInstanceDeploy", serviceId=service, environmentId=ENVIRONMENT)
        assert message == "Invalid input: the service has no source to deploy"

    play(tmp_path, scene)


# ── variables ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_collection_is_merged_unless_it_replaces(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create(variables={"A": "1"})
        await railway.variables(service, replace=False, B="2")
        (instance,) = railway.store.world.instances
        merged = dict(instance.variables)
        await railway.variables(service, replace=True, C="3")
        assert (merged, instance.variables) == ({"A": "1", "B": "2"}, {"C": "3"})

    play(tmp_path, scene)


def test_references_are_rendered_unless_asked_otherwise(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        await railway.create("postgres", variables={"URL": "postgres://${{RAILWAY_PRIVATE_DOMAIN}}:5432"})
        service = await railway.create(variables={"DATABASE_URL": "${{postgres.URL}}", "REGION": "${{shared.REGION}}"})
        place = {"projectId": PROJECT, "environmentId": ENVIRONMENT}
        shared = {"variables": {"REGION": "eu"}, "skipDeploys": True}
        await railway.do("VariableCollectionUpsert", input={**place, **shared})
        raw = await railway.do("VariablesRead", **place, serviceId=service)
        rendered = await railway.do("VariablesForDeployment", **place, serviceId=service)
        assert raw["DATABASE_URL"] == "${{postgres.URL}}"
        assert rendered["DATABASE_URL"] == "postgres://postgres.railway.internal:5432"
        assert (rendered["REGION"], rendered["RAILWAY_SERVICE_NAME"]) == ("eu", "backend-blue")

    play(tmp_path, scene)


def test_changed_variables_deploy_unless_told_to_skip(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        await railway.configure(service)
        await railway.deploy(service)
        await railway.variables(service, skip=True, A="1")
        skipped = len(railway.store.world.deployments)
        await railway.variables(service, skip=False, A="2")
        assert (skipped, len(railway.store.world.deployments)) == (1, 2)

    play(tmp_path, scene)


def test_deleting_a_variable_always_deploys(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create(variables={"A": "1"})
        await railway.configure(service)
        await railway.deploy(service)
        place = {"projectId": PROJECT, "environmentId": ENVIRONMENT, "serviceId": service}
        await railway.do("VariableDelete", input={**place, "name": "A"})
        assert len(railway.store.world.deployments) == 2
        assert railway.store.world.instances[0].variables == {}

    play(tmp_path, scene)


def test_a_variable_that_is_no_string_is_refused(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        service = await railway.create()
        place = {"projectId": PROJECT, "environmentId": ENVIRONMENT, "serviceId": service}
        message = await railway.error("VariableCollectionUpsert", input={**place, "variables": {"PORT": 8000}})
        assert message == "Invalid input: variable PORT must be a string"

    play(tmp_path, scene)


# ── faults ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_reply_to_a_creation_leaves_the_service_there(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        fault = {"where": {"path": "ServiceCreate"}, "effect": {"kind": "lost"}}
        async with railway.session.put(railway.address + "/__faults/lost", json=fault) as armed:
            assert armed.status == 200
        with pytest.raises(OSError):
            await railway.create()
        listed = await railway.do("ProjectServices", id=PROJECT)
        assert [edge["node"]["name"] for edge in listed["services"]["edges"]] == ["backend-blue"]

    play(tmp_path, scene)


def test_a_fault_finds_an_anonymous_operation_by_its_field(tmp_path: Path) -> None:
    async def scene(railway: Railway) -> None:
        fault = {"where": {"path": "regions"}, "effect": {"kind": "answer", "status": 504}}
        async with railway.session.put(railway.address + "/__faults/slow", json=fault) as armed:
            assert armed.status == 200
        hit, _ = await railway.post({"query": "{ regions { name } }"})
        spared, _ = await railway.post({"query": "{ regions { name } }"})
        assert (hit, spared) == (504, 200)

    play(tmp_path, scene)


def test_without_machines_a_deployment_is_answered_with_a_502(tmp_path: Path) -> None:
    async def run() -> None:
        async with standin(tmp_path, "http://127.0.0.1:9", LaptopClock(0.001)) as railway:
            service = await railway.create()
            await railway.configure(service)
            place = {"serviceId": service, "environmentId": ENVIRONMENT}
            status, body = await railway.post({"query": OPERATIONS["ServiceInstanceDeploy"], "variables": place})
            assert (status, body) == (502, "")
            assert railway.store.world.deployments == []

    asyncio.run(run())
