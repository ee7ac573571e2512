"""What a migration left half done, and how many of each there are now: asked of the catalog."""

import psycopg
import pytest

from bluegreen.postgres.verify.counts import Counts, counts
from bluegreen.postgres.verify.leftovers import leftovers
from tests.database import as_superuser, database
from tests.teams_world import TABLES
from tests.verify_room import done, shared, told, with_011

TABLE = "create table public.things (id bigint primary key, what text, other bigint);"


def left(url: str, *touched: str) -> list[tuple[str, str]]:
    found = told(url, lambda session: leftovers(session, touched or ("table public.things",)), owner=True)
    return [(fault.rule, fault.object) for fault in found]


def test_011_leaves_nothing_half_done() -> None:
    assert left(shared(), *(f"table public.{table}" for table in TABLES)) == []


def test_an_index_that_could_not_be_made_is_found_and_the_way_out_is_told() -> None:
    url = database()
    done(url, TABLE + "insert into public.things values (1, 'same'), (2, 'same')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        done(url, 'create unique index concurrently "Once" on public.things (what)')
    done(url, 'create unique index concurrently if not exists "Once" on public.things (what)')
    found = told(url, lambda session: leftovers(session, ['index public."Once"']), owner=True)
    assert [(fault.rule, fault.object) for fault in found] == [("invalid-index", 'public."Once"')]
    assert found[0].hint.startswith('Run DROP INDEX CONCURRENTLY public."Once". Then create it again;')


@pytest.mark.parametrize(
    ("made", "what"),
    [
        ("alter table public.things add constraint known check (other > 0) not valid", "check known"),
        (
            "alter table public.things add constraint known foreign key (other) references public.things not valid",
            "foreign key known",
        ),
    ],
)
def test_a_constraint_that_nobody_validated_is_found(made: str, what: str) -> None:
    url = database()
    done(url, TABLE + made)
    found = told(url, lambda session: leftovers(session, ["constraint public.things.known"]), owner=True)
    assert [(fault.object, what in fault.message) for fault in found] == [("public.things.known", True)]
    done(url, "alter table public.things validate constraint known")
    assert left(url) == []


@pytest.mark.parametrize(("how", "there"), [("disable", True), ("enable replica", True), ("enable always", False)])
def test_a_trigger_that_does_not_fire_is_found(how: str, there: bool) -> None:
    url = database()
    trigger = "create trigger touch before update on public.things for each row execute function touch_updated_at();"
    done(url, f"{TABLE}{trigger}alter table public.things {how} trigger touch")
    assert left(url) == ([("trigger-disabled", "public.things.touch")] if there else [])


def test_a_foreign_key_that_is_not_watched_is_found() -> None:
    url = database()
    done(
        url, TABLE + "alter table public.things add constraint known foreign key (other) references public.things (id)"
    )
    with psycopg.connect(as_superuser(url), autocommit=True) as line:
        line.execute("alter table public.things disable trigger all")
    assert left(url) == [("trigger-disabled", "public.things.known")]


def test_what_was_not_touched_is_not_looked_at() -> None:
    url = database()
    done(url, TABLE + "alter table public.things add constraint known check (other > 0) not valid")
    assert (left(url, "table public.users"), left(url, "table public.nowhere", "role anon")) == ([], [])


def test_what_011_made_is_counted_in_the_catalog() -> None:
    functions = [
        "my_teams(roles text[])",
        "team_role(team uuid)",
        "belongs_to(generation public.generations, project uuid)",
    ]
    named = [*(f"table public.{table}" for table in TABLES), *(f"function public.{function}" for function in functions)]
    found = told(shared(), lambda session: counts(session, named), owner=True)
    assert found == Counts(tables=6, indexes=24, policies=22, functions=3, triggers=11, foreign_keys=16)
    assert found.told() == "6 tables, 24 indexes, 22 policies, 3 functions, 11 triggers, 16 foreign keys"


def test_a_part_is_counted_without_its_table() -> None:
    named = [
        "policy public.teams.teams_are_seen_by_members",
        "trigger public.teams.teams_touch",
        "constraint public.teams.teams_created_by_fkey",
        "index public.teams_created_by_idx",
        "column public.teams.name",
    ]
    found = told(shared(), lambda session: counts(session, named), owner=True)
    assert found == Counts(indexes=1, policies=1, triggers=1, foreign_keys=1)


def test_nothing_is_counted_of_what_is_not_there() -> None:
    found = told(shared(), lambda session: counts(session, ["table public.nowhere", "role anon", ""]), owner=True)
    assert found.told() == "nothing"


def test_what_is_not_in_force_is_not_counted() -> None:
    url = with_011()
    done(url, "alter table public.teams disable trigger teams_touch")
    found = told(url, lambda session: counts(session, ["table public.teams"]), owner=True)
    assert (found.triggers, found.tables) == (1, 1)


def test_not_valid_that_a_file_itself_adds_is_told_as_its_own() -> None:
    url = database()
    done(url, TABLE + 'alter table public.things add constraint "Known" check (other > 0) not valid')

    def faults(*added: str) -> list[tuple[str, bool]]:
        found = told(url, lambda session: leftovers(session, ["table public.things"], added), owner=True)
        return [(fault.object, fault.added) for fault in found]

    assert faults() == [("public.things.Known", False)]
    assert faults('constraint public.things."Known"') == [("public.things.Known", True)]
