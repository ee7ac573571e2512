-- accepted
create table public.notes (id bigint primary key, user_id uuid not null);
alter table public.notes enable row level security;
create policy notes_are_ones_own on public.notes for all to authenticated using (user_id = (select auth.uid()));
create index on public.notes (user_id);
alter table public.notes add foreign key (user_id) references public.users (id) on delete cascade;

-- accepted
alter table public.projects add column colour text;

-- accepted
alter table public.projects add column stars bigint not null default 0;

-- accepted
alter table public.projects add column seen timestamptz default now();

-- accepted
create index concurrently if not exists projects_name_idx on public.projects (name);

-- accepted
alter table public.projects alter column name set statistics 500;

-- accepted
create type public.state as enum ('new', 'done');
alter type public.state add value 'late' after 'done';

-- accepted
create function public.answer() returns int language sql immutable set search_path = '' as $$ select 42 $$;

-- accepted
create function public.whoami() returns uuid language sql stable security definer set search_path = '' as $$ select auth.uid() $$;
revoke execute on function public.whoami() from public, anon;

-- accepted
comment on table public.projects is 'Whatever somebody works on.';

-- accepted
insert into public.users (id, email) values ('00000000-0000-0000-0000-000000000001', 'a@example.org');

-- accepted
update public.projects set name = 'first' where id = '00000000-0000-0000-0000-000000000001';

-- accepted
update public.projects set description = '' where id in ('00000000-0000-0000-0000-000000000001');

-- accepted
-- bluegreen:backfill public.projects
update public.projects set description = '' where description is null;

-- accepted
alter table public.projects validate constraint named;

-- accepted in a contract
alter table public.projects drop column description;

-- accepted in a contract
alter table public.projects add constraint named check (name <> '') not valid;

-- accepted in a contract
alter table public.projects validate constraint described;
alter table public.projects alter column description set not null;

-- accepted in a contract
drop index concurrently if exists public.projects_user_id_idx;

-- accepted in a contract
create trigger projects_audit after update on public.projects for each row execute function public.audit();

-- accepted
grant usage on schema public to anon;

-- accepted
grant select on public.projects to authenticated;

-- accepted
create temporary table pairs (a bigint, b bigint);
update pairs set a = b;
drop table pairs;

-- accepted
do $$ begin perform set_config('app.name', 'x', true); end $$;

-- accepted
refresh materialized view concurrently public.popular;

-- accepted
vacuum (analyze) public.projects;

-- accepted
create materialized view public.popular as select p.id from public.projects p;
create unique index on public.popular (id);
revoke all on public.popular from anon, authenticated;

-- accepted
create view public.recent with (security_invoker = true) as select p.id from public.projects p;

-- accepted
create schema archive;
create table archive.notes (id bigint primary key, body text);
alter table archive.notes alter column body set not null;

-- accepted
create table public.notes (id bigint primary key, body text);
alter table public.notes enable row level security;
create policy notes_are_seen on public.notes for select to authenticated using (true);
alter publication supabase_realtime add table public.notes;

-- accepted
create table public.plans (id text primary key, price int not null);
alter table public.plans enable row level security;
create policy plans_read on public.plans for select to anon, authenticated using (true);
insert into public.plans (id, price) values ('free', 0), ('pro', 20) on conflict (id) do nothing;

-- accepted
alter table public.projects add column archived_at timestamptz;
comment on column public.projects.archived_at is 'when';

-- accepted
alter table public.projects add column is_public boolean not null default false;
notify pgrst, 'reload schema';

-- accepted
do $$ begin
    if not exists (select 1 from pg_type where typname = 'member_role') then
        create type public.member_role as enum ('owner', 'admin');
    end if;
end $$;

-- accepted
do $$ begin
    if exists (select 1 from pg_publication where pubname = 'supabase_realtime') then
        alter publication supabase_realtime add table public.projects;
    end if;
end $$;

-- accepted
create function public.my_stats() returns json language plpgsql security definer set search_path = '' as $$
declare r json;
begin
    select json_build_object('n', count(*)) into r from public.projects where user_id = auth.uid();
    return r;
end $$;
revoke execute on function public.my_stats() from public, anon;
grant execute on function public.my_stats() to authenticated;

-- accepted
create function public.touched() returns trigger language plpgsql set search_path = '' as $$
begin
    new.updated_at := clock_timestamp();
    return new;
end $$;
create table public.notes (id bigint generated always as identity primary key, updated_at timestamptz not null default now());
alter table public.notes enable row level security;
create policy notes_are_seen on public.notes for select to authenticated using (true);
create trigger notes_touched before update on public.notes for each row execute function public.touched();
insert into public.notes (updated_at) values (now());
update public.notes set updated_at = now();

-- accepted
create extension if not exists pg_trgm with schema extensions;

-- accepted
alter table public.users add column nick text;
-- bluegreen:backfill public.users
update public.users set nick = email where nick is null;

-- accepted
create schema app;
set local search_path = app, public;
create table people (id bigint primary key);
create index people_idx on people (id);
update people set id = 1;

-- accepted
update public.users u set email = 'x' where u.id in (select p.user_id from public.projects p order by p.created_at limit 5);

-- accepted
select pg_try_advisory_xact_lock(7);
