"""What the way back costs, object by object: nothing, what was written since, or more than a script can bring back."""

from collections.abc import Iterator, Sequence

from bluegreen.postgres.catalog.compare import called, kind_of
from bluegreen.postgres.catalog.fits import retyped
from bluegreen.postgres.catalog.identity import parts, renamed, replaced
from bluegreen.postgres.catalog.spec import Difference, Snapshot, Verdict, Way

ORDER: tuple[Verdict, ...] = ("reversible", "reversible with loss", "forward only")
RELATIONS = ("table", "foreign table", "view", "materialized view")


def ways(before: Snapshot, after: Snapshot, difference: Difference) -> Iterator[Way]:
    """A verdict on every object that differs; what hangs on a table that is new or gone counts as that table."""
    stays, strangers = renamed(after, before), replaced(after, before)
    moved = {*stays, *stays.values()}
    for now, then in stays.items():
        if kind_of(now) == "column" and (types := retyped(before, after, then, now)):
            yield _lossy(now, f"It is called {called(then)} again. {_unfit(*types)}")
        elif not _of_another(now, after, tuple(stays)):
            yield Way(object=now, why=f"It is called {called(then)} again.")
    for name in strangers:
        if name not in moved and (kind_of(name) == "table" or f"table {after.like(name).get('on')}" not in strangers):
            yield _forward(name, "It was dropped and made anew: what was in it is in the backup alone.")
    difference = _without(difference, {*moved, *strangers}, after, before)
    for name in difference.added:
        if not _of_another(name, after, difference.added):
            yield _added(name, after)
    for name in difference.changed:
        yield _changed(name, before, after, difference.attributes.get(name, ()))
    for name in difference.gone:
        if not _of_another(name, before, difference.gone):
            yield _gone(name, before)


def _without(difference: Difference, told: set[str], after: Snapshot, before: Snapshot) -> Difference:
    """What is left to be judged when these, and what hangs on them, have been."""

    def left(names: Sequence[str], schema: Snapshot) -> tuple[str, ...]:
        return tuple(name for name in names if name not in told and not _of_another(name, schema, tuple(told)))

    return difference.model_copy(
        update={
            "added": left(difference.added, after),
            "changed": tuple(name for name in difference.changed if name not in told),
            "gone": left(difference.gone, before),
        }
    )


def worst(verdicts: Sequence[Way]) -> Verdict:
    return max((way.verdict for way in verdicts), key=ORDER.index, default="reversible")


def lasting(before: Snapshot, back: Snapshot, difference: Difference) -> tuple[str, ...]:
    """What is not as before after a way back, and cannot be: nothing takes a value out of an enum, or makes an index
    invalid again. Everything else about it has to be as it was.
    """
    return tuple(name for name in difference.changed if _lasts(name, before, back, difference.attributes.get(name, ())))


def _lasts(name: str, before: Snapshot, back: Snapshot, attributes: Sequence[str]) -> bool:
    kind, was, now = kind_of(name), before.like(name), back.like(name)
    if (kind, *attributes) == ("enum", "values"):
        return bool([value for value in now["values"] if value in was["values"]] == was["values"])
    return (kind, *attributes) == ("index", "invalid") and "invalid" in was


def _of_another(name: str, schema: Snapshot, whole: Sequence[str]) -> bool:
    like = schema.like(name)
    on = like.get("on") or ".".join(parts(like.get("ownedBy", ""))[:-1])
    if kind_of(name) == "comment":
        return True  # never lost, and never worth a line
    if kind_of(name) == "index" and "constraint" in like:
        return True
    return bool(on) and any(f"{kind} {on}" in whole for kind in RELATIONS)


def _added(name: str, after: Snapshot) -> Way:
    kind, like = kind_of(name), after.like(name)
    if kind == "table":
        return _lossy(name, "Rows that were written to it since are lost.")
    if kind == "column" and "type" in like and "generated" not in like:
        return _lossy(name, "What was written to it since is lost.")
    if kind == "sequence":
        return _lossy(name, "How far it has counted is lost.")
    return Way(object=name)


def _gone(name: str, before: Snapshot) -> Way:
    kind, like = kind_of(name), before.like(name)
    if kind == "table":
        return _forward(name, "It is made again, empty: its rows are in the backup alone.")
    if kind == "column" and "type" in like and "generated" not in like:
        return _forward(name, "It is made again, empty: what was in it is in the backup alone.")
    if kind == "sequence":
        return _lossy(name, "It begins anew: how far it had counted is in the backup alone.")
    if kind == "role":
        return _lossy(name, "It is made again without its password.")
    if kind == "constraint":
        return Way(object=name, why="Refused while a row breaks it.")
    return Way(object=name)


def _changed(name: str, before: Snapshot, after: Snapshot, attributes: Sequence[str]) -> Way:
    kind, was, now = kind_of(name), before.like(name), after.like(name)
    if kind == "enum" and "values" in attributes:
        new = [value for value in now["values"] if value not in was["values"]]
        if len(now["values"]) > len(was["values"]):
            return _forward(name, f"A value cannot be taken out of an enum: {', '.join(new)}.")
    if kind == "column" and (types := retyped(before, after, name, name)):
        return _lossy(name, _unfit(*types))
    if kind == "column" and "notNull" in attributes and was.get("notNull"):
        return Way(object=name, why="Refused while a row holds null.")
    if kind == "index" and now.get("invalid") is None and was.get("invalid"):
        return Way(object=name, why="It stays valid.")
    return Way(object=name)


def _unfit(was: str, now: str) -> str:
    return f"What was written since may not fit into {was}, and what did not fit into {now} is in the backup alone."


def _lossy(name: str, why: str) -> Way:
    return Way(object=name, verdict="reversible with loss", why=why)


def _forward(name: str, why: str) -> Way:
    return Way(object=name, verdict="forward only", why=why)
