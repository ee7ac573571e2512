"""`bluegreen migrate apply`: what is pending, in order, each file planned, backed up, applied and looked at.

It never goes past `migrations.target`. All pending files are judged before the first is applied; those that are applied
stay when a later one is not. The newest that is applied is looked at once more if it was not well when it was left.
"""

from pathlib import Path

from bluegreen.cli.migrate_look import of, reports
from bluegreen.cli.migrate_state import seen
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Halt, Refused
from bluegreen.postgres import files, ledger, report
from bluegreen.postgres.admission import Unfit
from bluegreen.postgres.apply import Failed, Locked, Stopped, Unclear
from bluegreen.postgres.change import Change
from bluegreen.postgres.migration import told
from bluegreen.postgres.scratch.trace import Failed as FailedOnCopy
from bluegreen.postgres.session import NOTHING
from bluegreen.postgres.spec import Migrations
from bluegreen.postgres.waiting import must_be_old_enough

EXITS: tuple[tuple[type[Halt], Exit], ...] = (
    (Failed, Exit.FAILED_BEFORE_SWITCH),
    (FailedOnCopy, Exit.FAILED_BEFORE_SWITCH),
    (Stopped, Exit.FAILED_BEFORE_SWITCH),
    (Locked, Exit.LOCKED),
    (Unclear, Exit.INCONCLUSIVE),
    (Unfit, Exit.DRIFT),
)


async def carried_out(desk: Desk, wanted: Migrations, approved: Path | None) -> Outcome:
    """Apply what is pending; with an approved plan, only while it fits."""
    database = desk.connections.database()
    changes = [of(desk, wanted, file) for file in files.read(Path(wanted.folder), wanted)]
    book, done = await ledger.look(database), list[str]()
    # Judged all together before the first is applied: the last may be one that must wait for another release.
    pending = [change for change in changes if book.judge(change.wanted, previewing=True) is None]
    desk.settings.admit((change.file.label, change.file.requires_schema_min) for change in pending)
    for change in pending:
        label, now = change.file.label, desk.ctx.now()
        await must_be_old_enough(change.wanted, label, lambda upstream: desk.connections.gateway().moved(upstream), now)
    if approved is not None:
        await _must_fit(approved, pending)
    said = ["Nothing is pending."]
    newest = [change for change in changes if book.newest and change.file.version == book.newest.version]
    try:
        for change in newest:
            await change.carried_out()
        for change in pending:
            applied = await change.carried_out()
            said = [f"{told(change.file, applied.entry, fresh=applied.fresh)}."]
            await desk.ctx.milestone(said[0])
            done += [change.file.version] if applied.fresh else []
    except Halt as halt:
        code = next((code for kind, code in EXITS if isinstance(halt, kind)), Exit.REFUSED)
        before = f" Applied before it, and staying: {', '.join(done)}." if done else ""
        return Outcome(exit=code, what=halt.what, world=halt.world + before, next=halt.next)
    found = (await seen(database, wanted, reports(desk, wanted))).model_copy(update={"applied": tuple(done)})
    return Outcome(exit=Exit.OK, what=said[-1], world=f"The schema is at {found.schema_version}.", facts=found)


async def _must_fit(approved: Path, pending: list[Change]) -> None:
    """What was approved is what would be applied: one file, the same text, the same schema.

    Raises:
        Refused: it is not.
    """
    plan = report.plan_in(approved)
    labels = ", ".join(change.file.label for change in pending) or "nothing"
    if len(pending) != 1 or pending[0].file.version != plan.version:
        what = f"{approved} is the plan of {plan.label}, and pending is {labels}"
    elif stale := await pending[0].stale(plan):
        what = f"{approved}, the plan of {plan.label}, {stale}"
    else:
        return
    raise Refused(f"{what}.", world=NOTHING, next="Run bluegreen migrate dry-run, and have its plan approved.")
