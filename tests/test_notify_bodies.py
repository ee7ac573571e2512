"""What an event looks like to those who hear it, and that the documentation shows exactly that."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest
from pydantic import JsonValue

from bluegreen.event import Event, Kind
from bluegreen.notify.slack import MARKS, OTHERWISE, line
from bluegreen.notify.webhook import payload

DOC = (Path(__file__).parent.parent / "docs" / "notifications.md").read_text(encoding="utf-8")
AT = datetime(2026, 11, 23, 11, 20, 4, 512000, tzinfo=UTC)
EVENT = Event(
    "step-completed",
    "shop.production",
    "backend: green 25 %, proved by 12 answers from 2 nodes in 0.04 s",
    AT,
    app="backend",
    facts={"move": "6f0d2b9a", "weight": 25, "release": "8e74a1c09b5d2f36"},
)


def test_the_documented_payload_is_the_one_that_is_sent() -> None:
    example = re.search(r"```json\n(.*?)```", DOC, re.DOTALL)
    assert example is not None
    assert json.loads(example[1]) == payload(EVENT, "4f0c9a1e")


def test_the_documented_line_is_the_one_that_slack_gets() -> None:
    assert json.dumps({"text": line(EVENT)}, ensure_ascii=False) in DOC


def test_every_kind_of_event_is_documented_with_its_own_mark() -> None:
    assert [kind for kind in get_args(Kind) if f"| `{kind}` | {MARKS[kind]} |" not in DOC] == []
    assert len(set(MARKS.values())) == len(get_args(Kind))


def test_times_are_utc_to_the_millisecond() -> None:
    at = datetime(2026, 11, 23, 12, 20, 4, 512999, tzinfo=timezone(timedelta(hours=1)))
    assert payload(Event("hold-set", "shop.production", "", at), "r")["at"] == "2026-11-23T11:20:04.512Z"


@pytest.mark.parametrize(
    ("owner", "project", "stack"),
    [("shop.production", "shop", "production"), ("acme.shop.eu", "acme.shop", "eu"), ("shop", "", "shop")],
)
def test_an_owner_is_a_project_and_a_stack(owner: str, project: str, stack: str) -> None:
    sent = payload(Event("hold-set", owner, "", AT), "r")
    assert (sent["owner"], sent["project"], sent["stack"]) == (owner, project, stack)


def test_what_concerns_no_app_says_so() -> None:
    assert payload(Event("move-started", "shop.production", "", AT), "r")["app"] is None


def test_a_number_that_json_cannot_say_is_null() -> None:
    facts: dict[str, JsonValue] = {
        "bound": float("inf"),
        "share": float("nan"),
        "n": 12,
        "apps": {"backend": [0.5, None]},
    }
    sent = payload(Event("analysis-completed", "shop.production", "", AT, facts=facts), "r")
    assert sent["facts"] == {"bound": None, "share": None, "n": 12, "apps": {"backend": [0.5, None]}}


def test_what_slack_reads_as_syntax_is_escaped() -> None:
    told = Event("move-failed", "shop.production", "p95 <300 ms> & more: <!channel>, &lt;", AT)
    assert line(told) == "❌ shop.production: p95 &lt;300 ms&gt; &amp; more: &lt;!channel&gt;, &amp;lt;"


def test_a_kind_without_a_mark_is_told_all_the_same() -> None:
    told = Event("later-kind", "shop.production", "something new", AT)  # type: ignore[arg-type]
    assert line(told) == f"{OTHERWISE} shop.production: something new"
