"""The last gateway that passed every check: kept in Kong itself, found without Pulumi, put back in one go.

It lies as text in a plugin that never runs (disabled, on a route that nobody meets), so whoever can reach Kong can
restore it; with the stack's routes it goes away. Kept is what users meet (`part:front`): services, routes and plugins,
as Kong holds them (`restore.py` takes and puts them back). Never kept: consumers and their keys, targets and weights,
and secret values in a plugin's config. A hold on it says that somebody restored it by hand: until it is
released, or the config agrees with it again, no update changes what users meet.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bluegreen.gateway import Hold
from bluegreen.handler import Refused
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.ownership import KEPT, hold_of, hold_tag, tag, untag

KINDS: Mapping[str, str] = {"services": "name", "routes": "name", "plugins": "instance_name"}  # root first
TYPE = "request-termination"  # its body takes any text; disabled, it answers nobody
FORMAT = 1

Rows = Mapping[str, Sequence[Entity]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A gateway as it was: its id, when it passed how many checks, and every row of it."""

    gateway: str
    at: datetime
    checks: int
    rows: Rows
    hold: Hold | None = None

    def __str__(self) -> str:
        passed = f"{self.checks} check{'' if self.checks == 1 else 's'} passed"
        return f"gateway {self.gateway} of {self.at:%Y-%m-%d %H:%M} UTC, {passed}"


async def keep(kong: Kong, owner: str, kept: Kept) -> None:
    """Remember this one instead of what was kept before; a hold is written only where it changes.

    So one that is set between the look and the write stays.
    """
    text = json.dumps({"format": FORMAT, "gateway": kept.gateway, "at": kept.at.isoformat(), "checks": kept.checks,
                       "rows": kept.rows}, separators=(",", ":"), sort_keys=True)  # fmt: skip
    body = {
        "name": TYPE,
        "instance_name": KEPT,
        "enabled": False,
        "route": {"name": KEPT},
        "config": {"status_code": 503, "content_type": "application/json", "body": text},
        "tags": _tags(owner, kept.hold),
    }
    held = await kong.entity(f"/plugins/{KEPT}")
    if held is None:
        await kong.entity_create("/plugins", body)
    else:
        if set(held.get("tags") or ()) == set(_tags(owner, kept.hold)):
            del body["tags"]
        await kong.entity_update(f"/plugins/{held['id']}", body)


async def kept(kong: Kong, owner: str) -> Kept | None:
    """What is kept; None when nothing is.

    Raises:
        Refused: what is there is not ours, or cannot be read.
    """
    row = await kong.entity(f"/plugins/{KEPT}")
    if row is None:
        return None
    tags = dict(untag(text) for text in row.get("tags") or ())
    if tags.get("kept-for") != owner:
        raise _unreadable(f"it is kept for {tags.get('kept-for') or 'nobody'}, not for {owner}")
    try:
        told = json.loads(row["config"]["body"])
        if told["format"] != FORMAT:
            raise _unreadable(f"it has format {told['format']}, and this version reads {FORMAT}")
        return Kept(
            gateway=str(told["gateway"]),
            at=datetime.fromisoformat(told["at"]),
            checks=int(told["checks"]),
            rows={kind: list(told["rows"][kind]) for kind in KINDS},
            hold=hold_of(tags.get("hold")),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise _unreadable("it is no text of ours any more") from problem


async def hold_on(kong: Kong, owner: str, hold: Hold | None) -> None:
    """Set or release the hold on what is kept."""
    row = await kong.entity(f"/plugins/{KEPT}")
    if row is not None:
        await kong.entity_update(f"/plugins/{row['id']}", {"tags": _tags(owner, hold)})


async def held(kong: Kong) -> Hold | None:
    """Who holds what users meet; None when nobody does."""
    row = await kong.entity(f"/plugins/{KEPT}")
    tags = dict(untag(text) for text in (row or {}).get("tags") or ())
    return hold_of(tags.get("hold"))


async def must_be_free(kong: Kong, subject: str) -> None:
    """Nobody holds what users meet.

    Raises:
        Refused: somebody does, and this would change it.
    """
    hold = await held(kong)
    if hold is not None:
        raise Refused(
            f"{subject} would change, and the gateway is {hold}.",
            world="Nothing was changed: users meet the gateway that was restored.",
            next="Revert the gateway's change in the config, or go on with it: bluegreen hold release --reason …",
        )


def _tags(owner: str, hold: Hold | None) -> list[str]:
    tags = [tag("kept-for", owner)]
    if hold is not None:
        tags.append(hold_tag("hold", hold))
    return tags


def _unreadable(why: str) -> Refused:
    return Refused(
        f"What Kong keeps as the last good gateway cannot be used: {why}.",
        world="Nothing was changed.",
        next=f"Delete the plugin {KEPT}; the next update of the gateway that passes keeps itself anew.",
    )
