"""The pack's own process, asked over gRPC as the engine asks it: what it registers and what it answers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policies.rule import ResourceRule
from policies.rules import RULES

PACK = Path(__file__).parent.parent / "policies"
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "ghcr.io/acme/secret:v1"}
TAGGED = "ghcr.io/acme/backend:v42"


class Pack:
    """A pack that serves."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = analyzer_pb2_grpc.AnalyzerStub(channel)

    def judge(self, kind: str, name: str, properties: dict[str, Any]) -> list[Any]:
        """What it says about one resource."""
        of = f"bluegreen:{kind}"
        request = analyzer_pb2.AnalyzeRequest(type=of, name=name, urn=urn(of, name), properties=wire(properties))
        request.options.protect = True
        return list(self.stub.Analyze(request).diagnostics)

    def judge_stack(self, *resources: tuple[str, str], rule: str = "route-authenticated") -> list[Any]:
        """What this rule says about a stack that holds these; as from the engine, their outputs do not tell of them."""
        request = analyzer_pb2.AnalyzeStackRequest()
        for kind, name in resources:
            of = f"bluegreen:{kind}"
            outputs = wire({"id": UNKNOWN_TEXT, "name": name})
            request.resources.append(
                analyzer_pb2.AnalyzerResource(type=of, name=name, urn=urn(of, name), properties=outputs)
            )
        return [told for told in self.stub.AnalyzeStack(request).diagnostics if told.policyName == rule]

    def configure(self, **rules: dict[str, Any]) -> None:
        request = analyzer_pb2.ConfigureAnalyzerRequest()
        for name, properties in rules.items():
            entry = request.policyConfig[name.replace("_", "-")]
            entry.enforcementLevel = analyzer_pb2.MANDATORY
            entry.properties.update(properties)
        self.stub.Configure(request)


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:production::velro::{kind}::{name}"


def wire(properties: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(properties)
    return struct


@pytest.fixture(scope="module")
def pack() -> Iterator[Pack]:
    """Every warning is an error in it, and no engine is there."""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(PACK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PACK, env=environment) as process:
        assert process.stdout is not None
        try:
            with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
                yield Pack(channel)
        finally:
            process.terminate()


def test_every_rule_is_registered_as_mandatory_with_its_parameters(pack: Pack) -> None:
    info = pack.stub.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == "bluegreen"
    assert [(policy.name, policy.description) for policy in info.policies] == [
        (rule.name, rule.promise) for rule in RULES
    ]
    assert {policy.enforcementLevel for policy in info.policies} == {analyzer_pb2.MANDATORY}
    assert [set(policy.configSchema.properties) for policy in info.policies] == [set(rule.parameters) for rule in RULES]


def test_a_violation_is_one_line_without_the_description_above_it(pack: Pack) -> None:
    [diagnostic] = pack.judge("railway:Service", "backend-blue", {"release": {"image": TAGGED, "replicas": {"eu": 2}}})
    assert diagnostic.policyName == "image-pinned"
    assert diagnostic.enforcementLevel == analyzer_pb2.MANDATORY
    assert diagnostic.message == (
        "backend-blue: image is 'ghcr.io/acme/backend:v42', which names no digest: the next deployment of it may run "
        "something else. backend-blue is left as it is. Write ghcr.io/acme/backend@sha256:… with the digest's 64 hex "
        "digits, and keep the tag as a comment."
    )


def test_whole_numbers_are_shown_as_they_were_written(pack: Pack) -> None:
    image = "acme/backend@sha256:" + "0" * 64
    [diagnostic] = pack.judge("railway:Service", "backend-blue", {"release": {"image": image, "replicas": {"eu": 1}}})
    assert "replicas are {eu: 1}, 1 in total" in diagnostic.message


def test_an_unknown_value_is_an_advisory_line_and_the_rest_is_judged(pack: Pack) -> None:
    release = {"image": UNKNOWN_TEXT, "replicas": {"eu": 2}, "overlapSeconds": 0}
    pinned, handover = pack.judge("railway:Service", "backend-blue", {"release": release})
    assert (pinned.policyName, pinned.enforcementLevel) == ("image-pinned", analyzer_pb2.ADVISORY)
    assert pinned.message.endswith(
        "during preview: backend-blue: release.image is not known here, so it is not judged. A whole update judges it."
    )
    assert (handover.policyName, handover.enforcementLevel) == ("production-handover", analyzer_pb2.MANDATORY)


def test_an_unknown_number_in_a_map_leaves_the_sum_unjudged(pack: Pack) -> None:
    release = {"image": "acme/backend@sha256:" + "0" * 64, "replicas": {"eu": 1, "us": UNKNOWN_TEXT}}
    [diagnostic] = pack.judge("railway:Service", "backend-blue", {"release": release})
    assert (diagnostic.policyName, diagnostic.enforcementLevel) == ("production-replicas", analyzer_pb2.ADVISORY)


def test_a_whole_stack_is_judged_by_the_inputs_that_were_heard(pack: Pack) -> None:
    pack.judge("kong:Route", "heard-open", {"name": "heard-open", "service": "heard", "paths": ["/x"]})
    pack.judge("kong:Route", "heard-shut", {"name": "heard-shut", "service": "heard", "paths": ["/y"]})
    pack.judge("kong:Plugin", "heard-shut-jwt", {"name": "jwt", "route": "heard-shut"})
    everything = ("kong:Route", "heard-open"), ("kong:Route", "heard-shut"), ("kong:Plugin", "heard-shut-jwt")
    [diagnostic] = pack.judge_stack(*everything)
    assert [told.urn for told in pack.judge_stack(*everything, rule="route-limited")] == [diagnostic.urn]
    assert diagnostic.urn == urn("bluegreen:kong:Route", "heard-open")
    assert diagnostic.message.startswith("heard-open: /x is open to strangers: no authentication plugin stands on it")


def test_what_was_heard_and_is_no_longer_there_guards_nothing(pack: Pack) -> None:
    pack.judge("kong:Route", "left", {"name": "left", "service": "left"})
    pack.judge("kong:Plugin", "left-jwt", {"name": "jwt", "route": "left"})
    assert pack.judge_stack(("kong:Route", "left"), ("kong:Plugin", "left-jwt")) == []
    assert len(pack.judge_stack(("kong:Route", "left"))) == 1


def test_a_resource_that_was_never_checked_is_an_advisory_line(pack: Pack) -> None:
    [diagnostic] = pack.judge_stack(("kong:Route", "never-checked"))
    assert diagnostic.enforcementLevel == analyzer_pb2.ADVISORY
    assert "never-checked: service is not known here, so it is not judged." in diagnostic.message


def test_parameters_arrive_and_a_slip_in_one_breaks_the_rule(pack: Pack) -> None:
    release = {"release": {"image": "acme/backend@sha256:" + "0" * 64, "replicas": {"eu": 2}}}
    try:
        pack.configure(production_replicas={"stacks": ["production"], "minimum": 3})
        [few] = pack.judge("railway:Service", "backend-blue", release)
        pack.configure(production_replicas={"stack": ["production"]})
        [slip] = pack.judge("railway:Service", "backend-blue", release)
        pack.configure(route_authenticated={"anonymus": ["frontend-web"]})
        [other] = pack.judge_stack()
    finally:
        pack.configure()
    assert "and stack production needs 3 of every colour" in few.message
    assert slip.message == (
        "The policy config of production-replicas sets stack, which this rule does not know. It has judged nothing. "
        "Write stacks or minimum instead."
    )
    assert (other.urn, other.policyName) == ("", "route-authenticated")


def test_one_rule_about_the_stack_hears_where_all_others_are_off(pack: Pack) -> None:
    request = analyzer_pb2.ConfigureAnalyzerRequest()
    for rule in RULES:
        off = rule.name != "correlation-id"
        request.policyConfig[rule.name].enforcementLevel = analyzer_pb2.DISABLED if off else analyzer_pb2.MANDATORY
    try:
        pack.stub.Configure(request)
        pack.judge("kong:Route", "alone", {"name": "alone", "service": "alone"})
        [diagnostic] = pack.judge_stack(("kong:Route", "alone"), rule="correlation-id")
    finally:
        pack.configure()
    assert diagnostic.message.startswith("alone: requests have no correlation id.")


def test_what_is_checked_again_is_heard_again(pack: Pack) -> None:
    pack.judge("kong:Route", "twice", {"name": "twice", "service": "twice"})
    pack.judge("kong:Route", "twice", {"name": "twice"})
    assert pack.judge_stack(("kong:Route", "twice")) == []


def test_an_option_a_dependency_and_an_output_arrive(pack: Pack) -> None:
    of, urns = "bluegreen:rollout:Traffic", [urn("command:local:Command", "verified"), urn("bluegreen:x:Y", "other")]
    lane = {"live": "green", "release": "r", "addresses": {"green": "g:1"}, "weights": {"green": 100}}
    verify = wire({"create": "verify --app a --colour green", "triggers": ["r"]})
    command = analyzer_pb2.AnalyzeRequest(type="command:local:Command", name="verified", urn=urns[0], properties=verify)
    pack.stub.Analyze(command)
    inputs = wire({"lanes": {"a": lane}, "rollout": {"freezeOverride": "an incident"}})
    traffic = analyzer_pb2.AnalyzeRequest(type=of, name="traffic", urn=urn(of, "traffic"), properties=inputs)
    unprotected = [told.policyName for told in pack.stub.Analyze(traffic).diagnostics]
    told = {}
    for history in ([], [{"app": "a", "verdict": "passed", "kind": "rollout", "origin": "green", "goal": "blue"}]):
        for needs in ([], urns):
            request = analyzer_pb2.AnalyzeStackRequest()
            request.resources.append(analyzer_pb2.AnalyzerResource(type="command:local:Command", urn=urns[0]))
            outputs = wire({"history": history})
            last = analyzer_pb2.AnalyzerResource(
                type=of, urn=traffic.urn, name="traffic", properties=outputs, dependencies=needs
            )
            request.resources.append(last)
            told[bool(history), bool(needs)] = [one.policyName for one in pack.stub.AnalyzeStack(request).diagnostics]
    assert "production-protected" in unprotected
    assert told == {
        (False, False): ["traffic-verified", "freeze-kept"],
        (False, True): ["freeze-kept"],
        (True, False): ["traffic-verified"],  # it moves from blue to green, which is what the override is for
        (True, True): [],
    }


def test_other_resources_and_their_secrets_pass_unread(pack: Pack) -> None:
    assert pack.judge("kong:Consumer", "web", {"username": "web", "keys": [SECRET]}) == []
    judged = {kind for rule in RULES if isinstance(rule, ResourceRule) for kind in rule.of}
    assert judged == {"bluegreen:railway:Service", "bluegreen:rollout:Traffic", "bluegreen:kong:Plugin"}
