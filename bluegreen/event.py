"""What is told to people elsewhere while a release happens: one event, and the way to tell it.

Telling never waits and never fails: a release does not depend on its audience. How an event is sent is in `notify/`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

Kind = Literal[
    "move-started",
    "step-completed",
    "analysis-completed",
    "move-completed",
    "move-failed",
    "rollback-started",
    "rollback-completed",
    "rollback-failed",
    "hold-set",
    "hold-released",
    "gate-waiting",
    "gate-approved",
    "monitor-alert",
    "monitor-resolved",
    "monitor-completed",
]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a stack; `owner` is `project.stack`, times are UTC."""

    kind: Kind
    owner: str
    text: str
    at: datetime
    app: str | None = None
    facts: Mapping[str, JsonValue] = field(default_factory=dict)


Tell = Callable[[Event], None]


def silent(event: Event) -> None:
    """Tells nobody."""
