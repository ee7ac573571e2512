"""The checks that ask the apps, at the wire: what a gateway must do to each of them, and who tells of which fault."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from bluegreen.connections import Connections
from bluegreen.settings import Settings
from bluegreen.spec import Colour
from bluegreen.standing import Recorded
from bluegreen.validation.bench import percentile
from bluegreen.validation.check import Room
from bluegreen.validation.choice import Choice
from bluegreen.validation.consumers import ends
from bluegreen.validation.endpoints import pages, request
from bluegreen.validation.finding import Finding, Validation
from bluegreen.validation.register import register
from bluegreen.validation.run import validate
from tests.memory import START, Clock

WEB_KEY, PREVIEW_KEY, ORIGIN = "key-of-web", "key-of-previews", "https://shop.test"
MINE = ["check", "proxy-reachable", "key-required", "wrong-key", "page", "request-id", "health", "release"]
MINE += ["users-release", "consumer-key", "user-token", "cors-allowed", "cors-foreign", "assets", "colour-assets"]
MEASURED = ["latency", "latency-fresh", "kong-overhead", "database-time"]
PAGE = '<script src="/app.js"></script><link rel="stylesheet" href="/app.css">'
RELEASE = {"image": f"ghcr.io/acme/backend@sha256:{'a' * 64}", "replicas": {"us-west2": 1}}
BOTH = {"live": "blue", "blue": RELEASE, "green": {**RELEASE, "port": 8001}}
WHOLE: dict[str, Any] = {
    "railway": {"projectId": "p", "environmentId": "e"},
    "apps": {
        "backend": {"kind": "api", **BOTH, "routes": {"api": {"paths": ["/api"]}}},
        "frontend": {"kind": "web", **BOTH, "routes": {"web": {"paths": ["/"], "hosts": ["shop.test"]}}},
    },
    "gateway": {
        "plugins": {
            "cors": {"origins": [ORIGIN, "https://other.test"], "methods": ["GET", "POST"]},
            "correlation-id": {"header_name": "X-Id", "echo_downstream": True},
        },
        "types": {"api": {"key-auth": {}}},
        "consumers": {"web": {}},
    },
    "checks": [{"name": "hello", "app": "backend", "path": "/api/hello", "consumer": "web", "within": "30s"}],
    "secrets": {"consumers": {"web": WEB_KEY}},
}


@dataclass
class World:
    """A gateway with two apps behind it, as it should be; a test plants one fault."""

    settings: Settings
    keyless: bool = False  # nobody is asked for a key
    knows: tuple[str, ...] = (WEB_KEY,)
    preview_key: str = PREVIEW_KEY
    routes: tuple[str, ...] = ("api", "web")
    origins: tuple[str, ...] = (ORIGIN, "https://other.test")
    methods: str = "GET,POST"
    missing: tuple[str, ...] = ()
    page: str = PAGE
    status: int = 200  # of every app
    sick: tuple[str, ...] = ()  # colours whose health check answers 503
    absent: tuple[str, ...] = ()  # colours that Kong says do not exist
    foreign: str = ""  # a release that answers users
    silent: bool = False  # no correlation id
    slow: Callable[[int], float] = field(default=lambda number: 0.0)
    limit: int = 0  # requests of users, before 429
    timed: bool = True
    asked: list[str] = field(default_factory=list)
    requests: int = 0
    together: asyncio.Barrier | None = None  # nobody without a key is answered before so many have asked

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.together is not None and "apikey" not in request.headers:
            await self.together.wait()
        host = request.host.partition(":")[0]
        route = "api" if request.path.startswith("/api") else "web" if host == "shop.test" else ""
        preview = f"{request.headers.get('X-Preview-App')}-{request.headers.get('X-Preview-Colour')}"
        if "X-Preview-App" in request.headers:
            return self.looked(request, preview)
        if route not in self.routes:
            return self.kong(404)
        if request.method == "OPTIONS":
            return self.preflight(request)
        key = request.headers.get("apikey", "")
        if route == "api" and not self.keyless and key not in self.knows:
            return self.kong(401)
        self.asked.append(request.path)
        if self.limit and len(self.asked) > self.limit:
            return self.kong(429)
        await asyncio.sleep(self.slow(len(self.asked)))
        app = "backend" if route == "api" else "frontend"
        return self.app(request.path, app, self.foreign or self.settings.release_id(app, "blue"))

    def looked(self, request: web.Request, preview: str) -> web.Response:
        if request.headers.get("apikey") != self.preview_key:
            return self.kong(401)
        if preview in self.absent:
            return self.kong(503)
        app, _, colour = preview.partition("-")
        release = self.settings.release_id(app, "blue" if colour == "blue" else "green")
        if request.path == "/health":
            return self.app("/health", app, release, status=503 if preview in self.sick else self.status)
        answer = self.app(request.path, app, release)
        answer.headers["X-Preview"] = preview
        return answer

    def preflight(self, request: web.Request) -> web.Response:
        origin = request.headers["Origin"]
        allowed = {"Access-Control-Allow-Origin": origin} if {origin, "*"} & set(self.origins) else {}
        return web.Response(headers={**allowed, "Access-Control-Allow-Methods": self.methods})

    def app(self, path: str, app: str, release: str, *, status: int | None = None) -> web.Response:
        headers = {"X-Release": release, "X-Kong-Upstream-Latency": "3", "X-Kong-Proxy-Latency": "2"}
        headers |= {} if self.silent else {"X-Id": "1"}
        headers |= {"Server-Timing": "cache;dur=9, db;dur=12.5"} if self.timed else {}
        if path in self.missing:
            return web.Response(status=404, headers=headers)
        kind = "text/html" if app == "frontend" and "." not in path else "text/plain"
        body = self.page if kind == "text/html" else "{}"
        return web.Response(status=status or self.status, text=body, content_type=kind, headers=headers)

    def kong(self, status: int) -> web.Response:
        headers = {"X-Kong-Response-Latency": "1", **({} if self.silent else {"X-Id": "1"})}
        return web.json_response({"message": "no"}, status=status, headers=headers)


def stack(**given: Any) -> Settings:
    return Settings.parse(
        "shop", "test", {f"shop:{key}": json.dumps(value) for key, value in {**WHOLE, **given}.items()}
    )


@asynccontextmanager
async def served(world: World) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", world.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def nobody() -> Recorded:
    return Recorded(unread="nobody asks")


def asked_in(settings: Settings) -> Room:
    return Room(settings, Connections({}), Clock(), nobody)


def found(
    world: World, only: Sequence[str] = MINE, *, address: str = "", wanted: Settings | None = None
) -> dict[str, Finding]:
    async def go() -> dict[str, Finding]:
        async with served(world) as here:
            connections = Connections({"kongProxyUrl": address or here, "previewKey": PREVIEW_KEY})
            room = Room(wanted or world.settings, connections, Clock(), nobody)
            try:
                told = await validate(room, Choice(only).asked(room, register()))
            finally:
                await connections.close()
            return {finding.id: finding for finding in told.findings}

    return asyncio.run(go())


def not_passed(world: World, only: Sequence[str] = MINE) -> dict[str, str]:
    return {
        id: finding.status for id, finding in found(world, only).items() if finding.status not in ("pass", "skipped")
    }


SETTINGS = stack()


def test_a_healthy_world_passes_everything() -> None:
    told = found(World(SETTINGS))
    assert {id: finding.observed for id, finding in told.items() if finding.status != "pass"} == {
        "user-token": "no check asks as a person (secrets.tokens)"
    }
    assert len(told) == 26


@pytest.mark.parametrize(
    ("fault", "fails"),
    [
        ({"keyless": True}, {"key-required:backend-api": "fail"}),
        ({"knows": (WEB_KEY, "no-key-of-anybody")}, {"wrong-key:backend-api": "fail"}),
        ({"knows": ()}, {"consumer-key:web": "fail"}),
        ({"routes": ("api",)}, {"page:frontend": "fail"}),
        ({"routes": ("web",)}, {"key-required:backend-api": "fail", "check:hello": "fail"}),
        ({"origins": (ORIGIN,)}, {"cors-allowed:backend-api": "fail", "cors-allowed:frontend-web": "fail"}),
        ({"methods": "GET"}, {"cors-allowed:backend-api": "fail", "cors-allowed:frontend-web": "fail"}),
        ({"origins": ("*",)}, {"cors-foreign:backend-api": "fail", "cors-foreign:frontend-web": "fail"}),
        (
            {"missing": ("/app.css",)},
            {"assets:frontend": "fail", "colour-assets:frontend-blue": "fail", "colour-assets:frontend-green": "fail"},
        ),
        ({"sick": ("backend-green",)}, {"health:backend-green": "fail"}),
        ({"foreign": "of-somebody"}, {"users-release:backend": "fail", "users-release:frontend": "fail"}),
        ({"silent": True}, {"request-id:backend": "warn", "request-id:frontend": "warn"}),
    ],
)
def test_one_fault_is_found_by_the_checks_that_are_about_it(fault: dict[str, Any], fails: dict[str, str]) -> None:
    assert not_passed(World(SETTINGS, **fault)) == fails


@pytest.mark.parametrize(("colour", "status"), [("blue", "fail"), ("green", "warn")])
def test_another_release_than_the_configs_fails_who_serves_and_warns_of_who_is_to_come(
    colour: Colour, status: str
) -> None:
    apps = {**WHOLE["apps"], "backend": {"kind": "api", **BOTH, colour: {**RELEASE, "port": 9}}}
    runs, wanted = SETTINGS.release_id("backend", colour), stack(apps=apps)
    told = found(World(SETTINGS), ["release"], wanted=wanted)
    assert [id for id, finding in told.items() if finding.status != "pass"] == [f"release:backend-{colour}"]
    finding = told[f"release:backend-{colour}"]
    assert (finding.status, finding.observed) == (status, f"release {runs}")
    assert finding.expected == f"release {wanted.release_id('backend', colour)}"


def test_a_colour_that_is_yet_to_be_deployed_is_no_fault() -> None:
    told = found(World(SETTINGS, absent=("backend-green",)), ["health", "release"])
    assert told["health:backend-green"].observed == "backend-green is not deployed yet: pulumi up does that"
    assert {told[f"{id}:backend-green"].status for id in ("health", "release")} == {"skipped"}
    assert found(World(SETTINGS, absent=("backend-blue",)), ["health"])["health:backend-blue"].status == "fail"


def test_a_proxy_out_of_reach_is_one_finding_and_everything_else_says_where_it_is_told() -> None:
    told = found(World(SETTINGS), address="http://127.0.0.1:1")
    assert {id for id, finding in told.items() if finding.status != "skipped"} == {"proxy-reachable"}
    assert told["check:hello"].observed == "the gateway's proxy cannot be asked, as proxy-reachable tells"
    assert "bluegreen:kongProxyUrl" in told["proxy-reachable"].hint


def test_a_proxy_out_of_reach_is_an_error_where_nobody_else_is_asked_to_tell() -> None:
    told = found(World(SETTINGS), ["check:hello"], address="http://127.0.0.1:1")
    assert told["check:hello"].status == "error"


def test_a_colour_that_is_stopped_while_it_is_idle_is_not_asked() -> None:
    apps = {name: {**app, "idle": "stopped"} for name, app in WHOLE["apps"].items()}
    told = found(World(stack(apps=apps)), ["health", "release", "colour-assets"])
    assert told["health:backend-green"].observed == "stopped while it is idle"
    assert {finding.status for id, finding in told.items() if id.endswith("blue")} == {"pass"}
    assert {finding.status for id, finding in told.items() if id.endswith("green")} == {"skipped"}


def test_a_page_that_does_not_come_leaves_its_assets_to_the_page() -> None:
    told = found(World(SETTINGS, status=500), ["page", "assets"])
    assert (told["page:frontend"].status, told["assets:frontend"].status) == ("fail", "skipped")
    assert told["assets:frontend"].observed == "the page itself does not come, as page tells"


def test_a_prefix_at_which_an_app_has_nothing_need_not_be_a_page() -> None:
    web = {"paths": ["/shop"], "hosts": ["shop.test"]}
    apps = {**WHOLE["apps"], "frontend": {**WHOLE["apps"]["frontend"], "routes": {"web": web}}}
    told = found(World(stack(apps=apps), missing=("/shop",)), ["page", "assets", "colour-assets"])
    assert {finding.status for finding in told.values()} == {"skipped"}
    assert told["page:frontend"].observed == "the app has nothing at /shop; a check of the config can name its page"
    assert found(World(SETTINGS, missing=("/",)), ["page"])["page:frontend"].status == "fail"


def test_a_route_that_wants_a_header_a_host_or_a_key_is_asked_with_it() -> None:
    api = {"paths": ["/api"], "headers": {"X-Version": ["2"]}}
    web = {"paths": ["/"], "hosts": ["*.shop.test"], "plugins": {"key-auth": {}}}
    apps = {"backend": {**WHOLE["apps"]["backend"], "routes": {"api": api}}}
    room = asked_in(stack(apps={**apps, "frontend": {**WHOLE["apps"]["frontend"], "routes": {"web": web}}}))
    hello = request("backend", room.settings.apps["backend"].routes["api"])
    assert hello is not None
    assert hello.headers == {"X-Version": "2"}
    assert [(page.host, page.consumer) for _, page in pages(room)] == [("www.shop.test", "web")]


@pytest.mark.parametrize("route", [{"paths": ["~/api/v[12]"]}, {"paths": ["/api"], "methods": ["POST"]}])
def test_where_no_plain_get_leads_it_is_told_so(route: dict[str, Any]) -> None:
    apps = {"backend": {**WHOLE["apps"]["backend"], "routes": {"api": route}}}
    told = found(World(stack(apps=apps)), ["key-required", "wrong-key", "users-release"])
    assert {finding.status for finding in told.values()} == {"skipped", "pass"}
    assert told["key-required:backend-api"].observed == "no plain GET leads there"


def test_the_number_of_what_was_looked_at_is_told() -> None:
    told = found(World(SETTINGS), ["assets", "cors-allowed"])
    assert (told["assets:frontend"].n, told["cors-allowed:backend-api"].n) == (3, 2)


def test_routes_are_asked_beside_each_other_so_that_many_of_them_take_no_longer_than_one() -> None:
    routes = {name: {"paths": [f"/api/{name}"]} for name in ("a", "b", "c")}
    apps = {"backend": {**WHOLE["apps"]["backend"], "routes": routes}}
    told = found(World(stack(apps=apps), together=asyncio.Barrier(3)), ["key-required"])
    assert {f"key-required:backend-{name}": "pass" for name in routes} == {id: told[id].status for id in told}


@pytest.mark.parametrize("only", [MINE, ["proxy-reachable", "latency"]])
def test_every_request_that_went_through_the_gateway_is_counted(only: list[str]) -> None:
    world = World(SETTINGS)

    async def go() -> Validation:
        async with served(world) as here:
            connections = Connections({"kongProxyUrl": here, "previewKey": PREVIEW_KEY})
            room = Room(world.settings, connections, Clock(), nobody)
            try:
                return await validate(room, Choice(only).asked(room, register()))
            finally:
                await connections.close()

    assert asyncio.run(go()).requests == world.requests


def test_origins_that_are_patterns_name_nobody_to_ask_as() -> None:
    plugins = {"cors": {"origins": [r"https://.*\.shop\.test"]}}
    told = found(World(stack(gateway={**WHOLE["gateway"], "plugins": plugins})), ["cors-allowed", "cors-foreign"])
    assert told["cors-allowed:backend-api"].observed == "all its origins are regular expressions"
    assert told["cors-foreign:backend-api"].status == "pass"


def test_where_the_config_allows_everybody_nobody_is_foreign() -> None:
    everybody = stack(gateway={**WHOLE["gateway"], "plugins": {"cors": {"origins": ["*"]}}})
    told = found(World(everybody, origins=("*",)), ["cors-allowed", "cors-foreign"])
    assert [finding.status for finding in told.values()] == ["pass", "pass", "skipped", "skipped"]


@pytest.mark.parametrize(("groups", "status"), [(["apps"], "pass"), (["others"], "skipped")])
def test_a_key_is_tried_where_its_groups_let_it_in(groups: list[str], status: str) -> None:
    gateway = {**WHOLE["gateway"], "types": {"api": {"key-auth": {}, "acl": {"allow": ["apps"]}}}}
    told = found(World(stack(gateway={**gateway, "consumers": {"web": {"groups": groups}}})), ["consumer-key"])
    assert told["consumer-key:web"].status == status


# Tokens


def token(**claims: Any) -> str:
    return f"x.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.y"


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(7200, "pass"), (600, "warn"), (-60, "fail")],
)
def test_a_token_is_told_before_it_ends_and_fails_afterwards(seconds: int, status: str) -> None:
    ann = token(exp=START.timestamp() + seconds)
    told = found(World(stack(secrets={"consumers": {"web": WEB_KEY}, "tokens": {"ann": ann}})), ["user-token"])
    assert told["user-token:ann"].status == status
    assert ann not in told["user-token:ann"].model_dump_json()


@pytest.mark.parametrize("text", ["opaque", "a.b.c", token(), token(exp="soon"), token(exp=1e300), "a.é.c"])
def test_what_does_not_say_when_it_ends_is_not_guessed(text: str) -> None:
    assert ends(text) is None


# Performance


def test_each_part_of_the_time_is_measured_by_itself() -> None:
    world = World(SETTINGS)
    told = found(world, MEASURED)
    assert {finding.status for finding in told.values()} == {"pass"}
    assert told["kong-overhead:hello"].observed == "p50 2 ms, p95 2 ms, p99 2 ms"
    assert told["database-time:hello"].observed == "p50 12.5 ms, p95 12.5 ms, p99 12.5 ms"
    assert told["latency:hello"].expected == "p95 under 500 ms"
    assert [told[id].n for id in ("latency:hello", "latency-fresh:hello", "kong-overhead:hello")] == [32, 32, 64]


def test_an_app_without_a_plain_check_is_measured_by_its_health() -> None:
    assert "latency:frontend-health" in found(World(SETTINGS), ["latency"])


def test_bars_of_the_check_decide() -> None:
    hello = {
        **WHOLE["checks"][0],
        "thresholds": {"kongP95Ms": 1, "databaseP95Ms": 12.5, "p95Ms": 10000, "requests": 20},
    }
    told = found(World(stack(checks=[hello])), MEASURED)
    assert (told["kong-overhead:hello"].status, told["kong-overhead:hello"].expected) == ("fail", "p95 under 1 ms")
    assert told["database-time:hello"].status == "fail"
    assert told["latency:hello"].status == "pass"


def test_a_slow_minority_is_seen_in_the_percentile_that_it_reaches() -> None:
    hello = {**WHOLE["checks"][0], "thresholds": {"p50Ms": 300, "p95Ms": 300}}
    told = found(World(stack(checks=[hello]), slow=lambda number: 0.4 if number % 10 == 0 else 0), ["latency"])
    assert told["latency:hello"].status == "fail"
    assert told["latency:hello"].expected == "p50 under 300 ms, p95 under 300 ms"


def test_who_is_limited_is_told_so_and_asks_no_more() -> None:
    world = World(SETTINGS, limit=20)
    told = found(world, ["latency", "kong-overhead"])
    assert (told["latency:hello"].status, told["kong-overhead:hello"].status) == ("skipped", "skipped")
    assert "429" in told["latency:hello"].hint
    assert len(world.asked) <= 20 + 4


def test_where_users_are_limited_the_previews_are_measured_and_users_keep_their_share() -> None:
    types = {"api": {"key-auth": {}, "rate-limiting": {"minute": 30}}}
    world = World(stack(gateway={**WHOLE["gateway"], "types": types}), limit=1)
    told = found(world, ["latency"])
    assert (told["latency:hello"].status, told["latency:hello"].n, world.asked) == ("pass", 32, [])


def test_what_is_broken_is_asked_no_more_than_it_takes_to_know() -> None:
    world = World(SETTINGS, status=500)
    told = found(world, ["latency"])
    assert told["latency:hello"].status == "skipped"
    assert "requests went wrong: answered 500" in told["latency:hello"].observed
    assert len(world.asked) <= 16


def test_an_app_that_does_not_say_what_its_database_took_is_told_how_to() -> None:
    told = found(World(SETTINGS, timed=False), ["database-time"])
    assert told["database-time:hello"].status == "skipped"
    assert "Server-Timing: db;dur=" in told["database-time:hello"].hint


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (95, 10), (99, 10), (10, 1), (1, 1)])
def test_a_percentile_is_a_sample(percent: float, value: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], percent) == value
