"""Spans and moments of time as they are on the wire: `72h`, `1h30m`, `2026-03-01T12:00:00Z`.

What is neither is None, and whoever asked says what that means.
"""

import re
from datetime import UTC, datetime
from typing import Any

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
PART = re.compile(r"([0-9]{1,12})([smhd])")


def seconds(text: Any) -> int | None:
    """How long a span lasts."""
    if not isinstance(text, str) or not re.fullmatch(f"(?:{PART.pattern})+", text):
        return None
    return sum(int(count) * UNITS[unit] for count, unit in PART.findall(text))


def moment(text: Any) -> datetime | None:
    """A point in time, in UTC where it names no zone."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
