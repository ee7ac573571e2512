"""The words every rule speaks: a resource as the engine hands it over, a violation, a value that is not known yet.

A rule is a pure function over plain data, so it is tested without an engine. It reads a resource through `at`, which
refuses to hand out what a preview cannot know: so no rule can take an unknown for a value, and none has to think of it.
It deliberately does not know Pulumi; `pack.py` does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Config: TypeAlias = Mapping[str, Any]


class Unknown:
    """A value that only the update will know; there is one of it, `UNKNOWN`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a stack, its inputs as plain data in which `UNKNOWN` may stand for any part, or for all."""

    type: str
    name: str
    stack: str
    properties: Mapping[str, Any] | Unknown
    urn: str = ""

    def at(self, path: str, default: Any = None) -> Any:
        """The value at a dotted path, or `default` where there is none.

        Raises:
            Unjudged: it is not known yet, or something in it is not.
        """
        value: Any = self.properties
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else value if value is UNKNOWN else None
        if _clouded(value):
            raise Unjudged(self, path)
        return default if value is None else value


class Unjudged(Exception):
    """A rule had to look at something that is not known yet. Raised where it is met, or yielded as a finding."""

    def __init__(self, resource: Resource, path: str) -> None:
        super().__init__(f"{resource.name}: {path} is not known here, so it is not judged. A whole update judges it.")


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule is broken: what is wrong, how things stand, what to write instead, in one line."""

    resource: Resource | None  # None: it is about the stack as a whole
    sentence: str

    def __post_init__(self) -> None:
        # One line whatever is in the values that it quotes.
        object.__setattr__(self, "sentence", " ".join(self.sentence.split()))


Finding: TypeAlias = Violation | Unjudged


@dataclass(frozen=True, slots=True)
class Rule:
    """What must be kept; `parameters` is the JSON schema of its config, with every default."""

    name: str
    promise: str
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, kw_only=True)

    def config(self, given: Config) -> Config:
        """The config as the rule reads it: what is given over the defaults."""
        return {name: schema["default"] for name, schema in self.parameters.items()} | dict(given)

    def misunderstood(self, given: Config) -> str | None:
        """What to say about a config that this rule cannot follow: a word with a slip in it must not switch it off."""
        strange = sorted(given.keys() - self.parameters.keys())
        if not strange:
            return None
        return (
            f"The policy config of {self.name} sets {', '.join(strange)}, which this rule does not know. It has judged "
            f"nothing. Write {' or '.join(self.parameters) or 'no parameter'} instead."
        )


@dataclass(frozen=True, slots=True)
class ResourceRule(Rule):
    """A rule about each resource of one type, judged before that resource is touched."""

    of: str = field(kw_only=True)
    judge: Callable[[Resource, Config], Iterator[Finding]] = field(kw_only=True)

    def findings(self, resource: Resource, given: Config) -> list[Finding]:
        """Everything that is to be said about one resource."""
        if resource.type != self.of:
            return []
        if (slip := self.misunderstood(given)) is not None:
            return [Violation(resource, slip)]
        return _gathered(self.judge(resource, self.config(given)))


@dataclass(frozen=True, slots=True)
class StackRule(Rule):
    """A rule about resources together, judged when the last one is in."""

    judge: Callable[[Sequence[Resource], Config], Iterator[Finding]] = field(kw_only=True)

    def findings(self, resources: Sequence[Resource], given: Config) -> list[Finding]:
        """Everything that is to be said about the stack."""
        if (slip := self.misunderstood(given)) is not None:
            return [Violation(None, slip)]
        return _gathered(self.judge(resources, self.config(given)))


AnyRule: TypeAlias = ResourceRule | StackRule


def _gathered(judging: Iterator[Finding]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(judging)  # extends as it goes: what was found before an unknown stays found
    except Unjudged as unjudged:
        found.append(unjudged)
    return found


def _clouded(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_clouded(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_clouded(inner) for inner in value)
    return value is UNKNOWN
