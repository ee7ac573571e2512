"""Which route a request takes, and which plugins apply to it: one worker's compiled view.

Kong's traditional_compatible order: routes that match on more kinds of things win (so a header route beats a plain
one), then plain hosts over wildcards, more headers, regular expressions by their priority, longer paths, older routes.
A route's paths compete one by one. Thousands of routes cost a request no more than a few: only those are tried whose
path (of a regular expression: its literal beginning) begins the request's. Deliberately not here: SNIs, stream routes,
expressions, `path_handling: v1`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sandbox.kong_checks import python_regex
from sandbox.kong_entities import PRIORITIES
from sandbox.kong_errors import Row

REMEMBERED = 2048  # answers kept; real traffic repeats itself
LITERAL = re.compile(r"[\w/-]*")
QUANTIFIERS = ("?", "*", "+", "{")


@dataclass(frozen=True, slots=True)
class Plugins:
    """The configured plugins of one route, most specific first per name."""

    rows: Mapping[str, Sequence[Row]]

    def of(self, name: str, consumer: str | None) -> Row | None:
        """The configuration that wins for this consumer."""
        for row in self.rows.get(name, ()):
            if row["consumer"] is None or row["consumer"]["id"] == consumer:
                return row
        return None


@dataclass(frozen=True, slots=True)
class Match:
    """A request's route, and the part of its path that the route matched."""

    route: Row
    service: Row | None
    prefix: str
    plugins: Plugins


@dataclass(slots=True)
class Rule:
    """One path of one route, compiled."""

    route: Row
    service: Row | None
    plugins: Plugins
    path: str
    regex: re.Pattern[str] | None
    methods: frozenset[str]
    hosts: Sequence[re.Pattern[str]]
    headers: Sequence[tuple[str, frozenset[str], re.Pattern[str] | None]]
    order: tuple[Any, ...] = field(default=())
    rank: int = 0  # its place in that order

    def matched(self, method: str, host: str, path: str, headers: Mapping[str, str]) -> str | None:
        """The matched prefix of the path, None if this is not the request's rule."""
        if self.methods and method not in self.methods:
            return None
        if self.regex is not None:
            found = self.regex.match(path)
            if found is None:
                return None
            prefix = found.group()
        elif path.startswith(self.path):
            prefix = self.path
        else:
            return None
        if self.hosts and not any(pattern.fullmatch(host) for pattern in self.hosts):
            return None
        for name, values, pattern in self.headers:
            given = headers.get(name)
            if given is None or not (given.lower() in values or (pattern and pattern.search(given))):
                return None
        return prefix


class Index:
    """The rules that a path may meet, by how their paths begin."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_beginning: dict[str, list[Rule]] = {}
        for one in rules:
            self._by_beginning.setdefault(beginning(one), []).append(one)
        self._lengths = sorted({len(start) for start in self._by_beginning})

    def candidates(self, path: str) -> list[Rule]:
        """In the order in which they are tried."""
        found: list[Rule] = []
        for length in self._lengths:
            if length > len(path):
                break
            found += self._by_beginning.get(path[:length], ())
        found.sort(key=lambda one: one.rank)
        return found


class Router:
    """Finds the route of a request; nothing of it belongs to one worker, so workers of equal views share one."""

    def __init__(self, routes: Sequence[Row], services: Sequence[Row], plugins: Sequence[Row]) -> None:
        by_id = {service["id"]: service for service in services}
        applying = Applying(plugins)
        rules: list[Rule] = []
        for route in routes:
            service = by_id.get(route["service"]["id"]) if route["service"] else None
            if not {"http", "https"} & set(route["protocols"]) or (service and not service["enabled"]):
                continue
            chosen = applying.to(route["id"], service["id"] if service else None)
            for path in route["paths"] or [""]:
                rules.append(rule(route, service, chosen, path))
        rules.sort(key=lambda one: one.order)
        for rank, one in enumerate(rules):
            one.rank = rank
        self._index = Index(rules)
        self._looked_at = sorted({name for one in rules for name, _, _ in one.headers})
        self._by_host = any(one.hosts for one in rules)
        self._found: dict[tuple[str, ...], Match | None] = {}

    def match(self, method: str, host: str, path: str, headers: Mapping[str, str]) -> Match | None:
        """The route for this request; header names are lower case."""
        key = (method, host if self._by_host else "", path, *(headers.get(name, "") for name in self._looked_at))
        try:
            return self._found[key]
        except KeyError:
            found = self._match(method, host.lower(), path, headers)
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        self._found[key] = found
        return found

    def _match(self, method: str, host: str, path: str, headers: Mapping[str, str]) -> Match | None:
        for one in self._index.candidates(path):
            prefix = one.matched(method, host, path, headers)
            if prefix is not None:
                return Match(one.route, one.service, prefix, one.plugins)
        return None


def rule(route: Row, service: Row | None, plugins: Plugins, path: str) -> Rule:
    hosts, headers = route["hosts"] or [], route["headers"] or {}
    regex = compiled(path[1:]) if path.startswith("~") else None
    wanted = []
    for name, values in headers.items():
        patterns = [value[2:] for value in values if value.startswith("~*")]
        pattern = re.compile(python_regex(patterns[0]), re.IGNORECASE) if len(values) == 1 and patterns else None
        wanted.append((name.lower(), frozenset(value.lower() for value in values), pattern))
    kinds = sum(bool(part) for part in (route["methods"], hosts, headers, path))
    order = (
        -kinds,
        -bool(hosts and not any("*" in host for host in hosts)),
        -len(headers),
        -(regex is not None),
        -(route["regex_priority"] if regex else 0),
        -len(path),
        route["created_at"],
        route["id"],
    )
    return Rule(
        route=route,
        service=service,
        plugins=plugins,
        path=path,
        regex=regex,
        methods=frozenset(route["methods"] or ()),
        hosts=[host_pattern(host) for host in hosts],
        headers=wanted,
        order=order,
    )


@lru_cache(maxsize=2**14)
def compiled(text: str) -> re.Pattern[str]:
    """A path's regular expression; a rebuild because of one route compiles no other's again."""
    return re.compile(python_regex(text))


@lru_cache(maxsize=2**14)
def host_pattern(host: str) -> re.Pattern[str]:
    """A route's host with its wildcard; without a port it takes any."""
    name, colon, port = host.lower().partition(":")
    body = ".+".join(re.escape(part) for part in name.split("*"))
    return re.compile(body + (f":{port}" if colon else r"(:\d+)?"))


def beginning(one: Rule) -> str:
    """What every path that this rule matches begins with."""
    if one.regex is None:
        return one.path
    text = one.path[1:]
    if alternatives(text):
        return ""
    found = LITERAL.match(text)
    literal = found.group() if found else ""
    return literal[:-1] if text[len(literal) :].startswith(QUANTIFIERS) else literal


def alternatives(text: str) -> bool:
    """Whether a regular expression is a choice as a whole; where that takes more than counting brackets, yes."""
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "|" and (depth == 0 or "\\" in text or "[" in text):
            return True
    return False


class Applying:
    """The enabled plugins, by what they hang on."""

    def __init__(self, plugins: Sequence[Row]) -> None:
        self._rows: dict[tuple[str | None, str | None], list[Row]] = {}
        for row in plugins:
            if row["enabled"]:
                place = tuple(row[on]["id"] if row[on] else None for on in ("route", "service"))
                self._rows.setdefault((place[0], place[1]), []).append(row)

    def to(self, route: str, service: str | None) -> Plugins:
        """The plugins of this route, its service, or everything; the most specific first."""
        found: dict[str, list[Row]] = {}
        for row in self._of(route, service):
            found.setdefault(row["name"], []).append(row)
        for rows in found.values():
            rows.sort(key=specificity)
        ordered = sorted(found, key=lambda name: -PRIORITIES.get(name, 0))
        return Plugins({name: found[name] for name in ordered})

    def _of(self, route: str, service: str | None) -> Iterator[Row]:
        for place in dict.fromkeys(((route, service), (route, None), (None, service), (None, None))):
            yield from self._rows.get(place, ())


def specificity(row: Row) -> int:
    """Kong's order of precedence, most specific lowest."""
    consumer, route, service = bool(row["consumer"]), bool(row["route"]), bool(row["service"])
    order = [
        (True, True, True),
        (True, True, False),
        (True, False, True),
        (False, True, True),
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (False, False, False),
    ]
    return order.index((consumer, route, service))
