"""What is sent to Railway and what its answers mean, over a wire that answers as told."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stamina
from aiohttp import web
from pydantic import SecretStr

from bluegreen.handler import Refused
from bluegreen.http import (
    ApiError,
    Conflict,
    LostReply,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from bluegreen.railway.answers import Busy, QuotaExceeded
from bluegreen.railway.api import Railway, TokenKind
from bluegreen.railway.spec import Place
from sandbox.faults import cut
from tests.railway_platform import served

TOKEN = "t0ken-of-the-project"
PLACE = Place(project_id="p", environment_id="e")
EMPTY_PAGE: dict[str, Any] = {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
NO_SERVICES = {"data": {"project": {"id": "p", "services": EMPTY_PAGE}}}

Reply = Callable[[web.Request], web.StreamResponse]
Scene = Callable[[Railway], Coroutine[Any, Any, Any]]


class Wire:
    """A server that gives these replies one after another, the last one for ever, and keeps what it was sent."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.requests: list[web.Request] = []
        self.bodies: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.json())
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return reply(request)

    @asynccontextmanager
    async def railway(self, kind: TokenKind = "project") -> Any:
        app = web.Application()
        app.router.add_post("/graphql/v2", self.answer)
        async with served(app) as address, Railway(f"{address}/graphql/v2", SecretStr(TOKEN), kind=kind) as railway:
            yield railway

    def play(self, scene: Scene, kind: TokenKind = "project") -> Any:
        async def run() -> Any:
            async with self.railway(kind) as railway:
                return await scene(railway)

        with stamina.set_testing(True, attempts=4):
            return asyncio.run(run())


def told(body: Any, status: int = 200, **headers: str) -> Reply:
    return lambda _: web.json_response(
        body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def page(text: str, status: int, **headers: str) -> Reply:
    return lambda _: web.Response(text=text, status=status, content_type="text/html", headers=headers)


def error(message: str, status: int = 200, **more: str) -> Reply:
    return told({"data": None, "errors": [{"message": message, "extensions": {"code": "X"}, **more}]}, status)


async def services(railway: Railway) -> Any:
    return await railway.services("p")


async def create(railway: Railway) -> Any:
    return await railway.service_create(PLACE, "backend-green", {"BLUEGREEN_OWNER": "o"})


def fault(wire: Wire, scene: Scene) -> ApiError:
    with pytest.raises(ApiError) as caught:
        wire.play(scene)
    return caught.value


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_names_its_source_and_its_agent_so_that_cloudflare_lets_it_through() -> None:
    wire = Wire(told(NO_SERVICES))
    wire.play(services)
    (request,) = wire.requests
    assert request.query_string == "source=bluegreen"
    assert request.headers["User-Agent"] == "bluegreen/0.1"


def test_a_project_token_goes_into_its_own_header() -> None:
    wire = Wire(told(NO_SERVICES))
    wire.play(services)
    headers = wire.requests[0].headers
    assert (headers.get("Project-Access-Token"), headers.get("Authorization")) == (TOKEN, None)


def test_a_workspace_token_goes_as_a_bearer() -> None:
    wire = Wire(told(NO_SERVICES))
    wire.play(services, kind="workspace")
    headers = wire.requests[0].headers
    assert (None, f"Bearer {TOKEN}") == (headers.get("Project-Access-Token"), headers.get("Authorization"))


def test_a_request_carries_one_operation_and_only_the_fragments_it_uses() -> None:
    wire = Wire(told({"data": {"deployment": {"id": "d", "status": "SUCCESS", "deploymentStopped": False}}}))
    wire.play(lambda railway: railway.deployment("d"))
    (body,) = wire.bodies
    assert body["operationName"] == "DeploymentRead"
    assert body["query"].count("query ") == 1
    assert [line.split()[1] for line in body["query"].splitlines() if line.startswith("fragment")] == ["DeploymentCore"]


def test_a_service_is_created_without_a_source_so_that_nothing_deploys() -> None:
    wire = Wire(told({"data": {"serviceCreate": {"id": "s"}}}))
    assert wire.play(create) == "s"
    wanted = {"projectId": "p", "environmentId": "e", "name": "backend-green", "variables": {"BLUEGREEN_OWNER": "o"}}
    assert wanted == wire.bodies[0]["variables"]["input"]


def test_variables_are_replaced_without_deploying() -> None:
    wire = Wire(told({"data": {"variableCollectionUpsert": True}}))
    wire.play(lambda railway: railway.variable_collection_upsert(PLACE, "s", {"A": "1"}))
    sent = wire.bodies[0]["variables"]["input"]
    assert (sent["replace"], sent["skipDeploys"], sent["variables"]) == (True, True, {"A": "1"})


def test_a_list_is_read_to_its_last_page() -> None:
    def listed(name: str, cursor: str | None) -> Reply:
        info = {"hasNextPage": cursor is not None, "endCursor": cursor}
        node = {"id": name.upper(), "name": name, "deletedAt": None}
        return told({"data": {"project": {"services": {"edges": [{"node": node}], "pageInfo": info}}}})

    wire = Wire(listed("one", "c1"), listed("two", None))
    assert wire.play(services) == {"one": "ONE", "two": "TWO"}
    assert [body["variables"]["after"] for body in wire.bodies] == [None, "c1"]


def test_a_deprecated_region_names_the_one_that_replaces_it() -> None:
    told_so = {"deprecationInfo": {"isDeprecated": True, "replacementRegion": "new"}}
    nodes = [{"name": "old", "deploymentConstraints": told_so}, {"name": "new", "deploymentConstraints": None}]
    wire = Wire(told({"data": {"regions": nodes}}))
    assert wire.play(lambda railway: railway.regions("p")) == {"old": "new", "new": None}


def test_a_deleted_service_is_not_listed() -> None:
    node = {"id": "s", "name": "backend-green", "deletedAt": "2030-01-01T00:00:00Z"}
    only = {"edges": [{"node": node}], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    assert Wire(told({"data": {"project": {"services": only}}})).play(services) == {}


def test_without_a_token_nothing_is_sent() -> None:
    async def run() -> None:
        async with Railway("http://127.0.0.1:9", None) as railway:
            await railway.services("p")

    with pytest.raises(Refused, match=r"There is no token for Railway\. .* Set BLUEGREEN_RAILWAY_TOKEN"):
        asyncio.run(run())


# ── what an answer means ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Not Authorized", Unauthorized),
        ("Unauthorized", Unauthorized),
        ("Project Token not found", Unauthorized),
        ("Two Factor Authentication Required", Unauthorized),
        ("Service not found", NotFound),
        ("Could not find deployment", NotFound),
        ('A service named "backend-green" already exists in this project', Conflict),
        ("An operation is already in progress", Busy),
        ("Cannot redeploy yet, please wait for the original deployment to finish", Busy),
        ("You are deploying too quickly", RateLimited),
        ("Whoa there pal! Environments can be created once every 30s", RateLimited),
        ("You have hit the service creation limit (25 services per day)", QuotaExceeded),
        ("Problem processing request", Unavailable),
        ("Invalid input: healthcheckPath", Rejected),
    ],
)
def test_an_error_in_a_200_is_told_by_its_message(message: str, kind: type[ApiError]) -> None:
    found = fault(Wire(error(message)), create)
    assert kind is type(found)
    assert f"Railway answered ServiceCreate: {message}." == found.what


def test_an_error_carries_railways_trace() -> None:
    found = fault(Wire(error("Not Authorized", traceId="8731")), create)
    assert found.what == "Railway answered ServiceCreate: Not Authorized (trace 8731)."


def test_an_unauthorised_call_says_what_to_check() -> None:
    assert "Check BLUEGREEN_RAILWAY_TOKEN" in fault(Wire(error("Not Authorized")), create).next


def test_a_missing_second_factor_is_told_to_whoever_made_the_token() -> None:
    found = fault(Wire(error("Two Factor Authentication Required")), create)
    assert found.next.startswith("The workspace demands two-factor authentication: whoever made the token has to")


def test_a_web_page_that_limits_names_no_time_and_is_given_half_a_minute() -> None:
    found = fault(Wire(page("<html>Error 1015</html>", 429)), services)
    assert isinstance(found, RateLimited)
    assert (found.retry_after, found.next) == (30.0, "Try again in 30 s.")


@pytest.mark.parametrize(
    ("stop", "operation"), [(True, "DeploymentStop"), (False, "DeploymentRestart")], ids=["stop", "restart"]
)
def test_a_deployment_is_stopped_and_restarted_by_its_id(stop: bool, operation: str) -> None:
    wire = Wire(told({"data": {"deploymentStop": True, "deploymentRestart": True}}))
    wire.play(lambda railway: railway.deployment_stop("d") if stop else railway.deployment_restart("d"))
    assert [(body["operationName"], body["variables"]) for body in wire.bodies] == [(operation, {"id": "d"})]


def test_a_refused_write_says_that_nothing_was_changed() -> None:
    assert fault(Wire(error("Invalid input")), create).world == "Nothing was changed."


def test_a_write_that_railway_could_not_process_may_have_happened() -> None:
    assert fault(Wire(error("Problem processing request")), create).world == "Whether it took effect is unknown."


def test_a_call_that_came_too_quickly_may_come_back_after_half_a_minute() -> None:
    found = fault(Wire(error("Whoa there pal")), create)
    assert isinstance(found, RateLimited)
    assert found.retry_after == 30.0


def test_a_mutation_with_nothing_to_change_succeeded() -> None:
    Wire(error("No patch to apply")).play(lambda railway: railway.deployment_cancel("d"))


def test_an_invalid_document_is_told_in_railways_words() -> None:
    body = {"errors": [{"message": "Cannot query field x", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}]}
    found = fault(Wire(told(body, 400)), create)
    assert (Rejected, 400) == (type(found), found.status)
    assert found.what == "Railway answered ServiceCreate: Cannot query field x."


def test_a_null_where_an_object_belongs_is_not_found() -> None:
    assert NotFound is type(fault(Wire(told({"data": {"service": None}})), lambda railway: railway.service("s")))


def test_a_rate_limit_says_when_to_come_back() -> None:
    body = {"errors": [{"message": "Rate limit exceeded, please try again in 7 seconds"}]}
    found = fault(Wire(told(body, 429, Retry_After="7")), create)
    assert isinstance(found, RateLimited)
    assert found.retry_after == 7.0


@pytest.mark.parametrize(
    ("status", "code", "kind"), [(429, "1015", RateLimited), (403, "1010", Rejected), (502, "", Unavailable)]
)
def test_a_web_page_is_told_in_one_sentence(status: int, code: str, kind: type[ApiError]) -> None:
    text = f"<!doctype html><title>Denied</title><h1>Error {code}</h1>" + "<p>Cloudflare</p>" * 40
    found = fault(Wire(page(text, status)), create)
    because = f" (Cloudflare error {code})" if code else ""
    assert kind is type(found)
    assert f"A web page instead of Railway answered ServiceCreate with {status}{because}." == found.what


def test_json_that_is_no_graphql_answer_is_unavailable() -> None:
    found = fault(Wire(told(["hello"])), create)
    assert found.what == "Railway answered ServiceCreate with something else than GraphQL."


def test_no_error_shows_the_token() -> None:
    assert TOKEN not in str(fault(Wire(error(f"Invalid token {TOKEN}")), create))


def test_no_error_shows_the_value_of_a_variable() -> None:
    found = fault(
        Wire(error("Invalid input: variable A = 'very-secret'")),
        lambda railway: railway.variable_collection_upsert(PLACE, "s", {"A": "very-secret"}),
    )
    assert found.what == "Railway answered VariableCollectionUpsert: Invalid input: variable A = '***'."


# ── what is repeated ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", [page("", 502), error("Problem processing request"), told({}, 503)])
def test_a_read_is_repeated_while_railway_is_out_of_order(first: Reply) -> None:
    wire = Wire(first, told(NO_SERVICES))
    assert wire.play(services) == {}
    assert len(wire.requests) == 2


def test_a_read_waits_as_long_as_it_is_asked_to() -> None:
    wire = Wire(told({"errors": []}, 429, Retry_After="0"), told(NO_SERVICES))
    assert wire.play(services) == {}
    assert len(wire.requests) == 2


def test_a_read_does_not_sleep_through_an_hour_that_it_is_asked_to_wait() -> None:
    wire = Wire(told({"errors": [{"message": "Rate limit exceeded"}]}, 429, Retry_After="3600"), told(NO_SERVICES))
    found = fault(wire, services)
    assert isinstance(found, RateLimited)
    assert (found.retry_after, found.next, len(wire.requests)) == (3600.0, "Try again in 60 min.", 1)


def test_a_read_is_not_repeated_for_ever() -> None:
    wire = Wire(page("", 502))
    assert Unavailable is type(fault(wire, services))
    assert len(wire.requests) == 4


@pytest.mark.parametrize("reply", [page("", 502), error("Problem processing request"), told({"errors": []}, 429)])
def test_a_mutation_is_never_repeated(reply: Reply) -> None:
    wire = Wire(reply)
    fault(wire, create)
    assert len(wire.requests) == 1


def test_a_mutation_whose_answer_got_lost_may_have_happened() -> None:
    wire = Wire(cut)
    found = fault(wire, create)
    assert (LostReply, 1) == (type(found), len(wire.requests))
    assert found.what.startswith("Railway did not answer ServiceCreate: ")
    assert found.world == "Whether it took effect is unknown."


def test_a_railway_out_of_reach_is_told_with_its_address() -> None:
    async def run() -> None:
        async with Railway("http://127.0.0.1:9/graphql/v2", SecretStr(TOKEN)) as railway:
            await railway.service_create(PLACE, "backend-green", {})

    with pytest.raises(Unreachable, match=r"Railway cannot be reached at http://127\.0\.0\.1:9/graphql/v2"):
        asyncio.run(run())


def test_what_is_sent_is_plain_json() -> None:
    wire = Wire(told({"data": {"serviceInstanceUpdate": True}}))
    config = {"multiRegionConfig": {"us-west2": None, "europe-west4-drams3a": {"numReplicas": 2}}, "cronSchedule": None}
    wire.play(lambda railway: railway.service_instance_update(PLACE, "s", config))
    assert config == json.loads(json.dumps(wire.bodies[0]["variables"]["input"]))
