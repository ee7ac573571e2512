"""A small schema, and 35 changes of it that somebody who cares about security wants to hear of: 34, and a broken index.

Each is one change of one thing and names the object that it changes. What is left of Postgres's whole catalog is in the
tests; these are the ones that decide who sees, writes or runs what, and whether a promise about rows still holds.
"""

from dataclasses import dataclass

# Run as a superuser, once in a cluster: roles are everybody's.
ROLES = """
do $$ begin
    if pg_catalog.to_regrole('catalog_reader') is null then create role catalog_reader; end if;
    if pg_catalog.to_regrole('catalog_writer') is null then create role catalog_writer; end if;
end $$;
grant catalog_reader, catalog_writer to postgres with admin option;
"""
START = """
create table public.authors (
    id uuid primary key default gen_random_uuid(),
    email text not null,
    secret text
);
create table public.books (
    id bigint generated always as identity primary key,
    author_id uuid not null references public.authors (id) on delete cascade,
    title text not null default 'untitled',
    price integer not null default 0 constraint price_is_not_negative check (price >= 0),
    shown boolean not null default false
);
create index books_author_id_idx on public.books (author_id);
insert into public.authors (email) values ('twice'), ('twice');
alter table public.authors enable row level security;
alter table public.books enable row level security;
create policy books_are_read_when_shown on public.books for select to anon using (shown);
create policy books_are_their_authors on public.books for all to authenticated
    using (author_id = auth.uid()) with check (author_id = auth.uid());
create function public.tally(author uuid) returns bigint language sql stable security invoker set search_path = ''
    as $$ select count(*) from public.books where author_id = author $$;
create function public.stamp() returns trigger language plpgsql set search_path = ''
    as $$ begin new.title := trim(new.title); return new; end $$;
create trigger books_are_stamped before insert or update on public.books
    for each row execute function public.stamp();
create view public.shelf with (security_invoker = true, security_barrier = true) as
    select id, title from public.books where shown;
create materialized view public.totals as select author_id, count(*) as books from public.books group by author_id;
create sequence public.numbers;
create type public.mood as enum ('glad', 'sad');
create domain public.address as text check (value like '%@%');
create publication feed for table public.books (id, title);
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One change; `alone` outside a transaction, `above` as a superuser, `undo` where it outlives the database."""

    name: str
    sql: str
    object: str
    alone: bool = False
    above: bool = False
    undo: str = ""


BOOKS, AUTHORS, TALLY = "table public.books", "table public.authors", "function public.tally(author uuid)"
READ, OWN = "policy public.books.books_are_read_when_shown", "policy public.books.books_are_their_authors"
STAMPED = "trigger public.books.books_are_stamped"
CHANGES = (
    Change("row security off", "alter table public.books disable row level security", BOOKS),
    Change("row security forced", "alter table public.books force row level security", BOOKS),
    Change(
        "policy lets more rows be seen", "alter policy books_are_read_when_shown on public.books using (true)", READ
    ),
    Change(
        "policy lets more rows be written",
        "alter policy books_are_their_authors on public.books with check (true)",
        OWN,
    ),
    Change("policy for everybody", "alter policy books_are_read_when_shown on public.books to public", READ),
    Change("policy gone", "drop policy books_are_read_when_shown on public.books", READ),
    Change(
        "policy restrictive",
        "drop policy books_are_read_when_shown on public.books; create policy books_are_read_when_shown "
        "on public.books as restrictive for select to anon using (shown)",
        READ,
    ),
    Change(
        "policy for another command",
        "drop policy books_are_read_when_shown on public.books; create policy books_are_read_when_shown "
        "on public.books for delete to anon using (shown)",
        READ,
    ),
    Change("table granted", "grant select on public.authors to catalog_reader", AUTHORS),
    Change("table granted on", "grant select on public.authors to authenticated with grant option", AUTHORS),
    Change("table revoked", "revoke insert on public.authors from service_role", AUTHORS),
    Change(
        "column granted", "grant select (secret) on public.authors to catalog_reader", "column public.authors.secret"
    ),
    Change("table's owner", "alter table public.books owner to catalog_writer", BOOKS, above=True),
    Change("function's owner", "alter function public.tally owner to catalog_writer", TALLY, above=True),
    Change("function closed", "revoke execute on function public.tally from anon", TALLY),
    Change("function as its owner", "alter function public.tally security definer", TALLY),
    Change("function's search path", "alter function public.tally reset search_path", TALLY),
    Change(
        "function's body",
        "create or replace function public.tally(author uuid) returns bigint language sql stable security invoker "
        "set search_path = '' as $$ select count(*) from public.books $$",
        TALLY,
    ),
    Change("view as its owner", "alter view public.shelf reset (security_invoker)", "view public.shelf"),
    Change("view without barrier", "alter view public.shelf reset (security_barrier)", "view public.shelf"),
    Change(
        "materialized view granted",
        "grant select on public.totals to catalog_reader",
        "materialized view public.totals",
    ),
    Change("sequence granted", "grant update on public.numbers to catalog_reader", "sequence public.numbers"),
    Change("type closed", "revoke usage on type public.mood from public", "enum public.mood"),
    Change("schema open to make things in", "grant create on schema public to catalog_reader", "schema public"),
    Change(
        "default privileges",
        "alter default privileges for role postgres in schema public grant all on tables to catalog_reader",
        "default privileges tables of postgres in public",
    ),
    Change("trigger off", "alter table public.books disable trigger books_are_stamped", STAMPED),
    Change(
        "foreign key's triggers off",
        "alter table public.books disable trigger all",
        "constraint public.books.books_author_id_fkey",
        above=True,
    ),
    Change(
        "rule",
        "create rule silently as on delete to public.books do instead nothing",
        "rule public.books.silently",
    ),
    Change(
        "constraint not proved",
        "alter table public.books drop constraint price_is_not_negative; alter table public.books add constraint "
        "price_is_not_negative check (price >= 0) not valid",
        "constraint public.books.price_is_not_negative",
    ),
    Change(
        "column may be null", "alter table public.books alter author_id drop not null", "column public.books.author_id"
    ),
    Change(
        "domain without its check", "alter domain public.address drop constraint address_check", "domain public.address"
    ),
    Change(
        "published columns",
        "alter publication feed set table public.books",
        "published table public.books in feed",
    ),
    Change(
        "role's settings",
        "alter role catalog_reader set row_security = off",
        "settings catalog_reader",
        above=True,
        undo="alter role catalog_reader reset all",
    ),
    Change(
        "column's statistics",
        "alter table public.authors alter secret set statistics 1000",
        "column public.authors.secret",
    ),
    Change(
        "index that is not valid",
        "create unique index concurrently authors_email_key on public.authors (email)",
        "index public.authors_email_key",
        alone=True,
    ),
)
