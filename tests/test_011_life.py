"""What happens to teams over time: owners whose accounts go, people who leave, collaborations, transfers."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg
import pytest

from tests.database import as_app
from tests.teams_life import Life, refused, waits_for_a_lock
from tests.teams_world import acting, claims, filled, id_of

# ── Owners ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_whoever_creates_a_team_owns_it_and_gets_it_back_at_once() -> None:
    life = Life()
    ((team, by),) = life.does(
        "stranger", "insert into public.teams (name, slug) values ('New', 'new') returning id, created_by"
    )
    rows = life.administers(f"select user_id, role from public.team_members where team_id = '{team}'")
    assert (by, rows) == (id_of("stranger"), [(id_of("stranger"), "owner")])


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        (["owner"], {"admin": "owner", "editor": "editor", "viewer": "viewer"}),
        (["owner", "admin"], {"editor": "owner", "viewer": "viewer"}),
        (["admin", "owner", "editor"], {"viewer": "owner"}),
        (["owner", "admin", "editor", "viewer"], {}),
        (["editor"], {"owner": "owner", "admin": "admin", "viewer": "viewer"}),
    ],
)
def test_when_accounts_go_the_highest_that_is_left_owns_the_team(gone: list[str], left: dict[str, str]) -> None:
    life = Life()
    life.delete_account(*gone)
    assert life.roles() == left
    assert life.count("teams where id = '{studio}'") == bool(left)


@pytest.mark.parametrize(
    ("changes", "heir"),
    [
        ({"viewer": "admin", "admin": "viewer"}, "viewer"),  # the role counts more than the years
        ({"viewer": "admin"}, "admin"),  # among admins the years count
    ],
)
def test_the_longest_standing_of_the_highest_role_inherits_a_team(changes: dict[str, str], heir: str) -> None:
    life = Life()
    for person, role in changes.items():
        life.does("owner", f"update public.team_members set role = '{role}' where user_id = '{{{person}}}'")
    life.delete_account("owner")
    assert [person for person, role in life.roles().items() if role == "owner"] == [heir]


def test_an_account_may_go_by_its_own_hand_and_leaves_no_name_behind() -> None:
    life = Life()
    life.administers("update public.project_privacy_settings set updated_by = '{owner}' where project_id = '{leaflet}'")
    with psycopg.connect(life.url, autocommit=True) as line, line.transaction():
        line.execute("select set_config('request.jwt.claims', %s, true)", (claims("owner"),))
        line.execute("delete from auth.users where id = (select auth.uid())")
    settings = "select updated_by from public.project_privacy_settings where project_id = '{leaflet}'"
    assert life.administers(settings) == [(None,)]
    assert life.roles()["admin"] == "owner"


def test_a_deleted_team_takes_its_rows_along_and_leaves_projects_and_notes() -> None:
    life = Life()
    life.does("owner", "delete from public.teams where id = '{studio}'")
    left = [
        life.count(f"{table} where team_id = '{{studio}}'")
        for table in ("team_members", "team_invitations", "project_teams", "generation_collaborations")
    ]
    assert left == [0, 0, 0, 0]
    assert life.administers("select team_id from public.generation_collaborations where id = '{remark}'") == [(None,)]
    assert life.count("projects where id = '{film}'") == 1


def test_who_leaves_a_team_takes_their_projects_along() -> None:
    life = Life()
    life.does("editor", "delete from public.team_members where user_id = '{me}'")
    assert life.does("viewer", "select name from public.shared_projects() order by name") == [("poster",), ("sketch",)]
    assert life.count("project_teams where project_id = '{film}'") == 0
    assert life.count("project_teams where project_id = '{poster}'") == 1


def test_who_leaves_one_team_still_shares_with_another() -> None:
    life = Life()
    life.does("editor", "insert into public.teams (id, name, slug) values ('{side}', 'Side', 'side') returning id")
    life.does("editor", "insert into public.project_teams (project_id, team_id) values ('{film}', '{side}')")
    life.does("editor", "delete from public.team_members where user_id = '{me}' and team_id = '{studio}'")
    assert life.administers("select team_id from public.project_teams where project_id = '{film}'") == [
        (id_of("side"),)
    ]


def test_who_was_removed_sees_nothing_of_the_team_any_more() -> None:
    life = Life()
    life.does("admin", "delete from public.team_members where user_id = '{viewer}'")
    assert life.does("viewer", "select id from public.teams") == []
    assert life.does("viewer", "select id from public.shared_projects()") == []


def test_a_renamed_team_says_when() -> None:
    life = Life()
    life.does("admin", "update public.teams set name = 'Renamed' where id = '{studio}'")
    rows = life.administers("select updated_at > created_at from public.teams where id = '{studio}'")
    assert rows == [(True,)]


def test_discovering_tells_how_many_are_in_a_team() -> None:
    life = Life()
    life.does("owner", "update public.teams set visibility = 'discoverable' where id = '{studio}'")
    found = life.does("stranger", "select slug, members from public.discover_teams()")
    assert found == [("rivals", 1), ("studio", 4)]


def test_when_owner_and_heir_go_at_the_same_moment_the_next_one_owns_the_team() -> None:
    life = Life()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(life.url, autocommit=True) as line:
        with line.transaction():
            line.execute("delete from auth.users where id = %s", (id_of("admin"),))
            owner = pool.submit(life.delete_account, "owner")
            assert waits_for_a_lock(life.url, "delete from auth.users")
        owner.result()
    assert life.roles() == {"editor": "owner", "viewer": "viewer"}


def test_whoever_joins_while_the_last_one_goes_owns_the_team() -> None:
    life = Life()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(as_app(life.url), autocommit=True) as line:
        with acting(line, "service_role"):
            line.execute(filled("insert into public.team_members values ('{rivals}', '{guest}', 'viewer')").encode())
            gone = pool.submit(life.delete_account, "rival")
            assert waits_for_a_lock(life.url, "delete from auth.users")
        gone.result()
    assert life.roles("rivals") == {"guest": "owner"}


# ── Collaborations ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_comments_where_the_projects_owner_does_not_want_it() -> None:
    life = Life()
    comment = (
        "insert into public.generation_collaborations (generation_id, team_id, kind)"
        " values ('{take}', '{studio}', 'comment')"
    )
    life.does("admin", comment)
    life.does("editor", "update public.project_privacy_settings set allow_comments = false")
    assert "row-level security" in refused(lambda: life.does("admin", comment))


def test_a_collaboration_is_recorded_for_a_team_that_the_project_is_shared_with() -> None:
    life = Life()
    life.does("editor", "insert into public.teams (id, name, slug) values ('{side}', 'Side', 'side') returning id")
    comment = (
        "insert into public.generation_collaborations (generation_id, team_id, kind)"
        " values ('{take}', '{side}', 'comment')"
    )
    assert "row-level security" in refused(lambda: life.does("editor", comment))
    life.does("editor", "insert into public.project_teams (project_id, team_id) values ('{film}', '{side}')")
    assert life.does("editor", comment) == [(1,)]


# ── Transfers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_admin_moves_a_generation_and_it_stays_its_owners() -> None:
    life = Life()
    life.does("admin", "select public.transfer_generation('{take}', '{sketch}')")
    assert life.administers("select user_id, project_id from public.generations where id = '{take}'") == [
        (id_of("editor"), id_of("sketch"))
    ]
    seen = life.does("viewer", "select prompt from public.shared_generations('{sketch}') order by prompt")
    assert seen == [("study",), ("take",)]


def test_a_transfer_is_written_down_for_the_team_and_stays() -> None:
    life = Life()
    life.does("editor", "select public.transfer_generation('{take}', '{sketch}')")
    wanted = (id_of("studio"), id_of("editor"), id_of("film"), id_of("sketch"))
    history = (
        "select team_id, user_id, from_project_id, to_project_id from public.generation_collaborations"
        " where kind = 'transfer' and generation_id = '{take}'"
    )
    assert life.does("viewer", history) == [wanted]
    life.does("editor", "delete from public.generation_collaborations")
    assert life.does("viewer", history) == [wanted]


def test_a_generation_without_a_project_is_moved_by_its_owner_alone() -> None:
    life = Life()
    life.administers("update public.generations set project_id = null where id = '{take}'")
    assert refused(lambda: life.does("admin", "select public.transfer_generation('{take}', '{sketch}')")).startswith(
        "Only its owner"
    )
    life.does("editor", "select public.transfer_generation('{take}', '{sketch}')")
    assert life.administers("select project_id from public.generations where id = '{take}'") == [(id_of("sketch"),)]


def test_a_generation_or_project_that_is_not_there_is_refused_like_one_that_is_not_yours() -> None:
    life = Life()
    tried = ("('{nowhere}', '{sketch}')", "('{take}', '{nowhere}')", "('{take}', null)", "(null, '{sketch}')")
    acts = [partial(life.does, "admin", f"select public.transfer_generation{which}") for which in tried]
    assert [refused(act).partition(",")[0] for act in acts] == ["Only its owner"] * 4


def test_of_two_transfers_at_the_same_moment_the_second_starts_where_the_first_ended() -> None:
    life = Life()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(as_app(life.url), autocommit=True) as line:
        with acting(line, "admin"):
            line.execute(filled("select public.transfer_generation('{take}', '{sketch}')").encode())
            second = pool.submit(life.does, "editor", "select public.transfer_generation('{take}', '{diary}')")
            assert waits_for_a_lock(life.url, "transfer_generation")
        second.result()
    moves = life.administers(
        "select from_project_id, to_project_id from public.generation_collaborations"
        " where kind = 'transfer' and generation_id = '{take}' order by created_at"
    )
    assert sorted(moves, key=str) == sorted(
        [(id_of("film"), id_of("sketch")), (id_of("sketch"), id_of("diary"))], key=str
    )


# ── What strangers put into other people's projects ──────────────────────────────────────────────────────────────────

PLANTED = (
    "insert into public.generations (user_id, project_id, model, prompt) values ('{stranger}', '{film}', 'm', 'BUY')"
)


def test_what_a_stranger_plants_in_a_shared_project_is_shown_to_nobody_in_the_team() -> None:
    life = Life()
    life.does("stranger", PLANTED)
    seen = life.does("editor", "select prompt from public.shared_generations('{film}')")
    assert ("BUY",) not in seen
    assert len(seen) == life.count("generations where project_id = '{film}'") - 1


def test_what_a_stranger_plants_is_nothing_to_collaborate_on() -> None:
    life = Life()
    life.does("stranger", PLANTED)
    ((planted,),) = life.administers("select id from public.generations where prompt = 'BUY'")
    ((taken,),) = life.administers("select id from public.generations where prompt <> 'BUY' and project_id = '{film}'")
    asked = "select public.may_collaborate('{}', '{{studio}}', 'comment')"
    assert [life.does("editor", asked.format(one)) for one in (planted, taken)] == [[(False,)], [(True,)]]
