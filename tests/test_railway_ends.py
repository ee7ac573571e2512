"""A row for every way in which the platform can let a deployment end: what is said and kept, what the next `up` does.

Each row is an update from v1 to v2 of an idle colour over the stand-in, and the same update once more. `exit` is
pulumi's own code: every halt of a resource reaches the engine as a failed precondition, which ends it with 1 (shown
with the engine itself at the end).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from bluegreen.handler import Halt, Held, Partial
from bluegreen.railway.service import ServiceHandler
from bluegreen.railway.spec import ServiceSpec, ServiceState
from sandbox.asking import call
from sandbox.railway_scripts import Outcome
from tests.box import box, touched
from tests.railway_platform import REGION
from tests.railway_room import Room, Screen, image, room, service

Next = Literal["deploys anew", "takes it up", "does nothing", "ends the same"]


@dataclass(frozen=True, slots=True)
class End:
    """How an update ends for a person. In the texts: `{id}` is the last deployment, `{before}` the one of v1."""

    what: str = ""  # empty: it ends well
    world: str = ""
    kept: str | None = "v2"  # the release that state holds as proven
    template: str | None = "v2"  # the image that a restart by Railway would deploy
    kind: type[Halt] | None = None
    exit: int = 0
    then: Next = "does nothing"  # what the next `up` does
    script: Mapping[str, Any] = field(default_factory=dict)
    meanwhile: str = ""  # what somebody does in Railway before the next `up`
    hurried: bool = False  # time passes only by waiting
    release: Mapping[str, Any] = field(default_factory=dict)  # what is special about v2


BACK = "Its configuration is back on {v1}…, without a deployment."
STILL = "Deployment {before}, the one before, still serves; traffic was not moved."
FAILED: dict[str, Any] = {
    "world": f"{STILL} {BACK}",
    "kept": "v1",
    "template": "v1",
    "kind": Partial,
    "exit": 1,
    "then": "deploys anew",
}
NO_PATCH = '{"data": null, "errors": [{"message": "No patch to apply"}]}'
LONG: dict[str, Any] = {"overlapSeconds": 100_000}  # platform seconds: the one before surely still serves
AT_ONCE = {"seconds": 0}  # no look at the deployment comes between its success and its end
ALONE = "No deployment of it serves now; traffic was not moved."
CRASHED = "backend-green came up and crashed: deployment {id} is CRASHED."
CAME = "backend-green did not come up: deployment {id} FAILED at "

ENDS: Mapping[str, End] = {
    "pull-failure": End(
        CAME + "CREATE_CONTAINER: failed to pull image {image}: connection to the registry timed out.", **FAILED
    ),
    "pre-deploy-failure": End(CAME + "PRE_DEPLOY_COMMAND: pre-deploy command exited with code 1.", **FAILED),
    "healthcheck-timeout": End(
        CAME + "HEALTHCHECK: 1/1 replicas never became healthy! GET /health did not answer 200.", **FAILED
    ),
    "slow-healthcheck": End(release={"healthcheckTimeoutSeconds": 10_000}),
    "slow-healthcheck that takes too long": End(
        CAME + "HEALTHCHECK: 1/1 replicas never became healthy! GET /health did not answer 200.",
        **FAILED,
        script={"outcome": "slow-healthcheck", "seconds": 1e6},
    ),
    "crash-after-success": End(CRASHED, **FAILED, script=AT_ONCE, release=LONG),
    "crash-after-success, the one before being gone": End(
        CRASHED,
        **{**FAILED, "world": f"{ALONE} {BACK}", "kept": None},
        script={"outcome": "crash-after-success", **AT_ONCE},
        release={"overlapSeconds": 0, "drainingSeconds": 0},
    ),
    "crash-partial": End(CRASHED, **FAILED, script=AT_ONCE, release={**LONG, "replicas": {REGION: 2}}),
    "exit-zero": End(
        "backend-green does not stay up: every process of deployment {id} has ended.",
        **FAILED,
        script=AT_ONCE,
        release=LONG,
    ),
    "sleeping": End(
        "backend-green sleeps instead of serving: deployment {id} is SLEEPING.", **FAILED, script=AT_ONCE, release=LONG
    ),
    "skipped": End(
        "backend-green was not deployed: Railway SKIPPED deployment {id}, seeing nothing to deploy.", **FAILED
    ),
    "stuck": End(hurried=True),
    "stuck twice": End(
        "backend-green was not deployed: deployment {id} stayed INITIALIZING, and so did the one before it.",
        **FAILED,
        script={"outcome": "stuck", "times": 2},
        hurried=True,
    ),
    "queued": End(),
    "queued for hours": End(
        "backend-green did not come up in time: deployment {id} is still QUEUED after 420 s.",
        **FAILED,
        script={"outcome": "queued", "seconds": 1e6},
        hurried=True,
    ),
    "waiting": End(),
    "waiting for hours": End(
        "backend-green did not come up in time: deployment {id} is still WAITING after 420 s.",
        **FAILED,
        script={"outcome": "waiting", "seconds": 1e6},
        hurried=True,
    ),
    "unknown-status": End(script={"outcome": "unknown-status", "seconds": 50}),
    "foreign-redeploy": End(),
    "superseded": End(
        "backend-green: deployment {id} is REMOVED before it was proven; somebody else deployed this service.",
        **{**FAILED, "world": STILL, "template": "v2"},
    ),
    "needs-approval": End(
        "backend-green: deployment {id} waits for an approval in Railway.",
        **{**FAILED, "world": STILL, "template": "v2", "then": "takes it up"},
        meanwhile="DeploymentApprove",
    ),
    "needs-approval and gets none": End(
        "backend-green: deployment {id} waits for an approval in Railway.",
        **{**FAILED, "world": STILL, "template": "v2", "then": "ends the same"},
        script={"outcome": "needs-approval"},
    ),
    "wrong-image": End(
        "backend-green runs something else than was asked for: the image is {v7 whole} instead of {v2 whole}.",
        **{
            **FAILED,
            "world": f"Deployment {{id}} is SUCCESS. Deployment {{id}} serves; traffic was not moved. {BACK}",
            "kept": None,
        },
        script={"outcome": "wrong-image", "image": image("v7")},
    ),
    "absent-instance": End(hurried=True, then="does nothing"),
    "absent-instance that cannot be made": End(
        "Environment environment-1 has no instance of backend-green, so it cannot run there.",
        "Service {service} exists in the project; nothing of it was deployed.",
        None,
        None,
        Partial,
        1,
        "ends the same",
        script={"outcome": "absent-instance"},
        hurried=True,
    ),
}


def test_every_outcome_of_the_platform_has_its_row() -> None:
    assert {str(row.script.get("outcome", name)) for name, row in ENDS.items()} == set(get_args(Outcome))


def texts(there: Room, old: Held[ServiceState] | None) -> dict[str, str]:
    digests = {tag: image(tag).partition("@")[2] for tag in ("v1", "v2", "v7")}
    made = there.platform.store.world.deployments
    return {
        "id": made[-1].id if made else "",
        "service": there.platform.store.world.services[-1].id,
        "before": str(old.state.deployment_id) if old else "",
        "image": image("v2"),
        **{tag: digest[:19] for tag, digest in digests.items()},
        **{f"{tag} whole": digest for tag, digest in digests.items()},
    }


@dataclass(frozen=True, slots=True)
class Ended:
    """What an update left: the error, or none, and what is held."""

    error: Halt | None
    held: Held[ServiceState]


async def up(handler: ServiceHandler, screen: Screen, old: Held[ServiceState] | None, row: End) -> Ended:
    """An update to v2, or the creation of it, as the engine keeps it."""
    wanted = wished("v2", row)
    try:
        if old is None:
            return Ended(None, await handler.create(screen, wanted))
        return Ended(None, Held(old.id, wanted.model_dump(), await handler.update(screen, wanted, old)))
    except Partial as problem:
        return Ended(problem, problem.held)


def wished(tag: str, row: End) -> ServiceSpec:
    return service(tag, release={"preDeployCommand": "warm", **(row.release if tag == "v2" else {})})


def pinned(there: Room) -> str | None:
    world = there.platform.store.world
    if not world.instances:
        return None
    named = there.instance()["source"]["image"]
    return next(tag for tag in ("v1", "v2", "v7") if image(tag) == named)


def proven(held: Held[ServiceState], row: End) -> str | None:
    releases = {wished(tag, row).release_id: tag for tag in ("v1", "v2")}
    return releases[held.state.release_id] if held.state.release_id else None


def done(calls: list[str], first: Ended, again: Ended) -> Next:
    """What an update did, by what it asked of Railway and how it ended."""
    if not calls:
        return "does nothing"
    if again.error is not None:
        assert first.error is not None
        assert again.error.what == first.error.what
        return "ends the same"
    return "deploys anew" if "ServiceInstanceDeploy" in calls else "takes it up"


@pytest.mark.parametrize("name", ENDS)
def test_an_end_is_told_kept_and_gone_on_from_as_the_table_says(tmp_path: Path, name: str) -> None:
    row = ENDS[name]

    async def scene(there: Room) -> None:
        created = name.startswith("absent-instance")
        old = None if created else await there.running("v1", release={"preDeployCommand": "warm"})
        await there.platform.script({"service": "backend-green", "outcome": name, **row.script})
        if name.endswith("cannot be made"):
            await there.fault("EnvironmentPatchCommit", {"kind": "answer", "status": 200, "body": NO_PATCH}, times=None)
        handler = there.handler(poll=2.0) if row.hurried else there.handler()
        first = await up(handler, Screen(hurried=row.hurried), old, row)
        said = texts(there, old)
        assert (first.error.what if first.error else "") == row.what.format_map(said)
        assert (first.error.world if first.error else "") == row.world.format_map(said)
        assert (type(first.error) if first.error else None, 1 if first.error else 0) == (row.kind, row.exit)
        assert (proven(first.held, row), pinned(there)) == (row.kept, row.template)
        if row.meanwhile:
            await there.platform.do(row.meanwhile, id=said["id"])
        there.calls.clear()
        again = await up(handler, Screen(hurried=row.hurried), first.held, row)
        assert done(there.calls, first, again) == row.then
        if again.error is None:
            assert (proven(again.held, row), again.held.state.image, pinned(there)) == ("v2", image("v2"), "v2")

    async def run() -> None:
        async with asyncio.timeout(30), room(tmp_path) as there:
            await scene(there)

    asyncio.run(run())


@pytest.mark.parametrize("name", [name for name, row in ENDS.items() if row.kept == "v1"])
def test_whoever_goes_back_after_an_end_leaves_no_image_that_a_restart_would_bring_up(
    tmp_path: Path, name: str
) -> None:
    row = ENDS[name]

    async def scene(there: Room) -> None:
        old = await there.running("v1", release={"preDeployCommand": "warm"})
        await there.platform.script({"service": "backend-green", "outcome": name, **row.script})
        handler = there.handler(poll=2.0) if row.hurried else there.handler()
        first = await up(handler, Screen(hurried=row.hurried), old, row)
        there.calls.clear()
        assert await handler.update(Screen(), wished("v1", row), first.held) == old.state
        assert (pinned(there), "ServiceInstanceDeploy" in there.calls) == ("v1", False)
        assert (there.calls == []) == (row.template == "v1")

    async def run() -> None:
        async with asyncio.timeout(30), room(tmp_path) as there:
            await scene(there)

    asyncio.run(run())


def test_a_release_that_does_not_come_up_ends_pulumi_with_1_and_the_next_up_ships_it(tmp_path: Path) -> None:
    with box(tmp_path) as here:
        here.bootstrap()
        railway = here.world.railway_url.removesuffix("/graphql/v2")
        script = {"service": "backend-green", "outcome": "pull-failure"}
        call("PUT", f"{railway}/__scripts", [script])
        here.stack.deploy("backend", "green", "v2")
        failed = here.stack.up("--skip-preview")
        assert (failed.code, failed.output.count("backend-green did not come up: deployment ")) == (1, 1)
        assert "update railway:Service backend-green" in touched(here.ok("--skip-preview"))
