"""What carries a stack's mark in Kong and is in no state: left by a lost reply, a lost state or a crashed delete.

Targets, keys and groups are not looked at: they belong to an upstream or a consumer and go with it. What is pruned is
read once more right before; whatever serves something that stays is left alone. It deliberately knows no Pulumi: which
ids state holds, and that nothing is about to change, is for the caller to say.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.ownership import OWNER, owner_of, tag

LEAF_FIRST = ("plugins", "routes", "services", "consumers", "upstreams")  # the order in which they can be deleted


@dataclass(frozen=True, slots=True)
class Orphan:
    """One entity that is marked as ours and that nobody looks after."""

    kind: str  # the collection
    id: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.removesuffix('s')} {self.name}"


async def orphans(kong: Kong, owner: str, known: Collection[str]) -> list[Orphan]:
    """Everything tagged as this owner's whose id is not known, leaf first.

    Raises:
        ApiError: Kong does not answer.
    """
    marked = await kong.entities(f"/tags/{tag(OWNER, owner)}", size="1000")
    found = [(str(row["entity_name"]), str(row["entity_id"])) for row in marked]
    missing = [(kind, id) for kind, id in found if kind in LEAF_FIRST and id not in known]
    rows = [(kind, id, await kong.entity(f"/{kind}/{id}")) for kind, id in missing]
    listed = [Orphan(kind, id, _name(row)) for kind, id, row in rows if row is not None]
    return sorted(listed, key=lambda one: (LEAF_FIRST.index(one.kind), one.name))


async def prune(kong: Kong, owner: str, found: Sequence[Orphan]) -> tuple[list[Orphan], list[Orphan]]:
    """Delete orphans, leaf first; answers what was deleted and what was left because something that stays needs it.

    Raises:
        ApiError: Kong does not answer; what was deleted before stays deleted.
    """
    deleted: list[Orphan] = []
    left: list[Orphan] = []
    for orphan in sorted(found, key=lambda one: LEAF_FIRST.index(one.kind)):
        row = await kong.entity(f"/{orphan.kind}/{orphan.id}")
        if row is None or owner_of(row.get("tags")) != owner:
            continue  # gone meanwhile, or somebody else's now
        if await _needed(kong, orphan):
            left.append(orphan)
            continue
        await kong.entity_delete(f"/{orphan.kind}/{orphan.id}")
        deleted.append(orphan)
    return deleted, left


async def _needed(kong: Kong, orphan: Orphan) -> bool:
    """Whether something still leads there; whatever was an orphan itself is deleted by now."""
    if orphan.kind == "services":
        return bool(await kong.entities(f"/services/{orphan.id}/routes"))
    if orphan.kind == "upstreams":
        return any(service.get("host") == orphan.name for service in await kong.entities("/services", size="1000"))
    return False


def _name(row: Entity) -> str:
    return str(row.get("instance_name") or row.get("name") or row.get("username") or row["id"])
