-- refused: unbounded-write
update public.projects set name = trim(name);

-- refused: unbounded-write
update public.projects set description = '' where description is null;

-- refused: unbounded-write
update public.projects set name = lower(name) where true;

-- refused: unbounded-write
update public.generations g set project_id = p.id from public.projects p where p.user_id = g.user_id;

-- refused in a contract: unbounded-write
delete from public.generations;

-- refused in a contract: unbounded-write
delete from public.generations where created_at < now() - interval '1 year';

-- refused: unbounded-write
do $$ begin update public.projects set name = trim(name); end $$;

-- refused: unbounded-write
do $$ begin for counter in 1..3 loop update public.projects set name = trim(name); end loop; end $$;

-- refused: unbounded-write
create function public.tidy() returns void language plpgsql set search_path = '' as $$
begin
    update public.projects set name = trim(name);
end
$$;
select public.tidy();

-- refused: unbounded-write
with gone as (select id from public.users) update public.projects set name = '' where user_id in (select id from gone);

-- refused: unbounded-write
merge into public.projects p using public.users u on p.user_id = u.id when matched then update set name = u.email;

-- refused: phase-mismatch
delete from public.projects where id = '00000000-0000-0000-0000-000000000001';

-- refused: unbounded-write
with gone as (delete from public.generations returning id) select count(*) from gone;

-- refused: unbounded-write
explain analyze delete from public.generations;

-- refused: unbounded-write
update public.users set email = 'x' where id <> any (array['00000000-0000-0000-0000-000000000000'::uuid]);

-- refused: unbounded-write
update public.users set email = 'x' where id <> '00000000-0000-0000-0000-000000000001' and id > '00000000-0000-0000-0000-000000000000';

-- refused: unbounded-write
update public.users set email = 'x' where exists (select 1 from public.projects limit 1);

-- refused: unbounded-write
update public.users set email = 'x' where (select true limit 1);

-- refused: unbounded-write
update public.users u set email = 'x' where u.id in (select p.user_id from public.projects p where p.user_id = u.id limit 1);

-- refused: unbounded-write
update public.users u set email = 'x' from public.projects p where p.name = 'first';

-- refused: unbounded-write
insert into public.users (id, email) select id, 'x' from public.users on conflict (id) do update set email = excluded.email;

-- refused: unbounded-write
merge into public.users t using (select 1 as id) s on t.id = '00000000-0000-0000-0000-000000000001' when not matched by source then update set email = 'x';

-- refused: unbounded-write
select * from public.users for update;

-- refused in a contract: unbounded-write
create temp table users as select 1 as x;
drop table users;
delete from users;

-- refused in a contract: unbounded-write
create schema billing;
set local search_path = billing, public;
delete from users;

-- refused in a contract: unbounded-write
create schema billing;
select set_config('search_path', 'billing,public', true);
create table notes (id bigint);
do $$ begin delete from users; end $$;

-- refused in a contract: unbounded-write
create table public.archive as with d as (delete from public.users returning *) select * from d;
alter table public.archive enable row level security;

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language sql begin atomic delete from public.users; select 1::bigint; end;
select public.wipe();

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
do $$ declare x bigint; begin x := public.wipe(); end $$;

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
do $$ begin if public.wipe() > 0 then null; end if; end $$;

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
do $$ declare x bigint := public.wipe(); begin null; end $$;

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
create table public.n as select public.wipe();
alter table public.n enable row level security;

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
explain analyze select public.wipe();

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
declare c cursor for select public.wipe();

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
create function public.wipe(a text) returns bigint language sql set search_path = '' as $$ select 1::bigint $$;
select public.wipe();

-- refused in a contract: unbounded-write
explain analyze with d as (delete from public.users returning 1) select * from d;

-- refused in a contract: unbounded-write
prepare p as with d as (delete from public.users returning 1) select * from d;

-- refused in a contract: unbounded-write
create table public.n (id int primary key);
alter table public.n enable row level security;
create rule r as on insert to public.n do also delete from public.users;
insert into public.n values (1);

-- refused in a contract: unbounded-write
create table public.n (id int primary key);
alter table public.n enable row level security;
create function public.wipe() returns trigger language plpgsql set search_path = '' as $$ begin delete from public.users; return new; end $$;
create trigger t before insert on public.n for each row execute function public.wipe();
insert into public.n values (1);

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
create table public.n (id int primary key, x bigint default public.wipe());
alter table public.n enable row level security;
insert into public.n (id) values (1);

-- refused in a contract: unbounded-write
create function public.wipe() returns boolean language plpgsql set search_path = '' as $$ begin delete from public.users; return true; end $$;
create table public.n (id int check (public.wipe()));
alter table public.n enable row level security;
insert into public.n values (1);

-- refused in a contract: unbounded-write
create function public.wipe(a bigint, b bigint) returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
create aggregate public.agg(bigint) (sfunc = public.wipe, stype = bigint, initcond = '0');
select public.agg(1);

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
select query_to_xml('select public.wipe()', true, false, '');

-- refused in a contract: unbounded-write
create view public.v with (security_invoker = true) as select * from public.users;
delete from public.v;

-- refused in a contract: unbounded-write
create table public.parent (id uuid, email text);
alter table public.parent enable row level security;
alter table public.users inherit public.parent;
update public.parent set email = 'x';

-- refused in a contract: unbounded-write
create schema app;
alter table public.users set schema app;
update app.users set email = 'x';

-- refused: unbounded-write
create table if not exists public.users (id bigint);
alter table public.users enable row level security;
update public.users set email = 'x';

-- refused: unbounded-write
create schema if not exists public;
update public.users set email = 'x';

-- refused: unbounded-write
do $$ begin if false then create table public.users (id bigint); end if; end $$;
update public.users set email = 'x';

-- refused in a contract: unbounded-write
create function public.wipe() returns bigint language plpgsql set search_path = '' as $$ begin delete from public.users; return 1; end $$;
create table archive.a (id int, x bigint default public.wipe());
create table archive.b (like archive.a including all);
insert into archive.b (id) values (1);

-- refused in a contract: unbounded-write
create or replace function public.touched() returns trigger language plpgsql set search_path = '' as $$ begin delete from public.users; return new; end $$;
update public.projects set name = 'first' where id = '00000000-0000-0000-0000-000000000001';

-- refused in a contract: unbounded-write
create table archive.a (id int);
create function archive.wiped(a archive.a) returns bigint language sql set search_path = '' as $$ delete from public.users; select 1::bigint $$;
select a.wiped from archive.a a;
