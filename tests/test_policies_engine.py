"""The policy pack under the real engine: what passes, what stops a preview, and the very line that says why."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.stack_runs import Run
from tests.box import Box, box

KEY_AUTH = {"key_names": ["apikey"], "key_in_query": False, "hide_credentials": True}
RULES = {"production-replicas": {"stacks": ["sandbox"]}, "production-handover": {"stacks": ["sandbox"]}}


class Judged:
    """A stack that keeps every rule, and is put back to that after every edit."""

    def __init__(self, here: Box, folder: Path) -> None:
        self.here, self.folder = here, folder
        here.stack.config["velro:gateway"].pop("types", None)  # so that the route's own plugins are all there is
        self.backend["routes"] = {"api": {"paths": ["/api"], "stripPath": False, "plugins": {"key-auth": KEY_AUTH}}}
        self.backend["blue"]["replicas"] = {"europe-west4-drams3a": 2}
        self.clean = here.stack.snapshot()

    @property
    def backend(self) -> dict[str, Any]:
        backend: dict[str, Any] = self.here.stack.config["velro:apps"]["backend"]
        return backend

    def pack(self, rules: dict[str, Any] = RULES) -> tuple[str, ...]:
        """The options that an engine command takes the pack by."""
        file = self.folder / "policy-config.json"
        file.write_text(json.dumps(rules), encoding="utf-8")
        return "--policy-pack", "policies", "--policy-pack-config", str(file)

    def preview(self, rules: dict[str, Any] = RULES) -> Run:
        self.here.stack.write()
        return self.here.stack.run("preview", *self.pack(rules))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    folder = tmp_path_factory.mktemp("policies")
    with box(folder) as here:
        yield Judged(here, folder)


@pytest.fixture
def judged(world: Judged) -> Judged:
    world.here.stack.restore(world.clean)
    return world


def violations(run: Run) -> list[tuple[str, str, str]]:
    """Rule, resource and sentence of everything that the pack said, in the order in which it did."""
    assert run.log is not None
    entries = [json.loads(line) for line in run.log.read_text(encoding="utf-8").splitlines()]
    told = [entry["policyEvent"] for entry in entries if "policyEvent" in entry]
    return [(one["policyName"], one["resourceUrn"].rpartition("::")[2], one["message"].rstrip("\n")) for one in told]


def test_a_stack_that_keeps_every_rule_passes(judged: Judged) -> None:
    run = judged.preview()
    assert (run.code, violations(run)) == (0, [])
    assert "✅ bluegreen@v0.1.0 (local: policies)" in run.output


def test_the_project_s_own_policy_config_is_one_that_the_engine_takes(judged: Judged) -> None:
    own = json.loads((Path(__file__).parent.parent / "policies" / "policy-config.json").read_text(encoding="utf-8"))
    assert judged.preview(own).code == 0


def test_one_replica_stops_the_preview(judged: Judged) -> None:
    judged.backend["blue"]["replicas"] = {"europe-west4-drams3a": 1}
    run = judged.preview()
    sentence = (
        "backend-blue: replicas are {europe-west4-drams3a: 1}, 1 in total, and stack sandbox needs 2 of every colour: "
        "a host that goes away must not take it along. backend-blue is left as it is. Raise the numbers to 2 or more "
        "together."
    )
    assert (run.code, violations(run)) == (1, [("production-replicas", "backend-blue", sentence)])


def test_a_health_path_that_says_nothing_stops_the_preview(judged: Judged) -> None:
    judged.backend["blue"]["healthcheckPath"] = "/"
    run = judged.preview()
    sentence = (
        "backend-blue: healthcheckPath is '/', which any page of the app answers: it says nothing about its health. "
        "backend-blue is left as it is. Serve the check under one plain path such as /health, and write that."
    )
    assert (run.code, violations(run)) == (1, [("health-path", "backend-blue", sentence)])


def test_a_route_without_authentication_stops_the_preview(judged: Judged) -> None:
    del judged.backend["routes"]["api"]["plugins"]
    run = judged.preview()
    sentence = (
        "backend-api: /api is open to strangers: no authentication plugin stands on it, on its service backend or on "
        "the whole gateway. As declared, everybody who reaches the gateway gets through. Give the route a plugin such "
        "as key-auth or jwt, or name backend-api in `anonymous` of this rule's config if it is public on purpose."
    )
    assert (run.code, violations(run)) == (1, [("route-authenticated", "backend-api", sentence)])


def test_previews_that_nobody_closed_stop_the_preview_in_one_line(judged: Judged) -> None:
    del judged.here.stack.config["velro:secrets"]["previewKey"]
    del judged.backend["routes"]["api"]["plugins"]  # it would stand on the app's own previews too
    run = judged.preview({**RULES, "route-authenticated": {"anonymous": ["backend-api"]}})
    sentence = (
        "backend-blue-api, backend-blue-probe: nothing asks who is calling there. As declared, anybody can look past "
        "the weights, at a colour that is not live. Set secrets.previewKey in the stack config, which puts key-auth on "
        'every preview and probe route, or write "previews": "open" in this rule\'s config if it is meant.'
    )
    assert (run.code, violations(run)) == (1, [("route-authenticated", "backend-blue-api", sentence)])


def test_a_secret_in_clear_and_an_origin_that_nobody_named_stop_the_preview(judged: Judged) -> None:
    judged.backend["blue"]["variables"] = {"REDIS_URL": "redis://:hunter@cache.internal"}
    judged.here.stack.config["velro:gateway"]["plugins"]["cors"]["origins"] = ["*"]
    run = judged.preview()
    assert run.code == 1
    assert sorted((rule, name) for rule, name, _ in violations(run)) == [
        ("cors-origins", "backend-blue-api-cors"),
        ("cors-origins", "backend-green-api-cors"),
        ("cors-origins", "gateway-cors"),
        ("variables-public", "backend-blue"),
    ]
    assert [sentence for _, _, sentence in violations(run) if "hunter" in sentence] == []


def test_a_service_that_nobody_protects_stops_the_preview_where_it_has_to_be(judged: Judged) -> None:
    protected = {**RULES, "production-protected": {"stacks": ["sandbox"]}}
    run = judged.preview(protected)
    assert sorted((rule, name) for rule, name, _ in violations(run)) == [
        ("production-protected", "backend-blue"),
        ("production-protected", "traffic"),
    ]
    judged.here.stack.config["velro:protect"] = True
    run = judged.preview(protected)
    assert (run.code, violations(run)) == (0, [])


def test_an_update_is_stopped_by_its_preview_and_nothing_is_changed(judged: Judged) -> None:
    judged.backend["blue"]["overlapSeconds"] = 0
    judged.here.stack.write()
    run = judged.here.stack.up(*judged.pack())
    assert run.code == 1
    assert run.output.partition("Policies:\n")[2].partition("\n\n")[0].splitlines() == [
        "    ❌ bluegreen@v0.1.0 (local: policies)",
        "        - [mandatory]  production-handover  (bluegreen:railway:Service: backend-blue)",
        "          backend-blue: overlapSeconds is 0 in stack sandbox: the deployment before stops while the gateway "
        "still sends requests to it. backend-blue is left as it is. Write a number above 0, such as "
        "overlapSeconds: 20.",
    ]
    assert judged.here.tagged_ours() == []
    assert judged.here.stack.exported()["deployment"].get("resources", []) == []


def test_an_update_without_a_preview_stops_before_the_service_that_breaks_a_rule(judged: Judged) -> None:
    judged.backend["blue"]["drainingSeconds"] = 0
    judged.here.stack.write()
    run = judged.here.stack.up("--skip-preview", *judged.pack())
    assert run.code == 1
    assert [(rule, name) for rule, name, _ in violations(run)] == [("production-handover", "backend-blue")]
    made = [resource["type"] for resource in judged.here.stack.exported()["deployment"]["resources"]]
    assert [kind for kind in made if kind in ("bluegreen:railway:Service", "bluegreen:rollout:Traffic")] == []
