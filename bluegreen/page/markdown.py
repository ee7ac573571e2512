"""Text of others in Markdown: whatever it holds, it makes no tag and no link, closes nothing, and calls nobody."""

import re
from typing import Any

COMMENT = 60_000  # characters: GitHub takes 65,536 in a comment
CALLED = re.compile(r"@(?=\w)")  # nobody is called by a report
FENCE = re.compile(r"^(```(?:sh)?)$", re.MULTILINE)
SIGNS = re.compile(r"([\\`*_\[\]|~#])")


def cell(text: Any) -> str:
    """Any text where Markdown would read signs: in a cell, a point or a heading."""
    return _plain(SIGNS.sub(r"\\\1", _flat(text)))


def plain(text: Any) -> str:
    """Any text inside of HTML in Markdown, where only HTML's own signs are read."""
    return _plain(_flat(text))


def fence(text: str) -> str:
    """A fence that no line of the text can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def careful(text: str) -> str:
    """Our own small Markdown as it is, but what others wrote in it makes no tag, no link, and calls nobody."""
    parts = FENCE.split(text)
    for number in range(0, len(parts), 4):  # between the fences of a code block lies what is pasted: as it is
        parts[number] = "\n".join(plain(line).replace("[", "\\[") for line in parts[number].split("\n"))
    return "".join(parts)


def _flat(text: Any) -> str:
    return " ".join(str(text).split())


def _plain(flat: str) -> str:
    escaped = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return CALLED.sub("@\u200b", escaped)
