"""The sandbox's Postgres: a real server on 127.0.0.1, with what a Supabase project and the app before teams have in it.

`python -m sandbox.postgres --port P --data DIR [--major 16]` is the stand-in process; tests use `Server` directly. What
a new database holds is told by `sandbox.postgres_template`. `postgres` is no superuser, as on Supabase, so that a
migration meets the same refusals; `supabase_admin` is one. The app logs in as `authenticator`.

The server keeps its promises over a crash of itself, not of the computer (fsync is off). There are no extensions beyond
PL/pgSQL: the wheel has no contrib. The stand-in ends when its server does, and takes it along when it ends itself.
Deliberately not here: a pooler, TLS, replication.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox import lifecycle
from sandbox.postgres_address import APP, DATABASE, OWNER, PASSWORD, SUPERUSER, address
from sandbox.postgres_binaries import MAJORS, Major, NoPostgres, Owner, cache, programs
from sandbox.postgres_cluster import claim, forget, leave
from sandbox.postgres_process import Postmaster, environment, refuse_if_taken
from sandbox.postgres_template import copied, psql

__all__ = ["APP", "DATABASE", "OWNER", "PASSWORD", "SUPERUSER", "Server", "forget"]

WATCH_SECONDS = 0.25  # between two looks whether the server still runs


class Server:
    """One running Postgres server with the baseline in its database `postgres`."""

    def __init__(self, data: Path, port: int, *, major: Major = 18) -> None:
        self.port, self.major = port, major
        self._data = data.resolve()
        self._owner = Owner.here()
        self.programs = programs(major, self._owner)
        self._cluster = claim(self._data, self._owner)
        self._postmaster = Postmaster(self.programs, self._cluster, port, self._data / "postgres.log", self._owner)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        forget(self._data)

    def url(self, user: str = OWNER, database: str = DATABASE) -> str:
        """Where a client finds it."""
        return address(self.port, user, database)

    def clone(self, name: str, template: str = DATABASE) -> str:
        """A new database with everything that the template has; the address for its owner, `postgres`."""
        statement = f'create database "{name}" template "{template}" owner "{OWNER}"'
        psql(self.programs, self.url(SUPERUSER, "template1"), "--command", statement).check_returncode()
        return self.url(database=name)

    def start(self) -> None:
        """Start it; a new cluster begins with the baseline.

        Raises:
            NoPostgres: it cannot start; the text says why.
        """
        refuse_if_taken(self.port)
        if not self._cluster.exists():
            copied(self._cluster, self.programs, cache(self.major), self.port, self._owner)
        self._postmaster.start()

    def stop(self) -> None:
        """End it, in order where it lets us."""
        self._postmaster.stop()

    @property
    def pid(self) -> int | None:
        """The server's own process; None while it is stopped."""
        return self._postmaster.pid

    def run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """One of Postgres's own client programs, to its end."""
        command = [str(self.programs / program), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment())


async def _ended(server: Server) -> None:
    """Return once the server has ended by itself."""
    while server.pid is not None:  # noqa: ASYNC110  a thread that waited for it would outlive the loop
        await asyncio.sleep(WATCH_SECONDS)


async def _serve(server: Server, parent: int | None) -> bool:
    """Until it is time to end; whether that is because the parent is gone."""
    orphaned = None if parent is None else asyncio.ensure_future(lifecycle.orphaned(parent))
    ends = [asyncio.ensure_future(lifecycle.asked_to_end()), asyncio.ensure_future(_ended(server))]
    ends += [] if orphaned is None else [orphaned]
    print("ready", flush=True)
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    return orphaned is not None and orphaned.done() and not orphaned.cancelled()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.postgres", description="A Postgres like Supabase's.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where its files lie")
    parser.add_argument("--major", type=int, choices=MAJORS, default=MAJORS[-1])
    lifecycle.add_parent_option(parser)
    options = parser.parse_args(arguments)
    server: Server | None = None
    alone = False
    try:
        server = Server(options.data, options.port, major=options.major)
        server.start()
        alone = asyncio.run(_serve(server, options.die_with_parent))
    except NoPostgres as problem:
        print(problem, file=sys.stderr)
        return 2
    finally:
        if server is not None:
            server.stop()
        if alone:  # nobody is left to end this world
            leave(options.data.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
