"""What Kong says of the traffic at one moment, and what of it is news beside the moment before. Pure, but for one read.

A Kong that does not answer is said, and what it said last is kept: traffic goes on without its Admin API. It
deliberately judges nothing: a weight that changed may be a release under way.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bluegreen.gateway import Gateway, Split
from bluegreen.handler import Halt
from bluegreen.spec import Colour

PATIENCE = 2.0  # seconds for all of Kong's answers in a round


@dataclass(frozen=True, slots=True)
class Sight:
    """The splits by app, as last read; `fresh` are the apps that were read now, `unread` why others were not."""

    splits: Mapping[str, Split] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()
    unread: str = ""

    @property
    def live(self) -> dict[str, Colour | None]:
        """The colour that carries all traffic, by app."""
        return {app: split.live for app, split in self.splits.items()}

    @property
    def weights(self) -> dict[str, dict[Colour, int]]:
        """Percent by colour, of what was read now."""
        return {
            app: {colour: slot.weight for colour, slot in self.splits[app].slots.items()} for app in sorted(self.fresh)
        }

    @property
    def releases(self) -> dict[str, str]:
        """What serves, by app, as far as it carries all traffic and names itself."""
        found = {app: _release(split) for app, split in self.splits.items()}
        return {app: release for app, release in found.items() if release}


async def look(gateway: Gateway, upstreams: Mapping[str, str], before: Sight) -> Sight:
    """What Kong says now; never raises."""
    asked = (_split(gateway, upstream) for upstream in upstreams.values())
    found = dict(zip(upstreams, await asyncio.gather(*asked), strict=True))
    read = {app: split for app, split in found.items() if isinstance(split, Split)}
    unread = next((text for text in found.values() if isinstance(text, str)), "")
    return Sight({**before.splits, **read}, frozenset(read), unread)


def news(before: Sight, now: Sight) -> Iterator[tuple[str, str]]:
    """What changed since the moment before, an app and a sentence each."""
    for app in sorted(now.fresh & before.splits.keys()):
        was, is_ = before.splits[app], now.splits[app]
        if _weights(was) != _weights(is_):
            yield app, f"weights went from {_weights(was)} to {_weights(is_)}"
        if (old := _release(was)) and (new := _release(is_)) and old != new:
            yield app, f"release {new} serves instead of {old}"
        if is_.hold is not None and is_.hold != was.hold:
            yield app, f"{is_.hold}"
        if is_.hold is None and was.hold is not None:
            yield app, "the hold is released"
        yield from ((app, text) for text in _moves(was, is_))


def strangers(sight: Sight, owner: str) -> dict[str, str]:
    """Whose an app's rows are, by app, where they carry the mark of another stack."""
    marks = {app: [slot.owner for slot in split.slots.values()] for app, split in sorted(sight.splits.items())}
    return {app: other for app, found in marks.items() if (other := next((m for m in found if m and m != owner), ""))}


def turned(before: Sight, now: Sight) -> set[str]:
    """The apps that something else serves: another colour, another release, or several at once."""
    known = now.fresh & before.splits.keys()
    return {app for app in known if _serves(before.splits[app]) != _serves(now.splits[app])}


def _serves(split: Split) -> tuple[Colour | None, str | None]:
    return split.live, _release(split)


def _moves(was: Split, is_: Split) -> Sequence[str]:
    old = {slot.move.id for slot in was.slots.values() if slot.move}
    new = {slot.move.id: slot for slot in is_.slots.values() if slot.move}
    begun = [f"move {id} to {slot.colour} is under way" for id, slot in new.items() if id not in old]
    return [*begun, *(f"move {id} is over" for id in old - new.keys())]


async def _split(gateway: Gateway, upstream: str) -> Split | str:
    try:
        async with asyncio.timeout(PATIENCE):
            return await gateway.split(upstream)
    except TimeoutError:
        return f"Kong's Admin API did not answer within {PATIENCE:g} s"
    except Halt as halt:
        return halt.what.rstrip(".")


def _release(split: Split) -> str | None:
    return split.slots[split.live].release if split.live is not None else None


def _weights(split: Split) -> str:
    return " / ".join(f"{colour} {slot.weight}" for colour, slot in sorted(split.slots.items())) or "nothing"
