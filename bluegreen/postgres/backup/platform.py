"""How fresh the platform's own backups are: Supabase's Management API, asked once, and never in the way.

What comes back is text for the report. No token, no project, no answer within three seconds: each is told as what it
is, and a migration goes on, because the point to come back to is made by ourselves. Nothing is ever written there: a
backup on demand is not to be had from it, and a restore is a person's decision.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

from bluegreen.http import Answer, ApiError, Client

SUPABASE = "https://api.supabase.com"
PATIENCE = 3.0  # seconds


async def freshness(
    token: str | None, ref: str | None, *, base_url: str = SUPABASE, now: datetime, patience: float = PATIENCE
) -> str:
    """One sentence about the newest backup that the platform has, or why it cannot be told."""
    if not ref:
        return "not asked: no Supabase project is named (migrations.backup.supabaseProject)"
    if not token:
        return "not asked: bluegreen:supabaseToken is not set"
    headers = {"Authorization": f"Bearer {token}"}
    client = Client(
        "Supabase",
        base_url,
        headers=headers,
        secrets=(token, headers["Authorization"]),
        connect=PATIENCE,
        read=PATIENCE,
    )
    try:
        async with client, asyncio.timeout(patience):
            answer = await client.call("GET", f"/v1/projects/{ref}/database/backups", writes=False)
    except ApiError as error:
        return f"not reachable: {error.what}"
    except TimeoutError:
        return f"not reachable: Supabase did not answer within {patience:g} s"
    return _told(answer, now)


def _told(answer: Answer, now: datetime) -> str:
    body = answer.json
    if not isinstance(body, dict):
        return "not known: Supabase's answer could not be read"
    if body.get("pitr_enabled"):
        physical = body.get("physical_backup_data")
        latest = _instant(physical.get("latest_physical_backup_date_unix")) if isinstance(physical, dict) else None
        until = f", newest base {_age(latest, now)}" if latest else ""
        return f"point-in-time recovery is on{until}"
    listed = body.get("backups")
    done = [
        when
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict) and each.get("status") == "COMPLETED" and (when := _instant(each.get("inserted_at")))
    ]
    if not done:
        return "point-in-time recovery is off, and there is no completed backup"
    return f"point-in-time recovery is off; the newest completed backup is {_age(max(done), now)}"


def _instant(value: Any) -> datetime | None:
    """A moment as the API writes it: ISO text, or seconds."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        return datetime.fromtimestamp(value, UTC) if value else None
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _age(when: datetime, now: datetime) -> str:
    hours = max((now - when).total_seconds(), 0) / 3600
    old = f"{hours:.0f} h" if hours >= 1 else f"{hours * 60:.0f} min"
    return f"{old} old ({when:%Y-%m-%d %H:%M} UTC)"
