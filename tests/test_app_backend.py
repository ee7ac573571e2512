"""The demo backend's way to the database: who asks, what goes wrong, and what a caller is told."""

import base64
import json
import re
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest

from sandbox.app_pages import Log
from sandbox.postgres import Server
from tests.app_room import ANON, SECRET, App, Person, app, migrate, sign_up, token
from tests.database import as_superuser, database, name_of

TEAM_TABLES = (
    "teams, team_members, team_invitations, project_privacy_settings, project_teams, generation_collaborations"
)


@pytest.fixture(scope="module")
def url() -> str:
    made = database()
    migrate(made)
    return made


@pytest.fixture(scope="module")
def ann(url: str) -> Person:
    return sign_up(url, "ann")["ann"]


@pytest.fixture(scope="module")
def here(url: str) -> Iterator[App]:
    with app("v2", owner_url=url) as one:
        yield one


# ── Who asks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SOMEBODY = str(uuid.uuid4())
UNSIGNED = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "none", "typ": "JWT"}, {"sub": SOMEBODY, "role": "service_role", "exp": 9_999_999_999})
)
WRONG = {
    "no scheme": "abc",
    "another scheme": "Basic YTpi",
    "no token": "Bearer ",
    "no JWT": "Bearer abc.def.ghi",
    "unsigned": f"Bearer {UNSIGNED}.",
    "another secret": f"Bearer {token('x' * 32, sub=SOMEBODY, role='authenticated')}",
    "another algorithm": "Bearer " + jwt.encode({"sub": SOMEBODY, "exp": 9_999_999_999}, "x" * 64, "HS512"),
    "expired": f"Bearer {token(lives=-1, sub=SOMEBODY, role='authenticated')}",
    "without an end": "Bearer " + jwt.encode({"sub": SOMEBODY, "role": "authenticated"}, SECRET, "HS256"),
    "without a role": f"Bearer {token(sub=SOMEBODY)}",
    "another role": f"Bearer {token(sub=SOMEBODY, role='postgres')}",
    "a role in disguise": f"Bearer {token(sub=SOMEBODY, role=['authenticated'])}",
    "a person without an id": f"Bearer {token(role='authenticated')}",
    "an id that is none": f"Bearer {token(sub='me', role='authenticated')}",
    "for somebody else's API": f"Bearer {token(sub=SOMEBODY, role='authenticated', aud='other')}",
    "an address that is none": f"Bearer {token(sub=SOMEBODY, role='authenticated', email=7)}",
    "a novel": "Bearer " + "a" * 5000,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_that_proves_nothing_is_a_401(here: App, wrong: str) -> None:
    answer = here.ask("GET", "/api/projects", Authorization=WRONG[wrong])
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_an_expired_token_is_told_apart(here: App) -> None:
    assert here.ask("GET", "/api/me", Authorization=WRONG["expired"]).body["error"] == "The token has expired."


@pytest.mark.parametrize("audience", ["authenticated", ["authenticated", "other"]])
def test_a_token_for_this_api_is_taken(here: App, ann: Person, audience: Any) -> None:
    given = token(sub=ann.id, role="authenticated", aud=audience)
    answer = here.ask("GET", "/api/me", Authorization=f"bearer {given}")
    assert (answer.status, answer.body["email"]) == (200, "ann@example.com")


def test_the_platforms_own_keys_are_tokens_without_a_person(here: App, ann: Person) -> None:
    here.ask("POST", "/api/projects", {"name": "seen by the service"}, ann)
    keys = {
        role: jwt.encode({"role": role, "exp": 9_999_999_999}, SECRET, "HS256") for role in ("anon", "service_role")
    }
    seen = {
        role: [one["name"] for one in here.ask("GET", "/api/projects", Authorization=f"Bearer {key}").body]
        for role, key in keys.items()
    }
    assert seen["anon"] == []
    assert "seen by the service" in seen["service_role"]


def test_nobody_is_left_signed_in_on_a_connection(here: App, ann: Person) -> None:
    here.ask("POST", "/api/projects", {"name": "mine"}, ann)
    for _ in range(10):
        assert [len(here.ask("GET", "/api/projects", who=who).body) > 0 for who in (ann, ANON)] == [True, False]


def test_a_claim_is_data_and_no_sql(here: App, ann: Person) -> None:
    quoted = Person("quoted", token=token(sub=ann.id, role="authenticated", email="'; drop table teams; --"))
    assert here.ask("GET", "/api/teams", who=quoted).status == 200


# ── What a caller is told ─────────────────────────────────────────────────────────────────────────────────────────────

BAD_BODIES: list[Any] = [
    b"",
    b"{",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"name": NaN}',
    ["name"],
    "name",
    {},
    {"name": None},
    {"name": {"a": 1}},
    {"name": "a\0b"},
    {"name": "\ud800"},
    {"name": "x" * 121},
    {"name": "x", "user_id": SOMEBODY},
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_bad_body_is_a_400_with_a_sentence(here: App, ann: Person, body: Any) -> None:
    answer = here.ask("POST", "/api/projects", body, ann)
    assert (answer.status, sorted(answer.body)) == (400, ["correlation_id", "error"])
    assert not {"insert", "public.", "projects_", "psycopg", "Traceback"} & set(answer.body["error"].split())


def test_a_body_too_big_is_a_413(here: App, ann: Person) -> None:
    assert here.ask("POST", "/api/projects", b'{"name": "' + b"x" * 2_000_000 + b'"}', ann).status == 413


def test_a_person_whose_account_is_gone_is_told_so_without_a_tables_name(here: App) -> None:
    gone = Person("gone", token=token(sub=SOMEBODY, role="authenticated"))
    answer = here.ask("POST", "/api/projects", {"name": "x"}, gone)
    assert (answer.status, answer.body["error"]) == (409, "It refers to something that is not there.")


def test_a_method_that_a_path_does_not_have_is_told_with_those_it_has(here: App) -> None:
    answer = here.ask("DELETE", "/api/projects")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")


def test_head_is_get_without_a_body(here: App, ann: Person) -> None:
    answer = here.ask("HEAD", "/api/projects", who=ann)
    assert (answer.status, answer.body) == (200, "")


def test_answers_from_the_database_are_not_kept_by_caches(here: App, ann: Person) -> None:
    assert here.ask("GET", "/api/projects", who=ann).headers["cache-control"] == "no-store"


def test_an_answer_tells_how_long_it_was_at_the_database_a_refusal_too_and_others_do_not(
    here: App, ann: Person
) -> None:
    asked = [here.ask("GET", path, who=ann) for path in ("/api/projects", f"/api/projects/{uuid.uuid4()}")]
    assert [answer.status for answer in asked] == [200, 404]
    told = [re.fullmatch(r"db;dur=(\d+\.\d)", answer.headers["server-timing"]) for answer in asked]
    assert [found is not None and float(found[1]) > 0 for found in told] == [True, True]
    assert ["server-timing" in here.ask("GET", path).headers for path in ("/health", "/api/hello")] == [False, False]


def test_a_lock_that_does_not_come_free_is_a_503_and_the_next_request_is_served(url: str, ann: Person) -> None:
    impatient = {"PGOPTIONS": "-c lock_timeout=50ms"}
    with app("v2", owner_url=url, **impatient) as one, psycopg.connect(url) as other:
        assert one.ask("GET", "/api/projects", who=ann).status == 200
        other.execute("lock table public.projects in access exclusive mode")
        held = one.ask("GET", "/api/projects", who=ann)
        other.rollback()
        assert (held.status, held.headers["retry-after"]) == (503, "1")
        assert held.body["error"] == "The database cannot answer now; try again."
        assert one.ask("GET", "/api/projects", who=ann).status == 200


def test_a_statement_that_takes_too_long_is_a_503(url: str, ann: Person) -> None:
    with app("v2", owner_url=url, PGOPTIONS="-c statement_timeout=50ms") as one, psycopg.connect(url) as other:
        other.execute("lock table public.projects in access exclusive mode")
        assert one.ask("GET", "/api/projects", who=ann).status == 503


# ── Correlation ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/health", "/api/hello", "/api/projects", "/api/nowhere"])
def test_a_callers_correlation_id_is_in_the_answer(here: App, path: str) -> None:
    for given in ("checkout-7:a.b_c", "2c6b8c5e-6a4f-4f6e-9c0e-6d9a3c6a4a11#17"):  # the second as Kong makes them
        assert here.ask("GET", path, X_Correlation_Id=given).headers["x-correlation-id"] == given


@pytest.mark.parametrize("given", ["", "two words", "x" * 101, "<script>", "-leading", "naïve"])
def test_an_id_that_is_not_sane_is_replaced_by_a_new_one(here: App, given: str) -> None:
    headers = {"X-Correlation-Id": given.encode().decode("latin-1")}
    made = here.send("GET", "/api/hello", None, headers).headers["x-correlation-id"]
    assert (len(made), made == given) == (32, False)


def test_the_log_has_the_id_and_the_reason_and_the_answer_only_the_id() -> None:
    with app("v1", owner_url=database()) as one:
        answer = one.ask("POST", "/api/projects", {"name": "x"}, X_Correlation_Id="find-me")
        one.process.terminate()
        assert one.process.stdout is not None
        said = one.process.stdout.read()
    assert (answer.body["correlation_id"], answer.body["error"]) == ("find-me", "Sign in first: this takes a token.")
    assert "find-me POST '/api/projects' answered 401: Sign in first: this takes a token. [42501 " in said


def test_a_flood_of_failures_does_not_flood_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    now = 7.0
    log = Log(clock=lambda: now)
    for number in range(500):
        log.say(f"failure {number}")
    now = 8.0
    log.say("a new second")
    assert capsys.readouterr().out.splitlines() == [
        *(f"failure {number}" for number in range(10)),
        "a new second (490 lines before it left out)",
    ]


def test_a_path_cannot_pretend_to_be_a_line_of_the_log() -> None:
    with app("v2") as one:
        one.ask("GET", "/api/x%0Aforged%20line")
        one.process.terminate()
        assert one.process.stdout is not None
        assert [line for line in one.process.stdout if line.startswith("forged")] == []


# ── Liveness and readiness ────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_database_it_says_hello_and_that_it_has_none() -> None:
    with app("v2") as one:
        statuses = {path: one.ask("GET", path).status for path in ("/health", "/ready", "/api/hello", "/api/projects")}
        told = one.ask("GET", "/api/teams").body["error"]
    assert statuses == {"/health": 200, "/ready": 200, "/api/hello": 200, "/api/projects": 503}
    assert told == "This backend has no database; set DATABASE_URL and SUPABASE_JWT_SECRET."


def test_release_2_is_ready_once_011_is_applied_and_says_what_it_waits_for() -> None:
    url = database()
    with app("v1", owner_url=url) as old, app("v2", owner_url=url) as new:
        before = new.ask("GET", "/ready")
        ready_then = old.ask("GET", "/ready").status
        person = sign_up(url, "ann")["ann"]
        early = new.ask("GET", "/api/teams", who=person)
        migrate(url)
        after = [one.ask("GET", "/ready").status for one in (old, new)]
    assert (before.status, before.body["reason"]) == (503, f"The database has no table {TEAM_TABLES} yet.")
    assert (early.status, early.body["error"]) == (503, "The database does not have what this release needs yet.")
    assert (ready_then, after) == (200, [200, 200])


def test_a_database_that_is_away_is_a_503_until_it_is_back(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Server(tmp_path / "data", port) as server:
        ann = sign_up(server.url(), "ann")["ann"]
        there = {"DATABASE_URL": server.url("authenticator"), "SUPABASE_JWT_SECRET": SECRET}
        with app("v1", **there) as one:
            paths = ("/health", "/ready", "/api/projects")
            up = [one.ask("GET", path, who=ann).status for path in paths]
            server.stop()
            down = [one.ask("GET", path, who=ann).status for path in paths]
            server.start()
            back = [one.ask("GET", path, who=ann).status for path in paths]
    assert (up, down, back) == ([200, 200, 200], [200, 503, 503], [200, 200, 200])


# ── Connections ───────────────────────────────────────────────────────────────────────────────────────────────────────


def connections(url: str) -> list[int]:
    """The server processes that serve the app on this database."""
    query = "select pid from pg_stat_activity where usename = 'authenticator' and datname = %s order by pid"
    with psycopg.connect(as_superuser(url)) as line:
        return [row[0] for row in line.execute(query, (name_of(url),)).fetchall()]


def test_connections_are_opened_when_needed_kept_and_never_more_than_five() -> None:
    url = database()
    ann = sign_up(url, "ann")["ann"]
    with app("v1", owner_url=url) as one:
        assert connections(url) == []
        one.ask("GET", "/api/me", who=ann)
        [first] = connections(url)
        one.ask("GET", "/api/me", who=ann)
        assert connections(url) == [first]
        with psycopg.connect(url) as other, ThreadPoolExecutor(12) as threads:
            other.execute("lock table public.projects in access exclusive mode")
            asked = [threads.submit(one.ask, "GET", "/api/projects", None, ann) for _ in range(12)]
            until(lambda: len(connections(url)) == 5)
            other.rollback()
            assert {request.result().status for request in asked} == {200}
        assert len(connections(url)) == 5
    until(lambda: connections(url) == [])  # closed at exit; the server notices a moment later


def test_a_connection_that_the_server_ended_costs_no_request() -> None:
    url = database()
    ann = sign_up(url, "ann")["ann"]
    with app("v1", owner_url=url) as one:
        for _ in range(3):
            assert one.ask("GET", "/api/me", who=ann).status == 200
            with psycopg.connect(as_superuser(url), autocommit=True) as line:
                line.execute("select pg_terminate_backend(pid, 5000) from unnest(%s) pid", (connections(url),))
        assert one.ask("GET", "/api/me", who=ann).status == 200


def until(done: Any) -> None:
    """Wait for what must come; a test that waits in vain fails."""
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
