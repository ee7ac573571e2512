"""What the demo backend answers: `/api/hello` and `/api/slow` from itself, everything else from one statement.

A request is one transaction as its caller, as PostgREST does it: the role and the claims are set for this transaction
only, then the route's statement runs. Version 1 has the routes from before teams; every later one has those and more.

How long a request was at the database, from its turn for a connection to the commit, is in `Server-Timing`. Without a
database the app still says which release it is; what needs the database answers 503. `/ready` is 503 until the database
answers and has the tables that this release works with.
"""

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from aiohttp import web

from sandbox.app_pages import IN_DATABASE, Pages, Refusal
from sandbox.app_setup import Setup
from sandbox.backend import projects, teams
from sandbox.backend.caller import NOBODY, Caller, caller
from sandbox.backend.pool import Busy, Pool
from sandbox.backend.refusals import LATER, refusal
from sandbox.backend.routes import Table

Values = Mapping[str, Any] | Sequence[Any]

LONGEST = 30.0  # seconds that /api/slow may be asked for
AS = "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)"
FITS = """
    select string_agg(wanted, ', ') from unnest(%s::text[]) wanted
    where not exists (
        select from pg_catalog.pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r' and relname = wanted
    )
"""


class Backend(Pages):
    """The API of one release; `/api/slow?seconds=S` takes its time and sends nothing before."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        with_teams = setup.version >= 2
        self._table = Table((*projects.ROUTES, *teams.ROUTES) if with_teams else projects.ROUTES)
        self._needs = [*projects.TABLES, *teams.TABLES] if with_teams else [*projects.TABLES]
        self._secret = setup.jwt_secret
        self._pool: Pool | None = None
        if setup.database_url:
            self._pool = Pool(setup.database_url, f"{setup.app} {setup.colour} {setup.release}"[:63])

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    async def page(self, request: web.Request) -> web.Response:
        if request.path in ("/", "/api/hello", "/api/slow"):
            return await self._own(request)
        method = "GET" if request.method == "HEAD" else request.method
        route, named = self._table.find(method, request.path)
        asking = self._caller(request)
        values = {**named, **route.read(await _json(request) if route.takes else None)}
        began = time.perf_counter()
        try:
            body, there = await self._ask(asking, route.sql, values)
        finally:
            request[IN_DATABASE] = (time.perf_counter() - began) * 1000
        if body is None:
            raise Refusal(*(route.stuck if there else (404, "There is no such thing, or it is not yours to see.")))
        if route.gives == "nothing":
            return web.Response(status=204)
        return self.text(body, "application/json", route.status, cache="no-store")

    async def missing(self) -> str:
        if self._pool is None:
            return ""
        try:
            lacking, _ = await self._ask(NOBODY, f"select ({FITS}), true", [self._needs])
        except Refusal as refused:
            return str(refused)
        return f"The database has no table {lacking} yet." if lacking else ""

    async def _own(self, request: web.Request) -> web.Response:
        if request.path == "/api/slow":
            try:
                seconds = float(request.query.get("seconds", "1"))
            except ValueError:
                raise Refusal(400, f"seconds is {request.query['seconds'][:40]!r}, not a number.") from None
            if not math.isfinite(seconds):
                raise Refusal(400, "seconds is no number of seconds.")
            await asyncio.sleep(min(max(seconds, 0.0), LONGEST))
        return self.json({**self.identity, "method": request.method, "path": request.path})

    def _caller(self, request: web.Request) -> Caller:
        if self._pool is None:
            raise Refusal(503, "This backend has no database; set DATABASE_URL and SUPABASE_JWT_SECRET.")
        return caller(request.headers.get("Authorization"), self._secret)

    async def _ask(self, asking: Caller, sql: str, values: Values) -> tuple[str | None, bool]:
        """The one row of a statement as this caller; nothing of it lasts unless all of it went well."""
        assert self._pool is not None
        try:
            async with self._pool.line() as line:
                async with line.transaction():
                    await line.execute(AS, (asking.role, asking.claims))
                    row = await (await line.execute(sql.encode(), values)).fetchone()
        except psycopg.Error as error:
            told = refusal(error)
            raise (_sign_in(told) if told.status == 403 and asking == NOBODY else told) from error
        except UnicodeEncodeError as error:  # half a surrogate pair is JSON, and no text
            raise Refusal(400, "A value is not text.") from error
        except Busy as error:
            raise Refusal(503, LATER, detail="every connection is taken", Retry_After="1") from error
        return (row[0], row[1]) if row else (None, False)


def _sign_in(refused: Refusal) -> Refusal:
    """Who has shown no token is not forbidden anything yet."""
    sentence = "Sign in first: this takes a token."
    return Refusal(401, sentence, detail=refused.detail, WWW_Authenticate="Bearer")


async def _json(request: web.Request) -> object:
    try:
        body: object = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not JSON.") from None
    return body
