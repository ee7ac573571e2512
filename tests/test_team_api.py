"""The team endpoints as everybody: owner, admin, editor, viewer, stranger and nobody; and the stories they make."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from sandbox.backend.teams import ROUTES
from tests.app_room import ANON, Answer, App, Person, app, migrate, sign_up
from tests.database import database

ROLES = ("owner", "admin", "editor", "viewer", "stranger", "anon")
TEAM = {"name": "Owls", "slug": "{new}"}
COMMENT = {"kind": "comment", "team_id": "{team}", "note": "more red"}

# `owners` is a project of the team's owner and `editors` one of its editor, both shared for editing; `picture` lies in
# `owners` and is the owner's. `apart` and `own_of_…` are shared with nobody. Every cell meets a team of its own.
MATRIX: list[tuple[str, str, Any, str]] = [
    #                                                                     owner admin editor viewer stranger anon
    ("GET", "/api/teams", None,                                             "200 200 200 200 200 401"),
    ("POST", "/api/teams", TEAM,                                            "201 201 201 201 201 401"),
    ("POST", "/api/teams", {**TEAM, "slug": "Not A Slug"},                  "400 400 400 400 400 401"),
    ("POST", "/api/teams", {"name": "Owls"},                                "400 400 400 400 400 400"),
    ("POST", "/api/teams", {**TEAM, "slug": "{slug}"},                      "409 409 409 409 409 401"),
    ("GET", "/api/teams/discover", None,                                    "200 200 200 200 200 401"),
    ("GET", "/api/teams/{team}", None,                                      "200 200 200 200 404 401"),
    ("GET", "/api/teams/{none}", None,                                      "404 404 404 404 404 401"),
    ("GET", "/api/teams/seven", None,                                       "400 400 400 400 400 400"),
    ("PATCH", "/api/teams/{team}", {"name": "Barn owls"},                   "200 200 403 403 404 401"),
    ("PATCH", "/api/teams/{team}", {"visibility": "public"},                "400 400 403 403 404 401"),
    ("DELETE", "/api/teams/{team}", None,                                   "204 403 403 403 404 401"),
    ("GET", "/api/teams/{team}/members", None,                              "200 200 200 200 404 401"),
    ("PATCH", "/api/teams/{team}/members/{viewer}", {"role": "editor"},     "200 200 403 403 404 401"),
    ("PATCH", "/api/teams/{team}/members/{admin}", {"role": "viewer"},      "200 200 403 403 404 401"),
    ("PATCH", "/api/teams/{team}/members/{owner}", {"role": "admin"},       "403 403 403 403 404 401"),
    ("PATCH", "/api/teams/{team}/members/{viewer}", {"role": "owner"},      "403 403 403 403 404 401"),
    ("PATCH", "/api/teams/{team}/members/{admin}", {"role": "owner"},       "403 403 403 403 404 401"),
    ("PATCH", "/api/teams/{team}/members/{viewer}", {"role": "boss"},       "400 400 403 403 404 401"),
    ("PATCH", "/api/teams/{team}/members/{stranger}", {"role": "viewer"},   "404 404 404 404 404 401"),
    ("DELETE", "/api/teams/{team}/members/{viewer}", None,                  "204 204 403 204 404 401"),
    ("DELETE", "/api/teams/{team}/members/{admin}", None,                   "204 204 403 403 404 401"),
    ("DELETE", "/api/teams/{team}/members/{owner}", None,                   "403 403 403 403 404 401"),
    ("GET", "/api/teams/{team}/invitations", None,                          "200 200 200 200 404 401"),
    ("POST", "/api/teams/{team}/invitations",
     {"email": "new@example.com", "role": "viewer"},                        "201 201 403 403 403 401"),
    ("POST", "/api/teams/{team}/invitations",
     {"email": "new@example.com", "role": "owner"},                         "400 400 403 403 403 401"),
    ("POST", "/api/teams/{team}/invitations",
     {"email": "viewer@example.com", "role": "editor"},                     "409 409 403 403 403 401"),
    ("DELETE", "/api/invitations/{invitation}", None,                       "204 204 404 404 404 401"),
    ("POST", "/api/invitations/accept", {"token": "{token}"},               "403 403 403 403 200 401"),
    ("POST", "/api/invitations/accept", {"token": "no such token"},         "404 404 404 404 404 401"),
    ("GET", "/api/projects/{owners}/privacy", None,                         "200 200 200 200 404 401"),
    ("PUT", "/api/projects/{owners}/privacy", {"visibility": "private"},    "200 403 403 403 403 401"),
    ("PUT", "/api/projects/{owners}/privacy", {"visibility": "everybody"},  "400 403 403 403 403 401"),
    ("PUT", "/api/projects/{owners}/privacy",
     {"visibility": "team", "allow_remix": "no"},                           "400 400 400 400 400 400"),
    ("GET", "/api/projects/{owners}/teams", None,                           "200 200 200 200 404 401"),
    ("POST", "/api/projects/{apart}/teams", {"team_id": "{team}"},          "201 403 403 403 403 401"),
    ("POST", "/api/projects/{own_of_editor}/teams", {"team_id": "{team}"},  "403 403 201 403 403 401"),
    ("POST", "/api/projects/{own_of_viewer}/teams", {"team_id": "{team}"},  "403 403 403 403 403 401"),
    ("POST", "/api/projects/{own_of_stranger}/teams",
     {"team_id": "{team}"},                                                 "403 403 403 403 403 401"),
    ("POST", "/api/projects/{apart}/teams",
     {"team_id": "{team}", "access": "all"},                                "400 403 403 403 403 401"),
    ("DELETE", "/api/projects/{owners}/teams/{team}", None,                 "204 204 403 403 404 401"),
    ("DELETE", "/api/projects/{editors}/teams/{team}", None,                "204 204 204 403 404 401"),
    ("GET", "/api/shared/projects", None,                                   "200 200 200 200 200 401"),
    ("GET", "/api/shared/projects/{owners}/generations", None,              "200 200 200 200 404 401"),
    ("GET", "/api/shared/projects/{apart}/generations", None,               "200 404 404 404 404 401"),
    ("POST", "/api/generations/{picture}/transfer",
     {"project_id": "{editors}"},                                           "200 200 403 403 403 401"),
    ("POST", "/api/generations/{picture}/transfer",
     {"project_id": "{own_of_admin}"},                                      "403 403 403 403 403 401"),
    ("GET", "/api/generations/{picture}/collaborations", None,              "200 200 200 200 200 401"),
    ("POST", "/api/generations/{picture}/collaborations", COMMENT,          "201 201 201 403 403 401"),
    ("POST", "/api/generations/{picture}/collaborations",
     {**COMMENT, "kind": "edit"},                                           "201 201 201 403 403 401"),
    ("POST", "/api/generations/{picture}/collaborations",
     {**COMMENT, "kind": "transfer"},                                       "403 403 403 403 403 401"),
    ("GET", "/api/projects/{owners}", None,                                 "200 404 404 404 404 404"),
    ("DELETE", "/api/projects/{owners}", None,                              "204 404 404 404 404 404"),
]  # fmt: skip


@dataclass
class Room:
    """Release 2 on a database with 011, and six people."""

    app: App
    line: psycopg.Connection[Any]
    people: dict[str, Person]

    def ask(self, role: str, method: str, path: str, body: Any = None) -> Answer:
        return self.app.ask(method, path, body, self.people[role])

    def team(self) -> dict[str, str]:
        """A new team with all its members and what they share; ids by name."""
        made = {name: str(uuid.uuid4()) for name in ("team", "none", "owners", "editors", "apart", "picture")}
        made |= {name: person.id for name, person in self.people.items()}
        made |= {"new": uuid.uuid4().hex, "slug": uuid.uuid4().hex, "token": uuid.uuid4().hex}
        made |= {f"own_of_{role}": str(uuid.uuid4()) for role in ("admin", "editor", "viewer", "stranger")}
        run, team, owner = self.line.execute, made["team"], made["owner"]
        run("insert into teams (id, name, slug, created_by) values (%s, 'Foxes', %s, %s)", (team, made["slug"], owner))
        for role in ("admin", "editor", "viewer"):
            run("insert into team_members values (%s, %s, %s)", (team, made[role], role))
        whose = {"owners": "owner", "editors": "editor", "apart": "owner"}
        for name, role in {**whose, **{f"own_of_{role}": role for role in ROLES[1:5]}}.items():
            run("insert into projects (id, user_id, name) values (%s, %s, %s)", (made[name], made[role], name))
        for name in ("owners", "editors"):
            run(
                "insert into project_teams (project_id, team_id, access, shared_by) values (%s, %s, 'edit', %s)",
                (made[name], team, made[whose[name]]),
            )
        run(
            "insert into generations (id, user_id, project_id, model, prompt) values (%s, %s, %s, 'flux-pro', 'a fox')",
            (made["picture"], owner, made["owners"]),
        )
        made["invitation"] = self.invitation(team, made["token"])
        return made

    def invitation(self, team: str, token: str, expires: str = "7 days") -> str:
        """One for the stranger, from the owner."""
        row = self.line.execute(
            "insert into team_invitations (team_id, email, role, token_sha256, invited_by, expires_at) "
            "values (%s, 'stranger@example.com', 'editor', %s, %s, now() + %s::interval) returning id",
            (team, sha256(token.encode()).digest(), self.people["owner"].id, expires),
        ).fetchone()
        assert row is not None
        return str(row[0])


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    url = database()
    migrate(url)
    people = {**sign_up(url, *ROLES[:5]), "anon": ANON}
    with app("v2", owner_url=url) as one, psycopg.connect(url, autocommit=True) as line:
        yield Room(one, line, people)


def named(value: Any, ids: dict[str, str]) -> Any:
    """With what the placeholders stand for."""
    if isinstance(value, dict):
        return {key: named(part, ids) for key, part in value.items()}
    return value.format_map(ids) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"), MATRIX, ids=[f"{row[0]} {row[1]} {row[2] or ''}" for row in MATRIX]
)
def test_everybody_may_what_their_role_says(room: Room, method: str, path: str, body: Any, expected: str) -> None:
    got = []
    for role in ROLES:
        ids = room.team()
        got.append(str(room.ask(role, method, named(path, ids), named(body, ids)).status))
    assert dict(zip(ROLES, got, strict=True)) == dict(zip(ROLES, expected.split(), strict=True))


def test_every_endpoint_of_release_2_is_in_the_matrix() -> None:
    asked = [(method, path) for method, path, _, _ in MATRIX]
    left = [
        (route.method, route.path)
        for route in ROUTES
        if not any(route.method == method and route.pattern.fullmatch(path) for method, path in asked)
    ]
    assert left == []


def test_release_1_has_none_of_them() -> None:
    with app("v1", owner_url=database()) as one:
        found = {(route.method, route.path): one.ask(route.method, route.path, {}).status for route in ROUTES}
    assert set(found.values()) == {404}, found


# ── Invitations ───────────────────────────────────────────────────────────────────────────────────────────────────────


def invited(room: Room, ids: dict[str, str], email: str = "Stranger@Example.com", role: str = "editor") -> Answer:
    return room.ask("owner", "POST", f"/api/teams/{ids['team']}/invitations", {"email": email, "role": role})


def accepted(room: Room, role: str, token: str) -> tuple[int, str]:
    answer = room.ask(role, "POST", "/api/invitations/accept", {"token": token})
    return answer.status, answer.body.get("error", "")


def test_an_invitations_token_is_shown_once_and_kept_nowhere(room: Room) -> None:
    ids = room.team()
    made = invited(room, ids)
    assert sorted(made.body) == ["id", "token"]
    listed = room.ask("owner", "GET", f"/api/teams/{ids['team']}/invitations").body
    assert {made.body["id"]} == {one["id"] for one in listed if one["revoked_at"] is None}
    kept = room.line.execute("select i::text from team_invitations i").fetchall()
    assert made.body["token"] not in f"{listed}{kept}"


def test_an_invitation_makes_a_member_with_its_role(room: Room) -> None:
    ids = room.team()
    assert accepted(room, "stranger", invited(room, ids, role="viewer").body["token"]) == (200, "")
    members = room.ask("stranger", "GET", f"/api/teams/{ids['team']}/members").body
    assert {one["user_id"]: one["role"] for one in members}[ids["stranger"]] == "viewer"


def test_an_invitation_is_for_its_address_alone(room: Room) -> None:
    ids = room.team()
    assert accepted(room, "viewer", ids["token"]) == (403, "This invitation is for another address.")
    assert accepted(room, "stranger", ids["token"]) == (200, "")


def test_an_invitation_is_accepted_once(room: Room) -> None:
    ids = room.team()
    assert accepted(room, "stranger", ids["token"]) == (200, "")
    assert accepted(room, "stranger", ids["token"]) == (409, "This invitation has been accepted already.")


def test_an_invitation_accepted_by_many_requests_at_once_makes_one_member(room: Room) -> None:
    ids = room.team()
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda _: accepted(room, "stranger", ids["token"])[0], range(8)))
    assert sorted(got) == [200] + [409] * 7


def test_an_expired_invitation_says_so(room: Room) -> None:
    ids = room.team()
    room.line.execute("delete from team_invitations where team_id = %s", (ids["team"],))
    room.invitation(ids["team"], "late", expires="-1 second")
    assert accepted(room, "stranger", "late") == (409, "This invitation has expired.")


def test_a_withdrawn_invitation_says_so_and_is_withdrawn_once(room: Room) -> None:
    ids = room.team()
    path = f"/api/invitations/{ids['invitation']}"
    assert room.ask("admin", "DELETE", path).status == 204
    assert accepted(room, "stranger", ids["token"]) == (409, "This invitation was withdrawn.")
    again = room.ask("admin", "DELETE", path)
    assert (again.status, again.body["error"]) == (409, "This invitation is not open any more.")


def test_whoever_is_invited_again_has_one_token_that_works(room: Room) -> None:
    ids = room.team()
    second = invited(room, ids).body["token"]
    assert accepted(room, "stranger", ids["token"])[0] == 409
    assert accepted(room, "stranger", second)[0] == 200


def test_an_editor_sees_no_invitations(room: Room) -> None:
    ids = room.team()
    path = f"/api/teams/{ids['team']}/invitations"
    assert [len(room.ask(role, "GET", path).body) for role in ("owner", "admin", "editor", "viewer")] == [1, 1, 0, 0]


# ── Teams and roles ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_whoever_makes_a_team_owns_it(room: Room) -> None:
    made = room.ask("stranger", "POST", "/api/teams", {"name": "Larks", "slug": uuid.uuid4().hex}).body
    assert (made["created_by"], made["visibility"]) == (room.people["stranger"].id, "private")
    assert room.ask("stranger", "GET", f"/api/teams/{made['id']}").body["role"] == "owner"


def test_a_team_shows_everybody_their_own_role(room: Room) -> None:
    path = f"/api/teams/{room.team()['team']}"
    assert [room.ask(role, "GET", path).body["role"] for role in ROLES[:4]] == list(ROLES[:4])


def test_an_admin_can_do_nothing_to_the_owner(room: Room) -> None:
    ids = room.team()
    path = f"/api/teams/{ids['team']}/members/{ids['owner']}"
    told = [room.ask("admin", "PATCH", path, {"role": "viewer"}), room.ask("admin", "DELETE", path)]
    assert [(one.status, one.body["error"]) for one in told] == [
        (403, "The owner of a team stays its owner."),
        (403, "The owner cannot leave the team; delete the team instead."),
    ]
    assert room.ask("owner", "DELETE", f"/api/teams/{ids['team']}").status == 204


def test_only_discoverable_teams_are_found_by_others(room: Room) -> None:
    ids = room.team()

    def found() -> bool:
        return ids["team"] in [one["id"] for one in room.ask("stranger", "GET", "/api/teams/discover").body]

    before = found()
    room.ask("owner", "PATCH", f"/api/teams/{ids['team']}", {"visibility": "discoverable"})
    assert (before, found()) == (False, True)
    assert room.ask("stranger", "GET", f"/api/teams/{ids['team']}").status == 404


def test_a_patch_changes_what_it_names_and_null_takes_a_description_away(room: Room) -> None:
    path = f"/api/teams/{room.team()['team']}"
    described = room.ask("owner", "PATCH", path, {"description": "quick and brown"}).body
    renamed = room.ask("owner", "PATCH", path, {"name": "Red foxes"}).body
    cleared = room.ask("owner", "PATCH", path, {"description": None}).body
    assert [described["description"], renamed["description"], cleared["description"]] == ["quick and brown"] * 2 + [
        None
    ]
    assert (renamed["name"], cleared["name"], renamed["slug"]) == ("Red foxes", "Red foxes", described["slug"])


# ── Sharing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_shared_project_is_seen_with_its_pictures_by_members_only(room: Room) -> None:
    ids = room.team()
    seen = {}
    for role in ("admin", "editor", "viewer", "stranger"):
        listed = [one["id"] for one in room.ask(role, "GET", "/api/shared/projects").body]
        seen[role] = ids["owners"] in listed
    assert seen == {"admin": True, "editor": True, "viewer": True, "stranger": False}
    pictures = room.ask("viewer", "GET", f"/api/shared/projects/{ids['owners']}/generations").body
    assert [one["id"] for one in pictures] == [ids["picture"]]


def test_a_project_without_settings_is_as_it_is_shared_and_settings_hold(room: Room) -> None:
    ids = room.team()
    path = f"/api/projects/{ids['owners']}/privacy"
    before = room.ask("viewer", "GET", path).body
    assert (before["visibility"], before["allow_comments"], before["updated_by"]) == ("team", True, None)
    room.ask("owner", "PUT", path, {"visibility": "team", "allow_comments": False})
    after = room.ask("viewer", "GET", path).body
    assert (after["allow_comments"], after["allow_remix"], after["updated_by"]) == (False, True, ids["owner"])


def test_a_paused_share_is_nothing_to_see_and_can_be_resumed(room: Room) -> None:
    ids = room.team()
    pictures, privacy = f"/api/shared/projects/{ids['owners']}/generations", f"/api/projects/{ids['owners']}/privacy"
    room.ask("owner", "PUT", privacy, {"visibility": "private"})
    paused = room.ask("editor", "GET", pictures).status
    room.ask("owner", "PUT", privacy, {"visibility": "team"})
    assert (paused, room.ask("editor", "GET", pictures).status) == (404, 200)


def test_a_member_who_leaves_sees_nothing_any_more(room: Room) -> None:
    ids = room.team()
    assert room.ask("viewer", "DELETE", f"/api/teams/{ids['team']}/members/{ids['viewer']}").status == 204
    assert room.ask("viewer", "GET", f"/api/shared/projects/{ids['owners']}/generations").status == 404
    assert room.ask("viewer", "GET", f"/api/teams/{ids['team']}").status == 404


def test_a_transfer_moves_the_picture_keeps_its_owner_and_is_history(room: Room) -> None:
    ids = room.team()
    moved = room.ask("admin", "POST", f"/api/generations/{ids['picture']}/transfer", {"project_id": ids["editors"]})
    assert moved.body == {"generation_id": ids["picture"], "project_id": ids["editors"]}
    [there] = room.ask("viewer", "GET", f"/api/shared/projects/{ids['editors']}/generations").body
    assert (there["id"], there["user_id"]) == (ids["picture"], ids["owner"])
    [told] = room.ask("owner", "GET", f"/api/generations/{ids['picture']}/collaborations").body
    assert (told["kind"], told["user_id"], told["from_project_id"], told["to_project_id"]) == (
        "transfer",
        ids["admin"],
        ids["owners"],
        ids["editors"],
    )
    again = room.ask("admin", "POST", f"/api/generations/{ids['picture']}/transfer", {"project_id": ids["editors"]})
    assert (again.status, again.body["error"]) == (409, "The generation is in that project already.")
