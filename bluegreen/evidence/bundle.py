"""The evidence of one release of a stack: a folder that tells its whole life, and says what of it cannot be read.

    release.json                     what it is: `identity.py`
    journal-<stamp>-<4 hex>.ndjson   what happened, an entry a line, of one writing process: `scribe.py`
    validation-<stamp>-<4 hex>.json  what a validation found
    monitor-<stamp>.json             what a monitor came to
    migrations/<file>/plan.*         what each new migration did, copied from the reports of migrations
    manifest.json                    the sha256 of everything else, as of the last `seal`
    report.html, .md, .json          the page, made of all this

Readers are forgiving, because whoever wrote may have been killed in the middle of a line: what cannot be read is left
out and told in `complaints`. A manifest shows what has changed since it was made; it does not stop anybody who may
write here from making another.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from bluegreen.evidence.folder import contents, digest, files, inside, name, private, replaced
from bluegreen.evidence.hidden import NOTHING, Hide
from bluegreen.evidence.identity import Identity
from bluegreen.handler import Halt
from bluegreen.journal import NEVER, AnyEntry
from bluegreen.spec import State

IDENTITY, MANIFEST, MIGRATIONS = "release.json", "manifest.json", "migrations"
MADE = ("report.html", "report.md", "report.json")  # of the rest, and newer than any seal
MADE_AGAIN = "rejudged-"  # and what other bars would have said
PLANS = ("plan.json", "plan.md", "plan.html")

PART = re.compile(r"(?:release\.json|manifest\.json|migrations|(?:journal|validation|monitor)-.*)$")
FORM = 1  # the schemaVersion of everything here
TORN = "it is cut off, or of another form"
SEALED_ANEW = 3  # times, where another process writes or seals meanwhile

S = TypeVar("S", bound=BaseModel)


class Manifest(State):
    """Every file of a bundle and its sha256, as of when it was sealed."""

    schema_version: int = 1
    files: Mapping[str, str] = {}


class Unwritten(Halt):
    """Something of the record could not be written; what it tells of goes on without."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One release's folder, which need not be there yet; `release` is its id, sixteen hex digits."""

    root: Path
    stack: str
    release: str
    hide: Hide = NOTHING
    _wrong: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.root / name(self.stack) / name(self.release)

    @property
    def complaints(self) -> tuple[str, ...]:
        """What could not be read of it so far, a sentence for each file; and what lies there and never is."""
        strange = {each: f"{each} is {what}, and was not read." for each, what in self._strange()}
        return (*(text for each, text in self._wrong.items() if each not in strange), *strange.values())

    def names(self) -> tuple[str, ...]:
        """Its files in the order of their names, those of migrations by their way; links are no files."""
        if self._elsewhere:
            return ()
        return tuple(sorted(str(file.relative_to(self.path)) for file in files(self.path)))

    def identity(self) -> Identity | None:
        """What it is; None where nobody wrote that down, or it cannot be read."""
        return self.read(IDENTITY, Identity)

    def entries(self) -> Sequence[AnyEntry]:
        """Everything that was written down, of all processes, in the order in which it happened."""
        found = [dated for each in self._called("journal-", ".ndjson") for dated in _in_order(self._lines(each))]
        return [entry for _, entry in sorted(found, key=itemgetter(0))]

    def validations(self) -> Sequence[Mapping[str, Any]]:
        """Every validation as it was written, oldest first; `documents` makes them what they are."""
        return self._documents("validation-")

    def monitors(self) -> Sequence[Mapping[str, Any]]:
        """Every monitor's end as it was written, oldest first; `documents` makes them what they are."""
        return self._documents("monitor-")

    def documents(self, prefix: str, kind: type[S]) -> Sequence[S]:
        """Every document whose name begins so, oldest first; one of another form is told in `complaints`."""
        read = (self.read(each, kind) for each in self._called(prefix, ".json"))
        return [document for document in read if document is not None]

    def migrations(self) -> Mapping[str, Path]:
        """The folder of every migration's report, by the file's label, in their order."""
        labels = sorted({Path(each).parts[1] for each in self.names() if each.startswith(f"{MIGRATIONS}/")})
        return {label: self.path / MIGRATIONS / label for label in labels}

    def read(self, file: str, kind: type[S]) -> S | None:
        """One file as what it is; None where it is not there, or cannot be read, which is told in `complaints`."""
        text = self._text(file)
        try:
            found = kind.model_validate_json(text) if text is not None else None
        except ValidationError:
            self._wrong[file] = f"{file} cannot be read: {TORN}."
            return None
        return None if found is not None and self._newer(file, getattr(found, "schema_version", FORM)) else found

    def write_json(self, file: str, document: BaseModel) -> Path:
        """Write one document, its secrets taken out.

        Raises:
            Unwritten: it could not be written.
        """
        return self._json(file, self.hide(document.model_dump(mode="json", by_alias=True)))

    def write_text(self, file: str, text: str) -> Path:
        """Write one file, its secrets taken out.

        Raises:
            Unwritten: it could not be written.
        """
        return self._written(file, partial(self._placed, file, str(self.hide(text))))

    def copy_migration(self, report: Path) -> None:
        """Take over the newest report on one migration, whose folder is called as its file.

        Raises:
            Unwritten: it could not be written.
        """
        for plan in PLANS:
            if (report / plan).exists():
                self._written(f"{MIGRATIONS}/{report.name}/{plan}", partial(self._copied, report, plan))

    def seal(self) -> None:
        """Write down what everything is now.

        Raises:
            Unwritten: it could not be written.
        """
        sums = self._digests()
        for _ in range(SEALED_ANEW):
            # As it is: a digest may have digits in a row that somewhere else are a secret.
            self._json(MANIFEST, Manifest(files=sums).model_dump(mode="json", by_alias=True))
            before, sums = sums, self._digests()
            if sums == before:
                return

    def broken(self) -> tuple[str, ...]:
        """Which files differ from the seal, are missing, or are new since; nothing where nobody has sealed it."""
        sealed = self.read(MANIFEST, Manifest)
        if sealed is None:
            return ()
        there = set(self._sealed())
        told = [f"{each} is missing" for each in sealed.files if each not in there]
        told += [f"{each} is new" for each in there if each not in sealed.files]
        both = there & sealed.files.keys()
        told += [f"{each} has changed" for each in both if sealed.files[each] != digest(self.path / each)]
        return tuple(sorted(told))

    def _strange(self) -> Iterator[tuple[str, str]]:
        """What is called as a part of the record is, and is none, in the order of their names."""
        if self._elsewhere:
            yield self.path.name, "reached through a link"
            return
        for each in sorted(inside(self.path)):
            if PART.match(each.name) and (what := _what(each)):
                yield each.name, what

    def _digests(self) -> dict[str, str]:
        return {each: digest(self.path / each) for each in self._sealed()}

    @property
    def _elsewhere(self) -> bool:
        """Whether a link leads out of the folder of all reports."""
        return self.path.is_symlink() or self.path.parent.is_symlink()

    def _sealed(self) -> Iterator[str]:
        """What a seal is about: everything that is not made of the rest."""
        return (each for each in self.names() if each not in (MANIFEST, *MADE) and not each.startswith(MADE_AGAIN))

    def _json(self, file: str, document: Any) -> Path:
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        return self._written(file, partial(self._placed, file, text))

    def _placed(self, file: str, text: str) -> Path:
        return replaced(private(self.root, self.stack, self.release) / name(file), text)

    def _copied(self, report: Path, plan: str) -> Path:
        text = str(self.hide(contents(report / plan).decode("utf-8", "replace")))
        return replaced(private(self.root, self.stack, self.release, MIGRATIONS, report.name) / plan, text)

    def _written(self, file: str, write: Callable[[], Path]) -> Path:
        try:
            return write()
        except Halt as halt:
            raise Unwritten(halt.what, world=halt.world, next=halt.next) from halt
        except OSError as problem:
            raise Unwritten(
                f"{self.path / file} cannot be written: {problem.strerror or problem}.",
                world="The record of the release lacks it; nothing else is touched by that.",
                next="Make room there, or name another folder with bluegreen:reports.",
            ) from problem

    def _called(self, prefix: str, suffix: str) -> Iterator[str]:
        return (each for each in self.names() if each.startswith(prefix) and each.endswith(suffix) and "/" not in each)

    def _documents(self, prefix: str) -> Sequence[Mapping[str, Any]]:
        found = []
        for each in self._called(prefix, ".json"):
            try:
                text = self._text(each)
                document = json.loads(text) if text is not None else None
            except (ValueError, RecursionError):
                document = None
            if not isinstance(document, dict):
                self._wrong.setdefault(each, f"{each} cannot be read: {TORN}.")
            elif not self._newer(each, document.get("schemaVersion", FORM)):
                found.append(document)
        return found

    def _newer(self, file: str, form: object) -> bool:
        """Whether another program wrote it: half of what it says would be taken for all of it."""
        if form != FORM:
            self._wrong[file] = f"{file} was not read: its schemaVersion is {form!s:.20}, and {FORM} is known here."
        return form != FORM

    def _text(self, file: str) -> bytes | None:
        if self._elsewhere:
            return None
        try:
            return contents(self.path / name(file))
        except FileNotFoundError:
            return None
        except OSError as problem:
            self._wrong[file] = f"{file} cannot be read: {problem.strerror or problem}."
            return None

    def _lines(self, file: str) -> Iterator[AnyEntry]:
        *lines, rest = (self._text(file) or b"").split(b"\n")
        foreign = 0
        for line in lines:
            try:
                yield _entry().validate_json(line)
            except ValidationError:
                foreign += 1
        told = ["its last line is torn"] if rest else []
        told += [f"{foreign} {'lines are' if foreign > 1 else 'line is'} no entry"] if foreign else []
        if told:
            self._wrong[file] = f"{file}: {' and '.join(told)}."


@cache
def _entry() -> TypeAdapter[AnyEntry]:
    return TypeAdapter(AnyEntry)


def _in_order(entries: Iterable[AnyEntry]) -> Iterator[tuple[datetime, AnyEntry]]:
    """Each with the time by which it is put among others: one process's lines stay in their order, whatever its clock
    did."""
    latest = NEVER
    for entry in entries:
        latest = max(latest, entry.at if entry.at.tzinfo else entry.at.replace(tzinfo=UTC))
        yield latest, entry


def _what(part: Path) -> str:
    """Why it is not read; empty where it is."""
    if part.is_symlink():
        return "a link"
    if part.name == MIGRATIONS:
        return "" if part.is_dir() else "no folder"
    return "a folder" if part.is_dir() else "" if part.is_file() else "no file"


def stamp(now: datetime) -> str:
    """A time as names of files have it: `20260301T030000Z`."""
    return f"{now:%Y%m%dT%H%M%SZ}"
