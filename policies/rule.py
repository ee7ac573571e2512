"""The words every rule speaks: a resource as the engine hands it over, a violation, a value that is not known yet.

A rule is a pure function over plain data, so it is tested without an engine. It reads a resource through `at`, which
refuses to hand out what a preview cannot know: so no rule can take an unknown for a value, and none has to think of it.
It deliberately does not know Pulumi; `pack.py` does.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
    """One resource of a stack, its inputs as plain data in which `UNKNOWN` may stand for any part, or for all.

    `protect` is its resource option. `outputs` and `needs` (URNs of what it depends on) are told only to a rule about
    the stack; outputs only of the few types that have something to tell.
    """

    type: str
    name: str
    stack: str
    properties: Mapping[str, Any] | Unknown
    urn: str = ""
    protect: bool = False
    outputs: Mapping[str, Any] | Unknown = field(default_factory=dict)
    needs: Collection[str] = ()

    def at(self, path: str, default: Any = None) -> Any:
        """The value at a dotted path, or `default` where there is none.

        Raises:
            Unjudged: it is not known yet, or something in it is not.
        """
        value = self.seen(path)
        if _clouded(value):
            raise Unjudged(self, path)
        return default if value is None else value

    def seen(self, path: str) -> Any:
        """The value at a dotted path as it is, `UNKNOWN` in it included; for a rule that means to look at that."""
        return _reached(self.properties, path)

    def told(self, path: str) -> Any:
        """The same among the outputs, where what only the update will know is the rule and no doubt."""
        return _reached(self.outputs, path)


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
    """A rule about each resource of some types, judged before that resource is touched."""

    of: Collection[str] = field(kw_only=True)
    judge: Callable[[Resource, Config], Iterator[Finding]] = field(kw_only=True)

    def findings(self, resource: Resource, given: Config) -> list[Finding]:
        """Everything that is to be said about one resource."""
        if resource.type not in self.of:
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


def broken(resource: Resource, wrong: str, instead: str) -> Violation:
    """A resource that must not become what is asked for, in the three beats of a sentence."""
    return Violation(resource, f"{resource.name}: {wrong}. {resource.name} is left as it is. {instead}")


def shown(value: Any) -> str:
    """A value as a person wrote it in YAML."""
    match value:
        case None:
            return "missing"
        case bool():
            return str(value).lower()
        case str():
            return repr(value)
        case Mapping():
            return "{" + ", ".join(f"{key}: {inner}" for key, inner in value.items()) + "}"
    return str(value)


def is_number(value: Any) -> bool:
    """Whether this is a number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def mapping(value: Any) -> Mapping[str, Any]:
    """A map as it is, and an empty one for whatever is none."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> Sequence[Any]:
    """A list as it is, and an empty one for whatever is none."""
    return value if isinstance(value, list | tuple) else ()


def _gathered(judging: Iterator[Finding]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(judging)  # extends as it goes: what was found before an unknown stays found
    except Unjudged as unjudged:
        found.append(unjudged)
    return found


def _reached(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else value if value is UNKNOWN else None
    return value


def _clouded(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_clouded(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_clouded(inner) for inner in value)
    return value is UNKNOWN
