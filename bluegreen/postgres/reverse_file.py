"""A reverse script as it is met again: held against the ledger, and made ready for the runner's own transaction.

    -- bluegreen:undoes 011_teams
    -- bluegreen:sha256 …            of the migration that it takes back
    -- bluegreen:owner, written, where, verdict, proven, before

A script has its own `begin`, `commit` and patience for locks, so that psql can run it; the runner brings others, so
those are blanked out, and every line stays where it is.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from bluegreen.handler import Refused
from bluegreen.postgres import statements
from bluegreen.postgres.files import File
from bluegreen.postgres.ledger import Entry
from bluegreen.postgres.session import NOTHING
from bluegreen.postgres.statements import Unparsable

HEADER = re.compile(r"^-- bluegreen:([a-z0-9]+) (.*)$", re.MULTILINE)
RUNNERS = re.compile(r"(?:begin|commit|set local lock_timeout\b.*)", re.IGNORECASE)
AGAIN = "Name the rollback_*.sql of that migration's report, or none for the one that the ledger keeps."


def head(text: str) -> Mapping[str, str]:
    """What a script says about itself."""
    return {word: value.strip() for word, value in HEADER.findall(text)}


def body(text: str) -> str:
    """What it does, without what it says about itself."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip()


def fitting(entry: Entry, text: str | None) -> File:
    """The script, to be run as a file is.

    Raises:
        Refused: there is none, it does not say what it takes back, or that is another migration or another text of
            this one, or it is more than one transaction.
    """
    if not text:
        raise Refused(
            f"There is no reverse script of {entry.label}: the ledger keeps none.",
            world=NOTHING,
            next="Name one, or write the next migration.",
        )
    said = head(text)
    if not {"undoes", "sha256"} <= said.keys():
        raise _other(f"The script does not say that it takes {entry.label} back (bluegreen:undoes, bluegreen:sha256).")
    if said["undoes"] != entry.label:
        raise _other(f"The script takes {said['undoes']} back, not {entry.label}.")
    if said["sha256"] != entry.sha256:
        known = f"sha256 {said['sha256'][:12]}…, and {entry.sha256[:12]}… was {entry.when}"
        raise _other(f"The script takes another text of {entry.label} back: it is of {known}.")
    try:
        sql = _without_its_own(text)
        faults = statements.faults(sql) or [
            f"line {each.line}: {each.alone} is a transaction of its own, and a way back is one transaction"
            for each in statements.split(sql)
            if each.alone
        ]
    except Unparsable as problem:
        faults = [str(problem)]
    if faults:
        raise _other(f"The script of {entry.label} cannot be run: {'; '.join(faults)}.")
    path = Path(f"rollback_{entry.label}.sql")
    return File(entry.version, entry.name, path, sql, hashlib.sha256(text.encode()).hexdigest())


def _without_its_own(text: str) -> str:
    """The same length, so that a line in an error is the script's line."""
    letters = list(text)
    for statement in statements.split(text):
        if RUNNERS.fullmatch(statement.text):
            letters[statement.at : statement.end] = " " * len(statement.text)
    return "".join(letters)


def _other(what: str) -> Refused:
    return Refused(what, world=NOTHING, next=AGAIN)
