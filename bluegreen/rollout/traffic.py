"""`bluegreen:rollout:Traffic`: where users go, as one resource for all apps of a stack.

Read before every preview and up, so a weight changed by hand in the gateway shows as `60 => 100` and is put right. An
update plans from what is wanted and what is really there, never from state alone; state keeps the history that tells
a rollback from a rollout.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from bluegreen.analysis import Meter
from bluegreen.event import Event, silent
from bluegreen.gateway import Gateway, Split
from bluegreen.handler import Cancelled, Context, Halt, Handler, Held, Partial, Refused
from bluegreen.http import ApiError
from bluegreen.journal import Deaf, Journal
from bluegreen.rollout.endings import Stopped, recent
from bluegreen.rollout.freeze import Frozen, frozen
from bluegreen.rollout.moves import carry_out
from bluegreen.rollout.plan import Move, plan, unfinished
from bluegreen.rollout.record import home, under_way
from bluegreen.rollout.spec import Done, Lane, Rollout, TrafficSpec, TrafficState
from bluegreen.rollout.step import Ask, Tools
from bluegreen.spec import COLOURS, Colour


class Audience(Protocol):
    """Whoever is told of moves; telling never waits."""

    def tell(self, event: Event) -> None: ...

    async def settle(self) -> str:
        """Send what is left, for a few seconds; a sentence about what did not arrive, or nothing."""


Keeps = Callable[[str, Sequence[str]], Journal]


class TrafficHandler(Handler[TrafficSpec, TrafficState]):
    """Moves traffic between colours, and knows where it is.

    Args:
        ask: which release answers on a preview route.
        offline: compare with state while the gateway cannot be reached (previews of forks).
        teardown: lets `pulumi destroy` take away targets that carry traffic.
        meter: measures what an analysis asks for.
        audience: who is told of moves; None where nobody is.
        journal: who writes down the moves of this owner's stack, without these texts; None where nobody does.
    """

    spec = TrafficSpec
    state = TrafficState
    # An address or a probe alone moves nobody: they are used by the next move. So an idle deploy leaves Traffic alone.
    quiet: ClassVar[frozenset[str]] = frozenset({"lanes.*.addresses", "lanes.*.probe", "lanes.*.unmarked"})
    refresh = True

    def __init__(
        self,
        gateway: Gateway,
        ask: Ask,
        *,
        offline: bool = False,
        teardown: bool = False,
        meter: Meter | None = None,
        audience: Audience | None = None,
        journal: Keeps | None = None,
    ) -> None:
        self._gateway = gateway
        self._ask = ask
        self._offline = offline
        self._teardown = teardown
        self._meter = meter
        self._audience = audience
        self._journal = journal
        self._id = secrets.token_hex(4)  # of this process's moves: any other mark is of a move that has ended

    def fill(self, new: TrafficSpec, old: Mapping[str, Any]) -> TrafficSpec:
        """Weights follow from `live`. A colour that traffic never knew is left out until it is to be live."""
        known = {app: lane.get("weights") or {} for app, lane in (old.get("lanes") or {}).items()}
        lanes = {
            app: lane.model_copy(update={"weights": _wanted(lane, known.get(app, {}))})
            for app, lane in new.lanes.items()
        }
        return new.model_copy(update={"lanes": lanes})

    async def preview(self, ctx: Context, new: TrafficSpec, old: Held[TrafficState] | None) -> TrafficState:
        history = old.state.history if old else ()
        try:
            move = plan(new.lanes, new.rollout, await self._splits(new.lanes), history, ctx.now(), mine=self._id)
        except ApiError as problem:
            if not self._offline:
                raise
            await ctx.milestone(f"{problem.what} Compared with state only.")
        else:
            if move:
                await ctx.milestone(str(move))
            if window := _frozen(move, new.rollout, ctx.now()):
                await ctx.milestone(f"frozen now ({window}): until then an update with this rollout is refused")
            for app in _removed(new, old) if old else ():
                await ctx.milestone(f"{app} is gone from the config: its targets will be taken away")
        return TrafficState(
            live={app: lane.live for app, lane in new.lanes.items()},
            releases={app: lane.release for app, lane in new.lanes.items()},
            weights={app: lane.weights for app, lane in new.lanes.items()},
            history=history,
        )

    async def create(self, ctx: Context, new: TrafficSpec) -> Held[TrafficState]:
        inputs = new.model_dump(mode="json", by_alias=True, exclude_unset=True)
        id = ",".join(sorted(lane.upstream for lane in new.lanes.values()))
        return Held(id, inputs, await self._move(ctx, new, Held(id, inputs, TrafficState())))

    async def read(self, ctx: Context, id: str, old: Held[TrafficState] | None) -> Held[TrafficState] | None:
        lanes: Mapping[str, Any] = (old.inputs.get("lanes") if old else None) or {}
        try:
            actual = {app: await self._gateway.split(upstream) for app, upstream in _upstreams(id, old).items()}
        except ApiError as problem:
            if not (self._offline and old):
                raise
            await ctx.milestone(f"{problem.what} Compared with state only.")
            return old
        if not any(split.slots for split in actual.values()):
            return None
        known = {app: lanes.get(app) or _imported(split) for app, split in actual.items()}
        seen = {app: {**known[app], **_really(split, known[app].get("addresses", {}))} for app, split in actual.items()}
        owner = {"owner": _owner(actual)} if old is None else {}
        inputs = {**(old.inputs if old else {}), **owner, "lanes": seen}
        return Held(id, inputs, _state(actual, old.state.history if old else ()))

    async def update(self, ctx: Context, new: TrafficSpec, old: Held[TrafficState]) -> TrafficState:
        return await self._move(ctx, new, old)

    async def delete(self, ctx: Context, old: Held[TrafficState]) -> None:
        for upstream in _upstreams(old.id, old).values():
            split = await self._gateway.split(upstream)
            if split.carrying and not self._teardown:
                raise Refused(
                    f"{upstream} carries traffic.",
                    world="No target was taken away.",
                    next="To tear the stack down: BLUEGREEN_TEARDOWN=1 pulumi destroy.",
                )
            for slot in split.slots.values():
                await self._gateway.drop(upstream, slot)

    async def _move(self, ctx: Context, new: TrafficSpec, old: Held[TrafficState]) -> TrafficState:
        history, tools = old.state.history, self._tools(ctx, new)
        try:
            move = await self._planned(new, history, tools)
            done = await carry_out(move, tools)
        except Stopped as problem:
            kind = Cancelled if problem.cancelled else Partial
            state = _state(await self._believed(new.lanes), (*history, *problem.done))
            held = Held(old.id, old.inputs, state)
            raise kind(problem.what, held=held, world=problem.world, next=problem.next) from problem
        finally:
            await self._heard(ctx, tools.journal)
        for app, upstream in _removed(new, old).items():
            await self._drop(app, upstream, ctx)
        return _state(await self._believed(new.lanes), (*history, *done))

    def _tools(self, ctx: Context, new: TrafficSpec) -> Tools:
        deadline = timedelta(seconds=new.rollout.progress_deadline_seconds)
        tell = self._audience.tell if self._audience is not None else silent
        journal = self._journal(new.owner, new.rollout.credentials()) if self._journal is not None else Deaf()
        return Tools(
            new.owner,
            self._id,
            new.nodes,
            deadline,
            self._gateway,
            self._ask,
            ctx,
            self._meter,
            tell,
            journal,
            {app: lane.release for app, lane in new.lanes.items()},
        )

    async def _planned(self, new: TrafficSpec, history: Sequence[Done], tools: Tools) -> Move:
        """What has to be done. Where that is refused, a move that nobody finishes any more still goes back."""
        splits = await self._splits(new.lanes)
        try:
            move = plan(new.lanes, new.rollout, splits, history, tools.ctx.now(), mine=self._id)
            await self._may_move(move, new.rollout, tools.ctx)
        except Refused:
            free = [app for app in new.lanes if not splits[app].hold]
            ended = [end for app in free if (end := unfinished(app, new.lanes[app], splits[app], mine=self._id))]
            wanted = tools.releases
            back = replace(tools, releases=home(wanted, splits), record=under_way(wanted, splits))
            await carry_out(Move(ended=tuple(ended)), back)
            raise
        return move

    async def _may_move(self, move: Move, rollout: Rollout, ctx: Context) -> None:
        """A freeze stops what has yet to prove itself, and nothing else."""
        window = _frozen(move, rollout, ctx.now())
        if window is None:
            return
        if rollout.freeze_override is None:
            raise Refused(
                f"Rollouts are frozen: {window}. {move}.",
                world="Traffic is unchanged. A rollback is never frozen.",
                next="Wait, or say why it cannot in rollout.freezeOverride.",
            )
        await ctx.milestone(f"frozen ({window}), and overridden: {rollout.freeze_override}")

    async def _heard(self, ctx: Context, journal: Journal) -> None:
        """The engine ends this process after the last resource: what is yet to be told or written is so now, or given
        up."""
        settling = (journal.settle, *([self._audience.settle] if self._audience is not None else []))
        for settle in settling:
            if complaint := await settle():
                await ctx.milestone(complaint)

    async def _drop(self, app: str, upstream: str, ctx: Context) -> None:
        """An app that is gone from the config: nobody may be led to it any more, so that its services can go."""
        for slot in (await self._gateway.split(upstream)).slots.values():
            await self._gateway.drop(upstream, slot)
        await ctx.milestone(f"{app} is gone from the config: its targets are taken away")

    async def _splits(self, lanes: Mapping[str, Lane]) -> dict[str, Split]:
        return {app: await self._gateway.split(lane.upstream) for app, lane in lanes.items()}

    async def _believed(self, lanes: Mapping[str, Lane]) -> Mapping[str, Split]:
        """As it is after a move; unknown (empty) where the gateway does not tell: the next read will."""
        try:
            return await self._splits(lanes)
        except Halt:
            return {app: Split(lane.upstream, {}) for app, lane in lanes.items()}


def _frozen(move: Move, rollout: Rollout, now: datetime) -> Frozen | None:
    return frozen(rollout.freeze, now) if move.rollouts else None


def _wanted(lane: Lane, known: Mapping[str, Any]) -> dict[Colour, int]:
    return {
        colour: 100 if colour == lane.live else 0
        for colour in COLOURS
        if colour in lane.addresses and (colour == lane.live or colour in known)
    }


def _really(split: Split, addresses: Mapping[str, str]) -> dict[str, Any]:
    """What a read finds, in the words of a lane's inputs.

    A mark that is still there means that nobody recorded the move's end, a hold that somebody has moved traffic by
    hand, and a live row with another address that users are led elsewhere. Each must show as a difference, or no update
    would come to take the move back, to see the hold, or to lead users where they belong.
    """
    live = split.live
    carrying = "split" if split.carrying else "none"
    unfinished = any(slot.move for slot in split.slots.values())
    held = "held" if split.hold else None
    found: dict[str, Any] = {"live": "unfinished" if unfinished else held or live or carrying}
    found["weights"] = {colour: split.slots[colour].weight for colour in COLOURS if colour in split.slots}
    if live is not None:
        slot = split.slots[live]
        astray = slot.address != addresses.get(live, slot.address)
        found["release"] = "" if astray else slot.release or ""  # a lost tag shows, and is written again
    return found


def _upstreams(id: str, old: Held[TrafficState] | None) -> dict[str, str]:
    """The upstream of each app: as the inputs say (apps come and go), or as an import names them, by comma."""
    lanes = (old.inputs.get("lanes") if old else None) or {}
    return {app: str(lane.get("upstream")) for app, lane in lanes.items()} or {name: name for name in id.split(",")}


def _removed(new: TrafficSpec, old: Held[TrafficState]) -> dict[str, str]:
    """Apps that traffic knew and that are no longer declared, with their upstreams."""
    kept = {lane.upstream for lane in new.lanes.values()}
    known = (old.inputs.get("lanes") or {}).items()
    return {app: str(lane.get("upstream")) for app, lane in known if lane.get("upstream") not in kept}


def _imported(split: Split) -> dict[str, Any]:
    return {
        "upstream": split.upstream,
        "release": "",
        "addresses": {colour: slot.address for colour, slot in split.slots.items()},
    }


def _owner(actual: Mapping[str, Split]) -> str:
    return next((slot.owner for split in actual.values() for slot in split.slots.values() if slot.owner), "")


def _state(actual: Mapping[str, Split], history: Sequence[Done]) -> TrafficState:
    found = {app: _really(split, {}) for app, split in actual.items()}
    return TrafficState(
        live={app: lane["live"] for app, lane in found.items()},
        releases={app: lane["release"] for app, lane in found.items() if "release" in lane},
        weights={app: lane["weights"] for app, lane in found.items()},
        history=recent(history),
    )
