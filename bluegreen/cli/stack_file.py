"""Keys added to a stack's config file: whatever somebody has written there stays, comments included."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bluegreen.cli.stack import Stack
from bluegreen.handler import Refused
from bluegreen.settings import Settings

WORLD = "Nothing was changed."
HEAD = re.compile(r"^config:[ \t]*(\{\})?[ \t]*(#.*)?$", re.MULTILINE)


def added(text: str, values: Mapping[str, Any]) -> str:
    """The file with these keys in its config; a file without a config gets one.

    Raises:
        Refused: the text is not laid out so that keys can be added.
    """
    head = HEAD.search(text)
    before, after = (text[: head.start()], text[head.end() :].lstrip("\n")) if head else (f"{text}\n" * bool(text), "")
    child = re.match(r"(?:[ \t]*(?:#.*)?\n)*( +)[^ #\n]", after)
    indent = child[1] if child else "  "
    dumped = yaml.safe_dump(dict(values), sort_keys=False, width=120, allow_unicode=True)
    lines = "".join(f"{indent}{line}\n" for line in dumped.splitlines())
    whole = f"{before}{head[0].replace('{}', '').rstrip() if head else 'config:'}\n{lines}{after}"
    try:
        old, new = yaml.safe_load(text) or {}, yaml.safe_load(whole)
        fits = new == {**old, "config": {**(old.get("config") or {}), **values}}
    except (yaml.YAMLError, AttributeError, TypeError):
        fits = False
    if not fits:
        what = "The stack's config file is laid out in a way to which no key can be added without rewriting it."
        next_ = "Write its config as a block (config: and its keys below it, indented), then run this again."
        raise Refused(what, world=WORLD, next=next_)
    return whole


def put(stack: Stack, values: Mapping[str, Any], hidden: Mapping[str, str], meant: Mapping[str, str]) -> None:
    """All of it or nothing: beside the file first, where it is read back, then in its place.

    Raises:
        Refused: pulumi reads it otherwise than it was meant.
    """
    file = stack.file.resolve()
    beside = file.with_name(f"{file.stem}.adopting.yaml")
    try:
        beside.write_text(added(_text(file), values), encoding="utf-8")
        for key, value in hidden.items():
            stack.encrypt(key, value, beside)
        read = stack.config(beside)
        for key, text in meant.items():
            if _value(read.get(key, "")) != _value(text):
                what = f"{key} reads otherwise than it was meant once it is written."
                raise Refused(what, world=WORLD, next="Write the config by hand; --dry-run --json says what.")
        Settings.parse(stack.project, stack.name, read)
        if file.exists():
            shutil.copymode(file, beside)
        beside.replace(file)
    except (OSError, UnicodeError) as problem:
        what = f"{file.name} cannot be read or written: {getattr(problem, 'strerror', None) or 'it is no UTF-8'}."
        raise Refused(what, world=WORLD, next="Correct that, then run this again.") from None
    except Refused as refused:
        raise Refused(refused.what, world=WORLD, next=refused.next) from refused
    finally:
        beside.unlink(missing_ok=True)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
