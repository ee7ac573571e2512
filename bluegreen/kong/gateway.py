"""Kong as a gateway: one upstream per app, one weighted target per colour, everything we know about it in tags.

Measured on Kong 3.9.1 and decisive here: weight and tags in one PATCH lose no request; a row's uuid is a fence (a
re-created row answers 404 to everybody who knows the old uuid); rows are written to the database at once but each
worker of each node holds its own copy, so stored is not in force. It deliberately decides nothing about moves.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic

from bluegreen.gateway import Moved, MoveTag, Proof, Slot, Split, Unproven
from bluegreen.handler import Halt, Refused
from bluegreen.http import ApiError, Conflict, LostReply, NotFound, Unavailable, Unreachable
from bluegreen.kong.api import Entity, Kong, Sample
from bluegreen.kong.ownership import OWNER, hold_of, hold_tag, tag, time_of, untag
from bluegreen.spec import COLOURS, Colour

PAUSE = 0.02  # seconds between samples that did not agree
Met = Mapping[tuple[str, int | None], bool]
MISSED = 0.001  # accepted chance of having missed a worker, where Kong does not name workers


class KongGateway:
    """Implements `bluegreen.gateway.Gateway` on one traditional (database-backed) Kong cluster."""

    def __init__(self, kong: Kong) -> None:
        self._kong = kong
        self._least = enough(2)  # answers in the first proof
        self._workers = 2  # of one node; `budget` learns the true number

    async def budget(self) -> timedelta:
        """The longest a change may take to be in force everywhere: read from the node, used as a deadline only."""
        node = await self._kong.node()
        settings = node.get("configuration") or {}
        self._workers = len((node.get("pids") or {}).get("workers") or ()) or self._workers
        if settings.get("database") == "off":
            what = f"Kong at {self._kong.where} runs without a database, where weights cannot be written one by one."
            raise Refused(what, world="Nothing was changed.", next="Use a database-backed Kong.")
        if settings.get("role", "traditional") != "traditional":
            what = f"Kong at {self._kong.where} is a {settings['role']}, from which data planes cannot be proved."
            raise Refused(what, world="Nothing was changed.", next="Use a traditional, database-backed Kong.")
        wait = float(settings.get("db_update_frequency", 5)) + float(settings.get("db_update_propagation", 0))
        return timedelta(seconds=wait + float(settings.get("worker_state_update_frequency", 5)) + 1)

    def answers(self, nodes: int) -> int:
        """How many answers in a row, each over a new connection, leave out a worker in 1 of 1,000 cases at most."""
        return enough(self._workers * nodes)

    async def split(self, upstream: str) -> Split:
        slots: dict[Colour, Slot] = {}
        for row in await self._kong.targets(upstream) or ():
            slot = _slot(row)
            if slot is None:
                self._refuse_foreign(upstream, row)
            elif slot.colour in slots:
                what = f"Kong's upstream {upstream} holds two targets tagged {slot.colour}."
                raise Refused(what, world="Nothing was changed.", next="Delete the one that is not in use.")
            else:
                slots[slot.colour] = slot
        return Split(upstream, slots)

    async def put(self, upstream: str, slot: Slot, *, seen: Slot | None) -> None:
        try:
            if seen is None or seen.row is None:
                await self._kong.target_create(upstream, _body(slot))
            else:
                await self._still(upstream, seen)
                # Only what changes: a write that arrives late must not bring an old weight back with it.
                before = _body(seen)
                body = {key: value for key, value in _body(slot).items() if value != before[key]}
                await self._kong.target_update(upstream, seen.row, body)
        except NotFound as problem:
            if seen is None and await self._kong.targets(upstream) is None:
                what, world = f"Kong has no upstream {upstream}.", "Nothing was written."
                raise Refused(what, world=world, next="Run pulumi refresh, then pulumi up: it is made again.") from None
            raise _moved(upstream, slot.colour) from problem
        except Conflict as problem:
            if await self._adopted(upstream, slot):
                return
            raise _moved(upstream, slot.colour) from problem
        except (LostReply, Unavailable) as problem:
            if not await self._arrived(upstream, slot):
                await self._fence(upstream, slot, problem)

    async def drop(self, upstream: str, slot: Slot) -> None:
        if slot.row is not None:
            await self._still(upstream, slot)
            await self._kong.target_delete(upstream, slot.row)

    async def renew(self, upstream: str, slot: Slot, *, seen: Slot) -> None:
        await self._still(upstream, seen)
        await self._anew(upstream, slot, seen.row)

    async def moved(self, upstream: str) -> datetime | None:
        """When traffic last went to the colour that carries it; None while there is no other it could go back to.

        While a move is under way, or lies where somebody left it, that is now: it may still go back.
        """
        split = await self.split(upstream)
        live = split.slots.get(split.live) if split.live is not None else None
        if live is None or any(slot.move for slot in split.slots.values()):
            return datetime.now(UTC) if split.carrying else None
        others = [slot for slot in split.slots.values() if slot is not live and slot.release and not slot.rejected]
        return live.since if others else None

    async def prove(self, split: Split, *, within: timedelta, nodes: int) -> Proof:
        """Sample over new connections until every worker of so many nodes was met and agrees.

        Raises:
            Unproven: not within the given time; `unseen` when nobody disagreed but somebody was never met.
        """
        start, answers, agreeing, latest = monotonic(), 0, 0, ""
        met: dict[tuple[str, int | None], bool] = {}  # (node, worker) -> agrees
        while monotonic() - start <= within.total_seconds():
            try:
                sample = await self._kong.sample(split.upstream)
            except ApiError as problem:
                sample, latest = None, problem.what
            if sample is not None:
                answers += 1
                latest = difference(sample, split)
                met[sample.node, sample.worker] = not latest
                agreeing = 0 if latest else agreeing + 1
                # The first proof looks longer, so that a node nobody told of is missed in 1 of 1,000 cases at most.
                if self._complete(met, sample, agreeing, nodes) and answers >= self._least:
                    self._least = 0
                    seen = len({node for node, _ in met})
                    return Proof(answers, seen, timedelta(seconds=monotonic() - start))
            if latest:
                await asyncio.sleep(PAUSE)
        raise _unproven(split, met, within, latest, nodes)

    def _complete(self, met: Met, sample: Sample, agreeing: int, nodes: int) -> bool:
        workers = Counter(node for node, _ in met)
        if not all(met.values()) or len(workers) != nodes:
            return False
        if sample.worker is None:
            return agreeing >= self.answers(nodes)
        return all(count >= (sample.workers or 1) for count in workers.values())

    async def _still(self, upstream: str, seen: Slot) -> None:
        row = await self._kong.target(upstream, seen.row or "")
        if row is None or _slot(row) != seen:
            raise _moved(upstream, seen.colour)

    async def _adopted(self, upstream: str, slot: Slot) -> bool:
        """A row of this address that lost its tags is ours all the same, while it carries nothing."""
        for row in await self._kong.targets(upstream) or ():
            if row.get("target") == slot.address and _slot(row) is None and not row.get("weight"):
                await self._kong.target_update(upstream, str(row["id"]), _body(slot))
                return True
        return False

    async def _fence(self, upstream: str, slot: Slot, problem: ApiError) -> None:
        """A write without an answer may still land later: give the row another uuid, so that it finds nothing.

        Done only while another colour carries the traffic (it answers for the 5 to 14 ms without the row); otherwise
        the write's own error stands.
        """
        split = await self.split(upstream)
        if not set(split.carrying) - {slot.colour}:
            raise problem
        held = split.slots.get(slot.colour)
        await self._anew(upstream, slot, held.row if held is not None else None)

    async def _anew(self, upstream: str, slot: Slot, row: str | None) -> None:
        if row is not None:
            await self._kong.target_delete(upstream, row)
        try:
            await self._kong.target_create(upstream, _body(slot))
        except (Unreachable, LostReply, Unavailable):
            # Without its row the colour is gone; the look is repeated until Kong answers, so it is pause enough.
            if not await self._arrived(upstream, slot):
                await self._kong.target_create(upstream, _body(slot))

    async def _arrived(self, upstream: str, slot: Slot) -> bool:
        stored = (await self.split(upstream)).slots.get(slot.colour)
        return stored is not None and _body(stored) == _body(slot)

    def _refuse_foreign(self, upstream: str, row: Entity) -> None:
        if row.get("weight", 0) > 0:
            what = f"Kong's upstream {upstream} holds {row.get('target')} with weight {row.get('weight')}, not ours."
            next_ = (
                "If it lost its tags, give them back (colour:blue or colour:green); if foreign, set its weight to 0."
            )
            raise Refused(what, world="Nothing was changed.", next=next_)


def _unproven(split: Split, met: Met, within: timedelta, latest: str, nodes: int) -> Unproven:
    wanted = " / ".join(f"{colour} {split.slots[colour].weight}" for colour in COLOURS if colour in split.slots)
    seconds, why = f"{within.total_seconds():g} s", f" ({latest})." if latest else "."
    stubborn = [node for (node, _), agrees in met.items() if not agrees]
    if stubborn:
        what = (
            f"{split.upstream}: {len(stubborn)} of {len(met)} Kong workers do not serve {wanted} after {seconds}{why}"
        )
        return Unproven(what, world="The weights are stored, not in force everywhere.", next="Look at that node.")
    if not met:
        what = f"{split.upstream}: Kong gave no answer that could prove {wanted} within {seconds}{why}"
        return Unproven(what, world="The weights are stored.", next="Check that Kong's Admin API is reachable.")
    seen = len({node for node, _ in met})
    if seen > nodes:
        what = f"{split.upstream}: {seen} Kong nodes answer, and gateway.nodes in the stack config is {nodes}."
        return Unproven(what, world="The weights are stored, not proved everywhere.", next=f"Set it to {seen}.")
    what = f"{split.upstream}: {wanted} is proved on {seen} of {nodes} Kong nodes after {seconds}."
    next_ = "Correct gateway.nodes in the stack config or bring the missing node back."
    return Unproven(what, world="Every node that answered agrees.", next=next_, unseen=True)


def _moved(upstream: str, colour: Colour) -> Halt:
    return Moved(
        f"{upstream}: the {colour} target in Kong is not as it was read a moment ago; somebody else is writing.",
        world="Nothing was written.",
    )


def _slot(row: Entity) -> Slot | None:
    tags: dict[str, str] = dict(untag(text) for text in row.get("tags") or ())
    match tags.get("colour"):
        case "blue" | "green" as colour:
            return Slot(
                colour=colour,
                address=str(row.get("target")),
                weight=int(row.get("weight", 0)),
                owner=tags.get(OWNER),
                release=tags.get("release"),
                since=time_of(tags.get("since")),
                move=_move(tags.get("move")),
                rejected="rejected" in tags,
                proven="proven" in tags,
                hold=hold_of(tags.get("hold")),
                approved=hold_of(tags.get("approved")),
                row=row.get("id"),
            )
    return None


def _body(slot: Slot) -> dict[str, object]:
    return {"target": slot.address, "weight": slot.weight, "tags": _tags(slot)}


def _tags(slot: Slot) -> list[str]:
    tags = [tag("colour", slot.colour)]
    if slot.owner:
        tags.append(tag(OWNER, slot.owner))
    if slot.release:
        tags.append(tag("release", slot.release))
    if slot.since:
        tags.append(tag("since", slot.since.isoformat(timespec="seconds")))
    if slot.rejected:
        tags.append(tag("rejected", slot.release or "unknown"))
    if slot.proven:
        tags.append(tag("proven", slot.release or "unknown"))
    if slot.hold:
        tags.append(hold_tag("hold", slot.hold))
    if slot.approved:
        tags.append(hold_tag("approved", slot.approved))
    if slot.move:
        mark = slot.move
        tags.append(tag("move", f"{mark.id} {mark.origin or '-'} {mark.deadline.isoformat(timespec='seconds')}"))
    return sorted(tags)


def _move(text: str | None) -> MoveTag | None:
    match (text or "").split(" "):
        case [id, ("blue" | "green" | "-") as origin, deadline]:
            colour: Colour | None = "blue" if origin == "blue" else "green" if origin == "green" else None
            return MoveTag(id, colour, time_of(deadline) or datetime.fromtimestamp(0, UTC))
    return None


def difference(sample: Sample, split: Split) -> str:
    """What this worker holds otherwise than wanted, as a phrase; empty when it agrees."""
    held = {row.get("target"): row for row in sample.rows}
    for slot in split.slots.values():
        row = held.get(slot.address)
        report = (row or {}).get("data")
        if report is None and slot.weight == 0 and len(split.slots) > 1:
            continue  # this worker does not know the row: nothing goes there
        if report is None:
            return f"{slot.colour} is not in force yet"
        if report.get("nodeWeight") != slot.weight:
            return f"{slot.colour} has weight {report.get('nodeWeight')}"
        if slot.weight and (row or {}).get("health") in ("DNS_ERROR", "UNHEALTHY"):
            return f"{slot.colour} is {(row or {}).get('health')}"
    return ""


def enough(workers: int) -> int:
    """Samples in a row until the chance that one of so many workers was missed is below `MISSED`."""
    samples: int = 1
    while workers * (1 - 1 / workers) ** samples > MISSED:
        samples += 1
    return samples
