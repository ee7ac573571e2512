"""The Kong stand-in answers as a real Kong 3.9.1 was recorded to answer.

Two conversations with a real server are replayed in order against a fresh stand-in: the same requests, and status and
body must be equal, values included. Ids and time are fed from the recording, so nothing has to be mapped.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.kong import Kong
from sandbox.kong_cluster import Settings
from sandbox.kong_store import Store, new_id

RECORDED = Path(__file__).parent / "recorded"
Call = dict[str, Any]

# Recorded calls to which the stand-in answers with other values, and why; status and top-level keys are the same.
OTHER_VALUES: Mapping[str, str] = {
    "admin-0": "GET / names the recording's host, pids and plugin list; test_kong_standin_admin compares its shape",
    "admin-1": "GET /status shows measured memory and connections",
    "admin-98": "two servers print this schema with small differences; the other one's is kept",
    "root": "as admin-0",
    "status": "as admin-1",
    "plugins-enabled": "the stand-in offers the plugins whose schemas are known",
    "timers": "GET /timers lists the server's own timers; its worker is compared in test_kong_standin_cluster",
}
# Recorded calls that the stand-in refuses, and why.
NOT_OFFERED: Mapping[str, str] = {
    "admin-102": "GET /endpoints lists entities that the stand-in does not keep",
    "plugin-minimal-proxy-cache-without-config": "no schema of this plugin was recorded",
    "plugin-minimal-proxy-cache": "no schema of this plugin was recorded",
    "plugin-minimal-basic-auth": "no schema of this plugin was recorded",
}
# Calls before which the real server had had time to bring every worker up to date.
AFTER_A_WHILE = {
    "upstream-health",
    "upstream-health-weight0",
    "upstream-health-all-zero",
    "upstream-balancer-health-all-zero",
}
# A call before which the recorder had cleaned up without recording it (later answers show it).
AFTER_A_CLEANUP = "plugin-minimal-key-auth"
CHANGING = {"node_id", "request_id"}
GENERATED = 32  # length of a key that the server makes up


class Script:
    """The recording's ids and time, handed to the stand-in call by call."""

    def __init__(self) -> None:
        self.call: Call = {}
        self._moment = 1795000000.0

    def id(self) -> str:
        answer = self.call["answer"]
        return str(answer["id"]) if isinstance(answer, dict) and "id" in answer else new_id()

    def now(self) -> float:
        answer = self.call.get("answer")
        stamp = answer.get("updated_at") or answer.get("created_at") if isinstance(answer, dict) else None
        self._moment = float(stamp or self._moment)
        return self._moment


def recorded(file: str) -> list[Call]:
    calls: list[Call] = json.loads((RECORDED / file).read_text())
    return calls


def comparable(body: Any) -> Any:
    """A body without what differs from server to server."""
    if isinstance(body, dict):
        shown = {key: "…" if key in CHANGING else comparable(value) for key, value in body.items()}
        if isinstance(shown.get("key"), str) and len(shown["key"]) == GENERATED:
            shown["key"] = "…"
        return shown
    return [comparable(item) for item in body] if isinstance(body, list) else body


def differences(expected: Any, actual: Any, at: str = "") -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted(expected.keys() | actual.keys()):
            yield from differences(expected.get(key, "absent"), actual.get(key, "absent"), f"{at}.{key}")
    elif expected != actual:
        yield f"{at}: recorded {expected!r}, answered {actual!r}"


async def ask(session: aiohttp.ClientSession, base: str, call: Call) -> tuple[int, Any]:
    if "form" in call:
        body: dict[str, Any] = {"data": call["form"], "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    elif call["body"] is not None:
        body = {"json": call["body"]}
    else:
        body = {}
    async with session.request(call["method"], base + call["path"], **body) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


async def clean_up(session: aiohttp.ClientSession, base: str) -> None:
    _, listed = await ask(session, base, {"method": "GET", "path": "/routes/x-route/plugins", "body": None})
    for plugin in listed["data"]:
        await ask(session, base, {"method": "DELETE", "path": f"/plugins/{plugin['id']}", "body": None})


async def replay(calls: list[Call]) -> list[str]:
    script, wrong = Script(), []
    kong = Kong(Settings(worker_state_update_frequency=3600), store=Store(script.id, script.now))
    async with kong.serving(), aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{kong.admin_port}"
        for call in calls:
            script.call = call
            if call["name"] == AFTER_A_CLEANUP:
                await clean_up(session, base)
            if call["name"] in AFTER_A_WHILE:
                kong.cluster.settle()
            status, body = await ask(session, base, call)
            found = list(differences(call["status"], status, "status"))
            expected, actual = comparable(call["answer"]), comparable(body)
            if call["name"] in NOT_OFFERED:
                refused = status in (400, 404) and expected != actual
                found = [] if refused else ["answered after all: the exception can go"]
            elif call["name"] not in OTHER_VALUES:
                found += differences(expected, actual, "body")
            elif expected == actual:
                found += ["answered alike: the exception can go"]
            else:
                found += differences(sorted(expected), sorted(actual), "keys")
            wrong += [f"{call['name']} {call['method']} {call['path']} {line}" for line in found]
    return wrong


def test_the_admin_api_answers_the_first_recorded_conversation_alike() -> None:
    assert asyncio.run(replay(recorded("kong_admin.json"))) == []


def test_the_admin_api_answers_the_second_recorded_conversation_alike() -> None:
    assert asyncio.run(replay(recorded("kong_extra.json"))) == []


def test_every_exception_is_about_a_recorded_call() -> None:
    names = {call["name"] for file in ("kong_admin.json", "kong_extra.json") for call in recorded(file)}
    assert set() == (OTHER_VALUES.keys() | NOT_OFFERED.keys()) - names
