"""The edits of a stack's file: an idle colour staged, the one line of an app changed.

Each answers with the whole text. What is written is read again and compared with what was meant, value by value, and
so is all the rest of the file: where the text is laid out in a way that was not foreseen, nothing is written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from bluegreen.handler import Refused
from bluegreen.spec import Colour
from bluegreen.staging.layout import Entry, Layout, Slice, put, sliced
from bluegreen.staging.reference import DIGEST, TAG, Reference

WORLD = "Nothing was changed."
NAME = "serviceName"  # what Railway calls one colour's service: it is no part of a release, and never copied
TAGGED = re.compile(rf"(?<![^\s(#])[a-z0-9][\w.-]*(?::\d+)?(?:/[\w.-]+)+:{TAG}(?![^\s),;])")


@dataclass(frozen=True, slots=True)
class Apps:
    """The apps of a stack's file, as they are written there."""

    layout: Layout
    project: str
    model: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, text: str, project: str) -> "Apps":
        """Raises `Refused` where the text is no stack's file."""
        layout = Layout(text)
        try:
            model = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as problem:
            what = f"The stack's file cannot be read: {str(problem).splitlines()[0]}."
            raise Refused(what, world=WORLD, next="Correct it, then run this again.") from None
        return cls(layout, project, model if isinstance(model, dict) else {})

    @property
    def values(self) -> Mapping[str, Any]:
        """Every app, as the YAML means it."""
        found = _apps(self.model, self.project)
        return found if isinstance(found, dict) else {}

    def block(self, app: str, colour: Colour) -> Mapping[str, Any] | None:
        """What is written of a colour; None where it is not there."""
        said = self.values.get(app)
        found = said.get(colour) if isinstance(said, dict) else None
        return found if isinstance(found, dict) else None

    def tag(self, app: str, colour: Colour) -> str | None:
        """The tag that stands beside a colour's image as a comment."""
        entry = self._colour(app, colour)
        for at in _places(self.layout, entry) if entry else ():
            if (span := self.layout.comment(at)) and (found := TAGGED.search(self.layout.text, *span)):
                return found[0].rpartition(":")[2]
        return None

    def differing(self, app: str, live: Colour, idle: Colour) -> tuple[str, ...]:
        """Which keys of an idle colour that is there are otherwise than the live one's, its image and name apart."""
        serving, there = self.block(app, live) or {}, self.block(app, idle)
        keys = (key for key in {**serving, **(there or {})} if key not in ("image", NAME))
        return tuple(sorted(key for key in keys if serving.get(key) != there.get(key))) if there is not None else ()

    def lacking(self, app: str, live: Colour, idle: Colour) -> tuple[str, ...]:
        """Secret variables that a copy would be without: they belong to a colour, and are never copied."""
        config = self.model.get("config") or {}
        found = config.get(f"{self.project}:secrets", config.get("secrets"))
        mine = found.get(app) if isinstance(found, dict) else None
        sides = [(mine.get(colour) or {}) if isinstance(mine, dict) else {} for colour in (live, idle)]
        return tuple(name for name in sides[0] if name not in sides[1] and "secure" not in sides[0])

    def promoted(self, app: str, colour: Colour) -> str:
        """The file with this colour live."""
        live = self.layout.entry(self._app(app).value, "live")
        if live is None or not isinstance(live.value, yaml.ScalarNode):
            raise self._elsewhere(app)
        text = sliced(self.layout.text, [put(live.value, colour)])
        return self._meant(text, app, {"live": colour})

    def reimaged(self, app: str, colour: Colour, image: Reference) -> str:
        """The file with another image in this colour, whose block stays as it is otherwise."""
        entry = self._colour(app, colour)
        if entry is None:
            raise self._elsewhere(app)
        text = sliced(self.layout.text, self._image(app, entry, image))
        return self._meant(text, app, {colour: {**(self.block(app, colour) or {}), "image": _pinned(image)}})

    def staged(self, app: str, live: Colour, idle: Colour, image: Reference) -> str:
        """The file with a copy of the live block as the idle one, and this image in it."""
        outer, source, before = self._app(app), self._colour(app, live), self._colour(app, idle)
        if source is None:
            raise self._elsewhere(app)
        name = (self.block(app, idle) or {}).get(NAME)
        slices = [put(source.key, idle), *self._image(app, source, image), *self._named(source, name)]
        text = self.layout.text
        if outer.flow:
            whole = sliced(text, slices, source.start, source.end)
            start, end = (before.start, before.end) if before else (source.end, source.end)
            said = whole if before else f", {whole}"
        else:
            first, last = self.layout.lines(source)
            whole = sliced(text, slices, first, last)
            start, end = self.layout.lines(before) if before else (last, last)
            said = whole if before else f"{self.layout.newline(first)}{whole}"
        copy = {key: value for key, value in (self.block(app, live) or {}).items() if key != NAME}
        meant = {**copy, "image": _pinned(image), **({NAME: name} if name is not None else {})}
        return self._meant(f"{text[:start]}{said}{text[end:]}", app, {idle: meant})

    def _app(self, app: str) -> Entry:
        layout, keys = self.layout, (f"{self.project}:apps", "apps")
        config = layout.entry(layout.root, "config")
        apps = layout.entry(config.value, *keys) if config else None
        entry = layout.entry(apps.value, app) if apps else None
        if entry is None or layout.shared(entry):
            raise self._elsewhere(app)
        return entry

    def _colour(self, app: str, colour: Colour) -> Entry | None:
        entry = self.layout.entry(self._app(app).value, colour)
        return entry if entry is not None and isinstance(entry.value, yaml.MappingNode) else None

    def _image(self, app: str, entry: Entry, image: Reference) -> list[Slice]:
        """The image of a block, and the tag in the comment beside it."""
        found = self.layout.entry(entry.value, "image")
        if found is None or not isinstance(found.value, yaml.ScalarNode):
            raise self._elsewhere(app)
        return [put(found.value, _pinned(image)), *self._comment(app, entry, image.tagged)]

    def _comment(self, app: str, entry: Entry, tagged: str | None) -> list[Slice]:
        layout, places = self.layout, _places(self.layout, entry)
        spans = [(at, span) for at in places if (span := layout.comment(at))]
        for _, (start, end) in spans:
            if found := TAGGED.search(layout.text, start, end):
                return [_retagged(layout.text, start, end, found, tagged)]
        if tagged is None or self._app(app).flow:
            return []  # in braces a comment would end the line for whatever stands behind it
        taken = [at for at, _ in spans]
        free = next((at for at in places if at not in taken and layout.closes(at)), None)
        if free is not None:
            end = len(layout.text[: layout.line_end(free)].rstrip(" \t"))
            return [Slice(end, end, f" # {tagged}")]
        return [Slice(end, end, f"; {tagged}") for _, (_, end) in spans[:1]]

    def _named(self, entry: Entry, name: str | None) -> list[Slice]:
        """The service's name in the copy: the idle colour's own, or none."""
        layout, found = self.layout, self.layout.entry(entry.value, NAME)
        if found is not None and name is not None:
            return [put(found.value, name)]
        if found is not None:
            return [self._without(entry, found)]
        image = layout.entry(entry.value, "image")
        if name is None or image is None:
            return []
        if entry.flow:
            return [Slice(image.start, image.start, f"{NAME}: {name}, ")]
        start = layout.line_start(image.start)
        indent = layout.text[start : image.start]
        return [Slice(start, start, f"{indent}{NAME}: {name}{layout.newline(start)}")]

    def _without(self, entry: Entry, found: Entry) -> Slice:
        layout, pairs = self.layout, [Entry(*pair) for pair in entry.value.value]
        at = next(at for at, pair in enumerate(pairs) if pair.start == found.start)
        if entry.flow:
            if at + 1 < len(pairs):
                return Slice(found.start, pairs[at + 1].start, "")
            return Slice(pairs[at - 1].end, found.end, "")
        start, end = layout.lines(found)
        return Slice(start - len(layout.newline(start)), end, "")

    def _meant(self, text: str, app: str, change: Mapping[str, Any]) -> str:
        """The text, once it reads as it was meant.

        Raises:
            Refused: it does not.
        """
        meant = _own(self.model)
        _apps(meant, self.project)[app] |= change
        try:
            read = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):
            read = None
        if read != meant:
            raise self._elsewhere(app)
        return text

    def _elsewhere(self, app: str) -> Refused:
        return Refused(
            f"apps.{app} is written in a way that cannot be edited without rewriting more than was asked for.",
            world=WORLD,
            next="Write its colours as blocks of their own, without & and *, or make this edit by hand.",
        )


def _places(layout: Layout, entry: Entry) -> list[int]:
    """Where a comment with the tag may stand: on the key's line, or on the image's."""
    image = layout.entry(entry.value, "image")
    there = [entry.start, *([image.start] if image else [])]
    return [at for n, at in enumerate(there) if layout.line_start(at) not in map(layout.line_start, there[:n])]


def _retagged(text: str, start: int, end: int, found: re.Match[str], tagged: str | None) -> Slice:
    """The comment with another tag in it; without one it goes, or what else it says stays."""
    if tagged is not None:
        return Slice(found.start(), found.end(), tagged)
    rest = f"{text[start : found.start()].rstrip()}{text[found.end() : end]}".rstrip()
    return Slice(start, end, "" if rest.strip(" \t#;") == "" else rest)


def _pinned(image: Reference) -> str:
    if image.digest is None or re.fullmatch(DIGEST, image.digest) is None:
        msg = f"{image} has no digest yet"
        raise ValueError(msg)
    return f"{image.repository}@{image.digest}"


def _own(value: Any) -> Any:
    """The same with nothing shared in it: what is written once and meant twice must not change in both places."""
    if isinstance(value, dict):
        return {key: _own(inner) for key, inner in value.items()}
    return [_own(inner) for inner in value] if isinstance(value, list) else value


def _apps(model: Any, project: str) -> Any:
    config = model.get("config") if isinstance(model, Mapping) else None
    found = config if isinstance(config, Mapping) else {}
    return found.get(f"{project}:apps", found.get("apps"))
