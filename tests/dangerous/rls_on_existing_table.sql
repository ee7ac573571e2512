-- refused: rls-on-existing-table
alter table public.projects enable row level security;

-- refused: rls-on-existing-table
alter table public.projects force row level security;

-- refused: rls-on-existing-table
create policy projects_of_the_living on public.projects as restrictive for select using (name <> '');

-- refused: rls-on-existing-table
do $$ begin alter table public.projects enable row level security; end $$;

-- refused: phase-mismatch
alter policy projects_belong_to_their_user on public.projects using (true);

-- refused: phase-mismatch
drop policy projects_belong_to_their_user on public.projects;

-- refused: phase-mismatch
drop policy if exists projects_belong_to_their_user on public.projects;
create policy projects_belong_to_their_user on public.projects for select to authenticated using (true);
