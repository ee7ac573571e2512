"""Who may what with migration 011: every verb on every table, as every kind of person, and what the answer must be.

`EXPECTED` is the matrix as people read it; `TRIES` holds the statement of each line. An answer is the number of rows
seen or written, or why there is none: `denied` (no privilege), `policy` (row level security refuses the new row),
`guard` (a sentence of ours), `taken`, `invalid`. Updates and deletes have no WHERE where that makes the policy itself
answer: a WHERE reads the row first, and then the policy for SELECT hides what the other one lets through.
"""

from collections.abc import Iterator, Mapping

import psycopg

from tests.teams_world import acting, filled

ACTORS = ("owner", "admin", "editor", "viewer", "stranger", "anon", "service_role")

EXPECTED = """
                                           owner   admin   editor  viewer  stranger anon    service_role
teams: see                                 1       1       1       1       0        denied  2
teams: create                              1       1       1       1       1        denied  invalid
teams: create for somebody else            policy  policy  policy  policy  policy   denied  1
teams: rename all                          1       1       0       0       0        denied  2
teams: take over as creator                denied  denied  denied  denied  denied   denied  missing
teams: delete all                          1       0       0       0       0        denied  2
team_members: see                          4       4       4       4       0        denied  5
team_members: come in                      denied  denied  denied  denied  denied   denied  1
team_members: come in as an owner          denied  denied  denied  denied  denied   denied  taken
team_members: viewer becomes admin         1       1       0       0       0        denied  1
team_members: viewer becomes owner         guard   guard   0       0       0        denied  guard
team_members: I become admin               guard   1       0       0       0        denied  0
team_members: owner becomes viewer         guard   guard   0       0       0        denied  guard
team_members: all become what they are     denied  denied  denied  denied  denied   denied  5
team_members: all become viewers           guard   guard   0       0       0        denied  guard
team_members: move to another team         denied  denied  denied  denied  denied   denied  guard
team_members: become somebody else         denied  denied  denied  denied  denied   denied  guard
team_members: remove the viewer            1       1       0       1       0        denied  1
team_members: remove the owner             guard   guard   0       0       0        denied  guard
team_members: leave                        guard   1       1       1       0        denied  0
team_members: remove all                   guard   guard   1       1       0        denied  guard
team_invitations: see                      4       4       0       0       0        denied  5
team_invitations: make without a token     denied  denied  denied  denied  denied   denied  1
team_invitations: withdraw all             2       2       0       0       0        denied  invalid
team_invitations: open all again           policy  policy  0       0       0        denied  taken
team_invitations: readdress                denied  denied  denied  denied  denied   denied  guard
team_invitations: delete all               4       4       0       0       0        denied  5
project_privacy_settings: see              2       1       2       1       0        denied  4
project_privacy_settings: set for mine     1       1       1       1       1        denied  missing
project_privacy_settings: set for poster   1       policy  policy  policy  policy   denied  1
project_privacy_settings: set again        policy  policy  1       policy  policy   denied  1
project_privacy_settings: change all       1       0       2       0       0        denied  4
project_privacy_settings: sign as another  0       0       1       0       0        denied  0
project_privacy_settings: move             0       0       guard   0       0        denied  guard
project_privacy_settings: backdate         denied  denied  denied  denied  denied   denied  0
project_privacy_settings: reset all        1       0       2       0       0        denied  4
project_teams: see                         4       4       4       4       1        denied  6
project_teams: share mine                  1       1       1       policy  policy   denied  missing
project_teams: share the diary             policy  policy  1       policy  policy   denied  1
project_teams: share mine with rivals      policy  policy  policy  policy  policy   denied  missing
project_teams: share as another            policy  policy  policy  policy  policy   denied  missing
project_teams: let all view only           3       0       1       0       1        denied  6
project_teams: move to another team        0       0       guard   0       0        denied  guard
project_teams: backdate                    denied  denied  denied  denied  denied   denied  6
project_teams: end all                     4       4       1       0       1        denied  6
generation_collaborations: see             3       3       3       4       2        denied  6
generation_collaborations: comment         1       1       1       policy  policy   denied  invalid
generation_collaborations: remix           policy  policy  policy  policy  policy   denied  invalid
generation_collaborations: edit            1       1       1       policy  policy   denied  invalid
generation_collaborations: edit if viewed  policy  policy  policy  policy  policy   denied  invalid
generation_collaborations: note on mine    1       1       1       1       1        denied  invalid
generation_collaborations: note on take    policy  policy  1       policy  policy   denied  invalid
generation_collaborations: sign as another policy  policy  policy  policy  policy   denied  1
generation_collaborations: forge transfer  policy  policy  policy  policy  policy   denied  invalid
generation_collaborations: reword all      0       0       1       1       1        denied  6
generation_collaborations: change kinds    denied  denied  denied  denied  denied   denied  guard
generation_collaborations: delete all      2       2       2       1       2        denied  6
functions: my_teams                        1       1       1       1       0        denied  0
functions: is_team_member                  1       1       1       1       0        denied  0
functions: team_role                       1       1       1       1       0        denied  0
functions: discover_teams                  1       1       1       1       1        denied  0
functions: my_shares                       3       3       3       3       0        denied  0
functions: shared_projects                 1       3       2       3       0        denied  0
functions: project_access of film is edit  1       1       0       0       0        denied  0
functions: project_access of film is view  0       0       0       1       0        denied  0
functions: project_access of mine is owner 1       1       1       1       1        denied  0
functions: project_access by link is view  1       1       1       1       1        denied  0
functions: project_access while paused     1       0       0       0       0        denied  0
functions: shared_generations of film      1       1       1       1       0        denied  0
functions: shared_generations while paused 1       0       0       0       0        denied  0
functions: shared_generations by link      1       1       1       1       1        denied  0
functions: may_collaborate                 1       1       1       0       0        denied  0
functions: invite_to_team                  1       1       guard   guard   guard    denied  guard
functions: invite_to_team, invited already 1       1       guard   guard   guard    denied  guard
functions: invite_to_team, a member        taken   taken   guard   guard   guard    denied  guard
functions: invite_to_team, as owner        invalid invalid guard   guard   guard    denied  guard
functions: invite_to_team, no address      invalid invalid guard   guard   guard    denied  guard
functions: accept_invitation of the guest  guard   guard   guard   guard   guard    denied  guard
functions: accept_invitation, no such      refused refused refused refused refused  denied  refused
functions: belongs_to                      denied  denied  denied  denied  denied   denied  denied
functions: explain_refusal                 denied  denied  denied  denied  denied   denied  denied
functions: transfer film to sketch         1       1       1       guard   guard    denied  guard
functions: transfer sketch to film         1       1       guard   guard   guard    denied  guard
functions: transfer film to poster         guard   guard   guard   guard   guard    denied  guard
functions: transfer poster to sketch       1       guard   guard   guard   guard    denied  guard
functions: transfer film to mine           guard   guard   1       guard   guard    denied  guard
functions: transfer mine to sketch         1       1       1       guard   guard    denied  guard
functions: transfer mine to alien          guard   guard   guard   guard   guard    denied  guard
functions: transfer film to film           taken   taken   taken   guard   guard    denied  guard
users: see                                 1       1       1       1       1        0       7
projects: see                              4       1       3       1       2        0       15
projects: see the film's row               0       0       1       0       0        0       1
generations: see                           4       1       2       1       1        0       12
generations: reword all                    4       1       2       1       1        0       12
"""

_NOTE = "insert into public.generation_collaborations (generation_id, team_id, kind) values "
_SHARE = "insert into public.project_teams (project_id, team_id, access) values "
_SET = "insert into public.project_privacy_settings (project_id, visibility) values "

TRIES: Mapping[str, str] = {
    "teams: see": "select from public.teams",
    "teams: create": "insert into public.teams (name, slug) values ('New', 'new') returning id",
    "teams: create for somebody else": "insert into public.teams (name, slug, created_by) values ('N', 'n', '{guest}')",
    "teams: rename all": "update public.teams set name = 'Renamed'",
    "teams: take over as creator": "update public.teams set created_by = '{me}'",
    "teams: delete all": "delete from public.teams",
    "team_members: see": "select from public.team_members",
    "team_members: come in": "insert into public.team_members values ('{studio}', '{stranger}', 'viewer')",
    "team_members: come in as an owner": "insert into public.team_members values ('{studio}', '{stranger}', 'owner')",
    "team_members: viewer becomes admin": "update public.team_members set role = 'admin' where user_id = '{viewer}'",
    "team_members: viewer becomes owner": "update public.team_members set role = 'owner' where user_id = '{viewer}'",
    "team_members: I become admin": "update public.team_members set role = 'admin' where user_id = '{me}'",
    "team_members: owner becomes viewer": "update public.team_members set role = 'viewer' where user_id = '{owner}'",
    "team_members: all become what they are": "update public.team_members set user_id = user_id",
    "team_members: all become viewers": "update public.team_members set role = 'viewer'",
    "team_members: move to another team": (
        "update public.team_members set team_id = '{rivals}' where user_id = '{viewer}'"
    ),
    "team_members: become somebody else": (
        "update public.team_members set user_id = '{stranger}' where user_id = '{viewer}'"
    ),
    "team_members: remove the viewer": "delete from public.team_members where user_id = '{viewer}'",
    "team_members: remove the owner": "delete from public.team_members where user_id = '{owner}'",
    "team_members: leave": "delete from public.team_members where user_id = '{me}'",
    "team_members: remove all": "delete from public.team_members",
    "team_invitations: see": "select from public.team_invitations",
    "team_invitations: make without a token": (
        "insert into public.team_invitations (team_id, email, role, token_sha256)"
        " values ('{studio}', 'a@b.test', 'admin', sha256('mine'))"
    ),
    "team_invitations: withdraw all": "update public.team_invitations set revoked_at = now()",
    "team_invitations: open all again": "update public.team_invitations set revoked_at = null",
    "team_invitations: readdress": "update public.team_invitations set email = 'a@b.test' where id = '{open}'",
    "team_invitations: delete all": "delete from public.team_invitations",
    "project_privacy_settings: see": "select from public.project_privacy_settings",
    "project_privacy_settings: set for mine": _SET + "('{my_project}', 'team')",
    "project_privacy_settings: set for poster": _SET + "('{poster}', 'link')",
    "project_privacy_settings: set again": (
        _SET + "('{film}', 'link') on conflict (project_id)"
        " do update set project_id = excluded.project_id, visibility = excluded.visibility"
    ),
    "project_privacy_settings: change all": "update public.project_privacy_settings set allow_comments = false",
    "project_privacy_settings: sign as another": (
        "with signed as (update public.project_privacy_settings set updated_by = '{guest}' where project_id = '{film}'"
        " returning updated_by) select from signed where updated_by = '{me}'"
    ),
    "project_privacy_settings: move": (
        "update public.project_privacy_settings set project_id = '{my_project}' where project_id = '{film}'"
    ),
    "project_privacy_settings: backdate": (
        "with dated as (update public.project_privacy_settings set updated_at = 'epoch' returning updated_at)"
        " select from dated where updated_at = 'epoch'"
    ),
    "project_privacy_settings: reset all": "delete from public.project_privacy_settings",
    "project_teams: see": "select from public.project_teams",
    "project_teams: share mine": _SHARE + "('{my_project}', '{studio}', 'edit')",
    "project_teams: share the diary": (
        "insert into public.project_teams (project_id, team_id) values ('{diary}', '{studio}')"
    ),
    "project_teams: share mine with rivals": _SHARE + "('{my_project}', '{rivals}', 'edit')",
    "project_teams: share as another": (
        "insert into public.project_teams (project_id, team_id, shared_by)"
        " values ('{my_project}', '{studio}', '{guest}')"
    ),
    "project_teams: let all view only": "update public.project_teams set access = 'view'",
    "project_teams: move to another team": (
        "update public.project_teams set team_id = '{rivals}' where project_id = '{film}'"
    ),
    "project_teams: backdate": "update public.project_teams set shared_at = 'epoch'",
    "project_teams: end all": "delete from public.project_teams",
    "generation_collaborations: see": "select from public.generation_collaborations",
    "generation_collaborations: comment": _NOTE + "('{take}', '{studio}', 'comment')",
    "generation_collaborations: remix": _NOTE + "('{take}', '{studio}', 'remix')",
    "generation_collaborations: edit": _NOTE + "('{take}', '{studio}', 'edit')",
    "generation_collaborations: edit if viewed": _NOTE + "('{cover}', '{studio}', 'edit')",
    "generation_collaborations: note on mine": _NOTE + "('{my_generation}', null, 'comment')",
    "generation_collaborations: note on take": _NOTE + "('{take}', null, 'comment')",
    "generation_collaborations: sign as another": (
        "insert into public.generation_collaborations (generation_id, team_id, user_id, kind)"
        " values ('{take}', '{studio}', '{guest}', 'comment')"
    ),
    "generation_collaborations: forge transfer": _NOTE + "('{my_generation}', null, 'transfer')",
    "generation_collaborations: reword all": "update public.generation_collaborations set note = 'reworded'",
    "generation_collaborations: change kinds": "update public.generation_collaborations set kind = 'edit'",
    "generation_collaborations: delete all": "delete from public.generation_collaborations",
    "functions: my_teams": "select public.my_teams()",
    "functions: is_team_member": "select where public.is_team_member('{studio}')",
    "functions: team_role": "select where public.team_role('{studio}') is not null",
    "functions: discover_teams": "select from public.discover_teams()",
    "functions: my_shares": "select from public.my_shares()",
    "functions: shared_projects": "select from public.shared_projects()",
    "functions: project_access of film is edit": "select where public.project_access('{film}') = 'edit'",
    "functions: project_access of film is view": "select where public.project_access('{film}') = 'view'",
    "functions: project_access of mine is owner": "select where public.project_access('{my_project}') = 'owner'",
    "functions: project_access by link is view": "select where public.project_access('{leaflet}') = 'view'",
    "functions: project_access while paused": "select where public.project_access('{paused}') is not null",
    "functions: shared_generations of film": "select from public.shared_generations('{film}')",
    "functions: shared_generations while paused": "select from public.shared_generations('{paused}')",
    "functions: shared_generations by link": "select from public.shared_generations('{leaflet}')",
    "functions: may_collaborate": "select where public.may_collaborate('{take}', '{studio}', 'comment')",
    "functions: invite_to_team": "select from public.invite_to_team('{studio}', ' New@People.test ', 'admin')",
    "functions: invite_to_team, invited already": (
        "select from public.invite_to_team('{studio}', 'guest@people.test', 'viewer')"
    ),
    "functions: invite_to_team, a member": (
        "select from public.invite_to_team('{studio}', 'Viewer@people.test', 'admin')"
    ),
    "functions: invite_to_team, as owner": "select from public.invite_to_team('{studio}', 'a@b.test', 'owner')",
    "functions: invite_to_team, no address": "select from public.invite_to_team('{studio}', 'somebody', 'viewer')",
    "functions: accept_invitation of the guest": "select public.accept_invitation('open')",
    "functions: accept_invitation, no such": "select public.accept_invitation('no such')",
    "functions: belongs_to": "select public.belongs_to(null, null)",
    "functions: explain_refusal": "select public.explain_refusal(sha256('open'))",
    "functions: transfer film to sketch": "select public.transfer_generation('{take}', '{sketch}')",
    "functions: transfer sketch to film": "select public.transfer_generation('{study}', '{film}')",
    "functions: transfer film to poster": "select public.transfer_generation('{take}', '{poster}')",
    "functions: transfer poster to sketch": "select public.transfer_generation('{cover}', '{sketch}')",
    "functions: transfer film to mine": "select public.transfer_generation('{take}', '{my_project}')",
    "functions: transfer mine to sketch": "select public.transfer_generation('{my_generation}', '{sketch}')",
    "functions: transfer mine to alien": "select public.transfer_generation('{my_generation}', '{alien}')",
    "functions: transfer film to film": "select public.transfer_generation('{take}', '{film}')",
    "users: see": "select from public.users",
    "projects: see": "select from public.projects",
    "projects: see the film's row": "select from public.projects where id = '{film}'",
    "generations: see": "select from public.generations",
    "generations: reword all": "update public.generations set prompt = 'reworded'",
}

_WHY: Mapping[str, str] = {
    "23502": "invalid",
    "23503": "missing",
    "23505": "taken",
    "23514": "invalid",
    "P0001": "refused",
}


def expected() -> dict[tuple[str, str], str]:
    """The table above, as (what is tried, by whom) → answer."""
    told: dict[tuple[str, str], str] = {}
    for line in EXPECTED.strip().splitlines()[1:]:
        *words, owner, admin, editor, viewer, stranger, anon, service = line.split()
        answers = (owner, admin, editor, viewer, stranger, anon, service)
        told |= {(" ".join(words), actor): answer for actor, answer in zip(ACTORS, answers, strict=True)}
    return told


def answers(line: psycopg.Connection, *, first: str = "") -> Iterator[tuple[tuple[str, str], str]]:
    """Every answer of this database, those about the table `first` before all others."""
    for what in sorted(TRIES, key=lambda what: not what.startswith(f"{first}:")):
        for actor in ACTORS:
            yield (what, actor), answer(line, actor, TRIES[what])


def answer(line: psycopg.Connection, actor: str, statement: str) -> str:
    """What one person gets for one statement; nothing of it is kept."""
    try:
        with acting(line, actor):
            rows = line.execute(filled(statement, actor)).rowcount
            raise psycopg.Rollback
    except psycopg.errors.InsufficientPrivilege as refusal:
        said = str(refusal)
        return "denied" if "permission denied" in said else "policy" if "row-level security" in said else "guard"
    except psycopg.Error as refusal:
        return _WHY.get(refusal.sqlstate or "", str(refusal))
    return str(rows)
