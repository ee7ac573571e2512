-- refused: grant-to-everybody
grant select on public.projects to anon;

-- refused: grant-to-everybody
grant all on public.projects to public;

-- refused: grant-to-everybody
grant select on all tables in schema public to anon, authenticated;

-- refused: grant-to-everybody
grant execute on function public.handle_new_user() to public;

-- refused: grant-to-everybody
alter default privileges in schema public grant select on tables to anon;

-- refused: grant-to-everybody
grant service_role to anon;

-- refused: grant-to-everybody
grant create on schema public to public;
