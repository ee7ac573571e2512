"""The API of release 1: me, projects, generations. It knows nothing of teams, and later releases answer it unchanged.

Lists are bounded and newest first. Whose rows they are is not said here: row level security says it.
"""

from sandbox.backend.routes import NEEDED, TEXT, Route

PROJECT = "id, name, description, created_at, updated_at"
GENERATION = "id, project_id, model, prompt, status, created_at"
MY_PROJECT = "select from public.projects where id = %(project)s"

ROUTES = (
    Route(
        "GET",
        "/api/me",
        "select id, email, display_name, created_at from public.users where id = (select auth.uid())",
    ),
    Route(
        "GET",
        "/api/projects",
        f"select {PROJECT} from public.projects order by created_at desc, id limit 100",
        gives="many",
    ),
    Route(
        "POST",
        "/api/projects",
        "insert into public.projects (user_id, name, description) "
        f"values ((select auth.uid()), %(name)s, %(description)s) returning {PROJECT}",
        takes={"name": NEEDED, "description": TEXT},
        status=201,
    ),
    Route("GET", "/api/projects/{project}", f"select {PROJECT} from public.projects where id = %(project)s"),
    Route(
        "PATCH",
        "/api/projects/{project}",
        "update public.projects set name = coalesce(%(name)s, name), description = "
        "case when 'description' = any (%(given)s) then %(description)s else description end "
        f"where id = %(project)s returning {PROJECT}",
        takes={"name": TEXT, "description": TEXT},
    ),
    Route(
        "DELETE",
        "/api/projects/{project}",
        "delete from public.projects where id = %(project)s returning id",
        gives="nothing",
    ),
    Route(
        "GET",
        "/api/projects/{project}/generations",
        f"select {GENERATION} from public.generations where project_id = %(project)s "
        "order by created_at desc, id limit 100",
        gives="many",
        sees=MY_PROJECT,
    ),
    Route(
        "POST",
        "/api/projects/{project}/generations",
        "insert into public.generations (user_id, project_id, model, prompt) "
        "select (select auth.uid()), p.id, %(model)s, %(prompt)s from public.projects p where p.id = %(project)s "
        f"returning {GENERATION}",
        takes={"model": NEEDED, "prompt": NEEDED},
        status=201,
    ),
    Route(
        "GET",
        "/api/generations/{generation}",
        f"select {GENERATION} from public.generations where id = %(generation)s",
    ),
)
TABLES = ("users", "projects", "generations")
