"""People who act on teams over time: one copy of the world of tests/teams_world.py in which everything is kept."""

import time
import uuid
from collections.abc import Callable, Sequence

import psycopg
import pytest

from tests.database import as_app
from tests.teams_world import PEOPLE, acting, filled, id_of, world

PATIENCE = 20.0
Row = tuple[object, ...]


class Life:
    """One copy of the world in which everything that people do is kept."""

    def __init__(self) -> None:
        self.url = world()

    def does(self, person: str, statement: str, *values: object) -> Sequence[Row]:
        """What this person gets for one statement, in a session of its own."""
        with psycopg.connect(as_app(self.url), autocommit=True) as line, acting(line, person):
            return _rows(line.execute(filled(statement, person).encode(), values or None))

    def administers(self, statement: str) -> Sequence[Row]:
        """What the owner of the database gets: no policy stands in the way."""
        with psycopg.connect(self.url, autocommit=True) as line:
            return _rows(line.execute(filled(statement).encode()))

    def count(self, rows: str) -> int:
        """How many of these rows there are, whoever may see them."""
        ((found,),) = self.administers(f"select count(*)::int from public.{rows}")
        return int(str(found))

    def invites(self, by: str, email: str, role: str = "editor") -> str:
        ((_, token),) = self.does(by, f"select * from public.invite_to_team('{{studio}}', '{email}', '{role}')")
        return str(token)

    def accepts(self, person: str, token: str) -> Sequence[Row]:
        return self.does(person, "select public.accept_invitation(%s)", token)

    def roles(self, team: str = "studio") -> dict[object, object]:
        rows = self.administers(f"select user_id, role from public.team_members where team_id = '{id_of(team)}'")
        names = {id_of(name): name for name in PEOPLE}
        return {names.get(user, user) if isinstance(user, uuid.UUID) else user: role for user, role in rows}

    def delete_account(self, *people: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as line:
            line.execute("delete from auth.users where id = any (%s)", ([id_of(person) for person in people],))


def _rows(cursor: psycopg.Cursor[Row]) -> Sequence[Row]:
    return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]


def refused(act: Callable[[], object]) -> str:
    """The first line of the sentence with which the database refuses this."""
    with pytest.raises(psycopg.Error) as refusal:
        act()
    return str(refusal.value).splitlines()[0]


def waits_for_a_lock(url: str, query: str) -> bool:
    """Whether a session with this text in its query comes to wait for another one."""
    end = time.monotonic() + PATIENCE
    with psycopg.connect(url, autocommit=True) as line:
        while time.monotonic() < end:
            found = line.execute(
                "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
                " and pid <> pg_backend_pid() and position(%s in query) > 0",
                (query,),
            )
            if found.rowcount:
                return True
    return False
