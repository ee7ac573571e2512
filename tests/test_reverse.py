"""The way back from a migration: found in the catalog, and gone once before anybody needs it."""

import asyncio

import pytest

from benchmarks.catalog.changes import CHANGES
from bluegreen.postgres.catalog import Reverse, compare, phase_of, proven, reverse, snapshot
from bluegreen.postgres.session import Database
from sandbox.postgres_binaries import MAJORS, Major
from tests.catalog_room import ENTWINED, MIXED, TEAMS, fresh, gone, taken, verdicts
from tests.database import as_superuser, database
from tests.postgres_room import ask


@pytest.mark.parametrize("major", MAJORS)
def test_the_way_back_from_the_teams_is_proven(major: Major) -> None:
    way = gone(database(major), TEAMS)
    assert (way.reverse.proven, way.reverse.differences) == (True, ())
    assert way.reverse.verdict == "reversible with loss"
    lossy = [way.object for way in way.reverse.objects if way.verdict != "reversible"]
    assert (len(lossy), {name.partition(" ")[0] for name in lossy}) == (6, {"table"})
    assert phase_of(way.before, way.after, compare(way.before, way.after)) == ("expand", ())


@pytest.mark.parametrize("major", MAJORS)
def test_the_way_back_from_a_mixed_file_is_proven(major: Major) -> None:
    way = gone(fresh(major), MIXED)
    assert (way.reverse.proven, way.reverse.differences) == (True, ())
    found = verdicts(way.reverse)
    assert found["column public.notes.title"] == "reversible with loss"
    assert found["policy public.notes.mine"] == "reversible"
    assert "drop table public.notes" not in way.reverse.statements
    assert phase_of(way.before, way.after, compare(way.before, way.after))[0] == "contract"


def test_what_holds_each_other_is_taken_apart_by_name() -> None:
    way = gone(fresh(), ENTWINED)
    assert (way.reverse.proven, way.reverse.differences) == (True, ())
    assert [text for text in way.reverse.statements if "cascade" in text] == []


def test_every_change_of_the_list_at_once_has_a_way_back() -> None:
    url = fresh()
    left_out = {"policy restrictive", "policy for another command", "policy gone", "row security off"}  # of the same
    sql = ";\n".join(change.sql for change in CHANGES if not change.alone and change.name not in left_out)
    way = gone(as_superuser(url), sql)
    try:
        assert (way.reverse.proven, way.reverse.differences) == (True, ())
    finally:
        for change in CHANGES:
            if change.undo:
                ask(as_superuser(url), change.undo)


def test_a_new_value_of_an_enum_is_forward_only_and_named() -> None:
    found = gone(fresh(), "alter type public.state add value 'kept'; create table public.more (id int)").reverse
    assert (found.verdict, found.proven, found.differences) == ("forward only", True, ())
    assert verdicts(found) == {"enum public.state": "forward only", "table public.more": "reversible with loss"}
    assert found.lasting == ("enum public.state",)
    assert "-- It is forward only, and was gone once: there and back." in found.script
    (way,) = (way for way in found.objects if way.object == "enum public.state")
    assert way.why == "A value cannot be taken out of an enum: kept."


def test_a_new_value_of_an_enum_excuses_nothing_else_about_it() -> None:
    both = "alter type public.state add value 'kept'; alter type public.state rename value 'shut' to 'closed'"
    found = gone(fresh(), both).reverse
    assert (found.proven, found.lasting) == (False, ())
    assert found.differences == ("After the way back it is not as before: changed: enum public.state (values).",)


def test_a_table_that_is_gone_gets_its_shape_back_and_its_rows_do_not() -> None:
    way = gone(fresh(), "drop table public.books cascade")
    assert (way.reverse.proven, way.reverse.verdict) == (True, "forward only")
    assert verdicts(way.reverse)["table public.books"] == "forward only"
    assert verdicts(way.reverse)["view public.shelf"] == "reversible"


def test_a_column_that_is_gone_comes_back_with_everything_on_it() -> None:
    way = gone(fresh(), "alter table public.notes drop column body cascade")
    assert (way.reverse.proven, verdicts(way.reverse)["column public.notes.body"]) == (True, "forward only")


def test_rows_that_a_file_changes_are_forward_only_by_what_is_said_of_them() -> None:
    found = gone(fresh(), "update public.notes set weight = 1", ["Line 3 changes rows of public.notes."]).reverse
    assert [(way.object, way.verdict, way.why) for way in found.objects] == [
        ("rows", "forward only", "Line 3 changes rows of public.notes.")
    ]
    assert (found.verdict, found.proven, found.statements) == ("forward only", True, ())


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [
        ("alter table public.notes alter weight type bigint", "reversible with loss"),
        ("alter table public.notes alter id set generated always; alter table public.notes alter id drop identity",
         "reversible"),
        ("create table public.parts (id int, at date) partition by range (at); create table public.part_1 partition "
         "of public.parts for values from ('2026-01-01') to ('2027-01-01'); create index on public.parts (at)",
         "reversible with loss"),
        ("alter table public.notes add column twice int generated always as (weight * 2) stored", "reversible"),
        ("create type public.pair as (a int); alter type public.pair add attribute b text; alter domain "
         "public.address set default 'a@b'", "reversible"),
        ("drop function public.is_mine cascade", "reversible"),
        ("drop view public.short cascade", "reversible"),
        ("alter table public.notes rename to leaves", "reversible"),
        ("alter table public.notes rename body to words; alter table public.notes rename to leaves", "reversible"),
        ("create schema other; alter table public.notes set schema other; alter type public.state rename to phase",
         "reversible"),
        ("alter index public.notes_body_idx rename to idx; alter table public.notes rename constraint notes_pkey to pk",
         "reversible"),
        ("alter table public.notes set (fillfactor = 70, autovacuum_enabled = off); alter table public.notes alter "
         "body set storage external, alter body set statistics 7", "reversible"),
        ("create schema other; alter function public.fire set schema other", "reversible"),
        ("drop function public.tally; create function public.tally(author uuid) returns int language sql as 'select 1'",
         "reversible"),
        ("drop sequence public.numbers; drop publication feed; drop domain public.address", "reversible with loss"),
    ],
)  # fmt: skip
def test_the_way_back_is_proven_of(sql: str, verdict: str) -> None:
    found = gone(fresh(), sql).reverse
    assert (found.proven, found.differences, found.verdict) == (True, (), verdict)


def test_looking_for_a_way_leaves_the_database_as_it_was() -> None:
    url = fresh()
    before = taken(url)
    ask(url, MIXED)
    after = taken(url)

    async def looked() -> Reverse:
        async with Database(url).session() as session:
            return await reverse(session, before, after)

    asyncio.run(looked())
    assert taken(url).fingerprint == after.fingerprint


def test_a_file_that_does_not_go_through_twice_is_not_proven() -> None:
    url = fresh()

    async def tried() -> Reverse:
        async with Database(url).session() as session, Database(url).session() as other:
            before = await snapshot(session)
            names = iter(("one", "two"))

            async def up() -> None:
                await other.run(f"create table public.{next(names)} (id int)")

            return (await proven(session, before, up))[1]

    found = asyncio.run(tried())
    assert found.proven is False
    assert found.differences[0].startswith("The second time it ends otherwise: added: column public.two.id")


def test_a_file_that_was_run_already_is_run_once_more_only() -> None:
    url = fresh()

    async def tried() -> tuple[int, Reverse]:
        count = 0
        async with Database(url).session() as session, Database(url).session() as other:
            before = await snapshot(session)

            async def up() -> None:
                nonlocal count
                count += 1
                await other.run("create table public.more (id int)")

            await up()
            _, found = await proven(session, before, up, after=await snapshot(session))
            return count, found

    count, found = asyncio.run(tried())
    assert (count, found.proven) == (2, True)


def test_a_column_that_was_dropped_and_made_anew_is_forward_only_though_it_looks_the_same() -> None:
    way = gone(fresh(), "alter table public.notes drop weight; alter table public.notes add weight int")
    assert verdicts(way.reverse) == {"column public.notes.weight": "forward only"}
    assert phase_of(way.before, way.after, compare(way.before, way.after)) == (
        "contract",
        ("column public.notes.weight was dropped and made anew: what was in it is gone.",),
    )


def test_names_that_have_to_be_quoted_are_on_the_way_back_too() -> None:
    odd = """
    create schema "Odd.One";
    create table "Odd.One"."a b" (id serial primary key, "x.y" text default 'it''s 100% $x$', "Z" int check ("Z" > 0));
    create policy "p q" on "Odd.One"."a b" using ("x.y" = '%s');
    comment on column "Odd.One"."a b"."x.y" is 'it''s \\ 100%';
    create function "Odd.One"."f g"("A b" int default 3, variadic v text[] default '{}') returns table ("o o" int)
        language plpgsql as $function$ begin return query select 1; end $function$;
    create trigger "t t" before insert on "Odd.One"."a b" for each row execute function public.fire();
    """
    url = fresh()
    assert gone(url, odd).reverse.proven is True
    changed = """
    alter table "Odd.One"."a b" rename column "x.y" to "new";
    alter policy "p q" on "Odd.One"."a b" using (true);
    drop trigger "t t" on "Odd.One"."a b";
    drop function "Odd.One"."f g";
    alter schema "Odd.One" rename to "Even.One";
    """
    way = gone(url, changed).reverse
    assert (way.proven, way.verdict) == (True, "reversible")
    assert gone(url, 'drop schema "Even.One" cascade').reverse.proven is True
