"""Every rule of the pack is awake: the production stack keeps all of them, and each breach of it is told by one alone.

The resources are the real stack file's, as the real engine hands them to a pack in a preview: another pack of one rule
listens and writes down what every rule hears. Each mutation then breaks one invariant of them, and all rules judge the
rest as well.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from policies.rule import UNKNOWN, Resource, Violation
from policies.rules import RULES
from sandbox.stack import ROOT
from tests.policies_room import BY_NAME, contract, done, findings
from tests.stack_files import stack_file

CONFIG = json.loads((ROOT / "policies" / "policy-config.json").read_text(encoding="utf-8"))
NOT_KNOWN = "(only the update knows)"
MANIFEST = "description: It listens.\nversion: 0.1.0\nruntime: {{name: python, options: {{virtualenv: {venv}}}}}\n"
LISTENER = """
import json, sys

sys.path.insert(0, {root!r})

from pulumi_policy import PolicyPack

from policies.pack import policies
from policies.rule import UNKNOWN, StackRule

def plain(value):
    return {unknown!r} if value is UNKNOWN else sorted(value)

def listen(resources, config):
    heard = [{{name: getattr(one, name) for name in one.__slots__}} for one in resources]
    with open({file!r}, "w", encoding="utf-8") as file:
        json.dump(heard, file, default=plain)
    return iter(())

PolicyPack("listening", policies([StackRule("listening", "It writes down what rules hear.", judge=listen)]))
"""

Stack: TypeAlias = list[Resource]
Mutation: TypeAlias = Callable[[Stack], Stack]
SERVICE, TRAFFIC = "bluegreen:railway:Service", "bluegreen:rollout:Traffic"
PLUGIN, MIGRATION = "bluegreen:kong:Plugin", "bluegreen:postgres:Migration"
GONE = object()


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """What a pack hears of `Pulumi.production.yaml`."""
    pack, file = tmp_path_factory.mktemp("listening"), tmp_path_factory.mktemp("heard") / "heard.json"
    (pack / "PulumiPolicy.yaml").write_text(MANIFEST.format(venv=ROOT / ".venv"), encoding="utf-8")
    listener = LISTENER.format(root=str(ROOT), file=str(file), unknown=NOT_KNOWN)
    (pack / "__main__.py").write_text(listener, encoding="utf-8")
    with stack_file("production", tmp_path_factory.mktemp("production")) as here:
        here.stack.policies = False  # the engine wants as many policy configs as packs
        run = here.run("preview", "--policy-pack", str(pack))
    assert run.code == 0, run.output
    return [Resource(**_again(fields)) for fields in json.loads(file.read_text(encoding="utf-8"))]


def _again(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _again(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_again(inner) for inner in value]
    return UNKNOWN if value == NOT_KNOWN else value


def told(resources: Stack) -> list[tuple[str, str]]:
    """Rule and sentence of everything that the whole pack has to say, under the project's own policy config."""
    said = [(rule, one) for rule in BY_NAME for one in findings(rule, resources, **CONFIG.get(rule, {}))]
    return [(rule, one.sentence if isinstance(one, Violation) else str(one)) for rule, one in said]


# How a stack is broken.


def edit(kind: str, name: str, path: str, value: Any) -> Mutation:
    """One input of one resource is another, or `GONE`."""
    return _on(kind, name, lambda one: replace(one, properties=_edited(one.properties, path.split("."), value)))


def unprotect(kind: str, name: str) -> Mutation:
    return _on(kind, name, lambda one: replace(one, protect=False))


def remember(*history: Mapping[str, Any]) -> Mutation:
    """Traffic has moved before."""
    return _on(TRAFFIC, "traffic", lambda one: replace(one, outputs={**_mapping(one.outputs), "history": [*history]}))


def unneeded(of: str, name: str) -> Mutation:
    """Traffic no longer waits for one resource."""
    urn = f"{of}::{name}"
    return _on(
        TRAFFIC, "traffic", lambda one: replace(one, needs=[need for need in one.needs if not need.endswith(urn)])
    )


def without(kind: str, name: str) -> Mutation:
    def mutate(stack: Stack) -> Stack:
        left = [one for one in stack if (one.type, one.name) != (kind, name)]
        assert len(left) == len(stack) - 1, name
        return left

    return mutate


def plus(kind: str, name: str, also: str, path: str, value: Any) -> Mutation:
    """One resource more, like one that is there but for its name and one input."""

    def mutate(stack: Stack) -> Stack:
        [like] = [one for one in stack if (one.type, one.name) == (kind, name)]
        more = replace(like, name=also, urn=like.urn.replace(name, also))
        return [*stack, replace(more, properties=_edited(more.properties, path.split("."), value))]

    return mutate


def with_contract(**fields: Any) -> Mutation:
    """A contract that is yet to be applied, as `components/migrations.py` declares it."""

    def mutate(stack: Stack) -> Stack:
        [traffic] = [one for one in stack if one.type == TRAFFIC]
        given = {"upstreams": ["backend", "frontend"], "rollbackWindow": "3d", **fields}
        return [*stack, replace(contract(**given), needs=[traffic.urn])]

    return mutate


def all_of(*mutations: Mutation) -> Mutation:
    def mutate(stack: Stack) -> Stack:
        for mutation in mutations:
            stack = mutation(stack)
        return stack

    return mutate


def _on(kind: str, name: str, change: Callable[[Resource], Resource]) -> Mutation:
    def mutate(stack: Stack) -> Stack:
        changed = [change(one) if (one.type, one.name) == (kind, name) else one for one in stack]
        assert sum(new != old for new, old in zip(changed, stack, strict=True)) == 1, (kind, name)
        return changed

    return mutate


def _edited(value: Any, path: Sequence[str], to: Any) -> Any:
    if not path:
        return to
    here = _mapping(value)
    if len(path) == 1 and to is GONE:
        return {key: inner for key, inner in here.items() if key != path[0]}
    return {**here, path[0]: _edited(here.get(path[0], {}), path[1:], to)}


def _mapping(value: Any) -> Mapping[str, Any]:
    assert isinstance(value, Mapping)
    return value


def service(path: str, value: Any) -> Mutation:
    return edit(SERVICE, "backend-blue", f"release.{path}", value)


def lane(path: str, value: Any, app: str = "backend") -> Mutation:
    return edit(TRAFFIC, "traffic", f"lanes.{app}.{path}", value)


def rollout(path: str, value: Any) -> Mutation:
    return edit(TRAFFIC, "traffic", f"rollout.{path}", value)


def plugin(name: str, path: str, value: Any) -> Mutation:
    return edit(PLUGIN, name, path, value)


def verification(path: str, value: Any) -> Mutation:
    return edit("command:local:Command", "backend-blue-verified", path, value)


# With 72 h and two colours, an app came from green an hour ago, and may go back to it.
CAME = remember(done("blue", release="of-blue"))
RETURNED = remember(done("blue", ago=100, release="of-blue"))
BOTH = lane("addresses", {"blue": "b:1", "green": "g:1"})
GREEN = plus(SERVICE, "backend-blue", "backend-green", "colour", "green")
TO_GREEN = all_of(
    BOTH,
    RETURNED,
    lane("live", "green"),
    lane("weights", {"blue": 0, "green": 100}),
    plus(
        "command:local:Command",
        "backend-blue-verified",
        "backend-green-verified",
        "create",
        "exec bin/bluegreen verify --stack production --app backend --colour green",
    ),
    _on(
        TRAFFIC,
        "traffic",
        lambda one: replace(
            one, needs=[*one.needs, *(need.replace("-blue-verified", "-green-verified") for need in one.needs)]
        ),
    ),
)
MINUTES, SIZES = "backend-api-rate-limiting", "gateway-request-size-limiting"
MUTATIONS: list[tuple[str, Mutation]] = [
    ("image-pinned", service("image", "ghcr.io/velro/backend:v41")),
    ("image-pinned", service("image", GONE)),
    ("health-path", service("healthcheckPath", "/")),
    ("health-path", service("healthcheckPath", "/health-check")),
    ("production-replicas", service("replicas", {"europe-west4-drams3a": 1})),
    ("production-handover", service("overlapSeconds", 0)),
    ("production-handover", service("drainingSeconds", 0)),
    ("variables-public", service("variables", {"API_TOKEN": "hunter"})),
    ("variables-public", service("variables", {"CACHE": "redis://:hunter@cache"})),
    ("variables-public", service("startCommand", "serve --key sk_live_" + "4" * 24)),
    ("production-protected", unprotect(SERVICE, "backend-blue")),
    ("production-protected", unprotect(SERVICE, "frontend-blue")),
    ("production-protected", unprotect(TRAFFIC, "traffic")),
    ("traffic-weights", lane("weights", {"blue": 0})),
    ("traffic-weights", lane("weights", {"blue": 90})),
    ("traffic-weights", lane("weights", {"blue": 110})),
    ("traffic-weights", lane("weights", {"blue": 90, "green": 10})),
    ("traffic-weights", lane("addresses", {})),
    ("traffic-weights", lane("whole", False, app="frontend")),
    (
        "traffic-weights",
        all_of(lane("addresses", {"blue": "b", "green": "g"}, "frontend"), lane("weights.green", 1, "frontend")),
    ),
    ("traffic-steps", rollout("steps", [])),
    ("traffic-steps", rollout("steps", [{"setWeight": 50}])),
    ("traffic-steps", rollout("steps", [{"setWeight": 25}, {"setWeight": 5}])),
    ("traffic-steps", rollout("stepAnalysis", GONE)),
    ("production-analysis", rollout("postPromotionAnalysis", GONE)),
    ("production-analysis", rollout("prePromotionAnalysis", GONE)),
    ("production-analysis", rollout("postPromotionAnalysis.metrics", [{"name": "errors", "dryRun": True}])),
    ("production-windows", rollout("progressDeadlineSeconds", 60)),
    ("production-windows", rollout("rollbackWindow.revisions", 0)),
    ("production-windows", rollout("rollbackWindow.duration", "1h")),
    ("traffic-verified", without("command:local:Command", "backend-blue-verified")),
    ("traffic-verified", unneeded("command:local:Command", "frontend-blue-verified")),
    ("traffic-verified", verification("create", "true")),
    ("traffic-verified", verification("triggers", ["once"])),
    ("contract-alone", all_of(TO_GREEN, with_contract())),
    ("contract-alone", all_of(BOTH, CAME, GREEN, with_contract())),
    ("contract-alone", with_contract(rollbackWindow="1h")),
    ("contract-alone", with_contract(upstreams=["backend"])),
    ("freeze-kept", rollout("freezeOverride", "there was an incident once")),
    ("freeze-kept", all_of(RETURNED, rollout("freezeOverride", "there was an incident once"))),
    ("way-back-kept", CAME),
    ("way-back-kept", all_of(CAME, GREEN, edit(SERVICE, "backend-green", "running", False))),
    ("route-authenticated", without(PLUGIN, "backend-api-key-auth")),
    ("route-authenticated", without(PLUGIN, "ai-veo3-key-auth")),
    ("route-authenticated", without(PLUGIN, "backend-blue-api-key-auth")),
    ("route-authenticated", plugin("backend-api-key-auth", "config.anonymous", "guest")),
    ("route-limited", without(PLUGIN, MINUTES)),
    ("route-limited", without(PLUGIN, "frontend-web-rate-limiting")),
    ("route-limited", plugin(MINUTES, "config.minute", GONE)),
    ("route-limited", plugin(MINUTES, "enabled", False)),
    ("request-size", without(PLUGIN, SIZES)),
    ("request-size", plugin(SIZES, "config.allowed_payload_size", 100)),
    ("correlation-id", without(PLUGIN, "gateway-correlation-id")),
    ("correlation-id", plugin("gateway-correlation-id", "config.echo_downstream", False)),
    ("cors-origins", plugin("gateway-cors", "config.origins", ["*"])),
    ("cors-origins", plugin("gateway-cors", "config.origins", ["https://velro.app", "null"])),
    ("cors-origins", plugin("gateway-cors", "config.origins", GONE)),
    ("cors-origins", plugin("backend-blue-api-cors", "config.origins", [".*"])),
]


def test_production_as_the_engine_shows_it_breaks_no_rule_and_leaves_none_in_doubt(production: Stack) -> None:
    kinds = Counter(one.type for one in production)
    assert (kinds[TRAFFIC], kinds[SERVICE], kinds["command:local:Command"], kinds[MIGRATION]) == (1, 2, 4, 1)
    assert told(production) == []


@pytest.mark.parametrize(
    "content",
    [
        TO_GREEN,
        all_of(BOTH, RETURNED, with_contract()),
        with_contract(),
        all_of(BOTH, CAME, GREEN),
        all_of(TO_GREEN, rollout("freezeOverride", "it cannot wait")),
    ],
    ids=["a move", "a contract", "a first contract", "an idle colour", "a move in a freeze"],
)
def test_what_production_will_do_one_day_breaks_no_rule(production: Stack, content: Mutation) -> None:
    assert told(content(production)) == []


@pytest.mark.parametrize(
    ("rule", "mutation"), MUTATIONS, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(MUTATIONS)]
)
def test_a_breach_is_told_by_its_own_rule_and_by_no_other(production: Stack, rule: str, mutation: Mutation) -> None:
    found = told(mutation(production))
    assert {name for name, _ in found} == {rule}
    assert [sentence for _, sentence in found if "\n" in sentence or "not judged" in sentence] == []


def test_every_rule_has_its_mutations() -> None:
    assert {rule for rule, _ in MUTATIONS} == {rule.name for rule in RULES}
