"""The way back from what a migration made of a schema, found by going it on a copy that can be thrown away.

What differs from before is turned back step by step, each in a savepoint; what is refused is tried again after the
others, until nothing more goes. Then the schema is read again: what was made anew still lacks its owner, its
privileges, its comments, and that is the next round. The order that worked is the order of the script. Where things
hold each other (a function that returns rows of a table whose policy calls it), what a cascade would take along is
looked up and taken away by name. Nothing stays: whatever was tried is rolled back.

Deliberately not here: rows that a file changes (say so with `data`), and turning the file's own text around: what IF
NOT EXISTS did, or a DO block, only the catalog knows.
"""

from collections.abc import Iterable, Sequence

from bluegreen.postgres.catalog.compare import compare, kind_of
from bluegreen.postgres.catalog.drops import drop
from bluegreen.postgres.catalog.identity import made_anew
from bluegreen.postgres.catalog.script import BEGIN, guards, script
from bluegreen.postgres.catalog.snapshot import read
from bluegreen.postgres.catalog.spec import Reverse, Snapshot, Way
from bluegreen.postgres.catalog.steps import RELATIONS, Step, removal, renames, steps
from bluegreen.postgres.catalog.verdicts import ways, worst
from bluegreen.postgres.session import Session, SqlError

ROUNDS = 8
ABSENT = {"42P01", "42703", "42704", "42883", "3F000"}  # what was to go has gone with something else
HELD, IN_USE = "2BP01", "0A000"  # others depend on it; the type of a column that others use
DEFERRED = ("comment", "published table", "published schema")  # mostly gone with what they are about
HOLDS_ROWS = {"table", "foreign table", "column"}
LENT = {"policy", "trigger", "rule", "view", "materialized view"}  # may be taken away and made again in passing
AGAIN = {HELD: {*LENT, "constraint", "index", "function", "procedure"}, IN_USE: LENT}


async def reverse(session: Session, before: Snapshot, after: Snapshot, *, data: Sequence[str] = ()) -> Reverse:
    """The way back to `before`, on a database that is as `after`; it is as `after` again when this returns.

    `data` are sentences about rows that the file changed: no catalog knows what they were.

    Raises:
        Lost, SqlError: the schema could not be read.
    """
    for text in BEGIN:
        await session.rows(text)
    try:
        found = _Search(session, before)
        left = await found.to_its_end()
    finally:
        await session.rows("rollback")
    difference = compare(before, after)
    lost = made_anew(before, after, found.end)
    told = [_judged(way, found.refused, left) for way in ways(before, after, difference)]
    known = {way.object for way in told}
    told += [
        Way(object=name, verdict="forward only", why=found.refused.get(name, "No statement is known that does it."))
        for name in left
        if name not in known and not _of_what_is_told(name, after, known)
    ]
    told = [way for way in told if way.object not in lost]
    told += [
        Way(object=name, verdict="reversible with loss", why="It is made anew, and what is in it lost.")
        for name in lost
    ]
    told += [Way(object="rows", verdict="forward only", why=sentence) for sentence in data]
    made = Reverse(
        verdict=worst(told),
        objects=tuple(told),
        guards=tuple(guards(before, after, difference, lost)),
        statements=tuple(found.done),
    )
    return made.model_copy(update={"script": script(made)})


class _Search:
    """One search, in a transaction that is open; `done` is what worked, `refused` why an object would not turn."""

    def __init__(self, session: Session, before: Snapshot) -> None:
        self._session, self._before = session, before
        self.done: list[str] = []
        self.refused: dict[str, str] = {}
        self.end = Snapshot()

    async def to_its_end(self) -> tuple[str, ...]:
        """What still differs when nothing more can be done, by name."""
        here = await read(self._session)
        while pool := list(renames(here, self._before)):
            count = len(self.done)
            await self._exhaust(pool, here)
            here = await read(self._session)
            if len(self.done) == count:
                break
        for number in range(ROUNDS):
            pool = [step for step in steps(here, self._before) if number or kind_of(step.object) not in DEFERRED]
            if not pool and number:
                break
            count = len(self.done)
            await self._exhaust(pool, here)
            here = await read(self._session)
            if number and len(self.done) == count:
                break
        self.end = here
        left = compare(self._before, here)
        return (*left.added, *left.changed, *left.gone)

    async def _exhaust(self, pool: list[Step], here: Snapshot) -> None:
        """Take every step that can be taken, again and again."""
        known = {step.object for step in pool}
        while pool:
            held: list[tuple[Step, str]] = []
            for step in pool:
                code = await self._take(step)
                if code is not None:
                    held.append((step, code))
            if len(held) == len(pool):
                more = await self._holding([(step, code) for step, code in held if code in AGAIN], here, known)
                if not more:
                    return
                known |= {step.object for step in more}
                held = [*((step, "") for step in more), *held]
            pool = [step for step, _ in held]

    async def _take(self, step: Step) -> str | None:
        """The error's code where no way of a step goes through."""
        code = None
        for way in step.ways:
            error = await self._attempt(way)
            if error is None:
                self.refused.pop(step.object, None)
                self.done.extend(way)
                return None
            if step.removes and error.code in ABSENT:
                return None
            code = error.code
            self.refused[step.object] = f"{error.message} ({error.code})."
        return code

    async def _attempt(self, statements: Iterable[str]) -> SqlError | None:
        await self._session.rows("savepoint attempt")
        try:
            for statement in statements:
                await self._session.rows(statement)
        except SqlError as error:
            await self._session.rows("rollback to savepoint attempt")
            return error
        await self._session.rows("release savepoint attempt")
        return None

    async def _holding(self, stuck: Sequence[tuple[Step, str]], here: Snapshot, known: set[str]) -> list[Step]:
        """What holds a step back and can be made again or is to go anyway: a step for each such thing."""
        for step, code in stuck:
            dropped = drop(step.object, here.like(step.object)) if step.object in here.objects else ()
            if not dropped:
                continue
            await self._session.rows("savepoint cascade")
            try:
                now = await read(self._session)
                await self._session.rows(f"{dropped[0]} cascade")
                then = await read(self._session)
            except SqlError:
                continue
            finally:
                await self._session.rows("rollback to savepoint cascade")
            lost = [name for name in compare(now, then).gone if name not in known and name in here.objects]
            if any(kind_of(name) in HOLDS_ROWS and name in self._before.objects for name in lost):
                continue
            more = [
                each
                for name in lost
                if kind_of(name) in AGAIN[code] and not self._goes_anyway(name, here)
                for each in removal(name, here)
            ]
            if more:
                return more
        return []

    def _goes_anyway(self, name: str, here: Snapshot) -> bool:
        """Whether it is a new table's own: only a foreign key of such a table may hold another."""
        like = here.like(name)
        return f"table {like.get('on')}" not in self._before.objects and like.get("type") in ("p", "u", "x", "c")


def _judged(way: Way, refused: dict[str, str], left: Sequence[str]) -> Way:
    if way.object not in left or way.verdict == "forward only":
        return way
    why = refused.get(way.object, "No statement is known that does it.")
    return way.model_copy(update={"verdict": "forward only", "why": why})


def _of_what_is_told(name: str, after: Snapshot, known: set[str]) -> bool:
    on = after.like(name).get("on") if name in after.objects else None
    return any(f"{kind} {on}" in known for kind in RELATIONS)
