"""The checks of all that is no database, on a stack of the real engine: one fault is one finding.

The stack went over to green once, so blue is the way back. Every test puts back what it has done.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bluegreen.connections import connect
from bluegreen.gateway import Hold, MoveTag, Slot
from bluegreen.kong import kept as last_good
from bluegreen.kong.gateway import KongGateway
from bluegreen.rollout.spec import TrafficState
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour
from bluegreen.standing import Recorded
from bluegreen.validation import gateway as gateway_checks
from bluegreen.validation.finding import Finding
from sandbox.stack import API_KEY, KEY
from tests.box import Box, box, wait
from tests.memory import Clock
from tests.validation_room import INFRASTRUCTURE, Found, once, parsed, wrong

GROUPS = tuple(group for group in INFRASTRUCTURE if group != "database")
NOW = datetime.now(UTC)
HOLD = Hold("ann@ops", NOW, "logins fail")
LEFT = MoveTag("1a2b3c4d", "blue", NOW - timedelta(hours=1))
TIMES = ("created_at", "updated_at", "id")
SECRETS = {"previewKey": KEY, "releaseKey": "sandbox-release-key", "consumers": {"web": API_KEY}}


@dataclass
class Here:
    """The stack, and what is known of it without asking again: `known` is what Pulumi recorded."""

    box: Box
    known: Recorded

    def settings(self, **changes: Any) -> Settings:
        """As the config has it, with these keys otherwise."""
        mine = {key.partition(":")[2]: each for key, each in self.box.stack.config.items() if key.startswith("velro:")}
        return parsed({**deepcopy(mine), "secrets": SECRETS, **changes}, "sandbox", "velro")

    def values(self, **changes: str) -> dict[str, str]:
        config = self.box.stack.config
        own = {key.partition(":")[2]: str(each) for key, each in config.items() if key.startswith("bluegreen:")}
        return {**own, "railwayToken": self.box.world.railway_token, "previewKey": KEY, **changes}

    def apps(self, **changes: Any) -> dict[str, Any]:
        apps: dict[str, Any] = deepcopy(self.box.stack.config["velro:apps"])
        apps["backend"] |= changes
        return apps

    def let_in(self) -> set[int]:
        """What users' health checks past the weights answer with our key, on every worker of the gateway."""
        lane = self.settings().lanes()["backend"]
        with ExitStack() as lines:  # all open at once, so that each worker has some
            clients = [lines.enter_context(httpx.Client(trust_env=False)) for _ in range(8)]
            shown = [{name: by[colour] for name, by in lane.probe.headers.items()} for colour in COLOURS]
            headers = [{**shown[number % 2], "apikey": KEY} for number in range(len(clients))]
            url = f"{self.box.world.proxy}/health"
            return {client.get(url, headers=mine).status_code for client, mine in zip(clients, headers, strict=True)}

    def look(self, *only: str, settings: Settings | None = None, known: Recorded | None = None, **given: Any) -> Found:
        """Every finding of everything that is no database, or of these checks."""
        values = given.pop("values", None) or self.values()
        chosen = settings or self.settings()
        given = {"recorded": known or self.known, "ctx": Clock(at=NOW), **given}
        return asyncio.run(once(chosen, values, *only, groups=GROUPS, **given))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with box(tmp_path_factory.mktemp("standing"), "--dns-stale-ttl", "1", "--dns-order", "LAST,AAAA,A,CNAME") as one:
        gateway = one.stack.config["velro:gateway"]
        gateway["models"] = [{"name": "q1", "type": "image", "host": "models.example"}]
        gateway["types"]["image"] = {"rate-limiting": {"second": 5, "policy": "local"}}
        gateway["types"]["api"] |= {"rate-limiting": {"second": 500, "policy": "local"}}
        one.stack.config["velro:apps"]["backend"]["sticky"] = {"cookie": "colour"}
        one.stack.deploy("backend", "green", "v2")
        one.bootstrap()
        one.stack.shift("green")
        one.ok("--skip-preview")
        yield Here(one, _recorded(one))


def _recorded(one: Box) -> Recorded:
    state = one.stack.exported()["deployment"]["resources"]
    (traffic,) = [row["outputs"] for row in state if row["type"] == "bluegreen:rollout:Traffic"]
    services = [row for row in state if row["type"] == "bluegreen:railway:Service"]
    releases = {(row["inputs"]["app"], row["inputs"]["colour"]): row["outputs"]["releaseId"] for row in services}
    return Recorded(traffic=TrafficState.model_validate(traffic), releases=releases, held=False)


def the_only(found: Found, id: str, remedy: str, status: str = "fail") -> Finding:
    """The one finding that is not well, of which the remedy is told."""
    assert [(id, status)] == [(each, finding.status) for each, finding in wrong(found).items()], wrong(found)
    (finding,) = wrong(found).values()
    assert remedy in finding.hint
    return finding


def with_slot(here: Here, colour: Colour, **changes: Any) -> Callable[[], None]:
    """This colour's target otherwise; answers what puts it back."""

    async def put(fields: Mapping[str, Any]) -> Slot:
        connections = connect(here.values(), {})
        try:
            gateway = KongGateway(connections.kong())
            before = (await gateway.split("backend")).slots[colour]
            await gateway.put("backend", replace(before, **fields), seen=before)
            await gateway.prove(await gateway.split("backend"), within=timedelta(seconds=20), nodes=1)
            return before
        finally:
            await connections.close()

    before = asyncio.run(put(changes))
    back = {name: getattr(before, name) for name in before.__slots__ if name != "row"}

    def again() -> None:
        asyncio.run(put(back))

    return again


@contextmanager
def changed(here: Here, path: str, change: Mapping[str, Any]) -> Iterator[None]:
    """Somebody has changed an entity, and every worker knows; put back afterwards."""
    before = here.box.admin("GET", path)
    key = f"{path.rpartition('/')[0]}/{before['id']}"
    here.box.admin("PATCH", key, change)
    here.box.admin("POST", "/__settle")
    try:
        yield
    finally:
        here.box.admin("PUT", key, {name: each for name, each in before.items() if name not in TIMES})
        here.box.admin("POST", "/__settle")


def statuses(found: Found) -> dict[str, str]:
    """How whatever did not pass ended; a failure shows what was seen."""
    bad = wrong(found)
    for finding in bad.values():
        print(finding.id, finding.status, finding.observed)
    return {id: each.status for id, each in bad.items()}


def test_every_check_of_a_stack_that_is_well_passes(here: Here) -> None:
    found = here.look()
    assert {} == wrong(found)
    skipped = {id for id, each in found.items() if each.status == "skipped"}
    assert {"tls-expiry", "tls-trusted", "colours-replicas"} == skipped
    assert "2 workers" in found["traffic-in-force:backend"].observed
    assert "a rollback to blue" in found["rollback-possible:backend"].observed


def test_a_gateway_that_is_away_fails_one_check(here: Here) -> None:
    found = here.look(values=here.values(kongAdminUrl="http://127.0.0.1:9"))
    the_only(found, "gateway-reachable", "Check bluegreen:kongAdminUrl")
    assert "as gateway-reachable tells" in found["traffic-weights"].observed


@pytest.mark.parametrize(
    ("colour", "changes", "id", "remedy", "status"),
    [
        ("green", {"weight": 60}, "traffic-weights:backend", "pulumi up makes it as the config says", "fail"),
        ("blue", {"weight": 30}, "idle-without-traffic:backend", "pulumi up takes its weight away", "fail"),
        ("green", {"rejected": True}, "traffic-rejected:backend", "bluegreen rollback backend", "fail"),
        ("green", {"hold": HOLD}, "traffic-hold:backend", "bluegreen hold release", "warn"),
        ("green", {"move": LEFT}, "traffic-move:backend", "bluegreen recover", "fail"),
        ("green", {"release": "0" * 16}, "traffic-release:backend", "pulumi up", "fail"),
        (
            "blue",
            {"address": "elsewhere.railway.internal:8000"},
            "colours-apart:backend",
            '"target": "backend-blue',
            "fail",
        ),
    ],
)
def test_a_target_that_was_changed_by_hand_is_one_finding(
    here: Here, colour: Colour, changes: dict[str, Any], id: str, remedy: str, status: str
) -> None:
    back = with_slot(here, colour, **changes)
    try:
        found = here.look()
    finally:
        back()
    the_only(found, id, remedy, status)


def test_a_weight_that_is_on_its_way_to_the_workers_is_no_fault(here: Here) -> None:
    (row,) = [row for row in here.box.targets() if "colour:green" in row["tags"]]
    path = f"/upstreams/backend/targets/{row['id']}"
    here.box.admin("PATCH", path, {"weight": 90})
    try:
        assert "pass" == here.look("traffic-in-force")["traffic-in-force:backend"].status
    finally:
        here.box.admin("PATCH", path, {"weight": row["weight"]})
        here.box.admin("POST", "/__settle")


@pytest.mark.parametrize(
    ("path", "change", "id", "remedy"),
    [
        ("/services/backend", {"host": "elsewhere"}, "gateway-entities", "pulumi refresh"),
        (
            "/plugins/backend-blue-api-key-auth",
            {"enabled": False},
            "gateway-entities",
            "PATCH /plugins/backend-blue-api-k",
        ),
        ("/plugins/gateway-cors", {"config": {"origins": ["https://evil.test"]}}, "gateway-kept", "pulumi refresh"),
        ("/plugins/gateway-cors", {"enabled": False}, "gateway-kept", "bluegreen rollback kong"),
        ("/services/backend", {"enabled": False}, "gateway-entities", "PATCH /services/backend in Kong"),
        ("/routes/backend-blue-api", {"paths": ["/else"]}, "gateway-entities", "pulumi refresh"),
    ],
)
def test_an_entity_that_was_changed_by_hand_is_one_finding(
    here: Here, path: str, change: dict[str, Any], id: str, remedy: str
) -> None:
    with changed(here, path, change):
        found = here.look()
    the_only(found, id, remedy)


@pytest.mark.parametrize(
    ("colour", "id", "remedy"),
    [
        ("blue", "rollback-answers:backend", "pulumi refresh, then pulumi up, deploys it again"),
        ("green", "live-answers:backend", "bluegreen rollback backend"),
    ],
)
def test_a_colour_that_does_not_answer_is_told_beside_the_reason(here: Here, colour: str, id: str, remedy: str) -> None:
    away = {"port": 9}
    with changed(here, f"/services/backend-{colour}", away):
        bad = wrong(here.look())
    assert {"gateway-entities", id} == set(bad)
    assert f"service backend-{colour} has another port" == bad["gateway-entities"].observed
    assert remedy in bad[id].hint


def test_a_plugin_that_is_gone_is_missing_and_no_more(here: Here) -> None:
    row = here.box.admin("GET", "/plugins/backend-api-key-auth")
    here.box.admin("DELETE", "/plugins/backend-api-key-auth")
    try:
        found = here.look()
    finally:
        here.box.admin("PUT", f"/plugins/{row['id']}", {key: each for key, each in row.items() if key not in TIMES})
        here.box.admin("POST", "/__settle")
    assert "plugin backend-api-key-auth is missing" == the_only(found, "gateway-entities", "pulumi up").observed


def test_what_is_marked_as_ours_and_not_declared_is_left_over(here: Here) -> None:
    here.box.admin("PUT", "/services/old", {"host": "old", "tags": ["owner:velro.sandbox"]})
    try:
        found = here.look()
    finally:
        here.box.admin("DELETE", "/services/old")
    assert "service old" == the_only(found, "gateway-orphans", "deletes it with --prune", "warn").observed


def test_a_gateway_that_was_restored_by_hand_is_held(here: Here) -> None:
    async def hold(hold: Hold | None) -> None:
        connections = connect(here.values(), {})
        try:
            await last_good.hold_on(connections.kong(), "velro.sandbox", hold)
        finally:
            await connections.close()

    asyncio.run(hold(HOLD))
    try:
        found = here.look()
    finally:
        asyncio.run(hold(None))
    assert "ann@ops" in the_only(found, "gateway-hold", "bluegreen hold release", "warn").observed


def test_a_kept_gateway_that_cannot_be_read_is_no_way_back(here: Here) -> None:
    body = {"config": {"body": "somebody has written over it"}}
    with changed(here, "/plugins/gateway-kept", body):
        found = here.look()
    finding = the_only(found, "gateway-kept", "Delete the plugin gateway-kept", "warn")
    assert "it is no text of ours any more" in finding.observed
    assert "as gateway-kept tells" in found["gateway-hold"].observed


def test_a_config_that_no_update_has_brought_is_told_by_the_kept_gateway(here: Here) -> None:
    gateway = deepcopy(here.box.stack.config["velro:gateway"])
    gateway["plugins"]["cors"]["origins"] = ["https://new.test"]
    found = here.look(settings=here.settings(gateway=gateway))
    the_only(found, "gateway-kept", "no update has run since the config changed", "warn")


def test_a_node_too_few_is_told(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_checks, "LOOKING", 0.4)
    gateway = {**here.box.stack.config["velro:gateway"], "nodes": 2}
    found = here.look(settings=here.settings(gateway=gateway))
    assert "1 of 2 answered" in the_only(found, "gateway-nodes", "Set gateway.nodes to 1").observed


def test_what_the_last_update_recorded_otherwise_is_told(here: Here) -> None:
    assert here.known.traffic is not None
    other = here.known.traffic.model_copy(update={"weights": {"backend": {"blue": 0, "green": 90}}})
    found = here.look(known=replace(here.known, traffic=other))
    the_only(found, "traffic-recorded:backend", "pulumi refresh")


def test_without_pulumis_state_what_follows_from_it_is_skipped(here: Here) -> None:
    found = here.look(known=Recorded(unread="there is no pulumi on PATH"))
    assert {} == wrong(found)
    for id in ("traffic-recorded", "rollback-possible", "stack-lock"):
        assert ("skipped", True) == (found[id].status, "no pulumi on PATH" in found[id].observed)


def test_a_way_back_whose_time_is_over_is_a_warning(here: Here) -> None:
    found = here.look(ctx=Clock(at=NOW + timedelta(days=30)))
    finding = the_only(found, "rollback-possible:backend", "only a new release mends anything", "warn")
    assert "the rollback window is over" in finding.observed


@pytest.mark.parametrize(
    ("values", "id", "remedy"),
    [
        ({"previewKey": "not-the-preview-key"}, "preview-key", "BLUEGREEN_PREVIEW_KEY"),
        ({"railwayToken": "not-the-token"}, "railway-token", "BLUEGREEN_RAILWAY_TOKEN"),
        ({"railwayToken": ""}, "secrets-set:bluegreen:railwayToken", "pulumi config set --secret"),
        ({"previewKey": ""}, "secrets-set:bluegreen:previewKey", "BLUEGREEN_PREVIEW_KEY"),
        ({"kongProxyUrl": ""}, "secrets-set:bluegreen:kongProxyUrl", "BLUEGREEN_KONG_PROXY_URL"),
    ],
)
def test_a_key_that_is_wrong_or_missing_is_one_finding(
    here: Here, values: dict[str, str], id: str, remedy: str
) -> None:
    found = here.look(values=here.values(**values))
    the_only(found, id, remedy)
    assert "not-the" not in str([each.model_dump() for each in found.values()])


def test_an_admin_api_that_answers_strangers_elsewhere_is_a_warning(here: Here) -> None:
    elsewhere = here.box.world.admin.replace("127.0.0.1", "0.0.0.0")
    found = here.look(values=here.values(kongAdminUrl=elsewhere))
    the_only(found, "admin-api-closed", "bluegreen:kongAdminKey", "warn")


def test_a_preview_that_lets_strangers_in_is_told(here: Here) -> None:
    off = {"enabled": False}
    with (
        changed(here, "/plugins/backend-green-probe-key-auth", off),
        changed(here, "/plugins/backend-green-probe-acl", off),
    ):
        bad = wrong(here.look())
    wait(lambda: here.let_in() == {200})  # the tests after this one show the key to the same doors
    assert {"preview-closed", "gateway-entities"} == set(bad)
    assert "without a key a preview answers 200" == bad["preview-closed"].observed
    assert "secrets.previewKey" in bad["preview-closed"].hint


def test_a_config_that_is_ahead_before_a_release_is_no_fault(here: Here) -> None:
    apps = here.apps(live="blue")
    found = here.look(settings=here.settings(apps=apps))
    finding = the_only(found, "traffic-weights:backend", "no update has run since the config changed", "warn")
    assert "blue is to have 100, and Kong has blue 0 / green 100" == finding.observed


def test_a_config_that_no_update_will_bring_fails_and_names_what_has_to_be_done_first(here: Here) -> None:
    back = with_slot(here, "blue", rejected=True)
    try:
        found = here.look(settings=here.settings(apps=here.apps(live="blue")))
    finally:
        back()
    bad = statuses(found)
    assert {"traffic-weights:backend": "fail", "rollback-possible:backend": "warn"} == bad
    finding = found["traffic-weights:backend"]
    assert "or allow one more try with rollout.retry: " in finding.hint
    assert "blue is to have 100, and Kong has blue 0 / green 100; no update brings it: release " in finding.observed
    assert "Set apps.backend.live back" in finding.hint


def test_a_way_back_without_a_target_is_told_before_somebody_needs_it(here: Here) -> None:
    (row,) = [row for row in here.box.targets() if "colour:blue" in row["tags"]]
    here.box.admin("DELETE", f"/upstreams/backend/targets/{row['id']}")
    try:
        found = here.look()
    finally:
        body = {key: row[key] for key in ("target", "weight", "tags")}
        here.box.admin("POST", "/upstreams/backend/targets", body)
        here.box.admin("POST", "/__settle")
    the_only(found, "rollback-possible:backend", "apps.backend.live: blue, then pulumi up", "warn")


def test_a_new_release_that_is_yet_to_come_is_a_warning_of_what_runs_there(here: Here) -> None:
    apps = here.apps()
    apps["backend"]["blue"] = here.box.stack.block("backend", "blue", "v3")
    bad = statuses(here.look(settings=here.settings(apps=apps)))
    assert {"railway-image:backend-blue": "warn", "rollback-possible:backend": "warn"} == bad
    apps = here.apps()
    apps["backend"]["green"] = here.box.stack.block("backend", "green", "v3")
    bad = statuses(here.look(settings=here.settings(apps=apps)))
    assert {"railway-image:backend-green": "fail", "traffic-release:backend": "warn"} == bad
