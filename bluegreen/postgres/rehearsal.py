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
from bluegreen.postgres.lint import Known, Linted, allowed, lint, look
from bluegreen.postgres.lint.known import STORAGE
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
from bluegreen.postgres.verify.exposed import exposed
from bluegreen.postgres.verify.leftovers import Fault, leftovers
from bluegreen.postgres.verify.matrix import Matrix, against, matrix
from bluegreen.postgres.verify.people import Seed
from bluegreen.postgres.verify.promised import beside
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
    seen = await _seen(database, file)
    await ctx.status(f"{file.label}: is tried on a copy")
    async with server(seen.production.major) as scratch:
        copied = await copy(scratch, database)
        plan = await _tried(_Ground(database, scratch, copied, seen), file, pending, wanted, ctx)
    return plan.model_copy(update={"took_ms": round(1000 * (time.perf_counter() - began))})


async def rehearse_from(
    baseline: Path, file: File, pending: Sequence[File], wanted: MigrationSpec, ctx: Context
) -> Plan:
    """The same on a schema that a file of SQL makes, where no database can be asked; no update goes by such a plan.

    Raises:
        Halt: as `rehearse`.
    """
    began = time.perf_counter()
    async with server(NEWEST) as scratch:
        copied = await copy(scratch, baseline)
        ground = _Ground(copied.database, scratch, copied, await _seen(copied.database, file))
        plan = await _tried(ground, file, pending, wanted, ctx)
    why = f"No database was asked: the schema is that of {baseline.name}, on Postgres {NEWEST}."
    took = round(1000 * (time.perf_counter() - began))
    own = {"production": "", "where": "", "not_checked": (*plan.not_checked, why), "took_ms": took}
    return plan.model_copy(update=own)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a database is like, and what is asked of it."""

    production: Snapshot
    known: Known
    asked: Sequence[Asked]
    served: Sequence[str]  # the schemas of the API


@dataclass(frozen=True, slots=True)
class _Ground:
    """A database and a copy of it."""

    database: Database
    scratch: Scratch
    copied: Copied
    seen: _Seen


async def _seen(database: Database, file: File) -> _Seen:
    async with database.session("dry-run") as session:
        asked = (*await running(session), *listed(file.path.parent))
        return _Seen(await snapshot(session), await look(session), asked, await exposed(session))


async def _tried(ground: _Ground, file: File, pending: Sequence[File], wanted: MigrationSpec, ctx: Context) -> Plan:
    copied, seen, known = ground.copied, ground.seen, ground.seen.known
    for each in pending:
        await trace(copied.database, each, lacks=copied.not_modelled)
    if pending:
        async with copied.database.session("dry-run") as session:
            known = (await look(session)).model_copy(update={"rows": known.rows, "exposed": known.exposed})
    linted = await lint(file, major=seen.production.major, known=known)
    plan = _begun(
        file,
        wanted,
        ctx,
        linted,
        where=ground.database.where,
        major=seen.production.major,
        production=seen.production.fingerprint,
        beside=beside(file.path.parent),
        scratch=copied.told,
        not_modelled=copied.not_modelled,
    )
    return plan if linted.refusals else await _Tried(ground, file, plan, known).whole()


async def met(database: Database, file: File, pending: Sequence[File]) -> tuple[Matrix, Seed | None]:
    """Who may what after a file, asked on a copy as the real roles; `pending` are applied there first, it among them.

    Raises:
        Halt: as `rehearse`.
    """
    seed = people.find(file.path.parent, file.version)
    async with database.session("matrix") as session:
        major, served = (await snapshot(session)).major, await exposed(session)
    async with server(major) as scratch:
        copied = await copy(scratch, database)
        for each in pending:
            await trace(copied.database, each, lacks=copied.not_modelled)
        return await _asked(copied.superuser(), seed, file, served), seed


async def _asked(database: Database, seed: Seed | None, file: File, served: Sequence[str]) -> Matrix:
    missing = "" if seed else people.missing(file.path.parent, file.version)
    async with database.session("matrix") as session:
        return await matrix(session, seed, exposed=served, missing=missing)


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
    """One file on one copy of a database."""

    ground: _Ground
    file: File
    plan: Plan
    known: Known

    async def whole(self) -> Plan:
        before, after = await self._snapshot(self.ground.copied.database), await self._fresh()
        traced: list[Traced] = []

        async def up() -> None:
            traced.append(
                await trace(after, self.file, sizes=self.ground.copied.sizes, lacks=self.ground.copied.not_modelled)
            )

        async with after.session("way back") as session:
            now, reverse = await proven(session, before, up, data=_rows(self.plan.linted, self.known))
        if not reverse.proven or reverse.lasting:  # then nobody knows what is left of it
            await self.ground.scratch.drop(AFTER)
            await trace(await self._fresh(), self.file)
        difference = compare(before, now)
        phase, reasons = phase_of(before, now, difference)
        touched = {*difference.added, *difference.changed}
        found = {
            "tried_on": now.major,
            "traced": traced[0],
            "difference": difference,
            "after": {name: like for name, like in now.hashes().items() if name in touched},
            "found_phase": phase,
            "reasons": reasons,
        }
        return await self._met(await self._looked_at(self.plan.model_copy(update={**found, "reverse": reverse}), after))

    async def _fresh(self) -> Database:
        return await self.ground.scratch.clone(AFTER, self.ground.copied.name)

    async def _snapshot(self, database: Database) -> Snapshot:
        async with database.session("dry-run") as session:
            return await snapshot(session)

    async def _looked_at(self, plan: Plan, after: Database) -> Plan:
        """What is new, counted and looked at; and what the running release asks, before and after."""
        assert plan.difference is not None
        new, touched = plan.difference.added, (*plan.difference.added, *plan.difference.changed)
        # A dump leaves invalid indexes out, so the database itself is asked as well.
        before = [
            fault
            for each in (self.ground.database, self.ground.copied.database)
            for fault in await self._left(each, touched)
        ]
        left = await self._left(after, touched, new)
        async with after.session("dry-run") as session:
            found = {
                "counts": await counts(session, new),
                "left_before": tuple(dict.fromkeys(before)),
                "leftovers": tuple(fault for fault in left if fault not in before),
                "advice": await advise(session, new, (*self.ground.seen.served, STORAGE)),
            }
        async with (
            self.ground.copied.superuser().session("replay") as was,
            self.ground.scratch.superuser(AFTER).session("replay") as now,
        ):
            found["replayed"] = await replay(was, now, self.ground.seen.asked)
        unasked = (
            () if self.ground.seen.asked else ("No statement of a running release is known: nothing was replayed.",)
        )
        return plan.model_copy(update={**found, "not_checked": (*plan.not_checked, *unasked)})

    async def _left(self, database: Database, touched: Sequence[str], new: Sequence[str] = ()) -> Sequence[Fault]:
        async with database.session("dry-run") as session:
            return await leftovers(session, touched, new)

    async def _met(self, plan: Plan) -> Plan:
        """Who may what, asked as the real roles."""
        seed = people.find(self.file.path.parent, self.file.version)
        found = await _asked(self.ground.scratch.superuser(AFTER), seed, self.file, self.ground.seen.served)
        recorded = seed is not None and seed.recorded is not None
        why = found.missing or ("" if recorded else "The matrix was never recorded.")
        assert plan.difference is not None
        return plan.model_copy(
            update={
                "matrix": found,
                "matrix_differences": against(seed, found, plan.difference) if seed else (),
                "not_checked": (*plan.not_checked, *([why] if why else [])),
            }
        )


def _rows(linted: Linted, known: Known) -> tuple[str, ...]:
    """A sentence for every statement that changes rows of what was there: no schema tells what they were."""
    return tuple(
        f"{kind.what} at line {kind.line} changes rows of {', '.join(old) or 'a table'}."
        for kind in linted.kinds
        if kind.rows and ((old := [name for name in kind.writes if name in known.relations]) or not kind.writes)
    )
