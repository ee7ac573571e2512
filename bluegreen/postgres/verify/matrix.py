"""Who may do what, as the real roles, with real rows: asked on a scratch copy, written down, compared next time.

Everything happens in one transaction that is rolled back, the seed included. The text is canonical: a line for each
table, verb and person, so a pull request shows what a change of a policy comes to. An error that is no refusal (42P17:
a policy that asks itself) is a fault, whether or not anything was recorded.

Deliberately not here: what a function answers when it is called (only who may call it), and INSERT … ON CONFLICT.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from bluegreen.handler import Refused
from bluegreen.postgres import statements
from bluegreen.postgres.catalog.spec import Difference
from bluegreen.postgres.session import Session, SqlError
from bluegreen.postgres.verify import asking, recording
from bluegreen.postgres.verify.people import Person, Seed
from bluegreen.postgres.verify.probing import SAME, Cell, Probing, Told
from bluegreen.postgres.verify.rules import Line, rules
from bluegreen.postgres.verify.world import World, look
from bluegreen.spec import State

EXPOSED = ("public",)
API_ROLES = ("anon", "authenticated", "service_role")
VERBS = ("select", "insert", "insert returning", "update", "delete")
ROLES = "select rolname, rolbypassrls or rolsuper from pg_roles where rolname = any (%s)"
SUPERUSER = "select rolsuper from pg_roles where rolname = current_user"
PLAIN = "set local lc_messages = 'C'; set local jit = off"


class Matrix(State):
    """What everybody may do. Without people it holds only what the catalog says, and `missing` says why."""

    version: str = ""
    people: tuple[Person, ...] = ()
    lines: tuple[Line, ...] = ()
    probes: int = 0
    took_ms: int = 0
    faults: tuple[str, ...] = ()
    missing: str = ""
    bounded: tuple[str, ...] = ()  # tables of which not every row was asked about
    only: tuple[str, ...] = ()  # where not everything was asked about: these tables

    def told(self) -> str:
        """One sentence, without what differs."""
        if self.missing:
            return f"Nobody was asked ({self.missing})."
        tables = len({line.what for line in self.lines if line.verb == "rows"})
        faults = f" {len(self.faults)} of them failed." if self.faults else ""
        of = "1 table" if tables == 1 else f"{tables} tables"
        asked = f"{len(self.people)} people were asked {self.probes} questions about {of}"
        return f"{asked} in {self.took_ms / 1000:.1f} s.{faults}"

    @property
    def text(self) -> str:
        """As it is recorded."""
        return recording.rendered(self.lines)


async def matrix(
    session: Session,
    seed: Seed | None,
    *,
    exposed: Collection[str] = EXPOSED,
    only: Collection[str] = (),
    missing: str = "",
) -> Matrix:
    """Ask everything, in a database that has the migration; the session is a superuser's, and nothing stays.

    `only` are the tables to ask about (`public.teams`), where it is not all of the exposed schemas.

    Raises:
        Refused: the seed does not fit the schema.
    """
    began = time.monotonic()
    if seed is not None and not (await session.rows(SUPERUSER))[0][0]:
        seed, missing = None, "no matrix: rows are put back past triggers and keys, which takes a superuser"
    if seed is None:
        found = await rules(session, await _there(session, API_ROLES), exposed)
        return Matrix(lines=tuple(found), missing=missing, took_ms=_since(began))
    await session.run("begin")
    try:
        await _sow(session, seed)
        return await _asked(session, seed, exposed, only, began)
    finally:
        await session.run("rollback")


async def _sow(session: Session, seed: Seed) -> None:
    try:
        await session.run(f"{PLAIN}; {seed.sql}\n; reset role; set constraints all immediate")
    except SqlError as error:
        number, written = error.done - PLAIN.count("set "), statements.split(seed.sql)
        where = f" at line {written[number].line}" if number < len(written) else ""
        raise Refused(
            f"{seed.path} does not fit the schema{where}: {error.message} ({error.code}).",
            world="Nobody was asked what they may.",
            next=f"Correct it, or write one of the migration's own beside it; it was written for {seed.version}.",
        ) from error


async def _asked(session: Session, seed: Seed, exposed: Collection[str], only: Collection[str], began: float) -> Matrix:
    roles = dict(await session.rows(ROLES, [person.role for person in seed.people]))
    people = [person for person in seed.people if person.role in roles]
    nobody = [f"{person.name}: there is no role {person.role}" for person in seed.people if person.role not in roles]
    said = await rules(session, list(dict.fromkeys(person.role for person in people)), exposed)
    world = await look(session, people, exposed, only)
    await asking.prepare(session, world.asked)
    bypassing = [role for role, bypasses in roles.items() if bypasses]
    told = await Probing(session, world, bypassing).all()
    return Matrix(
        version=seed.version,
        people=tuple(people),
        lines=tuple(_in_order(said, world, told)),
        probes=told.probes,
        took_ms=_since(began),
        faults=(*nobody, *told.faults.values()),
        bounded=world.cut,
        only=tuple(only),
    )


def compare(recorded: str, found: Matrix, difference: Difference | None = None) -> tuple[str, ...]:
    """What is otherwise than it was recorded, a sentence each; nothing when everything is the same.

    `difference` is the schema's, where a migration is to answer for it: what it makes or drops was nobody's before.
    """
    return recording.compare(recorded, found.lines, found.only, difference)


def against(seed: Seed, found: Matrix, difference: Difference) -> tuple[str, ...]:
    """How a migration's answers differ from those that were recorded before it, and how they are taken as meant."""
    told = compare(seed.recorded, found, difference) if seed.recorded is not None else ()
    meant = f"If that is meant, run bluegreen migrate matrix {seed.wanted} --record."
    return (f"{told[0]} {meant}", *told[1:]) if told else ()


async def _there(session: Session, roles: Sequence[str]) -> list[str]:
    known = dict(await session.rows(ROLES, list(roles)))
    return [role for role in roles if role in known]


def _in_order(said: Sequence[Line], world: World, told: Told) -> Iterator[Line]:
    """Table by table: what the catalog says, which rows there are, and the answers of everybody."""
    for table in world.asked:
        yield from (line for line in said if line.what == table.name)
        rows = world.labels(table)
        if table.holds_rows:
            yield Line(what=table.name, verb="rows", who="-", answer=", ".join(rows) or "none")
        columns = [f"{verb} {column}" for verb in ("insert", "update") for column in table.columns]
        for verb in sorted([*VERBS, *columns], key=_place):
            for person in world.people:
                cell = (table.name, verb, person.name)
                if (answer := _answer(cell, told, rows)) is not None:
                    yield Line(what=table.name, verb=verb, who=person.name, answer=answer)
    yield from (line for line in said if line.verb == "call")


def _place(verb: str) -> int:
    return ("select", "insert", "update", "delete").index(verb.split()[0])


def _answer(cell: Cell, told: Told, rows: Sequence[str]) -> str | None:
    """One answer as it is written; None for what is not worth a line of its own."""
    outcomes, spelled = told.cells.get(cell), cell[1] in VERBS
    if outcomes is None:
        return None
    listed = {code: items for code, items in outcomes.items() if items}
    if not listed:
        return next((code for code in outcomes if code), "none") if spelled else None
    refused = [code for code in listed if code]
    groups = []
    for code in sorted(listed):
        whole = not spelled and code and len(refused) == 1
        # Where all refusals are alike, what did not go well need not be counted up.
        items = recording.OTHERS if whole else _items(listed[code], rows, told.asked.get(cell, {}))
        groups.append(f"{code}: {items}" if code else items)
    return "; ".join(groups)


def _items(items: Sequence[str], rows: Sequence[str], asked: Mapping[str, int]) -> str:
    """Rows, each with what it became: `a=x|y, b=x`; `all` when every row has the same, `any` for every value."""
    by_row: dict[str, list[str]] = {}
    for item in sorted(items):
        row, _, value = item.partition("=")
        by_row.setdefault(row, []).extend([value] if value else [])
    told = {row: _values(values, asked.get(row, 0)) for row, values in by_row.items()}
    if len(rows) > 1 and set(told) == set(rows) and len(set(told.values())) == 1:
        return recording.ALL + told[rows[0]]
    return ", ".join(row + values for row, values in told.items())


def _values(values: Sequence[str], asked: int) -> str:
    if not values:
        return ""
    if len(values) == asked and len(values) > 1:
        return f"={recording.ANY}"
    return f"={'|'.join(sorted(set(values), key=lambda value: (value != SAME, value)))}"


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
