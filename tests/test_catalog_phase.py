"""Whether what runs today would notice a change: from the catalog, one sentence for each reason."""

import asyncio
from functools import cache

import pytest

from benchmarks.catalog.changes import ROLES, START
from bluegreen.postgres.catalog import compare, phase_of, read, snapshot
from bluegreen.postgres.catalog.older import unqualified
from bluegreen.postgres.session import Database
from tests.database import as_superuser, database
from tests.postgres_room import ask


@cache
def started() -> str:
    url = database()
    ask(as_superuser(url), ROLES)
    ask(url, START)
    return url


def judged(change: str, *, above: bool = False) -> tuple[str, tuple[str, ...]]:
    """The phase of a change and its reasons; it is rolled back."""

    async def tried() -> tuple[str, tuple[str, ...]]:
        async with Database(as_superuser(started()) if above else started()).session() as session:
            before = await snapshot(session)
            await session.run(f"begin; {change}; set local search_path = ''")
            after = await read(session)
            await session.rows("rollback")
            return phase_of(before, after, compare(before, after))

    return asyncio.run(tried())


@pytest.mark.parametrize(
    "change",
    [
        "create table public.more (id int primary key, book bigint references public.books, check (id > 0))",
        "alter table public.books add note text, add stars int not null default 0",
        "alter table public.books add fan uuid references public.authors; create unique index on public.books (fan)",
        "create index on public.books (price)",
        "create view public.all_books as select * from public.books",
        "create function public.one() returns int language sql as 'select 1'",
        "alter type public.mood add value 'calm'",
        "comment on table public.books is 'Books.'",
        "alter table public.books alter title set statistics 500",
    ],
)
def test_what_is_new_and_on_what_is_new_is_an_expansion_without_a_word(change: str) -> None:
    assert judged(change) == ("expand", ())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("drop view public.shelf", "view public.shelf is gone."),
        ("alter table public.books drop shown cascade", "column public.books.shown is gone."),
        ("alter table public.books rename title to name", "column public.books.title is called public.books.name now."),
        ("alter table public.books rename to volumes", "table public.books is called public.volumes now."),
        ("alter table public.books alter price type bigint", "column public.books.price differs in its type."),
        ("update public.authors set secret = email; alter table public.authors alter secret set not null",
         "column public.authors.secret refuses null, which could be written so far."),
        ("alter table public.books alter price drop default", "column public.books.price has no default any more."),
        ("alter table public.books add check (price < 100)",
         "constraint public.books.books_price_check refuses rows that could be written so far: CHECK ((price < 100))."),
        ("create unique index titles on public.books (title)",
         "index public.titles is unique: it refuses rows that could be written so far."),
        ("drop index public.books_author_id_idx", "index public.books_author_id_idx is gone."),
        ("revoke insert on public.books from authenticated", "table public.books: authenticated lost INSERT."),
        ("revoke all on public.books from anon", "table public.books: anon lost "
         "DELETE, INSERT, MAINTAIN, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE."),
        ("alter table public.books force row level security", "table public.books holds its owner to its policies."),
        ("create policy fewer on public.books as restrictive using (price > 0)",
         "policy public.books.fewer is restrictive: it takes rows away."),
        ("alter policy books_are_their_authors on public.books to service_role",
         "policy public.books.books_are_their_authors is for service_role now, and was for authenticated."),
        ("create rule quiet as on insert to public.books do instead nothing",
         "rule public.books.quiet rewrites what runs today."),
    ],
)  # fmt: skip
def test_whatever_takes_away_narrows_or_renames_is_a_contract(change: str, reason: str) -> None:
    phase, reasons = judged(change)
    assert (phase, reason in reasons) == ("contract", True)


def test_a_required_column_without_a_default_is_a_contract() -> None:
    change = "truncate public.authors cascade; alter table public.authors add born date not null"
    assert judged(change) == (
        "contract",
        ("column public.authors.born is required and has no default: whoever does not know it cannot insert.",),
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("create or replace function public.tally(author uuid) returns bigint language sql stable "
         "set search_path = '' as 'select 1::bigint'",
         "function public.tally(author uuid) does something else than before."),
        ("alter function public.tally security definer",
         "function public.tally(author uuid) is declared and does something else than before."),
        ("create trigger more after delete on public.books for each row execute function public.stamp()",
         "trigger public.books.more fires at writes of what runs today."),
        ("alter table public.books disable trigger books_are_stamped",
         "trigger public.books.books_are_stamped is switched off."),
        ("alter table public.books disable row level security",
         "table public.books has row level security switched off."),
        ("create policy wider on public.books using (true)",
         "policy public.books.wider lets public reach rows of a table in use."),
        ("grant select on public.authors to catalog_reader with grant option",
         "table public.authors: catalog_reader gained SELECT, SELECT (to pass on)."),
        ("alter view public.shelf set (security_invoker = false)",
         "view public.shelf has other options: security_barrier=true, security_invoker=false."),
        ("alter table public.books alter author_id drop not null", "column public.books.author_id may be null now."),
        ("alter table public.books drop constraint price_is_not_negative",
         "constraint public.books.price_is_not_negative is gone: what it kept out may come in."),
    ],
)  # fmt: skip
def test_what_only_a_person_can_judge_is_a_reason_and_no_contract(change: str, reason: str) -> None:
    assert judged(change) == ("expand", (reason,))


def test_a_new_membership_is_a_reason_to_look() -> None:
    phase, reasons = judged("grant service_role to authenticated", above=True)
    assert phase == "expand"
    assert reasons == (
        "membership authenticated in service_role is new: authenticated may do whatever service_role may.",
    )


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (" SELECT b.id\n   FROM public.b;", " SELECT id\n   FROM public.b;"),
        (' SELECT "é.b".id,\n    sum("é.b".n) AS é\n   FROM public."é.b"\n  GROUP BY "é.b".id;',
         ' SELECT id,\n    sum(n) AS é\n   FROM public."é.b"\n  GROUP BY id;'),
        (" SELECT x.id\n   FROM public.b x\n  WHERE x.n > 0;", " SELECT id\n   FROM public.b x\n  WHERE n > 0;"),
        (" SELECT b.id,\n    ( SELECT max(c.n) AS max\n           FROM public.c\n          WHERE c.id = b.id) AS n\n"
         "   FROM public.b;",
         " SELECT id,\n    ( SELECT max(c.n) AS max\n           FROM public.c\n          WHERE c.id = b.id) AS n\n"
         "   FROM public.b;"),
        (" SELECT b.id\n   FROM public.b\n     JOIN public.c ON true;", None),
        (" SELECT 1 AS one;", None),
    ],
)  # fmt: skip
def test_a_view_of_postgres_15_is_written_as_newer_ones_write_it(older: str, newer: str | None) -> None:
    assert unqualified(older) == (older if newer is None else newer)
