"""Which route a request takes, and which plugins apply to it: one worker's compiled view.

Kong's traditional_compatible order: routes that match on more kinds of things win (so a header route beats a plain
one), then plain hosts over wildcards, more headers, regular expressions by their priority, longer paths, older routes.
A route's paths compete one by one. Deliberately not here: SNIs, stream routes, expressions, `path_handling: v1`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.kong_checks import python_regex
from sandbox.kong_entities import PRIORITIES
from sandbox.kong_errors import Row

REMEMBERED = 2048  # answers kept; real traffic repeats itself


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


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Row], services: Sequence[Row], plugins: Sequence[Row]) -> None:
        by_id = {service["id"]: service for service in services}
        self._rules: list[Rule] = []
        for route in routes:
            service = by_id.get(route["service"]["id"]) if route["service"] else None
            if not {"http", "https"} & set(route["protocols"]) or (service and not service["enabled"]):
                continue
            applying = applying_plugins(plugins, route, service)
            for path in route["paths"] or [""]:
                self._rules.append(rule(route, service, applying, path))
        self._rules.sort(key=lambda one: one.order)
        self.everywhere = applying_plugins(plugins, {"id": None}, None)
        self._looked_at = sorted({name for one in self._rules for name, _, _ in one.headers})
        self._by_host = any(one.hosts for one in self._rules)
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
        for one in self._rules:
            prefix = one.matched(method, host, path, headers)
            if prefix is not None:
                return Match(one.route, one.service, prefix, one.plugins)
        return None


def rule(route: Row, service: Row | None, plugins: Plugins, path: str) -> Rule:
    hosts, headers = route["hosts"] or [], route["headers"] or {}
    regex = re.compile(python_regex(path[1:])) if path.startswith("~") else None
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


def host_pattern(host: str) -> re.Pattern[str]:
    """A route's host with its wildcard; without a port it takes any."""
    name, colon, port = host.lower().partition(":")
    body = ".+".join(re.escape(part) for part in name.split("*"))
    return re.compile(body + (f":{port}" if colon else r"(:\d+)?"))


def applying_plugins(plugins: Sequence[Row], route: Row, service: Row | None) -> Plugins:
    """The enabled plugins of this route, its service, or everything; the most specific first."""
    found: dict[str, list[Row]] = {}
    for row in plugins:
        of_route, of_service = row["route"], row["service"]
        if not row["enabled"] or (of_route and of_route["id"] != route["id"]):
            continue
        if of_service and (service is None or of_service["id"] != service["id"]):
            continue
        found.setdefault(row["name"], []).append(row)
    for rows in found.values():
        rows.sort(key=specificity)
    ordered = sorted(found, key=lambda name: -PRIORITIES.get(name, 0))
    return Plugins({name: found[name] for name in ordered})


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
