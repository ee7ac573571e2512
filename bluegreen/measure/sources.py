"""Numbers from elsewhere: a Prometheus query, a JSON answer, a query in the database, a program.

Each is asked once per look, and answers one finite number or one sentence. Nothing is asked twice: the next look comes
in seconds. Only a Prometheus query and a program are told the colour; a JSON answer and a SQL query say the same of
every colour. The database is another room's, so its number comes in as a callable. No sentence shows the query of a
metric's URL, nor its header: a token may stand in either.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from bluegreen.analysis import Analysis, HttpJson, Metric, Prometheus, Subject
from bluegreen.handler import Halt
from bluegreen.http import Client, Rejected
from bluegreen.measure.command import printed
from bluegreen.spec import Colour

PATIENCE = 5.0  # seconds for an answer over the network
SHOWN = 120  # characters of an answer that an error quotes
LEAST_HIDDEN = 4  # characters: less is no token, and to hide it would garble every sentence
PLACE = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")

Number = Callable[[str], Awaitable[float]]


def unmeasured(what: str) -> Halt:
    """Why there is no number, as an end that the meter tells."""
    return Halt(what, world="Nothing was changed.", next="Correct the metric, or see to what it asks.")


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a question is about."""

    app: str
    colour: Colour
    release: str
    window: str  # the whole analysis: a rate over less than two scrapes would answer nothing

    @classmethod
    def of(cls, subject: Subject, colour: Colour, analysis: Analysis) -> "Asked":
        window = f"{ceil(analysis.duration.total_seconds())}s"
        return cls(subject.app, colour, subject.releases.get(colour, ""), window)


@dataclass(frozen=True, slots=True)
class Sources:
    """Asks whatever source a metric names.

    Args:
        number: what a reading query answers; None where there is no database.
        folder: where programs run.
    """

    number: Number | None
    folder: Path

    async def value(self, metric: Metric, asked: Asked) -> float:
        """One finite number.

        Raises:
            Halt: there is none; its `what` is one sentence.
        """
        try:
            found = await self._found(metric, asked)
        except TimeoutError:
            raise unmeasured(f"Metric {metric.name}: no answer within {PATIENCE:g} s.") from None
        except Halt as halt:
            raise unmeasured(_told(halt.what, metric)) from None
        if not isfinite(found):
            more = ", as a division by no requests does" if found != found else ""
            raise unmeasured(f"Metric {metric.name} answers {found}, which is no number to judge by{more}.")
        return found

    async def _found(self, metric: Metric, asked: Asked) -> float:
        if metric.command is not None:
            environment = {"APP": asked.app, "COLOUR": asked.colour, "RELEASE": asked.release}
            return await printed(metric.command.run, environment, self.folder)
        async with asyncio.timeout(PATIENCE):
            if metric.prometheus is not None:
                return await _queried(metric.prometheus, _credentials(metric), asked)
            if metric.http is not None:
                return await _fetched(metric.http, _credentials(metric))
            if metric.sql is not None and self.number is not None:
                return await self.number(metric.sql.query)
        raise unmeasured(f"Metric {metric.name} asks the database, and none is configured.")


def filled(query: str, asked: Asked) -> str:
    """The query with `$app`, `$colour`, `$release` and `$window` (also `${app}`) in it; `$$` is one dollar sign.

    A dollar sign that begins no name stays what it is: regular expressions end in one, and `label_replace` has `$1`.
    """
    known = {"app": asked.app, "colour": asked.colour, "release": asked.release, "window": asked.window}

    def put(place: re.Match[str]) -> str:
        name = place[1] or place[2]
        if name is None:
            return "$"
        if name not in known:
            names = ", ".join(f"${each}" for each in known)
            raise unmeasured(f"A query names ${name}; only {names} are filled in (write $$ for a dollar sign).")
        return known[name]

    return PLACE.sub(put, query)


async def _queried(source: Prometheus, authorization: str, asked: Asked) -> float:
    query = filled(source.query, asked)
    base, _ = _parted(source.url, whole=True)
    async with _client("Prometheus", base, authorization) as client:
        try:
            answer = await client.call("GET", "/api/v1/query", params={"query": query}, writes=False)
        except Rejected as problem:
            said = problem.body.get("error") if isinstance(problem.body, dict) else None
            if not said:
                raise
            text = client.redact(" ".join(str(said).split()))[:SHOWN]
            raise unmeasured(f"Prometheus refuses the query: {text}.") from problem
    samples = _samples(answer.json)
    if not samples:
        raise unmeasured("The query answers nothing: is the metric spelt right, and does it have samples yet?")
    if len(samples) > 1:
        raise unmeasured(f"The query answers {len(samples)} samples instead of one: sum them, or ask for one.")
    return _number(samples[0], "The query")


def _samples(answer: Any) -> list[Any]:
    """Every value of an instant query's answer; a scalar is one."""
    try:
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind == "scalar":
            return [result[1]]
        if kind == "vector":
            return [sample["value"][1] for sample in result]
    except (KeyError, IndexError, TypeError):
        raise unmeasured("What answers there is not Prometheus: its answer has no data.result.") from None
    raise unmeasured(f"The query answers a {kind!s:.20}, and a vector of one sample or a scalar is needed.")


async def _fetched(source: HttpJson, authorization: str) -> float:
    base, path = _parted(source.url)
    async with _client(base, base, authorization, _hidden(_query(path))) as client:
        answer = await client.call("GET", path, writes=False)
    found: Any = answer.json
    for step in source.path.split("."):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise unmeasured(f"The answer has nothing at {source.path}: {step} is not there.")
    if isinstance(found, str):
        raise unmeasured(f"The answer has text at {source.path}, and a number is needed.")
    return _number(found, f"The answer at {source.path}")


def _number(found: Any, subject: str) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        kind = "nothing" if found is None else f"a {type(found).__name__}"
        raise unmeasured(f"{subject} is {kind}, and a number is needed.")
    try:
        return float(found)
    except (ValueError, OverflowError):
        raise unmeasured(f"{subject} is no number.") from None


def _client(name: str, base: str, authorization: str, hidden: Iterable[str] = ()) -> Client:
    secrets = [authorization, authorization.partition(" ")[2], *hidden]  # before an answer is cut short
    headers = {"Authorization": authorization} if authorization else {}
    return Client(name, base, headers=headers, secrets=secrets, connect=PATIENCE, read=PATIENCE)


def _told(what: str, metric: Metric) -> str:
    """The sentence without the query of the metric's URL and without its header: tokens stand in both."""
    source = metric.http or metric.prometheus
    query = _query(source.url) if source is not None else ""
    if query:
        what = what.replace(f"?{query}", "")
    given = metric.authorization.get_secret_value() if metric.authorization else ""
    for secret in filter(None, (given, given.partition(" ")[2], *_hidden(query))):
        what = what.replace(secret, "***")
    return what


def _query(url: str) -> str:
    return url.partition("#")[0].partition("?")[2]


def _hidden(query: str) -> list[str]:
    """What of a URL's query nobody is shown, as it is written and as it is meant, the longest first."""
    values = {part.partition("=")[2] for part in query.split("&")}
    texts = {query, *values, *(unquote_plus(value) for value in values)}
    return sorted((text for text in texts if len(text) >= LEAST_HIDDEN), key=len, reverse=True)


def _credentials(metric: Metric) -> str:
    given = metric.authorization.get_secret_value() if metric.authorization else ""
    if given.isascii() and given.isprintable():
        return given
    raise unmeasured(f"The authorization of metric {metric.name} holds characters that no header has.")


def _parted(url: str, *, whole: bool = False) -> tuple[str, str]:
    """Where a URL leads and what is asked there; `whole` keeps the path with the address."""
    try:
        parts = urlsplit(url)
        named = parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        named = None
    if not named:
        raise unmeasured("A metric's url is no address: write https://host/path.")
    if whole:
        return urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")), ""
    return f"{parts.scheme}://{parts.netloc}", urlunsplit(("", "", parts.path or "/", parts.query, ""))
