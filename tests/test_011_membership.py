"""Whatever people do to a team, in whatever order: it has exactly one owner, and nobody rises by their own hand.

A model of a dozen lines says what each act must come to; the database is asked as that person and must agree, after
every act, about who is in the team as what. One transaction an example, taken back at its end.
"""

from contextlib import ExitStack
from functools import cache

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.teams_world import PEOPLE, STUDIO, acting, address, id_of, world

RANK = ("owner", "admin", "editor", "viewer")
REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UniqueViolation,
    psycopg.errors.CheckViolation,
    psycopg.errors.ForeignKeyViolation,
)
people = st.sampled_from(PEOPLE)
roles = st.sampled_from(RANK)


@cache
def place() -> str:
    """One copy of the world for all examples."""
    return world()


class Membership(RuleBasedStateMachine):
    """The team `studio`, as the model has it and as the database has it."""

    def __init__(self) -> None:
        super().__init__()
        self.roles = {person: person for person in STUDIO}
        self.accounts = set(PEOPLE)
        self.open = ExitStack()
        self.line = self.open.enter_context(psycopg.connect(place(), autocommit=True))
        self.open.enter_context(self.line.transaction(force_rollback=True))

    def teardown(self) -> None:
        self.open.close()

    @rule(actor=people, whom=people, role=roles)
    def gives_a_role(self, actor: str, whom: str, role: str) -> None:
        done = self.does(
            actor,
            "update public.team_members set role = %s where team_id = %s and user_id = %s",
            role,
            id_of("studio"),
            id_of(whom),
        )
        may = self.leads(actor) and whom in self.roles and (self.roles[whom] == "owner") == (role == "owner")
        assert done == may
        if may:
            self.roles[whom] = role

    @rule(actor=people, whom=people)
    def removes(self, actor: str, whom: str) -> None:
        done = self.does(
            actor, "delete from public.team_members where team_id = %s and user_id = %s", id_of("studio"), id_of(whom)
        )
        may = whom in self.roles and (self.leads(actor) or actor == whom) and self.roles[whom] != "owner"
        assert done == may
        if may:
            self.forget(whom)

    @rule(actor=people, guest=people, role=roles)
    def invites_and_the_guest_accepts(self, actor: str, guest: str, role: str) -> None:
        invite = "select token from public.invite_to_team(%s, %s, %s)"
        done = self.does(actor, invite, id_of("studio"), address(guest), role)
        may = self.leads(actor) and guest not in self.roles and role != "owner"
        assert done == may
        if may and guest in self.accounts:
            assert self.does(guest, "select public.accept_invitation(%s)", self.told)
            self.roles[guest] = role

    @rule(person=people)
    def deletes_the_account(self, person: str) -> None:
        self.line.execute("delete from auth.users where id = %s", (id_of(person),))
        self.accounts.discard(person)
        gone = self.forget(person)
        if gone == "owner" and self.roles:
            # Joined in one transaction, thus at one moment: among equals the identifier decides.
            heir = min(self.roles, key=lambda name: (RANK.index(self.roles[name]), *self.since(name)))
            self.roles[heir] = "owner"

    @rule(actor=people)
    def deletes_the_team(self, actor: str) -> None:
        done = self.does(actor, "delete from public.teams where id = %s", id_of("studio"))
        assert done == (self.roles.get(actor) == "owner")
        if done:
            self.roles.clear()

    @rule(actor=people)
    def creates_the_team(self, actor: str) -> None:
        create = "insert into public.teams (id, name, slug) values (%s, 'Studio', 'studio') returning id"
        done = self.does(actor, create, id_of("studio"))
        assert done == (not self.roles and actor in self.accounts)
        if done:
            self.roles[actor] = "owner"

    @invariant()
    def both_agree_and_there_is_one_owner(self) -> None:
        found = self.line.execute(
            "select user_id, role from public.team_members where team_id = %s", (id_of("studio"),)
        )
        assert dict(found.fetchall()) == {id_of(person): role for person, role in self.roles.items()}
        team = self.line.execute("select count(*) from public.teams where id = %s", (id_of("studio"),)).fetchone()
        assert team == (int(bool(self.roles)),)
        assert list(self.roles.values()).count("owner") == int(bool(self.roles))

    def does(self, person: str, statement: str, *values: object) -> bool:
        """Whether the database let this person do it, and something came of it."""
        try:
            with acting(self.line, person):
                cursor = self.line.execute(statement.encode(), values)
                self.told = cursor.fetchall()[0][0] if cursor.description else None
                self.line.execute("set local role none")  # kept savepoints keep their role
                return cursor.rowcount == 1
        except REFUSALS:
            return False

    def leads(self, person: str) -> bool:
        return self.roles.get(person) in ("owner", "admin")

    def forget(self, person: str) -> str | None:
        return self.roles.pop(person, None)

    def since(self, person: str) -> tuple[object, ...]:
        row = self.line.execute(
            "select joined_at, user_id from public.team_members where team_id = %s and user_id = %s",
            (id_of("studio"), id_of(person)),
        ).fetchone()
        assert row is not None
        return row


Membership.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestMembership = Membership.TestCase
