"""How an update ended, as one code and three beats: what failed, where traffic is, what to do.

Pure: what the engine told is handed in. The question behind the code is always where users are. Before traffic was
asked to move, a failure is one that nobody met; a move that failed is well when every app is back where it was, and
somebody has to be called when one is not. It deliberately reads no provider's sentence for its meaning.
"""

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bluegreen.cli.troubles import known, locked
from bluegreen.cli.up_seen import COMMAND, PARTIAL, UNKNOWN, Op, Seen
from bluegreen.cli.verb import Exit, Outcome
from bluegreen.planning.previewed import TRAFFIC
from bluegreen.spec import COLOURS

SHOWN = 8  # operations that a sentence names
LOCK = re.compile(r"created by (?P<who>.+?) \(pid (?P<pid>\d+)\) at (?P<at>\S+)")
STOPPED: Mapping[int, Exit] = {signal.SIGTERM: Exit.TERMINATED}
UNFINISHED = "unfinished"
WORLD = "Nothing was changed."


@dataclass(frozen=True, slots=True)
class End:
    """How the engine ended: its code, its own words, the signal it was asked to stop with, and what Kong has now."""

    code: int
    said: str = ""
    wish: int | None = None
    now: Mapping[str, str] = field(default_factory=dict)  # by app; empty where nobody could ask


def outcome(seen: Seen, end: End, stack: str) -> Outcome:
    """What to tell of a run."""
    if end.code == 0:
        return _arrived(seen, stack)
    if not seen.began:
        return _unbegun(end, stack)
    exit = _judged(seen, end)
    if end.wish is not None and exit in (Exit.FAILED_BEFORE_SWITCH, Exit.REFUSED, Exit.FAULT):
        exit = STOPPED.get(end.wish, Exit.INTERRUPTED)
    lost = "The provider ended in the middle of its work." if seen.lost else ""
    objecting = f"Policies object: {', '.join(seen.policies)}." if seen.policies else ""
    what = " ".join(filter(None, (*seen.errors, lost, objecting))) or _last(end.said)
    killed = f"The engine was killed (signal {-end.code})." if end.code < 0 else ""
    what = what or killed or f"pulumi up ended with {end.code}, and does not say why."
    return Outcome(exit=exit, what=what, world=_world(seen, end, exit), next=_next(exit, seen, end, stack))


def _arrived(seen: Seen, stack: str) -> Outcome:
    did = _done(seen.changed)
    what = f"{stack} is up: {did}." if did else f"{stack} is as wanted: nothing was to be changed."
    return Outcome(exit=Exit.OK, what=what, world=_live(seen, {}))


def _judged(seen: Seen, end: End) -> Exit:
    traffic = next((op for op in seen.failed if op.type == TRAFFIC), None)
    if traffic is not None and traffic.status == PARTIAL:
        return _moved(seen, end)
    lost = seen.lost or end.code < 0 or (traffic is not None and traffic.status == UNKNOWN)
    if seen.moving and (lost or UNFINISHED in end.now.values()):
        return Exit.INCONCLUSIVE
    if any(done.verdict == "passed" for done in seen.moves):
        return Exit.FAULT  # users are where they were to go; what comes after that failed
    others = [op for op in seen.failed if op.type != COMMAND]
    silent = not (seen.failed or seen.errors or seen.policies)
    if silent or seen.crashed or lost or any(op.status == UNKNOWN for op in others):
        return Exit.FAULT
    tried = seen.changed or len(others) < len(seen.failed) or any(op.status == PARTIAL for op in others)
    return Exit.FAILED_BEFORE_SWITCH if tried else Exit.REFUSED


def _moved(seen: Seen, end: End) -> Exit:
    """Of a move that did not arrive: is every app back where it was?"""
    if seen.traffic is None:
        return Exit.INCONCLUSIVE
    live, ended = seen.traffic.live, {done.app: done for done in seen.moves}
    known = seen.before.live if seen.before is not None else {}
    origins = {app: ended[app].origin if app in ended else known.get(app) for app in live}
    silent = [app for app in live if origins[app] in COLOURS and not seen.traffic.weights.get(app)]
    if silent or "held" in live.values():
        return Exit.INCONCLUSIVE
    if end.wish is None and any(done.kind == "rollback" and done.verdict != "passed" for done in ended.values()):
        return Exit.ROLLBACK_FAILED
    if all(_back(live[app], origins[app]) for app in live):
        return Exit.FAILED_BEFORE_SWITCH
    # All arrived, and only the last mark is left: users are where they were to go, and the next update says so.
    arrived = bool(ended) and all(done.verdict == "passed" for done in ended.values())
    return Exit.INCONCLUSIVE if arrived else Exit.ROLLBACK_FAILED


def _back(live: str, origin: str | None) -> bool:
    """Whether an app is where it was; one that came from no single colour is well on any."""
    return live == origin if origin in COLOURS else live in (*COLOURS, "none")


def _unbegun(end: End, stack: str) -> Outcome:
    if end.wish is not None:
        exit = STOPPED.get(end.wish, Exit.INTERRUPTED)
        return Outcome(exit=exit, what="The update was stopped before it began.", world=WORLD)
    if locked(end.said):
        return held(stack, _holder(end.said))
    refused = known(end.said, stack)
    if refused is not None:
        return Outcome(exit=Exit.REFUSED, what=refused.what, world=refused.world, next=refused.next)
    what = f"pulumi up did not begin: {_last(end.said) or f'it ended with {end.code}'}"
    return Outcome(exit=Exit.FAULT, what=f"{what.rstrip('.')}.", world=WORLD, next="Correct that, then run it again.")


def held(stack: str, holder: str, *, alive: bool | None = None) -> Outcome:
    """Somebody else has the stack."""
    dead = alive is False
    what = f"Stack {stack} is locked by {holder or 'another update'}{', which is gone' if dead else ''}."
    wait = "Wait for it, or stop it with ^C; if it is dead, bluegreen recover makes the stack whole."
    next_ = "Run bluegreen recover, which makes the stack whole; then run this again." if dead else wait
    return Outcome(exit=Exit.LOCKED, what=what, world=WORLD, next=next_)


def _holder(said: str) -> str:
    found = LOCK.search(said)
    return f"process {found['pid']} of {found['who']} since {found['at']}" if found else ""


def _world(seen: Seen, end: End, exit: Exit) -> str:
    did = _done(seen.changed)
    before = f"Before that: {did}." if did else WORLD if exit is Exit.REFUSED and seen.policies else ""
    return " ".join(filter(None, (before, _live(seen, end.now))))


def _live(seen: Seen, now: Mapping[str, str]) -> str:
    """Where users are, by the gateway itself where it was asked."""
    live = now or (seen.traffic.live if seen.traffic is not None else {})
    said = (f"{app} {'on ' if colour in COLOURS else ''}{colour}" for app, colour in live.items())
    return f"Live: {', '.join(said)}." if live else ""


def _next(exit: Exit, seen: Seen, end: End, stack: str) -> str:
    if exit in (Exit.ROLLBACK_FAILED, Exit.INCONCLUSIVE):
        return f"bluegreen status --stack {stack} tells where users are, bluegreen recover finishes what nobody does."
    if seen.lost or end.code < 0:
        return "Run bluegreen recover, which makes the stack whole; then run this again."
    if seen.policies:
        return "Correct what they name, or their levels in the packs' configs."
    return ""


def _done(changed: Sequence[Op]) -> str:
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return f"{', '.join(str(op) for op in changed[:SHOWN])}{more}"


def _last(said: str) -> str:
    return next(_errors(said), "")


def _errors(said: str) -> Iterator[str]:
    for line in said.splitlines():
        if line.startswith("error: "):
            yield line.removeprefix("error: ").strip()
