"""`database_migration`: the newest migration becomes the schema that is wanted, and is applied by an update."""

from pathlib import Path

from bluegreen.cli.migrate_look import chosen, verified
from bluegreen.cli.phase_work import Work
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Halt, Refused
from bluegreen.phases.target import retargeted
from bluegreen.postgres import files, ledger
from bluegreen.postgres.spec import Migrations
from bluegreen.staging.delivery import Message, Wish, deliver
from bluegreen.staging.file import Draft, read
from bluegreen.staging.told import Handed


async def migration(work: Work) -> Outcome:
    """Raise the target, commit, push, bring up, and look whether the schema is as it was on the copy."""
    await work.begin()
    wanted = (await work.sealed()).settings.migrations
    if wanted is None:
        return work.nothing(f"{work.stack.name} has no migrations.")
    version = _target(wanted, work.wish.target)

    async def edit(desk: Desk) -> Outcome:
        return await _raised(desk, version, commit=work.commits)

    if (end := await work.land("target", edit, work.planned)) is not None:
        return end
    if not work.facts.commit and await _applied(work, version):
        return work.nothing(f"The schema is at {version}.")
    done = await work.bring_up()
    if done.exit:
        there = await _applied(work, version)
        return await work.undo(done, unmade=None if there is None else not there)
    desk = await work.opened()
    assert desk.settings.migrations is not None
    looked = await work.did("migrate verify", verified(desk, desk.settings.migrations))
    if looked.exit:
        return work.end(looked)
    return work.ended(Exit.OK, f"The schema is at {version}, as it was on the copy.", "No traffic was moved.")


def newest(wanted: Migrations) -> str:
    """The last version that there is a file for."""
    later = files.beyond(Path(wanted.folder), wanted)
    return later[-1].partition("_")[0] if later else wanted.target


def _target(wanted: Migrations, version: str) -> str:
    """The version that is to be wanted.

    Raises:
        Refused: there is none of that name, or it lies before what is wanted already.
    """
    if not version:
        return newest(wanted)
    if version != wanted.target:
        chosen(wanted, version)
    if int(version) < int(wanted.target):
        raise Refused(
            f"{version} lies before {wanted.target}, which is wanted already.",
            world="Nothing was changed.",
            next=f"bluegreen migrate rollback {wanted.target} takes a migration back.",
        )
    return version


async def _raised(desk: Desk, version: str, *, commit: bool) -> Outcome:
    """The one line of the stack's file."""
    text, wanted = read(desk.stack.file), desk.settings.migrations
    before = wanted.target if wanted else ""
    draft = Draft(desk.stack.file, text, retargeted(text, desk.stack.project, version))
    if not draft.diff:
        what = f"{version} is the schema that is wanted already."
        return Outcome(exit=Exit.OK, what=what, facts=Handed(stack=desk.stack.name, file=desk.stack.file.name))
    draft.settings(desk.stack.project, desk.stack.name)
    message = Message(f"Migrate {desk.stack.name} to {version}", f"migrations.target: {before} → {version}", "")
    delivered = await deliver(desk.ctx, draft, message, Wish(commit), desk.stack.name)
    return Outcome(
        exit=Exit.OK,
        what=f"Wanted of {desk.stack.name}: schema {version}, after {before}.",
        world=delivered.world,
        facts=Handed(**delivered.facts),
    )


async def _applied(work: Work, version: str) -> bool | None:
    """Whether the database has seen this version; None where it cannot be asked."""
    desk = await work.opened()
    wanted = desk.settings.migrations
    if wanted is not None and int(version) <= int(wanted.baseline):
        return True
    try:
        return version in (await ledger.look(desk.connections.database())).entries
    except Halt:
        return None
