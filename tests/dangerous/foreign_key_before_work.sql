-- refused: foreign-key-before-work
create table public.shares (id bigint primary key, user_id uuid references public.users (id));
create index on public.shares (user_id);
alter table public.shares enable row level security;
update public.projects set name = lower(name);

-- refused: foreign-key-before-work
create table public.shares (id bigint primary key, user_id uuid);
create index on public.shares (user_id);
alter table public.shares enable row level security;
alter table public.shares add foreign key (user_id) references public.users (id);
insert into public.shares (id, user_id) select row_number() over (), u.id from public.users u;

-- refused: foreign-key-before-work
create table public.shares (project_id uuid primary key references public.projects (id));
alter table public.shares enable row level security;
do $$ begin execute format('analyze %I', 'x'); end $$;

-- refused: foreign-key-before-work
create table public.shares (project_id uuid primary key references public.projects (id));
alter table public.shares enable row level security;
create index on public.generations (model);
