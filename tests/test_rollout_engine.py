"""Releases that must not stay, through the real engine: caught on the way, back by themselves, and refused afterwards.

Two sandboxes, each told once; the tests read one promise each off what happened there.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

import toolchain
from sandbox.load import Config, Load, Target
from sandbox.load_records import Record
from sandbox.ports import Colour
from sandbox.stack import Stack
from sandbox.stack_runs import Run
from tests.box import Box, box

ERRORS = {"name": "errors", "probe": {"rps": 60}, "thresholdRange": {"max": 1}}
LATENCY = {
    "name": "latency",
    "probe": {"rps": 20},
    "measures": "latency",
    "percentile": 50,
    "thresholdRange": {"max": 1000},
}
# What is shipped, and what its share of traffic is watched for. The last one exits 5 s after each of its starts.
BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "failing": ("v4-failing", ERRORS),
    "slow": ("v5-slow", LATENCY),
    "crashing": ("v6-crash-later", ERRORS),
}


def watched(metric: Mapping[str, Any], *, seconds: int = 8, least: int = 30, share: int = 10) -> dict[str, Any]:
    """A rollout that stops at one share of traffic to look at one thing."""
    analysis = {"metrics": [dict(metric)], "duration": f"{seconds}s", "interval": "1s", "minRequests": least}
    return {"steps": [{"setWeight": share}, {"setWeight": 100}], "stepAnalysis": analysis}


@dataclass
class Tried:
    """What came of one bad release: shipped, wanted again, retried once, wanted again."""

    runs: dict[str, Run] = field(default_factory=dict)
    weights: dict[str, dict[str, int]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    release: str = ""
    records: list[Record] = field(default_factory=list)


@dataclass
class Unsure:
    """What came of a good release that could not be judged."""

    run: Run
    weights: dict[str, int]
    entry: dict[str, Any]
    sentence: str


@dataclass
class Story:
    """Everything that happened to one backend."""

    unsure: dict[str, Unsure] = field(default_factory=dict)
    tried: dict[str, Tried] = field(default_factory=dict)


@dataclass
class Pair:
    """A release of two apps whose second one fails at 50 %."""

    run: Run
    again: Run
    weights: dict[str, dict[str, int]]
    history: list[dict[str, Any]]
    records: list[Record]


def state(stack: Stack) -> dict[str, Any]:
    """What state holds of traffic; a stack's outputs stay as they were where an update failed."""
    resources = stack.exported()["deployment"]["resources"]
    found: dict[str, Any] = next(one for one in resources if one["type"] == "bluegreen:rollout:Traffic")["outputs"]
    return found


def sentence(run: Run) -> str:
    """The one error that was said, without the engine's own frame."""
    lines = [line.strip().removeprefix("error: ").removeprefix("* ") for line in run.output.splitlines()]
    return next((line for line in lines if line.startswith(("backend", "frontend")) and " at " in line), run.output)


@contextmanager
def prometheus() -> Iterator[str]:
    """One that is well and knows no sample; its address."""

    class Knowing(BaseHTTPRequestHandler):
        """Answers every query with nothing."""

        def do_GET(self) -> None:
            body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Knowing) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def queried(url: str) -> dict[str, Any]:
    query = 'sum(rate(htp_requests{colour="$colour"}[$window]))'
    return {"name": "errors", "prometheus": {"url": url, "query": query}, "thresholdRange": {"max": 1}}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with box(tmp_path_factory.mktemp("bad")) as here:
        here.stack.judge(watched(ERRORS))
        here.stack.config["velro:gateway"]["plugins"]["prometheus"] = {"status_code_metrics": True}
        here.both()
        told = Story()
        _unmeasurable(here, told)
        for kind, (tag, metric) in BAD.items():
            told.tried[kind] = _try(here, tag, watched(metric))
        yield told


def _unmeasurable(here: Box, told: Story) -> None:
    closed = f"http://127.0.0.1:{here.world.ports.app('frontend', 'green')}"  # where nobody listens in this box
    few = {**ERRORS, "probe": {"rps": 10}}
    nobody = {"name": "errors", "kong": {}, "thresholdRange": {"max": 1}}
    with prometheus() as url:
        cases = {
            "low traffic": watched(few, seconds=3),
            "no data": watched(nobody, seconds=3),
            "misspelt": watched(queried(url)),
            "Prometheus down": watched(queried(closed)),
        }
        for name, rollout in cases.items():
            here.stack.judge(rollout)
            here.stack.shift("green")
            run = here.stack.up("--skip-preview")
            told.unsure[name] = Unsure(run, here.weights(), state(here.stack)["history"][-1], sentence(run))


def _try(here: Box, tag: str, rollout: Mapping[str, Any]) -> Tried:
    """Ship it, want it again, allow one more try, want it again. What comes next replaces it."""
    tried = Tried()

    def up(name: str) -> None:
        tried.runs[name] = here.stack.up("--skip-preview")
        tried.weights[name] = here.weights()

    here.stack.judge(rollout)
    here.stack.deploy("backend", "green", tag)
    here.stack.shift("green")
    folder = here.world.data / f"load-{tag}"
    with Load.start(Config(targets=(here.target(rps=40),), max_seconds=300), folder) as load:
        up("shipped")
        tried.release = state(here.stack)["history"][-1]["release"]
        up("again")
        here.stack.judge({"retry": tried.release})
        up("retried")
        up("at last")
        load.stop()
        tried.records = load.records()
    tried.history = [entry for entry in state(here.stack)["history"] if entry["release"] == tried.release]
    return tried


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with box(tmp_path_factory.mktemp("pair")) as here:
        yield _pair(here)


def _pair(here: Box) -> Pair:
    stack = Stack(here.world, toolchain.cli(), name="pair", apps=("backend", "frontend"))
    stack.create()
    analysis = {"metrics": [{**ERRORS, "probe": {"rps": 50}}], "duration": "7s", "interval": "1s", "minRequests": 300}
    stack.judge({"steps": [{"setWeight": 25}, {"setWeight": 50}, {"analysis": analysis}, {"setWeight": 100}]})
    stack.config["velro:apps"]["frontend"]["sticky"] = {"cookie": "bg"}
    stack.write()
    first = stack.up("--skip-preview")
    assert first.code == 0, first.output
    stack.deploy("backend", "green", "v2")
    stack.deploy("frontend", "green", "v2-failing")
    stack.shift("green")
    page = Target(app="frontend", url=here.world.proxy, path="/", host="frontend.sandbox", rps=40)
    asked = Config(targets=(here.target(rps=40), page), max_seconds=300)
    with Load.start(asked, here.world.data / "load") as load:
        run = stack.up("--skip-preview")
        load.stop()
        records = load.records()
    weights = {app: _weights(here, app) for app in ("backend", "frontend")}
    return Pair(run, stack.up("--skip-preview"), weights, state(stack)["history"], records)


def _weights(here: Box, app: str) -> dict[str, int]:
    rows: list[dict[str, Any]] = here.admin("GET", f"/upstreams/{app}/targets")["data"]
    colours: tuple[Colour, ...] = ("blue", "green")
    return {colour: row["weight"] for colour in colours for row in rows if f"colour:{colour}" in row["tags"]}


def own(record: Record, release: str) -> bool:
    """Whether this is an error that the bad release made itself."""
    return (record.status, record.release) == (500, release)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_release_is_caught_at_its_first_share_and_traffic_is_back_by_itself(story: Story, kind: str) -> None:
    tried = story.tried[kind]
    assert tried.runs["shipped"].code != 0
    assert tried.weights["shipped"] == {"blue": 100, "green": 0}
    said = tried.runs["shipped"].milestones()
    assert [text.partition(", ")[0] for text in said if text.startswith("backend: ")] == [
        "backend: green 10 %",
        "backend: back on blue",
    ]
    assert "is rejected until rollout.retry names it" in sentence(tried.runs["shipped"])


def test_each_kind_is_caught_by_what_is_wrong_with_it(story: Story) -> None:
    caught = {kind: sentence(tried.runs["shipped"]) for kind, tried in story.tried.items()}
    assert "backend errors: " in caught["failing"]
    assert "answered 500)" in caught["failing"]
    assert "backend latency: p50 is " in caught["slow"]
    assert "backend errors: " in caught["crashing"]
    assert "answered 502" in caught["crashing"]


@pytest.mark.parametrize("kind", BAD)
def test_what_was_rejected_is_refused_naming_the_line_until_a_retry_allows_it(story: Story, kind: str) -> None:
    tried = story.tried[kind]
    run = tried.runs["again"]
    assert run.code != 0
    assert (
        f"backend: release {tried.release} on green was rejected when it was last live. "
        "Traffic stays on blue, unchanged. Set apps.backend.live back, stage another release, "
        f"or allow one more try with rollout.retry: {tried.release}." in run.output
    )
    assert tried.weights["again"] == {"blue": 100, "green": 0}
    assert not [text for text in run.milestones() if text.startswith("backend: green")]


@pytest.mark.parametrize("kind", BAD)
def test_a_retry_is_one_whole_rollout_more_and_the_last(story: Story, kind: str) -> None:
    tried = story.tried[kind]
    assert "backend: green 10 %" in " ".join(tried.runs["retried"].milestones())
    assert [(entry["verdict"], entry["retried"]) for entry in tried.history] == [
        ("rejected", False),
        ("rejected", True),
    ]
    assert "was rejected again when rollout.retry allowed it once more" in tried.runs["at last"].output
    assert [tried.weights[name] for name in ("retried", "at last")] == [{"blue": 100, "green": 0}] * 2


def test_users_meet_the_bad_releases_own_errors_and_no_others(story: Story) -> None:
    tried = story.tried["failing"]
    failed = [record for record in tried.records if record.failure is not None]
    assert [record for record in failed if not own(record, tried.release)] == []
    met = [record for record in tried.records if record.release == tried.release]
    assert len(failed) <= len(met) < len(tried.records) / 4
    assert met


def test_a_slow_release_fails_nobodys_request(story: Story) -> None:
    assert [record for record in story.tried["slow"].records if record.failure is not None] == []


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        ("low traffic", "inconclusive, too few requests to be certain that the bar is kept"),
        ("no data", "backend errors: nothing was seen in 3 s (onNoData): inconclusive"),
        ("misspelt", "The query answers nothing: is the metric spelt right, and does it have samples yet?"),
        ("Prometheus down", "Prometheus cannot be reached at "),
    ],
)
def test_what_cannot_be_judged_goes_back_and_rejects_nobody(story: Story, case: str, verdict: str) -> None:
    unsure = story.unsure[case]
    assert unsure.run.code != 0
    assert unsure.weights == {"blue": 100, "green": 0}
    assert verdict in unsure.sentence
    assert "Nothing is rejected: look at what could not be told, then run pulumi up again." in unsure.run.output
    assert (unsure.entry["verdict"], unsure.entry["goal"]) == ("stopped", "green")


def test_a_release_whose_frontend_fails_at_50_percent_comes_back_whole_and_in_reverse_order(pair: Pair) -> None:
    assert pair.run.code != 0
    moves = [text.partition(", ")[0] for text in pair.run.milestones() if text.startswith(("backend: ", "frontend: "))]
    assert moves == [
        "backend: green 25 %",
        "backend: green 50 %",
        "backend: green 100 %",
        "frontend: green 25 %",
        "frontend: green 50 %",
        "frontend: back on blue",
        "backend: back on blue",
    ]
    back = {"blue": 100, "green": 0}
    assert pair.weights == {"backend": back, "frontend": back}


def test_only_the_guilty_app_of_a_release_is_rejected_and_its_line_is_named(pair: Pair) -> None:
    assert [(entry["app"], entry["verdict"]) for entry in pair.history if entry["goal"] == "green"] == [
        ("backend", "stopped"),
        ("frontend", "rejected"),
    ]
    assert pair.again.code != 0
    assert "Set apps.frontend.live back" in pair.again.output


def test_no_request_fails_through_the_switch_of_two_apps_and_back(pair: Pair) -> None:
    release = pair.history[-1]["release"]
    failed = [record for record in pair.records if record.failure is not None and not own(record, release)]
    assert (failed, len(pair.records) > 500) == ([], True)
    assert {record.colour for record in pair.records if record.app == "frontend"} == {"blue", "green"}
