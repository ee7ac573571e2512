"""The folder of migrations, read whole: which files a stack wants, in which order, and whether they fit.

Everything that can be known without a database is judged here, before anything is registered, and told as one refusal
that names every fault. A file says about itself, in comments:

    -- bluegreen:phase expand                      or contract; expand when it says nothing
    -- bluegreen:verify select …                   must be true before the transaction commits; as often as wanted
    -- bluegreen:requires-schemaMin 011            contract only: what every colour must declare by then
    -- bluegreen:backfill public.projects          directly above an UPDATE or DELETE: in batches, each a transaction
    -- bluegreen:allow RULE REASON                 directly above a statement; the lint reads it, and asks for both

Which files are pending only the database knows, so that at most one contract is pending is judged by whoever asks it.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import cast

from bluegreen.handler import Refused
from bluegreen.postgres import segments, statements
from bluegreen.postgres.segments import Backfill, Segment
from bluegreen.postgres.spec import Migrations, MigrationSpec, Phase
from bluegreen.postgres.statements import Statement
from bluegreen.spec import DIGITS

NAMED = re.compile(r"^([0-9]+)_(.+)\.sql$")
HEADER = re.compile(r"^[ \t]*--[ \t]*bluegreen:(\S*)[ \t]*(.*?)[ \t]*$", re.MULTILINE)
# What somebody may have meant as such a line; read as nothing, a contract would run before the release.
SLIP = re.compile(
    r"^.*(?:--|/\*|\*).*?\bbluegreen[ \t]*:?[ \t]*(?:phase|verify|requires|backfill|allow\b).*$",
    re.MULTILINE | re.IGNORECASE,
)
WORDS = ("phase", "verify", "requires-schemaMin", "backfill", "allow")
TIMESTAMP = 14  # digits; such versions need not follow each other without a gap

NONE = timedelta()


@dataclass(frozen=True, slots=True)
class Question:
    """What must be true before the file's transaction commits: one SELECT, and the line that it stands in."""

    sql: str
    line: int


@dataclass(frozen=True)
class File:
    """One migration as it is written. `after` and `settled` are as in `MigrationSpec`."""

    version: str
    name: str
    path: Path
    sql: str  # with LF line ends
    sha256: str
    phase: Phase = "expand"
    verify: tuple[Question, ...] = ()
    requires_schema_min: str | None = None
    after: str | None = None
    settled: str | None = None
    backfills: tuple[Backfill, ...] = ()
    done: tuple[str, ...] = ()  # segments that a database has, by their hashes: what comes after is none of theirs

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        return statements.split(self.sql)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        return segments.cut(self.statements, self.backfills, self.done)

    @property
    def label(self) -> str:
        return f"{self.version}_{self.name}"

    def spec(
        self, owner: str, wanted: Migrations, upstreams: Sequence[str] = (), rollback_window: timedelta = NONE
    ) -> MigrationSpec:
        """The resource that this file is; a contract has to know which moves it waits for, and how long."""
        told = MigrationSpec(
            owner=owner,
            version=self.version,
            name=self.name,
            phase=self.phase,
            file=self.path.as_posix(),
            sha256=self.sha256,
            after=self.after,
            settled=self.settled,
            baseline=wanted.baseline,
            lock_budget=wanted.lock_budget,
            drift=wanted.drift,
            dry_run=wanted.dry_run,
            backup=wanted.backup,
            reports=wanted.reports,
        )
        if self.phase != "contract":
            return told
        return told.model_copy(update={"upstreams": upstreams, "rollback_window": rollback_window})


def read(folder: Path, wanted: Migrations) -> tuple[File, ...]:
    """Every file above the baseline up to the target, in order.

    Raises:
        Refused: every fault that the folder and these files have, in one message.
    """
    found, wrong = _listed(folder)
    mine = [path for path in found if int(wanted.baseline) < int(_version(path)) <= int(wanted.target)]
    wrong += list(_misnumbered(found, mine, wanted))
    files: list[File] = []
    for path in mine:
        file, faults = _read(path)
        wrong += [f"{path.name}: {fault}" for fault in faults]
        if file is not None:
            files.append(file)
    if wrong:
        raise Refused(
            f"The migrations in {folder} do not fit: {'; '.join(wrong)}.",
            world="Nothing was changed.",
            next="Correct the files, or the target and baseline in the stack config.",
        )
    return _linked(files)


def beyond(folder: Path, wanted: Migrations) -> tuple[str, ...]:
    """The files above the target by name: there, and not wanted yet."""
    return tuple(path.stem for path in _listed(folder)[0] if int(_version(path)) > int(wanted.target))


def one(path: Path) -> File:
    """One file for itself, as a resource reads it before it is applied.

    Raises:
        Refused: every fault that it has.
    """
    file, faults = _read(path)
    if file is None or faults:
        raise Refused(
            f"{path} does not fit: {'; '.join(faults)}.",
            world="Nothing was changed.",
            next="Correct the file; paths are taken from the folder of Pulumi.yaml.",
        )
    return file


def _listed(folder: Path) -> tuple[list[Path], list[str]]:
    """Files with a number, by number; and what is wrong with the rest."""
    if not folder.is_dir():
        raise Refused(
            f"There is no folder {folder} with migrations.",
            world="Nothing was changed.",
            next="Make it, or name the right one as migrations.folder.",
        )
    scripts = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".sql")
    wrong = [
        f"{path.name}: a migration is named NUMBER_NAME.sql, so this one would be passed over"
        for path in scripts
        if not NAMED.match(path.name)
    ]
    numbered = [path for path in scripts if NAMED.match(path.name)]
    return sorted(numbered, key=lambda path: (int(_version(path)), path.name)), wrong


def _version(path: Path) -> str:
    found = NAMED.match(path.name)
    return found.group(1) if found else ""


def _misnumbered(found: Sequence[Path], mine: Sequence[Path], wanted: Migrations) -> Iterator[str]:
    width = len(wanted.target)
    for path in found:
        above = int(_version(path)) > int(wanted.baseline)
        if above and len(_version(path)) != width:
            yield f"{path.name}: its number has {len(_version(path))} digits, migrations.target has {width}"
    versions = [_version(path) for path in mine]
    for version in sorted({version for version in versions if versions.count(version) > 1}):
        twice = " and ".join(path.name for path in mine if _version(path) == version)
        yield f"{version} is the number of {twice}"
    missing = [] if width == TIMESTAMP else list(_missing(versions, wanted))
    if missing:
        yield f"no file has the number {_ranges(missing, width)}"
    elif wanted.target != wanted.baseline and wanted.target not in versions:
        yield f"no file has the number {wanted.target}, which is migrations.target"


def _missing(versions: Sequence[str], wanted: Migrations) -> list[tuple[int, int]]:
    """Gaps between baseline and target, each with its ends; a wrong target must not cost a list of a million."""
    numbers = [int(wanted.baseline), *sorted({int(version) for version in versions}), int(wanted.target) + 1]
    return [(low + 1, high - 1) for low, high in pairwise(numbers) if high - low > 1]


def _ranges(gaps: Sequence[tuple[int, int]], width: int) -> str:
    return ", ".join(f"{low:0{width}}" if low == high else f"{low:0{width}} to {high:0{width}}" for low, high in gaps)


def _read(path: Path) -> tuple[File | None, list[str]]:
    """One file and what is wrong with it; without a text there is no file."""
    try:
        text = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode()
    except UnicodeDecodeError as error:
        return None, [f"it is not UTF-8 (byte {error.start})"]
    except OSError as error:
        return None, [f"it cannot be read ({error.strerror})"]
    version, name = cast(re.Match[str], NAMED.match(path.name)).groups() if NAMED.match(path.name) else ("", path.stem)
    words = [(at.group(1), at.group(2), text[: at.start()].count("\n") + 1) for at in HEADER.finditer(text)]
    phases = [value for word, value, _ in words if word == "phase"]
    needs = [value for word, value, _ in words if word == "requires-schemaMin"]
    phase: Phase = "contract" if phases == ["contract"] else "expand"
    asked = [segments.read(value, line) for word, value, line in words if word == "backfill"]
    file = File(
        version=version,
        name=name,
        path=path,
        sql=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        phase=phase,
        verify=tuple(Question(value.rstrip(";"), line) for word, value, line in words if word == "verify"),
        requires_schema_min=needs[0] if needs else None,
        backfills=tuple(backfill for backfill in asked if backfill),
    )
    return file, [*_misdescribed(words, phase), *_slips(text), *_unusable(file)]


def _slips(text: str) -> Iterator[str]:
    for found in SLIP.finditer(text):
        if not HEADER.match(found.group()):
            line = text[: found.start()].count("\n") + 1
            said = f"line {line}: {found.group().strip()!r} is not read"
            yield f"{said}; write it alone on a line, as -- bluegreen:phase contract"


def _misdescribed(words: Sequence[tuple[str, str, int]], phase: Phase) -> Iterator[str]:
    for word, value, line in words:
        where = f"line {line}: -- bluegreen:{word}"
        if word not in WORDS:
            yield f"{where} is no word; there are {', '.join(WORDS)}"
        elif word == "phase" and value not in ("expand", "contract"):
            yield f"{where} is {value!r}; it is expand or contract"
        elif word == "verify" and not statements.asks_once(value):
            yield f"{where} is not one SELECT"
        elif word == "backfill" and segments.read(value, line) is None:
            form = f"a table, and perhaps batch={segments.BATCH} (rows, from {segments.SMALLEST} on)"
            yield f"{where} is {value!r}; it is {form}"
        elif word == "requires-schemaMin" and not re.match(DIGITS, value):
            yield f"{where} is {value!r}; it is a version such as 011"
        elif word == "requires-schemaMin" and phase != "contract":
            yield f"{where} stands in a file that is not contract"
    if phase == "contract" and not any(word == "requires-schemaMin" for word, _, _ in words):
        yield "a contract needs -- bluegreen:requires-schemaMin, the schema that every release must declare by then"
    for word in ("phase", "requires-schemaMin"):
        if [given for given, _, _ in words].count(word) > 1:
            yield f"-- bluegreen:{word} is said twice"


def _unusable(file: File) -> list[str]:
    text = file.sql
    if text.startswith("\ufeff"):
        return ["it begins with a byte order mark; save it without"]
    if "\0" in text:
        return ["it holds a zero byte"]
    faults = statements.faults(text)
    if faults:
        return faults
    if not file.statements:
        return ["there is no statement in it"]
    faults = list(segments.misplaced(text, file.statements, file.backfills))
    return faults or (statements.lasting(text) if len(file.segments) > 1 else [])


def _linked(files: Sequence[File]) -> tuple[File, ...]:
    """Each with what comes before it."""
    linked: list[File] = []
    after = settled = None
    for file in files:
        linked.append(replace(file, after=after, settled=settled))
        after, settled = file.version, file.version if file.phase == "contract" else settled
    return tuple(linked)
