"""Whether what runs today would notice a change of the schema: judged by what changed, not by how it was written.

Whatever is new and only on what is new cannot be noticed: expand. Whatever takes away, narrows or renames may be:
contract. Between them lies what only a person can judge (another body of a function, a trigger on a table in use): it
does not decide the phase, and each such thing is a reason all the same. A rename looks like something gone and
something added; both are named. What rows a file changes cannot be seen here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bluegreen.postgres.catalog.compare import called, kind_of
from bluegreen.postgres.catalog.identity import renamed, replaced
from bluegreen.postgres.catalog.spec import Difference, Snapshot
from bluegreen.postgres.spec import Phase

Said = tuple[bool, str]  # whether what runs today may break, and the sentence

# What is gone, and what that means to whoever still uses it; anything else that is gone is simply missed.
LOOSER = {"comment", "statistics", "rule", "published schema", "role", "user mapping", "default privileges"}
HARMLESS = {
    "storage",
    "compression",
    "statistics",
    "toastOptions",
    "clustered",
    "text",
    "target",
    "version",
    "empty",
    "inherited",
}
EVERY = ("DELETE", "INSERT", "MAINTAIN", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE")  # on a table
MILD = {"role", "membership", "settings", "publication", "sequence", "aggregate", "event trigger", "statistics"}
SPELLED = {
    "restrictive": "kind (permissive, restrictive)",
    "for": "command",
    "silenced": "enforcement (its triggers are switched off or on)",
    "publish": "commands",
    "sequence": "steps and bounds",
    "bypassrls": "right to bypass row level security",
}
RELATIONS = ("table", "foreign table", "view", "materialized view")


def phase_of(before: Snapshot, after: Snapshot, difference: Difference) -> tuple[Phase, tuple[str, ...]]:
    """The phase that a difference amounts to, and a sentence for all that speaks for a contract or needs a look."""
    said = list(_Judged(before, after, difference).said())
    phase: Phase = "contract" if any(breaks for breaks, _ in said) else "expand"
    ordered = [text for breaks, text in said if breaks] + [text for breaks, text in said if not breaks]
    return phase, tuple(ordered)


class _Judged:
    """One difference, judged."""

    def __init__(self, before: Snapshot, after: Snapshot, difference: Difference) -> None:
        self._before, self._after, self._difference = before, after, difference
        self._renamed = renamed(after, before)
        self._new = set(difference.added) - self._renamed.keys()

    def said(self) -> Iterator[Said]:
        for name in replaced(self._after, self._before):
            if kind_of(name) == "table" or f"table {self._after.like(name).get('on')}" not in self._new_tables():
                yield True, f"{name} was dropped and made anew: what was in it is gone."
        for name in self._difference.gone:
            yield from self._gone(name)
        for name in self._difference.changed:
            yield from self._changed(name)
        for name in self._difference.added:
            yield from self._added(name)

    def _gone(self, name: str) -> Iterator[Said]:
        kind, was = kind_of(name), self._before.like(name)
        if "on" in was and _relation(was["on"], self._before.objects) in self._difference.gone:
            return  # its table is gone, and that is said
        if kind in LOOSER or (kind == "index" and "constraint" in was):
            return
        if kind == "constraint" and was["type"] in ("c", "f"):
            yield False, f"{name} is gone: what it kept out may come in."
        elif kind == "policy" and was.get("restrictive"):
            yield False, f"{name} is gone: it held rows back."
        else:
            again = self._again(name)
            yield True, f"{name} is called {again} now." if again else f"{name} is gone."

    def _new_tables(self) -> set[str]:
        return {name for name in replaced(self._after, self._before) if kind_of(name) == "table"}

    def _again(self, name: str) -> str | None:
        """What it is called now; where numbers do not tell, what was added and is just the same."""
        for now, then in self._renamed.items():
            if then == name:
                return called(now)
        kind, was = kind_of(name), _without_name(self._before.like(name))
        for other in self._difference.added:
            if kind_of(other) == kind and _without_name(self._after.like(other)) == was:
                return called(other)
        return None

    def _added(self, name: str) -> Iterator[Said]:
        kind, now = kind_of(name), self._after.like(name)
        if "on" in now and _relation(now["on"], self._after.objects) in self._new:
            return  # on what is new as well
        judge = ADDED.get(kind)
        if judge is not None:
            yield from judge(self, name, now)

    def _added_column(self, name: str, now: Mapping[str, Any]) -> Iterator[Said]:
        filled = any(key in now for key in ("default", "generated", "identity"))
        if now.get("notNull") and not filled:
            yield True, f"{name} is required and has no default: whoever does not know it cannot insert."

    def _added_constraint(self, name: str, now: Mapping[str, Any]) -> Iterator[Said]:
        if not self._only_new_and_empty(now):
            yield True, f"{name} refuses rows that could be written so far: {now['definition']}."

    def _added_index(self, name: str, now: Mapping[str, Any]) -> Iterator[Said]:
        if now.get("unique") and "constraint" not in now and not self._only_new_and_empty(now):
            yield True, f"{name} is unique: it refuses rows that could be written so far."

    def _only_new_and_empty(self, now: Mapping[str, Any]) -> bool:
        """Whether all that it looks at is columns that are new and null to whoever does not know them."""
        columns: Sequence[str] = now.get("columns", ())
        names = [f"column {now['on']}.{column}" for column in columns]
        return bool(names) and all(
            name in self._new and not {"default", "generated", "identity"} & self._after.like(name).keys()
            for name in names
        )

    def _added_trigger(self, name: str, now: Mapping[str, Any]) -> Iterator[Said]:
        yield False, f"{name} fires at writes of what runs today."

    def _added_rule(self, name: str, now: Mapping[str, Any]) -> Iterator[Said]:
        yield True, f"{name} rewrites what runs today."

    def _added_policy(self, name: str, now: Mapping[str, Any]) -> Iterator[Said]:
        if now.get("restrictive"):
            yield True, f"{name} is restrictive: it takes rows away."
        else:
            yield False, f"{name} lets {', '.join(now['to'])} reach rows of a table in use."

    def _added_membership(self, name: str, now: Mapping[str, Any]) -> Iterator[Said]:
        yield False, f"{name} is new: {now['member']} may do whatever {now['group']} may."

    def _added_event_trigger(self, name: str, now: Mapping[str, Any]) -> Iterator[Said]:
        yield False, f"{name} fires at changes of the schema."

    def _added_settings(self, name: str, now: Mapping[str, Any]) -> Iterator[Said]:
        yield False, f"{name} now begin with {', '.join(now['settings'])}."

    def _changed(self, name: str) -> Iterator[Said]:
        was, now = self._before.like(name), self._after.like(name)
        for attribute in self._difference.attributes.get(name, ()):
            judge = CHANGED.get(attribute)
            if judge is not None:
                yield from judge(name, was.get(attribute), now.get(attribute))
            elif attribute not in HARMLESS:
                yield kind_of(name) not in MILD, f"{name} differs in its {_spelled(attribute)}."


def _relation(on: str, objects: Mapping[str, str]) -> str | None:
    return next((f"{kind} {on}" for kind in RELATIONS if f"{kind} {on}" in objects), None)


def _without_name(like: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in like.items() if key != "name"}


def _spelled(attribute: str) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in attribute)
    return SPELLED.get(attribute, words)


def _definition(name: str, was: Any, now: Any) -> Iterator[Said]:
    if kind_of(name) in ("function", "procedure", "trigger"):
        head = [str(text).partition("\nAS ")[0].partition("\nBEGIN ATOMIC")[0] for text in (was, now)]
        same = head[0] == head[1]
        yield False, f"{name} {'does' if same else 'is declared and does'} something else than before."
    elif kind_of(name) in ("view", "materialized view", "rule"):
        yield False, f"{name} answers something else than before."
    else:
        yield True, f"{name} is another than before: {now}."


def _not_null(name: str, was: Any, now: Any) -> Iterator[Said]:
    if now:
        yield True, f"{name} refuses null, which could be written so far."
    else:
        yield False, f"{name} may be null now."


def _row_security(name: str, was: Any, now: Any) -> Iterator[Said]:
    yield bool(now), f"{name} has row level security switched {'on' if now else 'off'}."


def _forced(name: str, was: Any, now: Any) -> Iterator[Said]:
    yield bool(now), f"{name} {'holds' if now else 'no longer holds'} its owner to its policies."


def _default(name: str, was: Any, now: Any) -> Iterator[Said]:
    if now is None:
        yield True, f"{name} has no default any more."
    else:
        yield False, f"{name} has another default: {now}."


def _values(name: str, was: Any, now: Any) -> Iterator[Said]:
    missing = [value for value in was or () if value not in (now or ())]
    if missing:
        yield True, f"{name} has lost {', '.join(missing)}."


def _privileges(name: str, was: Any, now: Any) -> Iterator[Said]:
    """Who lost something and who gained, in this order."""
    was, now = was or {}, now or {}
    for who in sorted(was):
        lost = sorted(_each(was[who]) - _each(now.get(who, "")))
        if lost:
            yield kind_of(name) != "default privileges", f"{name}: {who} lost {', '.join(lost)}."
    for who in sorted(now):
        gained = sorted(_each(now[who]) - _each(was.get(who, "")))
        if gained:
            yield False, f"{name}: {who} gained {', '.join(gained)}."


def _each(text: str) -> set[str]:
    """Every privilege by itself; the right to pass one on is another."""
    found = {part.strip() for part in text.split(",") if part.strip()}
    for whole in found & {"ALL", "ALL*"}:
        found = found - {whole} | {one + whole[3:] for one in EVERY}
    return {part.rstrip("*") for part in found} | {f"{part[:-1]} (to pass on)" for part in found if part.endswith("*")}


def _options(name: str, was: Any, now: Any) -> Iterator[Said]:
    if kind_of(name) == "view":  # whose rights it uses, for one; of a table they are about storage
        yield False, f"{name} has other options: {', '.join(now) if now else 'none'}."


def _condition(name: str, was: Any, now: Any) -> Iterator[Said]:
    yield False, f"{name} lets through other rows than before."


def _roles(name: str, was: Any, now: Any) -> Iterator[Said]:
    lost = [] if "public" in now else [who for who in was if who not in now]
    yield bool(lost), f"{name} is for {', '.join(now)} now, and was for {', '.join(was)}."


def _enabled(name: str, was: Any, now: Any) -> Iterator[Said]:
    yield False, f"{name} {'is switched off' if now == 'D' else 'fires at other times than before'}."


def _invalid(name: str, was: Any, now: Any) -> Iterator[Said]:
    yield False, f"{name} is {'invalid' if now else 'valid'} now."


def _not_valid(name: str, was: Any, now: Any) -> Iterator[Said]:
    yield False, f"{name} is {'no longer' if now else 'now'} proved of the rows that were there."


ADDED = {
    "column": _Judged._added_column,
    "constraint": _Judged._added_constraint,
    "index": _Judged._added_index,
    "trigger": _Judged._added_trigger,
    "rule": _Judged._added_rule,
    "policy": _Judged._added_policy,
    "event trigger": _Judged._added_event_trigger,
    "settings": _Judged._added_settings,
    "membership": _Judged._added_membership,
}
CHANGED = {
    "definition": _definition,
    "notNull": _not_null,
    "rowSecurity": _row_security,
    "forceRowSecurity": _forced,
    "default": _default,
    "values": _values,
    "privileges": _privileges,
    "enabled": _enabled,
    "options": _options,
    "using": _condition,
    "check": _condition,
    "to": _roles,
    "invalid": _invalid,
    "notReady": _invalid,
    "notValid": _not_valid,
}
