"""Does Railway's API still fit what is built on it? `python -m sandbox.railway_contract URL`, for a nightly run.

    python -m sandbox.railway_contract https://backboard.railway.com/graphql/v2

It asks URL for its schema, which needs no token and changes nothing, and compares it with `railway.graphql`, the subset
against which the client's operations and the stand-in are checked. One line for each difference on which something may
rest: what is gone, has another type, has become required, has another default, is newly deprecated, and each new value
of an enum, because a client has to decide what it means. Exit 0: it fits; 14: it differs; 2: nothing was compared.

Deliberately not here: what Railway has beyond the subset, and how it behaves (`sandbox.railway_smoke`).
"""

import argparse
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, cast

from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    IntrospectionQuery,
    build_client_schema,
    build_schema,
    get_introspection_query,
    print_ast,
)
from graphql.utilities import (
    BreakingChangeType,
    DangerousChangeType,
    find_breaking_changes,
    find_dangerous_changes,
)

from sandbox.railway_graphql import SDL

FITS, NOT_COMPARED, DIFFERS = 0, 2, 14
AGENT = "bluegreen-contract/1"  # Cloudflare turns libraries' own names away
SLOWEST = 90.0  # seconds for the answer, which is long
MATTERS = frozenset({DangerousChangeType.VALUE_ADDED_TO_ENUM, DangerousChangeType.ARG_DEFAULT_VALUE_CHANGE})
DIRECTIVES = frozenset(kind for kind in BreakingChangeType if "DIRECTIVE" in kind.name)  # no operation has one


class Unread(Exception):
    """There is no schema to compare; the text says why and what to do."""


@cache
def ours() -> GraphQLSchema:
    """The subset that this project works with."""
    return build_schema(SDL.read_text())


def theirs(url: str) -> GraphQLSchema:
    """The schema of the API at this address.

    Raises:
        Unread: it did not answer with one.
    """
    body = json.dumps({"query": get_introspection_query(descriptions=False)}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": AGENT}
    try:
        request = urllib.request.Request(_named(url), body, headers)
        with urllib.request.urlopen(request, timeout=SLOWEST) as answer:
            told = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            raise Unread(f"{url} answered {error.code} instead of its schema. Try again later.") from error
    except (OSError, ValueError) as error:
        reason = "what it answered is no JSON" if isinstance(error, json.JSONDecodeError) else error
        raise Unread(f"{url} did not tell its schema: {reason}. Check the address, then try again.") from error
    data = told.get("data") if isinstance(told, dict) else None
    if not data:
        raise Unread(f"{url} refused to tell its schema: {_refusal(told)}. Check the address, then try again.")
    try:
        return build_client_schema(cast(IntrospectionQuery, data), assume_valid=True)  # Railway's has one fault
    except (TypeError, ValueError) as error:
        raise Unread(f"{url} told no schema: {error} Check the address, then try again.") from error


def _named(url: str) -> str:
    """The address with a query string: Cloudflare limits those without one more sharply."""
    return url if urllib.parse.urlsplit(url).query else f"{url}?source=bluegreen-contract"


def _refusal(told: Any) -> str:
    try:
        return str(told["errors"][0]["message"])
    except (KeyError, IndexError, TypeError):
        return "there is neither data nor an error in its answer"


def differences(mine: GraphQLSchema, live: GraphQLSchema) -> list[str]:
    """What of `mine` is otherwise in `live`, one sentence each."""
    broken = [change.description for change in find_breaking_changes(mine, live) if change.type not in DIRECTIVES]
    changed = [change.description for change in find_dangerous_changes(mine, live) if change.type in MATTERS]
    return sorted({*broken, *changed, *_defaults(mine, live), *_deprecated(mine, live)})


def _defaults(mine: GraphQLSchema, live: GraphQLSchema) -> Iterator[str]:
    """Input fields that mean something else now when they are left out."""
    for kind in mine.type_map.values():
        other = live.type_map.get(kind.name)
        if not isinstance(kind, GraphQLInputObjectType) or not isinstance(other, GraphQLInputObjectType):
            continue
        for name in kind.fields.keys() & other.fields.keys():
            before, after = _shown(kind.fields[name]), _shown(other.fields[name])
            if before != after:
                yield f"{kind.name}.{name} has changed its default from {before} to {after}."


def _shown(entry: GraphQLInputField) -> str:
    if entry.default is None:
        return "none"
    return json.dumps(entry.default.value) if entry.default.literal is None else print_ast(entry.default.literal)


def _deprecated(mine: GraphQLSchema, live: GraphQLSchema) -> Iterator[str]:
    """What of `mine` is meant to go."""
    there = dict(_reasons(live))
    for name, reason in _reasons(mine):
        now = there.get(name)
        if now is not None and reason is None:
            yield f"{name} is deprecated: {now}"


def _reasons(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Every field and enum value, with the reason for which it is deprecated."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLEnumType):
            yield from ((f"{kind.name}.{name}", value.deprecation_reason) for name, value in kind.values.items())
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            yield from ((f"{kind.name}.{name}", field.deprecation_reason) for name, field in kind.fields.items())
        elif isinstance(kind, GraphQLInputObjectType):
            yield from ((f"{kind.name}.{name}", entry.deprecation_reason) for name, entry in kind.fields.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and tell; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.railway_contract", description="Does Railway's API still fit what is built on it?"
    )
    parser.add_argument("url", metavar="URL", help="the API's address; no token is needed")
    url: str = parser.parse_args(arguments).url
    try:
        live = theirs(url)
    except Unread as error:
        print(error, file=sys.stderr)
        return NOT_COMPARED
    mine = ours()
    found = differences(mine, live)
    for line in found:
        print(line)
    if found:
        places = "1 place" if len(found) == 1 else f"{len(found)} places"
        print(f"{url} differs from {SDL.name} in {places}. Nothing was changed. Adapt {SDL.name} and the operations.")
        return DIFFERS
    own = sum(not name.startswith("__") for name in mine.type_map)
    print(f"{url} has everything of {SDL.name}: {own} types, and none of them differs.")
    return FITS


if __name__ == "__main__":
    sys.exit(main())
