"""Whether a database is what a migration's copy promised: each touched object, and nothing half done that is new.

What was half done before the file came is nobody's fault of it, and what the copy had half done as well was seen there,
and refused or allowed. A copy of another major version writes the same object in other words (a view's text, a right
that older ones do not have), so there only what is there, and what is gone, is held against it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from bluegreen.postgres.catalog import Snapshot, snapshot
from bluegreen.postgres.plan import Plan, Verified
from bluegreen.postgres.session import Database
from bluegreen.postgres.verify.leftovers import Fault, leftovers
from bluegreen.postgres.verify.people import FOLDER as WORLDS
from bluegreen.postgres.verify.replay import FOLDER as ASKED


async def verified(database: Database, plan: Plan) -> Verified:
    """What the database answers; the plan's file is applied, and was tried on a copy."""
    difference = plan.difference
    assert difference is not None
    async with database.session("verify") as session:
        differences = tuple(_unlike(plan, await snapshot(session)))
        found = await leftovers(session, (*difference.added, *difference.changed))
    known = {_same(fault) for fault in (*plan.left_before, *plan.leftovers)}
    left = tuple(fault for fault in found if _same(fault) not in known)
    return Verified(same=not differences, differences=differences, leftovers=left)


def _same(fault: Fault) -> tuple[str, str, str]:
    """By what a fault is told from others, whoever is to blame for it."""
    return fault.rule, fault.object, fault.message


def told(found: Verified) -> tuple[str, ...]:
    """What is wrong, a sentence each."""
    return (*found.differences, *(f"{fault.object}: {fault.message}" for fault in found.leftovers))


def beside(folder: Path) -> str:
    """A digest of what lies beside the migrations and is asked of a copy: worlds, recordings, statements."""
    digest = hashlib.sha256()
    for path in sorted(path for name in (WORLDS, ASKED) for path in (folder / name).glob("*.*") if path.is_file()):
        text = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.parent.name}/{path.name}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()


def _unlike(plan: Plan, found: Snapshot) -> Iterator[str]:
    hashes, sameness = found.hashes(), plan.tried_on in (0, found.major)
    assert plan.difference is not None
    for name, like in plan.after.items():
        if name not in hashes:
            yield f"{name} is missing"
        elif sameness and hashes[name] != like:
            yield f"{name} is not as it was there"
    for name in plan.difference.gone:
        if name in hashes:
            yield f"{name} is still there"
