"""The dry run: what a copy shows that no text tells, and that nothing of it is left when somebody gives it up."""

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from bluegreen.handler import Refused
from bluegreen.postgres import report
from bluegreen.postgres.migration import MigrationHandler
from bluegreen.postgres.rehearsal import AFTER, analysed, met
from bluegreen.postgres.scratch.places import HOME, NoScratch
from bluegreen.postgres.session import Database
from bluegreen.postgres.stopping import NotWanted
from tests.box import alive, children, wait
from tests.change_room import ANN, SIGN_UP, TEAMS, Room, never, run
from tests.postgres_room import WAITING, Context, book, halted

SLEEP = f"{TEAMS}{WAITING}select pg_sleep(600);\n"
WORLD = f"-- bluegreen:person ann authenticated {ANN}\n-- bluegreen:person anon anon\n{SIGN_UP};\n"
MOOD = "create type public.mood as enum ('calm')"
# Each statement is one that the text alone would let through, or is allowed to.
SLY = """
-- bluegreen:allow opaque-code it is short
do $$ begin execute 'alter table public.projects dr' || 'op column description'; end $$;
-- bluegreen:allow new-restriction nobody writes that
alter table public.projects add constraint named check (name <> 'x') not valid;
-- bluegreen:allow phase-mismatch made anew below
drop policy users_read_themselves on public.users;
-- bluegreen:allow exposed-without-rls everybody may see them
create policy users_read_themselves on public.users for select to authenticated, anon using (true);
alter type public.mood add value 'wild';
-- bluegreen:allow phase-mismatch nobody has a mood yet
alter type public.mood rename value 'calm' to 'still';
-- bluegreen:allow phase-mismatch it is short
alter table public.projects disable trigger user;
"""
ALLOWED = "".join(
    f"-- bluegreen:allow {rule} it is meant\n"
    for rule in ("catalog-phase", "unproven-reverse", "matrix-differs", "broken-statement", "leftover")
)


def test_what_only_a_copy_shows_refuses_the_file_and_is_applied_when_it_is_allowed(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.ask(MOOD)
    room.beside("matrix/011_world.sql", WORLD)
    room.beside("statements/backend.sql", "-- bluegreen:as authenticated\nselect description from public.projects;\n")
    room.write(_011_sly=SLY)
    change = room.change()
    before, seed = run(met(change.database, change.file, ()))
    assert seed is not None
    seed.record(before.text)

    plan = room.planned()
    rules = [said.rpartition("(")[2].rstrip(")") for said in plan.refusals]
    assert sorted(set(rules)) == sorted(
        ("catalog-phase", "unproven-reverse", "matrix-differs", "broken-statement", "leftover")
    ), plan.refusals
    said = "; ".join(plan.refusals)
    assert "column public.projects.description is gone (catalog-phase)" in said
    assert "anon may now SELECT public.users: " in said
    assert """asks 'select description from public.projects', and then: column "description" does not exist""" in said
    assert (
        "; it can only go forward with enum public.mood (A value cannot be taken out of an enum: still, wild): " in said
    )
    halt = halted(room.change().carried_out())
    assert (type(halt), room.ask("select to_regclass('bluegreen.migrations')")) == (Refused, [(None,)])

    room.write(_011_sly=ALLOWED + SLY)
    applied = run(room.change().carried_out())  # NOT VALID stays, as it is allowed to
    kept = report.read(room.change().folder)
    assert applied.fresh
    assert kept is not None
    assert (kept.refusals, kept.verified and kept.verified.well) == ((), True)
    assert set(kept.allowed) == set(rules)
    assert run(room.change().changed(book(room.url))) == ()


def test_what_was_half_done_before_a_file_is_not_its_fault(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.ask("alter table public.projects add constraint named check (name <> 'x') not valid")
    room.ask("alter table public.projects disable trigger user")
    room.write(_011_more="alter table public.projects add column teams text;\n")
    plan = room.planned()
    assert {fault.rule for fault in plan.left_before} == {"constraint-not-valid", "trigger-disabled"}
    assert (plan.leftovers, plan.refusals) == ((), ())


def test_a_file_is_tried_on_top_of_those_that_are_pending_before_it(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS, _012_more="alter table public.teams add column name text;\n")
    plan = room.planned("012", "012")
    assert plan.difference is not None
    assert (plan.difference.added, plan.difference.changed) == (("column public.teams.name",), ())
    assert f"no matrix: {room.files}/matrix/012_*.sql is missing" in plan.not_checked
    assert room.ask("select to_regclass('public.teams')") == [(None,)]


def test_a_copy_that_was_asked_nothing_says_so(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.write(_011_teams=TEAMS)
    room.beside("matrix/011_world.sql", WORLD)
    assert room.planned().not_checked == (
        "No statement of a running release is known: nothing was replayed.",
        "The matrix was never recorded.",
    )


def test_the_text_alone_is_judged_without_any_database(tmp_path: Path) -> None:
    room = Room(tmp_path, url="postgresql://nobody@127.0.0.1:1/nowhere")
    room.write(_011_gone="drop table public.projects;\n")
    spec, change = room.spec(), room.change()
    plan = run(analysed(change.file, spec, Context(), "There is no database."))
    assert (plan.rehearsed, plan.not_checked, [each.rule for each in plan.linted.refusals]) == (
        False,
        ("There is no database.",),
        ["phase-mismatch"],
    )


def no_server(monkeypatch: pytest.MonkeyPatch, at: Path) -> None:
    """From now on temporary files belong where somebody else's folder lies in the way of any scratch server."""
    (at / f"{HOME}-{os.geteuid()}").mkdir(parents=True)
    (at / f"{HOME}-{os.geteuid()}").chmod(0o777)
    monkeypatch.setenv("TMPDIR", str(at))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_without_a_server_to_copy_to_a_preview_goes_on_and_an_apply_is_told_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, ctx = Room(tmp_path), Context()
    room.write(_011_teams=TEAMS)
    no_server(monkeypatch, tmp_path / "temporary")
    handler = MigrationHandler(lambda: Database(room.url), never)
    run(handler.preview(ctx, room.spec(), None))
    assert ctx.milestones[0].startswith(
        "011_teams: pending, 2 statements, expand; not tried on a copy. The dry run needs a Postgres of its own: "
    )
    halt = halted(handler.create(Context(), room.spec()))
    assert (type(halt), halt.world) == (NoScratch, "Nothing was changed.")
    assert halt.next.endswith(" Or say migrations.dryRun: skip, and it is applied untried.")
    assert room.ask("select to_regclass('public.teams'), to_regclass('bluegreen.migrations')") == [(None, None)]

    held = run(handler.create(Context(), room.spec(dry_run="skip")))
    kept = report.read(room.change().folder)
    assert kept is not None
    assert (held.state.attempts, kept.rehearsed, kept.verified, kept.not_checked) == (
        1,
        False,
        None,
        ("migrations.dryRun is skip, so there is no backup either.",),
    )


def of_servers() -> dict[int, str]:
    """Every process of a server that this one has started, with its whole title."""
    found: dict[int, str] = {}
    for pid in children(os.getpid()):
        with contextlib.suppress(OSError):
            found[pid] = (Path("/proc") / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
    return {pid: said for pid, said in found.items() if "postgres" in said}


def asleep_on_the_copy() -> bool:
    return any(f" {AFTER} " in said and " SELECT" in said for said in of_servers().values())


@pytest.mark.parametrize("how", ["asked", "ended", "late"])
def test_a_dry_run_that_is_given_up_leaves_nothing(tmp_path: Path, how: str) -> None:
    room, ctx = Room(tmp_path), Context()
    room.write(_011_sleep=SLEEP)
    change, there = room.change(ctx), of_servers()
    folders = set[str]()

    async def inside() -> BaseException:
        work = asyncio.ensure_future(room.plans(change))
        await asyncio.to_thread(wait, asleep_on_the_copy)
        for said in of_servers().values():
            folders.update(word for word in said.split() if "/run-" in word)
        if how == "asked":
            ctx.cancelled = True
        elif how == "late":
            ctx.deadline = ctx.now()
        else:
            work.cancel()
        with pytest.raises((NotWanted, asyncio.CancelledError)) as ended:
            await work
        # All of it is gone by now, and not only when this process ends.
        assert [folder for folder in folders if Path(folder).parent.exists()] == []
        # One that was killed is still in the system's list until somebody has reaped it.
        await asyncio.to_thread(wait, lambda: not [pid for pid in of_servers() if pid not in there and alive(pid)])
        return ended.value

    ended = run(inside())
    why = {"asked": "was given up: somebody asked to stop", "late": "ran too long"}
    if how != "ended":
        assert isinstance(ended, NotWanted)
        assert ended.what == f"The dry run of 011_sleep {why[how]}."
    assert folders
    assert not change.folder.exists()
    assert room.ask("select to_regclass('public.teams')") == [(None,)]
