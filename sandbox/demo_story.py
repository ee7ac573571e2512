"""The demo's story: each scene is one edit of the stack's config, and what must come of the update after it.

Config snapshots are commits here: restoring one is a revert. It deliberately runs nothing; `sandbox.demo` plays it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from sandbox.asking import call
from sandbox.people import Person
from sandbox.ports import Colour
from sandbox.stack import API_KEY, Stack

APPS = ("backend", "frontend")
REJECTED = "is rejected until rollout.retry names it"
CRASHES_AFTER = "9"  # seconds: the platform has long called it a success, and users are about to meet it


class Unexpected(Exception):
    """A scene did not end as it must; the text says what happened instead."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One edit and one update. `live` is who serves afterwards.

    `fails` is what the update must end with, `how` that is called, and `rejects` the app whose release must be rejected
    by it.
    """

    name: str
    edit: Callable[[Stack], None]
    live: Colour
    fails: str = ""
    how: str = "refused"
    rejects: str = ""
    options: tuple[str, ...] = ()
    without_railway: bool = False
    breaks: bool = False  # where --inject acts
    after: Sequence[Callable[[Stack, Person], str]] = ()  # what to look at then; what they say is printed


def scenes() -> list[Scene]:
    """The story; v1 knows nothing of schema 011. Config snapshots are commits: restoring one is a revert."""
    before_combined: dict[str, Any] = {}
    before_bad: dict[str, Any] = {}

    def combined(stack: Stack) -> None:
        before_combined.update(stack.snapshot())
        _deploy(stack, "green", "v3")
        stack.shift("green")

    def failing(stack: Stack) -> None:
        before_bad.update(stack.snapshot())
        _ship(stack, "v4-failing")  # 5 % of its answers are errors

    def crashing(stack: Stack) -> None:
        _ship(stack, "v6-crash-later")
        stack.config["velro:apps"]["backend"]["green"]["variables"] = {"SANDBOX_CRASH_AFTER": CRASHES_AFTER}
        stack.write()

    def exposed(stack: Stack) -> None:
        stack.restore(before_bad)
        _open(stack)

    return [
        Scene("migrate to schema 011", lambda stack: stack.migrate("011"), "blue", after=(_schema,)),
        Scene("deploy v2 beside it", lambda stack: _deploy(stack, "green", "v2"), "blue"),
        Scene("shift to green", lambda stack: stack.shift("green"), "green", breaks=True, after=(_team, _valid)),
        Scene(
            "roll back, Railway down",
            lambda stack: stack.shift("blue"),
            "blue",
            options=("--skip-preview",),
            without_railway=True,
        ),
        Scene("deploy v3 and shift", combined, "green"),
        Scene("revert that commit", lambda stack: stack.restore(before_combined), "blue"),
        Scene(
            "ship a v4 that fails", failing, "blue", fails=REJECTED, how="caught at its first share", rejects="backend"
        ),
        Scene("ship it all the same", lambda stack: None, "blue", fails="Set apps.backend.live back"),
        Scene(
            "ship a v5 that is slow",
            lambda stack: _ship(stack, "v5-slow"),
            "blue",
            fails=REJECTED,
            how="caught before traffic",
            rejects="backend",
        ),
        Scene(
            "ship a v6 that crashes", crashing, "blue", fails=REJECTED, how="caught as it fell over", rejects="backend"
        ),
        Scene("open the API to everybody", exposed, "blue", fails="is open to strangers"),
        Scene("take it all out again", lambda stack: stack.restore(before_bad), "blue"),
        Scene("shift to green again", lambda stack: stack.shift("green"), "green"),
        Scene("nothing to do", lambda stack: None, "green"),
    ]


def _ship(stack: Stack, tag: str) -> None:
    stack.deploy("backend", "green", tag)
    stack.shift("green")


def _open(stack: Stack) -> None:
    stack.config["velro:gateway"]["types"] = {}  # no key-auth on any route
    stack.write()


COUNTED = """
    with ours as (select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
        and relname in ('teams', 'team_members', 'team_invitations', 'project_privacy_settings', 'project_teams',
            'generation_collaborations'))
    select (select count(*) from ours),
        (select count(*) from pg_index where indrelid in (select oid from ours)),
        (select count(*) from pg_policy where polrelid in (select oid from ours))
"""


def _schema(stack: Stack, person: Person) -> str:
    """What the migration left, by the catalog's own count."""
    with psycopg.connect(stack.world.database_url) as line:
        counted = line.execute(COUNTED).fetchone()
    if counted is None or counted[0] != 6:
        raise Unexpected(f"The catalog knows {counted} of the six tables, their indexes and policies.")
    return f"the catalog counts {counted[0]} tables, {counted[1]} indexes, {counted[2]} policies more"


def _team(stack: Stack, person: Person) -> str:
    """What v2 can do and v1 could not: somebody creates a team, through the gateway."""
    headers = {"apikey": API_KEY, "Authorization": f"Bearer {person.token}"}
    proxy = stack.world.proxy
    made = call("POST", f"{proxy}/api/teams", {"name": "Analytical Engine", "slug": "engine"}, **headers)
    found = call("GET", f"{proxy}/api/teams", **headers)
    if "Analytical Engine" not in json.dumps(found):
        raise Unexpected(f"A team was made ({made}) and is not listed: {found}.")
    return f"{person.email} made the team {json.dumps('Analytical Engine')} and owns it"


def _valid(stack: Stack, person: Person) -> str:
    """Whether everything is fit now, as `bluegreen validate` says; its findings are in the record of the release."""
    done = stack.bluegreen("validate")
    said = done.stdout.strip()
    if done.returncode != 0:
        raise Unexpected(f"bluegreen validate ended with {done.returncode}: {said}\n{done.stderr[-2000:]}")
    return f"bluegreen validate: {said}"


def _deploy(stack: Stack, colour: Colour, tag: str) -> None:
    for app in APPS:
        stack.deploy(app, colour, tag)
