"""Asks every check at once and says of each: pass, fail, error or skipped.

    fail      there was an answer, and it is not the expected one (none in time is a fail too: `within` is expected)
    error     there was no answer to judge: the gateway could not be reached, a key is missing
    skipped   not asked, with the reason; it never counts as passed

Each request goes over a new connection and has its own time, and only a few are under way at once, so a slow check
delays no other's judgement. Nothing is asked twice, with one exception: a way that the gateway does not know yet. It
deliberately knows no stack: who asks brings the headers that lead to the app, and the release that must answer.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from bluegreen.handler import Context, Halt
from bluegreen.http import Answer, Client
from bluegreen.measure.expect import described, differences, is_html
from bluegreen.measure.page import assets
from bluegreen.measure.spec import Check
from bluegreen.spec import Spec

# Requests under way. Each delays what is timed beside it: the median answer of a sandbox took 6 ms one by one, 15 ms
# with four at once, 17 with eight and 25 with sixteen, and all of them together ended in the same second.
AT_ONCE = 4
ROUTED = 10.0  # seconds for a colour's route to come into force; Kong's router lags up to 5 s
AGAIN = 0.25
SHOWN = 240  # characters of what was seen
NAMED = 3  # assets that are told one by one
SECRETIVE = re.compile(r"token|secret|password|key", re.IGNORECASE)

Status = Literal["pass", "fail", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class Way:
    """How a request gets to an app.

    With a `release`, every answer has to come from that one; with a `mark` (a header and its value), every answer has
    to carry it: whoever answers without it is on another way.
    """

    headers: Mapping[str, str]
    release: str | None = None
    release_header: str = "X-Release"
    mark: tuple[str, str] | None = None
    young: bool = False  # the way may have been made just now, and not be in force everywhere


@dataclass(frozen=True, slots=True)
class NoWay:
    """Why a check is not asked at all."""

    status: Literal["skipped", "error"]
    reason: str
    hint: str = ""


class Result(Spec):
    """What came of one check. `seconds` is the time of its own answer, without that of its `n` - 1 assets."""

    id: str
    app: str
    status: Status
    observed: str
    expected: str
    seconds: float | None = None
    hint: str = ""
    n: int = 1


async def ask_all(asked: Sequence[tuple[Check, Way | NoWay]], gateway: Client, ctx: Context) -> list[Result]:
    """The result of every check, in the order in which they were given."""
    asker = Asker(gateway, ctx, asyncio.Semaphore(AT_ONCE))
    return list(await asyncio.gather(*(asker.result(check, way) for check, way in asked)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """One answer, how long it took, and everything that is wrong with it."""

    answer: Answer
    seconds: float
    wrong: Sequence[str] = ()
    foreign: bool = False  # something else than the wanted release answered
    n: int = 1


@dataclass(slots=True)
class Sent:
    """How many requests went through the gateway."""

    requests: int = 0


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks through one gateway, a few requests at a time; `hidden` is shown no more than the gateway's secrets."""

    gateway: Client
    ctx: Context
    doors: asyncio.Semaphore
    hidden: Sequence[str] = ()
    sent: Sent = field(default_factory=Sent)
    answers: dict[str, Answer] = field(default_factory=dict)  # the last of each check, for who looks behind a result

    async def result(self, check: Check, way: Way | NoWay) -> Result:
        """Whatever comes of a check: no end of one is the end of the others."""
        return (await self.answered(check, way))[0]

    async def answered(self, check: Check, way: Way | NoWay) -> tuple[Result, Answer | None]:
        """The result, and the answer that it was made of where there was one."""
        expected = f"{described(check.expect)}, within {_span(check.within)}"
        if isinstance(way, NoWay):
            return self._told(check, way.status, way.reason, expected, hint=way.hint), None
        try:
            seen = await self._judged(check, way)
        except TimeoutError:
            late = f"no whole answer within {_span(check.within)}"
            hint = f"Look at {check.app}'s logs; if it may take longer, raise the check's `within`."
            return self._told(check, "fail", late, expected, seconds=check.within.total_seconds(), hint=hint), None
        except Halt as halt:
            return self._told(check, "error", halt.what, expected, hint=halt.next), None
        self.answers[check.name] = seen.answer
        discreet = replace(self, hidden=(*self.hidden, *handed_secretly(check, seen.answer)))
        status: Status = "fail" if seen.wrong else "pass"
        observed = "; ".join(seen.wrong) or f"answered {seen.answer.status}"
        hint = _hint(check, way, seen) if seen.wrong else ""
        result = discreet._told(check, status, observed, expected, seconds=seen.seconds, hint=hint, n=seen.n)
        return result, seen.answer

    def _told(
        self,
        check: Check,
        status: Status,
        observed: str,
        expected: str,
        *,
        seconds: float | None = None,
        hint: str = "",
        n: int = 1,
    ) -> Result:
        # What an app answers may hold anything, a terminal's control sequences included.
        text = "".join(sign if sign.isprintable() else "?" for sign in self._redacted(observed))
        return Result(
            id=check.name,
            app=check.app,
            status=status,
            observed=text if len(text) <= SHOWN else text[: SHOWN - 1] + "…",
            expected=self._redacted(expected),
            seconds=None if seconds is None else round(seconds, 3),
            hint=hint,
            n=n,
        )

    def _redacted(self, text: str) -> str:
        for secret in self.hidden:
            text = text.replace(secret, "***")
        return self.gateway.redact(text)

    async def _judged(self, check: Check, way: Way) -> _Seen:
        answer, seconds = await self._in_force(check, way)
        stranger = _stranger(way, answer)
        wrong, n = [*differences(check.expect, answer), *([stranger] if stranger else [])], 1
        if check.expect.assets and not wrong:
            wrong, n = await self._assets(check, way, answer)
        return _Seen(answer, seconds, wrong, foreign=bool(stranger), n=n)

    async def _in_force(self, check: Check, way: Way) -> tuple[Answer, float]:
        """The answer; one that came another way than it was sent is a route that is not in force yet."""
        end = self.ctx.now() + timedelta(seconds=ROUTED)
        while True:
            answer, seconds = await self._answer(check, way, check.path)
            if not way.young or not _astray(way, answer) or self.ctx.now() >= end:
                return answer, seconds
            await self.ctx.sleep(AGAIN)

    async def _answer(self, check: Check, way: Way, path: str) -> tuple[Answer, float]:
        named = {"Host": check.host} if check.host else {}
        headers = _merged(check.headers, named, way.headers)
        # A new connection each time: a kept one stays on one worker of the gateway, and users come over all of them.
        async with self.doors, self.gateway.fresh() as line:
            began = self.ctx.now()
            self.sent.requests += 1
            async with asyncio.timeout(check.within.total_seconds()):
                answer = await self.gateway.probe(
                    path, method=check.method, body=check.body, headers=headers, client=line
                )
            return answer, (self.ctx.now() - began).total_seconds()

    async def _assets(self, check: Check, way: Way, page: Answer) -> tuple[list[str], int]:
        """What is wrong with them, and how many answers that was seen on."""
        if not is_html(page):
            return ["the answer is no HTML, so it names no assets"], 1
        host = check.host or self.gateway.base.partition("://")[2].partition("/")[0]
        named = assets(page.text, host=host, path=check.path)
        if not named:
            return ["the page names no script, stylesheet or image of its own"], 1
        found = await asyncio.gather(*(self._asset(check, way, path) for path in named))
        wrong = [fault for fault in found if fault]
        more = [f"and {len(wrong) - NAMED} more of {len(named)} assets"] if len(wrong) > NAMED else []
        return wrong[:NAMED] + more, 1 + len(named)

    async def _asset(self, check: Check, way: Way, path: str) -> str:
        """What is wrong with one asset; empty when nothing is."""
        try:
            answer, _ = await self._answer(check, way, path)
        except TimeoutError:
            return f"{path}: no whole answer within {_span(check.within)}"
        except Halt as halt:
            return f"{path}: {halt.what}"
        if answer.status != 200:
            return f"{path}: answered {answer.status}"
        if is_html(answer):  # how many servers answer for a script that they do not have
            return f"{path}: answered with a page instead of the asset"
        stranger = _stranger(way, answer)
        return f"{path}: {stranger}" if stranger else ""


def handed_secretly(check: Check, answer: Answer) -> Sequence[str]:
    """What this answer hands on under a name that says that nobody may see it."""
    named = [path for name, path in check.capture.items() if SECRETIVE.search(name) or SECRETIVE.search(path)]
    return [value for path in named if isinstance(value := within(answer.json, path), str) and value]


def within(document: Any, path: str) -> Any:
    """What lies at `teams.0.id`; None where there is nothing."""
    for part in path.split("."):
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, dict):
            document = document.get(part)
        else:
            return None
    return document


def _stranger(way: Way, answer: Answer) -> str:
    """Who answered instead of the wanted release; empty when nobody did."""
    if _astray(way, answer):
        return "answered on another way than the preview's"
    if way.release is None or (found := _release(way, answer)) == way.release:
        return ""
    return f"answered by release {found}" if found else f"answered without the header {way.release_header}"


def _astray(way: Way, answer: Answer) -> bool:
    return way.mark is not None and answer.headers.get(way.mark[0].lower()) != way.mark[1]


def _release(way: Way, answer: Answer) -> str | None:
    return answer.headers.get(way.release_header.lower())


def _hint(check: Check, way: Way, seen: _Seen) -> str:
    status = seen.answer.status
    if seen.foreign and way.release is not None:
        return f"Only release {way.release} may answer here: look at the gateway's preview routes and the preview key."
    if check.expect.status == 401 and check.consumer is None and status < 300:
        return "Nobody is asked for a key there: bluegreen validate --only key-required says how that comes back."
    if status in (401, 403) and status != check.expect.status:
        who = f"Check consumer {check.consumer}'s key and groups" if check.consumer else "Name the `consumer` that asks"
        return f"{who}."
    if status == 404 and status != check.expect.status:
        return f"Check the path, the host and the routes of {check.app}."
    return f"Look at {check.app}'s logs, or correct what the check expects."


def _merged(*given: Mapping[str, str]) -> dict[str, str]:
    """Headers whose names differ in case are one; the last one counts."""
    found = {name.lower(): (name, value) for headers in given for name, value in headers.items()}
    return dict(found.values())


def _span(span: timedelta) -> str:
    return f"{span.total_seconds():g} s"
