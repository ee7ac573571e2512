"""What a release of the backend promises, as data that can be run against any base URL: release 1's list, and what
release 2 adds to it.

`python -m tests.release_checks BASE --version 2 --database OWNER_URL --secret SECRET` signs three people up in that
database, makes their tokens and prints what is not as promised; `--header 'apikey: …'` goes with every request.
"""

import argparse
import json
import re
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.app_room import ANON, Answer, Person, ask, sign_up, token

Ask = Callable[[str, str, Any, Mapping[str, str]], Answer]
SHAPES = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"[0-9a-f]{32,}"), "<token>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+\+00:00"), "<time>"),
    (re.compile(r"[\w.-]+@example\.com"), "<address>"),
    (re.compile(r"-[0-9a-f]{12}\b"), "-<run>"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One request and the status it must get. `keeps` names what later steps may put into `{…}`."""

    says: str
    method: str
    path: str
    status: int
    who: str = "ann"
    body: Any = None
    keeps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """What a step got; `told` is the body without what differs from run to run."""

    step: Step
    status: int
    told: Any

    @property
    def fault(self) -> str:
        if self.status == self.step.status:
            return ""
        return f"{self.step.says}: {self.step.method} {self.step.path} answered {self.status}, not {self.step.status}"


NAME = {"name": "Autumn"}
PICTURE = {"model": "flux-pro", "prompt": "a tree"}
V1 = (
    Step("it says hello", "GET", "/api/hello", 200, who="anon"),
    Step("it can be slow", "GET", "/api/slow?seconds=0.01", 200, who="anon"),
    Step("it knows me", "GET", "/api/me", 200),
    Step("it knows nobody without a token", "GET", "/api/me", 404, who="anon"),
    Step("a forged token is refused", "GET", "/api/me", 401, who="forger"),
    Step("I begin with no projects", "GET", "/api/projects", 200),
    Step("I make a project", "POST", "/api/projects", 201, body=NAME, keeps={"project": "id"}),
    Step("and another", "POST", "/api/projects", 201, body={**NAME, "description": "red"}, keeps={"other": "id"}),
    Step("nobody makes one without a token", "POST", "/api/projects", 401, who="anon", body=NAME),
    Step("a project has a name", "POST", "/api/projects", 400, body={"description": "red"}),
    Step("a name is not empty", "POST", "/api/projects", 400, body={"name": ""}),
    Step("a name is text", "POST", "/api/projects", 400, body={"name": 7}),
    Step("a body has known fields", "POST", "/api/projects", 400, body={**NAME, "owner": "me"}),
    Step("a body is JSON", "POST", "/api/projects", 400, body=b"{name"),
    Step("a body is an object", "POST", "/api/projects", 400, body=["Autumn"]),
    Step("I see both", "GET", "/api/projects", 200),
    Step("others see theirs", "GET", "/api/projects", 200, who="bob"),
    Step("nobody sees none", "GET", "/api/projects", 200, who="anon"),
    Step("I read one", "GET", "/api/projects/{project}", 200),
    Step("others do not", "GET", "/api/projects/{project}", 404, who="bob"),
    Step("an id has a form", "GET", "/api/projects/seven", 400),
    Step("I rename it", "PATCH", "/api/projects/{project}", 200, body={"name": "Winter"}),
    Step("I describe it", "PATCH", "/api/projects/{project}", 200, body={"description": "white"}),
    Step("I take the description away", "PATCH", "/api/projects/{project}", 200, body={"description": None}),
    Step("others do not rename it", "PATCH", "/api/projects/{project}", 404, who="bob", body=NAME),
    Step("others do not delete it", "DELETE", "/api/projects/{project}", 404, who="bob"),
    Step("it has no pictures", "GET", "/api/projects/{project}/generations", 200),
    Step("I ask for one", "POST", "/api/projects/{project}/generations", 201, body=PICTURE, keeps={"picture": "id"}),
    Step("a picture has a prompt", "POST", "/api/projects/{project}/generations", 400, body={"model": "flux-pro"}),
    Step("others ask for none in it", "POST", "/api/projects/{project}/generations", 404, who="bob", body=PICTURE),
    Step("I see it in the project", "GET", "/api/projects/{project}/generations", 200),
    Step("others see no such project", "GET", "/api/projects/{project}/generations", 404, who="bob"),
    Step("I see it alone", "GET", "/api/generations/{picture}", 200),
    Step("others do not see it", "GET", "/api/generations/{picture}", 404, who="bob"),
    Step("I delete the project", "DELETE", "/api/projects/{project}", 204),
    Step("it is gone", "GET", "/api/projects/{project}", 404),
    Step("and cannot be deleted again", "DELETE", "/api/projects/{project}", 404),
    Step("the picture stays mine", "GET", "/api/generations/{picture}", 200),
    Step("the other project is as it was", "GET", "/api/projects/{other}", 200),
    Step("a path that is none", "GET", "/api/nowhere", 404),
    Step("a method that is none", "PUT", "/api/projects", 405),
)
V1_ALONE = (
    Step("it knows no teams", "GET", "/api/teams", 404),
    Step("it makes no teams", "POST", "/api/teams", 404, body={"name": "Foxes", "slug": "foxes"}),
    Step("it knows no shares", "GET", "/api/shared/projects", 404),
)

TEAM = {"name": "Foxes", "slug": "foxes-{run}", "visibility": "discoverable"}
V2 = (
    Step("I make a team", "POST", "/api/teams", 201, body=TEAM, keeps={"team": "id"}),
    Step("a slug is taken once", "POST", "/api/teams", 409, body=TEAM),
    Step("a slug has a form", "POST", "/api/teams", 400, body={"name": "Foxes", "slug": "The Foxes!"}),
    Step("I own it", "GET", "/api/teams/{team}", 200),
    Step("it is mine to rename", "PATCH", "/api/teams/{team}", 200, body={"name": "Red foxes"}),
    Step("it is in my list", "GET", "/api/teams", 200),
    Step("others see that it is there", "GET", "/api/teams/discover", 200, who="bob"),
    Step("but not what is in it", "GET", "/api/teams/{team}", 404, who="bob"),
    Step("I invite Bob", "POST", "/api/teams/{team}/invitations", 201,
         body={"email": "{bob}", "role": "editor"}, keeps={"token": "token"}),
    Step("the invitation is listed", "GET", "/api/teams/{team}/invitations", 200),
    Step("it is not for Cleo", "POST", "/api/invitations/accept", 403, who="cleo", body={"token": "{token}"}),
    Step("Bob accepts", "POST", "/api/invitations/accept", 200, who="bob", body={"token": "{token}"}),
    Step("once", "POST", "/api/invitations/accept", 409, who="bob", body={"token": "{token}"}),
    Step("I invite Cleo", "POST", "/api/teams/{team}/invitations", 201,
         body={"email": "{cleo}", "role": "viewer"}, keeps={"second": "token", "invitation": "id"}),
    Step("and withdraw it", "DELETE", "/api/invitations/{invitation}", 204),
    Step("once", "DELETE", "/api/invitations/{invitation}", 409),
    Step("Cleo comes too late", "POST", "/api/invitations/accept", 409, who="cleo", body={"token": "{second}"}),
    Step("we are two", "GET", "/api/teams/{team}/members", 200, who="bob"),
    Step("an editor is no admin", "PATCH", "/api/teams/{team}", 403, who="bob", body={"name": "Mine"}),
    Step("I make a project", "POST", "/api/projects", 201, body=NAME, keeps={"project": "id"}),
    Step("with a picture", "POST", "/api/projects/{project}/generations", 201, body=PICTURE, keeps={"picture": "id"}),
    Step("Bob makes a project", "POST", "/api/projects", 201, who="bob", body=NAME, keeps={"theirs": "id"}),
    Step("nothing is shared yet", "GET", "/api/shared/projects", 200, who="bob"),
    Step("I share mine", "POST", "/api/projects/{project}/teams", 201, body={"team_id": "{team}", "access": "edit"}),
    Step("once", "POST", "/api/projects/{project}/teams", 409, body={"team_id": "{team}"}),
    Step("Bob shares his", "POST", "/api/projects/{theirs}/teams", 201, who="bob",
         body={"team_id": "{team}", "access": "edit"}),
    Step("Bob sees mine", "GET", "/api/shared/projects", 200, who="bob"),
    Step("and its pictures", "GET", "/api/shared/projects/{project}/generations", 200, who="bob"),
    Step("as shared, not as his own", "GET", "/api/projects/{project}", 404, who="bob"),
    Step("Cleo sees nothing", "GET", "/api/shared/projects/{project}/generations", 404, who="cleo"),
    Step("Bob comments", "POST", "/api/generations/{picture}/collaborations", 201, who="bob",
         body={"kind": "comment", "team_id": "{team}", "note": "more red"}),
    Step("I read it", "GET", "/api/generations/{picture}/collaborations", 200),
    Step("comments can be off", "PUT", "/api/projects/{project}/privacy", 200,
         body={"visibility": "team", "allow_comments": False}),
    Step("then Bob comments no more", "POST", "/api/generations/{picture}/collaborations", 403, who="bob",
         body={"kind": "comment", "team_id": "{team}"}),
    Step("I move the picture to Bob's project", "POST", "/api/generations/{picture}/transfer", 200,
         body={"project_id": "{theirs}"}),
    Step("it is there", "GET", "/api/shared/projects/{theirs}/generations", 200),
    Step("a paused share", "PUT", "/api/projects/{project}/privacy", 200, body={"visibility": "private"}),
    Step("is nothing to see", "GET", "/api/shared/projects/{project}/generations", 404, who="bob"),
    Step("I end the share", "DELETE", "/api/projects/{project}/teams/{team}", 204),
    Step("an owner does not leave", "DELETE", "/api/teams/{team}/members/{ann_id}", 403),
    Step("Bob does", "DELETE", "/api/teams/{team}/members/{bob_id}", 204, who="bob"),
    Step("I delete the team", "DELETE", "/api/teams/{team}", 204),
    Step("it is gone", "GET", "/api/teams/{team}", 404),
)  # fmt: skip


def run(send: Ask, people: Mapping[str, Person], steps: Sequence[Step]) -> list[Done]:
    """Every step in its order, whatever the one before got; `people` has ann, bob, cleo."""
    everybody = {**people, "anon": ANON, "forger": Person("forger", token=token("x" * 32, sub=str(uuid.uuid4())))}
    kept = {"run": uuid.uuid4().hex[:12]}
    for name, person in people.items():
        kept |= {name: person.email, f"{name}_id": person.id}
    done = []
    for step in steps:
        answer = send(step.method, _filled(step.path, kept), _filled(step.body, kept), everybody[step.who].headers)
        if isinstance(answer.body, dict):
            kept |= {name: str(answer.body[source]) for name, source in step.keeps.items() if source in answer.body}
        done.append(Done(step, answer.status, _told(answer.body)))
    return done


def faults(done: Sequence[Done]) -> list[str]:
    """What was not as promised."""
    return [one.fault for one in done if one.fault]


def _filled(value: Any, kept: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: kept.get(found[1], f"no-{found[1]}"), value)
    if isinstance(value, dict):
        return {key: _filled(part, kept) for key, part in value.items()}
    return value


def _told(body: Any) -> Any:
    if isinstance(body, dict):
        body = {key: value for key, value in body.items() if key != "correlation_id"}
    text = json.dumps(body)
    for pattern, word in SHAPES:
        text = pattern.sub(word, text)
    return json.loads(text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.release_checks", description=__doc__)
    parser.add_argument("base")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--database", required=True, metavar="OWNER_URL")
    parser.add_argument("--secret", required=True)
    parser.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'")
    options = parser.parse_args()
    extra = {name.strip(): value.strip() for name, _, value in (text.partition(":") for text in options.header)}
    names = {name: f"{name}-{uuid.uuid4().hex[:12]}" for name in ("ann", "bob", "cleo")}
    signed = sign_up(options.database, *names.values(), secret=options.secret)
    people = {name: signed[unique] for name, unique in names.items()}
    steps = (*V1, *V2) if options.version >= 2 else (*V1, *V1_ALONE)
    done = run(lambda method, path, body, headers: ask(options.base, method, path, body, {**extra, **headers}),
               people, steps)  # fmt: skip
    wrong = faults(done)
    print("\n".join([*wrong, f"{len(done) - len(wrong)} of {len(done)} as promised"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
