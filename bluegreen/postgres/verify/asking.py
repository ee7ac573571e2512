"""Thousands of questions in a few round trips: a function on the server puts each one as the person, and takes it back.

A question is one statement within a subtransaction of its own, which always ends in an error: that of Postgres, or one
of ours that carries the answer. Which rows a policy lets through is heard by a trigger of this transaction, not asked
with a WHERE: a WHERE reads the row first, and then the policy for SELECT hides what another one lets through. The
trigger comes before every other one and stops all rows but the one that is meant.

Needs a superuser: rows are taken out past triggers and foreign keys. Everything is gone when the transaction ends.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from bluegreen.postgres.session import Session
from bluegreen.postgres.verify.people import Person
from bluegreen.postgres.verify.world import Table

LOOK = "look"  # instead of the place of a row: stop them all, and tell which came
EMPTY = "55000"  # a materialized view that nobody filled yet, as every one on a copy of a schema
TRIGGER = " bluegreen_one_row"  # a blank sorts before every name that somebody would give
CREATE = """
create function pg_temp.bluegreen_one_row() returns trigger language plpgsql as $$
declare
    place constant text := tg_relid::bigint::text || old.ctid::text;
    meant constant text := pg_catalog.current_setting('bluegreen.row', true);
begin
    -- What follows from a change (a cascade, somebody's trigger) goes on as it would.
    if pg_catalog.pg_trigger_depth() > 1 or coalesce(meant, '') in ('', place) then
        if tg_op = 'DELETE' then return old; end if;
        return new;
    end if;
    if meant = 'look' then
        perform pg_catalog.set_config(
            'bluegreen.came', pg_catalog.current_setting('bluegreen.came', true) || ' ' || place, true);
    end if;
    return null;
end
$$;
create function pg_temp.bluegreen_ask(plan jsonb)
    returns table (number bigint, code text, said text, place text) language plpgsql as $$
declare
    part jsonb; person jsonb; probe jsonb; step text; answer text; count bigint;
begin
    for part in select value from pg_catalog.jsonb_array_elements(plan) loop
        begin
            if pg_catalog.jsonb_array_length(part -> 'before') > 0 then
                perform pg_catalog.set_config('session_replication_role', 'replica', true);
                for step in select value from pg_catalog.jsonb_array_elements_text(part -> 'before') loop
                    execute step;
                end loop;
                perform pg_catalog.set_config('session_replication_role', 'origin', true);
            end if;
            for person in select value from pg_catalog.jsonb_array_elements(part -> 'people') loop
                begin
                    perform pg_catalog.set_config('request.jwt.claims', person ->> 'claims', true),
                        pg_catalog.set_config('request.jwt.claim.sub', person ->> 'sub', true),
                        pg_catalog.set_config('request.jwt.claim.role', person ->> 'role', true),
                        pg_catalog.set_config('role', person ->> 'role', true);
                    for probe in select value from pg_catalog.jsonb_array_elements(person -> 'probes') loop
                        begin
                            answer := null;
                            perform pg_catalog.set_config('bluegreen.row', probe ->> 1, true),
                                pg_catalog.set_config('bluegreen.came', '', true);
                            if probe ->> 3 = 'tells' then
                                execute probe ->> 2 into answer;
                            else
                                execute probe ->> 2;
                                get diagnostics count = row_count;
                                answer := case when probe ->> 1 = 'look'
                                    then pg_catalog.current_setting('bluegreen.came') else count::text end;
                            end if;
                            raise exception using errcode = 'BG0OK', message = coalesce(answer, '');
                        exception when others or assert_failure then
                            number := (probe ->> 0)::bigint;
                            get stacked diagnostics
                                code = returned_sqlstate, said = message_text, place = pg_exception_context;
                            return next;
                        end;
                    end loop;
                    raise exception using errcode = 'BG0OK';
                exception when sqlstate 'BG0OK' then null;
                end;
            end loop;
            raise exception using errcode = 'BG0OK';
        exception when sqlstate 'BG0OK' then null;
        end;
    end loop;
end
$$;
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question: a statement as somebody. `only` is the place of the one row that it may reach, or `look`."""

    person: Person
    sql: str
    only: str = ""
    tells: bool = False  # it answers one text


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: what it told, or the SQLSTATE and the words of whoever refused."""

    code: str
    said: str
    place: str

    @property
    def well(self) -> bool:
        return self.code == "BG0OK"

    @property
    def raised(self) -> bool:
        """Whether a sentence of the app's own functions refused, and not Postgres."""
        return self.place.partition("\n")[0].endswith("at RAISE")

    @property
    def outcome(self) -> str:
        """`denied` has no privilege, `policy` is row level security; everything else bears its SQLSTATE."""
        if self.code != "42501" or self.raised:
            return self.code
        return "policy" if "row-level security" in self.said else "denied"

    @property
    def faulty(self) -> bool:
        """Whether this is no refusal, but something that does not work."""
        refused = self.code == "42501" or self.code.startswith(("23", "44"))
        return not (self.well or self.raised or refused or self.code == EMPTY)


@dataclass
class Round:
    """Questions of one round trip, in the order of their numbers; some are put while rows are taken out."""

    probes: list[Probe] = field(default_factory=list)
    _parts: dict[tuple[str, ...], dict[str, list[int]]] = field(default_factory=dict)

    def add(self, probe: Probe, before: tuple[str, ...] = ()) -> int:
        number = len(self.probes)
        self.probes.append(probe)
        self._parts.setdefault(before, {}).setdefault(probe.person.name, []).append(number)
        return number

    async def ask(self, session: Session) -> Sequence[Answer]:
        """Every answer, by number."""
        plan = [
            {"before": before, "people": [self._of(numbers) for numbers in people.values()]}
            for before, people in self._parts.items()
        ]
        told = await session.rows("select * from pg_temp.bluegreen_ask(%s::text::jsonb)", json.dumps(plan))
        found = {number: Answer(code, said, place) for number, code, said, place in told}
        return [found[number] for number in range(len(self.probes))]

    def _of(self, numbers: Sequence[int]) -> dict[str, object]:
        person = self.probes[numbers[0]].person
        probes = [
            [number, self.probes[number].only, self.probes[number].sql, "tells" if self.probes[number].tells else ""]
            for number in numbers
        ]
        return {"role": person.role, "claims": person.claims, "sub": person.sub, "probes": probes}


async def prepare(session: Session, tables: Collection[Table]) -> None:
    """Make what asks and what hears, within the transaction that the session is in."""
    listening = [
        f'create trigger "{TRIGGER}" before update or delete on {table.sql}'
        " for each row execute function pg_temp.bluegreen_one_row();"
        for table in tables
        if table.holds_rows and not table.partition
    ]
    await session.run(CREATE + "\n".join(listening))
