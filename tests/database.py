"""A real Postgres with the baseline, for tests that need one: started once a session for each major, cloned per test.

A clone takes 0.03 to 0.08 s, so every test has a database of its own and none needs to tidy up.
"""

import atexit
import itertools
import shutil
import socket
import tempfile
from functools import cache
from pathlib import Path

from sandbox.postgres import Server, forget
from sandbox.postgres_binaries import Major

_numbers = itertools.count(1)


def server(major: Major = 18) -> Server:
    """The server of this test run; it ends with it."""
    return _started(major)  # not cached itself: a default and the same value given are two keys


@cache
def _started(major: Major) -> Server:
    data = Path(tempfile.mkdtemp(prefix="bluegreen-tests-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = Server(data, port, major=major)
    started.start()

    def end() -> None:
        started.stop()
        forget(data)
        shutil.rmtree(data, ignore_errors=True)

    atexit.register(end)
    return started


def database(major: Major = 18, template: str = "postgres") -> str:
    """The address of a fresh database with everything that the template has, for its owner, `postgres`."""
    return server(major).clone(f"test_{next(_numbers)}", template)


def as_superuser(url: str, major: Major = 18) -> str:
    """The same database for `supabase_admin`."""
    return server(major).url("supabase_admin", name_of(url))


def as_app(url: str, major: Major = 18) -> str:
    """The same database for `authenticator`, as whom the app logs in."""
    return server(major).url("authenticator", name_of(url))


def name_of(url: str) -> str:
    """The database's name."""
    return url.rpartition("/")[2]
