"""Production's gateway at work: every limit as declared, met through the proxy, and the log server that may be added.

A limit counts clock minutes, so whoever spends one may see the minute turn: then they spend it once more, as somebody
else or on another model, with nothing counted yet. The models' host is nowhere here; Kong's own answer stands for its.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from sandbox.asking import call
from sandbox.stack import API_KEY
from sandbox.stack_runs import Run
from tests.box import touched, wait
from tests.stack_files import BACKEND_KEY, Answer, Caller, Standing, stack_file, text

TOKEN = "Bearer token-of-the-log-server"
SECOND_KEY = "sandbox-second-key"
MINUTE = 60


@dataclass
class LogServer:
    """A log server: what it was told, and by whom."""

    port: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)


@dataclass
class Logged:
    """How http-log was added to a gateway that serves, and what came of it."""

    runs: dict[str, Run]
    records: list[dict[str, Any]]
    tokens: set[str | None]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with stack_file("production", tmp_path_factory.mktemp("velro")) as standing:
        standing.up()
        _second_caller(standing)
        yield standing


def _second_caller(here: Standing) -> None:
    """Somebody else who may ask models; not of the stack."""
    consumer = f"{here.world.admin}/consumers/second"
    call("PUT", consumer, {})
    call("POST", f"{consumer}/key-auth", {"key": SECOND_KEY})
    call("POST", f"{consumer}/acls", {"group": "models"})


@pytest.fixture(scope="module")
def logged(here: Standing) -> Iterator[Logged]:
    """Last of all: from then on the gateway has one plugin more."""
    with log_server() as server:
        example = uncommented("production", "http-log")
        example["http_endpoint"] = f"http://127.0.0.1:{server.port}/kong"
        here.stack.config["velro:gateway"]["plugins"]["http-log"] = example
        here.stack.write()
        here.secret(**{'plugins.http-log["headers.Authorization"]': TOKEN})
        runs = {"preview": here.run("preview"), "up": here.up()}
        runs["settled"] = here.run("preview", "--refresh", "--expect-no-changes")
        with Caller(here.world.proxy) as caller:
            caller.get("/api/hello?first", {"apikey": API_KEY})
            caller.get("/api/hello?last", {"apikey": API_KEY})
        wait(lambda: any(record["request"]["uri"].endswith("?last") for record in server.records))
        yield Logged(runs, list(server.records), set(server.tokens))


@contextmanager
def log_server() -> Iterator[LogServer]:
    told = LogServer()

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.tokens.add(self.headers["Authorization"])
            told.records += json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Desk) as server:
        told.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield told
        server.shutdown()
        thread.join()


def uncommented(name: str, plugin: str) -> dict[str, Any]:
    """The example that stands in a stack file as a comment, as if somebody took the marks away."""
    found = re.search(rf"^ +# {plugin}:\n(?: +#   .*\n)+", text(name), re.MULTILINE)
    assert found is not None
    example: dict[str, Any] = yaml.safe_load(re.sub(r"^( +)# ", r"\1", found[0], flags=re.MULTILINE))[plugin]
    return example


def limit(here: Standing, kind: str) -> int:
    return int(here.stack.config["velro:gateway"]["types"][kind]["rate-limiting"]["minute"])


def spent(ask: Callable[[int, Caller], Answer], proxy: str, times: int) -> list[Answer]:
    """Every answer up to the first beyond the limit, all of one minute; `ask` gets the number of the attempt."""
    for attempt in range(2):
        with Caller(proxy, f"127.0.0.{2 + attempt}") as caller:
            minute = time.time() // MINUTE
            answers = [ask(attempt, caller) for _ in range(times + 1)]
            if time.time() // MINUTE == minute:
                return answers
    raise AssertionError("no attempt was done within a minute")


def limited(answers: list[Answer], status: int) -> None:
    """All but the last have this status and count down to 0; the last is turned away and told when to come again."""
    *taken, last = answers
    times = len(taken)
    assert {answer.status for answer in taken} == {status}
    assert [int(answer.headers["X-RateLimit-Remaining-Minute"]) for answer in taken] == [*reversed(range(times))]
    assert {answer.headers["X-RateLimit-Limit-Minute"] for answer in answers} == {str(times)}
    assert (last.status, json.loads(last.body)["message"]) == (429, "API rate limit exceeded")
    general = {name: last.headers[name] for name in ("RateLimit-Limit", "RateLimit-Remaining")}
    assert general == {"RateLimit-Limit": str(times), "RateLimit-Remaining": "0"}
    assert last.headers["X-RateLimit-Remaining-Minute"] == "0"
    assert last.headers["Retry-After"] == last.headers["RateLimit-Reset"]
    assert 1 <= int(last.headers["Retry-After"]) <= MINUTE


def test_a_token_may_ask_the_api_600_times_a_minute_and_another_token_is_not_concerned(here: Standing) -> None:
    def ask(attempt: int, caller: Caller, who: str = "spender") -> Answer:
        return caller.get("/api/hello", {"apikey": API_KEY, "Authorization": f"Bearer {who}-{attempt}"})

    answers = spent(ask, here.world.proxy, limit(here, "api"))
    assert len(answers) == 601
    limited(answers, 200)
    with Caller(here.world.proxy) as caller:
        assert ask(0, caller, "bystander").status == 200


def test_whoever_has_no_token_yet_is_told_apart_by_the_address(here: Standing) -> None:
    left = []
    for address in ("127.0.0.7", "127.0.0.7", "127.0.0.8"):
        with Caller(here.world.proxy, address) as caller:
            answer = caller.get("/api/hello", {"apikey": API_KEY})
            left.append(limit(here, "api") - int(answer.headers["X-RateLimit-Remaining-Minute"]))
    assert left[2] == 1
    assert left[:2] in ([1, 2], [1, 1])  # the minute may turn in between


def test_an_address_may_ask_for_pages_1200_times_a_minute_and_another_address_is_not_concerned(here: Standing) -> None:
    host = here.stack.config["velro:apps"]["frontend"]["routes"]["web"]["hosts"][0]
    answers = spent(lambda _, caller: caller.get("/health", {"Host": host}), here.world.proxy, limit(here, "web"))
    assert len(answers) == 1201
    limited(answers, 200)
    with Caller(here.world.proxy, "127.0.0.9") as caller:
        assert caller.get("/health", {"Host": host}).status == 200


@pytest.mark.parametrize(("kind", "times"), [("image", 60), ("video", 12)])
def test_the_backend_may_ask_a_model_as_often_as_its_kind_allows(here: Standing, kind: str, times: int) -> None:
    models = [model["name"] for model in here.stack.config["velro:gateway"]["models"] if model["type"] == kind]

    def ask(attempt: int, caller: Caller) -> Answer:
        return caller.get(f"/ai/{models[attempt]}", {"apikey": BACKEND_KEY})

    answers = spent(ask, here.world.proxy, limit(here, kind))
    assert len(answers) == times + 1
    limited(answers, 503)
    with Caller(here.world.proxy) as caller:
        second = caller.get(f"/ai/{models[0]}", {"apikey": SECOND_KEY})
        other = caller.get(f"/ai/{models[-1]}", {"apikey": BACKEND_KEY})
    for answer in (second, other):  # another caller, and another model
        assert (answer.status, answer.headers["X-RateLimit-Remaining-Minute"]) == (503, str(times - 1))


def test_the_example_of_a_log_server_is_the_same_in_both_files_but_for_its_place() -> None:
    examples = [uncommented(name, "http-log") for name in ("production", "staging")]
    places = [example.pop("http_endpoint") for example in examples]
    assert (examples[0], places[0] == places[1]) == (examples[1], False)


def test_a_log_server_is_added_by_taking_the_comment_away(logged: Logged) -> None:
    assert (logged.runs["preview"].code, logged.runs["preview"].violations()) == (0, []), logged.runs["preview"].output
    assert "create kong:Plugin gateway-http-log" in touched(logged.runs["up"])
    assert logged.runs["settled"].code == 0, logged.runs["settled"].output


def test_the_log_server_is_told_of_every_request_under_its_own_token(logged: Logged) -> None:
    assert logged.tokens == {TOKEN}
    paths = [record["request"]["uri"] for record in logged.records]
    assert [path for path in paths if path.startswith("/api/hello?")] == ["/api/hello?first", "/api/hello?last"]
    assert API_KEY not in json.dumps(logged.records)


def test_the_log_server_s_token_is_in_no_word_of_the_update(logged: Logged) -> None:
    for run in logged.runs.values():
        assert run.log is not None
        assert TOKEN not in run.output + run.log.read_text(encoding="utf-8")
