"""Everything that decides what an update does, by path, and what of it is not as it was.

Two halves: what is wanted (releases, images, the gateway's id, how traffic moves, the texts of migrations) and what is
there (weights and releases in the gateway, marks and holds, the database's schema). Times and texts that only tell are
left out: a plan does not grow old by itself. What could not be known is None, and never equal to a value.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen import VERSION
from bluegreen.gateway import Split
from bluegreen.handler import Refused
from bluegreen.postgres.files import File
from bluegreen.railway.spec import Release
from bluegreen.rollout.plan import Move
from bluegreen.settings import Settings
from bluegreen.spec import COLOURS, Colour

Decides = Mapping[str, str | None]
UNKNOWN = "not known"
SHORT = 12  # hex digits of a digest in a sentence, in each part that differs


@dataclass(frozen=True, slots=True)
class There:
    """What is there beside the gateway; None where it was not to be read."""

    holds: str | None = None  # the newest migration in the ledger
    schema: str | None = None  # the fingerprint of the database's schema
    beside: str | None = None  # of what rehearsals ask from beside the files


def decides(
    settings: Settings,
    splits: Mapping[str, Split | Refused],
    files: Sequence[File],
    there: There,
    move: Move | Refused | None,
) -> Decides:
    """By path, in the order in which a person looks."""
    found = {
        **dict(_wanted(settings)),
        **{f"migrations.{file.version}.text": file.sha256 for file in files},
        **(_there(there) if settings.migrations is not None else {}),
        **{key: value for app in settings.order() for key, value in _in_kong(app, splits.get(app))},
        "move": str(move) if isinstance(move, Move) else move.what if move is not None else None,
    }
    return dict(found)


def fingerprint(found: Decides) -> str:
    """Sixteen hex digits; equal ones are equal plans."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def since(before: Decides, now: Decides) -> tuple[str, ...]:
    """What is not as it was, a phrase each: `backend.green.image: …@sha256:aaa → …@sha256:bbb`."""
    paths = [*before, *(path for path in now if path not in before)]
    return tuple(
        f"{path}: {_shown(before, path)} → {_shown(now, path)}"
        if path in before and path in now
        else _one(before, now, path)
        for path in paths
        if before.get(path, "") != now.get(path, "")
    )


def _one(before: Decides, now: Decides, path: str) -> str:
    if path in now:
        return f"{path}: {_shown(now, path)} is new"
    return f"{path}: {_shown(before, path)} is gone"


def _shown(found: Decides, path: str) -> str:
    value = found.get(path)
    if value is None:
        return UNKNOWN
    repository, at, digest = value.partition("@sha256:")
    if at:
        return f"{repository}@sha256:{digest[:SHORT]}"
    return value[:SHORT] if len(value) == 64 else value


def _wanted(settings: Settings) -> Iterator[tuple[str, str]]:
    for app in settings.order():
        yield f"{app}.live", settings.apps[app].live
        for colour in COLOURS:
            yield from _colour(settings, app, colour)
        yield f"{app}.verify", _digest(list(settings.apps[app].verify))
        yield f"{app}.idle", settings.apps[app].idle
    yield "gateway", settings.gateway_id
    yield "rollout", _digest(_config(settings, "rollout"))
    yield "checks", _digest(_config(settings, "checks"))
    if settings.migrations is not None:
        yield "migrations.target", settings.migrations.target
    yield "bluegreen", VERSION


def _colour(settings: Settings, app: str, colour: Colour) -> Iterator[tuple[str, str]]:
    block = settings.apps[app].release(colour)
    if block is None:
        return
    if isinstance(block, Release):
        yield f"{app}.{colour}.image", block.image
    yield f"{app}.{colour}.release", settings.release_id(app, colour)
    yield f"{app}.{colour}.schemaMin", block.schema_min or "none"


def _there(there: There) -> dict[str, str | None]:
    return {"database.holds": there.holds, "database.schema": there.schema, "migrations.beside": there.beside}


def _in_kong(app: str, split: Split | Refused | None) -> Iterator[tuple[str, str | None]]:
    if not isinstance(split, Split):
        yield f"kong.{app}", None
        return
    for colour in COLOURS:
        if (slot := split.slots.get(colour)) is None:
            continue
        yield f"kong.{app}.{colour}.weight", str(slot.weight)
        yield f"kong.{app}.{colour}.release", slot.release or "none"
        if slot.rejected:
            yield f"kong.{app}.{colour}.rejected", "yes"
        if slot.move is not None:
            yield f"kong.{app}.{colour}.move", slot.move.id
    if split.hold is not None:
        yield f"kong.{app}.hold", str(split.hold)


def _config(settings: Settings, key: str) -> Any:
    return json.loads(settings.model_dump_json(by_alias=True, include={key}, exclude_defaults=True)).get(key)


def _digest(value: Any) -> str:
    """Of something that is too long to be shown; it says that it differs, and not how."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:SHORT]
