"""squawk by itself, as somebody runs it who has read its page: by default, and with every rule it has
and the word that the file is a transaction.

It knows no levels, so each of its findings counts for it, two kinds apart: what asks for a timeout (it stands at nearly
every statement, dangerous or not) and what is about style alone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.row import NotMeasured
from bluegreen.postgres.lint.levels import EXCLUDED, INCLUDED

TIMEOUTS = frozenset(EXCLUDED)
STYLE = frozenset({"require-table-schema", "identifier-too-long", "ban-char-field"})
PEERS: Mapping[str, Sequence[str]] = {
    "squawk, by default": (),
    "squawk, every rule": ("--assume-in-transaction", "-i", ",".join(INCLUDED)),
}


def said(sql: str, options: Sequence[str]) -> list[str]:
    """The rules of every finding."""
    binary = Path(sys.executable).parent / "squawk"
    command = [str(binary), "--reporter", "json", "--pg-version", "17.0", "--config", os.devnull, *options]
    try:
        answer = subprocess.run(command, input=sql.encode(), capture_output=True, check=False, timeout=60)
        return [str(each["rule_name"]) for each in json.loads(answer.stdout)]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"squawk gives no answer ({error}). Nothing was written. Run make setup.") from error


def counts(rule: str) -> bool:
    """Whether a finding of that rule says that something is dangerous."""
    return rule not in TIMEOUTS and rule not in STYLE and not rule.startswith("prefer-")
