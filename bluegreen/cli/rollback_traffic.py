"""`bluegreen rollback full | APP`: traffic goes back at once, without Pulumi, and stays there.

All apps are judged before the first one moves, then they move in the reverse order of a rollout. Each is held: a
running update stops, a later one that wants something else is refused. One that cannot be moved does not keep the
others. For a while it is looked at and mended, should a late writer undo it. Then the checks are asked as users would,
and the config's line to revert is told or written. Needs Kong's Admin API alone: without an address of its proxy,
nothing is asked, and that is said. Where everything is held already, nobody is moved, and the checks are asked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex

from bluegreen.cli.asking import asked, failing, named, show
from bluegreen.cli.hold import by_hand
from bluegreen.cli.keep import passing
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.written import began, config_lines, on_record, settle, write_config, write_report
from bluegreen.event import Tell, silent
from bluegreen.gateway import Hold, Split, Unproven
from bluegreen.handler import Halt, Refused
from bluegreen.http import ApiError
from bluegreen.journal import Ended
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
    start = desk.ctx.now()
    hold, tell = by_hand(wish.reason, start), _tell(desk)
    tools = _tools(desk, tell)
    splits = {app: await tools.gateway.split(lane.upstream) for app, lane in desk.settings.lanes().items()}
    waiting = unreached(splits)
    ways, settled = _ways(desk, apps, wish, splits, waiting)
    if not ways:
        return await _already(desk, hold, settled)
    for held in settled.values():
        await desk.ctx.milestone(f"{held.what} It is left so.")
    if not wish.unchecked:
        for way in ways.values():
            await _one_place(desk, way)
            await _well(desk, way, tools)
    tools = on_record(desk, tools, ways, splits, midway=bool(waiting))
    tools.note(began, ways=ways, tools=tools, hold=hold)
    tools.event("rollback-started", f"by hand ({hold.by}): {', '.join(ways)}; {hold.reason}")
    gone: dict[str, Gone] = {}
    halts: dict[str, Halt] = {}
    for way in ways.values():
        try:
            said = await take_back(way, hold, tools)
        except Halt as halt:
            halts[way.app] = halt
            await desk.ctx.milestone(_of(way.app, halt))
            continue
        took = round((desk.ctx.now() - start).total_seconds(), 2)
        gone[way.app] = _gone(way, took, said)
        await desk.ctx.milestone(f"{way.app}: {way.goal} 100 %, {said}, {took:g} s after the start")
        tools.event("hold-set", f"{way.app} is {hold}", way.app, live=way.goal)
    mended, lost = await guard({app: ways[app] for app in gone}, hold, wish.guard, tools)
    halts |= lost
    if halts:
        text = " ".join(_of(app, halt) for app, halt in halts.items())
        tools.event("rollback-failed", text)
    else:
        text = f"by hand ({hold.by}): {', '.join(f'{a} on {g.goal}' for a, g in gone.items())}"
        tools.event("rollback-completed", text)
    tools.note(Ended, verdict="stopped" if halts else "passed", text=text)
    await _heard(desk, tools)
    lines = config_lines(desk, {app: ways[app] for app in gone})
    written = write_config(desk, lines) if wish.write and lines else "Write into the config: "
    results = () if halts else await _fare(desk)
    await show(desk, results)
    facts = Back(reason=hold.reason, by=hold.by, apps=tuple(gone.values()), lines=lines, mended=mended, results=results)
    report = write_report(desk, facts)
    if halts:
        where = [await _where(way, tools) for way in ways.values()]
        return _failed(facts, halts, where, written, report)
    return _told(facts, hold, written, report)


async def _fare(desk: Desk) -> Sequence[Result]:
    """How users fare; what stands in the way of asking undoes nothing of the way back."""
    try:
        return await passing(desk, sealed=True)
    except Halt as halt:
        await desk.ctx.milestone(f"No check could be asked ({halt.what.rstrip('.')}).")
        return ()


async def _where(way: Way, tools: Tools) -> str:
    """What serves of an app now, after not all went well."""
    try:
        split = await tools.gateway.split(way.split.upstream)
    except Halt:
        return f"what serves of {way.app} is not known"
    shares = " / ".join(f"{colour} {split.slots[colour].weight}" for colour in split.carrying) or "nothing"
    return f"{way.app} is on {split.live or shares}{', held' if split.hold else ''}"


def _of(app: str, halt: Halt) -> str:
    return halt.what if halt.what.startswith(app) else f"{app}: {halt.what}"


def _failed(facts: Back, halts: Mapping[str, Halt], where: Sequence[str], written: str, report: str) -> Outcome:
    """Every app that is not where it was to go, and where all of them are."""
    unproven = all(isinstance(halt, Unproven) for halt in halts.values())
    worlds = dict.fromkeys(halt.world for halt in halts.values() if halt.world)
    steps = dict.fromkeys(halt.next for halt in halts.values() if halt.next)
    lines = "; ".join(f"{key}: {value}" for key, value in facts.lines.items())
    kept = [f"Report: {report}."] if report else []
    return Outcome(
        exit=Exit.INCONCLUSIVE if unproven else Exit.ROLLBACK_FAILED,
        what=" ".join(_of(app, halt) for app, halt in halts.items()),
        world=" ".join([*worlds, f"Now {'; '.join(where)}.", *kept]),
        next=" ".join([*steps, "Then run this again.", *([f"{written}{lines}."] if lines else [])]),
        facts=facts,
    )


def _ways(
    desk: Desk, apps: Sequence[str], wish: Wish, splits: Mapping[str, Split], waiting: Collection[str]
) -> tuple[dict[str, Way], dict[str, InForce]]:
    """Every app's way back; one that is held already has none to go.

    Raises:
        Refused: one of them has none; nothing was changed.
    """
    lanes, ways, settled = desk.settings.lanes(), dict[str, Way](), dict[str, InForce]()
    for app in reversed([app for app in desk.settings.order() if app in apps]):
        try:
            ways[app] = way_back(app, lanes[app], splits[app], to=wish.to, waits=app in waiting)
        except InForce as refused:
            settled[app] = refused
    return ways, settled


async def _already(desk: Desk, hold: Hold, settled: Mapping[str, InForce]) -> Outcome:
    """Somebody was here before: nobody is moved to and fro, and how users fare there is asked."""
    results = await _fare(desk)
    await show(desk, results)
    bad = failing(results)
    return Outcome(
        exit=Exit.INCONCLUSIVE if bad else Exit.OK,
        what=f"{'; '.join(held.what.rstrip('.') for held in settled.values())}; {asked(results)}.",
        world=" ".join(["Nothing was changed.", *dict.fromkeys(held.world for held in settled.values())]),
        next=" ".join(
            [*([f"See to {named(bad)}."] if bad else []), *dict.fromkeys(held.next for held in settled.values())]
        ),
        facts=Back(reason=hold.reason, by=hold.by, results=results),
    )


async def _one_place(desk: Desk, way: Way) -> None:
    """What is asked past the weights has to be what the target leads to, or a good answer says nothing about it."""
    try:
        preview = await desk.connections.kong().entity(f"/services/{desk.settings.service_name(way.app, way.goal)}")
    except ApiError:
        return  # whether it is well is asked next, and that says what cannot be asked
    if preview is None:
        return
    asked, led = f"{preview['host']}:{preview['port']}", way.split.slots[way.goal].address
    if asked != led:
        what = f"{way.app}: the gateway's target of {way.goal} leads to {led}, and what would be asked is {asked}."
        world = f"Traffic stays on {' and '.join(way.split.carrying)}."
        next_ = f"Write live: {way.goal} and run pulumi up, which makes that target anew. Or go on with --unchecked."
        raise Refused(what, world=world, next=next_)


async def _well(desk: Desk, way: Way, tools: Tools) -> None:
    """What is stopped while it is idle cannot be well, and nobody here could start it."""
    try:
        await well(way, tools)
    except Refused as refused:
        if desk.settings.apps[way.app].idle == "running":
            raise
        starts = f"If {way.app}-{way.goal} is stopped (apps.{way.app}.idle), pulumi up alone starts it again"
        next_ = (
            f"{starts}: write live: {way.goal} and idle: running, then run it. Or go on all the same with --unchecked."
        )
        raise Refused(refused.what, world=refused.world, next=next_) from refused


def _tools(desk: Desk, tell: Tell) -> Tools:
    return Tools(
        owner=desk.settings.owner,
        id=token_hex(4),
        nodes=desk.settings.gateway.nodes,
        deadline=DEADLINE,
        gateway=desk.connections.gateway(),
        ask=lambda *question: desk.connections.prober().release(*question),  # opened when it is needed, or never
        ctx=desk.ctx,
        tell=tell,
    )


def _tell(desk: Desk) -> Tell:
    """Whoever is configured to hear of it; a wrong address must not stop a way back."""
    try:
        return desk.connections.notifier().tell
    except Refused:
        return silent


async def _heard(desk: Desk, tools: Tools) -> None:
    await settle(desk, tools.journal)
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


def _told(facts: Back, hold: Hold, written: str, report: str) -> Outcome:
    bad = failing(facts.results)
    apps = ", ".join(
        f"{each.app} {'is' if each.left else 'stays'} on {each.goal}{' again' if each.left else ''} "
        f"(release {each.release or 'unknown'})"
        for each in facts.apps
    )
    slowest = max((each.seconds for each in facts.apps), default=0.0)
    mended = f" Put right {_times(facts.mended)} while it was guarded." if facts.mended else ""
    lines = "; ".join(f"{key}: {value}" for key, value in facts.lines.items())
    after = f"{written}{lines}." if lines else "The config says so already."
    kept = f" Report: {report}." if report else ""
    back = "Traffic is back all the same. " if bad else ""
    return Outcome(
        exit=Exit.INCONCLUSIVE if bad else Exit.OK,
        what=f"{apps}: proved {slowest:g} s after the start; {asked(facts.results)}.",
        world=f"{back}It is {hold}: no update moves it.{mended}{kept}",
        next=f"{f'See to {named(bad)}. ' if bad else ''}{after} pulumi up then releases the hold.",
        facts=facts,
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
