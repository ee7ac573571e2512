"""How changes of the gateway travel, told once through the real engine under load; each test reads one promise off it.

The story: a good change, bad ones that the rehearsal stops, one that it cannot see and that is put back by hand without
Pulumi, an update that would undo that, the revert, and going on.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox.load import Config, Load
from sandbox.load_tally import Report
from sandbox.stack import ROOT
from sandbox.stack_runs import Run
from tests.box import Box, box, moment, touched
from tests.published import fitting

HELLO = {"name": "api-says-hello", "app": "backend", "path": "/api/hello", "consumer": "web", "within": "30s"}
CLOSED = {"name": "no-key", "app": "backend", "path": "/api/hello", "expect": {"status": 401}, "within": "30s"}
ASKING = {"Origin": "http://frontend.sandbox", "Access-Control-Request-Method": "POST"}
ALLOWED = {"status": 200, "headers": {"Access-Control-Allow-Origin": "http://frontend.sandbox"}}
CORS = {**CLOSED, "name": "cors", "method": "OPTIONS", "headers": ASKING, "expect": ALLOWED}
NEVER = {**HELLO, "name": "never", "expect": {"status": 418}}
BARE_PATH = "/usr/bin:/bin"
Rows = dict[str, list[dict[str, Any]]]
Done = subprocess.CompletedProcess[str]


@dataclass
class Story:
    """Every update and every command by name, and what stood in Kong after it."""

    runs: dict[str, Run] = field(default_factory=dict)
    said: dict[str, Done] = field(default_factory=dict)
    fronts: dict[str, Rows] = field(default_factory=dict)  # what users meet, whole
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)  # the plugin that keeps it
    report: Report | None = None


class Teller:
    """Does one thing after the other, and writes down what stood in Kong then."""

    def __init__(self, here: Box) -> None:
        self.here, self.story = here, Story()

    def up(self, name: str, *options: str) -> None:
        self.story.runs[name] = self.here.stack.up("--skip-preview", *options)
        self._look(name)

    def bluegreen(self, name: str, *arguments: str, **environment: str) -> None:
        here = self.here
        command = [str(ROOT / "bin" / "bluegreen"), *arguments, "--stack", here.stack.name, "--json"]
        variables = {**here.stack.environment(), **environment}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        fitting(arguments[0], done.stdout)
        self.story.said[name] = done
        self._look(name)

    def _look(self, name: str) -> None:
        tags = "?tags=owner:velro.sandbox,part:front&size=1000"
        kinds = ("services", "routes", "plugins")
        self.story.fronts[name] = {kind: self.here.admin("GET", f"/{kind}{tags}")["data"] for kind in kinds}
        self.story.kept[name] = self.here.admin("GET", "/plugins/gateway-kept")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with box(tmp_path_factory.mktemp("gateway")) as here:
        teller = Teller(here)
        here.stack.config["velro:checks"] = [HELLO, CLOSED, CORS]
        _encrypted_key(here)
        teller.up("bootstrap")
        config = Config(targets=(here.target(rps=40),), max_seconds=300)
        with Load.start(config, here.world.data / "load") as load:
            _changes(teller)
            _by_hand(teller)
            _afterwards(teller)
            teller.story.report = load.stop()
        yield teller.story


def _encrypted_key(here: Box) -> None:
    """The stand-in asks for no key, so any is right; what counts is that it is encrypted."""
    here.stack.write()
    assert here.stack.run("config", "set", "--secret", "bluegreen:kongAdminKey", "any").code == 0
    here.stack.reload()


def _changes(teller: Teller) -> None:
    stack = teller.here.stack
    plugins = stack.config["velro:gateway"]["plugins"]
    plugins["cors"]["max_age"] = 60
    plugins["request-size-limiting"] = {"allowed_payload_size": 8}
    stack.write()
    teller.up("a changed plugin")
    del plugins["request-size-limiting"]
    stack.write()
    teller.up("a removed plugin")
    good = stack.snapshot()
    stack.config["velro:apps"]["backend"]["routes"]["api"]["paths"] = ["/apis"]
    stack.write()
    teller.up("a harmful route")
    stack.restore(good)
    stack.config["velro:gateway"]["types"]["api"]["request-termination"] = {"status_code": 503}
    stack.write()
    teller.up("a harmful plugin")
    stack.restore(good)
    del stack.config["velro:gateway"]["plugins"]["cors"]
    stack.write()
    teller.up("a harmful removal")
    stack.restore(good)
    teller.up("all taken back")


def _by_hand(teller: Teller) -> None:
    here = teller.here
    stack, good = here.stack, here.stack.snapshot()
    stack.config["velro:checks"] = [HELLO, CLOSED, CORS, NEVER]
    stack.config["velro:gateway"]["plugins"]["correlation-id"]["header_name"] = "X-Other"
    stack.write()
    teller.up("a check that fails anyway")
    alone = {"PATH": BARE_PATH, "PULUMI_BACKEND_URL": "file:///nowhere"}
    teller.bluegreen("rollback without a key", "rollback", "kong", "--reason", "none", **alone)
    alone["BLUEGREEN_KONG_ADMIN_KEY"] = "any"
    teller.bluegreen("rollback", "rollback", "kong", "--reason", "another id, upstream", **alone)
    teller.bluegreen("rollback again", "rollback", "kong", "--reason", "once more", **alone)
    teller.bluegreen("hold", "hold", "show", **alone)
    teller.up("the same config")
    stack.config["velro:gateway"]["plugins"]["correlation-id"]["header_name"] = "X-Third"
    stack.write()
    teller.up("another config")
    stack.restore(good)
    teller.up("the config of before")
    teller.bluegreen("no hold", "hold", "show", **alone)


def _afterwards(teller: Teller) -> None:
    here, kong = teller.here, {"BLUEGREEN_KONG_ADMIN_KEY": "any"}
    here.stack.config["velro:gateway"]["plugins"]["cors"]["max_age"] = 90
    here.stack.write()
    here.admin("PATCH", "/routes/backend-api", {"methods": ["GET", "HEAD"]})
    teller.bluegreen("rollback of an edit", "rollback", "kong", "--reason", "edited by hand", **kong)
    teller.up("held")
    teller.bluegreen("release without a reason", "hold", "release", **kong)
    teller.bluegreen("release", "hold", "release", "--reason", "all is well", **kong)
    teller.up("released", "--refresh")


def outcome(story: Story, name: str) -> dict[str, Any]:
    """What a command said to machines."""
    told: dict[str, Any] = json.loads(story.said[name].stdout)
    return told


def timeless(rows: Rows) -> Rows:
    """Rows without Kong's own times."""
    return {
        kind: sorted(
            ({name: value for name, value in row.items() if not name.endswith("_at")} for row in found),
            key=lambda row: str(row["id"]),
        )
        for kind, found in rows.items()
    }


def unwitnessed(rows: Rows) -> Rows:
    """The same without the witness, which says which gateway it is."""
    return {
        kind: [row for row in found if "gateway-front" not in str(row.get("instance_name") or row["name"])]
        for kind, found in timeless(rows).items()
    }


def rows(front: Rows) -> list[str]:
    """Everything, times included, in one order."""
    return sorted(json.dumps(row, sort_keys=True) for found in front.values() for row in found)


def test_no_request_failed_in_any_of_it(story: Story) -> None:
    assert story.report is not None
    assert (story.report.total.failed, story.report.failures) == (0, {})
    assert story.report.total.requests > 500


def test_the_first_gateway_is_kept_at_the_end_of_the_update_that_brings_it(story: Story) -> None:
    run = story.runs["bootstrap"]
    assert run.code == 0, run.output
    order = [moment(run, "create rollout:Traffic traffic"), moment(run, "create command:local:Command gateway-kept")]
    assert order == sorted(order)
    assert "passes 3 checks and is kept as the last good one." in run.output
    assert ["kept-for:velro.sandbox"] == story.kept["bootstrap"]["tags"]


def test_nothing_is_rehearsed_while_nothing_serves(story: Story) -> None:
    assert "Nothing serves yet, so there is nobody to harm." in story.runs["bootstrap"].output


def test_a_change_stands_on_the_previews_first_then_is_rehearsed_then_meets_users_then_is_kept(story: Story) -> None:
    run = story.runs["a changed plugin"]
    assert run.code == 0, run.output
    order = [
        moment(run, "update kong:Plugin backend-blue-api-cors"),
        moment(run, "replace command:local:Command gateway-rehearsed", "pre"),
        moment(run, "create-replacement command:local:Command gateway-rehearsed"),
        moment(run, "update kong:Plugin gateway-cors", "pre"),
        moment(run, "update kong:Plugin gateway-cors"),
        moment(run, "create-replacement command:local:Command gateway-kept"),
    ]
    assert order == sorted(order)
    assert "rollout:Traffic traffic" not in " ".join(touched(run))
    assert "is rehearsed: 3 checks, no harm." in run.output


def test_what_is_removed_is_switched_off_on_the_previews_kept_no_more_and_gone_in_the_end(story: Story) -> None:
    run = story.runs["a removed plugin"]
    assert run.code == 0, run.output
    assert "request-size-limiting" in story.kept["a changed plugin"]["config"]["body"]
    assert "request-size-limiting" not in story.kept["a removed plugin"]["config"]["body"]
    assert "request-size-limiting" not in json.dumps(story.fronts["a removed plugin"])


def test_a_removal_that_the_previews_cannot_show_is_judged_before_it_is_final_and_stands_again(story: Story) -> None:
    run = story.runs["a harmful removal"]
    assert run.code != 0
    assert "is rehearsed: 3 checks, no harm." in run.output
    assert "Users meet a gateway that does not pass (cors: " in run.output
    assert "What it would take away stands again." in run.output
    assert unwitnessed(story.fronts["a removed plugin"]) == unwitnessed(story.fronts["a harmful removal"])
    assert story.kept["a removed plugin"] == story.kept["a harmful removal"]


def test_a_harmful_route_is_stopped_and_what_users_meet_is_untouched(story: Story) -> None:
    run = story.runs["a harmful route"]
    assert run.code != 0
    assert "This gateway would do harm, seen on its previews: api-says-hello: " in run.output
    assert "What users meet is as it was." in run.output
    assert rows(story.fronts["a removed plugin"]) == rows(story.fronts["a harmful route"])


def test_a_plugin_with_a_wrong_effect_is_stopped_and_what_users_meet_is_untouched(story: Story) -> None:
    run = story.runs["a harmful plugin"]
    assert run.code != 0
    assert "This gateway would do harm" in run.output
    assert "api-says-hello: answered 503" in run.output
    assert rows(story.fronts["a removed plugin"]) == rows(story.fronts["a harmful plugin"])


def test_once_harmful_changes_are_taken_back_users_meet_what_they_met_before(story: Story) -> None:
    run = story.runs["all taken back"]
    assert run.code == 0, run.output
    assert timeless(story.fronts["a removed plugin"]) == timeless(story.fronts["all taken back"])


def test_a_check_that_fails_on_both_ways_does_not_stop_a_change(story: Story) -> None:
    run = story.runs["a check that fails anyway"]
    assert "backend/never fails on the way that users take, too: answered 200" in run.output
    assert "is rehearsed: 4 checks, no harm." in run.output
    assert "update kong:Plugin gateway-correlation-id" in touched(run)


def test_a_gateway_that_does_not_pass_is_not_kept_and_the_update_says_so(story: Story) -> None:
    run = story.runs["a check that fails anyway"]
    assert run.code != 0
    assert "Users meet a gateway that does not pass (never: answered 200 " in run.output
    assert "bluegreen rollback kong --reason" in run.output
    assert story.kept["all taken back"] == story.kept["a check that fails anyway"]


def test_the_machine_of_the_rollback_has_no_pulumi() -> None:
    assert None is shutil.which("pulumi", path=BARE_PATH)


def test_a_rollback_without_the_admin_key_says_where_it_may_come_from(story: Story) -> None:
    told = outcome(story, "rollback without a key")
    assert (15, "Set BLUEGREEN_KONG_ADMIN_KEY in the environment.") == (told["exit"], told["next"])
    assert "bluegreen:kongAdminKey is encrypted in the config" in told["what"]


def test_a_rollback_without_pulumi_puts_back_what_was_kept(story: Story) -> None:
    told = outcome(story, "rollback")
    assert 0 == told["exit"], story.said["rollback"]
    assert "in force everywhere" in told["what"]
    assert "plugin gateway-correlation-id: config" in told["facts"]["changes"]
    assert rows(story.fronts["all taken back"]) != rows(story.fronts["a check that fails anyway"])
    assert timeless(story.fronts["all taken back"]) == timeless(story.fronts["rollback"])


def test_a_rollback_that_is_done_already_changes_nothing_and_keeps_the_hold(story: Story) -> None:
    assert (0, []) == (outcome(story, "rollback again")["exit"], outcome(story, "rollback again")["facts"]["changes"])
    assert rows(story.fronts["rollback"]) == rows(story.fronts["rollback again"])
    held = outcome(story, "hold")["facts"]["holds"]
    assert [("the gateway", "another id, upstream")] == [(hold["what"], hold["reason"]) for hold in held]


@pytest.mark.parametrize("name", ["the same config", "another config"])
def test_an_update_that_would_undo_a_rollback_is_refused_with_both_ways_out(story: Story, name: str) -> None:
    run = story.runs[name]
    assert run.code != 0
    said = " ".join(run.output.split())
    assert "(another id, upstream)" in said
    assert "Revert the gateway's change in the config, or go on with it: bluegreen hold release --reason …" in said
    assert rows(story.fronts["rollback"]) == rows(story.fronts[name])


def test_reverting_the_config_succeeds_writes_nothing_that_users_meet_and_releases_the_hold(story: Story) -> None:
    run = story.runs["the config of before"]
    assert run.code == 0, run.output
    assert "The hold is released: the config agrees with it" in run.output
    assert rows(story.fronts["rollback"]) == rows(story.fronts["the config of before"])
    assert "Nothing is held." == outcome(story, "no hold")["what"]


def test_a_hand_edit_is_put_back_too(story: Story) -> None:
    told = outcome(story, "rollback of an edit")
    assert (0, ["route backend-api: methods"]) == (told["exit"], told["facts"]["changes"])
    assert timeless(story.fronts["the config of before"]) == timeless(story.fronts["rollback of an edit"])


def test_a_hold_is_released_only_with_a_reason(story: Story) -> None:
    assert story.runs["held"].code != 0
    assert 15 == outcome(story, "release without a reason")["exit"]
    assert (0, "pulumi up --refresh makes it as the config says.") == (
        outcome(story, "release")["exit"],
        outcome(story, "release")["next"],
    )


def test_once_a_hold_is_released_an_update_goes_on_and_is_kept(story: Story) -> None:
    run = story.runs["released"]
    assert run.code == 0, run.output
    cors = next(row for row in story.fronts["released"]["plugins"] if row["instance_name"] == "gateway-cors")
    assert 90 == cors["config"]["max_age"]
    assert story.kept["released"]["config"]["body"] != story.kept["held"]["config"]["body"]


def test_nothing_that_is_kept_or_said_holds_a_key(story: Story) -> None:
    told = [json.dumps(row) for row in story.kept.values()] + [
        done.stdout + done.stderr for done in story.said.values()
    ]
    keys = ("sandbox-preview-key", "sandbox-web-key")
    assert [key for key in keys if any(key in text for text in told)] == []
