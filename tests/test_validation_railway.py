"""The checks of Railway: both colours run as the config says, and each way of not doing so is one finding."""

import asyncio
from collections.abc import Awaitable, Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from bluegreen.railway.spec import Place
from bluegreen.settings import Settings
from bluegreen.spec import Colour
from bluegreen.validation.finding import Finding
from tests.railway_platform import ENVIRONMENT, PROJECT, REGION, TOKEN, WORKSPACE_TOKEN
from tests.railway_room import PLACE, Room, Screen, image, play
from tests.validation_room import Found, config, once, parsed, wrong

CHECKS = (
    "railway-token",
    "railway-token-scope",
    "railway-services",
    "railway-running",
    "railway-image",
    "railway-configuration",
    "railway-regions",
    "idle-stopped",
)
HERE = Place(project_id=PROJECT, environment_id=ENVIRONMENT)


def keys(**changes: Any) -> dict[str, Any]:
    """Blue is live with v1, green is idle with v2; `changes` are the app's."""
    blocks = {
        colour: {"image": image(tag), "replicas": {REGION: 1}} for colour, tag in (("blue", "v1"), ("green", "v2"))
    }
    app = {"kind": "api", "live": "blue", **blocks, **changes}
    return config(railway=PLACE, apps={"backend": app})


async def look(there: Room, settings: Settings, *only: str, **values: str) -> Found:
    known = {"railwayUrl": f"{there.platform.address}/graphql/v2", "railwayToken": TOKEN, **values}
    return await once(settings, known, *(only or CHECKS))


async def deployed(there: Room, settings: Settings, *colours: Colour) -> None:
    for colour in colours or ("blue", "green"):
        await there.handler().create(Screen(), settings.service("backend", colour))


async def service_id(there: Room, name: str) -> str:
    return (await there.railway.services(PROJECT))[name]


def the_only(found: Found, id: str, remedy: str, status: str = "fail") -> Finding:
    assert [(id, status)] == [(each, finding.status) for each, finding in wrong(found).items()], wrong(found)
    (finding,) = wrong(found).values()
    assert remedy in finding.hint
    return finding


def scene(tmp_path: Path, act: Callable[[Room, Settings], Awaitable[Found]], **changes: Any) -> Found:
    """What is found once both colours were deployed and this has happened."""
    found: list[Found] = []

    async def whole(there: Room) -> None:
        settings = parsed(keys(**changes))
        await deployed(there, settings)
        found.append(await act(there, settings))

    play(tmp_path, whole)
    return found[0]


def test_two_colours_that_run_as_the_config_says_pass_every_check(tmp_path: Path) -> None:
    found = scene(tmp_path, look)
    assert {"pass"} == {each.status for each in found.values()}, found
    assert {"railway-running:backend-blue", "railway-running:backend-green"} <= set(found)
    assert f"a project token of environment {ENVIRONMENT} of project {PROJECT}" == found["railway-token"].observed


def test_a_token_that_is_wrong_fails_one_check_and_the_others_are_skipped(tmp_path: Path) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        return await look(there, settings, railwayToken="wrong-token-of-nobody")

    found = scene(tmp_path, act)
    the_only(found, "railway-token", "BLUEGREEN_RAILWAY_TOKEN")
    assert "as railway-token tells" in found["railway-image"].observed
    assert "wrong-token-of-nobody" not in str([each.model_dump() for each in found.values()])


def test_a_token_of_another_environment_is_told(tmp_path: Path) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        other = parsed({**keys(), "railway": {"projectId": PROJECT, "environmentId": "another"}})
        return await look(there, other)

    finding = the_only(scene(tmp_path, act), "railway-token", "correct projectId and environmentId")
    assert "not to environment another" in finding.observed


def test_a_workspace_token_is_a_warning(tmp_path: Path) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        return await look(there, settings, railwayToken=WORKSPACE_TOKEN, railwayTokenKind="workspace")

    the_only(scene(tmp_path, act), "railway-token-scope", "Make a project token", "warn")


@pytest.mark.parametrize(("live", "status"), [("blue", "warn"), ("green", "fail")])
def test_a_service_that_is_gone_is_told(tmp_path: Path, live: str, status: str) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        await there.railway.service_delete(HERE, await service_id(there, "backend-green"))
        return await look(there, settings)

    the_only(
        scene(tmp_path, act, live=live),
        "railway-services:backend-green",
        "pulumi refresh, then pulumi up, makes",
        status,
    )


def test_a_live_colour_that_was_stopped_does_not_run(tmp_path: Path) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        (latest, *_) = await there.railway.deployments(HERE, await service_id(there, "backend-blue"))
        await there.railway.deployment_stop(latest.id)
        await until_halted(there, "backend-blue")
        return await look(there, settings)

    finding = the_only(scene(tmp_path, act), "railway-running:backend-blue", "pulumi up")
    assert "it was stopped" == finding.observed


@pytest.mark.parametrize(("idle", "stopped"), [("running", True), ("stopped", False)])
def test_an_idle_colour_that_is_not_as_the_config_says_is_a_warning(tmp_path: Path, idle: str, stopped: bool) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        if stopped:
            (latest, *_) = await there.railway.deployments(HERE, await service_id(there, "backend-green"))
            await there.railway.deployment_stop(latest.id)
            await until_halted(there, "backend-green")
        wanted = parsed(keys(idle=idle))
        return await look(there, wanted, *(each for each in CHECKS if each != "railway-running"))

    the_only(scene(tmp_path, act), "idle-stopped:backend", "pulumi refresh, then pulumi up, st", "warn")


def test_another_digest_than_the_configs_is_named(tmp_path: Path) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        changed = deepcopy(keys())
        changed["apps"]["backend"]["blue"]["image"] = image("v3")
        return await look(there, parsed(changed))

    finding = the_only(scene(tmp_path, act), "railway-image:backend-blue", "pulumi up")
    assert image("v3").partition("@")[2] in finding.observed


def test_a_template_that_names_another_image_is_told_before_a_restart_brings_it(tmp_path: Path) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        source = {"source": {"image": image("v3")}}
        await there.railway.service_instance_update(HERE, await service_id(there, "backend-blue"), source)
        return await look(there, settings)

    finding = the_only(scene(tmp_path, act), "railway-image:backend-blue", "a restart by Railway would bring the other")
    assert "its next deployment would be made of" in finding.observed


@pytest.mark.parametrize(
    ("change", "said"),
    [({"drainingSeconds": 7}, "drainingSeconds is 30 instead of 7"), ({"replicas": {REGION: 2}}, "replicas")],
)
def test_what_was_deployed_otherwise_than_the_config_says_is_named(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        changed = deepcopy(keys())
        changed["apps"]["backend"]["green"] |= change
        return await look(there, parsed(changed))

    assert said in the_only(scene(tmp_path, act), "railway-configuration:backend-green", "pulumi up", "warn").observed


def test_a_region_that_railway_does_not_have_is_named_with_those_it_has(tmp_path: Path) -> None:
    async def act(there: Room, settings: Settings) -> Found:
        changed = deepcopy(keys())
        changed["apps"]["backend"]["green"]["replicas"] = {"moon-1": 1}
        return await look(there, parsed(changed), "railway-regions")

    the_only(scene(tmp_path, act), "railway-regions:backend-green", REGION)


async def until_halted(there: Room, name: str) -> None:
    """Returns once Railway shows that nothing of it runs."""
    id = await service_id(there, name)
    async with asyncio.timeout(20):
        while True:
            if (await there.railway.deployments(HERE, id))[0].halted:
                return
            await asyncio.sleep(0.01)
