"""What release 2 adds: teams, their members and invitations, shared projects, and what people do to generations.

Here is no rule of who may do what. The database has them, and a caller who may not gets what it says.
"""

from sandbox.backend.routes import FLAG, NEEDED, TEXT, Route

TEAM = "id, name, slug, description, visibility, created_by, created_at, updated_at"
MEMBER = "team_id, user_id, role, joined_at"
INVITATION = "id, team_id, email, role, invited_by, created_at, expires_at, accepted_at, accepted_by, revoked_at"
SHARE = "project_id, team_id, access, shared_by, shared_at"
PRIVACY = "project_id, visibility, allow_comments, allow_remix, updated_by, updated_at"
COLLABORATION = "id, generation_id, team_id, user_id, kind, note, from_project_id, to_project_id, created_at"
PROJECT = "id, user_id, name, description, created_at, updated_at"
GENERATION = "id, user_id, project_id, model, prompt, status, created_at"

THIS_TEAM = "select from public.teams where id = %(team)s"
THIS_MEMBER = "select from public.team_members where team_id = %(team)s and user_id = %(user)s"
THIS_INVITATION = "select from public.team_invitations where id = %(invitation)s"
THIS_SHARE = "select from public.project_teams where project_id = %(project)s and team_id = %(team)s"
MINE_OR_SHARED = (
    "select id from public.projects where id = %(project)s "
    "union select id from public.shared_projects() where id = %(project)s"
)

TEAMS = (
    Route(
        "GET",
        "/api/teams",
        "select t.id, t.name, t.slug, t.description, t.visibility, m.role from public.teams t "
        "join public.team_members m on m.team_id = t.id and m.user_id = (select auth.uid()) "
        "order by t.name, t.id limit 100",
        gives="many",
    ),
    Route(
        "POST",
        "/api/teams",
        "insert into public.teams (name, slug, description, visibility, created_by) values (%(name)s, %(slug)s, "
        f"%(description)s, coalesce(%(visibility)s, 'private'), (select auth.uid())) returning {TEAM}",
        takes={"name": NEEDED, "slug": NEEDED, "description": TEXT, "visibility": TEXT},
        status=201,
    ),
    Route(
        "GET",
        "/api/teams/discover",
        "select id, name, slug, description, members from public.discover_teams() limit 100",
        gives="many",
    ),
    Route(
        "GET",
        "/api/teams/{team}",
        f"select {TEAM}, public.team_role(id) as role from public.teams where id = %(team)s",
    ),
    Route(
        "PATCH",
        "/api/teams/{team}",
        "update public.teams set name = coalesce(%(name)s, name), slug = coalesce(%(slug)s, slug), "
        "visibility = coalesce(%(visibility)s, visibility), description = "
        "case when 'description' = any (%(given)s) then %(description)s else description end "
        f"where id = %(team)s returning {TEAM}",
        takes={"name": TEXT, "slug": TEXT, "description": TEXT, "visibility": TEXT},
        sees=THIS_TEAM,
    ),
    Route(
        "DELETE",
        "/api/teams/{team}",
        "delete from public.teams where id = %(team)s returning id",
        gives="nothing",
        sees=THIS_TEAM,
    ),
    Route(
        "GET",
        "/api/teams/{team}/members",
        f"select {MEMBER} from public.team_members where team_id = %(team)s order by joined_at, user_id limit 1000",
        gives="many",
        sees=THIS_TEAM,
    ),
    Route(
        "PATCH",
        "/api/teams/{team}/members/{user}",
        "update public.team_members set role = %(role)s where team_id = %(team)s and user_id = %(user)s "
        f"returning {MEMBER}",
        takes={"role": NEEDED},
        sees=THIS_MEMBER,
    ),
    Route(
        "DELETE",
        "/api/teams/{team}/members/{user}",
        "delete from public.team_members where team_id = %(team)s and user_id = %(user)s returning user_id",
        gives="nothing",
        sees=THIS_MEMBER,
    ),
)

INVITATIONS = (
    Route(
        "GET",
        "/api/teams/{team}/invitations",
        f"select {INVITATION} from public.team_invitations where team_id = %(team)s "
        "order by created_at desc, id limit 100",
        gives="many",
        sees=THIS_TEAM,
    ),
    Route(
        "POST",
        "/api/teams/{team}/invitations",
        "select invitation_id as id, token from public.invite_to_team(%(team)s, %(email)s, %(role)s)",
        takes={"email": NEEDED, "role": NEEDED},
        status=201,
    ),
    Route(
        "POST",
        "/api/invitations/accept",
        "select public.accept_invitation(%(token)s) as team_id",
        takes={"token": NEEDED},
    ),
    Route(
        "DELETE",
        "/api/invitations/{invitation}",
        "update public.team_invitations set revoked_at = now() "
        "where id = %(invitation)s and accepted_at is null and revoked_at is null returning id",
        gives="nothing",
        sees=THIS_INVITATION,
        stuck=(409, "This invitation is not open any more."),
    ),
)

SHARING = (
    Route(
        "GET",
        "/api/projects/{project}/privacy",
        "select p.id as project_id, coalesce(s.visibility, 'team') as visibility, coalesce(s.allow_comments, true) as "
        "allow_comments, coalesce(s.allow_remix, true) as allow_remix, s.updated_by, s.updated_at "
        f"from ({MINE_OR_SHARED}) p left join public.project_privacy_settings s on s.project_id = p.id",
    ),
    Route(
        "PUT",
        "/api/projects/{project}/privacy",
        "insert into public.project_privacy_settings (project_id, visibility, allow_comments, allow_remix) "
        "values (%(project)s, %(visibility)s, coalesce(%(allow_comments)s, true), coalesce(%(allow_remix)s, true)) "
        "on conflict (project_id) do update set visibility = excluded.visibility, "
        "allow_comments = excluded.allow_comments, allow_remix = excluded.allow_remix "
        f"returning {PRIVACY}",
        takes={"visibility": NEEDED, "allow_comments": FLAG, "allow_remix": FLAG},
    ),
    Route(
        "GET",
        "/api/projects/{project}/teams",
        f"select {SHARE} from public.project_teams where project_id = %(project)s order by shared_at, team_id",
        gives="many",
        sees=MINE_OR_SHARED,
    ),
    Route(
        "POST",
        "/api/projects/{project}/teams",
        "insert into public.project_teams (project_id, team_id, access, shared_by) "
        "values (%(project)s, %(team_id)s, coalesce(%(access)s, 'view'), (select auth.uid())) "
        f"returning {SHARE}",
        takes={"team_id": NEEDED, "access": TEXT},
        status=201,
    ),
    Route(
        "DELETE",
        "/api/projects/{project}/teams/{team}",
        "delete from public.project_teams where project_id = %(project)s and team_id = %(team)s returning team_id",
        gives="nothing",
        sees=THIS_SHARE,
    ),
    Route(
        "GET",
        "/api/shared/projects",
        f"select {PROJECT} from public.shared_projects() limit 100",
        gives="many",
    ),
    Route(
        "GET",
        "/api/shared/projects/{project}/generations",
        f"select {GENERATION} from public.shared_generations(%(project)s) limit 100",
        gives="many",
        sees="select where public.project_access(%(project)s) is not null",
    ),
)

COLLABORATION_ROUTES = (
    Route(
        "POST",
        "/api/generations/{generation}/transfer",
        "select %(generation)s::uuid as generation_id, %(project_id)s::uuid as project_id "
        "from public.transfer_generation(%(generation)s, %(project_id)s)",
        takes={"project_id": NEEDED},
    ),
    Route(
        "GET",
        "/api/generations/{generation}/collaborations",
        f"select {COLLABORATION} from public.generation_collaborations where generation_id = %(generation)s "
        "order by created_at desc, id limit 100",
        gives="many",
    ),
    Route(
        "POST",
        "/api/generations/{generation}/collaborations",
        "insert into public.generation_collaborations (generation_id, team_id, user_id, kind, note) "
        "values (%(generation)s, %(team_id)s, (select auth.uid()), %(kind)s, %(note)s) "
        f"returning {COLLABORATION}",
        takes={"kind": NEEDED, "team_id": TEXT, "note": TEXT},
        status=201,
    ),
)

ROUTES = (*TEAMS, *INVITATIONS, *SHARING, *COLLABORATION_ROUTES)
TABLES = (
    "teams",
    "team_members",
    "team_invitations",
    "project_privacy_settings",
    "project_teams",
    "generation_collaborations",
)
