"""Every command that a page shows is one that there is: its verb, its words, its options, the files that it names.

Asked of the objects that parse command lines, of Makefile, and of the programs' own `--help`; nothing shown is run.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import toolchain
from bluegreen.cli.reference import commands, page
from bluegreen.cli.verb import Exit
from tests.docs_pages import DOCS, OURS, PAGES, ROOT, Shown, shown

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

PYTHON = re.compile(r"(?:\.venv/bin/)?python3?")
PLACEHOLDER = re.compile(r"[A-Z][A-Z_.]*|.*[…<>*'\"].*")
FILES = re.compile(r"(?:bin|bluegreen|docs|migrations|policies|sandbox|tests|toolchain)/[\w./-]+")
GROUPS = ("config", "stack", "state")  # of Pulumi's commands, whose next word is a command, too


def wrong(command: Shown) -> list[str]:
    """What this line has that there is not, a phrase each; of programs that are no part of this, nothing is known."""
    if not OURS.match(f"{command.bare} "):
        return []
    words = command.words
    while "=" in words[0]:
        words = words[1:]
    first, *rest = words
    missing = [f"no file {word}" for word in rest if FILES.fullmatch(word) and not (ROOT / word).exists()]
    if PYTHON.fullmatch(first):
        return missing + _module(rest[1:])
    if first == "make":
        return missing + _target(rest)
    if first == "pulumi":
        return missing + _pulumi(rest)
    return missing + _verb(rest)


def _verb(words: Sequence[str]) -> list[str]:
    """A line of `bluegreen`, by the object that would parse it."""
    name, *rest = words
    if name.startswith("-"):
        return [] if name == "--help" else [f"no option {name}"]
    if PLACEHOLDER.fullmatch(name):
        return []
    if name not in commands():
        return [f"no verb {name}"]
    command = commands()[name]
    context = command.make_context(name, [], resilient_parsing=True)
    named = {
        option: each
        for each in command.params
        for option in (*each.opts, *each.secondary_opts)
        if each.param_type_name == "option"
    }
    places = [each for each in command.params if each.param_type_name == "argument"]
    found, at, other = list[str](), 0, False
    while rest:
        word, *rest = rest
        if word == "|":
            other = True
            continue
        if word.startswith("-") and word != "--help":
            option = named.get(word.partition("=")[0])
            if option is None:
                found.append(f"no option {word} of {name}")
                rest = rest[1:] if rest and not rest[0].startswith(("-", "|")) else rest  # what it was given
            elif not option.is_flag and "=" not in word:
                value, rest = rest[:1], rest[1:]
                found += [f"{word} of {name} needs a value"] if not value or value[0].startswith("--") else []
        elif word == "--help":
            continue
        elif at - other >= len(places):
            found.append(f"{name} takes no further {word}")
        else:
            place = places[at - other]
            found += _choice(name, place, context, word)
            at += not other and place.nargs != -1  # some take as many as there are
        other = False
    return found


def _choice(name: str, place: Any, context: Any, word: str) -> list[str]:
    """Of words that can be listed, one that is none of them; a placeholder may be any."""
    listed = re.search(r"<([\w-]+(?:\|[\w-]+)+)>", place.get_help_record(context)[0])
    known = listed[1].split("|") if listed else []
    if name == "rollback":
        known = []  # an app, whose names a config gives
    return [
        f"{name} knows no {each}"
        for each in word.split("|")
        if known and each not in known and not PLACEHOLDER.fullmatch(each)
    ]


def _target(words: Sequence[str]) -> list[str]:
    """A line of `make`."""
    known = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    given = [word.partition("=")[0] for word in words if "=" in word]
    missing = [f"no target {word}" for word in words if "=" not in word and word not in known]
    return missing + [f"no variable {name}" for name in given if f"$({name})" not in MAKEFILE]


def _module(words: Sequence[str]) -> list[str]:
    """A line of `python -m`."""
    name, *rest = words
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None or (spec.submodule_search_locations is not None and find_spec(f"{name}.__main__") is None):
        return [f"no module {name}"]
    options = _options(rest)
    verb = [word for word in rest[:1] if re.fullmatch(r"[a-z]+", word)]
    return [f"no option {each} of {name}" for each in options if each not in _help(sys.executable, "-m", name, *verb)]


def _pulumi(words: Sequence[str]) -> list[str]:
    """A line of `pulumi`, by its own help."""
    depth = 2 if words[0] in GROUPS and len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]) else 1
    verb = words[:depth]
    told = _help(str(toolchain.cli().pulumi), *verb)
    usage = re.split(r"Flags:|Commands:", told.partition("Usage:")[2])[0]  # with other names of the same
    if verb[-1] not in usage.split():
        return [f"no pulumi {' '.join(verb)}"]
    return [f"no option {each} of pulumi {' '.join(verb)}" for each in _options(words) if f"{each} " not in f"{told} "]


def _options(words: Sequence[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if word.startswith("--") and len(word) > 2]


@cache
def _help(*command: str) -> str:
    environment = toolchain.cli().environment()
    done = subprocess.run(
        [*command, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return re.sub(r"[=,\[\]]", " ", done.stdout + done.stderr)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_that_a_page_shows_is_there(file: Path) -> None:
    faults = [
        (each.text, fault) for each in shown(file.read_text(encoding="utf-8"), file.name) for fault in wrong(each)
    ]
    assert faults == []


PLANTED = {
    "bluegreen promise backend": "no verb promise",
    "bin/bluegreen rollback full --reason x --fast": "no option --fast of rollback",
    "bin/bluegreen rollback full --reason": "--reason of rollback needs a value",
    "bluegreen hold show production": "hold takes no further production",
    "bluegreen hold keep": "hold knows no keep",
    "bluegreen hold show | keep": "hold knows no keep",
    "bluegreen migrate plan": "migrate knows no plan",
    "bluegreen observe dashboard|charts": "observe knows no charts",
    "bluegreen validate STACK [--app A] [--tag T]…": "no option --tag of validate",
    "make coffee": "no target coffee",
    "make bench JUST=flips": "no variable JUST",
    ".venv/bin/python -m sandbox.nothing": "no module sandbox.nothing",
    "python3 -m bluegreen.kong": "no module bluegreen.kong",
    "python -m benchmarks --just flips": "no option --just of benchmarks",
    "pulumi up --target-nobody": "no option --target-nobody of pulumi up",
    "pulumi config unset x": "no pulumi config unset",
    "BLUEGREEN_OFFLINE=1 pulumi preview --policy-packs policies": "no option --policy-packs of pulumi preview",
    "pulumi preview --policy-pack-config policies/nothing.json": "no file policies/nothing.json",
}


@pytest.mark.parametrize(("line", "fault"), PLANTED.items(), ids=PLANTED)
def test_a_planted_mistake_is_found(line: str, fault: str) -> None:
    told = [text for each in shown(f"Text.\n```sh\n$ {line}   # so it goes\n```\n", "planted") for text in wrong(each)]
    inline = [text for each in shown(f"Text with `{line}` in it.", "planted") for text in wrong(each)]
    assert ([fault], [fault]) == (told, inline)


GOOD = (
    "bluegreen rollback backend --reason …      --to green | --write | --unchecked | --guard 15",
    "bluegreen hold show | release --reason …",
    "bluegreen adopt [--app SERVICE[=NAME]]… [--health PATH] [--dry-run]",
    "bin/bluegreen monitor production 5m 30s --rollback-on-fail",
    "bluegreen promote backend frontend --commit --help",
    "bluegreen validate STACK [--app A] [--only ID]… \\\n    --json",
    "make demo KONG_ADMIN=http://… KONG_PROXY=http://…",
)


@pytest.mark.parametrize("line", GOOD)
def test_what_is_there_is_no_mistake(line: str) -> None:
    (command,) = shown(f"```\n{line}\n```\n", "planted")
    assert wrong(command) == []


def test_the_reference_is_what_the_program_prints() -> None:
    kept = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert page() == kept, "python -m bluegreen.cli.reference > docs/reference.md"


def test_the_reference_has_every_verb_and_every_option() -> None:
    text = page()
    parts = {name: text.partition(f"\n### bluegreen {name}\n")[2].partition("\n###")[0] for name in commands()}
    left = [
        (name, each.name) for name, part in parts.items() for each in commands()[name].params if _absent(each, part)
    ]
    assert left == []


def _absent(parameter: Any, part: str) -> bool:
    shown_as = parameter.opts if parameter.param_type_name == "option" else [parameter.metavar or parameter.name]
    return not all(f"| `{name}" in part for name in shown_as)


@pytest.mark.parametrize("code", Exit, ids=lambda code: str(int(code)))
def test_every_exit_code_is_in_the_runbook(code: Exit) -> None:
    runbook = (DOCS / "runbook.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| {int(code)} \|", runbook, re.MULTILINE)


def test_every_verb_is_in_the_runbook() -> None:
    table = (
        (DOCS / "runbook.md").read_text(encoding="utf-8").partition("\n| Verb | Besides |\n")[2].partition("\n\n")[0]
    )
    told = {code.split()[0] for row in table.splitlines() for code in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert sorted(commands().keys() - told) == []
