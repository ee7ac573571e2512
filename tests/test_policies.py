"""The policy pack as a whole: every rule documented, every parameter known, the project's own config in order."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from bluegreen.railway.spec import Release
from policies.rule import AnyRule, Resource, ResourceRule
from policies.rules import RULES
from tests.policies_room import BY_NAME, IMAGE, RESOURCE_RULES, entity, plugin, said, service, stack, traffic

ROOT = Path(__file__).parent.parent
CONFIG = json.loads((ROOT / "policies" / "policy-config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_its_section_in_the_documentation(rule: AnyRule) -> None:
    page = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    section = re.search(rf"^### {rule.name}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    wanted = [
        "**Problem.**",
        "**Solution.**",
        "**Source.**",
        "**Parameters.**",
        *(f"`{name}`" for name in rule.parameters),
    ]
    assert [part for part in wanted if part not in section[1]] == []


def test_every_section_of_the_documentation_has_its_rule() -> None:
    page = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (.+)$", page, re.MULTILINE) == [rule.name for rule in RULES]


def kin(rule: ResourceRule) -> Resource:
    """Something that this rule judges."""
    kinds = {one.type: one for one in (service(), traffic(), plugin("cors", config={"origins": ["https://acme.dev"]}))}
    return next(kinds[kind] for kind in rule.of)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_parameter_with_a_slip_in_it_breaks_the_rule(rule: AnyRule) -> None:
    judged = kin(rule) if isinstance(rule, ResourceRule) else stack(plugin())
    [sentence] = said(rule.name, judged, stack=["live"])
    assert sentence.startswith(
        f"The policy config of {rule.name} sets stack, which this rule does not know. It has judged"
    )


def test_a_rule_about_services_has_nothing_to_say_about_anything_else() -> None:
    found = [finding for rule in RESOURCE_RULES for finding in rule.findings(entity("Route", "r"), {})]
    assert found == []


def test_the_provider_s_defaults_keep_every_rule() -> None:
    release = Release(image=IMAGE, replicas={"europe-west4": 2}).model_dump(by_alias=True)
    left_out, spelled_out = service(), service(**release)
    assert [
        found for rule in RESOURCE_RULES for one in (left_out, spelled_out) for found in rule.findings(one, {})
    ] == []


def test_the_project_s_policy_config_names_rules_and_parameters_that_exist() -> None:
    strange = [
        (name, parameter)
        for name, entry in CONFIG.items()
        if name != "all"
        for parameter in entry
        if parameter != "enforcementLevel" and parameter not in BY_NAME[name].parameters
    ]
    assert strange == []


def production() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    config = yaml.safe_load((ROOT / "Pulumi.production.yaml").read_text(encoding="utf-8"))["config"]
    for app, about in config["velro:apps"].items():
        yield from ((app, colour, about[colour]) for colour in ("blue", "green") if colour in about)


def test_the_colours_of_the_production_stack_keep_every_rule() -> None:
    judged = [
        Resource("bluegreen:railway:Service", f"{app}-{colour}", "production", {"release": release}, protect=True)
        for app, colour, release in production()
    ]
    broken = [
        found for rule in RESOURCE_RULES for one in judged for found in rule.findings(one, CONFIG.get(rule.name, {}))
    ]
    assert judged != []
    assert broken == []


def test_every_route_that_the_project_lets_everybody_use_is_one_of_production_s() -> None:
    config = yaml.safe_load((ROOT / "Pulumi.production.yaml").read_text(encoding="utf-8"))["config"]
    routes = [f"{app}-{name}" for app, about in config["velro:apps"].items() for name in about["routes"]]
    named = [*CONFIG["route-authenticated"]["anonymous"]]
    named += [name for rule in ("route-limited", "request-size", "correlation-id") for name in CONFIG[rule]["except"]]
    assert [name for name in named if name not in routes] == []


def test_production_is_named_by_every_rule_that_asks_for_stacks() -> None:
    asking = [rule.name for rule in RULES if "stacks" in rule.parameters]
    assert [name for name in asking if "production" not in CONFIG[name]["stacks"]] == []


def test_no_rule_is_weaker_than_mandatory() -> None:
    weaker = [name for name, entry in CONFIG.items() if name != "all" and "enforcementLevel" in entry]
    assert (CONFIG["all"], weaker) == ("mandatory", [])
