"""Where things stand in a stack's file: spans of its text, by the marks that the YAML parser itself gives.

A library that writes YAML anew was measured on real stack files first: with the indentation told to it, it still
rewrites `[{setWeight: 5}]`, aligned columns, CRLF and a missing final newline, so that an edit of one block is a diff
of two places. Here nothing is ever written anew: an edit is a slice of the text, and all the rest stays byte for byte.
It deliberately knows no app and no colour.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import yaml

from bluegreen.handler import Refused

WORLD = "Nothing was changed."
BLANK = " \t\r\n"
COMMENT = re.compile(r"[ \t]+#[^\r\n]*$")
FULL_LINE = re.compile(r"( *)#")


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a text, and what is to stand there."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping and its value, as nodes of the parser."""

    key: yaml.Node
    value: yaml.Node

    @property
    def start(self) -> int:
        """Where the key begins."""
        return int(self.key.start_mark.index)

    @property
    def end(self) -> int:
        """Where the last thing that is part of the value ends; a block's own mark is where the next block begins."""
        return max(self.key.end_mark.index, *(leaf.end_mark.index for leaf in _leaves(self.value)))

    @property
    def flow(self) -> bool:
        """Whether the value is written in braces."""
        return bool(getattr(self.value, "flow_style", False))


class Layout:
    """One file's text, and where each thing of it stands."""

    def __init__(self, text: str) -> None:
        """Raises `Refused` where it is no YAML."""
        self.text = text
        try:
            self.root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as problem:
            what = f"The stack's file cannot be read: {str(problem).splitlines()[0]}."
            raise Refused(what, world=WORLD, next="Correct it, then run this again.") from None

    def entry(self, node: yaml.Node | None, *names: str) -> Entry | None:
        """The key of a mapping that is called by one of these names."""
        if not isinstance(node, yaml.MappingNode):
            return None
        found = [Entry(key, value) for key, value in node.value if getattr(key, "value", None) in names]
        return found[-1] if found else None

    def lines(self, entry: Entry) -> tuple[int, int]:
        """An entry's whole lines, without the last one's end: with its comments, those below it that are deeper too."""
        end = len(self.text[: entry.end].rstrip(BLANK))
        end = self.line_end(max(end, entry.start))
        while (after := self._next_line(end)) is not None:
            comment = FULL_LINE.match(self.text, after)
            if comment is None or len(comment[1]) <= entry.key.start_mark.column:
                break
            end = self.line_end(after)
        return self.line_start(entry.start), end

    def comment(self, at: int) -> tuple[int, int] | None:
        """The comment at the end of the line on which this stands, with the room before it."""
        start, end = self.line_start(at), self.line_end(at)
        on_it = [(first, last) for first, last in self._tokens if first < end and last > start]
        if any(last > end for _, last in on_it):
            return None  # something goes on in the next line, and what looks like a comment may be text
        said = max((last for _, last in on_it), default=start)
        found = COMMENT.match(self.text, said, end)
        return (said, end) if found else None

    def closes(self, at: int) -> bool:
        """Whether a comment may be added to this line: nothing that began on it is text that goes on below."""
        end = self.line_end(at)
        return not any(start < end < last for start, last in self._tokens)

    def shared(self, entry: Entry) -> bool:
        """Whether anything in it is written once and used elsewhere, or the other way round: `&name`, `*name`."""
        return any(entry.start <= at < entry.end for at in self._anchors)

    def line_start(self, at: int) -> int:
        """Where its line begins."""
        return self.text.rfind("\n", 0, at) + 1

    def line_end(self, at: int) -> int:
        """Where its line ends, before what ends it."""
        end = self.text.find("\n", at)
        if end < 0:
            return len(self.text)
        return end - (end > at and self.text[end - 1] == "\r")

    def newline(self, at: int) -> str:
        """How the line before this one, or this one, ends."""
        first = self.text.find("\n")
        end = self.text.find("\n", at)
        end = end if end >= 0 else first
        return "\r\n" if end > 0 and self.text[end - 1] == "\r" else "\n"

    def _next_line(self, end: int) -> int | None:
        after = self.text.find("\n", end)
        return after + 1 if 0 <= after < len(self.text) - 1 else None

    @cached_property
    def _scanned(self) -> list[yaml.Token]:
        return list(yaml.scan(self.text, Loader=yaml.SafeLoader))

    @cached_property
    def _tokens(self) -> list[tuple[int, int]]:
        spans = [(token.start_mark.index, token.end_mark.index) for token in self._scanned]
        return [(start, end) for start, end in spans if end > start]

    @cached_property
    def _anchors(self) -> list[int]:
        shared = (yaml.AnchorToken, yaml.AliasToken)
        return [token.start_mark.index for token in self._scanned if isinstance(token, shared)]


def quoted(node: yaml.Node, value: str) -> str:
    """The value as this scalar is written: in its quotes, or in none."""
    mark = getattr(node, "style", None)
    return f"{mark}{value}{mark}" if mark in ("'", '"') else value


def put(node: yaml.Node, value: str) -> Slice:
    """This scalar with another value."""
    return Slice(node.start_mark.index, node.end_mark.index, quoted(node, value))


def sliced(text: str, slices: list[Slice], start: int = 0, end: int | None = None) -> str:
    """A part of the text, with all of these in it."""
    said, at = "", start
    for each in sorted(slices, key=lambda each: (each.start, each.end)):
        said += text[at : each.start] + each.text
        at = each.end
    return said + text[at : len(text) if end is None else end]


def _leaves(node: yaml.Node) -> Iterator[yaml.Node]:
    """Whatever has an end of its own: scalars, and what is closed by a brace."""
    if isinstance(node, yaml.ScalarNode) or getattr(node, "flow_style", False) or not node.value:
        yield node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _leaves(key)
            yield from _leaves(value)
    else:
        for value in node.value:
            yield from _leaves(value)
