"""Drift: what somebody changed by hand since the last migration, object by object.

After each migration the ledger remembers what the schema is like, one short hash for each object; before the next they
are compared, in its turn. What was recorded is only as good as the moment: a run that was killed between its commit and
this record leaves it unknown what came since, and that is said and not guessed. It is remembered in a transaction of
its own, so that no lock is held meanwhile.

Deliberately not here: what a schema is like (`catalog/`), and mending it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bluegreen.handler import Context, Refused
from bluegreen.postgres import ledger
from bluegreen.postgres.errand import AGAIN, Errand
from bluegreen.postgres.ledger import Book
from bluegreen.postgres.session import NOTHING, Database, Session, SqlError
from bluegreen.postgres.turn import turn

FORM = 1  # raised when the same schema gets other hashes than from an older program
KEPT, NAMED = 20, 8  # records; objects that are named in a sentence
PATIENCE, POLL_SECONDS = "500ms", 0.25  # for somebody who is changing the schema right now
ACCEPT_BUDGET = timedelta(seconds=15)
LAST = "select version, form, major, hashes, reason is not null from bluegreen.catalog order by id desc limit 1"


@dataclass(frozen=True, slots=True)
class Drift:
    """How the schema differs from what was recorded; `unknown` says why that cannot be told."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    unknown: str = ""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.gone)

    def __str__(self) -> str:
        parts = (("new", self.added), ("different", self.changed), ("gone", self.gone))
        return "; ".join(f"{what}: {_some(names)}" for what, names in parts if names)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a schema is like now."""

    major: int
    hashes: Mapping[str, str]


async def look(session: Session, book: Book) -> Drift:
    """What changed since the last record; whoever asks holds the turn, or takes an answer that may be old.

    Raises:
        SqlError: the catalog cannot be read, perhaps just now.
    """
    newest = book.newest
    if newest is None:
        return Drift()
    rows = await session.rows(LAST) if await _kept(session) else []
    if not rows:
        return Drift(unknown=f"it was not recorded after {newest.label}")
    version, form, major, before, _ = rows[0]
    if version != newest.version:
        return Drift(unknown=f"the run that applied {newest.label} ended before it was recorded")
    now = await _picture(session)
    if (form, major) != (FORM, now.major):
        return Drift(unknown="it was recorded by another version of this program or of Postgres")
    return _compared(before, now.hashes)


async def accepted(session: Session, book: Book) -> bool:
    """Whether somebody has taken the schema as it is since the newest migration was applied."""
    rows = await session.rows(LAST) if book.newest is not None and await _kept(session) else []
    return any(version == book.newest.version and reason for version, *_, reason in rows if book.newest is not None)


async def must_be_as_recorded(errand: Errand, session: Session, book: Book) -> None:
    """Compare before a file is applied.

    Raises:
        Refused: the schema was changed by hand, and the stack does not take that for granted.
    """
    while True:
        try:
            found = await look(session, book)
            break
        except SqlError as error:
            if error.code not in AGAIN:
                found = Drift(unknown=f"the catalog cannot be read ({error.message})")
                break
        errand.go_on()
        if errand.spent:
            raise errand.locked((), what="a look at the schema", waited="It only looked.")
        await errand.ctx.sleep(POLL_SECONDS)
    since = f"since {book.newest.label}" if book.newest else "since then"
    if found.unknown:
        said = f"whether the schema was changed by hand {since} is not known: {found.unknown}"
        await errand.ctx.milestone(f"{errand.label}: {said}")
    elif found and errand.wanted.drift == "warn":
        await errand.ctx.milestone(f"{errand.label}: the schema was changed by hand {since}: {found}")
    elif found:
        raise Refused(
            f"The schema was changed by hand {since}: {found}.",
            world=f"{NOTHING} {errand.label} waits.",
            next="Undo that by hand, or take it as it is (bluegreen migrate accept --reason …); then run this again.",
        )


async def record(session: Session, version: str | None, *, by: str | None = None, reason: str | None = None) -> None:
    """Remember what the schema is like, as it is after a version.

    Raises:
        SqlError: it cannot be read or kept; what was applied is applied all the same.
    """
    now = await _picture(session)
    await session.rows(
        "with kept as (insert into bluegreen.catalog (version, by, reason, form, major, hashes) "
        "values (%s, coalesce(%s, session_user), %s, %s, %s, %s::jsonb) returning id) "
        "delete from bluegreen.catalog where id <= (select id from kept) - %s",
        *(version, by, reason, FORM, now.major, json.dumps(dict(now.hashes)), KEPT),
    )


async def accept(database: Database, by: str, reason: str, ctx: Context) -> Drift:
    """Take the schema as it is from now on; answers what was different.

    Raises:
        Halt: somebody is migrating, or the database is not to be had.
    """
    async with turn(database, "bluegreen migrate accept", ACCEPT_BUDGET, ctx, "accept") as session:
        try:
            await ledger.prepare(session)
            book = await ledger.read(session)
            found = await look(session, book)
            await record(session, book.newest.version if book.newest else None, by=by, reason=reason)
        except SqlError as error:
            raise Refused(
                f"The schema cannot be recorded: {error.message} ({error.code}).",
                world=NOTHING,
                next="Run this again." if error.code in AGAIN else ledger.ways_out(error),
            ) from error
    return found


async def _picture(session: Session) -> Picture:
    from bluegreen.postgres.catalog import snapshot

    found = await snapshot(session, patience=PATIENCE)
    return Picture(found.major, found.hashes())


async def _kept(session: Session) -> bool:
    return bool((await session.rows("select pg_catalog.to_regclass('bluegreen.catalog') is not null"))[0][0])


def _compared(before: Mapping[str, str], now: Mapping[str, str]) -> Drift:
    return Drift(
        added=tuple(sorted(now.keys() - before.keys())),
        changed=tuple(sorted(name for name in now.keys() & before.keys() if now[name] != before[name])),
        gone=tuple(sorted(before.keys() - now.keys())),
    )


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
