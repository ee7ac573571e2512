"""The questions of a matrix, without a word about the app: everything is taken from the rows that there are.

    select   which rows are seen
    update   which rows are reached; then each of them, column by column, with what other rows have in that column
    delete   which rows are reached, and which of them go
    insert   each row taken out and put back, as it was and with one value exchanged; and asked for in return

A key or an owner is exchanged for every seeded one (`EXCHANGED` at most), a column with few values for each of these,
any other column for one other value. Who bypasses row level security is asked without exchanges when inserting.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify.asking import LOOK, Answer, Probe, Round
from bluegreen.postgres.verify.people import Person
from bluegreen.postgres.verify.world import PLACE, Row, Table, World, quoted

EXCHANGED, FEW = 8, 4
SAME = "same"
FOREIGN, VIEW = "f", "v"
Cell = tuple[str, str, str]  # table, verb, person
Question = tuple[Probe, Cell, str]  # and the row, with what it became
Before = tuple[str, ...]


@dataclass
class Told:
    """Answers as they come: for each table, verb and person what came of which rows."""

    cells: dict[Cell, dict[str, list[str]]] = field(default_factory=dict)
    faults: dict[Cell, str] = field(default_factory=dict)
    asked: dict[Cell, dict[str, int]] = field(default_factory=dict)  # how many values each row was given
    probes: int = 0

    def open(self, cell: Cell) -> dict[str, list[str]]:
        return self.cells.setdefault(cell, {})

    def add(self, cell: Cell, answer: Answer, *items: str) -> None:
        self.open(cell).setdefault("" if answer.well else answer.outcome, []).extend(items)
        if answer.faulty:
            table, verb, who = cell
            self.faults.setdefault(cell, f"{who}: {verb.upper()} on {table} fails with {answer.code}: {answer.said}")


class Probing:
    """One round of questions after another, over one world."""

    def __init__(self, session: Session, world: World, bypassing: Collection[str]) -> None:
        self._session, self._world, self._bypassing = session, world, bypassing
        self._told = Told()
        self._literals: dict[str | None, str] = {}

    async def all(self) -> Told:
        reached = await self._first()
        await self._second(reached)
        return self._told

    async def _first(self) -> Mapping[Cell, tuple[str, ...]]:
        """What is seen, and what an update or a delete reaches."""
        asked, questions = list[tuple[Table, Cell]](), Round()
        for table in self._world.asked:
            for person in self._world.people:
                for verb, probe in self._looks(table, person):
                    asked.append((table, (table.name, verb, person.name)))
                    questions.add(probe)
        reached: dict[Cell, tuple[str, ...]] = {}
        for (table, cell), answer in zip(asked, await self._ask(questions), strict=True):
            places = tuple(answer.said.split()) if answer.well else ()
            if cell[1] == "delete" and answer.well and table.holds_rows:
                self._told.open(cell)  # what comes of each row is asked in the second round
            else:
                self._told.add(cell, answer, *self._named(table, cell, answer))
            reached[cell] = places
        return reached

    def _looks(self, table: Table, person: Person) -> Iterator[tuple[str, Probe]]:
        right, sql = self._world.right(person, table), table.sql
        if not table.holds_rows:
            if table.kind != FOREIGN:  # its rows are another server's
                yield "select", Probe(person, f"select count(*)::text from {sql}", tells=True)
            if table.kind != VIEW or not table.writable:
                return
        else:
            shown = PLACE
            if right.select and not right.whole:
                shown = f"({_numbered(table, right.select)})"
            yield "select", Probe(person, f"select string_agg({shown}, ' ') from {sql}", tells=True)
        columns = [column for column in right.update if column in table.writable] or sorted(table.writable)
        if columns:
            yield "update", Probe(person, f"update {sql} set {self._set(table, columns[0])}", LOOK)
        yield "delete", Probe(person, f"delete from {sql}", LOOK)

    def _named(self, table: Table, cell: Cell, answer: Answer) -> list[str]:
        if not answer.well:
            return []
        if not table.holds_rows and cell[1] == "select":
            return [f"{answer.said} rows"]
        if answer.said.startswith("{"):  # without the right to ask where a row lies: by the columns that are shown
            person = next(person for person in self._world.people if person.name == cell[2])
            columns, seen = self._world.right(person, table).select, answer.said.split()
            rows = self._world.rows[table.oid]
            return [self._world.label(table, row) for row in rows if _digest(table, row, columns) in seen]
        return [self._world.at(place) for place in answer.said.split()]

    def _set(self, table: Table, column: str) -> str:
        rows = self._world.rows[table.oid]
        value = rows[0].values[table.columns.index(column)] if rows else None
        return f"{quoted(column)} = {self._literal(value)}"

    async def _second(self, reached: Mapping[Cell, tuple[str, ...]]) -> None:
        """Row by row: what is changed, what goes, what comes back."""
        questions, asked = Round(), list[tuple[Cell, str]]()
        for table in self._world.asked:
            if not table.holds_rows:
                continue
            for before, (probe, cell, item) in (*self._there(table, reached), *self._coming(table)):
                questions.add(probe, before)
                asked.append((cell, item))
        for (cell, item), answer in zip(asked, await self._ask(questions), strict=True):
            self._put_down(cell, item, answer)

    def _there(self, table: Table, reached: Mapping[Cell, tuple[str, ...]]) -> Iterator[tuple[Before, Question]]:
        """What becomes of every row that somebody reaches."""
        for person in self._world.people:
            for row in self._world.rows[table.oid]:
                for verb in ("delete", "update"):
                    if row.at in reached.get((table.name, verb, person.name), ()):
                        yield from (((), question) for question in self._changes(table, person, row, verb))

    def _coming(self, table: Table) -> Iterator[tuple[Before, Question]]:
        """What comes in, each row while it is out."""
        for row in self._world.rows[table.oid]:
            before = tuple(self._world.taken_out_with(table, row))
            for person in self._world.people:
                yield from ((before, question) for question in self._inserts(table, person, row))
        if not self._world.rows[table.oid]:
            for person in self._world.people:
                probe = Probe(person, f"insert into {table.sql} default values")
                yield (), (probe, (table.name, "insert", person.name), "a_row_of_defaults")

    def _put_down(self, cell: Cell, item: str, answer: Answer) -> None:
        verb, row = cell[1], item.partition("=")[0]
        counted = self._told.asked.setdefault(cell, {})
        counted[row] = counted.get(row, 0) + 1
        refused = not answer.well and answer.outcome in ("policy", "denied")
        if verb.startswith("insert") and refused:
            # What a policy keeps out is not listed row by row: whatever is not named was kept out.
            cells = self._told.open(cell)
            if answer.outcome == "denied" or not cells:
                cells.setdefault(answer.outcome, [])
            return
        if answer.well and answer.said == "0":
            return  # a trigger of the app's own left the row as it was
        self._told.add(cell, answer, item)

    def _changes(self, table: Table, person: Person, row: Row, verb: str) -> Iterator[Question]:
        label = self._world.label(table, row)
        if verb == "delete":
            cell = (table.name, "delete", person.name)
            yield Probe(person, f"delete from {table.sql}", row.at), cell, label
            return
        for column in self._world.right(person, table).update:
            if column not in table.writable:
                continue
            cell = (table.name, f"update {column}", person.name)
            own = row.values[table.columns.index(column)]
            for value in (own, *self._others(table, column, row)):
                sql = f"update {table.sql} set {quoted(column)} = {self._literal(value)}"
                yield Probe(person, sql, row.at), cell, f"{label}={self._called(table, column, row, value)}"

    def _inserts(self, table: Table, person: Person, row: Row) -> Iterator[Question]:
        label, right = self._world.label(table, row), self._world.right(person, table)
        columns = [column for column in right.insert if column in table.writable]
        cell = (table.name, "insert", person.name)
        if not columns:
            if row is self._world.rows[table.oid][0]:
                yield Probe(person, f"insert into {table.sql} default values"), cell, label
            return
        values = {column: row.values[table.columns.index(column)] for column in columns}
        plain = self._insert(table, values)
        yield Probe(person, plain), cell, label
        shown = next((column for column in (*table.key, *right.select) if column in right.select), table.columns[0])
        again = f"{plain} returning {quoted(shown)}"
        yield Probe(person, again), (table.name, "insert returning", person.name), label
        if person.role in self._bypassing:
            return
        for column in columns:
            for value in self._others(table, column, row) if self._has_meaning(table, column) else ():
                probe = Probe(person, self._insert(table, {**values, column: value}))
                named = f"{label}={self._called(table, column, row, value)}"
                yield probe, (table.name, f"insert {column}", person.name), named

    def _insert(self, table: Table, values: Mapping[str, str | None]) -> str:
        columns = ", ".join(quoted(column) for column in values)
        return f"insert into {table.sql} ({columns}) values ({', '.join(map(self._literal, values.values()))})"

    def _others(self, table: Table, column: str, row: Row) -> tuple[str | None, ...]:
        """What the value of a row is exchanged for."""
        own, there = row.values[table.columns.index(column)], self._values(table, column)
        reference, owns = table.references.get(column), self._owns(table, column)
        if reference is None and not owns:
            if column in table.key:
                return ()  # another identifier is another row, not another meaning
            return tuple(value for value in there if value != own)[: FEW if len(there) <= FEW else 1]
        known = self._world.known(reference) if reference else ()
        subs = self._world.subs if owns else ()
        return tuple(value for value in dict.fromkeys([*there, *subs, *known]) if value != own)[:EXCHANGED]

    def _has_meaning(self, table: Table, column: str) -> bool:
        """Whether a policy may hang on it: a key, an owner, or one of a few words."""
        few = len(self._values(table, column)) <= FEW and column not in table.key
        return column in table.references or self._owns(table, column) or few

    def _values(self, table: Table, column: str) -> list[str | None]:
        at = table.columns.index(column)
        return list(dict.fromkeys(row.values[at] for row in self._world.rows[table.oid]))

    def _owns(self, table: Table, column: str) -> bool:
        """Whether a column says whose a row is: one of the people stands in it."""
        return any(value in self._world.subs for value in self._values(table, column))

    def _called(self, table: Table, column: str, row: Row, value: str | None) -> str:
        if value == row.values[table.columns.index(column)]:
            return SAME
        return self._world.value(table, column, value) or "other"

    async def _ask(self, questions: Round) -> Sequence[Answer]:
        self._told.probes += len(questions.probes)
        return await questions.ask(self._session)

    def _literal(self, value: str | None) -> str:
        if value not in self._literals:
            self._literals[value] = "null" if value is None else self._session.literal(value)
        return self._literals[value]


def _numbered(table: Table, columns: Sequence[str]) -> str:
    texts = ", ".join(f"coalesce({quoted(column)}::text, '')" for column in columns)
    return f"'{{' || pg_catalog.md5(pg_catalog.concat_ws(chr(31), {texts})) || '}}'"


def _digest(table: Table, row: Row, columns: Sequence[str]) -> str:
    """What `_numbered` answers for this row."""
    values = (row.values[table.columns.index(column)] or "" for column in columns)
    return "{" + hashlib.md5("\x1f".join(values).encode(), usedforsecurity=False).hexdigest() + "}"
