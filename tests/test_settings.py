"""The stack config: both real files fit, every mistake is refused by its path, every name is derived once."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from bluegreen.config import Route
from bluegreen.handler import Refused
from bluegreen.railway.spec import RegistryCredentials
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS
from bluegreen.spec import path as shown

ROOT = Path(__file__).parent.parent
DIGEST = "sha256:" + "a" * 64
MODEL = {"name": "flux", "type": "image", "host": "models.example"}


def colour(port: int = 8000, **more: Any) -> dict[str, Any]:
    return {"image": f"ghcr.io/acme/backend@{DIGEST}", "port": port, "replicas": {"europe-west4-drams3a": 1}, **more}


def backend(live: str, **blue: Any) -> dict[str, Any]:
    return {"backend": {"kind": "api", "live": live, "blue": {**colour(), **blue}}}


def config(**changes: Any) -> dict[str, str]:
    whole = {
        "railway": {"projectId": "p", "environmentId": "e"},
        "apps": {"backend": {"kind": "api", "live": "blue", "blue": colour(), "green": colour(8001)}},
        **changes,
    }
    return {f"shop:{key}": json.dumps(value) for key, value in whole.items()}


def settings(**changes: Any) -> Settings:
    return Settings.parse("shop", "test", config(**changes))


def refusal(**changes: Any) -> str:
    with pytest.raises(Refused) as refused:
        settings(**changes)
    return refused.value.what


@pytest.mark.parametrize("stack", ["production", "staging"])
def test_a_real_stack_file_fits(stack: str) -> None:
    written = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
    handed_out = {key: value if isinstance(value, str) else json.dumps(value) for key, value in written.items()}
    parsed = Settings.parse("velro", stack, handed_out)
    assert list(parsed.colours("live")) == [("backend", "blue"), ("frontend", "blue")]
    assert parsed.owner == f"velro.{stack}"


def test_every_config_key_of_the_stack_files_is_described() -> None:
    described = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    for stack in ("production", "staging"):
        written = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
        assert {key.removeprefix("velro:") for key in written if key.startswith("velro:")} <= set(described)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"surprise": 1}, "shop:surprise: unknown key"),
        ({"apps": backend("red")}, "shop:apps.backend.live: "),
        (
            {"apps": backend("blue", imagee="x")},
            "blue.imagee: unknown key",
        ),
        (
            {"apps": backend("green")},
            "live is green, which has no block",
        ),
        ({"apps": backend("blue", image="a/b:v1")}, "not pinned"),
        ({"apps": backend("blue", port="8000")}, "blue.port: "),
        ({"rollout": {"order": ["nobody"]}}, "shop:rollout.order: names 'nobody', and there is no such app"),
        ({"rollout": {"rollbackWindow": {"duration": "three days"}}}, "'three days' is not a span of time"),
        ({"secrets": {"backend": {"blue": {"TOKEN": "x"}}}}, "set secrets.releaseKey"),
        ({"secrets": {"consumers": {"web": "x"}}}, "secrets.consumers: names 'web', and gateway.consumers has no such"),
        ({"gateway": {"models": [MODEL, MODEL]}}, "shop:gateway.models: flux is named twice"),
        ({"gateway": {"models": [{**MODEL, "type": "music"}]}}, "shop:gateway.models[0].type: "),
        ({"gateway": {"types": {"music": {}}}}, "shop:gateway.types.music"),
        ({"migrations": {"target": "011"}}, "shop:migrations.baseline: missing"),
        (
            {"apps": backend("blue", schemaMin="012"), "migrations": {"target": "011", "baseline": "010"}},
            "apps.backend.blue.schemaMin: needs schema 012, and migrations.target is 011",
        ),
        ({"checks": [{"name": "one", "app": "nobody", "path": "/"}]}, "checks[0].app: there is no app 'nobody'"),
        (
            {"checks": [{"name": "one", "app": "backend", "path": "/", "consumer": "web"}]},
            "checks[0].consumer: names 'web', and gateway.consumers has no such consumer",
        ),
    ],
)
def test_a_mistake_is_refused_by_its_path(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(**changes)


def secret(**names: str) -> dict[str, Any]:
    return {"releaseKey": "k", "backend": {"blue": names}}


CONSUMERS: dict[str, Any] = {"consumers": {"web": {}, "shop": {}}}
ROUTES = {"api": {"paths": ["/api"]}, "blue-api": {"paths": ["/b"]}, "probe": {"paths": ["/p"]}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secrets": secret(**{"A-B": "x"})}, "shop:secrets.backend.blue: 'A-B' is no name for a variable"),
        ({"secrets": secret(PORT="x")}, "shop:secrets.backend.blue: PORT cannot be set here"),
        ({"secrets": {"backend": {"red": {"A": "x"}}}}, "shop:secrets.backend.red: "),
        ({"gateway": {"consumers": {"bluegreen-preview": {}}}}, "would be the consumer bluegreen-preview"),
        ({"gateway": {"consumers": {"web": {"groups": ["preview"]}}}}, "gateway.consumers.web.groups: preview is the"),
        (
            {"gateway": CONSUMERS, "secrets": {"consumers": {"web": "same", "shop": "same"}}},
            "secrets.consumers.shop: is the same key as secrets.consumers.web",
        ),
        (
            {"gateway": CONSUMERS, "secrets": {"previewKey": "same", "consumers": {"web": "same"}}},
            "secrets.previewKey: is the same key as secrets.consumers.web",
        ),
        ({"gateway": {"models": [{**MODEL, "host": "https://x/y"}]}}, "shop:gateway.models[0].host: "),
        ({"owner": "me"}, "shop:owner: unknown key"),
        ({"odd(one)": 1}, "shop:odd(one): unknown key"),
        ({"migrations": {"target": 11, "baseline": "010"}}, "shop:migrations.target: 11 is a number, and YAML drops"),
        ({"apps": backend("blue", schemaMin=9)}, "schemaMin: 9 is a number, and YAML drops"),
        (
            {"migrations": {"target": "011", "baseline": "010", "lockBudget": "9" * 12 + "d"}},
            "is longer than can be counted here",
        ),
    ],
)
def test_what_does_not_hang_together_is_refused_by_its_path(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(**changes)


def test_two_keys_that_would_be_one_name_in_kong_are_refused() -> None:
    apps = {**backend("blue"), "backend-blue": backend("blue")["backend"]}
    apps["backend"] = {**apps["backend"], "routes": ROUTES}
    told = refusal(apps=apps)
    assert "shop:apps.backend-blue: would be the service backend-blue, and so would apps.backend.blue" in told
    assert "would be the route backend-blue-api" in told
    assert "would be the route backend-blue-probe" in told


def test_a_model_and_an_app_may_not_become_one_route() -> None:
    apps = {"ai": {**backend("blue")["backend"], "routes": {"flux": {"paths": ["/x"]}}}}
    told = refusal(apps=apps, gateway={"models": [MODEL]})
    assert "gateway.models[0]: would be the route ai-flux, and so would apps.ai.routes.flux" in told


def test_a_contract_waits_for_every_release_the_idle_one_too() -> None:
    apps = backend("blue", schemaMin="012")
    apps["backend"]["green"] = colour(8001, schemaMin="011")
    settings(apps=apps).admit([("012_old", "011"), ("013_expand", None)])
    with pytest.raises(Refused) as refused:
        settings(apps=apps).admit([("013_drop", "012")])
    assert refused.value.what == (
        "013_drop requires that every release needs schema 012 or newer, and backend.green needs 011."
    )


def test_every_mistake_is_told_at_once() -> None:
    text = refusal(surprise=1, other=2)
    assert "shop:surprise: unknown key; shop:other: unknown key" in text


def test_a_refusal_never_shows_a_secret() -> None:
    with pytest.raises(Refused) as refused:
        settings(secrets={"releaseKey": ["hunter2"]})
    assert "hunter2" not in str(refused.value)


def test_config_of_other_namespaces_is_left_alone() -> None:
    parsed = Settings.parse("shop", "test", {**config(), "bluegreen:kongAdminUrl": "http://k", "aws:region": "x"})
    assert parsed.owner == "shop.test"


def test_the_address_of_a_colour_follows_from_its_app_and_port() -> None:
    assert settings().lanes()["backend"].addresses == {
        "blue": "backend-blue.railway.internal:8000",
        "green": "backend-green.railway.internal:8001",
    }


def test_a_flip_of_live_changes_roles_and_lanes_and_no_release() -> None:
    apps = {"backend": {"kind": "api", "live": "green", "blue": colour(), "green": colour(8001)}}
    before, after = settings(), settings(apps=apps)
    assert [list(s.colours("live")) for s in (before, after)] == [[("backend", "blue")], [("backend", "green")]]
    for slot in COLOURS:
        assert before.release_id("backend", slot) == after.release_id("backend", slot)
        services = [one.service("backend", slot).model_dump(exclude={"role"}) for one in (before, after)]
        assert services[0] == services[1]


def test_a_secret_makes_another_release() -> None:
    def release(value: str) -> str:
        secrets = {"releaseKey": "k", "backend": {"blue": {"TOKEN": value}}}
        return settings(secrets=secrets).release_id("backend", "blue")

    assert release("one") != release("two")
    assert release("one") == release("one")


def test_a_warning_names_the_key_to_change() -> None:
    apps = {"backend": {"kind": "api", "live": "blue", "blue": colour(), "green": colour(8001, overlapSeconds=0)}}
    assert settings(apps=apps).warnings() == (
        "apps.backend.green.overlapSeconds is 0: the deployment before ends while requests are still sent to it."
        " Write 20.",
    )


def test_what_is_adopted_under_a_name_that_nothing_has_is_warned_of() -> None:
    routes = {"v1": {"paths": ["/api"]}}
    apps = {"backend": {"kind": "api", "live": "blue", "blue": colour(), "routes": routes}}
    there = ["railway/backend-green", "service/backend", "route/backend-v1", "plugin/backend-v1-cors", "consumer/ops"]
    missing = ["railway/backend", "service/api", "route/backend-v2", "plugin/api-cors", "consumer/robot"]
    known = settings(apps=apps, gateway={"consumers": {"ops": {}}}, adopt=dict.fromkeys([*there, *missing], "id"))
    assert known.warnings() == tuple(
        f"adopt.{key}: nothing here is a {key.partition('/')[0]} of that name, so nothing is imported by it."
        for key in missing
    )


GHCR = {"username": "robot", "password": "pa55word"}


def test_credentials_belong_to_the_image_s_registry() -> None:
    green = colour(8001, image=f"registry.acme.example:5000/backend@{DIGEST}")
    apps = {"backend": {"kind": "api", "live": "blue", "blue": colour(), "green": green}}
    parsed = settings(apps=apps, secrets={"registries": {"ghcr.io": GHCR}})
    parsed.complete()
    found = {slot: parsed.service("backend", slot).registry_credentials for slot in COLOURS}
    assert found == {
        "blue": RegistryCredentials(username="robot", password=SecretStr("pa55word")),
        "green": None,
    }
    assert "pa55word" not in repr(parsed)


def test_new_credentials_of_a_registry_make_no_other_release() -> None:
    before, after = settings(), settings(secrets={"registries": {"ghcr.io": GHCR}})
    assert before.release_id("backend", "blue") == after.release_id("backend", "blue")


def test_a_registry_that_no_image_comes_from_is_refused() -> None:
    told = refusal(secrets={"registries": {"ghrc.io": GHCR}})
    assert "shop:secrets.registries: names 'ghrc.io', and images come from ghcr.io alone" in told


def test_a_typo_under_a_registry_is_refused_by_its_path_and_shows_no_secret() -> None:
    told = refusal(secrets={"registries": {"ghcr.io": {"username": "robot", "pasword": "pa55word"}}})
    assert "shop:secrets.registries.ghcr.io.pasword: unknown key" in told
    assert "pa55word" not in told


@pytest.mark.parametrize("half", [{"username": "robot"}, {"password": "pa55word"}, {}], ids=str)
def test_half_of_a_registrys_credentials_is_refused_only_where_all_secrets_can_be_read(half: dict[str, str]) -> None:
    # Without Pulumi an encrypted password is missing, and a rollback must not wait for it.
    parsed = settings(secrets={"registries": {"ghcr.io": half}})
    assert parsed.service("backend", "blue").registry_credentials is None
    with pytest.raises(Refused) as refused:
        parsed.complete()
    assert str(refused.value) == (
        "secrets.registries of ghcr.io needs both a username and a password."
        " Nothing was changed. Write both, or take the registry out."
    )


def test_what_stands_on_a_route_follows_from_its_kind_and_its_own_config_wins() -> None:
    types = {"api": {"key-auth": {"key_in_query": False}, "cors": {"max_age": 1}}, "web": {"cors": {"max_age": 2}}}
    parsed = settings(gateway={"types": types})
    route = Route(paths=["/"], plugins={"cors": {"max_age": 3}})
    assert parsed.plugins("backend", route) == {"key-auth": {"key_in_query": False}, "cors": {"max_age": 3}}


def test_no_migrations_may_be_written_as_an_empty_map() -> None:
    assert settings(migrations={}).migrations is None


def test_a_release_that_needs_a_schema_of_somebody_elses_making_is_no_mistake() -> None:
    assert settings(apps=backend("blue", schemaMin="012")).migrations is None


def every_key(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The path of every key of the program's own in a stack file; what Kong and apps call their own is theirs."""
    theirs = {"plugins", "types", "variables", "headers", "json", "replicas"}
    if isinstance(value, dict) and not (path and path[-1] in theirs):
        for key, inner in value.items():
            yield (*path, key)
            yield from every_key(inner, *path, key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from every_key(inner, *path, number)


NAMED = re.compile(r"velro:(apps|gateway\.consumers)\.[^.]+|.*\.routes\.[^.]+")  # a new name there is no mistake


def paths_of(stack: str) -> list[tuple[Any, ...]]:
    written = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
    ours = {key: value for key, value in written.items() if key.startswith("velro:")}
    return [path for path in every_key(ours) if not NAMED.fullmatch(shown(path))]


@pytest.mark.parametrize("stack", ["production", "staging"])
def test_a_typo_in_any_key_of_a_real_stack_file_is_refused_by_its_path(stack: str) -> None:
    written = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
    silent = []
    for path in paths_of(stack):
        changed = deepcopy(written)
        *holders, key = path
        inner = changed
        for part in holders:
            inner = inner[part]
        inner[f"{key}x"] = inner.pop(key)
        handed_out = {name: value if isinstance(value, str) else json.dumps(value) for name, value in changed.items()}
        with pytest.raises(Refused) as refused:
            Settings.parse("velro", stack, handed_out)
        if f"{shown((*holders, f'{key}x'))}: unknown key" not in refused.value.what:
            silent.append((shown(path), refused.value.what))
    assert silent == []


LOOK: dict[str, Any] = {
    "duration": "60s",
    "metrics": [{"name": "slow", "http": {"url": "https://m.test/", "path": "a"}, "thresholdRange": {"max": 1}}],
}
CLEAR = {**LOOK, "metrics": [{**LOOK["metrics"][0], "authorization": "Bearer planted-word"}]}


@pytest.mark.parametrize(
    ("rollout", "where"),
    [
        ({"prePromotionAnalysis": CLEAR}, "prePromotionAnalysis"),
        ({"postPromotionAnalysis": CLEAR}, "postPromotionAnalysis"),
        ({"stepAnalysis": CLEAR, "steps": [{"setWeight": 10}]}, "stepAnalysis"),
        ({"steps": [{"setWeight": 10}, {"analysis": CLEAR}]}, "steps[1].analysis"),
    ],
)
def test_a_metrics_credential_in_clear_is_refused_and_not_shown(rollout: dict[str, Any], where: str) -> None:
    said = refusal(rollout=rollout)
    assert f"shop:rollout.{where}.metrics[0].authorization: nobody may see it" in said
    assert "secrets.metrics.slow" in said
    assert "planted-word" not in said


def test_a_metrics_credential_comes_from_the_secrets() -> None:
    armed = settings(rollout={"postPromotionAnalysis": LOOK}, secrets={"metrics": {"slow": "Bearer x"}}).traffic()
    assert ("Bearer x", "x") == armed.rollout.credentials()


LENIENT: list[tuple[dict[str, Any], str]] = [
    ({"nope": 1}, "nope: unknown key"),
    ({"owner": "me"}, "owner: unknown key"),
    ({"apps": backend("blue", foo=1)}, "apps.backend.blue.foo: unknown key"),
    ({"checks": [{"name": "a", "app": "backend", "path": "/"}, {"name": "b", "x": 2}, {"y": 1}]}, "checks[2].y"),
    ({"checks": [{"name": "a", "app": "nobody", "path": "/"}]}, "nobody"),
    ({"gateway": {"nodes": 2, "models": 7}}, "gateway.models"),
    ({"rollout": 7, "secrets": {"backend": {"red": {"A": "b"}}}}, "secrets.backend.red"),
    ({"rollout": {"stepAnalysis": CLEAR, "steps": [{"setWeight": 10}]}}, "authorization"),
]


@pytest.mark.parametrize(("changes", "said"), LENIENT)
def test_what_does_not_fit_is_left_out_for_a_way_back_and_told(changes: dict[str, Any], said: str) -> None:
    read = Settings.leniently("shop", "test", config(**changes))
    assert said in read.misfit
    assert refusal(**changes) == read.misfit
    whole = settings()
    kept = {app: lane.addresses["blue"] for app, lane in whole.lanes().items()}
    assert kept == {app: lane.addresses["blue"] for app, lane in read.lanes().items()}
    assert whole.release_id("backend", "blue") == read.release_id("backend", "blue")


def test_what_fits_is_read_leniently_as_it_is() -> None:
    read = Settings.leniently("shop", "test", config(checks=[{"name": "a", "app": "backend", "path": "/"}]))
    assert ("", ["a"]) == (read.misfit, [check.name for check in read.checks])


@pytest.mark.parametrize(
    "changes", [{"apps": backend("blue", port="a", foo=1)}, {"apps": 3}, {"railway": {"projectId": "p"}}]
)
def test_what_an_app_is_is_never_guessed(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        Settings.leniently("shop", "test", config(**changes))


def test_a_colour_without_a_block_does_not_exist() -> None:
    parsed = settings(apps=backend("blue"))
    assert (list(parsed.colours("idle")), list(parsed.lanes()["backend"].addresses)) == ([], ["blue"])


OBSERVED = {"observe": True, "serviceName": "web-api", "port": 3000}


def adopted(**more: Any) -> dict[str, Any]:
    """An app whose live colour somebody else deploys."""
    return {"apps": {"api": {"kind": "api", "live": "blue", "blue": OBSERVED, "green": colour(), **more}}}


def test_an_observed_colour_is_live_and_nobody_deploys_it() -> None:
    parsed = settings(**adopted())
    lane = parsed.lanes()["api"]
    assert (list(parsed.colours("live")), list(parsed.deployed("live"))) == ([("api", "blue")], [])
    assert list(parsed.deployed("idle")) == [("api", "green")]
    assert (lane.addresses["blue"], lane.unmarked) == ("web-api.railway.internal:3000", ["blue"])
    assert re.fullmatch(r"[0-9a-f]{16}", lane.release)


def test_what_stands_for_a_release_of_an_observed_colour_is_its_service_and_its_port() -> None:
    def stands(**changes: Any) -> str:
        return settings(**adopted(blue={**OBSERVED, **changes})).release_id("api", "blue")

    assert stands() == stands(healthcheckPath="/up-to-date", schemaMin="011")
    assert len({stands(), stands(port=3001), stands(serviceName="web")}) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (adopted(blue={**OBSERVED, "image": "x"}), "shop:apps.api.blue.image: unknown key"),
        (adopted(blue={**OBSERVED, "observe": False}), "shop:apps.api.blue.observe: "),
        (adopted(blue={"observe": True}), "shop:apps.api.blue.serviceName: missing"),
        (adopted(idle="asleep"), "shop:apps.api.idle: "),
        (adopted(kong={"hots": "x"}), "shop:apps.api.kong.hots: unknown key"),
        (adopted(kong={"name": "x"}), "shop:apps.api.kong.name: unknown key"),
        (adopted(green=colour(serviceName="railway")), "shop:apps.api.green.serviceName: 'railway' is a name"),
        ({"adopt": {"routes/x": "1"}}, "shop:adopt.routes/x"),
        (
            {**adopted(), "secrets": {"releaseKey": "k", "api": {"blue": {"A": "x"}}}},
            "shop:secrets.api.blue: apps.api.blue is observed, and nothing is written there",
        ),
        (
            adopted(live="green", kong={"host": "web-api.railway.internal"}),
            "shop:apps.api.kong.host: users still go past the weights to web-api.railway.internal, and green is live"
            " at api-green.railway.internal. Take it out before live changes",
        ),
        (
            {**adopted(blue=colour(), live="green"), "adopt": {"railway/api-blue": "s1"}},
            "shop:apps.api.blue.serviceName: missing, and adopt.railway/api-blue makes a service that is there already"
            " into this release. Write what Railway calls that service, or take the line out of adopt",
        ),
        (
            adopted(green=colour(serviceName="web-api")),
            "shop:apps.api.green: would be the Railway service web-api, and so would apps.api.blue",
        ),
    ],
)
def test_a_mistake_in_what_was_adopted_is_refused_by_its_path(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(**changes)


def test_a_service_name_of_one_s_own_is_no_part_of_the_release_id() -> None:
    plain, named = settings(), settings(apps=backend("blue", serviceName="legacy"))
    assert plain.release_id("backend", "blue") == named.release_id("backend", "blue")
    assert named.service("backend", "blue").name == "legacy"
    assert named.address("backend", "blue") == "legacy.railway.internal:8000"
    assert named.service_name("backend", "blue") == "backend-blue"  # in Kong, and wherever a person reads of it


def test_what_was_there_before_is_found_by_its_kind_and_its_name_here() -> None:
    parsed = settings(
        apps=backend("blue", serviceName="web"), adopt={"route/api-v1": "41f2", "railway/backend-blue": "s1"}
    )
    assert parsed.imported("route", "api-v1") == "41f2"
    assert parsed.imported("service", "api-v1") is None


def test_a_kong_service_of_an_app_leads_to_its_upstream_until_a_host_is_written() -> None:
    way = {"host": "web-api.railway.internal", "port": 3000, "readTimeout": 120000}
    assert settings().kong_service("backend") == {"host": "backend"}
    assert settings(**adopted(kong=way)).kong_service("api") == {
        "host": "web-api.railway.internal",
        "port": 3000,
        "read_timeout": 120000,
    }
    assert settings(**adopted(kong=way)).gateway_id != settings(**adopted()).gateway_id


@pytest.mark.parametrize("host", ["Web-API.railway.internal", "web-api.railway.internal."])
def test_a_host_in_capitals_or_with_its_last_dot_leads_to_what_is_live(host: str) -> None:
    assert settings(**adopted(kong={"host": host})).observed("api", "blue")


def test_what_is_taken_over_by_its_name_fits() -> None:
    taken = adopted(blue=colour(serviceName="web-api"), live="green")
    assert settings(**taken, adopt={"railway/api-blue": "s1"}).host("api", "blue") == "web-api.railway.internal"


def test_only_what_is_idle_may_be_stopped() -> None:
    apps = {"backend": {"kind": "api", "live": "blue", "idle": "stopped", "blue": colour(), "green": colour(8001)}}
    parsed = settings(apps=apps)
    assert {slot: parsed.service("backend", slot).running for slot in COLOURS} == {"blue": True, "green": False}
    assert parsed.release_id("backend", "green") == settings().release_id("backend", "green")
