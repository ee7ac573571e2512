"""A migration rehearsed: read, tried on a copy of the database, taken back, tried again, met by whoever will meet it.

The database itself is only read, and never its rows. What is tried is what will be applied: the same text, on a copy of
the same schema, as a user with the same rights, after the files that are pending before it. A copy has no rows, so what
grows with them is estimated from the real tables' sizes and said as an estimate.

Deliberately not here: who asks, and what is done about it (`change.py`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bluegreen.handler import Context
from bluegreen.postgres.catalog import Snapshot, compare, phase_of, proven, snapshot
from bluegreen.postgres.files import File
from bluegreen.postgres.lint import Linted, allowed, lint, look
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.scratch.copy import Copied, copy
from bluegreen.postgres.scratch.server import Scratch, server
from bluegreen.postgres.scratch.trace import trace
from bluegreen.postgres.scratch.traced import Traced
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import MigrationSpec
from bluegreen.postgres.verify import people
from bluegreen.postgres.verify.advise import advise
from bluegreen.postgres.verify.counts import counts
from bluegreen.postgres.verify.leftovers import leftovers
from bluegreen.postgres.verify.matrix import Matrix, matrix
from bluegreen.postgres.verify.matrix import compare as differences
from bluegreen.postgres.verify.people import Seed
from bluegreen.postgres.verify.replay import Asked, listed, replay, running

NEWEST = 18  # the grammar by which a file is judged when no database says how old it is
AFTER = "after"  # the database on the scratch server in which the file is tried, beside the copy


async def analysed(file: File, wanted: MigrationSpec, ctx: Context, why: str) -> Plan:
    """What the text alone tells; `why` is a sentence about why it was not tried on a copy."""
    linted = await lint(file, major=NEWEST, known=None)
    return _begun(file, wanted, ctx, linted, not_checked=(why,))


async def rehearse(
    database: Database, file: File, pending: Sequence[File], wanted: MigrationSpec, ctx: Context
) -> Plan:
    """Everything that can be known of a file before this database hears of it; `pending` come before it.

    Raises:
        Halt: the database cannot be read, no copy can be made, or the file does not go through on it.
    """
    began = time.perf_counter()
    async with database.session("dry-run") as session:
        production, known = await snapshot(session), await look(session)
        asked = (*await running(session), *listed(file.path.parent))
    about = {"where": database.where, "major": production.major, "production": production.fingerprint}
    await ctx.status(f"{file.label}: is tried on a copy")
    async with server(production.major) as scratch:
        copied = await copy(scratch, database)
        for each in pending:
            await trace(copied.database, each, lacks=copied.not_modelled)
        if pending:
            async with copied.database.session("dry-run") as session:
                known = (await look(session)).model_copy(update={"rows": known.rows})
        linted = await lint(file, major=production.major, known=known)
        plan = _begun(file, wanted, ctx, linted, **about, scratch=copied.told, not_modelled=copied.not_modelled)
        if not linted.refusals:
            plan = await _Tried(scratch, copied, file, plan, asked).whole()
    return plan.model_copy(update={"took_ms": round(1000 * (time.perf_counter() - began))})


async def met(database: Database, file: File, pending: Sequence[File]) -> tuple[Matrix, Seed | None]:
    """Who may what after a file, asked on a copy as the real roles; `pending` are applied there first, it among them.

    Raises:
        Halt: as `rehearse`.
    """
    folder = file.path.parent
    seed = people.find(folder, file.version)
    async with database.session("matrix") as session:
        major = (await snapshot(session)).major
    async with server(major) as scratch:
        copied = await copy(scratch, database)
        for each in pending:
            await trace(copied.database, each, lacks=copied.not_modelled)
        return await _asked(copied.superuser(), seed, folder, file), seed


async def _asked(database: Database, seed: Seed | None, folder: Path, file: File) -> Matrix:
    async with database.session("matrix") as session:
        return await matrix(session, seed, missing="" if seed else people.missing(folder, file.version))


def _begun(file: File, wanted: MigrationSpec, ctx: Context, linted: Linted, **more: Any) -> Plan:
    return Plan(
        version=file.version,
        name=file.name,
        phase=file.phase,
        sha256=file.sha256,
        owner=wanted.owner,
        written_at=ctx.now(),
        statements=len(file.statements),
        allowed=allowed(file),
        linted=linted,
        **more,
    )


@dataclass(frozen=True, slots=True)
class _Tried:
    """One file on one copy."""

    scratch: Scratch
    copied: Copied
    file: File
    plan: Plan
    asked: Sequence[Asked]

    async def whole(self) -> Plan:
        before, after = await self._snapshot(self.copied.database), await self._fresh()
        traced: list[Traced] = []

        async def up() -> None:
            traced.append(await trace(after, self.file, sizes=self.copied.sizes, lacks=self.copied.not_modelled))

        async with after.session("way back") as session:
            now, reverse = await proven(session, before, up, data=_rows(self.plan.linted))
        if not reverse.proven:  # then nobody knows what is left of it
            await self.scratch.drop(AFTER)
            await trace(await self._fresh(), self.file)
        difference = compare(before, now)
        phase, reasons = phase_of(before, now, difference)
        touched = {*difference.added, *difference.changed}
        found = {
            "traced": traced[0],
            "difference": difference,
            "after": {name: like for name, like in now.hashes().items() if name in touched},
            "found_phase": phase,
            "reasons": reasons,
        }
        return await self._met(await self._looked_at(self.plan.model_copy(update={**found, "reverse": reverse}), after))

    async def _fresh(self) -> Database:
        return await self.scratch.clone(AFTER, self.copied.name)

    async def _snapshot(self, database: Database) -> Snapshot:
        async with database.session("dry-run") as session:
            return await snapshot(session)

    async def _looked_at(self, plan: Plan, after: Database) -> Plan:
        """What is new, counted and looked at; and what the running release asks, before and after."""
        assert plan.difference is not None
        new = plan.difference.added
        async with after.session("dry-run") as session:
            found = {
                "counts": await counts(session, new),
                "leftovers": await leftovers(session, (*new, *plan.difference.changed)),
                "advice": await advise(session, new),
            }
        async with (
            self.copied.superuser().session("replay") as was,
            self.scratch.superuser(AFTER).session("replay") as now,
        ):
            found["replayed"] = await replay(was, now, self.asked)
        unasked = () if self.asked else ("No statement of a running release is known: nothing was replayed.",)
        return plan.model_copy(update={**found, "not_checked": (*plan.not_checked, *unasked)})

    async def _met(self, plan: Plan) -> Plan:
        """Who may what, asked as the real roles."""
        folder = self.file.path.parent
        seed = people.find(folder, self.file.version)
        found = await _asked(self.scratch.superuser(AFTER), seed, folder, self.file)
        recorded = seed.recorded if seed else None
        why = found.missing or ("" if recorded is not None else "The matrix was never recorded.")
        return plan.model_copy(
            update={
                "matrix": found,
                "matrix_differences": differences(recorded, found) if recorded is not None else (),
                "not_checked": (*plan.not_checked, *([why] if why else [])),
            }
        )


def _rows(linted: Linted) -> tuple[str, ...]:
    """A sentence for every statement that changes rows: no schema tells what they were."""
    return tuple(
        f"{kind.what} at line {kind.line} changes rows of {', '.join(kind.objects) or 'a table'}."
        for kind in linted.kinds
        if kind.cls == "data"
    )
