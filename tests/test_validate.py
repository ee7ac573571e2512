"""`bluegreen validate`: which way each check takes, what the end of it says, and that a real update waits for it."""

import asyncio
import json
import pty
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from bluegreen.cli.stack import Stack
from bluegreen.cli.validate import validate
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.connections import Connections
from bluegreen.handler import Refused
from bluegreen.settings import Settings
from bluegreen.validation.finding import Validation
from sandbox.stack_runs import Run
from tests.box import box
from tests.memory import Clock

WEB_KEY, PREVIEW_KEY, OTHER_KEY = "key-of-web", "key-of-previews", "key-of-web-2"
VERIFY = "bin/bluegreen validate --stack $STACK --app $APP --colour $COLOUR"
HELLO = {"name": "api-says-hello", "app": "backend", "path": "/api/hello", "consumer": "web", "within": "30s"}
CLOSED = {
    "name": "kong-asks-for-a-key",
    "app": "backend",
    "path": "/api/hello",
    "expect": {"status": 401},
    "within": "30s",
}
PAGE = {"name": "the-page", "app": "frontend", "path": "/", "host": "shop.test", "within": "30s"}
CORS = {
    "name": "cors",
    "app": "backend",
    "path": "/api",
    "method": "OPTIONS",
    "expect": {"status": 204},
    "within": "30s",
}
ALL = (HELLO, CLOSED, PAGE, CORS)


@dataclass
class Kong:
    """A gateway's proxy: it takes its consumers' keys on /api, the preview's on previews, and remembers who asked."""

    releases: dict[str, str] = field(default_factory=dict)  # what answers on a preview route, by app and colour
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    broken: bool = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key, colour = request.headers.get("apikey", ""), request.headers.get("X-Preview-Colour", "")
        self.asked.append((request.path, colour, key))
        if colour and key != PREVIEW_KEY:
            return web.Response(status=401)
        if request.method == "OPTIONS":
            return web.Response(status=204)
        if not colour and request.path.startswith("/api") and key not in (WEB_KEY, OTHER_KEY):
            return web.Response(status=401)
        preview = f"{request.headers.get('X-Preview-App')}-{colour}"
        headers = {"X-Release": self.releases.get(preview, ""), **({"X-Preview": preview} if colour else {})}
        status = 500 if self.broken else 200
        return web.Response(status=status, text=f"{key} was shown by {request.host}", headers=headers)


@asynccontextmanager
async def served(kong: Kong, settings: Settings) -> AsyncIterator[Desk]:
    """A desk whose gateway this is."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", kong.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    connections = Connections({"kongProxyUrl": address, "previewKey": PREVIEW_KEY})
    try:
        yield Desk(Stack("test", "shop", "test"), settings, connections, Clock())
    finally:
        await connections.close()
        await runner.cleanup()


def configured(checks: Sequence[dict[str, Any]] = ALL, consumers: Mapping[str, str] | None = None) -> Settings:
    release = {"image": f"ghcr.io/acme/backend@sha256:{'a' * 64}", "replicas": {"us-west2": 1}}
    both = {"kind": "api", "live": "blue", "blue": release, "green": {**release, "port": 8001}}
    whole = {
        "railway": {"projectId": "p", "environmentId": "e"},
        "apps": {"backend": both, "frontend": {"kind": "web", "live": "blue", "blue": release}},
        "gateway": {"consumers": {"web": {}, "bot": {}}},
        "checks": checks,
        "secrets": {"consumers": consumers or {"web": WEB_KEY}},
    }
    return Settings.parse("shop", "test", {f"shop:{key}": json.dumps(value) for key, value in whole.items()})


def validated(settings: Settings | None = None, kong: Kong | None = None, **given: Any) -> tuple[Outcome, list[str]]:
    """The outcome of the config's own checks, and the lines that were told on the way."""
    chosen, given = settings or configured(), {"only": ["check:*"], **given}

    async def run() -> tuple[Outcome, list[str]]:
        async with served(kong or healthy(chosen), chosen) as desk:
            outcome = await validate(desk, **given)
            assert isinstance(desk.ctx, Clock)
            return outcome, desk.ctx.milestones

    return asyncio.run(run())


def healthy(settings: Settings) -> Kong:
    pairs = [pair for role in ("live", "idle") for pair in settings.colours(role)]
    return Kong({settings.service_name(app, colour): settings.release_id(app, colour) for app, colour in pairs})


def statuses(outcome: Outcome) -> dict[str, str]:
    assert isinstance(outcome.facts, Validation)
    return {finding.id.removeprefix("check:"): finding.status for finding in outcome.facts.findings}


def test_every_check_goes_the_way_of_users_with_its_consumers_key_or_none() -> None:
    kong = healthy(configured())
    outcome, _ = validated(kong=kong)
    assert (outcome.exit, outcome.what) == (Exit.OK, "4 of 4 checks on the way that users take passed.")
    assert sorted(kong.asked) == [("/", "", ""), ("/api", "", ""), ("/api/hello", "", ""), ("/api/hello", "", WEB_KEY)]


def test_results_stand_in_the_order_of_the_config() -> None:
    outcome, lines = validated()
    assert list(statuses(outcome)) == [str(check["name"]) for check in ALL]
    assert [line.split()[1] for line in lines] == [f"check:{check['name']}:" for check in ALL]


def test_a_colour_is_asked_past_the_weights_with_the_preview_key_alone() -> None:
    kong = healthy(configured())
    outcome, _ = validated(kong=kong, colour="green")
    assert kong.asked == [("/api/hello", "green", PREVIEW_KEY)]
    assert outcome.exit is Exit.OK


def test_what_says_nothing_about_a_colour_is_skipped_with_its_reason_and_not_counted_as_passed() -> None:
    outcome, lines = validated(colour="green")
    assert outcome.what == "1 of 4 checks of green passed, 3 skipped."
    assert [line.rpartition(" (")[0] for line in lines[1:]] == [
        "skipped check:kong-asks-for-a-key: whether somebody without a key gets 401 is the gateway's doing",
        "skipped check:the-page: frontend has no green block",
        "skipped check:cors: CORS is the gateway's doing",
    ]


def test_an_answer_of_another_release_fails_a_colour() -> None:
    outcome, _ = validated(kong=Kong({"backend-green": "of-yesterday"}), colour="green")
    assert outcome.exit is Exit.FAILED_BEFORE_SWITCH
    assert outcome.what == (
        "1 of 4 checks of green did not pass, 3 skipped (check:api-says-hello: answered by release of-yesterday)."
    )


def test_a_failure_ends_with_10_and_says_what_was_seen_and_expected() -> None:
    outcome, lines = validated(kong=Kong(broken=True), app="frontend")
    assert (outcome.exit, outcome.world) == (Exit.FAILED_BEFORE_SWITCH, "No traffic was moved.")
    assert "the-page: answered 500" in outcome.what
    assert outcome.next == "Look at frontend's logs, or correct what the check expects."
    assert [line for line in lines if "expected 200, within 30 s. Look at" in line] == lines


def test_a_gateway_out_of_reach_is_an_error_of_each_check() -> None:
    async def run() -> Outcome:
        connections = Connections({"kongProxyUrl": "http://127.0.0.1:1"})
        try:
            desk = Desk(Stack("test", "shop", "test"), configured(), connections, Clock())
            return await validate(desk, only=["check:*"])
        finally:
            await connections.close()

    outcome = asyncio.run(run())
    assert outcome.exit is Exit.FAILED_BEFORE_SWITCH
    assert set(statuses(outcome).values()) == {"error"}
    assert isinstance(outcome.facts, Validation)
    assert outcome.facts.findings[0].observed.startswith("The gateway did not answer GET /api/hello: ")


@pytest.mark.parametrize(
    ("consumers", "hint"),
    [
        ({"bot": "key-of-bot"}, "Set shop:secrets.consumers.web (with --secret)."),
        ({"web": "key\nof web"}, "Set shop:secrets.consumers.web again, without line breaks around it."),
    ],
)
def test_a_consumer_without_a_usable_key_is_an_error_that_names_the_secret(
    consumers: dict[str, str], hint: str
) -> None:
    outcome, _ = validated(configured(consumers=consumers), only=["api-says-hello"])
    assert (statuses(outcome), outcome.next) == ({"api-says-hello": "error"}, hint)


def test_only_the_named_checks_of_the_named_app_are_asked() -> None:
    outcome, _ = validated(only=["cors", "the-page"])
    assert list(statuses(outcome)) == ["the-page", "cors"]
    outcome, _ = validated(app="backend", only=["cors", "the-page"])
    assert list(statuses(outcome)) == ["cors"]


@pytest.mark.parametrize(
    ("given", "what", "after"),
    [
        ({"app": "nobody"}, "There is no app 'nobody' in the config.", "Name one of backend, frontend."),
        (
            {"only": ["hello"]},
            "There is no check 'hello'.",
            "Did you mean api-says-hello?",
        ),
    ],
)
def test_a_name_that_is_not_there_is_refused(given: dict[str, Any], what: str, after: str) -> None:
    with pytest.raises(Refused) as refused:
        validated(**given)
    assert (refused.value.what, refused.value.next) == (what, after)


@pytest.mark.parametrize(
    ("checks", "given", "what"),
    [
        (ALL, {"colour": "green", "app": "frontend"}, "No check was asked of green, 1 skipped."),
        (ALL, {"app": "frontend", "only": ["cors"]}, "No check was asked on the way that users take."),
        ((), {}, "No check was asked on the way that users take."),
    ],
)
def test_when_nothing_was_checked_nothing_passed(
    checks: Sequence[dict[str, Any]], given: dict[str, Any], what: str
) -> None:
    outcome, _ = validated(configured(checks), **given)
    assert (outcome.exit, outcome.what) == (Exit.REFUSED, what)


@pytest.mark.parametrize("colour", [None, "green"])
def test_no_key_is_ever_told_even_by_an_app_that_answers_with_it(colour: str | None) -> None:
    settings = configured([{**HELLO, "expect": {"status": 418}}], {"web": OTHER_KEY, "bot": WEB_KEY})
    outcome, lines = validated(settings, colour=colour)
    assert outcome.exit is Exit.FAILED_BEFORE_SWITCH
    told = outcome.model_dump_json() + "".join(lines)
    assert [key for key in (WEB_KEY, OTHER_KEY, PREVIEW_KEY, "***-2") if key in told] == []
    assert "*** was shown by" in told


def test_without_the_proxys_address_each_check_says_which_key_is_missing() -> None:
    desk = Desk(Stack("test", "shop", "test"), configured(), Connections({}), Clock())
    outcome = asyncio.run(validate(desk, only=["check:*"]))
    assert set(statuses(outcome).values()) == {"error"}
    assert isinstance(outcome.facts, Validation)
    assert "bluegreen:kongProxyUrl" in outcome.facts.findings[0].hint


def test_on_a_terminal_the_results_are_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", "160")
    with open(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        validated(colour="green")
    with open(mine, "rb") as screen:
        shown = screen.read1(65536).decode()  # the kernel keeps what was written, whoever has gone
    rows = [line.split() for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).splitlines()]
    assert ["✓", "pass", "check:api-says-hello"] in [row[:3] for row in rows]
    assert ["-", "skipped", "check:kong-asks-for-a-key"] in [row[:3] for row in rows]


# Through the real engine and the sandbox's own gateway


@dataclass
class Story:
    """How an update ended that brought a release which passes, and one whose release does not."""

    bootstrap: Run
    bad: Run
    weights: dict[str, int]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with box(tmp_path_factory.mktemp("validate")) as here:
        config = here.stack.config
        config["velro:apps"]["backend"]["verify"] = [VERIFY]
        config["velro:checks"] = [
            {**HELLO, "expect": {"contentType": "application/json", "json": {"app": "backend", "path": "/api/hello"}}},
            CLOSED,
        ]
        here.stack.write()
        bootstrap = here.bootstrap()
        here.stack.deploy("backend", "green", "v2-broken")
        here.stack.shift("green")
        bad = here.stack.up("--skip-preview")
        yield Story(bootstrap, bad, here.weights())


def test_an_update_asks_the_checks_of_a_colour_before_it_may_be_live(story: Story) -> None:
    assert "pass    check:api-says-hello: answered 200" in story.bootstrap.output
    assert "skipped check:kong-asks-for-a-key" in story.bootstrap.output


def test_a_release_whose_checks_fail_stops_the_update_before_traffic_moves(story: Story) -> None:
    assert story.bad.code != 0
    assert "fail    check:api-says-hello: answered 500" in story.bad.output
    assert story.weights == {"blue": 100}
