"""Is this the answer that was expected? Pure: an answer and an expectation in, one phrase for each difference out.

JSON is contained as in Postgres's `@>`: a map holds at least the wanted keys, a list has for each wanted entry one that
contains it, in any order; anything else is equal. It deliberately shows whole values: whoever prints a phrase takes
the secrets out first and cuts it afterwards, because half a key would no longer be recognised.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bluegreen.http import Answer
from bluegreen.measure.spec import Expect


def contained(wanted: Any, actual: Any) -> bool:
    """Whether `actual` holds all of `wanted`."""
    return next(_missing(wanted, actual, "json"), None) is None


def differences(expect: Expect, answer: Answer) -> Iterator[str]:
    """Everything in which the answer is not the expected one; nothing when it is."""
    if answer.status != expect.status:
        text = " ".join(answer.text.split())
        yield f"answered {answer.status}" + (f" {text}" if text else "")
        return  # what an error page says otherwise adds noise
    if expect.content_type is not None:
        kind = answer.headers.get("content-type", "")
        if not _same_type(expect.content_type, kind):
            yield f"content type {kind or 'not said'}"
    for name, value in expect.headers.items():
        given = answer.headers.get(name.lower())
        if given is None:
            yield f"no header {name}"
        elif given != value:
            yield f"header {name}: {given}"
    for name in expect.absent:
        if (given := answer.headers.get(name.lower())) is not None:
            yield f"header {name} is there: {given}"
    if expect.json_ is not None:
        yield from _unlike(expect.json_, answer)


def described(expect: Expect) -> str:
    """The expectation in one line."""
    parts = [str(expect.status)]
    if expect.content_type is not None:
        parts.append(expect.content_type)
    if expect.json_ is not None:
        parts.append(f"JSON {_shown(expect.json_)}")
    parts += [f"{name}: {value}" for name, value in expect.headers.items()]
    parts += [f"no {name}" for name in expect.absent]
    if expect.assets:
        parts.append("assets")
    return ", ".join(parts)


def is_html(answer: Answer) -> bool:
    return _same_type("text/html", answer.headers.get("content-type", ""))


def _unlike(wanted: Any, answer: Answer) -> Iterator[str]:
    if answer.json is None and answer.text.strip() != "null":
        yield "no JSON in the answer"
    else:
        yield from _missing(wanted, answer.json, "json")


def _missing(wanted: Any, actual: Any, at: str) -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(actual, Mapping):
        for key, value in wanted.items():
            if key in actual:
                yield from _missing(value, actual[key], f"{at}.{key}")
            else:
                yield f"no {at}.{key}"
    elif isinstance(wanted, list) and isinstance(actual, list):
        for entry in wanted:
            if not any(contained(entry, other) for other in actual):
                yield f"no {_shown(entry)} in {at}"
    elif not _equal(wanted, actual):
        yield f"{at} is {_shown(actual)}"


def _equal(wanted: Any, actual: Any) -> bool:
    # In JSON 1 and 1.0 are one number and true is none; in Python True == 1.
    if isinstance(wanted, bool) or isinstance(actual, bool):
        return wanted is actual
    return bool(wanted == actual)


def _same_type(wanted: str, given: str) -> bool:
    """Parameters such as the charset count only where they are wanted."""
    if ";" not in wanted:
        given = given.partition(";")[0]
    return _plain(wanted) == _plain(given)


def _plain(kind: str) -> str:
    return ";".join(part.strip() for part in kind.lower().split(";"))


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
