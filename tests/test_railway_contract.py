"""The guard of the contract with Railway: what is a difference, what is none, and how each is told."""

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from graphql import GraphQLSchema, build_schema, execute, parse

from sandbox import railway_contract
from sandbox.railway_contract import differences, ours
from sandbox.railway_graphql import SDL
from tests.railway_platform import faked, served

WHOLE = Path(__file__).parent / "recorded" / "railway_full.graphql.gz"
Answer = Callable[[web.Request], Awaitable[web.Response]]


def told(url: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = railway_contract.main([url])
    said = capsys.readouterr()
    return code, (said.out + said.err).replace(url, "URL").splitlines()


def against(answer: Answer, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The guard on an API that answers so."""

    async def run() -> tuple[int, list[str]]:
        app = web.Application()
        app.router.add_post("/graphql/v2", answer)
        async with served(app) as address:
            return await asyncio.to_thread(told, f"{address}/graphql/v2", capsys)

    return asyncio.run(run())


def speaking(schema: GraphQLSchema) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        assert (request.query_string, request.headers["User-Agent"]) == (
            "source=bluegreen-contract",
            "bluegreen-contract/1",
        )
        result: Any = execute(schema, parse((await request.json())["query"]))
        return web.json_response({"data": result.data})

    return answer


def altered(pattern: str, replacement: str) -> GraphQLSchema:
    text, count = re.subn(pattern, replacement, SDL.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    return build_schema(text, assume_valid=True)


def test_the_stand_in_fits_and_tells_its_schema_without_a_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> tuple[int, list[str]]:
        async with faked(tmp_path) as (railway, _):
            return await asyncio.to_thread(told, f"{railway.address}/graphql/v2", capsys)

    code, lines = asyncio.run(run())
    assert code == 0
    assert re.fullmatch(r"URL has everything of railway.graphql: \d{3} types, and none of them differs\.", lines[0])


def test_an_api_with_a_field_less_is_told_with_exit_14(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = against(speaking(altered(r"^  deploymentStopped: Boolean!\n", "")), capsys)
    assert code == 14
    assert lines == [
        "Field Deployment.deploymentStopped was removed.",
        "URL differs from railway.graphql in 1 place. Nothing was changed. Adapt railway.graphql and the operations.",
    ]


def test_railways_whole_schema_as_it_was_recorded_fits() -> None:
    whole = build_schema(gzip.decompress(WHOLE.read_bytes()).decode(), assume_valid=True)
    assert differences(ours(), whole) == []


@pytest.mark.parametrize(
    ("pattern", "replacement", "said"),
    [
        (
            r"^  canRollback: Boolean!",
            "  canRollback: Int!",
            "Field Deployment.canRollback changed type from Boolean! to Int!.",
        ),
        (r"^  SLEEPING$", "  SLEEPING\n  DREAMING", "Enum value DeploymentStatus.DREAMING was added."),
        (r"^  SLEEPING$", "", "Enum value DeploymentStatus.SLEEPING was removed."),
        (
            r"^input ServiceCreateInput \{$",
            "input ServiceCreateInput {\n  why: Int!",
            "A required field ServiceCreateInput.why was added.",
        ),
        (
            r"deploymentStop\(id: String!\)",
            "deploymentStop(id: String!, why: String!)",
            "A required argument Mutation.deploymentStop(why:) was added.",
        ),
        (
            "replace: Boolean = false",
            "replace: Boolean = true",
            "VariableCollectionUpsertInput.replace has changed its default from false to true.",
        ),
        (
            "replace: Boolean = false",
            "replace: Boolean",
            "VariableCollectionUpsertInput.replace has changed its default from false to none.",
        ),
        (
            r"^  canRollback: Boolean!",
            '  canRollback: Boolean! @deprecated(reason: "No.")',
            "Deployment.canRollback is deprecated: No.",
        ),
        (
            r"^type ServiceSource \{[^}]*\}",
            "scalar ServiceSource",
            "ServiceSource changed from an Object type to a Scalar type.",
        ),
    ],
)
def test_what_something_may_rest_on_is_a_difference(pattern: str, replacement: str, said: str) -> None:
    assert differences(ours(), altered(pattern, replacement)) == [said]


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"^  canRollback: Boolean!", "  canRollback: Boolean!\n  canFly: Boolean!"),
        (r"^  projectId: String!\n", "  projectId: String!\n  why: Int\n"),
    ],
)
def test_what_railway_has_beside_is_no_difference(pattern: str, replacement: str) -> None:
    assert differences(ours(), altered(pattern, replacement)) == []


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (503, "", "URL answered 503 instead of its schema. Try again later."),
        (200, "<html>", "URL did not tell its schema: what it answered is no JSON. Check the address, then try again."),
        (200, "[]", "URL refused to tell its schema: there is neither data nor an error in its answer. Check"),
        (200, '{"errors": [{"message": "Not here"}]}', "URL refused to tell its schema: Not here. Check the address"),
        (200, '{"data": {"x": 1}}', "URL told no schema: "),
    ],
)
def test_an_api_that_tells_no_schema_is_no_difference_and_no_success(
    status: int, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    code, lines = against(answer, capsys)
    assert code == 2
    assert lines[0].startswith(said)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/graphql/v2", "nonsense"])
def test_an_address_at_which_nobody_answers_is_told(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = told(url, capsys)
    assert code == 2
    assert lines[0].startswith("URL did not tell its schema: ")
