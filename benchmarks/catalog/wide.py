"""A schema of 500 tables, as an app has it after some years: keys, checks, indexes, policies, triggers, comments."""

from collections.abc import Iterator

TABLES = 500
_ONE = """
create table public.t{n} (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    before_id uuid references public.t{before} (id) on delete set null,
    name text not null check (length(name) between 1 and 120),
    state text not null default 'new' check (state in ('new', 'old')),
    amount numeric(12, 2) not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint t{n}_name_key unique (user_id, name)
);
create index t{n}_before_id_idx on public.t{n} (before_id);
create index t{n}_new_idx on public.t{n} (user_id, created_at desc) where state = 'new';
alter table public.t{n} enable row level security;
create policy t{n}_read on public.t{n} for select to authenticated using (user_id = (select auth.uid()));
create policy t{n}_write on public.t{n} for update to authenticated
    using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create trigger t{n}_touch before update on public.t{n} for each row execute function public.touch_updated_at();
comment on table public.t{n} is 'The table of {n}.';
"""


def wide(tables: int = TABLES) -> Iterator[str]:
    """What makes it on top of the baseline, table by table: one transaction for all would need too many locks."""
    return (_ONE.format(n=number, before=max(number - 1, 0)) for number in range(tables))
