"""One run of `pulumi preview --json` for a verb, with its event log; interrupted with the verb, never left behind.

The log is written to a folder of its own and goes with it: it holds the engine's every word.
"""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bluegreen.cli.stack import CONFIG_FILE, Stack
from bluegreen.planning.previewed import Previewed, previewed

PATIENCE = 30.0  # seconds that an interrupted engine has to come to its end
POLICIES = "policy-config.json"  # in a pack's folder: its config, where no other is named


async def preview(stack: Stack, packs: Sequence[Path] = (), configs: Sequence[Path] = ()) -> Previewed:
    """What the engine would do, and what the packs' policies object to."""
    with tempfile.TemporaryDirectory(prefix="bluegreen-plan-") as folder:
        log = Path(folder) / "events.jsonl"
        code, out, err = await _ran(("preview", "--json", *asked(stack, log, packs, configs)))
        told = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return previewed(out.decode(errors="replace"), told, code, err.decode(errors="replace"))


def asked(stack: Stack, log: Path, packs: Sequence[Path], configs: Sequence[Path]) -> Sequence[str]:
    """The options that every run of the engine is given here: which stack, which policies, where its events go."""
    named = os.environ.get(CONFIG_FILE)
    config = ("--config-file", named) if named else ()
    given = ["--event-log", str(log), "--stack", stack.qualified, *config]
    for pack in packs:
        given += ["--policy-pack", str(pack)]
    for each in configs or [pack / POLICIES for pack in packs if (pack / POLICIES).is_file()]:
        given += ["--policy-pack-config", str(each)]
    return (*given, "--non-interactive", "--color", "never")


async def _ran(command: Sequence[str]) -> tuple[int, bytes, bytes]:
    pipe, closed = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    # The event log is one of the options that the engine keeps for those who ask for them.
    environment = {**os.environ, "PULUMI_DEBUG_COMMANDS": "true"}
    process = await asyncio.create_subprocess_exec(
        "pulumi", *command, stdin=closed, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            await _ended(process)
    return process.returncode or 0, out, err


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Asked first, so that it takes its plugins along; then made to."""
    for wish in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, wish)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await process.communicate()
            return
