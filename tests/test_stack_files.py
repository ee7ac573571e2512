"""Both real stack files go up from nothing, pass every rule, and then there is nothing more to do.

What users meet of the gateway is asked here as far as both files promise it; what production alone promises is asked in
`test_gateway_velro.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

import pytest

from sandbox.stack import API_KEY
from sandbox.stack_runs import Run
from sandbox.world import World
from tests import stack_files
from tests.box import touched
from tests.stack_files import Standing, stack_file

MODELS = 11
KEY = {"apikey": API_KEY}


@dataclass
class Told:
    """What became of one stack file."""

    runs: dict[str, Run]
    kong: dict[str, dict[str, dict[str, Any]]]  # everything that stands in Kong, by kind and name
    weights: dict[str, dict[str, int]]
    ledger: list[str]
    proxy: str
    host: str  # under which the frontend is served
    models: list[dict[str, Any]]
    limits: dict[str, int]  # requests a minute, by kind of route


@pytest.fixture(scope="module", params=["production", "staging"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    name = request.param
    with stack_file(name, tmp_path_factory.mktemp(name)) as here:
        yield _tell(here)


def _tell(here: Standing) -> Told:
    runs = {
        "preview": here.run("preview"),
        "up": here.run("up", "--yes"),
        "settled": here.run("preview", "--refresh", "--expect-no-changes"),
        "again": here.run("up", "--yes"),
        "refresh": here.run("refresh", "--yes", "--skip-preview"),
    }
    assert runs["up"].code == 0, runs["preview"].output[-3000:] + runs["up"].output[-6000:]
    apps, gateway = here.stack.config["velro:apps"], here.stack.config["velro:gateway"]
    return Told(
        runs,
        {kind: here.rows(kind) for kind in ("services", "routes", "plugins")},
        here.stack.outputs()["weights"],
        _ledger(here.world),
        here.world.proxy,
        apps["frontend"]["routes"]["web"]["hosts"][0],
        gateway["models"],
        {kind: plugins["rate-limiting"]["minute"] for kind, plugins in gateway["types"].items()},
    )


def _ledger(world: World) -> list[str]:
    import psycopg

    with psycopg.connect(world.database_url) as line:
        return [row[0] for row in line.execute("select version from bluegreen.migrations order by version")]


def test_the_file_previews_with_the_policy_pack_and_breaks_no_rule(told: Told) -> None:
    run = told.runs["preview"]
    assert (run.code, run.violations()) == (0, []), run.output
    assert "✅ bluegreen@" in run.output


def test_the_file_goes_up(told: Told) -> None:
    assert told.runs["up"].code == 0, told.runs["up"].output
    assert told.weights == {"backend": {"blue": 100}, "frontend": {"blue": 100}}
    assert told.ledger == ["011"]


def test_every_model_has_a_service_and_a_route_of_its_own(told: Told) -> None:
    models = [[name for name in told.kong[kind] if name.startswith("ai-")] for kind in ("services", "routes")]
    assert (len(models[0]), sorted(models[0])) == (MODELS, sorted(models[1]))


def test_a_model_is_asked_once_over_tls_with_patience_and_its_answer_is_streamed(told: Told) -> None:
    service, route = told.kong["services"]["ai-veo3"], told.kong["routes"]["ai-veo3"]
    assert {key: service[key] for key in ("protocol", "host", "port", "path", "retries", "read_timeout")} == {
        "protocol": "https",
        "host": "queue.fal.run",
        "port": 443,
        "path": "/fal-ai/veo3",
        "retries": 0,
        "read_timeout": 600_000,
    }
    assert (route["paths"], route["strip_path"], route["response_buffering"]) == (["~/ai/veo3(/|$)"], True, False)


def test_models_are_for_the_backend_s_key_and_people_are_told_apart_by_their_token(told: Told) -> None:
    plugins = told.kong["plugins"]
    assert plugins["ai-veo3-acl"]["config"]["allow"] == ["models"]
    limit = plugins["backend-api-rate-limiting"]["config"]
    assert (limit["limit_by"], limit["header_name"]) == ("header", "Authorization")


def test_right_after_it_went_up_a_preview_with_a_refresh_expects_no_change(told: Told) -> None:
    assert told.runs["settled"].code == 0, told.runs["settled"].output


def test_a_second_update_and_a_refresh_find_nothing_to_do(told: Told) -> None:
    assert (told.runs["again"].code, touched(told.runs["again"])) == (0, []), told.runs["again"].output
    assert "unchanged" in told.runs["refresh"].output.partition("Resources:")[2]
    assert "~" not in told.runs["refresh"].output.partition("Resources:")[2]


def asked(
    told: Told, path: str, headers: dict[str, str], method: str = "GET", data: bytes | None = None
) -> tuple[int, Message]:
    return stack_files.asked(told.proxy, path, headers, method, data)


def test_the_api_opens_to_a_key_in_a_header_and_to_nothing_else(told: Told) -> None:
    statuses = [
        asked(told, "/api/hello", {})[0],
        asked(told, "/api/hello", {"apikey": "wrong"})[0],
        asked(told, f"/api/hello?apikey={API_KEY}", {})[0],
        asked(told, "/api/hello", KEY)[0],
    ]
    assert statuses == [401, 401, 401, 200]


def test_every_model_has_its_own_path_for_the_backend_s_key_and_a_twelfth_has_none(told: Told) -> None:
    for model in told.models:
        path = f"/ai/{model['name']}"
        statuses = [asked(told, path, {})[0], asked(told, path, KEY)[0], asked(told, f"{path}x", KEY)[0]]
        assert (model["name"], statuses) == (model["name"], [401, 403, 404])


def test_a_preflight_names_the_frontend_s_origin_whoever_asks(told: Told) -> None:
    for origin in (f"https://{told.host}", "https://elsewhere.example"):
        asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        status, headers = asked(told, "/api/teams", asking, "OPTIONS")
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, f"https://{told.host}")


def test_a_body_above_ten_megabytes_is_turned_away(told: Told) -> None:
    assert asked(told, "/api/hello", KEY, "POST", b"x" * 10_500_000)[0] == 413


def test_a_correlation_id_is_made_or_kept_and_comes_back_once(told: Told) -> None:
    _, made = asked(told, "/api/hello", KEY)
    _, kept = asked(told, "/api/hello", {**KEY, "X-Correlation-ID": "mine"})
    assert (len(made.get_all("X-Correlation-ID", [])), kept.get_all("X-Correlation-ID")) == (1, ["mine"])


def test_the_frontend_is_served_under_its_host_and_people_are_limited_by_their_token(told: Told) -> None:
    assert asked(told, "/", {"Host": told.host})[1]["X-RateLimit-Limit-Minute"] == str(told.limits["web"])
    left = {}
    for token in ("Bearer one", "Bearer two", "Bearer one"):
        _, headers = asked(told, "/api/hello", {**KEY, "Authorization": token})
        left[token] = told.limits["api"] - int(headers["X-RateLimit-Remaining-Minute"])
    assert left == {"Bearer one": 2, "Bearer two": 1}
