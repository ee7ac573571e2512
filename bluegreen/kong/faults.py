"""Kong's refusals in sentences: pure functions from an error body to what a person should read.

Kong nests what is wrong in `fields`: a text, a list aligned with the list that was sent (null where an item is fine),
a tree, and `@entity` for what concerns several fields at once (facts of 3.9.1, tested against recorded answers). A
secret that Kong quotes back never leaves here.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from bluegreen.handler import Refused
from bluegreen.http import ApiError, Conflict, LostReply, Rejected
from bluegreen.spec import path

OURS_ENDS_AT = frozenset({"config", "headers"})  # below these the keys are somebody else's, spelled as they are
VAGUE = "failed conditional validation"  # beside it always stands which field and why
DANGLING, UNRESOLVED = 4, 13  # a reference that leads nowhere: by id, by name
REFERENCED = "@referenced_by"


def sentences(fields: Any) -> list[str]:
    """Kong's `fields` as one sentence a fault: `healthchecks.active.timeout: expected a number`."""
    found = [(where, " ".join(what.split()).rstrip(".")) for where, what in _leaves(fields, ())]
    precise = [(where, what) for where, what in found if not what.startswith(VAGUE)]
    return [f"{path(_ours(where))}: {what}" if where else what for where, what in precise or found]


def refusal(problem: ApiError, subject: str, secrets: Iterable[str] = ()) -> ApiError | Refused:
    """What to raise for an answer of Kong about `subject` ("route 'api'"), with every secret taken out."""
    hide = sorted({text for text in secrets if text}, key=len, reverse=True)
    if not isinstance(problem, Rejected) or not isinstance(problem.body, Mapping) or "code" not in problem.body:
        lost = isinstance(problem, LostReply)
        told = type(problem)(
            _without(problem.what, hide),
            world=problem.world,
            next="Run pulumi up again: it looks first, and keeps what carries our tag." if lost else problem.next,
            status=problem.status,
        )
        told.subject = _without(problem.subject, hide)
        return told
    faults = _taken(problem.body) if isinstance(problem, Conflict) else _refused(problem.body)
    return Refused(
        _without(f"Kong refuses {subject}: {'; '.join(faults)}.", hide),
        world="Nothing was changed.",
        next=_next(problem.body),
    )


def _refused(body: Mapping[str, Any]) -> list[str]:
    fields = body.get("fields") or {}
    if REFERENCED in fields:
        return [f"{fields[REFERENCED]} still refer to it"]
    if body.get("code") in (DANGLING, UNRESOLVED):
        return [_unresolved(reference, by) for reference, by in fields.items()]
    return sentences(fields) or [str(body.get("message", "it does not say why")).rstrip(".")]


def _unresolved(reference: str, by: Any) -> str:
    # {"id": …} as it was sent, or {"name": a sentence that quotes the name}.
    told = next(iter(by.values()), "") if isinstance(by, Mapping) else by
    quoted = str(told).split('"')
    name = quoted[1] if len(quoted) > 2 else str(told)
    return f"there is no {reference} {name!r}" if name else f"there is no such {reference}"


def _taken(body: Mapping[str, Any]) -> list[str]:
    """A violated uniqueness: which values are somebody else's already."""
    fields = body.get("fields") or {}
    if {"service", "route", "consumer"} <= fields.keys():
        scope = next((kind for kind in ("route", "service", "consumer") if fields.get(kind)), None)
        on = f"that {scope}" if scope else "everything"
        return [f"there is already another {fields.get('name')} plugin on {on}"]
    taken = ", ".join(f"{to_camel(name)} {value!r}" for name, value in fields.items() if isinstance(value, str))
    return [f"{taken or 'it'} is already taken"]


def _next(body: Mapping[str, Any]) -> str:
    if REFERENCED in (body.get("fields") or {}):
        return "Delete those first, then run pulumi up again."
    return "Correct it, then run pulumi up again."


def _leaves(fields: Any, where: tuple[int | str, ...]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    if isinstance(fields, Mapping):
        for name in sorted(fields):
            if name == "@entity":
                yield from ((where, str(what)) for what in fields[name])
            else:
                yield from _leaves(fields[name], (*where, name))
    elif isinstance(fields, list):
        for position, item in enumerate(fields):
            yield from _leaves(item, (*where, position))
    elif fields is not None:
        yield where, str(fields)


def _ours(where: tuple[int | str, ...]) -> Iterator[int | str]:
    ours = True
    for part in where:
        yield to_camel(part) if ours and isinstance(part, str) else part
        ours = ours and part not in OURS_ENDS_AT


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
