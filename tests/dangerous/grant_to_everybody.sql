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

-- refused: grant-to-everybody
grant service_role to authenticated;

-- refused in a contract: grant-to-everybody
grant pg_read_all_data to authenticator;

-- refused: grant-to-everybody
create role clerk role authenticated;

-- refused: grant-to-everybody
alter group service_role add user authenticated;

-- refused in a contract: grant-to-everybody
alter role authenticated bypassrls;

-- refused: grant-to-everybody
grant all on public.users to authenticated with grant option;

-- refused: grant-to-everybody
alter default privileges in schema public grant all on tables to authenticated with grant option;
