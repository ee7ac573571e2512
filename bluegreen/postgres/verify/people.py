"""The world in which a matrix is asked: a file of rows beside the migrations, and who the people are.

`migrations/matrix/011_teams.sql` is plain SQL that an administrator runs on a scratch copy after migration 011. In its
comments it says who asks:

    -- bluegreen:person viewer authenticated 9b2b…                the role, and the id that its token bears as `sub`
    -- bluegreen:person guest authenticated {"sub": "…", "email": "guest@people.test"}      or all that the token says
    -- bluegreen:person anon anon

What was answered is kept beside it, in `011_teams.matrix`. Only what a token could say is told to the database; a
world is never made up, because rows that mean nothing ask nothing.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bluegreen.handler import Refused
from bluegreen.postgres import statements
from bluegreen.spec import State

PERSON = re.compile(r"^[ \t]*--[ \t]*bluegreen:person[ \t]+(\S+)[ \t]+(\S+)[ \t]*(.*?)[ \t]*$", re.MULTILINE)
MEANT = re.compile(r"^.*--.*\bbluegreen[ \t]*:?[ \t]*person\b.*$", re.MULTILINE | re.IGNORECASE)
SEED = re.compile(r"^([0-9]+)_.+\.sql$")
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
    """A world to ask in."""

    version: str
    path: Path
    sql: str
    people: tuple[Person, ...]

    @property
    def recording(self) -> Path:
        return self.path.with_suffix(".matrix")

    @property
    def recorded(self) -> str | None:
        """What was answered when somebody last looked and agreed; None when nobody has yet."""
        return self.recording.read_text(encoding="utf-8") if self.recording.exists() else None

    def record(self, text: str) -> None:
        self.recording.write_text(text, encoding="utf-8")


def find(folder: Path, version: str) -> Seed | None:
    """The world of this version, or else of the newest one before it: what was true there has to stay true.

    Raises:
        Refused: two files are of one version, or a person is not told as one.
    """
    listed = sorted((folder / FOLDER).glob("*.sql")) if (folder / FOLDER).is_dir() else []
    found = [(int(named[1]), path) for path in listed if (named := SEED.match(path.name))]
    fitting = [pair for pair in found if pair[0] <= int(version)]
    if not fitting:
        return None
    newest = max(number for number, _ in fitting)
    paths = [path for number, path in fitting if number == newest]
    if len(paths) > 1:
        raise _refused(paths[0], f"{' and '.join(path.name for path in paths)} are of one version", "Keep one of them.")
    return read(paths[0])


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
