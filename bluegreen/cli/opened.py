"""The stack's secrets, opened where Pulumi can do it in time: for verbs that work without, and better with.

Checks show consumers' keys and persons' tokens, and previews ask for a key of their own. Where those are encrypted in
the stack's file, Pulumi opens them; where it cannot (not on PATH, locked out, too slow), the verb goes on with what is
in clear and says so. It deliberately changes nothing.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from bluegreen.cli.recorded import sealed
from bluegreen.cli.stack import CONFIG_FILE, Stack
from bluegreen.cli.verb import Desk
from bluegreen.connections import connect
from bluegreen.handler import Halt
from bluegreen.settings import Settings

PATIENCE = 15.0  # seconds that Pulumi has to open the config
PREVIEW = "previewKey"


@asynccontextmanager
async def opened(desk: Desk) -> AsyncIterator[tuple[Desk, str]]:
    """The same desk with every secret that can be had, and a sentence where that is not all of them."""
    try:
        encrypted = desk.stack.plain_config()[1]
    except Halt:
        encrypted = frozenset()
    if not (encrypted or sealed(desk.stack, desk.settings)) or not _lacks(desk):
        yield desk, ""
        return
    config, why = await _config(desk.stack)
    if config is None:
        yield desk, f"Secrets of the config stay closed ({why}), so what needs one is not asked."
        return
    try:
        settings = Settings.parse(desk.stack.project, desk.stack.name, config)
    except Halt as halt:
        yield desk, f"Secrets of the config stay closed ({halt.what.rstrip('.')}), so what needs one is not asked."
        return
    mine = {key.partition(":")[2]: text for key, text in config.items() if key.startswith("bluegreen:")}
    connections = connect(_with_preview(mine, settings), desk.connections.environment)
    try:
        yield replace(desk, settings=settings, connections=connections), ""
    finally:
        await connections.close()


def _lacks(desk: Desk) -> bool:
    """Whether anything that a check shows is not known here."""
    checks, secrets = desk.settings.checks, desk.settings.secrets
    consumers = {check.consumer for check in checks if check.consumer} - secrets.consumers.keys()
    tokens = {check.token for check in checks if check.token} - secrets.tokens.keys()
    return bool(consumers or tokens) or PREVIEW not in desk.connections.values


def _with_preview(given: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The previews' key is a secret of the stack; whoever did not name it for the command line means that one."""
    key = settings.secrets.preview_key
    return {**({PREVIEW: key.get_secret_value().strip()} if key is not None else {}), **given}


async def _config(stack: Stack) -> tuple[dict[str, str] | None, str]:
    """The whole config in clear, or why there is none."""
    if shutil.which("pulumi") is None:
        return None, "there is no pulumi on PATH"
    named = os.environ.get(CONFIG_FILE)
    file = ("--config-file", named) if named else ()
    command = ("config", "--json", "--show-secrets", *file, "--stack", stack.qualified, "--non-interactive")
    pipe, closed = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        "pulumi", *command, "--color", "never", stdin=closed, stdout=pipe, stderr=pipe, start_new_session=True
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, _ = await process.communicate()
    except TimeoutError:
        return None, f"pulumi config gave no answer within {PATIENCE:g} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a child of it would keep its outputs open
            await process.communicate()
    return _read(out) if process.returncode == 0 else (None, "pulumi config failed")


def _read(out: bytes) -> tuple[dict[str, str] | None, str]:
    try:
        listed: Mapping[str, Any] = json.loads(out)
        return {key: str(entry.get("value", "")) for key, entry in listed.items()}, ""
    except (ValueError, AttributeError):
        return None, "what pulumi config says is no config"
