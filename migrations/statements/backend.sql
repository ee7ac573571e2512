-- What release 1 of the backend asks: one statement for each route, as it is sent, with $1 for what a request brings.
-- What can be planned before a migration and not after it would break that release.
--
-- bluegreen:as authenticated

-- GET /api/me
with answer as (select id, email, display_name, created_at from public.users where id = (select auth.uid())) select
(select row_to_json(answer)::text from answer), false;

-- GET /api/projects
with answer as (select id, name, description, created_at, updated_at from public.projects order by created_at desc,
id limit 100) select coalesce(json_agg(answer), '[]')::text, true from answer;

-- POST /api/projects
with answer as (insert into public.projects (user_id, name, description) values ((select auth.uid()), $1, $2)
returning id, name, description, created_at, updated_at) select (select row_to_json(answer)::text from answer),
false;

-- GET /api/projects/{project}
with answer as (select id, name, description, created_at, updated_at from public.projects where id = $1) select
(select row_to_json(answer)::text from answer), false;

-- PATCH /api/projects/{project}
with answer as (update public.projects set name = coalesce($1, name), description = case when 'description' = any
($2) then $3 else description end where id = $4 returning id, name, description, created_at, updated_at) select
(select row_to_json(answer)::text from answer), false;

-- DELETE /api/projects/{project}
with answer as (delete from public.projects where id = $1 returning id) select (select row_to_json(answer)::text
from answer), false;

-- GET /api/projects/{project}/generations
with answer as (select id, project_id, model, prompt, status, created_at from public.generations where project_id =
$1 order by created_at desc, id limit 100) select coalesce(json_agg(answer), '[]')::text, true from answer having
exists (select from public.projects where id = $1);

-- POST /api/projects/{project}/generations
with answer as (insert into public.generations (user_id, project_id, model, prompt) select (select auth.uid()),
p.id, $1, $2 from public.projects p where p.id = $3 returning id, project_id, model, prompt, status, created_at)
select (select row_to_json(answer)::text from answer), false;

-- GET /api/generations/{generation}
with answer as (select id, project_id, model, prompt, status, created_at from public.generations where id = $1)
select (select row_to_json(answer)::text from answer), false;

-- Before each of them, and whether the release is ready.
-- bluegreen:as anon
select set_config('role', $1, true), set_config('request.jwt.claims', $2, true);

select (
    select string_agg(wanted, ', ') from unnest($1::text[]) wanted
    where not exists (
        select from pg_catalog.pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r' and relname = wanted
    )
), true;
