"""What a check is: one request as somebody would send it, and what has to come back.

A check is asked on the way that users take, or of one colour past the weights; it says nothing of either, so the same
list serves a release before traffic moves and everybody afterwards. It deliberately holds no key: it names the
consumer that asks, whose key lies among the stack's secrets.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, field_validator, model_validator

from bluegreen.analysis import Question
from bluegreen.spec import Duration, Name, Spec

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
MEDIA_TYPE = re.compile(r"[a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+(\s*;.*)?")
CLOSED = (401, 403)  # the statuses by which a gateway turns somebody away
CORS = "access-control-"

Target = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$")]  # as it stands in a request line, query included
Host = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?(:[0-9]+)?$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]*$")]


def _once(headers: Mapping[str, str]) -> Mapping[str, str]:
    if len({name.lower() for name in headers}) == len(headers):
        return headers
    msg = "names a header twice: upper and lower case are the same there"
    raise ValueError(msg)


Headers = Annotated[Mapping[HeaderName, HeaderValue], AfterValidator(_once)]


class Expect(Spec):
    """What has to come back; whatever is not named may be anything, except the status.

    `json` has to be contained in the answer: a map with at least these keys, a list with at least these entries.
    `assets`: every script, stylesheet and image that the page names answers 200 on the same way.
    """

    status: int = Field(default=200, ge=100, le=599)
    json_: JsonValue = Field(default=None, alias="json")  # `json` alone would hide a method of every model
    content_type: str | None = None
    headers: Headers = {}
    assets: bool = False

    @field_validator("content_type")
    @classmethod
    def _a_media_type(cls, given: str | None) -> str | None:
        if given is None or MEDIA_TYPE.fullmatch(given):
            return given
        msg = f"{given!r} is not a media type. Write it as text/html or application/json"
        raise ValueError(msg)


class Check(Spec):
    """One named question to one app. `within` is the time for one whole answer; `host` is the Host header."""

    name: Name
    app: Name
    method: Method = "GET"
    path: Target
    host: Host | None = None
    headers: Headers = {}
    body: JsonValue = None
    consumer: Name | None = None
    expect: Expect = Expect()
    within: Duration = timedelta(seconds=2)

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        for wrong, msg in (
            (self.within <= timedelta(), "within is no time at all; write 2s or more"),
            ("host" in {name.lower() for name in self.headers}, "write the Host header as `host`, beside `headers`"),
            (self.body is not None and self.method in ("GET", "HEAD", "OPTIONS"), f"{self.method} carries no body"),
            (self.expect.json_ is not None and self.method == "HEAD", "HEAD brings no JSON back"),
            (self.expect.assets and self.method != "GET", f"{self.method} brings no page whose assets could be asked"),
        ):
            if wrong:
                raise ValueError(msg)
        return self

    @property
    def question(self) -> Question | None:
        """What a probe asks, where this check is a plain GET that the app itself answers; else None."""
        plain = self.method == "GET" and not self.headers and not self.only_at_the_gateway
        return Question(path=self.path, host=self.host, status=self.expect.status) if plain else None

    @property
    def only_at_the_gateway(self) -> str:
        """Why this question says nothing about one colour, where the gateway itself answers it; else empty."""
        if self.consumer is None and self.expect.status in CLOSED:
            return f"whether somebody without a key gets {self.expect.status} is the gateway's doing"
        if self.method == "OPTIONS" or any(name.lower().startswith(CORS) for name in self.expect.headers):
            return "CORS is the gateway's doing"
        return ""


def misfits(checks: Sequence[Check], apps: Collection[str]) -> Iterator[str]:
    """What is wrong with the checks of one stack as a list: an app that does not exist, a name used twice."""
    seen: set[str] = set()
    for position, check in enumerate(checks):
        if check.app not in apps:
            yield f"checks[{position}].app: there is no app {check.app!r}"
        if check.name in seen:
            yield f"checks[{position}].name: {check.name!r} is the name of another check"
        seen.add(check.name)
