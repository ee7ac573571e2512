"""The world in which a matrix is asked: a file of rows beside the migrations, and who the people are.

`migrations/matrix/011_teams.sql` is plain SQL that an administrator runs on a scratch copy after migration 011. In its
comments it says who asks:

    -- bluegreen:person viewer authenticated 9b2b…                the role, and the id that its token bears as `sub`
    -- bluegreen:person guest authenticated {"sub": "…", "email": "guest@people.test"}      or all that the token says
    -- bluegreen:person anon anon

What was answered is kept beside it, in `011_teams.matrix`; of a later version that is asked in the same world, in a
recording of its own. So what was recorded of a version stays, whatever comes after it. Only what a token could say is
told to the database; a world is never made up, because rows that mean nothing ask nothing.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bluegreen.handler import Refused
from bluegreen.postgres import statements
from bluegreen.spec import State

PERSON = re.compile(r"^[ \t]*--[ \t]*bluegreen:person[ \t]+(\S+)[ \t]+(\S+)[ \t]*(.*?)[ \t]*$", re.MULTILINE)
MEANT = re.compile(r"^.*--.*\bbluegreen[ \t]*:?[ \t]*person\b.*$", re.MULTILINE | re.IGNORECASE)
SEED = re.compile(r"^([0-9]+)_.+\.sql$")
RECORDING = re.compile(r"^([0-9]+)_.+\.matrix$")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FOLDER = "matrix"


class Person(State):
    """Somebody who asks: a role of the database and what their token says, as JSON."""

    name: str = ""
    role: str = ""
    claims: str = "{}"

    @property
    def sub(self) -> str:
        return str(json.loads(self.claims).get("sub", ""))


@dataclass(frozen=True, slots=True)
class Seed:
    """A world to ask in; `wanted` is the version that is asked about, which may be a later one than the world's."""

    version: str
    path: Path
    sql: str
    people: tuple[Person, ...]
    wanted: str = ""

    @property
    def recording(self) -> Path:
        """Where the answers of the version that is asked about are kept, or will be."""
        there = [path for number, path in self._recordings() if number == int(self.wanted or self.version)]
        if there or self.wanted in ("", self.version):
            return there[-1] if there else self.path.with_suffix(".matrix")
        migrations = sorted(self.path.parent.parent.glob(f"{self.wanted}_*.sql"))
        name = migrations[0].stem if migrations else f"{self.wanted}_{self.path.stem.partition('_')[2]}"
        return self.path.parent / f"{name}.matrix"

    @property
    def recorded(self) -> str | None:
        """What was answered when somebody last looked and agreed, up to this version; None when nobody has yet."""
        found = self._recordings()
        return found[-1][1].read_text(encoding="utf-8") if found else None

    def record(self, text: str) -> None:
        self.recording.write_text(text, encoding="utf-8")

    def _recordings(self) -> list[tuple[int, Path]]:
        """From this world's version to the one that is asked about: the oldest first. Before, it was another world."""
        first, last = int(self.version or 0), int(self.wanted or self.version or 0)
        return [pair for pair in _numbered(self.path.parent, RECORDING) if first <= pair[0] <= last]


def find(folder: Path, version: str) -> Seed | None:
    """The world of this version, or else of the newest one before it: what was true there has to stay true.

    Raises:
        Refused: two files are of one version, or a person is not told as one.
    """
    beside = folder / FOLDER
    fitting = [pair for pair in _numbered(beside, SEED) if pair[0] <= int(version)]
    if not fitting:
        return None
    for pairs in (fitting, [pair for pair in _numbered(beside, RECORDING) if pair[0] <= int(version)]):
        paths = [path for number, path in pairs if number == pairs[-1][0]]
        if len(paths) > 1:
            raise _refused(
                paths[0], f"{' and '.join(path.name for path in paths)} are of one version", "Keep one of them."
            )
    return replace(read(fitting[-1][1]), wanted=version)


def _numbered(folder: Path, named: re.Pattern[str]) -> list[tuple[int, Path]]:
    """The files of a folder that are named so, by their versions."""
    listed = folder.iterdir() if folder.is_dir() else ()
    return sorted((int(told[1]), path) for path in listed if (told := named.match(path.name)))


def missing(folder: Path, version: str) -> str:
    """What to say where there is no world to ask in."""
    return f"no matrix: {(folder / FOLDER).as_posix()}/{version}_*.sql is missing"


def read(path: Path) -> Seed:
    """One file.

    Raises:
        Refused: it is no SQL that can be rolled back, or a person is not told as one.
    """
    sql = path.read_text(encoding="utf-8")
    if wrong := statements.faults(sql):  # a COMMIT in it would keep what is meant to go
        raise _refused(path, wrong[0], "Correct the file; it runs as one transaction that is rolled back.")
    people = tuple(_people(path, sql))
    if not people:
        raise _refused(path, "nobody is in it", "Add -- bluegreen:person NAME ROLE SUB for everybody who asks.")
    named = SEED.match(path.name)
    return Seed(named[1] if named else "", path, sql, people)


def _people(path: Path, sql: str) -> Iterator[Person]:
    names: set[str] = set()
    for line in MEANT.findall(sql):
        told = PERSON.match(line)
        if told is None:
            raise _refused(path, f"{line.strip()!r} is no person", "Write -- bluegreen:person NAME ROLE SUB.")
        name, role, rest = told.groups()
        if name in names:
            raise _refused(path, f"{name} is in it twice", "Give one of them another name.")
        names.add(name)
        yield Person(name=name, role=role, claims=_claims(path, name, role, rest))


def _claims(path: Path, name: str, role: str, rest: str) -> str:
    said: object = {}
    if UUID.fullmatch(rest):
        said = {"sub": rest}
    elif rest:
        try:
            said = json.loads(rest)
        except ValueError:
            said = None
    if not isinstance(said, dict):
        next = "Write the id that their token bears as sub, or all that it says as a JSON object."
        raise _refused(path, f"{name} says {rest!r}", next)
    return json.dumps({"role": role, **said})


def _refused(path: Path, what: str, next: str) -> Refused:
    return Refused(f"{path} does not fit: {what}.", world="Nothing was asked of any database.", next=next)
