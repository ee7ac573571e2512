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
