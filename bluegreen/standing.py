"""How one app stands: what is wanted, recorded and real, side by side, and every way in which they differ.

Pure: everything that was read is handed in. A difference is *drift* only where nobody means it: while a move is under
way weights differ on purpose, and a mark that nobody alive has left is a finding of its own. It deliberately reads
nothing and says nothing of other apps.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bluegreen.gateway import Hold, Split
from bluegreen.handler import Halt, Refused
from bluegreen.rollout.admissible import Known, admissible
from bluegreen.rollout.plan import plan
from bluegreen.rollout.spec import Done, Lane, TrafficState
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour, Spec, State


@dataclass(frozen=True, slots=True)
class Recorded:
    """What Pulumi knows. `unread` says in a phrase why it is not known, `held` whether anybody may be at work now."""

    traffic: TrafficState | None = None
    releases: Mapping[tuple[str, Colour], str] | None = None  # what was proved to run, by app and colour
    unread: str = ""
    lock: str | None = None
    held: bool | None = None  # None: this backend does not show it
    stopped: Mapping[tuple[str, Colour], "Stopped"] = field(default_factory=dict)  # as the last update left it


class Stopped(State):
    """A colour that was stopped while it is idle; times are None where somebody else stopped it."""

    at: datetime | None = None
    kept_until: datetime | None = None  # so long at least Railway keeps its image


class Word(Spec):
    """Somebody's word: a hold or an approval."""

    by: str
    at: datetime
    reason: str

    def __str__(self) -> str:
        return f"{self.by} since {self.at:%Y-%m-%d %H:%M} UTC ({self.reason})"


class Under(Spec):
    """A move under way, by its mark. `alive` is None where nobody can tell whether it still is."""

    id: str
    to: Colour
    origin: Colour | None
    deadline: datetime
    alive: bool | None
    approved: Word | None = None


class Side(Spec):
    """One colour of one app: its weight as wanted, as the last update recorded it, and as Kong has it."""

    colour: Colour
    wanted: int | None = None
    recorded: int | None = None
    stored: int | None = None
    release: str | None = None  # as its target in Kong says
    since: datetime | None = None
    rejected: bool = False
    schema_min: str | None = None
    stopped: Stopped | None = None


class Back(Spec):
    """Whether a rollback is possible now; `why` is the whole answer."""

    possible: bool
    colour: Colour | None
    release: str | None
    until: datetime | None
    why: str
    blocks: tuple[str, ...] = ()


class Barred(Spec):
    """Why an update that wants what the config wants is refused, and what has to be done first."""

    why: str
    next: str


class AppFacts(Spec):
    """One app. `drift` is every way in which what is differs from what is wanted or recorded."""

    app: str
    wanted: Colour
    live: Colour | None
    sides: tuple[Side, ...] = ()
    move: Under | None = None
    hold: Word | None = None
    history: tuple[Done, ...] = ()  # newest first
    rollback: Back | None = None
    unfit: tuple[str, ...] = ()  # colours that need a newer schema than the database holds
    drift: tuple[str, ...] = ()
    barred: Barred | None = None
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One app and everything that is known beside what Kong has."""

    settings: Settings
    app: str
    lane: Lane
    recorded: Recorded
    schema: str | None
    now: datetime
    sealed: frozenset[str]

    @property
    def wanted(self) -> Colour:
        return self.settings.apps[self.app].live

    @property
    def history(self) -> tuple[Done, ...]:
        traffic = self.recorded.traffic
        return tuple(done for done in traffic.history if done.app == self.app) if traffic else ()

    @property
    def weights(self) -> Mapping[Colour, int] | None:
        """As the last update recorded them."""
        return self.recorded.traffic.weights.get(self.app, {}) if self.recorded.traffic else None

    def release(self, colour: Colour, split: Split) -> str | None:
        """What this colour is to run: as the config says, or, where its secrets are sealed, as was last known."""
        if colour in self.lane.addresses and not self._sealed(colour):
            return self.settings.release_id(self.app, colour)
        held = split.slots.get(colour)
        return (self.recorded.releases or {}).get((self.app, colour)) or (held.release if held else None)

    def _sealed(self, colour: Colour) -> bool:
        # Without secrets of its own a colour's id is the same with and without a key.
        mine = (f"{self.app}.{colour}", f"apps.{self.app}.{colour}")
        own = any(path == "" or path.startswith(mine) or mine[0].startswith(f"{path}.") for path in self.sealed)
        return own or ("releaseKey" in self.sealed and bool(self.settings.secrets.apps.get(self.app, {}).get(colour)))


def stands(case: Case, found: Split | Refused) -> AppFacts:
    if isinstance(found, Refused):
        said = phrase(found)
        return AppFacts(app=case.app, wanted=case.wanted, live=None, unread=said, drift=(f"{case.app}: {said}",))
    move, bar = _under(case, found), barred(case, found)
    sides = tuple(_side(case, found, colour) for colour in COLOURS if _exists(case, found, colour))
    return AppFacts(
        app=case.app,
        wanted=case.wanted,
        live=found.live,
        sides=sides,
        move=move,
        hold=word(found.hold),
        history=case.history[::-1],
        rollback=_back(case, found),
        unfit=tuple(_unfit(case, sides)),
        drift=tuple(f"{case.app}: {each}" for each in _drift(case, found, sides, move, bar)),
        barred=bar,
    )


def barred(case: Case, split: Split) -> Barred | None:
    """What pulumi up would be refused with: it asks plan itself. Marks and holds are told by themselves, and left out.

    A release that failed is marked on its target, so even without Pulumi's state this is known.
    """
    calm = {colour: replace(slot, move=None, hold=None) for colour, slot in split.slots.items()}
    lane = case.lane.model_copy(update={"release": case.release(case.wanted, split) or case.lane.release})
    try:
        plan({case.app: lane}, case.settings.rollout, {case.app: Split(split.upstream, calm)}, case.history, case.now)
    except Refused as refused:
        return Barred(why=refused.what, next=refused.next)
    return None


def _exists(case: Case, split: Split, colour: Colour) -> bool:
    return colour in case.lane.addresses or colour in split.slots


def _side(case: Case, split: Split, colour: Colour) -> Side:
    slot, block = split.slots.get(colour), case.settings.apps[case.app].release(colour)
    return Side(
        colour=colour,
        wanted=(100 if colour == case.wanted else 0) if block else None,
        recorded=case.weights.get(colour) if case.weights is not None else None,
        stored=slot.weight if slot else None,
        release=slot.release if slot else None,
        since=slot.since if slot else None,
        rejected=slot.rejected if slot else False,
        schema_min=block.schema_min if block else None,
        stopped=case.recorded.stopped.get((case.app, colour)),
    )


def _under(case: Case, split: Split) -> Under | None:
    for slot in split.slots.values():
        if (mark := slot.move) is not None:
            # Out of its time, or with nobody who holds the stack, nobody finishes it any more.
            alive = False if mark.deadline <= case.now else case.recorded.held
            approved = word(slot.approved)
            origin, deadline = mark.origin, mark.deadline
            return Under(id=mark.id, to=slot.colour, origin=origin, deadline=deadline, alive=alive, approved=approved)
    return None


def _back(case: Case, split: Split) -> Back:
    releases = {colour: release for colour in COLOURS if (release := case.release(colour, split))}
    lane = case.lane.model_copy(update={"release": releases.get(case.wanted, case.lane.release)})
    blocks = {colour: case.settings.apps[case.app].release(colour) for colour in COLOURS}
    known = Known(
        releases=releases,
        schema_min={colour: block.schema_min for colour, block in blocks.items() if block},
        schema=case.schema,
        hold=split.hold,
        took=_took(case.history),
        stopped=[colour for colour in COLOURS if (case.app, colour) in case.recorded.stopped],
    )
    if case.recorded.traffic is None:
        why = f"{case.app}: whether a rollback is possible is in Pulumi's state, which is unknown now."
        return Back(possible=False, colour=None, release=None, until=None, why=why, blocks=("state is unknown",))
    said = admissible(case.app, lane, split, case.history, case.settings.rollout, case.now, known)
    return Back(
        possible=said.possible,
        colour=said.colour,
        release=said.release,
        until=said.until,
        why=said.why,
        blocks=tuple(said.blocks),
    )


def _took(history: tuple[Done, ...]) -> timedelta | None:
    """How long the last rollback took; one that was only recorded took no time."""
    spans = [done.finished - done.started for done in history if (done.kind, done.verdict) == ("rollback", "passed")]
    return next((span for span in reversed(spans) if span), None)


def _unfit(case: Case, sides: tuple[Side, ...]) -> Iterator[str]:
    for side in sides:
        if case.schema is not None and side.schema_min is not None and int(side.schema_min) > int(case.schema):
            yield f"{side.colour} needs schema {side.schema_min}, and the database holds {case.schema}"


def _drift(case: Case, split: Split, sides: tuple[Side, ...], move: Under | None, bar: Barred | None) -> Iterator[str]:
    if not split.slots:
        yield f"Kong has no target for it, and the config wants {case.wanted}"
        return
    if move is not None:
        # While a move is under way, weights differ because they are meant to.
        if move.alive is False:
            back = f"goes back to {move.origin}" if move.origin else "is ended"
            yield f"move {move.id} was left by nobody alive; it {back} with bluegreen recover"
        return
    really = {side.colour: side.stored or 0 for side in sides}
    wanted = {side.colour: side.wanted or 0 for side in sides}
    recorded = {side.colour: side.recorded or 0 for side in sides} if case.weights is not None else None
    if split.hold is not None and split.live != case.wanted:
        # What the last update recorded is older than the hold, and says nothing more.
        yield f"{split.live or 'it'} is {split.hold}, and the config wants {case.wanted}"
        return
    if really != wanted:
        since = " (no update has run since the config changed)" if recorded == really and bar is None else ""
        yield f"the config wants {_shares(wanted)}, and Kong has {_shares(really)}{since}"
        if bar is not None:
            yield f"no update brings it: {bar.why.removeprefix(f'{case.app}: ').rstrip('.')}"
    elif (runs := split.slots[case.wanted].release) != (release := case.release(case.wanted, split)):
        yield f"the config wants release {release} on {case.wanted}, and Kong's target says {runs or 'none'}"
    if recorded is not None and recorded != really:
        yield f"the last update recorded {_shares(recorded)}, and Kong has {_shares(really)}"


def _shares(weights: Mapping[Colour, int]) -> str:
    return " / ".join(f"{colour} {weight}" for colour, weight in weights.items())


def word(hold: Hold | None) -> Word | None:
    return Word(by=hold.by, at=hold.at, reason=hold.reason) if hold else None


def phrase(halt: Halt) -> str:
    """What is wrong, to stand inside a sentence."""
    return halt.what.rstrip(".")
