"""Taking what users meet out of Kong as rows, and putting exactly these rows back.

Everything is read first and the steps are planned before the first is taken, so a second run after an interruption
plans what is left, and one more plans nothing. Rows keep their uuids. No route takes anybody before what stands on it
is back, and none outlives it: a missing route is made shut first (`shut.py`), what it takes is written after its
plugins, and a new one goes before its own. Secret values of a plugin are not in the rows:
they are taken over from the plugin that is there, and where it is gone or of another type, it is said that they are
lost, or that the plugin cannot be without them. It deliberately touches nothing that carries another owner's mark, and
no consumer, upstream or target.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from bluegreen.handler import Refused
from bluegreen.http import Rejected
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.kept import KINDS, Rows
from bluegreen.kong.ownership import FRONT, OWNER, owner_of, tag
from bluegreen.kong.schema import ANY, Schemas, Shape, secret_paths
from bluegreen.kong.shut import SHUT

TIMES = frozenset({"created_at", "updated_at"})
LOST = "cannot be put back without"  # what is said so of a plugin is final: no second run brings it back
WITHHELD = "withheld"  # on a kept plugin: the paths in its config whose values are not kept
APART = TIMES | {"id", WITHHELD}

BAD_REQUEST = 400

Path = Sequence[str]


@dataclass(frozen=True, slots=True)
class Step:
    """One write, and what to say of it."""

    write: Literal["PUT", "PATCH", "DELETE"]
    path: str
    said: str
    body: Entity
    without: str = ""  # the secrets that it would need and that nobody has kept
    ahead: bool = False  # of a step that is told of later, by the one that ends what this begins


async def taken(kong: Kong, owner: str, *, secrets: Mapping[str, Iterable[str]]) -> Rows:
    """What users meet now, without its secrets; `secrets` are further dotted paths by type of plugin.

    Raises:
        ApiError: Kong does not answer.
    """
    rows: dict[str, Sequence[Entity]] = {}
    schemas = Schemas(kong)
    for kind in KINDS:
        found = await _ours(kong, owner, kind)
        rows[kind] = [await _without_secrets(schemas, row, secrets) for row in found] if kind == "plugins" else found
    return rows


async def restore(kong: Kong, owner: str, wanted: Rows, *, last: str = "") -> list[str]:
    """Put back what users met: what is missing comes again, what differs is corrected, what is new goes.

    Answers what was done, a phrase each. Writes only what differs, so a second run does nothing. What is called `last`
    or after it is written last of all, so that it can witness for the rest.

    Raises:
        ApiError: Kong does not answer; what was written before stays, and a second run goes on from there.
        Refused: what would be written belongs to somebody else by now.
    """
    steps = await _plan(kong, owner, wanted)
    ordered = sorted(steps, key=lambda step: bool(last) and _is_called(step.said, last))
    return [said for step in ordered if (said := await _taken_step(kong, step)) and not step.ahead]


async def differences(kong: Kong, owner: str, wanted: Rows) -> list[Step]:
    """What `restore` would write, and nothing written.

    Raises:
        ApiError: Kong does not answer.
        Refused: what would be written belongs to somebody else by now.
    """
    return [step for step in await _plan(kong, owner, wanted) if not step.ahead]


async def _taken_step(kong: Kong, step: Step) -> str:
    match step.write:
        case "PATCH":
            await kong.entity_update(step.path, step.body)
        case "DELETE":
            await kong.entity_delete(step.path)
        case "PUT":
            try:
                await kong.entity_upsert(step.path, step.body)
            except Rejected as problem:
                if problem.status != BAD_REQUEST or not step.without:
                    raise
                await kong.entity_delete(step.path)  # of another type there, it is nothing that users met
                called = " ".join(step.said.split(" ")[:2])
                return f"{called} is gone: it {LOST} {step.without}, and no secret is kept"
    return step.said


async def _plan(kong: Kong, owner: str, wanted: Rows) -> list[Step]:
    schemas, ids = Schemas(kong), dict[str, str]()  # as it was kept: as it is now
    first: list[Step] = []
    then: list[Step] = []
    opening: list[Step] = []
    going = {kind: list[Step]() for kind in ("routes", "plugins", "services")}  # in this order
    for kind, key in KINDS.items():
        now = {str(row[key]): row for row in await _ours(kong, owner, kind)}
        leaving = _in_the_way(wanted[kind], now, ids) if kind == "plugins" else {}
        first += [_gone(kind, name, row) for name, row in leaving.items()]
        now = {name: row for name, row in now.items() if name not in leaving}
        met = set[str]()
        for row in wanted[kind]:
            there = now.get(str(row[key])) or await _elsewhere(kong, owner, kind, row, leaving)
            if there is not None:
                ids[str(row["id"])] = str(there["id"])
                met.add(str(there["id"]))
            shape = (await schemas.shape(f"plugins/{row['name']}")).of("config") if kind == "plugins" else ANY
            if kind == "routes" and there is None:
                then.append(_shut(row))
            steps = opening if kind == "routes" else then
            steps += _written(kind, str(row[key]), _referring(row, ids), there, shape)
        going[kind] += [_gone(kind, name, row) for name, row in now.items() if str(row["id"]) not in met]
    return [*first, *then, *opening, *chain.from_iterable(going.values())]


def _written(kind: str, name: str, row: Entity, there: Entity | None, config: Shape) -> Iterator[Step]:
    """What makes this row what it was; nothing where it is."""
    body = {field: value for field, value in row.items() if field not in APART}
    withheld: Sequence[Path] = row.get(WITHHELD) or ()
    called = f"{kind[:-1]} {name}"
    if there is None or (kind == "plugins" and there["name"] != row["name"]):
        # Another type has another config: a merge would mix the two.
        id, how = (row["id"], "is back") if there is None else (there["id"], "is of its type again")
        without = " and ".join(".".join(path) for path in withheld)
        lost = f", without {without}: no secret is kept" if without else ""
        yield Step("PUT", f"/{kind}/{id}", f"{called} {how}{lost}", body, without)
        return
    shape = Shape(kind="record", fields={"config": config})
    held = {**there, "config": _without(there["config"], withheld)} if kind == "plugins" else there
    changed = {field: value for field, value in body.items() if not _same(shape.of(field), value, held.get(field))}
    if "config" in changed:
        for path in withheld:
            changed["config"] = _with(changed["config"], path, _at(there["config"], path))
    if changed:
        yield Step("PATCH", f"/{kind}/{there['id']}", f"{called}: {', '.join(sorted(changed))}", changed)


def _shut(route: Entity) -> Step:
    """A route for its plugins to stand on, which takes nobody yet."""
    body = {"name": route["name"], "tags": route.get("tags"), **SHUT}
    return Step("PUT", f"/routes/{route['id']}", f"route {route['name']} is shut", body, ahead=True)


def _gone(kind: str, name: str, row: Entity) -> Step:
    return Step("DELETE", f"/{kind}/{row['id']}", f"{kind[:-1]} {name} is gone", {})


def _in_the_way(wanted: Sequence[Entity], now: Mapping[str, Entity], ids: Mapping[str, str]) -> dict[str, Entity]:
    """The plugins that stand where a kept one of another name has to: Kong takes one of a type at each place."""
    places = {_place(_referring(row, ids)): str(row["instance_name"]) for row in wanted}
    return {name: row for name, row in now.items() if places.get(_place(row), name) != name}


def _place(plugin: Entity) -> tuple[str, ...]:
    on = ((plugin.get(field) or {}).get("id") for field in ("route", "service", "consumer"))
    return (str(plugin["name"]), *(str(id or "") for id in on))


async def _elsewhere(kong: Kong, owner: str, kind: str, row: Entity, leaving: Mapping[str, Entity]) -> Entity | None:
    """A row that has lost its mark or its name; one that carries another's mark is not ours to write."""
    gone = {known["id"] for known in leaving.values()}
    for known in (str(row["id"]), str(row[KINDS[kind]])):
        there = await kong.entity(f"/{kind}/{known}")
        if there is not None and owner_of(there.get("tags")) not in (None, owner):
            raise Refused(
                f"{kind[:-1]} {row[KINDS[kind]]} belongs to {owner_of(there['tags'])} by now.",
                world="Nothing was put back.",
                next="Give it another name there, or delete it; then run this again.",
            )
        if there is not None and there["id"] not in gone:
            return there
    return None


async def _ours(kong: Kong, owner: str, kind: str) -> list[Entity]:
    found = await kong.entities(f"/{kind}", tags=f"{tag(OWNER, owner)},{FRONT}", size="1000")
    return sorted(found, key=lambda row: str(row[KINDS[kind]]))


async def _without_secrets(schemas: Schemas, row: Entity, secrets: Mapping[str, Iterable[str]]) -> Entity:
    shape = (await schemas.shape(f"plugins/{row['name']}")).of("config")
    # A deprecated name would write its field a second time.
    config = {name: value for name, value in row["config"].items() if name not in shape.moved}
    paths = [*secret_paths(shape), *(tuple(path.split(".")) for path in secrets.get(row["name"], ()))]
    withheld = [path for path in dict.fromkeys(paths) if _at(config, path) is not None]
    told = {WITHHELD: [list(path) for path in withheld]} if withheld else {}
    return {**row, "config": _without(config, withheld), **told}


def _referring(row: Entity, ids: Mapping[str, str]) -> Entity:
    """A row that leads to what is there now."""
    return {
        name: {"id": ids.get(str(value["id"]), value["id"])} if isinstance(value, Mapping) and set(value) == {"id"}
        else value
        for name, value in row.items()
    }  # fmt: skip


def _same(shape: Shape, kept: Any, there: Any) -> bool:
    """Whether what was kept is there; a field that a newer Kong has learned since may be anything."""
    if shape.kind == "record" and isinstance(kept, Mapping) and isinstance(there, Mapping):
        return all(_same(shape.of(name), value, there.get(name)) for name, value in kept.items())
    return bool(kept == there) or (_nothing(kept) and _nothing(there))


def _nothing(value: Any) -> bool:
    return value is None or value == [] or value == {}


def _at(tree: Any, path: Path) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _with(tree: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    inner = tree if isinstance(tree, Mapping) else {}
    return {**inner, path[0]: _with(inner.get(path[0]), path[1:], value)}


def _without(tree: Any, paths: Iterable[Path]) -> Any:
    for path in paths:
        if isinstance(tree, Mapping) and path[0] in tree:
            rest = {name: value for name, value in tree.items() if name != path[0]}
            tree = rest | ({path[0]: _without(tree[path[0]], [path[1:]])} if path[1:] else {})
    return tree


def _is_called(said: str, name: str) -> bool:
    called = said.split(" ")[1].rstrip(":")
    return called == name or called.startswith(f"{name}-")
