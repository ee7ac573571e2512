"""The two colours of each app, before and after: what the last update recorded, and what the config wants.

Of a container's variables there are the names alone. A secret's name is told where the engine says that its value
differs; which value it had, nobody here knows.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bluegreen.gateway import Split
from bluegreen.planning.document import Names, Runs, Shift, Side
from bluegreen.planning.previewed import SERVICE, Json, Previewed, Step
from bluegreen.railway.spec import Observed, Release
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour

# `image: "ghcr.io/acme/backend@sha256:…" # v42`: the tag is the last word of the comment that has no blank in it.
NAMED = re.compile(r"@sha256:([0-9a-f]{64})['\"]?[ \t]*[,}\]]*[ \t]*#[ \t]*([^\n]+)")
LONGEST = 80  # characters of a comment that is shown
OUTSIDE = ("image", "variables", "schemaMin")  # of a release, told in places of their own


def tags(text: str) -> Mapping[str, str]:
    """By digest, the comment that stands beside it in the stack's file."""
    return {digest: said.strip()[:LONGEST] for digest, said in NAMED.findall(text)}


def short(tag: str) -> str:
    """The tag alone, where its comment names the whole reference."""
    last = (tag.split() or [""])[-1].rpartition("/")[2]
    return last.rpartition(":")[2] or tag


def sides(
    settings: Settings, app: str, split: Split | None, preview: Previewed, named: Mapping[str, str]
) -> tuple[Side, ...]:
    """Both colours of one app, as far as they were or will be."""
    steps = {(step.new or step.old).get("colour"): step for step in preview.of(SERVICE) if _app(step) == app}
    return tuple(
        _side(settings, app, colour, split, steps.get(colour), named)
        for colour in COLOURS
        if colour in steps or settings.apps[app].release(colour) or (split and colour in split.slots)
    )


def _app(step: Step) -> str:
    return str((step.new or step.old).get("app", ""))


def _side(
    settings: Settings, app: str, colour: Colour, split: Split | None, step: Step | None, named: Mapping[str, str]
) -> Side:
    block = settings.apps[app].release(colour)
    before = _before(colour, split, step, named)
    after = _after(settings, app, colour, named) if block is not None else None
    if isinstance(block, Observed):
        return Side(colour=colour, before=before, after=after, done="observed")
    old, new = (step.old, _wire(block)) if step and block else ({}, {})
    was = old.get("release") or {}
    return Side(
        colour=colour,
        before=before,
        after=after,
        done=_done(step, block, before, after),
        variables=_variables(was, new, step) if step and block else Names(),
        container=tuple(_container(was, new)) if was else (),
    )


def _done(step: Step | None, block: Release | None, before: Runs | None, after: Runs | None) -> Any:
    if block is None:
        return "removed" if before is not None else "stays"
    if step is None or not step.changes:
        # A preview that came to no end may not have got there; the release ids tell all the same.
        return "stays" if before is not None and after is not None and before.release == after.release else "deployed"
    fresh = step.op != "update" or before is None or after is None or before.release != after.release
    return "deployed" if fresh else "stays"


def _before(colour: Colour, split: Split | None, step: Step | None, named: Mapping[str, str]) -> Runs | None:
    slot = split.slots.get(colour) if split else None
    if (step is None or not (step.old or step.left)) and slot is None:
        return None
    release = ((step.old if step else {}).get("release")) or {}
    left = step.left if step else {}
    image = str(left.get("image") or release.get("image") or "")
    return Runs(
        release=str(left.get("releaseId") or (slot.release if slot else "") or ""),
        image=image,
        tag=_tag(image, named),
        replicas=_replicas(release.get("replicas")) if left.get("status") != "STOPPED" else 0,
        schema_min=release.get("schemaMin"),
        weight=slot.weight if slot else 0,
    )


def _after(settings: Settings, app: str, colour: Colour, named: Mapping[str, str]) -> Runs:
    block, live = settings.release(app, colour), settings.apps[app].live == colour
    own = block if isinstance(block, Release) else None
    running = live or settings.apps[app].idle == "running"
    return Runs(
        release=settings.release_id(app, colour),
        image=own.image if own else "",
        tag=_tag(own.image, named) if own else "",
        replicas=_replicas(own.replicas) if own and running else 0,
        schema_min=block.schema_min,
        weight=100 if live else 0,
    )


def _tag(image: str, named: Mapping[str, str]) -> str:
    return named.get(image.partition("@sha256:")[2], "")


def _replicas(given: Any) -> int:
    return sum(int(number) for number in given.values()) if isinstance(given, Mapping) else 0


def _wire(release: Release) -> Json:
    dumped: Json = json.loads(release.model_dump_json(by_alias=True, exclude_unset=True))
    return dumped


def _variables(was: Json, new: Json, step: Step) -> Names:
    before, after = was.get("variables") or {}, new.get("variables") or {}
    kept, wanted = step.old.get("secrets") or {}, step.new.get("secrets") or {}
    # Values of secrets are masked on both sides: that one differs, only the engine can tell.
    differ = (
        {path.partition(".")[2] for path in step.paths if path.startswith("secrets.")} & kept.keys() & wanted.keys()
    )
    differ |= {name for name in before.keys() & after.keys() if before[name] != after[name]}
    had, has = {*before, *kept}, {*after, *wanted}
    moved = (before.keys() & wanted.keys()) | (kept.keys() & after.keys())
    return Names(
        added=tuple(sorted(has - had)), removed=tuple(sorted(had - has)), changed=tuple(sorted(differ | moved))
    )


def _container(was: Json, new: Json) -> Iterator[Shift]:
    for key in sorted(was.keys() | new.keys()):
        before, after = was.get(key), new.get(key)
        if key not in OUTSIDE and before != after:
            yield Shift(path=key, before=_text(before), after=_text(after))


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
