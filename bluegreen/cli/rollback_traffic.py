"""`bluegreen rollback full | APP`: traffic goes back at once, without Pulumi, and stays there.

All apps are judged before the first one moves, then they move in the reverse order of a rollout. Each is held: a
running update stops, a later one that wants something else is refused. For a while it is looked at and mended, should
a late writer undo it. Then the checks are asked as users would, and the config's line to revert is told or written.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from secrets import token_hex

from bluegreen.cli.asking import show
from bluegreen.cli.keep import hold_of, passing
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.event import Tell, silent
from bluegreen.gateway import Hold, Unproven
from bluegreen.handler import Halt, Refused
from bluegreen.measure.checks import Result
from bluegreen.rollout.breakglass import InForce, Way, guard, take_back, unreached, way_back, well
from bluegreen.rollout.step import Tools
from bluegreen.spec import Colour, Spec

DEADLINE = timedelta(minutes=10)  # of a mark, which a way back by hand never leaves


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    reason: str
    to: Colour | None
    guard: timedelta
    write: bool
    unchecked: bool


class Gone(Spec):
    """One app's way back; `seconds` from the command's start to the last proof."""

    app: str
    origin: Sequence[Colour]
    goal: Colour
    left: Sequence[str]
    release: str | None
    seconds: float
    said: str


class Back(Spec):
    """What went back, what is to be written into the config, and how users fare."""

    reason: str
    by: str
    apps: Sequence[Gone] = ()
    lines: Mapping[str, str] = {}
    mended: int = 0
    results: Sequence[Result] = ()


async def rollback_traffic(desk: Desk, apps: Sequence[str], wish: Wish) -> Outcome:
    """Take these apps back, hold them, guard them, and ask as users would."""
    began = desk.ctx.now()
    hold, tell = hold_of(wish.reason, began), _tell(desk)
    tools = _tools(desk, tell)
    ways = await _ways(desk, apps, wish, tools)
    tools.event("rollback-started", f"by hand ({hold.by}): {', '.join(ways)}; {hold.reason}")
    gone: list[Gone] = []
    try:
        for way in ways.values():
            said = await take_back(way, hold, tools)
            took = round((desk.ctx.now() - began).total_seconds(), 2)
            gone.append(_gone(way, took, said))
            await desk.ctx.milestone(f"{way.app}: {way.goal} 100 %, {said}, {took:g} s after the start")
            tools.event("hold-set", f"{way.app} is {hold}", way.app, live=way.goal)
        mended = await guard(ways, hold, wish.guard, tools)
    except Halt as halt:
        tools.event("rollback-failed", str(halt))
        await _heard(desk)
        done = ", ".join(f"{each.app} is on {each.goal}" for each in gone)
        kind = Exit.INCONCLUSIVE if isinstance(halt, Unproven) else Exit.ROLLBACK_FAILED
        world = f"{halt.world} {done + '.' if done else ''}".strip()
        return Outcome(exit=kind, what=halt.what, world=world, next=f"{halt.next} Then run this again.".strip())
    tools.event("rollback-completed", f"by hand ({hold.by}): {', '.join(f'{g.app} on {g.goal}' for g in gone)}")
    await _heard(desk)
    lines = _lines(desk, ways)
    written = _written(desk, lines) if wish.write and lines else "Write into the config: "
    results = await passing(desk, sealed=True)
    await show(desk, results)
    facts = Back(reason=hold.reason, by=hold.by, apps=gone, lines=lines, mended=mended, results=results)
    report = _report(desk, facts)
    return _told(facts, hold, written, report)


async def _ways(desk: Desk, apps: Sequence[str], wish: Wish, tools: Tools) -> dict[str, Way]:
    """Every app's way back, all of them possible and well; of several, one that is held already has none to go.

    Raises:
        Refused: one of them has none, or none has any; nothing was changed.
    """
    lanes, ways, settled = desk.settings.lanes(), dict[str, Way](), list[InForce]()
    splits = {app: await tools.gateway.split(lane.upstream) for app, lane in lanes.items()}
    waiting = unreached(splits)
    for app in reversed([app for app in desk.settings.order() if app in apps]):
        try:
            ways[app] = way_back(app, lanes[app], splits[app], to=wish.to, waits=app in waiting)
        except InForce as refused:
            settled.append(refused)
    if not ways:
        raise settled[0]
    for held in settled:
        await desk.ctx.milestone(f"{held.what} It is left so.")
    if not wish.unchecked:
        for way in ways.values():
            await well(way, tools)
    return ways


def _tools(desk: Desk, tell: Tell) -> Tools:
    return Tools(
        owner=desk.settings.owner,
        id=token_hex(4),
        nodes=desk.settings.gateway.nodes,
        deadline=DEADLINE,
        gateway=desk.connections.gateway(),
        ask=desk.connections.prober().release,
        ctx=desk.ctx,
        tell=tell,
    )


def _tell(desk: Desk) -> Tell:
    """Whoever is configured to hear of it; a wrong address must not stop a way back."""
    try:
        return desk.connections.notifier().tell
    except Refused:
        return silent


async def _heard(desk: Desk) -> None:
    try:
        complaint = await desk.connections.notifier().settle()
    except Refused as refused:
        complaint = refused.what
    if complaint:
        await desk.ctx.milestone(complaint)


def _gone(way: Way, seconds: float, said: str) -> Gone:
    return Gone(
        app=way.app,
        origin=way.split.carrying,
        goal=way.goal,
        left=way.left,
        release=way.release,
        seconds=seconds,
        said=said,
    )


def _lines(desk: Desk, ways: Mapping[str, Way]) -> dict[str, str]:
    """What the config says otherwise: key and value to write."""
    project, apps = desk.stack.project, desk.settings.apps
    return {f"{project}:apps.{app}.live": way.goal for app, way in ways.items() if apps[app].live != way.goal}


def _written(desk: Desk, lines: Mapping[str, str]) -> str:
    """Write them, as `pulumi config set --path` does, which keeps the file's comments; what to say about it."""
    for key, value in lines.items():
        try:
            desk.stack.write(key, value)
        except (Refused, OSError, subprocess.SubprocessError) as problem:
            why = problem.what.rstrip(".") if isinstance(problem, Refused) else str(problem)
            return f"The config could not be written ({why}). Write into it: "
    return "Written into the config: "


def _report(desk: Desk, facts: Back) -> str:
    """Where the report lies; empty where none can be written."""
    folder = Path("reports")
    file = folder / f"rollback-{desk.stack.name}-{desk.ctx.now():%Y%m%dT%H%M%SZ}.json"
    try:
        folder.mkdir(exist_ok=True)
        file.write_text(facts.model_dump_json(indent=2, by_alias=True) + "\n", encoding="utf-8")
    except OSError:
        return ""
    return str(file)


def _told(facts: Back, hold: Hold, written: str, report: str) -> Outcome:
    bad = [result for result in facts.results if result.status in ("fail", "error")]
    apps = ", ".join(
        f"{each.app} {'is' if each.left else 'stays'} on {each.goal}{' again' if each.left else ''} "
        f"(release {each.release or 'unknown'})"
        for each in facts.apps
    )
    slowest = max((each.seconds for each in facts.apps), default=0.0)
    asked = f"{len(facts.results) - len(bad)} of {len(facts.results)} checks on the way that users take pass"
    mended = f" Put right {_times(facts.mended)} while it was guarded." if facts.mended else ""
    lines = "; ".join(f"{key}: {value}" for key, value in facts.lines.items())
    after = f"{written}{lines}." if lines else "The config says so already."
    kept = f" Report: {report}." if report else ""
    return Outcome(
        exit=Exit.OK,
        what=f"{apps}: proved {slowest:g} s after the start; {asked}.",
        world=f"It is {hold}: no update moves it.{mended}{kept}",
        next=f"{after} pulumi up then releases the hold.",
        facts=facts,
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
