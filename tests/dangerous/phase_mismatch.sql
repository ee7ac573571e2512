-- refused: phase-mismatch
drop table public.projects;

-- refused: phase-mismatch
alter table public.projects drop column description;

-- refused: phase-mismatch
alter table public.projects rename column name to title;

-- refused: phase-mismatch
alter table public.projects rename to works;

-- refused: phase-mismatch
alter table public.projects set schema archive;

-- refused: phase-mismatch
truncate public.generations;

-- refused: phase-mismatch
revoke select on public.projects from authenticated;

-- refused: phase-mismatch
drop function public.touch_updated_at();

-- refused: phase-mismatch
drop view public.recent;

-- refused: phase-mismatch
drop type public.state;

-- refused: phase-mismatch
drop schema archive cascade;

-- refused: phase-mismatch
drop trigger projects_touch on public.projects;

-- refused: phase-mismatch
drop index concurrently public.projects_user_id_idx;

-- refused: phase-mismatch
alter table public.projects drop constraint projects_user_id_fkey;

-- refused: phase-mismatch
alter table public.projects disable trigger all;

-- refused: phase-mismatch
alter table public.projects owner to somebody;

-- refused: phase-mismatch
alter type public.state rename value 'done' to 'finished';

-- refused: phase-mismatch
alter sequence public.numbers restart with 1;

-- refused: phase-mismatch
alter role authenticated set statement_timeout = '1s';

-- refused: phase-mismatch
drop owned by authenticated;

-- refused: phase-mismatch
drop extension pgcrypto;

-- refused: phase-mismatch
alter function public.touch_updated_at() rename to touch;

-- refused: phase-mismatch
revoke authenticated from authenticator;

-- refused: phase-mismatch
alter view public.recent set (security_invoker = true);

-- refused: phase-mismatch
drop materialized view if exists public.popular;

-- refused: phase-mismatch
alter table public.projects alter column number drop identity;

-- refused: phase-mismatch
alter table public.projects replica identity full;

-- refused in a contract: ban-truncate-cascade
truncate public.projects cascade;

-- refused in a contract: require-concurrent-index-deletion
drop index public.projects_user_id_idx;

-- refused: require-concurrent-reindex
reindex table public.projects;

-- refused: phase-mismatch
create schema billing;
set local search_path = billing, public;
alter table users drop column email;

-- refused: phase-mismatch
create schema app;
set local search_path = app;
create type state as enum ('new');
drop type public.state;
