-- refused: unindexed-foreign-key
create table public.notes (id bigint primary key, user_id uuid references public.users (id));
alter table public.notes enable row level security;

-- refused: unindexed-foreign-key
create table public.notes (id bigint primary key, user_id uuid, seen boolean);
alter table public.notes enable row level security;
create index on public.notes (user_id) where seen;
alter table public.notes add foreign key (user_id) references public.users (id) on delete cascade;

-- refused: unindexed-foreign-key
create table public.notes (id bigint, user_id uuid, primary key (id, user_id));
alter table public.notes enable row level security;
alter table public.notes add foreign key (user_id) references public.users (id);
