"""A release is refused where Railway would refuse it, and its id names its behaviour and nothing else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from bluegreen.railway.spec import Release, ServiceSpec, ServiceState
from bluegreen.spec import problems

DIGEST = "sha256:" + "a" * 64
IMAGE = f"ghcr.io/acme/backend@{DIGEST}"
REGION = "europe-west4-drams3a"
KEY = SecretStr("key")


def release(**changes: Any) -> Release:
    return Release.model_validate({"image": IMAGE, "replicas": {REGION: 2}, **changes})


def service(**changes: Any) -> ServiceSpec:
    whole = {
        "name": "backend-green",
        "app": "backend",
        "colour": "green",
        "place": {"projectId": "p", "environmentId": "e"},
        "release": {"image": IMAGE, "replicas": {REGION: 2}, "variables": {"LOG": "info"}},
        "releaseId": "0123456789abcdef",
        "owner": "acme.production",
        "role": "idle",
    }
    return ServiceSpec.model_validate({**whole, **changes})


def refused(kind: type[Release] | type[ServiceSpec], **changes: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        release(**changes) if kind is Release else service(**changes)
    return problems(caught.value)


def test_what_is_not_written_has_the_default_that_keeps_users_unharmed() -> None:
    found = release()
    assert (found.port, found.healthcheck_path, found.healthcheck_timeout_seconds) == (8000, "/health", 120)
    assert (found.overlap_seconds, found.draining_seconds) == (20, 30)
    assert found.restart_policy == "ALWAYS"


def test_a_health_check_path_with_a_hyphen_is_refused() -> None:
    wanted = [
        "healthcheckPath: '/health-check' contains a hyphen, which Railway rejects as invalid input. "
        "Serve the check under another path"
    ]
    assert wanted == refused(Release, healthcheckPath="/health-check")


def test_a_health_check_path_without_a_slash_is_refused() -> None:
    wanted = ["healthcheckPath: 'health' does not start with a slash. Write it as /health"]
    assert wanted == refused(Release, healthcheckPath="health")


@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    assert refused(Release, port=port)[0].startswith("port: ")


def test_an_image_without_a_digest_is_refused() -> None:
    assert "is not pinned to a digest" in refused(Release, image="ghcr.io/acme/backend:v42")[0]


def test_a_release_as_it_is_by_default_is_warned_of_nothing() -> None:
    assert list(release().warnings()) == []


def test_a_handover_of_no_seconds_is_warned_of() -> None:
    assert list(release(overlapSeconds=0, drainingSeconds=0).warnings()) == [
        "overlapSeconds is 0: the deployment before ends while requests are still sent to it. Write 20",
        "drainingSeconds is 0: requests that are still being answered are cut off. Write 30",
    ]


@pytest.mark.parametrize(
    ("command", "runner"),
    [
        ("npm start", "npm"),
        ("npm run migrate && exec yarn start", "yarn"),
        ("NODE_ENV=production /usr/bin/pnpm serve", "pnpm"),
        ("yarn", "yarn"),
    ],
)
def test_a_start_command_that_does_not_hand_sigterm_on_is_warned_of(command: str, runner: str) -> None:
    (warning,) = release(startCommand=command).warnings()
    assert warning == (
        f"startCommand is {command!r}, and {runner} does not hand SIGTERM on, so requests that are still being answered"
        " are cut off. Write the command itself, such as node server.js"
    )


@pytest.mark.parametrize("command", ["node server.js", "npm run migrate && node server.js", "npm-serve", "./yarn.sh"])
def test_a_start_command_that_takes_sigterm_itself_is_warned_of_nothing(command: str) -> None:
    assert list(release(startCommand=command).warnings()) == []


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("ghcr.io/acme/backend", "ghcr.io"),
        ("registry.acme.example:5000/backend", "registry.acme.example:5000"),
        ("localhost/backend", "localhost"),
        ("acme/backend", "docker.io"),
        ("nginx", "docker.io"),
    ],
)
def test_an_image_names_the_registry_it_is_pulled_from(image: str, host: str) -> None:
    assert release(image=f"{image}@{DIGEST}").registry == host


def test_a_release_without_a_region_is_refused() -> None:
    assert "no region is named" in refused(Release, replicas={})[0]


def test_more_replicas_than_railway_runs_are_refused() -> None:
    found = refused(Release, replicas={REGION: 30, "us-west2": 21})
    assert found[0] == "replicas: 51 replicas are asked for; Railway runs at most 50 of a service. Lower the numbers"


def test_a_region_with_no_replica_is_refused() -> None:
    assert f"replicas.{REGION}: " in refused(Release, replicas={REGION: 0})[0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("PORT", "release.port sets it"),
        ("BLUEGREEN_RELEASE", "mark whose release is running"),
        ("BLUEGREEN_ANYTHING", "mark whose release is running"),
        ("RAILWAY_HEALTHCHECK_TIMEOUT_SEC", "healthcheckTimeoutSeconds sets the same thing"),
        ("RAILWAY_DEPLOYMENT_OVERLAP_SECONDS", "overlapSeconds sets the same thing"),
        ("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "drainingSeconds sets the same thing"),
    ],
)
def test_a_variable_that_something_else_sets_is_refused_with_the_reason(name: str, reason: str) -> None:
    for found in (refused(Release, variables={name: "1"}), refused(ServiceSpec, secrets={name: "1"})):
        assert found[0].split(": ", 1)[1].startswith(f"{name} cannot be set here: ")
        assert reason in found[0]


def test_a_variable_that_cannot_be_one_is_refused() -> None:
    assert "'MY-VAR' is no name for a variable" in refused(Release, variables={"MY-VAR": "1"})[0]


def test_a_name_that_is_set_both_openly_and_as_a_secret_is_refused() -> None:
    found = refused(ServiceSpec, secrets={"LOG": "x"})
    assert [each.lstrip(": ") for each in found] == ["LOG is set both as a variable and as a secret. Keep one of them"]


def test_an_unknown_key_is_refused_by_its_path() -> None:
    given_release = {"image": IMAGE, "replicas": {REGION: 1}, "healtcheckPath": "/up"}
    assert refused(ServiceSpec, release=given_release) == ["release.healtcheckPath: unknown key"]


def test_the_container_sees_variables_secrets_and_the_marks_of_its_release() -> None:
    wanted = {
        "LOG": "info",
        "TOKEN": "t0p",
        "PORT": "8000",
        "BLUEGREEN_OWNER": "acme.production",
        "BLUEGREEN_RELEASE": "0123456789abcdef",
        "BLUEGREEN_COLOUR": "green",
        "BLUEGREEN_SECRETS": "TOKEN",
    }
    assert wanted == service(secrets={"TOKEN": "t0p"}).environment()


# ── the release id ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_id_is_sixteen_hex_digits_and_the_same_for_ever() -> None:
    full = release(variables={"B": "2", "A": "1"}, limits={"memoryGb": 2}, preDeployCommand="python -m app.warm")
    assert release().id() == "f2b2536342bce119"
    assert full.id({"TOKEN": SecretStr("t0p")}, KEY) == "7798d999eef0c56c"


def test_an_id_is_the_same_in_another_process() -> None:
    spec = {"image": IMAGE, "replicas": {REGION: 2, "us-west2": 1}, "variables": {"A": "1", "B": "2"}}
    program = (
        "import sys, json; from pydantic import SecretStr; from bluegreen.railway.spec import Release;"
        "print(Release.model_validate(json.loads(sys.argv[1])).id({'S': SecretStr('s')}, SecretStr('key')))"
    )
    there = subprocess.run(
        [sys.executable, "-c", program, json.dumps(spec)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert Release.model_validate(spec).id({"S": SecretStr("s")}, KEY) == there.stdout.strip()


@given(st.permutations(["A", "B", "C", "D"]), st.permutations(["us-west2", REGION]))
def test_an_id_does_not_depend_on_the_order_of_a_map(names: list[str], regions: list[str]) -> None:
    variables, replicas = {name: name.lower() for name in names}, {region: len(region) for region in regions}
    secrets = {f"S_{name}": SecretStr(name) for name in names}
    ordered = release(variables=dict(sorted(variables.items())), replicas=dict(sorted(replicas.items())))
    wanted = ordered.id(dict(sorted(secrets.items())), KEY)
    assert wanted == release(variables=variables, replicas=replicas).id(secrets, KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"image": IMAGE.replace("a" * 64, "b" * 64)},
        {"port": 9000},
        {"healthcheckPath": "/up"},
        {"healthcheckTimeoutSeconds": 121},
        {"replicas": {REGION: 3}},
        {"variables": {"A": "1"}},
        {"overlapSeconds": 21},
        {"drainingSeconds": 31},
        {"restartPolicy": "NEVER"},
        {"restartPolicyMaxRetries": 3},
        {"startCommand": "serve"},
        {"preDeployCommand": "warm"},
        {"limits": {"memoryGb": 1}},
        {"limits": {"vcpus": 1}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_behaviour_changes_the_id(change: dict[str, Any]) -> None:
    assert release().id() != release(**change).id()


def test_a_rotated_secret_is_another_release() -> None:
    first, second = {"TOKEN": SecretStr("one")}, {"TOKEN": SecretStr("two")}
    assert release().id(first, KEY) != release().id(second, KEY)


def test_a_secret_under_another_name_is_another_release() -> None:
    assert release().id({"A": SecretStr("one")}, KEY) != release().id({"B": SecretStr("one")}, KEY)


def test_the_key_is_part_of_what_names_a_secret() -> None:
    secrets = {"TOKEN": SecretStr("one")}
    assert release().id(secrets, KEY) != release().id(secrets, SecretStr("another"))


def test_without_secrets_the_key_does_not_matter() -> None:
    assert release().id() == release().id({}, KEY)


@pytest.mark.parametrize("key", [None, SecretStr("")])
def test_secrets_without_a_key_are_refused(key: SecretStr | None) -> None:
    with pytest.raises(ValueError, match=r"there is no key\. Set secrets\.releaseKey"):
        release().id({"TOKEN": SecretStr("one")}, key)


def test_the_schema_that_a_release_needs_is_not_part_of_its_id() -> None:
    assert release().id() == release(schemaMin="011").id()


def test_the_repository_is_not_part_of_the_id_because_the_digest_says_it_all() -> None:
    assert release().id() == release(image=f"mirror.example/backend@{DIGEST}").id()


def test_a_default_that_is_written_out_changes_nothing() -> None:
    assert release().id() == release(port=8000, healthcheckPath="/health", restartPolicy="ALWAYS").id()


def test_no_secret_shows_in_the_text_of_a_spec() -> None:
    spec = service(secrets={"TOKEN": "t0psecret"}, registryCredentials={"username": "u", "password": "pa55word"})
    assert not {"t0psecret", "pa55word"} & set(repr(spec).replace("'", " ").split())
    assert "t0psecret" not in spec.model_dump_json()


def test_a_state_of_another_version_is_read_without_complaint() -> None:
    found = ServiceState.model_validate({"serviceId": "s", "status": "SUCCESS", "somethingNew": 1})
    assert ServiceState(service_id="s", status="SUCCESS") == found
