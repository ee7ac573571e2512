"""Asks every endpoint of a round, a few at once, each in its own time, and says of each what came.

A round never raises: a request that does not come back in time is a beat without an answer, and the gateway's absence
is one for each endpoint. Each request goes over a new connection, as a new user's does. So few are begun at once that
they do not wait for each other here, which would be told as the app's slowness; one that hangs lets the next one begin.
It deliberately asks nothing twice: the next round comes soon enough.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from bluegreen.handler import Context, Halt
from bluegreen.http import Answer, Client
from bluegreen.journal import Beat
from bluegreen.measure.expect import differences
from bluegreen.monitor.endpoint import USERS, Endpoint
from bluegreen.spec import COLOURS

AT_ONCE = 4  # requests that are begun and not answered
UNHURRIED = 0.25  # seconds after which one that is not answered makes way
LONGEST = 30.0  # seconds of a request, whatever its check allows
SHOWN = 120  # characters of what was wrong
REFUSALS = (401, 403)


class Asker:
    """Asks through one gateway; each request may take what its check allows."""

    def __init__(self, gateway: Client, ctx: Context) -> None:
        self._gateway = gateway
        self._ctx = ctx
        self._doors = asyncio.Semaphore(AT_ONCE)

    async def round(self, endpoints: Sequence[Endpoint]) -> Sequence[Beat]:
        """What came of each, in their order."""
        return await asyncio.gather(*(self._in_turn(endpoint) for endpoint in endpoints))

    async def _in_turn(self, endpoint: Endpoint) -> Beat:
        async with self._doors:
            asking = asyncio.create_task(self._beat(endpoint))
            try:
                await asyncio.wait({asking}, timeout=UNHURRIED)
            except asyncio.CancelledError:
                asking.cancel()
                raise
        return await asking

    async def _beat(self, endpoint: Endpoint) -> Beat:
        patience = min(LONGEST, endpoint.check.within.total_seconds())
        try:
            async with asyncio.timeout(patience):
                answer, ms = await self._answer(endpoint)
        except TimeoutError:
            return self._told(endpoint, None, None, f"no answer within {patience:g} s")
        except Halt as halt:
            return self._told(endpoint, None, None, _reason(halt))
        except Exception as problem:  # whatever it is, the other endpoints are asked on
            return self._told(endpoint, None, None, f"no answer ({type(problem).__name__})")
        return self._told(endpoint, answer, ms, self._fault(endpoint, answer))

    async def _answer(self, endpoint: Endpoint) -> tuple[Answer, float]:
        """And after how many milliseconds, from when there was a client to ask with."""
        check = endpoint.check
        host = {"Host": check.host} if check.host else {}
        async with self._gateway.fresh() as line:
            headers, began = {**check.headers, **host, **endpoint.headers}, self._ctx.now()
            answer = await self._gateway.probe(check.path, headers=headers, client=line)
            return answer, round(max(0.0, (self._ctx.now() - began) / timedelta(milliseconds=1)), 2)

    def _told(self, endpoint: Endpoint, answer: Answer | None, ms: float | None, fault: str) -> Beat:
        # What an app answers may hold anything, a terminal's control sequences included.
        text = "".join(sign if sign.isprintable() else "?" for sign in self._gateway.redact(fault))
        return Beat(
            endpoint=endpoint.check.name,
            app=endpoint.check.app,
            way=endpoint.way,
            status=answer.status if answer else None,
            ms=ms,
            fault=text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…",
            release=answer.headers.get(endpoint.release_header.lower()) if answer else None,
        )

    def _fault(self, endpoint: Endpoint, answer: Answer) -> str:
        astray = endpoint.mark is not None and answer.headers.get(endpoint.mark[0].lower()) != endpoint.mark[1]
        if astray and answer.status == endpoint.check.expect.status:
            return "answered on another way than the preview's"
        if wrong := next(iter(differences(endpoint.check.expect, answer)), ""):
            # A page of an error is nobody's reason.
            return f"answered {answer.status}" if answer.status != endpoint.check.expect.status else wrong
        release = answer.headers.get(endpoint.release_header.lower())
        if endpoint.release is None or release == endpoint.release:
            return ""
        return f"answered by release {release}" if release else f"without the header {endpoint.release_header}"


def closed(beats: Sequence[Beat], endpoints: Sequence[Endpoint]) -> set[str]:
    """The apps whose previews turned everybody away who had no key."""
    turned: dict[str, list[bool]] = {}
    for beat, endpoint in zip(beats, endpoints, strict=True):
        if endpoint.keyless and beat.way in COLOURS and beat.status is not None:
            turned.setdefault(beat.app, []).append(beat.status in REFUSALS)
    return {app for app, refused in turned.items() if all(refused)}


def blind(beats: Sequence[Beat]) -> bool:
    """Whether nothing answered at all, on any way."""
    return bool(beats) and all(beat.status is None for beat in beats)


def of_users(beats: Sequence[Beat]) -> list[Beat]:
    return [beat for beat in beats if beat.way == USERS]


def _reason(halt: Halt) -> str:
    said = halt.what.partition(": ")[2] or halt.what
    return f"no answer: {said.rstrip('.')}"
