"""Whether what the running release asks still runs after a migration: its statements are planned before and after.

A statement is prepared and its generic plan explained, as the role that sends it: names, types, ON CONFLICT keys and
rights are looked up, and nothing is executed. What could be planned before and cannot be after is broken. What could
not be planned before either (a text that a statistics view cut or rewrote) is told, and proves nothing.

It deliberately does not see what rows decide: a new NOT NULL, CHECK, UNIQUE or policy breaks no plan.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from bluegreen.handler import Refused
from bluegreen.postgres import statements
from bluegreen.postgres.session import Session, SqlError
from bluegreen.spec import State

FOLDER = "statements"
MOST = 1000  # statements that a server remembers, the most frequent ones
ROLE = re.compile(r"^[ \t]*--[ \t]*bluegreen:as[ \t]+(\S+)[ \t]*$", re.MULTILINE)
ASKS = re.compile(
    r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*\(*\s*(select|insert|update|delete|with|merge|values|table)\b", re.I | re.S
)
STATISTICS = """
select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relname = 'pg_stat_statements' and c.relkind = 'v'
"""
RUNNING = """
select s.query, r.rolname, sum(s.calls)::bigint from {view} s join pg_roles r on r.oid = s.userid
where s.dbid = (select oid from pg_database where datname = current_database())
    and s.query <> '<insufficient privilege>' and (cardinality(%s::text[]) = 0 or r.rolname = any (%s::text[]))
group by 1, 2 order by 3 desc, 1 limit {most}
"""
OWN = re.compile(
    r"\b(?:from|join)\s+(?:pg_catalog\.|information_schema\.|pg_[a-z])", re.I
)  # what tools ask, not the app
PLAN = """
create or replace function pg_temp.bluegreen_plan(asked jsonb) returns table (number bigint, code text, said text)
language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    one jsonb; types regtype[]; nothing text;
begin
    for one, number in select value, ordinality from pg_catalog.jsonb_array_elements(asked) with ordinality loop
        begin
            code := ''; said := '';
            if one ->> 'role' <> '' then
                perform pg_catalog.set_config('search_path', path, true) from (
                    select substr(setting, 13) path from pg_catalog.pg_db_role_setting s
                    join pg_catalog.pg_roles r on r.oid = s.setrole, unnest(s.setconfig) setting
                    where r.rolname = one ->> 'role' and setting like 'search_path=%'
                    and (s.setdatabase = 0 or s.setdatabase = (
                        select oid from pg_catalog.pg_database where datname = current_database()
                    ))
                    order by s.setdatabase desc limit 1
                ) of_the_role;
                perform pg_catalog.set_config('role', one ->> 'role', true);
            end if;
            execute 'prepare bluegreen_asked as ' || (one ->> 'text');
            select parameter_types into types from pg_catalog.pg_prepared_statements where name = 'bluegreen_asked';
            nothing := pg_catalog.array_to_string(pg_catalog.array_fill('null'::text, array[cardinality(types)]), ', ');
            execute 'explain (costs off) execute bluegreen_asked'
                || case when cardinality(types) > 0 then '(' || nothing || ')' else '' end;
            raise exception using errcode = 'BG0OK';
        exception
            when sqlstate 'BG0OK' then null;
            when others then get stacked diagnostics code = returned_sqlstate, said = message_text;
        end;
        -- Prepared statements know no transaction.
        if exists (select from pg_catalog.pg_prepared_statements where name = 'bluegreen_asked') then
            deallocate bluegreen_asked;
        end if;
        return next;
    end loop;
end
$$
"""


class Asked(State):
    """One statement of a running release, with $1 for what it is given, and the role that sends it."""

    text: str = ""
    role: str = ""
    origin: str = ""


class Broken(State):
    """A statement that cannot be planned, and why."""

    statement: str = ""
    role: str = ""
    origin: str = ""
    code: str = ""
    message: str = ""


class Replayed(State):
    """What came of all statements; `broken` are those that ran before and do not any more."""

    asked: int = 0
    replayed: int = 0
    broken: tuple[Broken, ...] = ()
    not_replayable: tuple[Broken, ...] = ()

    def told(self) -> str:
        """One sentence."""
        if not self.asked:
            return "No statement of the running release is known."
        last = "" if not self.not_replayable else f"; {len(self.not_replayable)} could not be planned before either"
        if not self.broken:
            return f"All {self.replayed} statements of the running release still run{last}."
        first = self.broken[0]
        return (
            f"{len(self.broken)} of {self.replayed} statements of the running release no longer run{last}; the first, "
            f"{first.origin}, ends in {first.code}: {first.message}."
        )


async def replay(before: Session, after: Session, asked: Sequence[Asked]) -> Replayed:
    """Plan every statement in a database without the migration and in one with it; nothing is executed in either."""
    was, now = await _planned(before, asked), await _planned(after, asked)
    broken, never = list[Broken](), list[Broken]()
    for one, old, new in zip(asked, was, now, strict=True):
        if old[0]:
            never.append(_broken(one, *old))
        elif new[0]:
            broken.append(_broken(one, *new))
    return Replayed(
        asked=len(asked), replayed=len(asked) - len(never), broken=tuple(broken), not_replayable=tuple(never)
    )


async def running(session: Session, roles: Sequence[str] = ()) -> tuple[Asked, ...]:
    """What the server remembers of these roles' statements, most frequent first; nothing where it keeps no record."""
    found = await session.rows(STATISTICS)
    if not found:
        return ()
    try:
        rows = await session.rows(RUNNING.format(view=found[0][0], most=MOST), list(roles), list(roles))
    except SqlError:  # the view is there and its library is not loaded, or it is not ours to read
        return ()
    return tuple(
        Asked(text=text, role=role, origin=f"asked {calls} times")
        for text, role, calls in rows
        if ASKS.match(text) and not OWN.search(text)
    )


def listed(folder: Path, role: str = "authenticated") -> tuple[Asked, ...]:
    """What is written down in `statements/*.sql` beside the migrations.

    `-- bluegreen:as anon` says who sends what follows; before the first one it is `role`.

    Raises:
        Refused: one of the files is no SQL.
    """
    found: list[Asked] = []
    for path in sorted((folder / FOLDER).glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        try:
            parsed = statements.split(text)
        except statements.Unparsable as problem:
            raise Refused(
                f"{path} is no list of statements: {problem}.",
                world="Nothing was asked of any database.",
                next="Correct it; values are written as $1, $2, …",
            ) from problem
        roles = [(said.start(), said[1]) for said in ROLE.finditer(text)]
        for each in parsed:
            said = [name for at, name in roles if at < each.at]
            found.append(Asked(text=each.text, role=said[-1] if said else role, origin=f"{path.name} line {each.line}"))
    return tuple(found)


async def _planned(session: Session, asked: Sequence[Asked]) -> list[tuple[str, str]]:
    """SQLSTATE and message of each, both empty where it can be planned."""
    await session.run(f"begin;{PLAN}")
    try:
        plan = json.dumps([{"text": one.text.rstrip().rstrip(";"), "role": one.role} for one in asked])
        rows = await session.rows("select * from pg_temp.bluegreen_plan(%s::text::jsonb)", plan)
    finally:
        await session.run("rollback")
    return [(code, said) for _, code, said in sorted(rows)]


def _broken(asked: Asked, code: str, message: str) -> Broken:
    text = " ".join(asked.text.split())
    return Broken(statement=text, role=asked.role, origin=asked.origin, code=code, message=message)
