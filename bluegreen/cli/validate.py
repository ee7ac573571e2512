"""`bluegreen validate`: is everything fit, as users meet it, and as it stands behind them?

Without a colour every check is asked: the config's own on the way that users take, and all that the program knows to
ask of apps, gateway, database, platform, certificates and tokens. With a colour only the config's checks are, past the
weights with the preview key, and only that colour's release may answer: that is what an app's `verify` names. It
deliberately moves nothing, and a skipped check never counts as passed.
"""

import asyncio
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.live import Live

from bluegreen import journal
from bluegreen.cli.recorded import recorded, sealed
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.evidence.bundle import stamp
from bluegreen.handler import Halt, Refused
from bluegreen.validation.check import Asked, Room
from bluegreen.validation.choice import Choice, known_app
from bluegreen.validation.finding import Finding, Validation
from bluegreen.validation.junit import junit as junit_xml
from bluegreen.validation.register import register
from bluegreen.validation.run import validate as asked_of
from bluegreen.validation.shown import lines, markdown, missed, progress, table, to_look_at

SUMMARY = "GITHUB_STEP_SUMMARY"
NAMED = 5  # findings that the outcome names

App = Annotated[str | None, typer.Option(help="Only what is about this app.")]
Slot = Annotated[
    Literal["blue", "green"] | None, typer.Option(help="Ask this colour alone, past the weights, not the way of users.")
]
Only = Annotated[list[str] | None, typer.Option(help="Only this check, by id or pattern; may be given more than once.")]
Skipped = Annotated[list[str] | None, typer.Option("--skip", help="Not this check, by id or pattern.")]
Group = Annotated[list[str] | None, typer.Option(help="Only this group: health, api, database, …")]
FailOn = Annotated[Literal["error", "warn"], typer.Option(help="What fails it: errors, or warnings, too.")]
File = Annotated[Path | None, typer.Option(help="Write it there as well.")]


async def validate(
    desk: Desk,
    *,
    app: App = None,
    colour: Slot = None,
    only: Only = None,
    skip: Skipped = None,
    group: Group = None,
    fail_on: FailOn = "error",
    junit: File = None,
    markdown: File = None,
) -> Outcome:
    """Ask every check: the config's own, and what there is to ask of apps, gateway, database and platform."""
    choice = Choice(only or (), skip or (), group or ())
    room = _room(desk, app, colour)
    known_app(room)
    asked = choice.asked(room, register())
    _writable(junit, markdown)
    try:
        with _progress(asked) as told:
            whole = await asked_of(room, asked, fail_on=fail_on, release=_release(desk), told=told)
    except asyncio.CancelledError:  # ^C
        await desk.ctx.milestone(
            "Stopped: nothing is known. Journeys took away what they had made, as far as they could."
        )
        raise
    shown = [finding for finding in whole.findings if choice.shows(finding)]
    validation = whole.model_copy(update={"findings": shown})
    await _show(desk, validation)
    unwritten = list(_files(validation, junit, markdown))
    for complaint in [*unwritten, *_evidence(desk, validation, choice)]:
        await desk.ctx.milestone(complaint)
    outcome = _outcome(validation)
    if unwritten and outcome.exit is Exit.OK:  # whoever asked for a file would take its absence for calm
        after = "Name another file, then validate again."
        return outcome.model_copy(update={"exit": Exit.FAULT, "world": " ".join(unwritten), "next": after})
    return outcome


def _room(desk: Desk, app: str | None, colour: Literal["blue", "green"] | None) -> Room:
    return Room(
        settings=desk.settings,
        connections=desk.connections,
        ctx=desk.ctx,
        recorded=lambda: recorded(desk.stack),
        sealed=sealed(desk.stack, desk.settings),
        apps=(app,) if app is not None else (),
        colour=colour,
    )


def _release(desk: Desk) -> str:
    """The stack's release that is, or is to be, live."""
    settings = desk.settings
    return journal.whole({app: settings.release_id(app, settings.apps[app].live) for app in settings.order()})


@contextmanager
def _progress(asked: Sequence[Asked]) -> Iterator[Callable[[Asked, Sequence[Finding]], None]]:
    """On a terminal what has come so far and what is still awaited, while it is."""
    if not sys.stderr.isatty():
        yield lambda each, found: None
        return
    awaited, found = Counter(each.group for each in asked), list[Finding]()
    with Live(console=Console(stderr=True), transient=True, refresh_per_second=8) as live:

        def told(each: Asked, seen: Sequence[Finding]) -> None:
            awaited[each.group] -= 1
            found.extend(seen)
            live.update(progress(awaited, found))

        yield told


async def _show(desk: Desk, validation: Validation) -> None:
    """A table for a person; a line each for a log."""
    if sys.stderr.isatty():
        if validation.findings:
            Console(stderr=True).print(table(validation))
        return
    for text in lines(validation):
        await desk.ctx.milestone(text)


def _writable(*files: Path | None) -> None:
    """Whether what is to be written can be, before anything is asked.

    Raises:
        Refused: its folder is not there, or nobody may write it.
    """
    for file in files:
        if file is None:
            continue
        if not (folder := file.absolute().parent).is_dir():
            raise _unwritable(file, f"there is no folder {folder}", "Make the folder, or name another file.")
        try:
            file.open("a", encoding="utf-8").close()
        except OSError as problem:
            raise _unwritable(file, f"{problem.strerror or problem}".lower(), "Name another file.") from problem


def _unwritable(file: Path, why: str, after: str) -> Refused:
    return Refused(f"{file} cannot be written: {why}.", world="Nothing was asked.", next=after)


def _files(validation: Validation, junit: Path | None, report: Path | None) -> Iterator[str]:
    """Write what was asked for; a sentence for each that could not be."""
    steps = os.environ.get(SUMMARY)
    wanted = ((junit, junit_xml, "w"), (report, markdown, "w"), (Path(steps) if steps else None, markdown, "a"))
    for file, told, mode in wanted:
        if file is not None:
            try:
                with file.open(mode, encoding="utf-8") as out:
                    out.write(told(validation))
            except OSError as problem:
                yield f"{file} was not written: {problem.strerror or problem}."


def _evidence(desk: Desk, validation: Validation, choice: Choice) -> Iterator[str]:
    """Into the bundle of the release; what was narrowed by hand is nobody's evidence."""
    if not validation.findings or choice != Choice():
        return
    try:
        bundle = desk.connections.bundles(desk.stack.name).bundle(validation.release)
        own = secrets.token_hex(2)  # two apps' gates may begin in the same second
        bundle.write_json(f"validation-{stamp(validation.began)}-{own}.json", validation)
        bundle.seal()
    except Halt as halt:
        yield halt.what
    except OSError as problem:
        yield f"The validation was not kept as evidence: {problem.strerror or problem}."


def _outcome(validation: Validation) -> Outcome:
    where = f"of {validation.way}" if validation.way != "users" else "on the way that users take"
    against = {id(each) for each in validation.against}
    count, bad = len(validation.findings), [each for each in to_look_at(validation) if id(each) in against]
    skipped, warned = validation.count("skipped"), [each for each in validation.findings if missed(each)]
    rest = f", {skipped} skipped" if skipped else ""
    if bad:
        named = "; ".join(f"{each.id}: {each.observed.rstrip('.')}" for each in bad[:NAMED])
        more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        after = bad[0].hint if len(bad) == 1 else "Each finding says what to do."
        what = f"{len(bad)} of {count} checks {where} did not pass{rest} ({named}{more})."
        world = "No traffic was moved."
        return Outcome(exit=Exit.FAILED_BEFORE_SWITCH, what=what, world=world, next=after, facts=validation)
    if validation.verdict == "inconclusive":
        what = f"No check was asked {where}{rest}."
        after = "Add a check that says something about it, or choose others with --app, --only and --group."
        return Outcome(exit=Exit.REFUSED, what=what, world="So nothing is known.", next=after, facts=validation)
    told = f", {len(warned)} with a warning" if warned else ""
    what = f"{validation.count('pass')} of {count} checks {where} passed{told}{rest}."
    return Outcome(exit=Exit.OK, what=what, facts=validation)
