"""What `bluegreen validate` asks of the demo app: plain questions, and a journey through everything that teams can do.

The journey is three people's: the owner makes a team, invites the member, shares a project and moves a picture; the
stranger is refused at every door, and whoever shows no token, too. What it makes has names of its own in every run, and
it takes everything away again, even when a step failed.

Deliberately not here: who these people are (`sandbox.people`), and what is asked while traffic moves (`Stack.judge`).
"""

from collections.abc import Mapping
from typing import Any

PEOPLE = ("owner", "member", "stranger")  # the names of their tokens
NOBODYS = "00000000-0000-4000-8000-000000000000"
Check = dict[str, Any]


def questions() -> list[Check]:
    """Everything, in its order: the backend's, the journey's, the frontend's."""
    return [*_plain(), *_team(), *_members(), *_sharing(), *_transfer(), *_cleanup(), _page()]


def _plain() -> list[Check]:
    return [
        _check("api-says-hello", "/api/hello", json={"app": "backend"}),
        _check("api-lists-projects", "/api/projects", who="owner", json=[]),
        _check("api-knows-who-asks", "/api/me", who="owner", json={"email": "owner@example.com"}),
        _check("api-asks-for-a-token", "/api/teams", status=401),
        _check("api-has-no-such-team", f"/api/teams/{NOBODYS}", who="owner", status=404),
        {"name": "gateway-asks-for-a-key", "app": "backend", "path": "/api/hello", "expect": {"status": 401}},
    ]


def _team() -> list[Check]:
    made, team = {"name": "Owls", "slug": "owls-${run}"}, "/api/teams/${team}"
    return [
        _step("team-is-made", "/api/teams", who="owner", body=made, status=201, json=made, capture={"team": "id"}),
        _step("team-asks-for-a-token", team, status=401),
        _step("team-is-hidden-from-strangers", team, who="stranger", status=404),
        _step("team-is-not-the-strangers-to-delete", team, method="DELETE", who="stranger", status=404),
        _step("owner-owns-the-team", team, who="owner", json={"id": "${team}", "role": "owner"}),
        _step("owner-lists-the-team", "/api/teams", who="owner", json=[{"id": "${team}"}]),
    ]


def _members() -> list[Check]:
    invitations, accept = "/api/teams/${team}/invitations", "/api/invitations/accept"
    asked, shown = {"email": "member@example.com", "role": "editor"}, {"token": "${invite}"}
    known: dict[str, Any] = {"capture": {"invitation": "id", "invite": "token"}}
    return [
        _step("member-is-invited", invitations, who="owner", body=asked, status=201, **known),
        _step("strangers-invite-nobody", invitations, who="stranger", body=asked, status=403),
        _step("strangers-cannot-take-the-invitation", accept, who="stranger", body=shown, status=403),
        _step("member-accepts", accept, who="member", body=shown, json={"team_id": "${team}"}),
        _step("an-invitation-works-once", accept, who="member", body=shown, status=409),
        _step("team-has-two", "/api/teams/${team}/members", who="member", json=[{"role": "owner"}, {"role": "editor"}]),
    ]


def _sharing() -> list[Check]:
    made, shared = {"name": "Barn ${run}"}, {"team_id": "${team}", "access": "view"}
    teams, seen = "/api/projects/${project}/teams", "/api/shared/projects/${project}/generations"
    picture, of = {"model": "flux-pro", "prompt": "an owl"}, "/api/projects/${project}/generations"
    return [
        _step("project-is-made", "/api/projects", who="owner", body=made, status=201, capture={"project": "id"}),
        _step("picture-is-made", of, who="owner", body=picture, status=201, capture={"picture": "id"}),
        _step("project-is-private-at-first", seen, who="member", status=404),
        _step("strangers-share-nothing", teams, who="stranger", body=shared, status=403),
        _step("project-is-shared", teams, who="owner", body=shared, status=201),
        _step("member-sees-the-project", "/api/shared/projects", who="member", json=[{"id": "${project}"}]),
        _step("member-sees-the-picture", seen, who="member", json=[{"id": "${picture}"}]),
        _step("strangers-see-nothing-shared", seen, who="stranger", status=404),
    ]


def _transfer() -> list[Check]:
    path, there, moved = "/api/generations/${picture}/transfer", {"name": "Attic ${run}"}, {"project_id": "${attic}"}
    return [
        _step("second-project-is-made", "/api/projects", who="owner", body=there, status=201, capture={"attic": "id"}),
        _step("strangers-move-no-picture", path, who="stranger", body=moved, status=403),
        _step("picture-is-moved", path, who="owner", body=moved, json=moved),
        _step("picture-lies-there", "/api/generations/${picture}", who="owner", json=moved),
    ]


def _cleanup() -> list[Check]:
    gone: dict[str, Any] = {"method": "DELETE", "who": "owner", "status": 204, "cleanup": True}
    return [
        _step("second-project-is-deleted", "/api/projects/${attic}", **gone),
        _step("project-is-deleted", "/api/projects/${project}", **gone),
        _step("team-is-deleted", "/api/teams/${team}", **gone),
    ]


def _page() -> Check:
    expect = {"contentType": "text/html", "assets": True}
    return {"name": "page-and-its-assets", "app": "frontend", "host": "frontend.sandbox", "path": "/", "expect": expect}


def _step(name: str, path: str, *, body: Any = None, method: str = "", **more: Any) -> Check:
    """One step of the journey; what has a body writes."""
    method = method or ("GET" if body is None else "POST")
    told: Mapping[str, Any] = {"method": method, "writes": True} if method != "GET" else {}
    given = {} if body is None else {"body": body}
    return {**_check(name, path, **more), "journey": "teams", **told, **given}


def _check(name: str, path: str, *, who: str = "", status: int = 200, json: Any = None, **more: Any) -> Check:
    """A question to the backend, by the consumer that may, as one of the three or as nobody."""
    expect = {"status": status, **({} if json is None else {"json": json})}
    token = {"token": who} if who else {}
    return {"name": name, "app": "backend", "path": path, "consumer": "web", **token, "expect": expect, **more}
