"""What a check is: one request as somebody would send it, and what has to come back.

A check is asked on the way that users take, or of one colour past the weights; it says nothing of either, so the same
list serves a release before traffic moves and everybody afterwards. Checks of one `journey` are its steps: one after
another, each with what earlier ones have captured. It deliberately holds no key and no token: it names the consumer
and the person that ask, whose secrets lie among the stack's.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, field_validator, model_validator

from bluegreen.analysis import Question
from bluegreen.spec import Duration, Name, Spec

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
MEDIA_TYPE = re.compile(r"[a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+(\s*;.*)?")
CLOSED = (401, 403)  # the statuses by which a gateway turns somebody away
CORS = "access-control-"
WRITING = ("POST", "PUT", "PATCH", "DELETE")
PLACE = re.compile(r"\$\{([^}]*)\}")  # what an earlier step has captured
RUN = "run"  # known without being captured: new in every run, so that two of them never meet

Target = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$")]  # as it stands in a request line, query included
Host = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?(:[0-9]+)?$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]*$")]


def _once(headers: Mapping[str, str]) -> Mapping[str, str]:
    if len({name.lower() for name in headers}) == len(headers):
        return headers
    msg = "names a header twice: upper and lower case are the same there"
    raise ValueError(msg)


Captured = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
JsonPath = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$")]
Headers = Annotated[Mapping[HeaderName, HeaderValue], AfterValidator(_once)]


class Expect(Spec):
    """What has to come back; whatever is not named may be anything, except the status.

    `json` has to be contained in the answer: a map with at least these keys, a list with at least these entries.
    `assets`: every script, stylesheet and image that the page names answers 200 on the same way. `absent`: headers that
    must not be there.
    """

    status: int = Field(default=200, ge=100, le=599)
    json_: JsonValue = Field(default=None, alias="json")  # `json` alone would hide a method of every model
    content_type: str | None = None
    headers: Headers = {}
    absent: Sequence[HeaderName] = ()
    assets: bool = False

    @field_validator("content_type")
    @classmethod
    def _a_media_type(cls, given: str | None) -> str | None:
        if given is None or MEDIA_TYPE.fullmatch(given):
            return given
        msg = f"{given!r} is not a media type. Write it as text/html or application/json"
        raise ValueError(msg)


class Thresholds(Spec):
    """What a plain GET is held against when it is asked many times over; all but `requests` in milliseconds."""

    requests: int = Field(default=60, ge=20, le=1000)
    p50_ms: float | None = Field(default=None, gt=0)
    p95_ms: float = Field(default=500, gt=0)
    p99_ms: float | None = Field(default=None, gt=0)
    kong_p95_ms: float = Field(default=50, gt=0)
    database_p95_ms: float = Field(default=100, gt=0)


class Check(Spec):
    """One named question to one app. `within` is the time for one whole answer; `host` is the Host header.

    `token` is the person who asks, beside the consumer's key. A step of a `journey` hands values of its JSON answer on
    (`capture`: name -> dotted path) to later steps, which write `${name}`; a `cleanup` is asked last, whatever failed.
    """

    name: Name
    app: Name
    method: Method = "GET"
    path: Target
    host: Host | None = None
    headers: Headers = {}
    body: JsonValue = None
    consumer: Name | None = None
    token: Name | None = None
    expect: Expect = Expect()
    within: Duration = timedelta(seconds=2)
    journey: Name | None = None
    capture: Mapping[Captured, JsonPath] = {}
    cleanup: bool = False
    writes: bool = False  # "I know that this changes something in whatever it is asked of"
    thresholds: Thresholds | None = None

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        for wrong, msg in (
            (self.within <= timedelta(), "within is no time at all; write 2s or more"),
            ("host" in {name.lower() for name in self.headers}, "write the Host header as `host`, beside `headers`"),
            (self.body is not None and self.method in ("GET", "HEAD", "OPTIONS"), f"{self.method} carries no body"),
            (self.expect.json_ is not None and self.method == "HEAD", "HEAD brings no JSON back"),
            (self.expect.assets and self.method != "GET", f"{self.method} brings no page whose assets could be asked"),
            (
                self.token is not None and "authorization" in {name.lower() for name in self.headers},
                "`token` and the header Authorization both say who asks; take one of them out",
            ),
            (self.thresholds is not None and not self._is_plain, "thresholds are for a plain GET outside journeys"),
        ):
            if wrong:
                raise ValueError(msg)
        return self

    @property
    def question(self) -> Question | None:
        """What a probe asks, where this check is a plain GET that the app itself answers; else None."""
        plain = self._is_plain and not self.headers and self.token is None and not self.only_at_the_gateway
        return Question(path=self.path, host=self.host, status=self.expect.status) if plain else None

    @property
    def alone(self) -> bool:
        """Whether it can be asked by itself, any number of times: neither a step of a journey nor one that writes."""
        return self.journey is None and self.method not in WRITING

    @property
    def places(self) -> Sequence[str]:
        """The names of what it needs of earlier steps, each once."""
        texts = [self.path, *self.headers.values(), *_texts(self.body), *_texts(self.expect.json_)]
        return list(dict.fromkeys(name for text in texts for name in PLACE.findall(text)))

    @property
    def _is_plain(self) -> bool:
        return self.method == "GET" and self.journey is None

    @property
    def only_at_the_gateway(self) -> str:
        """Why this question says nothing about one colour, where the gateway itself answers it; else empty."""
        if self.consumer is None and self.expect.status in CLOSED:
            return f"whether somebody without a key gets {self.expect.status} is the gateway's doing"
        if self.method == "OPTIONS" or any(name.lower().startswith(CORS) for name in self.expect.headers):
            return "CORS is the gateway's doing"
        return ""


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from chain.from_iterable(map(_texts, value))
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(_texts, value.values()))


def misfits(checks: Sequence[Check], apps: Collection[str]) -> Iterator[str]:
    """What is wrong with the checks of one stack as a list, each led by the path of its key."""
    seen: set[str] = set()
    for position, check in enumerate(checks):
        where = f"checks[{position}]"
        if check.app not in apps:
            yield f"{where}.app: there is no app {check.app!r}"
        if check.name in seen:
            yield f"{where}.name: {check.name!r} is the name of another check"
        seen.add(check.name)
        if check.method in WRITING and not check.writes:
            yield f"{where}.writes: {check.method} changes something wherever it is asked; `writes: true` says so"
        yield from (f"{where}.{fault}" for fault in _handing_on(check, checks[:position], checks[position + 1 :]))


def _handing_on(check: Check, before: Sequence[Check], after: Sequence[Check]) -> Iterator[str]:
    """What is wrong with what a step takes over and hands on."""
    if check.journey is None:
        outside = (("capture", check.capture), ("cleanup", check.cleanup), ("${…}", check.places))
        yield from (f"journey: {what} is for steps of a journey; name the `journey`" for what, used in outside if used)
        return
    if check.cleanup and check.capture:
        yield "capture: a cleanup is asked last of all, and nobody takes anything over from it"
    earlier, later = (
        {name: step.name for step in steps if step.journey == check.journey for name in step.capture}
        for steps in (before, after)
    )
    known = {RUN, *earlier, *(later if check.cleanup else ())}
    for name in check.places:
        if name not in known:
            whose = "itself" if name in check.capture else later.get(name, "")
            why = f"{whose or 'no step of it'} captures it{' only afterwards' if whose else ''}"
            yield f"journey: in {check.journey} ${{{name}}} is not known yet: {why}"
    for name in check.capture:
        if name == RUN or name in earlier:
            yield f"capture.{name}: {earlier.get(name, 'every run')} captures it already; take another name"
