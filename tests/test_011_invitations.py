"""Invitations: one token, one address, one use; also when two use it at the same moment."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.database import as_app
from tests.teams_life import PATIENCE, Life, refused, waits_for_a_lock
from tests.teams_world import acting, address, id_of


def test_whoever_accepts_an_invitation_is_in_the_team_with_its_role() -> None:
    life = Life()
    token = life.invites("admin", address("guest"), "viewer")
    assert life.accepts("guest", token) == [(id_of("studio"),)]
    assert life.roles()["guest"] == "viewer"


def test_a_token_is_told_once_and_only_its_sha256_is_kept() -> None:
    life = Life()
    token = life.invites("owner", "new@people.test")
    rows = life.administers(
        "select token_sha256, team_invitations::text from public.team_invitations where email like 'new%'"
    )
    assert (len(token), [digest for digest, _ in rows]) == (64, [hashlib.sha256(token.encode()).digest()])
    assert token not in str(rows[0][1])


def test_two_invitations_have_two_tokens() -> None:
    life = Life()
    assert life.invites("owner", "one@people.test") != life.invites("owner", "two@people.test")


def test_the_address_may_be_written_in_capitals() -> None:
    life = Life()
    life.accepts("guest", life.invites("admin", address("guest").upper()))
    assert life.roles()["guest"] == "editor"


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        ("accepted", "This invitation has been accepted already."),
        ("withdrawn", "This invitation was withdrawn."),
        ("expired", "This invitation has expired."),
    ],
)
def test_an_invitation_that_is_over_says_so(token: str, sentence: str) -> None:
    life = Life()
    assert refused(lambda: life.accepts("stranger", token)) == sentence
    assert "stranger" not in life.roles()


def test_a_token_is_for_the_address_it_was_made_for() -> None:
    life = Life()
    assert refused(lambda: life.accepts("stranger", "open")) == "This invitation is for another address."
    assert "stranger" not in life.roles()


def test_the_second_use_of_a_token_is_refused() -> None:
    life = Life()
    life.accepts("guest", "open")
    life.does("guest", "delete from public.team_members where user_id = '{me}'")
    assert refused(lambda: life.accepts("guest", "open")) == "This invitation has been accepted already."
    assert "guest" not in life.roles()


def test_inviting_again_makes_the_first_token_worthless() -> None:
    life = Life()
    life.invites("owner", address("guest"), "viewer")
    assert refused(lambda: life.accepts("guest", "open")) == "This invitation was withdrawn."


def test_a_withdrawn_invitation_is_worth_nothing() -> None:
    life = Life()
    life.does("owner", "update public.team_invitations set revoked_at = now() where id = '{open}'")
    assert refused(lambda: life.accepts("guest", "open")) == "This invitation was withdrawn."


def test_an_invitation_is_worth_nothing_once_its_author_may_not_invite() -> None:
    life = Life()
    life.does("owner", "update public.team_members set role = 'viewer' where user_id = '{admin}'")
    assert refused(lambda: life.accepts("guest", "open")) == "Whoever made this invitation may no longer invite."
    life.delete_account("admin")
    assert refused(lambda: life.accepts("guest", "open")) == "Whoever made this invitation may no longer invite."


def test_being_an_admin_elsewhere_does_not_keep_an_invitation_alive() -> None:
    life = Life()
    life.does("admin", "insert into public.teams (name, slug) values ('Side', 'side') returning id")
    life.does("owner", "delete from public.team_members where user_id = '{admin}'")
    assert refused(lambda: life.accepts("guest", "open")) == "Whoever made this invitation may no longer invite."


def test_one_address_may_be_invited_to_two_teams() -> None:
    life = Life()
    life.does("rival", "select * from public.invite_to_team('{rivals}', 'guest@people.test', 'viewer')")
    assert life.accepts("guest", "open") == [(id_of("studio"),)]


def test_a_member_whose_account_has_capitals_in_its_address_is_not_invited_again() -> None:
    life = Life()
    life.administers("update public.users set email = 'Viewer@People.Test' where id = '{viewer}'")
    told = refused(lambda: life.invites("owner", "viewer@people.test"))
    assert told == "Whoever has this address is already a member of the team."


def test_a_member_does_not_get_another_role_by_an_invitation_and_the_invitation_stays_open() -> None:
    life = Life()
    life.administers("insert into public.team_members values ('{studio}', '{guest}', 'viewer')")
    assert refused(lambda: life.accepts("guest", "open")) == "You are already a member of this team."
    life.does("guest", "delete from public.team_members where user_id = '{me}'")
    life.accepts("guest", "open")
    assert life.roles()["guest"] == "editor"


@pytest.mark.parametrize("first_one_stays", [True, False])
def test_of_two_who_accept_at_the_same_moment_one_waits_and_exactly_one_gets_in(first_one_stays: bool) -> None:
    life = Life()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(as_app(life.url), autocommit=True) as line:
        with line.transaction(force_rollback=not first_one_stays), acting(line, "guest"):
            line.execute("select public.accept_invitation('open')")
            second = pool.submit(life.accepts, "guest", "open")
            assert waits_for_a_lock(life.url, "accept_invitation")
        if first_one_stays:
            assert refused(second.result) == "This invitation has been accepted already."
        else:
            assert second.result() == [(id_of("studio"),)]
    assert life.roles()["guest"] == "editor"


def test_of_six_who_accept_at_the_same_moment_exactly_one_gets_in() -> None:
    life = Life()
    start = threading.Barrier(6)

    def accept() -> str:
        with psycopg.connect(as_app(life.url), autocommit=True) as line:
            start.wait(PATIENCE)
            try:
                with acting(line, "guest"):
                    line.execute("select public.accept_invitation('open')")
            except psycopg.Error as refusal:
                return str(refusal).splitlines()[0]
            return "in"

    with ThreadPoolExecutor(6) as pool:
        told = [done.result() for done in [pool.submit(accept) for _ in range(6)]]
    assert sorted(told) == ["This invitation has been accepted already."] * 5 + ["in"]
