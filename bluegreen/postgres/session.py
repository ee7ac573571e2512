"""One connection to Postgres, as a migration needs it: direct, patient in the right places, and honest when it ends.

The only module that knows psycopg; it is imported when a session is opened, so that a provider that touches no
database starts without it. A transaction pooler is refused: there, a session's advisory lock belongs to everybody and
its settings leak to strangers. A session pooler is one backend for one client, and fine.

Deliberately not here: a pool (a migration is rare), prepared statements, TLS settings (they are the URL's).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bluegreen.handler import Halt, Refused

if TYPE_CHECKING:
    import psycopg

NOTHING = "Nothing was changed."
URL = "bluegreen:databaseUrl"
CONNECT_SECONDS = 10
CANCEL_SECONDS = 5.0
PROBES, PROBE_SECONDS = 4, 5.0  # how often, and for how long in all, a pooler is asked which backend answers
POOLER_PORT = "6543"
# A silent network is noticed within half a minute, by both ends; a killed client's locks are gone after a second.
LINE = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
SETTINGS = """
    set statement_timeout = 0;
    set idle_in_transaction_session_timeout = '30s';
    set standard_conforming_strings = on;
    set tcp_keepalives_idle = 10;
    set tcp_keepalives_interval = 5;
    set tcp_keepalives_count = 3;
    set tcp_user_timeout = '30s';
    set client_min_messages = warning;
    select set_config(name, '1s', false) from pg_catalog.pg_settings where name = 'client_connection_check_interval'
"""


class Unreachable(Halt):
    """No connection came about: certainly nothing happened."""


class Pooled(Refused):
    """A transaction pooler answers: something is there, and no session is to be had through it."""


class Lost(Exception):
    """The connection ended before the answer came: what was asked for may have happened."""


class SqlError(Exception):
    """The server refused; `done` statements of the text went well before, and `position` counts characters from 1."""

    def __init__(self, error: "psycopg.Error", done: int) -> None:
        diag = error.diag
        super().__init__(diag.message_primary or str(error))
        self.code = diag.sqlstate or ""
        self.message = diag.message_primary or str(error)
        self.more = " ".join(part.rstrip(".") + "." for part in (diag.message_detail, diag.message_hint) if part)
        self.context = (diag.context or "").partition("\n")[0]
        self.position = int(diag.statement_position) if diag.statement_position else None
        self.done = done


class Session:
    """One backend of the server, for one purpose; nothing is in a transaction unless a text says `begin`."""

    def __init__(self, line: "psycopg.AsyncConnection[tuple[Any, ...]]") -> None:
        self._line = line
        self.pid = line.info.backend_pid

    async def rows(self, query: str, *values: Any, alone: bool = False) -> list[tuple[Any, ...]]:
        """What one query answers; `%s` stands for a value. `alone`: the server refuses a second statement in it.

        Raises:
            SqlError: the server refused it.
            Lost: no answer came.
        """
        import psycopg

        try:
            # Binary answers take the extended protocol, where the server itself takes one statement and no more.
            cursor = await self._line.execute(query.encode(), values or None, binary=alone)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            if self._line.closed:
                raise Lost(str(error)) from error
            raise SqlError(error, 0) from error

    async def run(self, text: str) -> None:
        """Several statements in one round trip; after a refusal, whatever transaction they began is rolled back.

        Raises:
            SqlError: the server refused one of them.
            Lost: no answer came.
        """
        from psycopg import Error, generators, pq
        from psycopg.errors import error_from_result

        # psycopg's own execute would drop the results before a failure, which say which statement it was.
        try:
            self._line.pgconn.send_query(text.encode())
            results = await self._line.wait(generators.execute(self._line.pgconn))
        except Error as error:
            raise Lost(str(error)) from error
        if self._line.pgconn.status == pq.ConnStatus.BAD:
            raise Lost("The server closed the connection.")
        last = results[-1]
        if last.status == pq.ExecStatus.FATAL_ERROR:
            await self._roll_back()
            raise SqlError(error_from_result(last, encoding="utf-8"), len(results) - 1)

    async def settle(self, first: str = "") -> None:
        """Set what every session of ours has, as at its beginning, after these statements; `run` raises the same."""
        await self.run(f"{first}{SETTINGS}")

    async def cancel(self) -> None:
        """Ask the server to give up what it is doing for this session; whoever waits for it learns how it ended."""
        import psycopg

        with suppress(psycopg.Error):
            await self._line.cancel_safe(timeout=CANCEL_SECONDS)

    def literal(self, value: Any) -> str:
        """A value as SQL text."""
        from psycopg.sql import Literal

        return Literal(value).as_string(self._line)

    async def _roll_back(self) -> None:
        from psycopg import pq

        if self._line.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            await self.rows("rollback")


class Database:
    """A database by its address; touches no network until a session is opened."""

    def __init__(self, url: str, application_name: str = "bluegreen-migrate") -> None:
        self._url = url
        self._application = application_name

    @asynccontextmanager
    async def session(self, purpose: str = "") -> AsyncIterator[Session]:
        """A session of its own.

        Raises:
            Unreachable: no server answers.
            Refused: one answers and does not let us in, or it is a transaction pooler.
        """
        import psycopg

        name = f"{self._application}/{purpose}" if purpose else self._application
        line = await self._connect(name)
        try:
            session = Session(line)
            try:
                await self._must_not_be_pooled(session)
                await session.settle()
            except (Lost, SqlError) as problem:
                raise self._ended(str(problem)) from problem
            yield session
        finally:
            with suppress(psycopg.Error):
                await line.close()

    @property
    def where(self) -> str:
        """host:port/name, without anything secret."""
        known = self._known()
        host, port = known.get("host") or "localhost", known.get("port") or "5432"
        shown = f"[{host}]" if ":" in str(host) else host
        return f"{shown}:{port}/{known.get('dbname') or ''}"

    @property
    def door(self) -> tuple[str, int, str]:
        """Host, port and sslmode, as far as the address says; a socket's folder is a host that begins with a slash."""
        known = self._known()
        host, port = str(known.get("host") or "localhost"), str(known.get("port") or "5432")
        return host.partition(",")[0], int(port.partition(",")[0] or 5432), str(known.get("sslmode") or "")

    async def _connect(self, name: str) -> "psycopg.AsyncConnection[tuple[Any, ...]]":
        import psycopg
        from psycopg.conninfo import make_conninfo

        given = {**LINE, **self._known(), "application_name": name, "client_encoding": "utf-8"}
        address = make_conninfo("", **given)
        try:
            return await psycopg.AsyncConnection.connect(address, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise self._closed_door(str(error)) from error

    def _known(self) -> dict[str, Any]:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        try:
            known = conninfo_to_dict(self._url)
        except psycopg.ProgrammingError:
            known = {}
        if known and _plausible(known):
            return known
        # Not a word of what was understood: a password with a `/` or `@` in it is taken for a host or a port.
        raise Refused(
            "The database's address is no Postgres URL.",
            world=NOTHING,
            next=f"Set {URL} to postgresql://user:password@host:5432/name, with the password percent-encoded.",
        )

    def _closed_door(self, said: str) -> Halt:
        """What came instead of a connection, in our words."""
        text = self._redacted(_last_words(said))
        for pattern, what, next in DOORS:
            if re.search(pattern, said, re.IGNORECASE):
                return Refused(f"{what} at {self.where}: {text}.", world=NOTHING, next=next)
        return self._ended(text)

    def _ended(self, text: str) -> Unreachable:
        return Unreachable(
            f"Postgres cannot be reached at {self.where}: {self._redacted(_last_words(text))}.",
            world=NOTHING,
            next=f"Check {URL} and that the database is reachable from here.",
        )

    def _redacted(self, text: str) -> str:
        password = str(self._known().get("password") or "")
        for shown in {password, quote(password, safe="")} - {""}:
            text = text.replace(shown, "[secret]")
        return text

    async def _must_not_be_pooled(self, session: Session) -> None:
        """Raises `Refused` for a transaction pooler.

        A pooler makes up the process id that it greets with. Behind one, a second client asks inside a transaction
        which backend it has: if the first client has that one too, or another one than before, backends are handed
        out transaction by transaction.
        """
        if await _backend(session) == session.pid:
            return
        other = await self._connect(f"{self._application}/pooler?")
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                backend = await _kept_backend(session, Session(other))
        except TimeoutError:
            # Somebody waits for a backend. If it is not us, each client has one of its own and there is none left.
            backend = await _own_backend(session)
        finally:
            await other.close()
        if backend is not None:
            session.pid = backend
            return
        host, port = str(self._known().get("host") or ""), str(self._known().get("port") or "5432")
        looks = f" Port {POOLER_PORT} is Supabase's." if port == POOLER_PORT or "pooler." in host else ""
        raise Pooled(
            f"{self.where} is a transaction pooler, where a session's lock and settings are anybody's.{looks}",
            world=NOTHING,
            next=f"Name the session port (5432) or the database's own host in {URL}.",
        )


async def _kept_backend(session: Session, other: Session) -> int | None:
    """The one backend that a session has to itself; None when backends are handed out by transaction."""
    mine, theirs = {await _backend(session)}, set[int]()
    for _ in range(PROBES):
        await other.rows("begin")
        theirs.add(await _backend(other))
        if mine.isdisjoint(theirs):
            mine.add(await _backend(session))
        await other.rows("rollback")
        if len(mine) > 1 or len(theirs) > 1 or mine & theirs:
            return None
    return mine.pop()


async def _own_backend(session: Session) -> int | None:
    """The backend of a session that gets an answer at once; None when it, too, has to wait for one."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            first = await _backend(session)
            return first if await _backend(session) == first else None
    except TimeoutError:
        return None


async def _backend(session: Session) -> int:
    return int((await session.rows("select pg_catalog.pg_backend_pid()"))[0][0])


def _plausible(known: Mapping[str, Any]) -> bool:
    """Whether an address was meant as it was understood."""
    host, port, name = (str(known.get(key) or "") for key in ("host", "port", "dbname"))
    return bool(re.fullmatch(r"[\w.:,/-]*", host) and re.fullmatch(r"[\d,]*", port)) and "@" not in name


def _last_words(said: str) -> str:
    """libpq tells every attempt in a line, and asks back; the last answer counts, without its preamble."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.endswith("?")]
    return re.split(r"(?:FATAL|failed|connection is bad):\s*", (lines or ["no reason was given"])[-1])[-1].rstrip(".")


DOORS = (
    (
        r"password authentication failed|no password supplied",
        "Postgres refuses the password",
        f"Set {URL} again (with --secret).",
    ),
    (r"role .* does not exist", "Postgres does not know the user", f"Correct the user in {URL}."),
    (r"database .* does not exist", "There is no such database", f"Correct the name after the port in {URL}."),
    (
        r"\bSSL\b|\bTLS\b|certificate",
        "No encrypted connection came about",
        f"Correct sslmode or sslrootcert in {URL}, or the server's certificate.",
    ),
    (
        r"too many (clients|connections)|remaining connection slots",
        "Postgres has no connection left",
        "Wait, or end some of its clients.",
    ),
    (r"no pg_hba.conf entry", "Postgres does not let this host in", "Allow this host, user and database there."),
)
