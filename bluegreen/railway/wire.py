"""How operations are sent to Railway: the documents, the token, what is repeated, what is counted.

Reads are repeated while Railway is out of reach or asks for a few seconds; mutations never are: Railway knows no
idempotency keys, so after a lost reply whoever called reads the state and decides. The address carries a query
parameter and the calls a user agent, because Cloudflare in front of Railway throttles what has neither.
It deliberately knows no operation: those are in `api.py`.
"""

import re
from collections.abc import AsyncIterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import stamina
from pydantic import SecretStr

from bluegreen.faults import ATTEMPTS, PATIENCE, ApiError, RateLimited, Unreachable, soon
from bluegreen.handler import Refused
from bluegreen.http import Client
from bluegreen.railway import answers
from bluegreen.railway.budget import Budget

URL = "https://backboard.railway.com/graphql/v2"
ENDPOINT = "?source=bluegreen"
AFTER_THAT = "Run pulumi up after that, or raise bluegreen:railwayPollSeconds."
USER_AGENT = "bluegreen/0.1"  # a library's default one is refused

TokenKind = Literal["project", "workspace"]
DEFINITION = re.compile(r"^(?:query|mutation|fragment) (\w+)", re.MULTILINE)
SPREAD = re.compile(r"\.\.\.(\w+)")


@cache
def documents() -> Mapping[str, str]:
    """Every operation of `operations.graphql` by its name, complete with the fragments it uses."""
    text = Path(__file__).with_name("operations.graphql").read_text(encoding="utf-8")
    starts = list(DEFINITION.finditer(text))
    ends = [*(start.start() for start in starts[1:]), len(text)]
    parts = {start[1]: text[start.start() : end].rstrip() for start, end in zip(starts, ends, strict=True)}
    fragments = {name for name, part in parts.items() if part.startswith("fragment")}
    return {name: _with_fragments(name, parts) for name in parts if name not in fragments}


def _with_fragments(name: str, parts: Mapping[str, str]) -> str:
    used = [name]
    for part in used:  # grows while it is walked: fragments may use fragments
        used += [each for each in dict.fromkeys(SPREAD.findall(parts[part])) if each not in used]
    return "\n".join(parts[each] for each in used)


class Wire:
    """One way to Railway; nothing is sent, and no token is needed, before the first operation.

    Args:
        url: of the GraphQL endpoint, without a query string.
        token: sent with every call, shown in none.
        kind: a project token belongs to one environment; a workspace token goes into another header.
    """

    def __init__(self, url: str, token: SecretStr | None, *, kind: TokenKind) -> None:
        self.kind = kind
        self.budget = Budget()
        self._token = token.get_secret_value() if token is not None else ""
        header = (
            {"Project-Access-Token": self._token} if kind == "project" else {"Authorization": f"Bearer {self._token}"}
        )
        self._client = Client(
            "Railway",
            url,
            headers={"User-Agent": USER_AGENT, **header},
            secrets=[self._token],
            hint="Check railwayUrl and status.railway.com, then run pulumi up again.",
            connect=10.0,
            read=90.0,  # slow mutations have taken more than a minute
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End every connection."""
        await self._client.close()

    async def _query(self, operation: str, **variables: Any) -> Mapping[str, Any]:
        async for attempt in _attempts():
            with attempt:
                return await self._call(operation, variables, writes=False)
        raise AssertionError("unreachable: stamina raises the last error")

    async def _mutate(self, operation: str, *, secrets: tuple[str, ...] = (), **variables: Any) -> Mapping[str, Any]:
        return await self._call(operation, variables, writes=True, secrets=secrets)

    async def _call(
        self, operation: str, variables: Mapping[str, Any], *, writes: bool, secrets: tuple[str, ...] = ()
    ) -> Mapping[str, Any]:
        if not self._token:
            what = "There is no token for Railway."
            raise Refused(what, world="Nothing was changed.", next="Set BLUEGREEN_RAILWAY_TOKEN to a project token.")

        def redact(text: str) -> str:
            # Short values are no secrets but parts of words; a message may quote what it refuses.
            for secret in (self._token, *(secret for secret in secrets if len(secret) > 3)):
                text = text.replace(secret, "***")
            return text

        body = {"query": documents()[operation], "variables": variables, "operationName": operation}
        try:
            answer = await self._client.call("POST", ENDPOINT, body, writes=writes)
        except ApiError as fault:
            if not isinstance(fault, Unreachable):
                self.budget.heard(operation, fault.headers)
            told = answers.transport(operation, fault, writes=writes, redact=redact)
            if isinstance(told, RateLimited) and (used_up := self.budget.used_up()):
                told.what, told.next = used_up, AFTER_THAT
            raise told from fault
        self.budget.heard(operation, answer.headers)
        return answers.data(operation, answer.json, writes=writes, redact=redact)


def _attempts() -> AsyncIterator[Any]:
    return stamina.retry_context(on=_patience, attempts=ATTEMPTS, timeout=PATIENCE)


def _patience(problem: Exception) -> bool | float:
    return soon(problem) if isinstance(problem, RateLimited) else answers.passing(problem)
