"""A stack file that was written for production goes up on a laptop: its images, its ports, its ids, its replicas."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.__main__ import main
from sandbox.asking import call
from sandbox.kong_resolver import Resolver
from sandbox.ports import LOOPBACK, address
from sandbox.railway_images import STANDS_FOR, Images
from sandbox.registry import UnknownImage, resolve
from sandbox.world import Member, World, WorldError, free_base
from sandbox.world_members import wait_until
from tests.railway_platform import OPERATIONS, REGION

MIRROR = "ghcr.io/acme"
DIGEST = "sha256:" + "3b" * 32
PACE: dict[Member, tuple[str, ...]] = {
    "kong": ("--worker-state-update-frequency", "0.1", "--workers", "1"),
    "railway": ("--time-scale", "0.02"),
}
PROJECT, ENVIRONMENT = "5b1d4c1e-6a0f-4a57-9c0a-9a5d2f6f7c11", "0f4d9a36-2f5e-4a53-b0ad-6f3f7a2f9e02"


def foreign(data: Path) -> World:
    """A world for a stack file that names a foreign registry, port 8000 for everything, and its own project."""
    return World(
        free_base(), data, ("kong", "supervisor", "railway"),
        mirror=MIRROR, private_network=True, project_id=PROJECT, environment_id=ENVIRONMENT, extra=PACE,
    )  # fmt: skip


class Api:
    """Railway's API of one world."""

    def __init__(self, world: World) -> None:
        self._url = f"{world.railway_url}?source=tests"
        self._headers = {"User-Agent": "bluegreen-tests/1", "Project-Access-Token": world.railway_token}

    def do(self, operation: str, **variables: Any) -> Any:
        body = {"query": OPERATIONS[operation], "operationName": operation, "variables": variables}
        answer = call("POST", self._url, body, **self._headers)
        assert "errors" not in answer, answer["errors"]
        (value,) = answer["data"].values()
        return value

    def deploy(self, name: str, image: str, port: int, replicas: int = 1) -> Any:
        """The deployment once it has come to an end, good or bad."""
        place = {"projectId": PROJECT, "environmentId": ENVIRONMENT}
        service = self.do("ServiceCreate", input={**place, "name": name})["id"]
        change = {
            "source": {"image": image},
            "healthcheckPath": "/health",
            "multiRegionConfig": {REGION: {"numReplicas": replicas}},
        }
        self.do("ServiceInstanceUpdate", serviceId=service, environmentId=ENVIRONMENT, input=change)
        values = {"PORT": str(port), "BLUEGREEN_RELEASE": f"release-of-{name}", "BLUEGREEN_COLOUR": "blue"}
        variables = {**place, "serviceId": service, "replace": True, "skipDeploys": True, "variables": values}
        self.do("VariableCollectionUpsert", input=variables)
        made = self.do("ServiceInstanceDeploy", serviceId=service, environmentId=ENVIRONMENT)
        found: dict[str, Any] = {}

        def ended() -> bool:
            found.update(self.do("DeploymentPoll", id=made))
            return found["status"] in ("SUCCESS", "FAILED")

        assert wait_until(ended, 30)
        return self.do("DeploymentRead", id=made)


def behind_kong(world: World, name: str, port: int) -> Callable[[], Any]:
    """A route to this service through an upstream; its health page, as it answers through the gateway."""
    call("POST", f"{world.admin}/upstreams", {"name": name})
    call("POST", f"{world.admin}/upstreams/{name}/targets", {"target": f"{name}.railway.internal:{port}"})
    call("POST", f"{world.admin}/services", {"name": name, "host": name, "port": 80})
    call("POST", f"{world.admin}/services/{name}/routes", {"name": name, "paths": [f"/{name}"]})

    def ask() -> Any:
        try:
            return call("GET", f"{world.proxy}/{name}/health")
        except OSError:
            return None  # the router has not been rebuilt yet

    return ask


def test_two_services_on_one_port_are_reached_through_the_gateway(tmp_path: Path) -> None:
    with foreign(tmp_path) as world:
        railway = Api(world)
        for name in ("backend-blue", "backend-green"):
            deployed = railway.deploy(name, f"{MIRROR}/backend@{DIGEST}", 8000)
            assert (deployed["status"], deployed["meta"]["image"]) == ("SUCCESS", f"{MIRROR}/backend@{DIGEST}")
        for name in ("backend-blue", "backend-green"):
            ask = behind_kong(world, name, 8000)
            assert wait_until(lambda ask=ask: ask() is not None, 20)  # type: ignore[misc]
            assert ask()["release"] == f"release-of-{name}"
        told = call("GET", f"http://127.0.0.1:{world.ports.supervisor}/processes")
        listening = {each["address"]: each["port"] for each in told}
        assert listening == {
            address(f"{name}.railway.internal", world.ports.base): 8000 for name in ("backend-blue", "backend-green")
        }


def test_an_image_of_no_registry_that_is_served_fails_when_it_is_pulled(tmp_path: Path) -> None:
    with foreign(tmp_path) as world:
        railway = Api(world)
        for name, image in (("one", f"ghcr.io/other/backend@{DIGEST}"), ("two", f"{MIRROR}/database@{DIGEST}")):
            assert railway.deploy(name, image, 8000)["status"] == "FAILED"


def test_a_member_that_is_started_again_is_told_the_same(tmp_path: Path) -> None:
    with foreign(tmp_path) as world:
        restarted: tuple[Member, Member] = ("railway", "supervisor")
        for name in restarted:
            world.kill(name)
            World.found(tmp_path).start(name)
        deployed = Api(world).deploy("frontend-blue", f"{MIRROR}/frontend@{DIGEST}", 3000)
        told = call("GET", f"http://127.0.0.1:{world.ports.supervisor}/processes")
        assert deployed["status"] == "SUCCESS"
        assert told[0]["address"] == address("frontend-blue.railway.internal", world.ports.base)


def test_the_ids_of_a_stack_file_replace_the_folders_own(tmp_path: Path) -> None:
    world = World(free_base(), tmp_path, ("railway",), project_id=PROJECT, environment_id=ENVIRONMENT)
    assert (world.project_id, world.environment_id) == (PROJECT, ENVIRONMENT)
    with world:
        assert Api(world).do("ProjectServices", id=PROJECT) is not None


def test_ids_of_another_project_are_refused_where_one_is_remembered(tmp_path: Path) -> None:
    with World(free_base(), tmp_path, ("railway",)) as world:
        Api(world).do("ServiceCreate", input={"projectId": world.project_id, "name": "backend-blue"})
    with pytest.raises(WorldError, match=f"holds project {world.project_id}, .* it cannot serve {PROJECT}"):
        World(free_base(), tmp_path, ("railway",), project_id=PROJECT).open()


def test_a_private_network_is_refused_where_there_is_no_room_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(WorldError, match=r"only Linux has .* Nothing was started\. Leave private_network out"):
        World(free_base(), tmp_path, private_network=True)


# Addresses


def test_every_private_name_has_an_address_of_its_own_that_any_process_derives() -> None:
    names = [f"{app}-{colour}.railway.internal" for app in ("backend", "frontend") for colour in ("blue", "green")]
    found = [address(name, 20_000) for name in names]
    assert len(set(found)) == len(names)
    assert all(one.startswith("127.") and not one.startswith("127.0.") for one in found)
    assert address("backend-blue.railway.internal", 20_000) == address("Backend-Blue.railway.internal", 20_000)
    assert address("backend-blue.railway.internal", 20_020) not in found


def test_without_a_private_network_every_name_is_this_computer() -> None:
    assert address("backend-blue.railway.internal", None) == LOOPBACK
    assert Resolver().known("backend-blue.railway.internal") == [LOOPBACK]


def test_the_gateway_sees_the_addresses_of_its_network_and_literals_as_they_are() -> None:
    resolver = Resolver(20_000)
    name = "backend-blue.railway.internal"
    assert resolver.known(name) == [address(name, 20_000)]
    assert (resolver.known("localhost"), resolver.known("127.0.0.9")) == ([LOOPBACK], ["127.0.0.9"])


def test_hosts_names_the_addresses_of_a_private_network(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["hosts", "--port-base", "21000", "--data", str(tmp_path), "--private-network"]) == 0
    where, name, *rest = capsys.readouterr().out.splitlines()[0].split()
    assert (where, name) == (address("backend-blue.railway.internal", 21_000), "backend-blue.railway.internal")
    assert " ".join(rest) == f"# backend blue listens on {where}:any port"


# Images


@pytest.mark.parametrize("app", ["backend", "frontend"])
def test_a_mirrored_reference_runs_as_the_sandboxs_good_image_whatever_its_digest(app: str) -> None:
    for reference in (f"{MIRROR}/{app}@{DIGEST}", f"{MIRROR}/team/{app}@{DIGEST}", f"{MIRROR}/{app}:v7@{DIGEST}"):
        pulled = Images(f"{MIRROR}/").pull(reference)
        assert (pulled.digest, pulled.runs) == (DIGEST, resolve(f"registry.sandbox/{app}:{STANDS_FOR}"))


def test_a_mirrored_tag_has_a_digest_that_stays() -> None:
    first, again, other = (Images(MIRROR).pull(f"{MIRROR}/backend:{tag}").digest for tag in ("v7", "v7", "v8"))
    assert first == again != other
    assert first.startswith("sha256:")


def test_the_sandboxs_own_images_are_served_beside_a_mirror() -> None:
    pulled = Images(MIRROR).pull("registry.sandbox/backend:v3-failing")
    assert pulled.runs == resolve("registry.sandbox/backend:v3-failing")
    assert pulled.runs.endswith(pulled.digest)


@pytest.mark.parametrize(
    "reference",
    [
        f"{MIRROR}/database@{DIGEST}",
        f"{MIRROR}/backend",
        f"{MIRROR}/backend@sha256:12",
        f"{MIRROR}s/backend@{DIGEST}",
        f"ghcr.io/backend@{DIGEST}",
        f"ghcr.io/other/backend@{DIGEST}",
    ],
)
def test_what_is_not_in_the_mirror_is_refused_by_name(reference: str) -> None:
    with pytest.raises(UnknownImage) as refused:
        Images(MIRROR).pull(reference)
    assert reference in str(refused.value)


def test_without_a_mirror_a_foreign_image_is_refused() -> None:
    with pytest.raises(UnknownImage):
        Images().pull(f"{MIRROR}/backend@{DIGEST}")
