"""The way back as one text: a transaction that anybody can run, with psql alone too, and that refuses to lose rows.

Its guards come first. Each locks what it guards, so that no row comes in between its look and the drop, and refuses
while there are rows, unless the session says `set bluegreen.accept_data_loss = 'on'`. Row level security is off for the
transaction: a policy that hid the rows would otherwise make a table look empty.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bluegreen.postgres.catalog.compare import called, kind_of
from bluegreen.postgres.catalog.drops import block
from bluegreen.postgres.catalog.fits import unfitting
from bluegreen.postgres.catalog.identity import renamed, replaced
from bluegreen.postgres.catalog.makes import literal
from bluegreen.postgres.catalog.spec import Difference, Reverse, Snapshot

ACCEPTED = "bluegreen.accept_data_loss"
WOULD_LOSE = "BG002"  # an SQLSTATE of our own
BEGIN = (
    "begin",
    "set local search_path = ''",
    "set local check_function_bodies = off",
    "set local row_security = off",
    "set local lock_timeout = '50ms'",
)


def guards(before: Snapshot, after: Snapshot, difference: Difference, anew: Sequence[str] = ()) -> Iterator[str]:
    """For every table that goes, loses a column, is made anew or gets a type back: one look at what would be lost."""
    stays = renamed(after, before)
    in_the_way = [name for name in replaced(after, before) if name in stays.values()]
    gone = [*(name for name in (*difference.added, *in_the_way) if name not in stays), *anew]
    going = [name for name in gone if kind_of(name) == "table"]
    for name in going:
        like = after.like(name)
        if "bound" not in like or f"table {like['parents'][0]}" not in going:
            yield _guard(called(name), f"{called(name)} holds rows", "true")
    losing: dict[str, dict[str, str]] = {}
    for name in gone:
        like = after.like(name)
        if kind_of(name) == "column" and _is_written(like) and f"table {like['on']}" in after.objects.keys() - {*going}:
            losing.setdefault(like["on"], {})[like["name"]] = _filled(like)
    for table, columns in losing.items():
        yield _guard(table, f"{table} holds values in {', '.join(columns)}", " or ".join(columns.values()))
    for table, unfit in unfitting(before, after, difference).items():
        said = f"{table} holds values in {', '.join(unfit)}, of a type that was changed,"
        yield _guard(table, said, " or ".join(unfit.values()))


def _is_written(column: Mapping[str, Any]) -> bool:
    return "generated" not in column and not column.get("inherited")


def _filled(column: Mapping[str, Any]) -> str:
    # As text, because not every type can be compared; a default that is new each time is never what is there.
    if "default" in column:
        return f"{column['name']}::text is distinct from ({column['default']})::text"
    return f"{column['name']} is not null"


def _guard(table: str, what: str, condition: str) -> str:
    said = literal(f"{what} that this would lose")
    hint = literal(f"Save them first, then set {ACCEPTED} = 'on' in this session.")
    return block(f"""begin
    lock table {table} in share row exclusive mode;
    if current_setting('{ACCEPTED}', true) is distinct from 'on'
        and exists (select from {table} where {condition})
    then
        raise exception using errcode = '{WOULD_LOSE}', message = {said}, hint = {hint};
    end if;
end""")


def script(reverse: Reverse, *, about: Sequence[str] = (), last: Sequence[str] = ()) -> str:
    """The whole text; `about` goes into its head as comments, `last` is done just before its commit."""
    comments = [f"-- {line}".rstrip() for text in (*_head(reverse), *about) for line in text.splitlines() or [""]]
    parts = (*BEGIN, *reverse.guards, *reverse.statements, *last, "commit")
    return "\n".join([*comments, "", *(f"{part};" for part in parts), ""])


def _head(reverse: Reverse) -> Iterator[str]:
    yield "The way back, made from what the schema was like before."
    gone = "there and back" if reverse.lasting else "there, back and there again"
    yield f"It is {reverse.verdict}{f', and was gone once: {gone}' if reverse.proven else ''}."
    for way in reverse.objects:
        if way.verdict != "reversible":
            yield f"  {way.object}: {way.verdict}. {way.why}"
    if reverse.guards:
        yield f"It refuses while rows would be lost, unless the session has said: set {ACCEPTED} = 'on';"
    yield "A lock that is not free within 50 ms ends it, with nothing changed: run it again."
