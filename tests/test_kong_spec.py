"""Kong's pure parts: specs, spellings, comparing by Kong's schemas, tags, and refusals in sentences."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from bluegreen.http import Conflict, LostReply, Rejected
from bluegreen.kong import spelling
from bluegreen.kong.faults import refusal, sentences
from bluegreen.kong.ownership import owner_of, tag, untag
from bluegreen.kong.schema import Shape, departures, difference, known, same, secret_paths, seen
from bluegreen.kong.spec import ConsumerSpec, EntitySpec, PluginSpec, RouteSpec, ServiceSpec, UpstreamSpec
from bluegreen.spec import problems

HERE = Path(__file__).parent
REFUSALS: list[dict[str, Any]] = json.loads((HERE / "recorded" / "kong-refusals.json").read_text())
SCHEMAS = HERE.parent / "sandbox" / "schemas" / "kong"  # as a real server gave them


def shape(name: str) -> Shape:
    return Shape.parse(json.loads((SCHEMAS / f"{name}.json").read_text()))


def faults(spec: type[EntitySpec], **fields: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        spec.model_validate({"owner": "shop.test", **fields})
    return problems(caught.value)


def told(method: str, path: str, body: Mapping[str, Any]) -> str:
    """What we make of a recorded refusal."""
    row = next(row for row in REFUSALS if (row["method"], row["path"], row["body"]) == (method, path, body))
    kind = Conflict if row["status"] == 409 else Rejected
    return refusal(kind("raw", world="", next="", status=row["status"], body=row["answer"]), "route 'r'").what


# Tags


def test_an_owner_is_written_as_a_readable_tag() -> None:
    assert tag("owner", "velro.production") == "owner:velro.production"


def test_what_kong_forbids_in_tags_is_encoded() -> None:
    assert tag("by", "a,b/c\td\ne\x7f") == "by:a%2Cb%2Fc%09d%0Ae%7F"


@given(value=st.text(min_size=1))
def test_every_value_survives_being_a_tag(value: str) -> None:
    text = tag("owner", value)
    assert untag(text) == ("owner", value)
    assert not set(text) & set(",/\t\n\x7f")
    assert text.isascii()


def test_a_tag_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="'owner' has no value"):
        tag("owner", "")


@pytest.mark.parametrize("key", ["", "a:b", "a,b", "a/b", "a b"])
def test_a_key_that_could_not_be_read_back_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="cannot be the key of a tag"):
        tag(key, "x")


def test_a_foreign_tag_is_a_key_without_a_value() -> None:
    assert untag("edge") == ("edge", "")


@pytest.mark.parametrize(
    ("tags", "owner"), [(None, None), ([], None), (["owner"], None), (["a", "owner:shop.test"], "shop.test")]
)
def test_the_owner_is_read_from_the_tags(tags: list[str] | None, owner: str | None) -> None:
    assert owner_of(tags) == owner


# Specs


def test_a_field_that_kong_does_not_have_is_refused_by_its_path() -> None:
    assert faults(RouteSpec, name="r", stripPaths=True) == ["stripPaths: unknown key"]


def test_a_nested_fault_is_told_by_its_path() -> None:
    checks = {"active": {"healthy": {"interval": "5"}}}
    assert faults(UpstreamSpec, name="u", healthchecks=checks) == [
        "healthchecks.active.healthy.interval: Input should be a valid number"
    ]


def test_an_owner_among_the_tags_is_refused() -> None:
    assert faults(ServiceSpec, name="s", host="h", tags=["owner:me"]) == [
        "tags: the tag 'owner:me' is written by `owner`; take it out of the tags"
    ]


def test_a_tag_that_kong_forbids_is_refused() -> None:
    assert faults(ServiceSpec, name="s", host="h", tags=["a,b"]) == [
        r"tags[0]: String should match pattern '^[^,/\t\n\x7f]+$'"
    ]


def test_an_algorithm_that_kong_would_silently_change_is_refused() -> None:
    assert faults(UpstreamSpec, name="u", algorithm="round-robin", hashOn="cookie", hashOnCookie="sid") == [
        "algorithm 'round-robin' cannot go with hashOn 'cookie': Kong would silently use consistent-hashing. "
        "Leave one of them out"
    ]


def test_consistent_hashing_without_anything_to_hash_is_refused() -> None:
    assert faults(UpstreamSpec, name="u", algorithm="consistent-hashing") == [
        "algorithm 'consistent-hashing' needs hashOn: without it Kong would silently use round-robin"
    ]


def test_a_hash_header_that_never_matches_is_refused() -> None:
    assert faults(UpstreamSpec, name="u", hashOn="header", hashOnHeader="X-User") == [
        "hashOnHeader: Kong 3.9 never matches a header with a dash here, so 'X-User' would send everybody to one "
        "target. Write 'x_user'"
    ]


@pytest.mark.parametrize(
    ("config", "path", "wrong"),
    [
        ({"redis": {"password": "p"}}, "redis.password", "is given both in config and in secrets"),
        ({"redis": "p"}, "redis.password", "leads through something in config that is not a map"),
        ({}, "redis..password", "is not a dotted path in config"),
    ],
)
def test_a_secret_that_does_not_fit_the_config_is_refused(config: dict[str, Any], path: str, wrong: str) -> None:
    (fault,) = faults(PluginSpec, instanceName="p", name="rate-limiting", config=config, secrets={path: "x"})
    assert wrong in fault


def test_an_empty_key_is_refused() -> None:
    assert faults(ConsumerSpec, username="alice", keys=["k", ""]) == ["keys: key 1 is empty: Kong would make one up"]


def test_a_secret_is_not_in_what_a_spec_prints() -> None:
    spec = ConsumerSpec(owner="shop.test", username="alice", keys=[SecretStr("hunter-22")])
    assert "hunter-22" not in repr(spec)
    assert {"hunter-22"} == spelling.secrets(spec)


# Spellings


def test_a_spec_becomes_kongs_words_without_what_was_not_given() -> None:
    spec = RouteSpec.model_validate(
        {"owner": "shop.test", "name": "r", "stripPath": False, "headers": {"x-preview-colour": ["green"]}}
    )
    assert spelling.tree(spec) == {
        "owner": "shop.test",
        "name": "r",
        "strip_path": False,
        "headers": {"x-preview-colour": ["green"]},
    }


def test_nested_fields_are_translated_and_foreign_keys_are_not() -> None:
    raw = {
        "owner": "shop.test",
        "name": "u",
        "healthchecks": {"active": {"httpPath": "/health", "headers": {"x-camelCase": ["1"]}}},
    }
    tree = spelling.from_inputs(UpstreamSpec, raw)
    assert tree["healthchecks"] == {"active": {"http_path": "/health", "headers": {"x-camelCase": ["1"]}}}
    assert spelling.to_inputs(UpstreamSpec, tree, raw) == raw
    assert spelling.to_inputs(UpstreamSpec, tree, None) == raw


def test_inputs_that_an_older_version_wrote_are_carried_along() -> None:
    raw = {"owner": "shop.test", "name": "s", "host": "h", "shoeSize": 43, "path": None}
    tree = spelling.from_inputs(ServiceSpec, raw)
    assert tree == {"owner": "shop.test", "name": "s", "host": "h"}
    assert spelling.to_inputs(ServiceSpec, tree, raw) == raw


# Comparing by Kong's schemas


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_nothing_is_the_same_however_it_is_written(nothing: Any) -> None:
    routes = shape("routes")
    others: list[Any] = [[], {}, None]
    assert all(same(routes.of(name), nothing, other) for name in ("hosts", "methods", "headers") for other in others)


def test_a_set_has_no_order_and_a_list_has_one() -> None:
    routes = shape("routes")
    assert same(routes.of("methods"), ["GET", "PUT"], ["PUT", "GET", "PUT"])
    assert not same(routes.of("paths"), ["/a", "/b"], ["/b", "/a"])


def test_a_whole_number_is_the_same_with_a_point() -> None:
    assert same(shape("upstreams").of("slots"), 100.0, 100)


def test_only_differing_leaves_are_written() -> None:
    actual = {"healthchecks": {"active": {"timeout": 1, "http_path": "/"}, "threshold": 0}, "slots": 10000}
    wanted = {"healthchecks": {"active": {"timeout": 2, "http_path": "/"}}, "slots": 10000}
    assert difference(shape("upstreams"), wanted, {}, actual) == {"healthchecks": {"active": {"timeout": 2}}}


def test_what_is_no_longer_declared_is_written_back_to_its_default() -> None:
    before = {"retries": 2, "path": "/base", "host": "h"}
    actual = {"retries": 2, "path": "/base", "host": "h"}
    assert difference(shape("services"), {"host": "h"}, before, actual) == {"retries": 5, "path": None}


def test_a_removed_leaf_of_a_config_is_written_back_to_its_default() -> None:
    limits = shape("plugin-rate-limiting")
    before = {"config": {"minute": 60, "hour": 900, "redis": {"timeout": 9, "host": "r"}}}
    actual = {"config": {"minute": 60, "hour": 900, "redis": {"timeout": 9, "host": "r", "port": 6379}}}
    wanted = {"config": {"minute": 60, "redis": {"host": "r"}}}
    assert difference(limits, wanted, before, actual) == {"config": {"hour": None, "redis": {"timeout": 2000}}}


def test_a_map_is_written_whole_because_kong_does_not_merge_it() -> None:
    actual = {"headers": {"x-a": ["1"], "x-b": ["2"]}}
    assert difference(shape("routes"), {"headers": {"x-a": ["1"]}}, {}, actual) == {"headers": {"x-a": ["1"]}}


def test_what_kong_holds_alike_keeps_the_declared_value() -> None:
    declared = {"protocols": ["https", "http"], "hosts": [], "headers": {"x-a": ["1"]}}
    actual = {"protocols": ["http", "https"], "hosts": {}, "headers": {"x-a": ["1"]}, "strip_path": False}
    assert seen(shape("routes"), declared, actual) == declared


def test_drift_shows_where_it_is_and_nowhere_else() -> None:
    declared = {"paths": ["/a"], "strip_path": True, "hosts": ["a.test"]}
    actual = {"paths": ["/a"], "strip_path": False, "hosts": None}
    assert seen(shape("routes"), declared, actual) == {"paths": ["/a"], "strip_path": False}


def test_defaults_timestamps_and_deprecated_shorthands_are_no_departure() -> None:
    actual = {
        "protocols": ["http", "https", "grpcs", "grpc"],
        "config": {"minute": 60, "policy": "local", "redis": {"port": 6379, "timeout": 9}, "redis_port": 6379},
    }
    assert departures(shape("plugin-rate-limiting"), actual) == {"config": {"minute": 60, "redis": {"timeout": 9}}}
    assert "redis_port" not in known(shape("plugin-rate-limiting"), actual)["config"]


def test_the_server_says_which_leaves_are_secret_and_what_is_deprecated() -> None:
    config = shape("plugin-rate-limiting").of("config")
    assert list(secret_paths(config)) == [("redis", "password")]
    assert config.moved["redis_host"] == "redis.host"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(declared=st.dictionaries(st.sampled_from(["minute", "redis", "policy", "own"]), json_values))
def test_what_was_just_stored_is_never_a_difference(declared: dict[str, Any]) -> None:
    limits = shape("plugin-rate-limiting")
    stored = {"config": {name: value for name, value in declared.items() if value is not None}}
    assert difference(limits, stored, stored, stored) == {}


# Refusals, as a real Kong 3.9.1 gave them


def test_every_recorded_refusal_becomes_one_line_that_names_what_is_wrong() -> None:
    for row in REFUSALS:
        kind = Conflict if row["status"] == 409 else Rejected
        what = refusal(kind("raw", world="", next="", status=row["status"], body=row["answer"]), "route 'r'").what
        assert what.startswith("Kong refuses route 'r': ")
        assert what.endswith(".")
        assert not what.endswith("..")
        assert "\n" not in what
        assert "@entity" not in what
        assert "None" not in what


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        (
            "PUT",
            "/upstreams/u3",
            {"name": "u3", "healthchecks": {"active": {"healthy": {"interval": -1}}}},
            "healthchecks.active.healthy.interval: value should be between 0 and 65535",
        ),
        (
            "PUT",
            "/upstreams/u3",
            {"name": "u3", "hash_on": "header"},
            "hashOnHeader: required field missing",
        ),
        (
            "PUT",
            "/routes/r3",
            {"name": "r3"},
            "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'",
        ),
        (
            "POST",
            "/schemas/routes/validate",
            {"name": "r", "paths": ["abc", "~/a(b"], "protocols": ["http", "zzz"]},
            "paths[0]: should start with: / (fixed path) or ~/ (regex path); paths[1]: invalid regex: '/a(b' (PCRE "
            'returned: pcre2_compile() failed: missing closing parenthesis in "/a(b"); protocols[1]: expected one of: '
            "grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
        ),
        (
            "POST",
            "/plugins",
            {"name": "rate-limiting", "config": {"minute": 0, "foo": 1}},
            "config.foo: unknown field; config.minute: value must be greater than 0",
        ),
        ("POST", "/plugins", {"name": "prometheus", "service": {"name": "nope"}}, "there is no service 'nope'"),
        (
            "PUT",
            "/routes/r3",
            {"name": "r3", "paths": ["/api"], "service": {"id": "00000000-0000-0000-0000-000000000000"}},
            "there is no service '00000000-0000-0000-0000-000000000000'",
        ),
        ("POST", "/services", {"name": "api", "host": "x"}, "name 'api' is already taken"),
        ("POST", "/services/api/plugins", {"name": "cors"}, "there is already another cors plugin on that service"),
    ],
)
def test_a_refusal_of_kong_is_told_in_a_sentence(method: str, path: str, body: Any, sentence: str) -> None:
    assert told(method, path, body) == f"Kong refuses route 'r': {sentence}."


def test_faults_below_config_keep_the_plugins_own_spelling() -> None:
    assert sentences({"config": {"limit_by": "no"}, "strip_path": "no"}) == ["config.limit_by: no", "stripPath: no"]


def test_a_secret_that_kong_quotes_back_is_hidden() -> None:
    body = {"code": 5, "fields": {"key": "secret1"}, "name": "unique constraint violation"}
    problem = Conflict("answered 409: secret1", world="", next="", status=409, body=body)
    assert "secret1" not in str(refusal(problem, "consumer 'alice'", {"secret1"}))


def test_an_error_that_is_no_refusal_keeps_its_kind_and_loses_the_secret() -> None:
    problem = LostReply("no answer to PUT /x/hunter-22", world="Unknown.", next="Look.", subject="PUT /x/hunter-22")
    shown = refusal(problem, "consumer 'alice'", {"hunter-22"})
    assert type(shown) is LostReply
    assert shown.what == "no answer to PUT /x/***"
    assert shown.next == "Run pulumi up again: it looks first, and keeps what carries our tag."
    assert "hunter-22" not in shown.subject
