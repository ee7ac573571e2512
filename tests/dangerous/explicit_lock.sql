-- refused: explicit-lock
lock table public.projects;

-- refused: explicit-lock
lock table public.projects in share row exclusive mode;

-- refused: explicit-lock
lock table public.users, public.projects in exclusive mode nowait;

-- refused: explicit-lock
do $$ begin lock table public.projects in share mode; end $$;
