"""`bluegreen migrate rollback VERSION | accept`: the newest migration taken back, and a schema taken as it is.

A reverse script was proven on a copy when the migration was tried, and is kept in the ledger, so any machine can run
it. Traffic is not its business: whatever still declares that schema keeps it from being taken back.
"""

import getpass
from pathlib import Path

from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Halt, Refused
from bluegreen.postgres import drift
from bluegreen.postgres.apply import Failed, Locked, Stopped, Unclear
from bluegreen.postgres.change import MEGA, platform
from bluegreen.postgres.session import NOTHING
from bluegreen.postgres.spec import Migrations
from bluegreen.postgres.undo import undo

EXITS: tuple[tuple[type[Halt], Exit], ...] = (
    (Failed, Exit.FAILED_BEFORE_SWITCH),
    (Stopped, Exit.FAILED_BEFORE_SWITCH),
    (Locked, Exit.LOCKED),
    (Unclear, Exit.INCONCLUSIVE),
)


async def taken_back(
    desk: Desk, wanted: Migrations, version: str | None, script: Path | None, *, accept_data_loss: bool
) -> Outcome:
    """Run the reverse script of the newest migration."""
    if version is None:
        raise Refused(
            "Which migration is to be taken back?",
            world=NOTHING,
            next="Name the newest one: bluegreen migrate rollback 011.",
        )
    stack = desk.settings.owner.partition(".")[2] or desk.settings.owner
    try:
        undone = await undo(
            desk.connections.database(),
            version,
            script,
            accept_data_loss=accept_data_loss,
            ctx=desk.ctx,
            folder=Path(wanted.backup.folder) / stack / f"rollback-{version}",
            budget_bytes=wanted.backup.megabytes * MEGA,
            budget=wanted.lock_budget,
            needed_by=_needed_by(desk, version),
            platform=platform(desk.connections.values.get("supabaseToken"), wanted.backup),
        )
    except Halt as halt:
        code = next((code for kind, code in EXITS if isinstance(halt, kind)), Exit.REFUSED)
        return Outcome(exit=code, what=halt.what, world=halt.world, next=halt.next)
    return Outcome(
        exit=Exit.DRIFT if undone.same is False else Exit.OK,
        what=f"{undone.told()}.",
        world="It is out of the ledger; state still has it.",
        next=f'Set migrations.target below "{version}" and run pulumi refresh; with the target as it is, the next '
        "update after a refresh applies it again.",
        facts=undone,
    )


def _needed_by(desk: Desk, version: str) -> list[str]:
    """Colours whose release would meet a schema older than it needs."""
    settings = desk.settings
    return [
        f"apps.{app}.{colour}"
        for app, colour in settings.existing()
        if int(settings.release(app, colour).schema_min or 0) >= int(version)
    ]


async def accepted(desk: Desk, reason: str | None) -> Outcome:
    """From now on the schema counts as it is."""
    if not reason or not reason.strip():
        raise Refused("There is no --reason.", world=NOTHING, next="Say why the schema is taken as it is.")
    found = await drift.accept(desk.connections.database(), getpass.getuser(), reason, desk.ctx)
    return Outcome(
        exit=Exit.OK,
        what=f"The schema is taken as it is: {found}." if found else "The schema is taken as it is; nothing differed.",
        world="It is recorded with your name and the reason; nothing else was changed.",
    )
