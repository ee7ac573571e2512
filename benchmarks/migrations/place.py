"""The server that migrations are measured on: the sandbox's own Postgres 16, with an app's rows in it.

Every contender gets a database of its own, copied from the same one, so none meets what another left. Rows have
identifiers that follow from their number, so whoever makes load needs no list of them.
"""

import contextlib
import itertools
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.row import NotMeasured
from sandbox.postgres import SUPERUSER, Server, forget
from sandbox.postgres_binaries import Major, NoPostgres

MAJOR: Major = 16
FILLED = "filled"
USERS, PROJECTS, GENERATIONS = 200, 20_000, 20_000
# Who has which rows; row 0 of each is nobody's: the load never asks for it.
FILL = """
insert into auth.users (id, email) select md5('u' || n)::uuid, 'u' || n || '@example.com'
    from generate_series(0, {users}) n;
insert into public.projects (id, user_id, name) select md5('p' || n)::uuid, md5('u' || n % {users})::uuid, 'p' || n
    from generate_series(0, {projects}) n;
insert into public.generations (id, user_id, project_id, model, prompt)
    select md5('g' || n)::uuid, md5('u' || n % {users})::uuid, md5('p' || n % {projects})::uuid, 'm', 'a prompt ' || n
    from generate_series(0, {generations}) n;
"""


@dataclass(frozen=True)
class Place:
    """A running server; `folder` is for files of this row alone."""

    server: Server
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def psql(self) -> Path:
        return self.server.programs / "psql"

    def as_superuser(self, url: str) -> str:
        """The same database for somebody who may see everything."""
        return self.server.url(SUPERUSER, url.rpartition("/")[2])

    def database(self, template: str = FILLED) -> str:
        """A fresh copy for its owner, who is no superuser."""
        return self.server.clone(f"bench_{next(self._numbers)}", template)

    def fill(self, projects: int, generations: int) -> None:
        """Make the database that every other is copied from."""
        filled = self.server.clone(FILLED)
        self.sql(filled, FILL.format(users=USERS, projects=projects, generations=generations))
        self.sql(self.as_superuser(filled), "vacuum analyze")

    def scratch(self) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def sql(self, url: str, text: str) -> None:
        """Run this as the database's owner, before anything is measured."""
        done = self.server.run("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", text, url)
        if done.returncode:
            raise NotMeasured(f"The benchmark's own rows cannot be made: {done.stderr.strip()} Nothing was written.")


@contextlib.contextmanager
def place(*, projects: int = PROJECTS, generations: int = GENERATIONS) -> Iterator[Place]:
    """A server with the baseline and an app's rows in the database `filled`; gone afterwards.

    Raises:
        NotMeasured: there is no Postgres to be had.
    """
    folder = Path(tempfile.mkdtemp(prefix="bluegreen-bench-"))
    try:
        with Server(folder / "data", _free_port(), major=MAJOR) as server:
            here = Place(server, folder)
            here.fill(projects, generations)
            yield here
    except NoPostgres as problem:
        raise NotMeasured(str(problem)) from problem
    finally:
        forget(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
