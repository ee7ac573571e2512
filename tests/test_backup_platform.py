"""How fresh the platform's backups are is told as text, within a bound, and never with a token in it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from bluegreen.postgres.backup.platform import freshness

TOKEN = "sbp_planted+token/1"
REF = "abcdefghijklmnopqrst"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def told(answer: Answering, *, token: str | None = TOKEN, ref: str | None = REF) -> str:
    app = web.Application()
    app.router.add_get("/v1/projects/{ref}/database/backups", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        return await freshness(token, ref, base_url=f"http://{host}:{port}", now=NOW)
    finally:
        await runner.cleanup()


def answering(body: Any, status: int = 200) -> Answering:
    async def answer(request: web.Request) -> web.StreamResponse:
        known = request.headers["Authorization"] == f"Bearer {TOKEN}" and request.match_info["ref"] == REF
        return web.json_response(body, status=status if known else 401)

    return answer


def backups(*found: tuple[str, str]) -> dict[str, Any]:
    listed = [{"status": status, "inserted_at": at, "is_physical_backup": True} for status, at in found]
    return {"region": "eu-west-1", "pitr_enabled": False, "walg_enabled": True, "backups": listed}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            backups(
                ("COMPLETED", "2026-04-30T12:00:00Z"),
                ("COMPLETED", "2026-05-01T09:00:00Z"),
                ("FAILED", "2026-05-01T11:00:00Z"),
            ),
            "point-in-time recovery is off; the newest completed backup is 3 h old (2026-05-01 09:00 UTC)",
        ),
        (
            backups(("PENDING", "2026-05-01T11:00:00Z")),
            "point-in-time recovery is off, and there is no completed backup",
        ),
        (
            {"pitr_enabled": True, "physical_backup_data": {"latest_physical_backup_date_unix": 1777636200}},
            "point-in-time recovery is on, newest base 10 min old (2026-05-01 11:50 UTC)",
        ),
        ({"pitr_enabled": True}, "point-in-time recovery is on"),
        (["odd"], "not known: Supabase's answer could not be read"),
        (
            {"backups": [{"status": "COMPLETED", "inserted_at": "yesterday"}]},
            "point-in-time recovery is off, and there is no completed backup",
        ),
        (
            {"backups": "none", "physical_backup_data": 3},
            "point-in-time recovery is off, and there is no completed backup",
        ),
        ({"pitr_enabled": True, "physical_backup_data": "odd"}, "point-in-time recovery is on"),
    ],
)
def test_the_newest_completed_backup_is_told_with_its_age(body: Any, expected: str) -> None:
    assert expected == asyncio.run(told(answering(body)))


def test_a_refusal_is_told_without_the_token() -> None:
    async def quoting(request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": f"no access with {request.headers['Authorization']}"}, status=403)

    said = asyncio.run(told(quoting))
    assert said.startswith("not reachable: Supabase answered 403 to GET /v1/projects/")
    assert TOKEN not in said


def test_without_token_or_project_nobody_is_asked() -> None:
    nobody = answering({})
    assert "not asked: bluegreen:supabaseToken is not set" == asyncio.run(told(nobody, token=None))
    assert asyncio.run(told(nobody, ref=None)).startswith("not asked: no Supabase project is named")


def test_who_cannot_be_reached_is_told() -> None:
    said = asyncio.run(freshness(TOKEN, REF, base_url="http://127.0.0.1:9", now=NOW))
    assert said.startswith("not reachable: Supabase cannot be reached at http://127.0.0.1:9")


def test_who_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are taken, and nobody looks at them
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said = asyncio.run(freshness(TOKEN, REF, base_url=base, now=NOW, patience=0.2))
    assert "not reachable: Supabase did not answer" in said
