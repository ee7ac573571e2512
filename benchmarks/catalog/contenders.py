"""How everybody takes the likeness of a schema: ours, pg_dump's text, and what migra sees (through schemainspect)."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bluegreen.postgres.catalog import snapshot
from bluegreen.postgres.session import Database
from sandbox.postgres import Server

OURS, DUMP, MIGRA, INSPECTOR = "ours", "pg_dump", "migra", "schemainspect"
OWN = """
import asyncio, sys
from bluegreen.postgres.catalog import snapshot
from bluegreen.postgres.session import Database
async def taken():
    async with Database(sys.argv[1]).session() as session:
        print((await snapshot(session)).fingerprint)
asyncio.run(taken())
"""
INSPECT = """
import sys, time, warnings
warnings.simplefilter("ignore")
from schemainspect import get_inspector
from sqlbag import S
with S(sys.argv[1]) as session:
    for _ in range(int(sys.argv[2])):
        began = time.perf_counter()
        get_inspector(session)
        print(time.perf_counter() - began)
"""
DIFFERS = 2  # migra's exit code where two schemas are not the same
PATIENCE = 120


class Broken(Exception):
    """A peer that runs and does not do its work here; the text says what it said."""


def fingerprints(url: str, count: int) -> list[float]:
    """How many milliseconds each of ours took, in a session that is open."""

    async def measured() -> list[float]:
        took = []
        async with Database(url).session() as session:
            for _ in range(count):
                began = time.perf_counter()
                _ = (await snapshot(session)).fingerprint
                took.append(1000 * (time.perf_counter() - began))
        return took

    return asyncio.run(measured())


def fingerprint(url: str) -> str:
    async def taken() -> str:
        async with Database(url).session() as session:
            return (await snapshot(session)).fingerprint

    return asyncio.run(taken())


def dumped(server: Server, url: str) -> str:
    """What pg_dump writes of a schema; the same each time, as its own restrict key is fixed."""
    done = server.run("pg_dump", "--schema-only", "--restrict-key=x", url)
    if done.returncode:
        raise Broken(f"pg_dump ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def dumps(server: Server, url: str, count: int) -> list[float]:
    return [timed(lambda: dumped(server, url)) for _ in range(count)]


def inspections(python: Path, url: str, count: int) -> list[float]:
    """How many milliseconds each of schemainspect's took, in a process and a session that are open."""
    done = _run([str(python), "-c", INSPECT, url, str(count)])
    if done.returncode:
        raise Broken(f"schemainspect ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return [1000 * float(line) for line in done.stdout.split()]


def from_cold(url: str, count: int) -> list[float]:
    """How many milliseconds a process of ours took that answers with the fingerprint and ends."""

    def one() -> None:
        done = _run([sys.executable, "-c", OWN, url])
        if done.returncode:
            raise Broken(f"our own process ended with {done.returncode}: {done.stderr.strip()[-200:]}")

    return [timed(one) for _ in range(count)]


def migra_differs(migra: Path, one: str, other: str) -> bool:
    """Whether migra sees that two schemas differ."""
    done = _run([str(migra), "--unsafe", "--with-privileges", one, other])
    if done.returncode not in (0, DIFFERS):
        raise Broken(f"migra ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.returncode == DIFFERS


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
