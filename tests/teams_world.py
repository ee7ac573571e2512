"""People, teams and what they share: one small world in a database that has migration 011, for the tests about it.

`studio` is a private team with an owner, an admin, an editor and a viewer; `rivals` is discoverable and has its owner
alone. A stranger is signed in and in no team, and has invitations that are over; a guest has an open one. Everybody
has a project and a generation of their own. Identifiers are derived from names, so that a failing test names what it
is about.

`before()` and `seeded()` are prepared once a session for each major; tests clone them and never change them.
`python -m tests.teams_world` prints what the migration makes, counted in the catalog.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import psycopg

from sandbox.postgres_binaries import MAJORS, Major
from tests.database import database, name_of

MIGRATION = Path(__file__).parent.parent / "migrations" / "011_team_collaboration_foundation.sql"
TABLES = (
    "teams",
    "team_members",
    "team_invitations",
    "project_privacy_settings",
    "project_teams",
    "generation_collaborations",
)
PEOPLE = ("owner", "admin", "editor", "viewer", "stranger", "guest", "rival")
STUDIO = ("owner", "admin", "editor", "viewer")
INVITATIONS: Mapping[str, str] = {  # token → what became of it
    "open": "null, null, null, now() + interval '7 days'",
    "accepted": "now(), '{stranger}', null, now() + interval '7 days'",
    "withdrawn": "null, null, now(), now() + interval '7 days'",
    "expired": "null, null, null, now() - interval '1 minute'",
}


def id_of(name: str) -> uuid.UUID:
    """The identifier of whatever has this name in the world."""
    return uuid.uuid5(uuid.NAMESPACE_URL, name)


def address(person: str) -> str:
    return f"{person}@people.test"


class _Ids(dict[str, uuid.UUID]):
    def __missing__(self, name: str) -> uuid.UUID:
        return id_of(name.replace("_", " "))


def filled(sql: str, me: str = "nobody") -> str:
    """The statement with every {name} replaced by its identifier; {me} is who asks, {my_project} theirs."""
    mine = {"me": id_of(me), "my_project": id_of(f"project of {me}"), "my_generation": id_of(f"generation of {me}")}
    return sql.format_map(_Ids(mine))


def apply(url: str) -> None:
    """Migration 011 in one transaction, as `postgres`."""
    with psycopg.connect(url) as line:
        line.execute(MIGRATION.read_bytes())


def claims(person: str) -> str:
    """What the token of this person, or of one of the roles without a person, says."""
    if person in ("anon", "service_role"):
        return json.dumps({"role": person})
    return json.dumps({"sub": str(id_of(person)), "role": "authenticated", "email": address(person)})


@contextmanager
def acting(line: psycopg.Connection, person: str) -> Iterator[psycopg.Connection]:
    """One transaction as the API would open it for this person; kept unless the caller raises or rolls it back."""
    with line.transaction():
        role = person if person in ("anon", "service_role") else "authenticated"
        line.execute(f"set local role {role}; select set_config('request.jwt.claims', '{claims(person)}', true)")
        yield line


@dataclass(frozen=True, slots=True)
class Shape:
    """How many of each the catalog has beyond the tables and functions of before."""

    tables: int
    indexes: int
    policies: int
    triggers: int
    functions: int
    foreign_keys: int


def shape(line: psycopg.Connection) -> Shape:
    """What migration 011 made, counted in the catalog and not in the file."""
    counted = line.execute(_SHAPE, {"tables": list(TABLES)}).fetchone()
    assert counted is not None
    return Shape(*counted)


def seed_people(line: psycopg.Connection) -> None:
    """What there is without teams: accounts through auth.users, each with a project and a generation."""
    for person in PEOPLE:
        line.execute("insert into auth.users (id, email) values (%s, %s)", (id_of(person), address(person)))
        _project(line, f"project of {person}", person)
        _generation(line, f"generation of {person}", person, f"project of {person}")
    for project, person in (
        ("film", "editor"),
        ("diary", "editor"),
        ("poster", "owner"),
        ("sketch", "owner"),
        ("paused", "owner"),
        ("leaflet", "rival"),
        ("alien", "rival"),
        ("gift", "stranger"),
    ):
        _project(line, project, person)
    for generation, person, project in (
        ("take", "editor", "film"),
        ("cover", "owner", "poster"),
        ("study", "owner", "sketch"),
        ("draft", "owner", "paused"),
        ("flyer", "rival", "leaflet"),
    ):
        _generation(line, generation, person, project)


def seed_teams(line: psycopg.Connection) -> None:
    """Both teams with all that belongs to them, written as an administrator."""
    line.execute(filled(_TEAMS))
    for token, became in INVITATIONS.items():
        digest = hashlib.sha256(token.encode()).digest()
        line.execute(
            "insert into public.team_invitations (id, team_id, email, role, token_sha256, invited_by, accepted_at,"
            f" accepted_by, revoked_at, expires_at) values (%s, %s, %s, 'editor', %s, %s, {filled(became)})",
            (
                id_of(token),
                id_of("studio"),
                address("guest" if token == "open" else "stranger"),
                digest,
                id_of("admin"),
            ),
        )
    line.execute(
        "insert into public.team_invitations (id, team_id, email, role, token_sha256, invited_by)"
        " values (%s, %s, 'somebody@people.test', 'admin', %s, %s)",
        (id_of("theirs"), id_of("rivals"), hashlib.sha256(b"theirs").digest(), id_of("rival")),
    )


@cache
def before(major: Major) -> str:
    """The name of a database with the people and without 011: a template to clone."""
    url = database(major)
    with psycopg.connect(url) as line:
        seed_people(line)
    return name_of(url)


@cache
def seeded(major: Major) -> str:
    """The name of a database with 011, the people and the teams: a template to clone."""
    url = database(major, before(major))
    apply(url)
    with psycopg.connect(url) as line:
        seed_teams(line)
    return name_of(url)


def world(major: Major = 18) -> str:
    """The address of a fresh copy of the seeded world."""
    return database(major, seeded(major))


def _project(line: psycopg.Connection, name: str, person: str) -> None:
    line.execute(
        "insert into public.projects (id, user_id, name) values (%s, %s, %s)", (id_of(name), id_of(person), name)
    )


def _generation(line: psycopg.Connection, name: str, person: str, project: str) -> None:
    line.execute(
        "insert into public.generations (id, user_id, project_id, model, prompt) values (%s, %s, %s, 'flux', %s)",
        (id_of(name), id_of(person), id_of(project), name),
    )


_TEAMS = """
insert into public.teams (id, name, slug, visibility, created_by) values
    ('{studio}', 'Studio', 'studio', 'private', '{owner}'),
    ('{rivals}', 'Rivals', 'rivals', 'discoverable', '{rival}');
insert into public.team_members (team_id, user_id, role, joined_at) values
    ('{studio}', '{admin}', 'admin', now() + interval '1 minute'),
    ('{studio}', '{editor}', 'editor', now() + interval '2 minutes'),
    ('{studio}', '{viewer}', 'viewer', now() + interval '3 minutes');
insert into public.project_privacy_settings (project_id, visibility, allow_remix, updated_by) values
    ('{film}', 'team', false, '{editor}'), ('{diary}', 'private', true, '{editor}'),
    ('{paused}', 'private', true, '{owner}'), ('{leaflet}', 'link', true, '{rival}');
insert into public.project_teams (project_id, team_id, access, shared_by) values
    ('{film}', '{studio}', 'edit', '{editor}'), ('{poster}', '{studio}', 'view', '{owner}'),
    ('{sketch}', '{studio}', 'edit', '{owner}'), ('{paused}', '{studio}', 'edit', '{owner}'),
    ('{alien}', '{rivals}', 'view', '{rival}'), ('{gift}', '{rivals}', 'view', '{stranger}');
insert into public.generation_collaborations (id, generation_id, team_id, user_id, kind, note) values
    ('{remark}', '{take}', '{studio}', '{editor}', 'comment', 'more light'),
    ('{move}', '{cover}', '{studio}', '{owner}', 'transfer', null),
    ('{memo}', '{generation_of_viewer}', null, '{viewer}', 'comment', 'for me'),
    ('{farewell}', '{take}', '{studio}', '{stranger}', 'comment', 'from when I was in the team'),
    ('{theirs}', '{flyer}', '{rivals}', '{rival}', 'comment', 'ours'),
    ('{praise}', '{generation_of_stranger}', '{rivals}', '{rival}', 'comment', 'nice');
"""

_SHAPE = """
with new as (select oid from pg_class where relnamespace = 'public'::regnamespace and relname = any (%(tables)s))
select
    (select count(*) from new),
    (select count(*) from pg_index where indrelid in (select oid from new) and indisvalid),
    (select count(*) from pg_policy where polrelid in (select oid from new)),
    (select count(*) from pg_trigger where tgrelid in (select oid from new) and not tgisinternal and tgenabled = 'O'),
    (select count(*) from pg_proc where pronamespace = 'public'::regnamespace
        and proname not in ('handle_new_user', 'touch_updated_at')),
    (select count(*) from pg_constraint where conrelid in (select oid from new) and contype = 'f' and convalidated)
"""

if __name__ == "__main__":
    for number in MAJORS:
        with psycopg.connect(world(number)) as here:
            print(f"Postgres {number}:", ", ".join(f"{count} {name}" for name, count in asdict(shape(here)).items()))
