"""Kong's own schemas at work: what is refused, in which words, and what is filled in.

The schemas are the server's answers to `GET /schemas/{entity}` and `GET /schemas/plugins/{name}`, kept as JSON beside
this module; defaults and most rules are read from them, so the stand-in has no tables of its own that could drift.
What such an answer does not show (Kong's Lua validators: names, hosts, regular expressions) is passed in as `checks`.

Deliberately not here: references to other entities and uniqueness; those need the store.
"""

import copy
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from sandbox.kong_errors import Json, Problem, Row

Rule = dict[str, Any]  # one field's description
Check = Callable[[Json], Problem | None]
EntityCheck = Callable[[Row], tuple[str | None, str] | None]  # (field or None for the whole entity, what is wrong)

TYPES: Mapping[str, tuple[str, tuple[type[Any], ...]]] = {
    "string": ("a string", (str,)),
    "integer": ("an integer", (int,)),
    "number": ("a number", (int, float)),
    "boolean": ("a boolean", (bool,)),
    "array": ("an array", (list,)),
    "set": ("a set", (list,)),
    "map": ("a map", (dict,)),
    "record": ("a record", (dict,)),
    "foreign": ("a record", (dict,)),
}


@dataclass(frozen=True)
class Schema:
    """One entity's (or plugin's) schema as the server describes it, plus the checks that it does not show."""

    source: Rule
    checks: Mapping[str, Check] = field(default_factory=dict)  # by dotted field path
    entity_checks: tuple[EntityCheck, ...] = ()

    @cached_property
    def fields(self) -> dict[str, Rule]:
        return named(self.source["fields"])

    def complete(self, given: Row) -> Row:
        """The entity with every field present: defaults filled in, null for the rest."""
        return complete(self.fields, given, self.source.get("shorthand_fields", []))

    def problems(self, entity: Row) -> dict[str, Problem]:
        """Everything that Kong would refuse in a completed entity."""
        found = violations(self.source, entity, self.checks)
        for check in self.source.get("entity_checks", []):
            judge(check, self.fields, entity, found)
        for own in self.entity_checks:
            said = own(entity)
            if said is not None and said[0] is not None:
                found.setdefault(said[0], said[1])
            elif said is not None:
                blame(found, said[1])
        return found


def named(fields: list[dict[str, Rule]]) -> dict[str, Rule]:
    return {name: rule for one in fields for name, rule in one.items()}


# --- filling in -------------------------------------------------------------------------------------------------------


def complete(fields: Mapping[str, Rule], given: Row, shorthands: list[dict[str, Rule]] | None = None) -> Row:
    given = dict(given)
    for name, rule in named(shorthands or []).items():
        if given.get(name) is not None:
            path = rule["deprecation"]["replaced_with"][0]["path"]
            inner = dict(given.get(path[0]) or {})
            inner.setdefault(path[1], given[name])
            given[path[0]] = inner
    whole = {name: completed(rule, given.get(name)) for name, rule in fields.items()}
    for name, rule in named(shorthands or []).items():
        path = rule["deprecation"]["replaced_with"][0]["path"]
        whole[name] = (whole[path[0]] or {}).get(path[1])
    return whole | {name: value for name, value in given.items() if name not in whole}


def completed(rule: Rule, value: Json) -> Json:
    kind = rule["type"]
    if value is None:
        value = copy.deepcopy(rule.get("default"))
    if kind == "record":
        if value is None and rule.get("required"):
            value = {}
        if isinstance(value, dict) and "fields" in rule:
            return complete(named(rule["fields"]), value, rule.get("shorthand_fields"))
    elif kind in ("set", "array") and value == {}:
        return []  # Lua has one empty table for both
    elif kind in ("set", "array") and isinstance(value, list):
        items = [completed(rule["elements"], item) for item in value]
        return [item for i, item in enumerate(items) if kind == "array" or item not in items[:i]]
    elif kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


# --- refusing ---------------------------------------------------------------------------------------------------------


def violations(record: Rule, entity: Row, checks: Mapping[str, Check], at: str = "") -> dict[str, Any]:
    fields = named(record.get("fields", []))
    known = fields.keys() | named(record.get("shorthand_fields", [])).keys()
    found: dict[str, Any] = {name: "unknown field" for name in entity if name not in known}
    for name, rule in fields.items():
        problem = violation(rule, entity.get(name), checks, at + name)
        if problem is not None:
            found[name] = problem
    return found


def violation(rule: Rule, value: Any, checks: Mapping[str, Check], at: str) -> Problem | None:
    """What is wrong with one field's value, None if nothing is."""
    if value is None:
        return "required field missing" if rule.get("required") and not rule.get("auto") else None
    if rule.get("eq", value) is None:
        return "value must be null"
    what, accepted = TYPES[rule["type"]]
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
        return f"expected {what}"
    if rule["type"] == "foreign":
        return foreign_violation(value)
    if rule["type"] == "record":
        return violations(rule, value, checks, at + ".") or None
    return simple_violation(rule, value) or inner_violation(rule, value, checks, at) or checked(checks, at, value)


def checked(checks: Mapping[str, Check], at: str, value: Json) -> Problem | None:
    check = checks.get(at)
    return check(value) if check else None


def inner_violation(rule: Rule, value: Json, checks: Mapping[str, Check], at: str) -> Problem | None:
    """What is wrong inside a list or a map."""
    if rule["type"] in ("set", "array"):
        problems = [violation(rule["elements"], item, checks, at + ".*") for item in value]
        while problems and problems[-1] is None:
            problems.pop()
        return problems or None
    if rule["type"] == "map":
        for key, item in value.items():
            problem = violation(rule.get("keys", {"type": "string"}), key, {}, at)
            if problem is None and "values" in rule:
                problem = violation(rule["values"], item, {}, at)
            if problem is not None:
                return problem
    return None


def foreign_violation(value: Row) -> Problem | None:
    if "id" not in value:
        return {"id": "missing primary key"}
    return None if is_uuid(value["id"]) else {"id": "expected a valid UUID"}


def is_uuid(value: Json) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


def simple_violation(rule: Rule, value: Json) -> str | None:
    """The rules that need nothing but the value, in Kong's order."""
    if isinstance(value, str | list):
        shortest = rule.get("len_min", 1 if isinstance(value, str) else 0)
        if len(value) < shortest:
            return f"length must be at least {shortest}"
        if len(value) != rule.get("len_eq", len(value)):
            return f"length must be {rule['len_eq']}"
    if "between" in rule and not rule["between"][0] <= value <= rule["between"][1]:
        return f"value should be between {rule['between'][0]} and {rule['between'][1]}"
    if "gt" in rule and value <= rule["gt"]:
        return f"value must be greater than {rule['gt']}"
    if "eq" in rule and value != rule["eq"]:
        return f"value must be {rule['eq']}"
    if "one_of" in rule and value not in rule["one_of"]:
        return f"expected one of: {', '.join(map(str, rule['one_of']))}"
    if value in rule.get("not_one_of", []):
        return f"must not be one of: {', '.join(map(str, rule['not_one_of']))}"
    if rule.get("uuid") and not is_uuid(value):
        return "expected a valid UUID"
    if "mutually_exclusive_subsets" in rule:
        return mixed(rule["mutually_exclusive_subsets"], value)
    return text_violation(rule, value) if isinstance(value, str) else None


def mixed(subsets: list[list[str]], values: list[str]) -> str | None:
    used = [subset for subset in subsets if any(value in subset for value in values)]
    if len(used) < 2:
        return None
    return "these sets are mutually exclusive: " + ", ".join(map(shown, used))


def shown(names: list[str]) -> str:
    return "(" + ", ".join(f"'{name}'" for name in names) + ")"


def text_violation(rule: Rule, value: str) -> str | None:
    if not value.startswith(rule.get("starts_with", "")):
        return f"should start with: {rule['starts_with']}"
    if "match" in rule and not pattern(rule["match"]).search(value):
        return f"invalid value: {value}"
    anything = rule.get("match_any")
    if anything and not any(pattern(one).search(value) for one in anything["patterns"]):
        return str(anything["err"])
    for one in rule.get("match_all", []):
        if not pattern(one["pattern"]).search(value):
            return str(one["err"])
    for one in rule.get("match_none", []):
        if pattern(one["pattern"]).search(value):
            return str(one["err"])
    return None


@lru_cache(maxsize=256)
def pattern(lua_pattern: str) -> re.Pattern[str]:
    """A Lua pattern of the schemas as a regular expression (they use no more of Lua than this)."""
    escaped = re.sub(r"%u", "[A-Z]", lua_pattern)
    return re.compile(re.sub(r"%(.)", r"\\\1", escaped))


# --- rules about several fields ---------------------------------------------------------------------------------------


def blame(found: dict[str, Any], sentence: str) -> None:
    found.setdefault("@entity", []).append(sentence)


def value_at(entity: Row, path: str) -> Json:
    value: Json = entity
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def rule_at(fields: Mapping[str, Rule], path: str) -> Rule:
    name, _, rest = path.partition(".")
    rule = fields.get(name, {"type": "string"})
    return rule_at(named(rule.get("fields", [])), rest) if rest else rule


def judge(check: Rule, fields: Mapping[str, Rule], entity: Row, found: dict[str, Any]) -> None:
    """Apply one rule about several fields; a rule whose field is already refused says nothing."""
    if "conditional" in check:
        conditional(check["conditional"], fields, entity, found)
        return
    for kind, sentence in (
        ("at_least_one_of", "at least one of these fields must be non-empty: {}"),
        ("only_one_of", "exactly one of these fields must be non-empty: {}"),
        ("distinct", "values of these fields must be distinct: {}"),
    ):
        paths = check.get(kind)
        if paths is None or any(value_at(found, path) for path in paths):
            continue
        values = [value for value in (value_at(entity, path) for path in paths) if value is not None]
        wrong = {
            "at_least_one_of": not values,
            "only_one_of": len(values) != 1,
            "distinct": len(values) != len({str(value) for value in values}),
        }[kind]
        if wrong:
            blame(found, sentence.format(", ".join(f"'{path}'" for path in paths)))


def conditional(rule: Rule, fields: Mapping[str, Rule], entity: Row, found: dict[str, Any]) -> None:
    condition, consequence = rule["if_field"], rule["then_field"]
    if value_at(found, condition):
        return
    value = value_at(entity, condition)
    wanted = merged(rule_at(fields, condition), rule["if_match"])
    if (value is None and "eq" in rule["if_match"]) or violation(wanted, value, {}, "") is not None:
        return
    then = merged(rule_at(fields, consequence), rule["then_match"])
    problem = value_at(found, consequence) or violation(then, value_at(entity, consequence), {}, "")
    if problem is None:
        return
    inner = found
    *parents, last = consequence.split(".")
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = problem
    blame(found, rule.get("then_err") or f"failed conditional validation given value of field '{condition}'")


def merged(rule: Rule, match: Rule) -> Rule:
    """A field's rule under a condition; the field's own limits were judged before."""
    kept = {key: rule[key] for key in ("type", "elements", "fields", "keys", "values") if key in rule}
    return kept | match
