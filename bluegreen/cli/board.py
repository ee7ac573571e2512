"""How a survey is shown: a table for a person, a line for each subject in a log.

A line says what is, never how long ago, so that it changes only when the world does. It deliberately judges nothing:
what drifts was decided before.
"""

from collections.abc import Iterator, Mapping

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bluegreen.rollout.spec import Done
from bluegreen.standing import AppFacts, Side, Stopped, Under
from bluegreen.survey import KeptFacts, SchemaFacts, Survey

SHOWN = 3  # moves of each app; all of them are in the facts
UNKNOWN = "?"
BAD = (" drift", " hold", " rejected", " schema", " unread")


def lines(survey: Survey) -> dict[str, str]:
    """Every subject with its sentence, in the order in which a person asks."""
    told: dict[str, str] = {}
    for app in survey.apps:
        told |= {f"{app.app}{key}": text for key, text in _app(app)}
    told |= {key: text for key, text in _rest(survey) if text}
    return told


def table(survey: Survey) -> Group:
    """The weights as a table, and below it every line that is not in it."""
    grid = Table("app", "colour", "config", "state", "Kong", "release", "since", box=None, header_style="dim")
    for at in (2, 3, 4):
        grid.columns[at].justify = "right"
    for app in survey.apps:
        for side in app.sides:
            cells = [Text(cell) for cell in _cells(app, side, known=not survey.unread)]
            if side.stored:
                cells[1].stylize(f"bold {side.colour}")
            if side.stored != (side.wanted or 0) and not (side.stored is None and not side.wanted):
                cells[4].stylize("bold red")
            grid.add_row(*cells)
    below = [_styled(key, text) for key, text in lines(survey).items() if key not in {app.app for app in survey.apps}]
    return Group(grid, Text(), *below)


def _cells(app: AppFacts, side: Side, *, known: bool) -> Iterator[str]:
    yield app.app
    yield side.colour
    yield "" if side.wanted is None else str(side.wanted)
    yield UNKNOWN if not known else "" if side.recorded is None else str(side.recorded)
    yield "" if side.stored is None else str(side.stored)
    yield f"{side.release or ''}{' (rejected)' if side.rejected else ''}"
    yield f"{side.since:%Y-%m-%d %H:%M} UTC" if side.since else ""


def _styled(key: str, text: str) -> Text:
    line = Text.assemble((f"{key}: ", "dim"), text)
    if key.endswith(BAD):
        line.stylize("red", len(key) + 2)
    return line


def _app(app: AppFacts) -> Iterator[tuple[str, str]]:
    yield "", _serves(app)
    if app.unread:
        yield " unread", app.unread
    if app.move is not None:
        yield " move", _move(app.move)
    if app.hold is not None:
        yield " hold", f"held by {app.hold}"
    if gone := [f"release {side.release or 'unknown'} on {side.colour}" for side in app.sides if side.rejected]:
        yield " rejected", "; ".join(gone)
    if off := [_stopped(side.colour, side.stopped) for side in app.sides if side.stopped]:
        yield " idle", "; ".join(off)
    if app.rollback is not None:
        yield " rollback", app.rollback.why.removeprefix(f"{app.app}: ").rstrip(".")
    if app.unfit:
        yield " schema", "; ".join(app.unfit)
    for at, done in enumerate(app.history[:SHOWN], start=1):
        yield f" move -{at}", _done(done)
    if app.drift:
        yield " drift", "; ".join(each.removeprefix(f"{app.app}: ") for each in app.drift)


def _serves(app: AppFacts) -> str:
    if app.unread:
        return "unknown"
    carrying = [side for side in app.sides if side.stored]
    if not carrying:
        return "nothing serves"
    said = []
    for side in carrying:
        since = f" since {side.since:%Y-%m-%d %H:%M} UTC" if side.since else ""
        said.append(f"{side.colour} {side.stored} % with release {side.release or 'unknown'}{since}")
    return " and ".join(said)


def _stopped(colour: str, stopped: Stopped) -> str:
    since = f" since {stopped.at:%Y-%m-%d %H:%M} UTC" if stopped.at else ""
    until = stopped.kept_until
    kept = f", and Railway keeps its image at least until {until:%Y-%m-%d %H:%M} UTC" if until else ""
    return f"{colour} is stopped{since}{kept}"


def _move(move: Under) -> str:
    how = {True: "under way", False: "left by nobody alive", None: "under way, as far as can be told"}[move.alive]
    approved = f", approved by {move.approved.by} ({move.approved.reason})" if move.approved else ""
    until = f"{move.deadline:%Y-%m-%d %H:%M:%S} UTC"
    return f"{move.id} from {move.origin or 'nothing'} to {move.to} is {how}, until {until} at the latest{approved}"


def _done(done: Done) -> str:
    way = f"{done.origin or 'nothing'} → {done.goal}"
    took = (done.finished - done.started).total_seconds()
    text = f"{done.finished:%Y-%m-%d %H:%M} UTC {done.kind} {way} {done.verdict}, release {done.release}, {took:.1f} s"
    return f"{text}: {done.said.rstrip('.')}" if done.said else text


def _rest(survey: Survey) -> Iterator[tuple[str, str]]:
    yield "gateway", _kept(survey.kept)
    if survey.kept.hold is not None:
        yield "gateway hold", f"held by {survey.kept.hold}"
    if survey.kept.drift:
        yield "gateway drift", "; ".join(survey.kept.drift)
    yield "names", " ".join(survey.names)
    yield "database", _database(survey.database)
    yield "state", f"unknown: {survey.unread}" if survey.unread else "read"
    yield "lock", f"the stack is held by {survey.lock}" if survey.lock else ""
    yield "freeze", f"rollouts are frozen ({survey.frozen}); rollbacks never are" if survey.frozen else ""


def _kept(kept: KeptFacts) -> str:
    if kept.unread:
        return f"unknown: {kept.unread}"
    if kept.gateway is None or kept.at is None:
        return "none is kept as the last good one"
    words: Mapping[bool | None, str] = {
        True: "as the config wants it",
        False: "not what the config wants",
        None: "whether the config wants it cannot be told without the secrets",
    }
    checks = f"{kept.checks} check{'' if kept.checks == 1 else 's'} passed"
    return f"kept is {kept.gateway} of {kept.at:%Y-%m-%d %H:%M} UTC, {checks}; {words[kept.agrees]}"


def _database(database: SchemaFacts) -> str:
    if database.unread:
        wanted = f"; the config wants schema {database.target}" if database.target else ""
        return f"unknown: {database.unread}{wanted}"
    fits = "as the config wants" if database.holds == database.target else f"and the config wants {database.target}"
    return f"holds schema {database.holds}, {fits}"
