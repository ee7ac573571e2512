"""The matrix as a text that people review, and what has changed since it was recorded, in sentences.

    public.team_members  update role  owner   editor.studio=admin|viewer; 42501: owner.studio=admin

Four fields, two blanks or more between them: what, verb, who, answer. An answer names rows; after `=` stands what the
row's column became (`same`: what it was; `any`: whatever it was given). Rows before the first code went well, others
ended in that SQLSTATE; `all` are all of `rows`, `others` whatever did not go well.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bluegreen.postgres.catalog.compare import called, kind_of
from bluegreen.postgres.catalog.identity import parts
from bluegreen.postgres.catalog.spec import Difference
from bluegreen.postgres.catalog.verdicts import RELATIONS
from bluegreen.postgres.verify.objects import unquoted
from bluegreen.postgres.verify.rules import Line

GAP = re.compile(r"\s{2,}")
CODE = re.compile(r"^(denied|policy|[0-9A-Z]{5})(?:: |$)")
RULES = ("rls", "policy", "grant", "call", "rows")
HEAD = "# Who may do what: recorded by `bluegreen migrate matrix --record`, read as docs/matrix.md says.\n"
ALL, ANY, OTHERS = "all", "any", "others"
STICKING_OUT = ("policy", "call")  # their names are longer than any person's
Key = tuple[str, str, str]


def rendered(lines: Sequence[Line]) -> str:
    """Block by block, each as wide as its own words: a new column elsewhere moves nothing here."""
    blocks: dict[str, list[tuple[str, str, str, str]]] = {}
    for line in lines:
        blocks.setdefault("" if line.verb == "call" else line.what, []).append(_fields(line))
    return HEAD + "".join(f"\n{_block(rows)}" for rows in blocks.values())


def _block(rows: Sequence[tuple[str, str, str, str]]) -> str:
    whats, verbs = (max(len(row[at]) for row in rows) for at in (0, 1))
    whos = max((len(row[2]) for row in rows if row[1] not in STICKING_OUT), default=0)
    return "".join(f"{what:{whats}}  {verb:{verbs}}  {who:{whos}}  {answer}\n" for what, verb, who, answer in rows)


def parsed(text: str) -> dict[Key, str]:
    """Every answer of a recording; a line that is none is passed over, as a comment is."""
    found: dict[Key, str] = {}
    for line in text.splitlines():
        fields = GAP.split(line.strip(), maxsplit=3)
        if len(fields) == 4 and not line.startswith("#"):
            what, verb, who, answer = fields
            found[_key(what, verb, who)] = f"{who}: {answer}" if verb == "call" else answer
    return found


def compare(
    recorded: str, lines: Sequence[Line], only: Collection[str] = (), difference: Difference | None = None
) -> tuple[str, ...]:
    """What is otherwise than it was recorded, a sentence each; of the tables in `only` alone where it names some.

    `difference` is what a migration does to the schema. That somebody may do with its new tables and columns what
    nobody could before, and no longer with those that it drops, is then no difference; nor is a new function, unless
    the API's users call it with its owner's rights.
    """
    before, now, owned = parsed(recorded), parsed(rendered(lines)), _Owned.by(difference)
    if only:
        before = {key: answer for key, answer in before.items() if key[0] in only or key[1] == "call"}
    were, are = {what for what, _, _ in before}, {what for what, _, _ in now}
    told = [f"{name} is not there any more." for name in sorted(were - are) if not owned.tables(name)]
    told += [f"{name} is new: {said}." for name in sorted(are - were) if (said := owned.said(name, now))]
    for key in dict.fromkeys([*now, *before]):
        if key[0] in were & are and before.get(key) != now.get(key) and not owned.columns(key):
            told += _told(key, before, now)
    return tuple(told)


@dataclass(frozen=True, slots=True)
class _Owned:
    """What a migration makes or takes away, named as a recording does: without quotes."""

    names: frozenset[str] = frozenset()

    @classmethod
    def by(cls, difference: Difference | None) -> "_Owned":
        named = (*difference.added, *difference.gone) if difference else ()
        kinds = {"function", "procedure", "aggregate", "column", *RELATIONS}
        return cls(frozenset(_plain(called(name)) for name in named if kind_of(name) in kinds))

    def tables(self, name: str) -> bool:
        return name.partition("(")[0] in self.names

    def columns(self, key: Key) -> bool:
        what, verb, _ = key
        return f"{what}.{verb.partition(' ')[2]}" in self.names and verb not in ("insert", "insert returning", "update")

    def said(self, name: str, now: Mapping[Key, str]) -> str:
        """What to say of something that nobody recorded; nothing where the migration makes it, and may."""
        call = now.get((name, "call", ""))
        if not self.tables(name):
            return "nothing is recorded of it"
        who, _, runs = (call or "").partition(": ")
        users = [role for role in who.split(", ") if role not in ("", "nobody", "service_role")]
        return f"{', '.join(users)} may call it, and it {runs}" if users and runs != "runs as the caller" else ""


def _plain(name: str) -> str:
    """`public.Odd` of `public."Odd"`, and of a function its name alone."""
    return ".".join(unquoted(part) for part in parts(name.partition("(")[0]))


def _fields(line: Line) -> tuple[str, str, str, str]:
    return tuple(GAP.sub(" ", part.strip()) or "-" for part in (line.what, line.verb, line.who, line.answer))  # type: ignore[return-value]


def _key(what: str, verb: str, who: str) -> Key:
    return what, verb, "" if verb == "call" else who


def _rows(found: Mapping[Key, str], table: str) -> tuple[str, ...]:
    listed = found.get((table, "rows", "-"), "none")
    return () if listed == "none" else tuple(listed.split(", "))


def _told(key: Key, before: Mapping[Key, str], now: Mapping[Key, str]) -> Iterator[str]:
    what, verb, who = key
    old, new = before.get(key), now.get(key)
    if verb in RULES:
        yield _rule(key, old, new)
        return
    was, is_ = _outcomes(old, _rows(before, what)), _outcomes(new, _rows(now, what))
    gained, lost = _beyond(is_.pop("", set()), was.get("", set())), _beyond(was.pop("", set()), _well(new, now, what))
    subject = f"{_spelled(verb)} {what}"
    told = [f"{who} may now {subject}: {_listed(gained)}."] if gained else []
    told += [f"{who} may no longer {subject}: {_listed(lost)}."] if lost else []
    for code in sorted(was.keys() | is_.keys()):
        more, less = is_.get(code, set()) - was.get(code, set()), was.get(code, set()) - is_.get(code, set())
        told += [f"{who} now ends in {code} on {subject}: {_listed(more)}."] if more else []
        told += [f"{who} no longer ends in {code} on {subject}: {_listed(less)}."] if less - gained else []
    yield from told or [f"{who} gets {new or 'none'} on {subject}, was {old or 'none'}."]


def _well(text: str | None, found: Mapping[Key, str], table: str) -> set[str]:
    return _outcomes(text, _rows(found, table)).get("", set())


def _beyond(items: set[str], others: set[str]) -> set[str]:
    """The items that are not among the others; whoever may write any value may write each."""
    return {item for item in items - others if f"{item.partition('=')[0]}={ANY}" not in others}


def _rule(key: Key, before: str | None, now: str | None) -> str:
    what, verb, who = key
    name = {"rls": f"Row level security of {what}", "policy": f"Policy {who} of {what}"}.get(verb)
    name = name or {"grant": f"Rights of {who} on {what}", "call": f"Who may call {what}"}.get(verb)
    name = name or f"The seed of {what}"
    if now is None:
        return f"{name} is gone; it was: {before}."
    return f"{name} is new: {now}." if before is None else f"{name}: now {now}, was {before}."


def _outcomes(text: str | None, rows: Sequence[str]) -> dict[str, set[str]]:
    """SQLSTATE, or nothing for what went well → rows, each with what it became."""
    found: dict[str, set[str]] = {}
    for group in (text or "none").split("; "):
        code = CODE.match(group)
        items = group[code.end() :] if code else group
        there = found.setdefault(code[1] if code else "", set())
        if items in ("", "none"):
            continue
        for item in items.split(", "):
            row, _, values = item.partition("=")
            for name in rows if row == ALL else (row,):
                there.update(f"{name}={value}" for value in values.split("|")) if values else there.add(name)
    return found


def _spelled(verb: str) -> str:
    word, _, column = verb.partition(" ")
    if column == "returning":
        return "INSERT … RETURNING"
    return f"{word.upper()} {column} of" if column else word.upper()


def _listed(items: Iterable[str], most: int = 8) -> str:
    named = sorted(items)
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return ", ".join(named[:most]) + more
