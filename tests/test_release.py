"""The story of a stack through the real engine, told once; each test reads one promise off its event logs."""

import subprocess
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.asking import call
from sandbox.people import JWT_SECRET
from sandbox.postgres_address import PASSWORD
from sandbox.stack import API_KEY, KEY
from sandbox.stack_runs import Run
from tests.box import Box, box, moment, touched
from tests.tap import Tap, Write, tapped


@dataclass
class Story:
    """Every update of the story, by name, and what was found at its end."""

    runs: dict[str, Run]
    live: dict[str, dict[str, int]]
    previews: dict[str, int]
    dependencies: list[str]
    left: list[object]
    routes: dict[str, str]  # what a route is called, by its id
    plugins: list[dict[str, Any]]
    first: list[Write]
    last: list[Write]
    stands: dict[str, list[object]]  # everything of ours in Kong, before and after


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with box(tmp_path_factory.mktemp("story"), database=True) as here:
        with tapped(here.world.admin) as tap:
            here.stack.config["bluegreen:kongAdminUrl"] = tap.url
            yield _tell(here, tap)


def _tell(here: Box, tap: Tap) -> Story:
    told = Story({}, {}, {}, [], [], {}, [], [], [], {})

    def up(name: str) -> None:
        told.runs[name] = here.ok()
        told.live[name] = here.weights()

    stack = here.stack
    stack.migrate("011")
    up("bootstrap")
    told.first = list(tap.writes)
    told.routes = {row["id"]: row["name"] for row in here.admin("GET", "/routes?size=1000")["data"]}
    told.previews = {
        "blue": _preview(here, "blue", apikey=KEY),
        "green, which does not exist": _preview(here, "green", apikey=KEY),
        "blue without a key": _preview(here, "blue"),
        "blue with a wrong key": _preview(here, "blue", apikey="wrong"),
        "blue with another consumer's key": _preview(here, "blue", apikey=API_KEY),
    }
    stack.deploy("backend", "green", "v2")
    up("idle deploy")
    stack.shift("green")
    told.runs["preview of a shift"] = stack.run("preview", "--diff")
    up("shift")
    up("again")
    told.runs["refresh"] = stack.run("refresh", "--yes", "--skip-preview")
    up("after a refresh")
    stack.deploy("backend", "blue", "v3")
    up("idle deploy of blue")
    _git(here, "init", "--quiet")
    _commit(here, "blue: v3, idle")
    stack.deploy("backend", "blue", "v4")
    stack.shift("blue")
    _commit(here, "blue: v4, live")
    up("combined")
    _git(here, "revert", "--no-edit", "HEAD")
    stack.reload()
    up("revert")
    told.dependencies = _dependencies(here)
    stack.config["velro:protect"] = True
    stack.write()
    up("protected")
    told.stands["protected"] = _ours(here)
    told.runs["destroy of a protected stack"] = stack.run("destroy", "--yes", "--skip-preview")
    told.stands["kept"] = _ours(here)
    assert stack.run("state", "unprotect", "--all", "--yes").code == 0
    told.runs["destroy without teardown"] = stack.run("destroy", "--yes", "--skip-preview")
    before, told.plugins = len(tap.writes), here.admin("GET", "/plugins?tags=owner:velro.sandbox&size=1000")["data"]
    told.runs["destroy"] = stack.run("destroy", "--yes", "--skip-preview", BLUEGREEN_TEARDOWN="1")
    told.last = tap.writes[before:]
    told.left = here.tagged_ours()
    return told


def _ours(here: Box) -> list[object]:
    kinds = ("services", "routes", "plugins", "upstreams", "consumers")
    return [here.admin("GET", f"/{kind}?tags=owner:velro.sandbox&size=1000")["data"] for kind in kinds]


def _git(here: Box, *arguments: str) -> None:
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@localhost", "-C", str(here.stack.folder)]
    subprocess.run([*command, *arguments], check=True, capture_output=True)


def _commit(here: Box, message: str) -> None:
    _git(here, "add", here.stack.file.name)
    _git(here, "commit", "--quiet", "--message", message)


def _preview(here: Box, colour: str, **headers: str) -> int:
    named = {"X-Preview-Colour": colour, "X-Preview-App": "backend", **headers}
    try:
        call("GET", f"{here.world.proxy}/api/hello", **named)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


def _dependencies(here: Box) -> list[str]:
    resources = here.stack.exported()["deployment"]["resources"]
    traffic = next(resource for resource in resources if resource["type"] == "bluegreen:rollout:Traffic")
    return [urn.rpartition("::")[2] for urn in traffic["dependencies"]]


def test_bootstrap_goes_gateway_service_verification_traffic(story: Story) -> None:
    run = story.runs["bootstrap"]
    order = [
        moment(run, "create kong:Route backend-blue-api"),
        moment(run, "create railway:Service backend-blue", "pre"),
        moment(run, "create command:local:Command backend-blue-verified"),
        moment(run, "create rollout:Traffic traffic"),
    ]
    assert order == sorted(order)
    assert story.live["bootstrap"] == {"blue": 100}


def test_a_preview_leads_to_one_colour_and_opens_to_the_preview_key_alone(story: Story) -> None:
    assert story.previews == {
        "blue": 200,
        "green, which does not exist": 503,
        "blue without a key": 401,
        "blue with a wrong key": 401,
        "blue with another consumer's key": 403,
    }


def test_an_idle_deploy_leaves_traffic_alone(story: Story) -> None:
    run = story.runs["idle deploy"]
    assert "rollout:Traffic traffic" not in " ".join(touched(run))
    assert moment(run, "create railway:Service backend-green") < moment(
        run, "create command:local:Command backend-green-verified"
    )
    assert story.live["idle deploy"] == {"blue": 100}


def test_a_shift_updates_traffic_and_nothing_else(story: Story) -> None:
    assert touched(story.runs["shift"]) == ["update rollout:Traffic traffic"]
    assert story.live["shift"] == {"blue": 0, "green": 100}


def test_a_preview_of_a_shift_shows_live_release_and_weights_and_no_other_resource(story: Story) -> None:
    resources = story.runs["preview of a shift"].output.partition("--outputs:--")[0]
    changed = [line.split() for line in resources.splitlines() if line.strip().startswith(("~ ", "+ ", "- "))]
    names = [words[1].rstrip(":") for words in changed]
    assert names == ["bluegreen:rollout:Traffic", "lanes", "backend", "live", "release", "weights", "blue", "green"]
    assert 'live   : "blue" => "green"' in resources
    assert "rollout: backend blue → green 100 %" in resources


def test_a_second_update_changes_nothing(story: Story) -> None:
    assert touched(story.runs["again"]) == []


def test_a_refresh_finds_nothing_that_differs(story: Story) -> None:
    assert story.runs["refresh"].code == 0
    assert "unchanged" in story.runs["refresh"].output.partition("Resources:")[2].split("\n\n")[0]
    assert "~" not in story.runs["refresh"].output.partition("Resources:")[2].split("\n\n")[0]
    assert touched(story.runs["after a refresh"]) == []


def test_a_combined_release_deploys_and_verifies_before_it_moves_traffic(story: Story) -> None:
    run = story.runs["combined"]
    order = [
        moment(run, "update railway:Service backend-blue"),
        moment(run, "create-replacement command:local:Command backend-blue-verified"),
        moment(run, "update rollout:Traffic traffic", "pre"),
    ]
    assert order == sorted(order)
    assert story.live["combined"] == {"blue": 100, "green": 0}


def test_reverting_a_combined_release_moves_traffic_before_it_redeploys(story: Story) -> None:
    run = story.runs["revert"]
    assert moment(run, "update rollout:Traffic traffic") < moment(run, "update railway:Service backend-blue", "pre")
    assert story.live["revert"] == {"blue": 0, "green": 100}


def test_traffic_waits_for_the_verification_of_the_live_colour(story: Story) -> None:
    assert "backend-green-verified" in story.dependencies
    assert "backend-blue-verified" not in story.dependencies


def test_no_route_takes_anybody_before_everything_that_stands_on_it(story: Story) -> None:
    hung, opened = dict[str, int](), dict[str, int]()
    for at, write in enumerate(story.first):
        if write.path == "/plugins" and "route" in write.body:
            hung[write.body["route"]["name"]] = at
        elif write.path.startswith("/routes") and "nobody" not in str(write.body.get("headers")):
            opened[write.body.get("name") or story.routes[write.path.rpartition("/")[2]]] = at
    assert {"backend-api", "backend-blue-api", "backend-green-api", "gateway-front"} <= hung.keys()
    hung.pop("gateway-kept")  # nobody meets that route, ever
    assert [] == [route for route, at in hung.items() if opened[route] < at]


def test_a_route_is_gone_before_anything_that_stands_on_it(story: Story) -> None:
    paths = [write.path for write in story.last if write.method == "DELETE"]
    hung = {f"/plugins/{row['id']}": row["route"]["id"] for row in story.plugins if row["route"] is not None}
    assert len(hung) > 5
    assert [] == [
        path for path, id in hung.items() if path in paths and paths.index(f"/routes/{id}") > paths.index(path)
    ]


def test_destroy_of_a_protected_stack_takes_nothing_that_users_need(story: Story) -> None:
    run = story.runs["destroy of a protected stack"]
    assert run.code != 0
    assert "cannot be deleted" in run.output
    assert story.stands["protected"] == story.stands["kept"]


def test_destroy_is_refused_while_something_carries_traffic(story: Story) -> None:
    run = story.runs["destroy without teardown"]
    assert run.code != 0
    assert "BLUEGREEN_TEARDOWN=1 pulumi destroy" in run.output


def test_destroy_leaves_nothing_tagged_ours(story: Story) -> None:
    run = story.runs["destroy"]
    assert (run.code, story.left) == (0, []), run.output


def test_no_update_wrote_a_secret_into_its_log(story: Story) -> None:
    for run in story.runs.values():
        assert run.log is not None
        told = run.log.read_text(encoding="utf-8") + run.output
        assert [secret for secret in (KEY, API_KEY, PASSWORD, JWT_SECRET) if secret in told] == []
