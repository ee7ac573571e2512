"""How a method and a path become one statement: a route is data, and finding one is all that happens here.

Every statement runs as the caller, so what it finds is what row level security shows. It is wrapped into one that makes
the JSON: a list, or one object and whether the thing is there at all. So a change that touched no row is a 404 for
whoever cannot see the thing, and a refusal for whoever can see it but may not change it.

Deliberately not here: the routes themselves (`sandbox.backend.projects`, `sandbox.backend.teams`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from sandbox.app_pages import Refusal

Value = str | bool | None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a request's body. Whether its value is a right one is the database's to say."""

    kind: type[str] | type[bool] = str
    needed: bool = False

    def accepts(self, value: object) -> bool:
        return isinstance(value, self.kind) or (value is None and not self.needed)


NEEDED, TEXT, FLAG = Field(needed=True), Field(), Field(bool)


@dataclass(frozen=True)
class Route:
    """One endpoint: its statement with named parameters, which are the path's placeholders and the body's fields."""

    method: str
    path: str
    statement: str
    gives: Literal["one", "many", "nothing"] = "one"
    takes: Mapping[str, Field] = field(default_factory=dict)
    sees: str = ""  # finds a row when the caller can see what the path names
    status: int = 200
    stuck: tuple[int, str] = (403, "You may not do this.")  # it is there for the caller to see, and did not change

    @cached_property
    def sql(self) -> str:
        """One row: the JSON or null, and whether the thing is there."""
        inner = f"with answer as ({self.statement})"
        if self.gives == "many":
            there = f" having exists ({self.sees})" if self.sees else ""
            return f"{inner} select coalesce(json_agg(answer), '[]')::text, true from answer{there}"
        there = f"exists ({self.sees})" if self.sees else "false"
        return f"{inner} select (select row_to_json(answer)::text from answer), {there}"

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))

    def read(self, body: object) -> dict[str, Value | list[str]]:
        """The body's fields as parameters, and which of them were given; a body of another shape is refused."""
        if not self.takes:
            return {}
        if not isinstance(body, dict):
            raise Refusal(400, "The body is not a JSON object.")
        for name in body:
            if name not in self.takes:
                raise Refusal(400, f"{name[:40]!r} is not known here; a body has {', '.join(self.takes)}.")
        for name, wanted in self.takes.items():
            if wanted.needed and body.get(name) is None:
                raise Refusal(400, f"{name} is missing.")
            if not wanted.accepts(body.get(name)):
                raise Refusal(400, f"{name} is not {'true or false' if wanted.kind is bool else 'text'}.")
        return {name: body.get(name) for name in self.takes} | {"given": list(body)}


class Table:
    """The routes of one release."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_length: dict[int, list[Route]] = {}
        for route in routes:
            self._by_length.setdefault(route.path.count("/"), []).append(route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and what its placeholders stand for; refused with 404, or with 405 and the methods there are."""
        allowed = []
        for route in self._by_length.get(path.count("/"), ()):
            if found := route.pattern.fullmatch(path):
                if route.method == method:
                    return route, found.groupdict()
                allowed.append(route.method)
        if allowed:
            methods = ", ".join(sorted(set(allowed)))
            raise Refusal(405, f"{method} is not for this path; it has {methods}.", Allow=methods)
        raise Refusal(404, "There is nothing here.")
