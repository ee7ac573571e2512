"""squawk's opinion of a text: its own parser, its own rules, run as the program that its wheel brings.

It is told that the text will be in a transaction, which major the server has, and to read no configuration of whoever
calls it. Its answer is on stdout, whatever its exit code is. Which of its rules count how is in `levels.py`.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from shutil import which

from bluegreen.handler import Refused
from bluegreen.postgres.lint.levels import EXCLUDED, INCLUDED

PATIENCE = 60.0  # seconds; a file of half a megabyte takes one
SYNTAX = "syntax-error"
IGNORE = re.compile(r"(?:--|/\*)[^\n]*?\bsquawk-ignore(?:-file)?\b")


@dataclass(frozen=True, slots=True)
class Said:
    """One finding of squawk's; `at` is the character that it begins with."""

    rule: str
    at: int
    message: str
    help: str


async def ask(text: str, name: str, *, major: int, in_transaction: bool = True) -> Sequence[Said]:
    """What squawk finds in a text; its words for switching it off are not obeyed.

    Raises:
        Refused: it is not installed, or gives no answer.
    """
    # Of the same length, so that every place stays where it is.
    heard = text.replace("squawk-ignore", "squawk_ignore")
    command = [str(_binary()), "--reporter", "json", "--pg-version", f"{major}.0", "--config", os.devnull]
    command += ["--assume-in-transaction"] if in_transaction else ["--no-assume-in-transaction"]
    command += ["--stdin-filepath", name, "-i", ",".join(INCLUDED), "-e", ",".join(EXCLUDED)]
    answer, complaint = await _run(command, heard.encode())
    try:
        lines = heard.split("\n")
        starts = [0, *accumulate(len(line) + 1 for line in lines)]
        return [_said(each, lines, starts) for each in json.loads(answer)]
    except (ValueError, LookupError, TypeError) as error:
        said = complaint.decode(errors="replace").strip().partition("\n")[0] or "no answer"
        raise _refused(f"squawk cannot judge {name}: {said}.") from error


async def _run(command: Sequence[str], given: bytes) -> tuple[bytes, bytes]:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise _refused(f"squawk cannot be started: {error.strerror}.") from error
    try:
        async with asyncio.timeout(PATIENCE):
            return await process.communicate(given)
    except TimeoutError as error:
        raise _refused(f"squawk did not answer within {PATIENCE:.0f} s.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _binary() -> Path:
    """Beside the interpreter, where the wheel puts it; otherwise on PATH."""
    beside = Path(sys.executable).parent / ("squawk.exe" if os.name == "nt" else "squawk")
    found = beside if beside.is_file() else which("squawk")
    if found is None:
        raise _refused("squawk, which judges migrations, is not installed.")
    return Path(found)


def _refused(what: str) -> Refused:
    return Refused(what, world="Nothing was changed.", next="Run make setup: squawk-cli is in requirements.txt.")


def _said(each: dict[str, object], lines: Sequence[str], starts: Sequence[int]) -> Said:
    """One finding; squawk counts lines from 0, and columns in bytes of UTF-8."""
    line, column = int(str(each["line"])), int(str(each["column"]))
    within = len(lines[line].encode()[:column].decode(errors="ignore"))
    return Said(str(each["rule_name"]), starts[line] + within, str(each["message"]), str(each["help"] or ""))
