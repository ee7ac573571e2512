"""Every remedy that a check names exists: the command with its options, and the key of the config."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from typer.models import ArgumentInfo

from bluegreen.cli.__main__ import VERBS
from bluegreen.config import Secrets
from bluegreen.connections import KEYS
from bluegreen.settings import Settings

ROOT = Path(__file__).parent.parent
SOURCES = [*sorted((ROOT / "bluegreen" / "validation").glob("*.py")), *(ROOT / "bluegreen" / "measure").glob("c*.py")]
COMMAND = re.compile(r"bluegreen ([a-z]+)((?: (?:[a-z-]+|<[a-z]+>)(?=[ ;:.,…`]|$))?)((?: --[a-z-]+)*)")
KEY = re.compile(r"(?<![\w./-])((?:apps|gateway|rollout|migrations|secrets|railway)\.[a-zA-Z<>.]*[a-zA-Z>])")


def texts() -> Iterator[str]:
    """Every text in the sources; what is filled in stands there as `<…>`."""
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "<app>" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    yield (ROOT / "docs" / "validate.md").read_text(encoding="utf-8")


def commands() -> dict[str, tuple[set[str], set[str]]]:
    """Every verb, with the words that may follow it and its options."""
    found = {}
    for verb in VERBS:
        parameters = inspect.signature(verb).parameters.values()
        words = {word for each in parameters for word in _choices(each.annotation)}
        name = verb.__name__.replace("_", "-")
        found[name] = words, {f"--{each.name.replace('_', '-')}" for each in parameters}
    found["rollback"] = {"kong", "full", "<app>"}, found["rollback"][1]
    return found


def _choices(annotation: Any) -> Sequence[str]:
    """The words of a positional parameter that takes only some."""
    kind, *notes = get_args(annotation) or (annotation,)
    return get_args(kind) if any(isinstance(note, ArgumentInfo) for note in notes) else ()


def test_every_command_that_a_hint_names_exists() -> None:
    known, unknown = commands(), []
    named = [match for text in texts() for match in COMMAND.finditer(text)]
    for match in named:
        verb, word, options = match[1], match[2].strip(), set(match[3].split())
        words, own = known.get(verb, (set(), set()))
        if verb not in known or (words and word and word not in words) or not options <= own:
            unknown.append(match[0])
    assert len(named) > 20
    assert unknown == []


def test_every_key_of_bluegreen_that_a_hint_names_exists() -> None:
    named = {key for text in texts() for key in re.findall(r"bluegreen:([a-zA-Z]+)", text)}
    assert named - set(KEYS) == set()
    assert len(named) > 8


def test_every_key_of_the_config_that_a_hint_names_exists() -> None:
    named = {key for text in texts() for key in KEY.findall(text) if not key.endswith(".py")}
    assert {key for key in named if not _there(Settings, key.split("."))} == set()
    assert len(named) > 15


def _there(kind: object, path: Sequence[str]) -> bool:
    """Whether there is such a key below it; in a mapping any name will do."""
    if not path:
        return True
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {each.alias or name: each.annotation for name, each in kind.model_fields.items()}
        if issubclass(kind, Secrets) and path[0] not in fields:  # in YAML an app's have no `apps` above them
            return _there(fields["apps"], path)
        chosen = fields.values() if path[0].startswith("<") else [fields[path[0]]] if path[0] in fields else []
        return any(_there(each, path[1:]) for each in chosen)
    origin, parts = get_origin(kind), get_args(kind)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _there(parts[1], path[1:])
    return any(_there(part, path) for part in parts)
