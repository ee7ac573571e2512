"""The live try, on the stand-in: its steps, its refusals, and that nothing of it is left behind."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from graphql import parse, validate

from sandbox import railway_smoke, registry
from sandbox.railway_contract import ours
from sandbox.railway_smoke import DOCUMENTS, VARIABLE
from tests.railway_platform import ENVIRONMENT, PROJECT, TOKEN, Railway, faked

IMAGE = registry.resolve("registry.sandbox/backend:v1")


def tried(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    *more: str,
    script: Sequence[dict[str, Any]] = (),
    beside: Sequence[str] = (),
    broken: str = "nothing",
) -> tuple[int, str, list[str]]:
    """The exit code, what was said, and the services that are there afterwards."""

    async def run() -> tuple[int, list[str]]:
        async with faked(folder) as (railway, _):
            for name in beside:
                await railway.create(name)
            await railway.script(*script)
            fault = {"where": {"path": broken}, "effect": {"kind": "answer", "status": 503}}
            async with railway.session.put(f"{railway.address}/__faults/broken", json=fault) as armed:
                assert armed.status == 200
            return await asyncio.to_thread(smoke, railway), left(railway)

    def smoke(railway: Railway) -> int:
        place = ["--project", PROJECT, "--environment", ENVIRONMENT, "--image", IMAGE]
        return railway_smoke.main([*place, "--url", f"{railway.address}/graphql/v2", "--poll", "0.01", *more])

    code, services = asyncio.run(run())
    said = capsys.readouterr()
    return code, said.out + said.err, services


def left(railway: Railway) -> list[str]:
    return [each.name for each in railway.store.world.services if each.deleted_at is None]


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, TOKEN)


def test_every_step_is_told_and_nothing_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, services = tried(tmp_path, capsys)
    assert (code, services) == (0, [])
    steps = ["scope", "create", "update", "variables", "deploy", "stop", "restart", "delete"]
    assert re.findall(r"^ok (\w+)", said, re.MULTILINE) == steps
    assert f"saw meta.image as {IMAGE}, meta.imageDigest as None" in said
    assert "saw a stopped deployment as SUCCESS, its replicas as ['STOPPED']" in said


def test_a_deployment_that_fails_is_told_and_its_service_is_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, services = tried(tmp_path, capsys, script=[{"outcome": "pull-failure"}])
    assert (code, services) == (1, [])
    assert re.search(r"^not as assumed: deploy: deployment \S+ was .*FAILED", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([], r"^not as assumed: bluegreen-smoke is still there"),
        ([{"outcome": "pull-failure"}], r"^not as assumed: deploy: .*FAILED.*\. And bluegreen-smoke is still there"),
    ],
)
def test_a_service_that_cannot_be_deleted_is_named_beside_what_went_wrong_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], script: list[dict[str, Any]], said: str
) -> None:
    code, told, services = tried(tmp_path, capsys, script=script, broken="SmokeDelete")
    assert (code, services) == (1, ["bluegreen-smoke"])
    assert re.search(said, told, re.MULTILINE)
    assert "(SmokeDelete was answered 503). Delete it in Railway's dashboard." in told


def test_an_image_that_was_not_asked_for_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = registry.resolve("registry.sandbox/backend:v2")
    code, said, services = tried(tmp_path, capsys, script=[{"outcome": "wrong-image", "image": other}])
    assert (code, services) == (1, [])
    assert "does not name the digest that was asked for" in said


@pytest.mark.parametrize(
    ("more", "beside", "said"),
    [
        ([], ["web"], "Environment environment-1 is no scratch environment: web live there. Nothing was changed."),
        (
            ["--environment", "other"],
            [],
            "opens environment environment-1 of project project-1, not other of project-1",
        ),
        (["--image", "registry.sandbox/backend:v1"], [], "registry.sandbox/backend:v1 names no digest."),
        (["--url", "http://127.0.0.1:9/graphql/v2"], [], "SmokeScope got no answer: "),
    ],
)
def test_what_is_no_scratch_place_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], beside: list[str], said: str
) -> None:
    code, told, services = tried(tmp_path, capsys, *more, beside=beside)
    assert (code, services) == (2, beside)
    assert said in told


def test_without_its_token_it_asks_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(VARIABLE)
    code = railway_smoke.main(["--project", "p", "--environment", "e", "--image", IMAGE, "--url", "http://127.0.0.1:9"])
    assert code == 2
    said = "BLUEGREEN_SMOKE_TOKEN is not set, so nothing was tried. Set it to a scratch environment's token.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_it_asks_is_valid_against_railways_schema(name: str) -> None:
    assert validate(ours(), parse(DOCUMENTS[name])) == []
