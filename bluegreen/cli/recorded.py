"""What Pulumi knows of a stack, asked without relying on it: state, and who holds the lock.

A verb that has to work while Pulumi is missing, locked out or slow asks here: the answer says what is unknown and why
in one phrase, after fifteen seconds at the latest. It deliberately parses only what traffic and services recorded.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bluegreen.cli.stack import CONFIG_FILE, UNREADABLE, Lock, Stack
from bluegreen.handler import Halt
from bluegreen.railway.spec import STOPPED
from bluegreen.rollout.spec import TrafficState
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour
from bluegreen.standing import Recorded, Stopped, phrase

PATIENCE = 15.0  # seconds that Pulumi has to export a state
TRAFFIC, SERVICE = "bluegreen:rollout:Traffic", "bluegreen:railway:Service"


async def recorded(stack: Stack) -> Recorded:
    """State and lock, as far as they can be read."""
    if shutil.which("pulumi") is None:
        return Recorded(unread="there is no pulumi on PATH")
    code, out, err = await _export(stack)
    if code is None:
        return Recorded(unread=f"pulumi stack export gave no answer within {PATIENCE:g} s")
    # The lock is asked for by the same backend, so only one that has just answered is asked.
    lock, held, unlocked = (None, None, _said(err)) if code else await _lock(stack)
    if code:
        return Recorded(unread=unlocked)
    try:
        resources = _resources(out)
        traffic = next((_outputs(row) for row in resources if row.get("type") == TRAFFIC), None)
        known = TrafficState.model_validate(traffic) if traffic is not None else None
        services = dict(filter(None, map(_service, resources)))
        releases = {which: str(out["releaseId"]) for which, out in services.items() if _proven(out)}
        stopped = {which: _stopped(out) for which, out in services.items() if out.get("status") == STOPPED}
    except (ValueError, TypeError, AttributeError, ValidationError):
        return Recorded(unread="what Pulumi exports is no state of this program", lock=lock, held=held)
    unread = unlocked or ("" if known is not None else "no update has recorded any traffic yet")
    return Recorded(traffic=known, releases=releases, unread=unread, lock=lock, held=held, stopped=stopped)


def sealed(stack: Stack, settings: Settings) -> frozenset[str]:
    """Which paths under `secrets` are encrypted in the stack's file and were not opened; "" is all of it."""
    file = Path(os.environ.get(CONFIG_FILE) or f"Pulumi.{stack.name}.yaml")
    try:
        config = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("config") or {}
    except (OSError, yaml.YAMLError, AttributeError):
        return frozenset()
    secrets = config.get(f"{stack.project}:secrets", config.get("secrets"))
    found = frozenset(_encrypted(secrets, ()))
    opened = settings.secrets.release_key is not None and bool(found & {"releaseKey", ""})
    return frozenset() if opened else found


async def _export(stack: Stack) -> tuple[int | None, bytes, bytes]:
    command = ("stack", "export", "--stack", stack.qualified, "--non-interactive", "--color", "never")
    pipe, closed = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        "pulumi", *command, stdin=closed, stdout=pipe, stderr=pipe, start_new_session=True
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    except TimeoutError:
        return None, b"", b""
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a child of it would keep its outputs open
            await process.communicate()  # its end is told once its outputs are read to the end
    return process.returncode, out, err


async def _lock(stack: Stack) -> tuple[str | None, bool | None, str]:
    """Who holds the stack, whether anybody may be at work (None: not shown), and what could not be read."""
    try:
        if not await asyncio.to_thread(lambda: stack.shows_locks):
            return None, None, ""
        lock: Lock | None = await asyncio.to_thread(stack.lock)
    except Halt as halt:
        return None, None, phrase(halt)
    if lock is None:
        return None, False, ""
    dead = " (that process is gone)" if lock.alive is False else ""
    return f"{lock}{dead}", lock.alive is not False, ""


def _said(err: bytes) -> str:
    lines = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
    said = next((line for line in lines if "error:" in line), lines[0] if lines else "pulumi stack export failed")
    if UNREADABLE in said:
        return f"Pulumi's state cannot be read: {said.partition(UNREADABLE)[2].strip(': ')}"
    return f"pulumi says: {said.removeprefix('error: ')}".rstrip(".")


def _resources(out: bytes) -> list[Mapping[str, Any]]:
    exported = json.loads(out)
    return list((exported.get("deployment") or {}).get("resources") or [])


def _outputs(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row.get("outputs") or {}


def _service(row: Mapping[str, Any]) -> tuple[tuple[str, Colour], Mapping[str, Any]] | None:
    """Which colour of which app a service is, and what was recorded of it."""
    inputs = row.get("inputs") or {}
    colour = next((colour for colour in COLOURS if colour == inputs.get("colour")), None)
    if row.get("type") != SERVICE or colour is None:
        return None
    return (str(inputs.get("app")), colour), _outputs(row)


def _proven(outputs: Mapping[str, Any]) -> bool:
    return isinstance(outputs.get("releaseId"), str)


def _stopped(outputs: Mapping[str, Any]) -> Stopped:
    return Stopped(at=outputs.get("stoppedAt"), kept_until=outputs.get("keptUntil"))


def _encrypted(value: Any, where: tuple[str, ...]) -> list[str]:
    if not isinstance(value, Mapping):
        return []
    if set(value) == {"secure"}:
        return [".".join(where)]
    return [path for key, inner in value.items() for path in _encrypted(inner, (*where, str(key)))]
