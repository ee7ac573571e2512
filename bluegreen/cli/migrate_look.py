"""`bluegreen migrate status | analyze | dry-run | verify | matrix`: what looks, and changes nothing in the database.

What was found keeps a pull request's check red by its exit code: 15 where a file is refused, 10 where it does not go
through on the copy, 14 where the database is not as it was left. The reports hold everything; a line holds the gist.
"""

from collections.abc import Sequence
from pathlib import Path

from bluegreen.cli.migrate_state import Standing, seen
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Refused
from bluegreen.postgres import drift, files, ledger, report
from bluegreen.postgres.change import Change, platform
from bluegreen.postgres.files import File
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.rehearsal import analysed, met, rehearse_from
from bluegreen.postgres.scratch.trace import Failed
from bluegreen.postgres.session import NOTHING
from bluegreen.postgres.spec import Migrations
from bluegreen.postgres.stopping import NotWanted, until_stopped
from bluegreen.postgres.verify.matrix import compare
from bluegreen.spec import State as Facts


class Plans(Facts):
    """What was found, a plan for each file."""

    plans: tuple[Plan, ...] = ()


class Looked(Facts):
    """What is not as it was left, a sentence each."""

    found: tuple[str, ...] = ()


async def standing(desk: Desk, wanted: Migrations) -> Outcome:
    """What the database has seen."""
    found = await seen(desk.connections.database(), wanted, reports(desk, wanted))
    by_state: dict[Standing, list[str]] = {}
    for version in found.versions:
        by_state.setdefault(version.state, []).append(version.version)
    strange = by_state.keys() & {"edited", "foreign", "missing"}
    after = "Run pulumi up, or bluegreen migrate apply." if by_state.keys() & {"pending", "begun"} else ""
    return Outcome(
        exit=Exit.DRIFT if strange else Exit.OK,
        what=f"The schema is at {found.schema_version}; {found.target} is wanted.",
        world=" ".join(
            (
                *(f"{state.capitalize()}: {', '.join(versions)}." for state, versions in by_state.items()),
                *(f"{each.version} {each.half}." for each in found.versions if each.half),
            )
        ),
        next="Files and ledger disagree: docs/migrations.md tells the ways out." if strange else after,
        facts=found,
    )


async def analyzed(desk: Desk, wanted: Migrations, version: str | None) -> Outcome:
    """The texts alone."""
    plans = []
    for file in chosen(wanted, version):
        spec = file.spec(desk.settings.owner, wanted)
        plans.append(await analysed(file, spec, desk.ctx, "This was an analysis of the text alone."))
    return _judged(plans, "Nothing was asked of a database.")


async def tried(desk: Desk, wanted: Migrations, version: str | None) -> Outcome:
    """Each pending file, or the one that is named, on a copy."""
    book = await ledger.look(desk.connections.database())
    pending = [file for file in chosen(wanted, version) if file.version not in book.entries]
    if not pending:
        seen = f"{version} is applied already" if version else "Nothing is pending"
        return Outcome(exit=Exit.OK, what=f"{seen}.", world=NOTHING, facts=Plans())
    plans: list[Plan] = []
    for file in pending:
        change = of(desk, wanted, file)
        try:
            plans.append(await change.planned(book, anew=True))
        except (Failed, NotWanted) as failed:
            return Outcome(
                exit=Exit.FAILED_BEFORE_SWITCH,
                what=failed.what,
                world=failed.world,
                next=failed.next,
                facts=Plans(plans=tuple(plans)),
            )
        await desk.ctx.milestone(f"{report.told(plans[-1])} ({change.folder}/plan.md)")
    return _judged(plans, "The database was only read.")


async def tried_from(desk: Desk, wanted: Migrations, version: str | None, baseline: Path) -> Outcome:
    """Every file, or the one that is named, on a schema that a file of SQL makes; asks no database."""
    if not baseline.is_file():
        raise Refused(f"There is no file {baseline}.", world=NOTHING, next="Name one that makes the schema.")
    plans: list[Plan] = []
    listed = files.read(Path(wanted.folder), wanted)
    for file in chosen(wanted, version):
        before = [each for each in listed if int(each.version) < int(file.version)]
        trying = rehearse_from(baseline, file, before, file.spec(desk.settings.owner, wanted), desk.ctx)
        try:
            plans.append(await until_stopped(trying, desk.ctx, f"The dry run of {file.label}"))
        except (Failed, NotWanted) as failed:
            code = Exit.FAILED_BEFORE_SWITCH
            return Outcome(exit=code, what=failed.what, world=failed.world, next=failed.next)
        report.write(plans[-1], reports(desk, wanted) / file.label, secrets=desk.connections.secrets)
    return _judged(plans, "No database was asked.")


async def verified(desk: Desk, wanted: Migrations) -> Outcome:
    """Whether what is applied is still as it was left."""
    database = desk.connections.database()
    book = await ledger.look(database)
    found: list[str] = []
    for file in files.read(Path(wanted.folder), wanted):
        if (entry := book.entries.get(file.version)) is None:
            continue
        if entry.sha256 != file.sha256:
            found.append(f"{file.label} was edited after it was applied")
        found += await of(desk, wanted, file).changed(book)
    async with database.session("verify") as session:
        drifted = await drift.look(session, book)
    if drifted:
        found.append(f"changed by hand since {book.newest.label if book.newest else 'then'}: {drifted}")
    unknown = f" Not known: {drifted.unknown}." if drifted.unknown else ""
    if found:
        return Outcome(
            exit=Exit.DRIFT,
            what=f"The database is not as its migrations left it: {'; '.join(found)}.",
            world=f"Nothing was changed by looking.{unknown}",
            next="Undo it by hand, or take it as it is (bluegreen migrate accept --reason …).",
            facts=Looked(found=tuple(found)),
        )
    applied = ", ".join(book.entries) or "none"
    return Outcome(
        exit=Exit.OK,
        what="Nothing is found that is not as it was left."
        if unknown
        else "The database is as its migrations left it.",
        world=f"Applied: {applied}.{unknown}",
        facts=Looked(),
    )


async def matrices(desk: Desk, wanted: Migrations, version: str | None, *, record: bool) -> Outcome:
    """Who may what after a version, tried as the real roles on a copy; kept beside the migration when wanted."""
    listed = chosen(wanted, version)
    if not listed:
        raise Refused(
            "Nothing is wanted above the baseline.", world=NOTHING, next="Name a version, or raise the target."
        )
    newest, database = listed[-1], desk.connections.database()
    asking = met(database, newest, await _missing(desk, wanted, newest))
    found, seed = await until_stopped(asking, desk.ctx, f"The matrix of {newest.label}")
    if seed is None:
        raise Refused(f"{found.missing}.", world=NOTHING, next="docs/matrix.md tells what it looks like.")
    if record:
        seed.record(found.text)
        kept = f"{found.probes} answers are kept beside {seed.path}."
        return Outcome(exit=Exit.OK, what=kept, world="The database was only read.", facts=found)
    differences = ("it was never recorded",) if seed.recorded is None else compare(seed.recorded, found)
    told = (*found.faults, *differences)
    return Outcome(
        exit=Exit.DRIFT if told else Exit.OK,
        what=f"The matrix differs: {'; '.join(told)}." if told else "The matrix is as it was recorded.",
        world=f"{found.probes} answers of {len(seed.people)} people on a copy. The database was only read.",
        next="Correct the migration; or take the answers as they are, and commit them: "
        f"bluegreen migrate matrix {newest.version} --record."
        if told
        else "",
        facts=found,
    )


async def _missing(desk: Desk, wanted: Migrations, newest: File) -> Sequence[File]:
    """What the database has not seen, up to and with a file."""
    book = await ledger.look(desk.connections.database())
    return [
        file
        for file in files.read(Path(wanted.folder), wanted)
        if int(file.version) <= int(newest.version) and file.version not in book.entries
    ]


def chosen(wanted: Migrations, version: str | None) -> Sequence[File]:
    """Every file up to the target, or the one that is named, which may lie beyond it.

    Raises:
        Refused: there is none of that version, or the folder does not fit.
    """
    if version is None:
        return files.read(Path(wanted.folder), wanted)
    beyond = wanted.model_copy(update={"target": max(wanted.target, version, key=int)}) if version.isdigit() else wanted
    found = [file for file in files.read(Path(wanted.folder), beyond) if file.version == version]
    if not found:
        raise Refused(
            f"There is no migration {version} above the baseline {wanted.baseline}.",
            world=NOTHING,
            next="bluegreen migrate status lists the versions.",
        )
    return found


def of(desk: Desk, wanted: Migrations, file: File) -> Change:
    """A file with what it needs to be tried or applied."""
    window = desk.settings.rollout.rollback_window.duration
    spec = file.spec(desk.settings.owner, wanted, desk.settings.order(), window)
    backups = platform(desk.connections.values.get("supabaseToken"), wanted.backup)
    return Change(desk.connections.database(), file, spec, desk.ctx, backups, desk.connections.secrets)


def reports(desk: Desk, wanted: Migrations) -> Path:
    """The folder of this stack's reports, a folder for each file."""
    return Path(wanted.reports) / desk.stack.name / "migrations"


def _judged(plans: Sequence[Plan], world: str) -> Outcome:
    refused = [f"{plan.label}: {said}" for plan in plans for said in plan.refusals]
    if refused:
        return Outcome(
            exit=Exit.REFUSED,
            what=f"{len(refused)} {'thing speaks' if len(refused) == 1 else 'things speak'} against "
            f"{', '.join(plan.label for plan in plans if plan.refusals)}: {'; '.join(refused)}.",
            world=world,
            next="Correct the files, or allow a rule by name and with a reason (docs/rules.md).",
            facts=Plans(plans=tuple(plans)),
        )
    return Outcome(
        exit=Exit.OK,
        what=" ".join(f"{report.told(plan)}." for plan in plans) or "Nothing is wanted above the baseline.",
        world=world,
        facts=Plans(plans=tuple(plans)),
    )
