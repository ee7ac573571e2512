"""`bluegreen migrate ACTION`: a database's schema, looked at, tried, changed and taken back, without an engine.

    status      what the database has seen
    analyze     what the files' texts tell; asks no database
    dry-run     the same, and each pending file tried on a copy of the database
    apply       what is pending, up to the target: what `pulumi up` does, by the same code and under the same lock
    verify      whether what is applied is still as it was
    rollback    VERSION, the newest one, taken back by its reverse script
    accept      the schema as somebody changed it by hand, with a --reason
    matrix      who may what after a VERSION, tried on a copy as the real roles; --record keeps it beside the migration

Reports go to `reports/STACK/migrations/FILE`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from bluegreen.cli.migrate_apply import carried_out
from bluegreen.cli.migrate_back import accepted, taken_back
from bluegreen.cli.migrate_look import analyzed, matrices, standing, tried, tried_from, verified
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Refused
from bluegreen.postgres.session import NOTHING
from bluegreen.spec import DIGITS

Action = Annotated[
    Literal["status", "analyze", "dry-run", "apply", "verify", "rollback", "accept", "matrix"],
    typer.Argument(help="What to do; see above.", metavar="ACTION"),
]
One = Annotated[str | None, typer.Argument(help="A version such as 011, where one is meant.")]
Reason = Annotated[str | None, typer.Option(help="accept: why the schema is taken as it is.")]
Script = Annotated[Path | None, typer.Option(help="rollback: another reverse script than the one that was kept.")]
Loss = Annotated[bool, typer.Option("--accept-data-loss", help="rollback: rows may go; they are dumped first.")]
Record = Annotated[bool, typer.Option("--record", help="matrix: keep the answers beside the migration.")]
Base = Annotated[Path | None, typer.Option("--from", help="dry-run: on the schema that this SQL makes; no database.")]
Approved = Annotated[Path | None, typer.Option("--plan", help="apply: only if this plan.json still fits.")]


async def migrate(
    desk: Desk,
    action: Action,
    version: One = None,
    *,
    reason: Reason = None,
    script: Script = None,
    accept_data_loss: Loss = False,
    record: Record = False,
    plan: Approved = None,
    baseline: Base = None,
) -> Outcome:
    """Look at a database's schema, try a change, make it, or take it back.

    \b
    status    what the database has seen
    analyze   what the files' texts tell; asks no database
    dry-run   each pending file tried on a copy of the database
    apply     what is pending, up to the target
    verify    whether what is applied is still as it was
    rollback  VERSION, the newest one, taken back by its reverse script
    accept    the schema as somebody changed it by hand, with a --reason
    matrix    who may what after a VERSION; --record keeps the answers
    """
    wanted = desk.settings.migrations
    _must_fit(
        action,
        version,
        {
            "--reason": reason,
            "--script": script,
            "--accept-data-loss": accept_data_loss,
            "--record": record,
            "--plan": plan,
            "--from": baseline,
        },
    )
    if wanted is None:
        return Outcome(
            exit=Exit.REFUSED,
            what="This stack has no migrations.",
            world=NOTHING,
            next="Set migrations.target and migrations.baseline in the stack config.",
        )
    match action:
        case "status":
            return await standing(desk, wanted)
        case "analyze":
            return await analyzed(desk, wanted, version)
        case "dry-run":
            if baseline is not None:
                return await tried_from(desk, wanted, version, baseline)
            return await tried(desk, wanted, version)
        case "verify":
            return await verified(desk, wanted)
        case "matrix":
            return await matrices(desk, wanted, version, record=record)
        case "apply":
            return await carried_out(desk, wanted, plan)
        case "accept":
            return await accepted(desk, reason)
        case "rollback":
            return await taken_back(desk, wanted, version, script, accept_data_loss=accept_data_loss)


# What each action takes besides its name; anything else was meant for another one.
TAKES: Mapping[str, frozenset[str]] = {
    "status": frozenset(),
    "analyze": frozenset({"VERSION"}),
    "dry-run": frozenset({"VERSION", "--from"}),
    "apply": frozenset({"--plan"}),
    "verify": frozenset(),
    "rollback": frozenset({"VERSION", "--script", "--accept-data-loss"}),
    "accept": frozenset({"--reason"}),
    "matrix": frozenset({"VERSION", "--record"}),
}


def _must_fit(action: str, version: str | None, options: Mapping[str, object]) -> None:
    """Nothing is passed over in silence: an option that the action does not know, a version that is none."""
    given = [name for name, value in {"VERSION": version, **options}.items() if value not in (None, False)]
    strange = [name for name in given if name not in TAKES[action]]
    if strange:
        what = f"{version!r}" if strange[0] == "VERSION" else strange[0]
        raise Refused(
            f"bluegreen migrate {action} does not take {what}.",
            world=NOTHING,
            next=f"It takes {', '.join(sorted(TAKES[action])) or 'no more than its name'}; leave the rest out.",
        )
    if version is not None and not re.fullmatch(DIGITS, version, re.ASCII):
        raise Refused(
            f"{version!r} is no version: it is the number that a migration's file begins with.",
            world=NOTHING,
            next="Name one such as 011; bluegreen migrate status lists them.",
        )
