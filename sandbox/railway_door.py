"""The way in to the Railway stand-in: Cloudflare in front, tokens, rate limits, then GraphQL.

Cloudflare's part is stricter than life so that it is repeatable: a POST without any query string always gets the
HTML 429, and a missing or library-default User-Agent the HTML 403; neither carries rate-limit headers. A platform
whose machines cannot be reached answers 502 with an empty body. Assumed: X-RateLimit-Reset is in seconds since 1970.
"""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from aiohttp import web

from sandbox.faults import Faults
from sandbox.railway_call import Call, Options
from sandbox.railway_deployments import Platform
from sandbox.railway_graphql import Executor, operation_name
from sandbox.railway_machines import Down

PATH = "/graphql/v2"
LIBRARY = re.compile(
    r"(python-httpx|python-requests|python-urllib|aiohttp|python/\S+ aiohttp|go-http-client|node-fetch|undici|axios"
    r"|okhttp|java|libwww-perl|ruby|guzzlehttp)\b.*",
    re.IGNORECASE,
)
BLOCKED = "<!doctype html><title>Access denied</title><h1>Error {code}</h1><p>Cloudflare</p>\n"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Who may come in."""

    project: str
    workspace: str | None = None

    def kind(self, headers: Mapping[str, str]) -> Literal["project", "workspace", "none"]:
        """What the request's token opens; the wrong header opens nothing."""
        if _same(headers.get("Project-Access-Token"), self.project):
            return "project"
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        return "workspace" if scheme == "Bearer" and _same(given, self.workspace) else "none"


def _same(given: str | None, wanted: str | None) -> bool:
    return bool(given and wanted) and hmac.compare_digest(str(given).encode(), str(wanted).encode())


class Budget:
    """Requests per hour, in Railway's headers."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._ends: datetime | None = None

    def spend(self, now: datetime) -> tuple[bool, dict[str, str], int]:
        """Whether this request is within the limit, the headers that say so, and the seconds until the next hour."""
        if self._ends is None or now >= self._ends:
            self._ends, self.used = now + timedelta(hours=1), 0
        self.used += 1
        left = max(self.limit - self.used, 0)
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(int(self._ends.timestamp())),
        }
        return self.used <= self.limit, headers, max(int((self._ends - now).total_seconds()), 1)


class Door:
    """Answers HTTP requests to the GraphQL endpoint."""

    def __init__(self, platform: Platform, tokens: Tokens, budget: Budget, options: Options, faults: Faults) -> None:
        self._platform, self._tokens, self._budget, self._options = platform, tokens, budget, options
        self._executor, self._faults = Executor(), faults

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        if refused := _cloudflare(request):
            return refused
        within, headers, seconds = self._budget.spend(self._platform.clock.now())
        if not within:
            text = f"Rate limit exceeded, please try again in {seconds} seconds"
            body = {"errors": [{"message": text}]}
            return web.json_response(body, status=429, headers={**headers, "Retry-After": str(seconds)})
        sent = await body_of(request)
        if sent is None:
            return web.json_response({"errors": [{"message": "POST body is not JSON."}]}, status=400, headers=headers)
        call = Call(self._tokens.kind(request.headers), self._platform, self._options, self._faults.lag_of(0, 1))
        try:
            reply = await self._executor.execute(sent, call)
        except Down:
            return web.Response(status=502, headers=headers)
        return web.json_response(reply.body, status=reply.status, headers=headers)


def _cloudflare(request: web.Request) -> web.Response | None:
    if LIBRARY.fullmatch(request.headers.get("User-Agent", "") or "java"):
        return web.Response(status=403, text=BLOCKED.format(code=1010), content_type="text/html")
    if not request.query_string:
        return web.Response(status=429, text=BLOCKED.format(code=1015), content_type="text/html")
    return None


async def body_of(request: web.Request) -> dict[str, Any] | None:
    """The request's JSON object, or None."""
    try:
        sent = json.loads(await request.read())
    except ValueError:
        return None
    return sent if isinstance(sent, dict) else None


async def operation(request: web.Request) -> str:
    """How faults name a request of this stand-in: by its GraphQL operation."""
    sent = await body_of(request)
    return request.path if sent is None else operation_name(sent)
