"""`python -m bluegreen.cli.reference`: every verb with its options, and every key of a stack's file, as one page.

It is made of what is really asked: the command objects that parse a command line, and the models that parse a config.
So `docs/reference.md` cannot say what is not so, and a test keeps it as this prints it. What a key means to a release
is told by hand, in `docs/configuration.md`; here it says which type it has, where it stands, and what it is without.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import typer
from pydantic import TypeAdapter

from bluegreen.connections import KEYS, SECRET, variable
from bluegreen.settings import Settings
from bluegreen.spec import Duration

HEAD = """# Reference: every verb and every key
Made by `python -m bluegreen.cli.reference`, from the commands and the models themselves; not written by hand. What the
verbs do is told in [configuration](configuration.md#the-command-line), and so is what the keys mean; what to do when
one of them ends otherwise than with 0, in the [runbook](runbook.md).
"""
VERBS = """
## The verbs
`bin/bluegreen VERB …`. `required` is what it cannot do without; what is repeatable may be given more than once.
"""
PROVIDER = """
## The provider's keys: `bluegreen:…`
Text, each. The variable of the environment wins over the file. What is a secret belongs into the file encrypted
(`pulumi config set --secret`), or into the environment alone.

| Key | Variable | Secret |
| --- | --- | --- |
"""
STACK = """
## The stack's keys: `<project>:…`
`<project>` is the name in Pulumi.yaml. `–` is a key that has to be there; `nothing` one that is absent unless it is
written. An unknown key is refused by its path. A span of time is text such as `45s`, `10m` or `1h30m`. A secret is a
value that is set with `--secret`, on its own path.
"""
ELSEWHERE = {"Settings": ("owner",), "Metric": ("authorization",)}  # filled in from the stack's name, from `secrets`
TOP = "Settings"
LONG = 60  # characters of a default that a cell still takes


def page() -> str:
    """The whole page."""
    return "".join((HEAD, VERBS, *_verbs(), PROVIDER, *_provider(), STACK, *_models()))


def commands() -> Mapping[str, Any]:
    """Every verb as the object that parses its command line."""
    # Deferred: the module of all verbs is also a program, and whoever runs it has no need of this page.
    from bluegreen.cli.__main__ import app

    group: Any = typer.main.get_command(app)
    return cast("Mapping[str, Any]", group.commands)


def _verbs() -> Iterator[str]:
    for name, command in sorted(commands().items()):
        told = command.help.replace("\b", "").strip()
        summary, _, more = told.partition("\n")
        yield f"\n### bluegreen {name}\n{summary}\n"
        if rest := [line.strip() for line in more.splitlines() if line.strip()]:
            yield "```text\n" + "\n".join(rest) + "\n```\n"
        yield "\n| Word or option | |\n| --- | --- |\n"
        context = command.make_context(name, [], resilient_parsing=True)
        for parameter in command.params:
            # The stack may be the first word or an option; both are told once, as the help has them.
            shown, says = parameter.get_help_record(context)
            often = " Repeatable." if parameter.multiple else ""
            yield f"| `{_cell(shown)}` | {_cell(says)}{often} |\n"


def _provider() -> Iterator[str]:
    for key in KEYS:
        yield f"| `{key}` | `{variable(key)}` | {'yes' if key in SECRET else 'no'} |\n"


def _models() -> Iterator[str]:
    whole: Mapping[str, Any] = TypeAdapter(Settings).json_schema(mode="validation", by_alias=True)
    models = {TOP: whole, **whole["$defs"]}
    for name, paths in _places(models).items():
        model = models[name]
        where = "" if name == TOP else f"At {', '.join(f'`{_cell(each)}`' for each in paths)}. "
        yield f"\n### {name}\n{where}{_sentence(model)}\n"
        fields = _fields(name, model)
        if fields:
            yield "\n| Key | Type | Default |\n| --- | --- | --- |\n"
        for key, field in fields.items():
            needed = key in model.get("required", ())
            yield f"| `{key}` | {_cell(_type(field))} | {'–' if needed else _cell(_default(field))} |\n"


def _places(models: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """Every model that a file may hold, in the order in which one comes to it, and the paths at which it stands."""
    found: dict[str, list[str]] = {TOP: []}
    waiting = [(TOP, "")]
    while waiting:
        name, under = waiting.pop(0)
        for key, field in _fields(name, models[name]).items():
            for inner, path in _inner(field, f"{under}{key}"):
                if "properties" not in models[inner]:
                    continue
                found.setdefault(inner, []).append(path)
                if len(found[inner]) == 1:
                    waiting.append((inner, f"{path}."))
    return found


def _inner(field: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Every model that a field leads to, with the path of it."""
    if "$ref" in field:
        yield field["$ref"].rpartition("/")[2], path
    for part in (*field.get("anyOf", ()), *field.get("oneOf", ())):
        yield from _inner(part, path)
    if "items" in field:
        yield from _inner(field["items"], f"{path}[]")
    for part in _values(field):
        yield from _inner(part, f"{path}.<name>")


def _fields(name: str, model: Mapping[str, Any]) -> Mapping[str, Any]:
    """A model's keys as a file has them: an app's secrets have no `apps` above them there."""
    fields: Mapping[str, Any] = model.get("properties", {})
    mine = {key: field for key, field in fields.items() if key not in ELSEWHERE.get(name, ())}
    if name == "Secrets":
        (mine["<app>"],) = _values(mine.pop("apps"))
    return mine


def _type(field: Mapping[str, Any]) -> str:
    """A type in words; what may be absent is told by its default."""
    choices = [part for part in (*field.get("anyOf", ()), *field.get("oneOf", ())) if part.get("type") != "null"]
    if choices:
        return " or ".join(_type(part) for part in choices)
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return "any value" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object":
        values = [_type(part) for part in _values(field)]
        names = field.get("propertyNames", {}).get("enum")
        return f"map of {'/'.join(names) if names else 'name'} to {' or '.join(values) or 'any value'}"
    return _scalar(field)


def _scalar(field: Mapping[str, Any]) -> str:
    kinds = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    formats = {"duration": "span of time", "password": "secret"}
    word = formats.get(field.get("format", "")) or kinds.get(field.get("type", ""), "any value")
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field]
    return f"{word}, {', '.join(bounds)}" if bounds else word


def _values(field: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What a map holds, whatever its names have to look like."""
    further = field.get("additionalProperties")
    return [*field.get("patternProperties", {}).values(), *([further] if isinstance(further, Mapping) else [])]


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if field.get("format") == "duration" and value is not None:
        span = TypeAdapter(timedelta).validate_python(value)
        return f"`{TypeAdapter[timedelta](Duration).dump_python(span)}`"
    if value is None:
        return "nothing"
    if "$ref" in field:
        return "its own defaults"
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= LONG else "as told above"


def _sentence(model: Mapping[str, Any]) -> str:
    """A model's own words, without the line breaks of its source."""
    told = str(model.get("description", ""))
    return "\n\n".join(" ".join(each.split()) for each in told.split("\n\n"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
