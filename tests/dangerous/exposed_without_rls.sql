-- refused: exposed-without-rls
create table public.notes (id bigint primary key, body text);

-- refused: exposed-without-rls
create table notes (id bigint primary key, body text);

-- refused: exposed-without-rls
create table public.copies as select id, name from public.projects where id = '00000000-0000-0000-0000-000000000001';

-- refused: exposed-without-rls
create table public.notes (id bigint primary key, body text);
create policy notes_are_seen on public.notes for select to authenticated using (true);

-- refused in a contract: exposed-without-rls
alter table public.projects disable row level security;

-- refused: exposed-without-rls
select id, name into public.copies from public.projects limit 5;

-- refused: exposed-without-rls
create view public.everything as select p.* from public.projects p;

-- refused: exposed-without-rls
create materialized view public.popular as select p.id from public.projects p;

-- refused: exposed-without-rls
create policy open on public.users for all to anon using (true) with check (true);

-- refused in a contract: exposed-without-rls
create policy open on public.users for select using (true);

-- refused in a contract: exposed-without-rls
alter policy users_read_themselves on public.users using (true);

-- refused in a contract: exposed-without-rls
create policy open on storage.objects for insert to anon with check (true);

-- refused: exposed-without-rls
create table public.wall (id int primary key, words text);
alter table public.wall enable row level security;
create policy open on public.wall for all to anon using (true) with check (true);

-- refused in a contract: exposed-without-rls
alter table public.users no force row level security;

-- refused in a contract: exposed-without-rls
alter view public.recent reset (security_invoker);

-- refused in a contract: exposed-without-rls
alter view public.recent set (security_invoker = false);
