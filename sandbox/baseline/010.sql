-- What the app's first ten migrations left: users, projects and generations, each its owner's alone. Run as postgres.

create table public.users (
    id uuid primary key references auth.users (id) on delete cascade,
    email text not null unique,
    display_name text,
    created_at timestamptz not null default now()
);

create table public.projects (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    name text not null check (length(name) between 1 and 120),
    description text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index projects_user_id_idx on public.projects (user_id);

create table public.generations (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references public.users (id) on delete cascade,
    project_id uuid references public.projects (id) on delete set null,
    model text not null,
    prompt text not null,
    status text not null default 'queued' check (status in ('queued', 'running', 'completed', 'failed')),
    created_at timestamptz not null default now()
);
create index generations_user_id_created_at_idx on public.generations (user_id, created_at desc);
create index generations_project_id_idx on public.generations (project_id);

alter table public.users enable row level security;
alter table public.projects enable row level security;
alter table public.generations enable row level security;

create policy users_read_themselves on public.users
    for select to authenticated using (id = (select auth.uid()));
create policy users_change_themselves on public.users
    for update to authenticated using (id = (select auth.uid())) with check (id = (select auth.uid()));

create policy projects_belong_to_their_user on public.projects
    for all to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

create policy generations_belong_to_their_user on public.generations
    for all to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

-- Whoever signs up has a row here at once.
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    insert into public.users (id, email, display_name)
    values (new.id, new.email, new.raw_user_meta_data ->> 'display_name');
    return new;
end
$$;
revoke execute on function public.handle_new_user() from public, anon, authenticated;
create trigger on_auth_user_created after insert on auth.users
    for each row execute function public.handle_new_user();

create function public.touch_updated_at() returns trigger language plpgsql set search_path = '' as $$
begin
    new.updated_at := now();
    return new;
end
$$;
create trigger projects_touch before update on public.projects
    for each row execute function public.touch_updated_at();
