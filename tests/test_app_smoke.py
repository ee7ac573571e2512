"""The demo's verification: a good app passes, and no bad one does."""

import os
import subprocess
import sys

import pytest

from tests.app_room import app


def smoke(url: str, path: str = "/api/hello") -> tuple[int, str]:
    env = {"PATH": os.environ["PATH"], "COLOUR": "green", "PROXY_URL": url, "PREVIEW_KEY": "key"}
    command = [sys.executable, "-m", "sandbox.smoke", path, "--app", "backend"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def test_a_good_app_passes() -> None:
    with app("v3") as one:
        assert smoke(one.url) == (0, "")


@pytest.mark.parametrize("asked_before", [0, 7, 19])
def test_an_app_that_fails_every_twentieth_time_is_caught_whenever_it_is_asked(asked_before: int) -> None:
    with app("v3-failing") as one:
        for _ in range(asked_before):
            one.ask("GET", "/api/hello")
        code, said = smoke(one.url)
    assert (code, said.startswith("backend-green: GET /api/hello answered 500")) == (1, True)


def test_an_app_that_always_fails_is_caught_at_once() -> None:
    with app("v3-broken") as one:
        assert smoke(one.url) == (1, "backend-green: GET /api/hello answered 500.\n")


def test_an_app_that_is_slow_is_caught() -> None:
    with app("v3-slow") as one:
        assert smoke(one.url) == (1, "backend-green: GET /api/hello did not answer within 2.0 s.\n")


def test_an_app_that_is_not_there_is_caught() -> None:
    with app("v3") as one:
        url = one.url
    assert smoke(url) == (1, "backend-green: GET /api/hello did not answer within 2.0 s.\n")
