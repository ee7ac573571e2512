-- refused: bare-auth-call
create table public.notes (id bigint primary key, user_id uuid);
alter table public.notes enable row level security;
create policy notes_are_ones_own on public.notes for all to authenticated using (user_id = auth.uid());

-- refused: bare-auth-call
create table public.notes (id bigint primary key, user_id uuid);
alter table public.notes enable row level security;
create policy notes_are_ones_own on public.notes for insert to authenticated with check (auth.uid() = user_id);

-- refused: bare-auth-call
create table public.notes (id bigint primary key, email text);
alter table public.notes enable row level security;
create policy notes_are_ones_own on public.notes for select to authenticated using (email = (auth.jwt() ->> 'email'));

-- refused: bare-auth-call
create table public.notes (id bigint primary key, tenant text);
alter table public.notes enable row level security;
create policy notes_are_ones_own on public.notes using (tenant = current_setting('app.tenant'));

-- refused: bare-auth-call
create table public.notes (id bigint primary key, user_id uuid);
alter table public.notes enable row level security;
create policy notes_are_ones_own on public.notes for select
    using (exists (select from public.projects p where p.user_id = auth.uid()));
