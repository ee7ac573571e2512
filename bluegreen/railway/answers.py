"""What an answer of Railway's API means: data, or which kind of error.

Railway answers 200 with `errors` inside, and nearly every error carries the code INTERNAL_SERVER_ERROR, so the message
decides. The kinds are those of `bluegreen.faults`, and two of our own below `Rejected`:

    Rejected
    ├── Busy             another operation on the same service is under way: the same call may be sent again
    └── QuotaExceeded    a daily limit: sending it again does not help today

Cloudflare stands in front of Railway and answers in HTML; such a page is told in one sentence and never quoted.
It deliberately decides nothing about repeating: who calls knows whether it was a read.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bluegreen.faults import (
    ApiError,
    Conflict,
    LostReply,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreachable,
    come_back,
)


class Busy(Rejected):
    """Railway is at work on this service; nothing happened, and the same call may be sent again."""


class QuotaExceeded(Rejected):
    """A limit of the plan or of the day is used up."""


TOO_QUICKLY = 30.0  # seconds after which Railway takes a call that came too quickly
CORRECT = "Correct what it names, then run pulumi up again."
IN_FRONT = "Check railwayUrl and status.railway.com: what stands in front of Railway took the call."
NOTHING, UNKNOWN = "Nothing was changed.", "Whether it took effect is unknown."
TOKEN = "Check BLUEGREEN_RAILWAY_TOKEN: a project token belongs to one environment of one project."
OTHER_KIND = f"{TOKEN[:-1]}; or, for a workspace token, set bluegreen:railwayTokenKind: workspace."

# The first that fits decides; "Project Token not found" must not read as a service that is gone.
MEANINGS: tuple[tuple[str, type[ApiError]], ...] = (
    (r"not authorized|unauthorized|project token not found|two factor authentication required", Unauthorized),
    (r"rate limit exceeded|too quickly|once every 30s|whoa there", RateLimited),
    (r"service creation limit", QuotaExceeded),
    (r"operation is already in progress|cannot redeploy yet", Busy),
    (r"already exists", Conflict),
    (r"not found|could not find", NotFound),
    (r"problem processing request", Unavailable),
)
HINTS = (
    (re.compile(r"project token not found", re.IGNORECASE), OTHER_KIND),
    (
        re.compile(r"two factor authentication required", re.IGNORECASE),
        "The workspace demands two-factor authentication: whoever made the token has to turn it on in Railway.",
    ),
)
NO_CHANGE = re.compile(r"no patch to apply", re.IGNORECASE)
PAGE = re.compile(r"<!doctype html|<html|error code: \d{4}", re.IGNORECASE)
CLOUDFLARE = re.compile(r"error(?: code)?:? (1\d{3})\b", re.IGNORECASE)


def meaning(message: str) -> type[ApiError]:
    """The kind of error that a message of Railway stands for."""
    return next((kind for pattern, kind in MEANINGS if re.search(pattern, message, re.IGNORECASE)), Rejected)


def data(operation: str, body: Any, *, writes: bool, redact: Callable[[str], str]) -> Mapping[str, Any]:
    """The `data` of an answer.

    Raises:
        ApiError: the answer carries errors, or is no GraphQL answer at all.
    """
    if not isinstance(body, dict) or not ("data" in body or "errors" in body):
        world = UNKNOWN if writes else NOTHING
        raise Unavailable(f"Railway answered {operation} with something else than GraphQL.", world=world, next=IN_FRONT)
    errors = [error for error in body.get("errors") or () if isinstance(error, dict)]
    if errors and not all(NO_CHANGE.search(str(error.get("message"))) for error in errors):
        raise rejection(operation, errors, status=200, writes=writes, redact=redact)
    found = body.get("data")
    return found if isinstance(found, dict) else {}


def rejection(
    operation: str, errors: Sequence[Mapping[str, Any]], *, status: int, writes: bool, redact: Callable[[str], str]
) -> ApiError:
    """GraphQL errors as one of ours."""
    messages = [str(error.get("message") or "an error without a message") for error in errors]
    kind = RateLimited if status == 429 else meaning(messages[0])
    traces = [str(error["traceId"]) for error in errors if error.get("traceId")]
    trace = f" (trace {', '.join(traces)})" if traces else ""
    told = redact("; ".join(messages)).rstrip(".")
    fault = kind(
        f"Railway answered {operation}: {told}{trace}.",
        world=UNKNOWN if writes and kind is Unavailable else NOTHING,
        next=next((told for pattern, told in HINTS if pattern.search(messages[0])), _next(kind)),
        status=status,
        body=None,
        subject=operation,
    )
    if isinstance(fault, RateLimited) and status == 200:
        fault.retry_after = TOO_QUICKLY
    return fault


def transport(operation: str, fault: ApiError, *, writes: bool, redact: Callable[[str], str]) -> ApiError:
    """An error of the HTTP door, told with Railway's operation as its subject."""
    errors = fault.body.get("errors") if isinstance(fault.body, dict) else None
    retry_after = fault.retry_after if isinstance(fault, RateLimited) else None
    told: ApiError
    if isinstance(errors, list) and errors and fault.status is not None and fault.status < 500:
        told = rejection(operation, errors, status=fault.status, writes=writes, redact=redact)
    elif PAGE.search(fault.what):
        told = _page(operation, fault)
    else:
        kind, what = type(fault), fault.what.replace(fault.subject, operation)
        told = kind(what, world=fault.world, next=fault.next, status=fault.status, subject=operation)
    if isinstance(told, RateLimited) and retry_after is not None:
        told.retry_after, told.next = retry_after, come_back(retry_after)
    return told


def _page(operation: str, fault: ApiError) -> ApiError:
    code = CLOUDFLARE.search(fault.what)
    kind: type[ApiError] = type(fault)
    if code and code[1] == "1015":
        kind = RateLimited
    elif kind is Unauthorized:
        kind = Rejected  # Cloudflare knows no token
    because = f" (Cloudflare error {code[1]})" if code else ""
    what = f"A web page instead of Railway answered {operation} with {fault.status}{because}."
    told = kind(what, world=fault.world, next=fault.next if kind is type(fault) else IN_FRONT, status=fault.status)
    if isinstance(told, RateLimited):
        told.retry_after, told.next = TOO_QUICKLY, come_back(TOO_QUICKLY)  # it names no time of its own
    return told


def passing(problem: Exception) -> bool:
    """Whether the same read may well succeed a little later."""
    return isinstance(problem, RateLimited | Unavailable | Unreachable)


def open_ended(problem: Exception) -> bool:
    """Whether a write that ended so may nevertheless have happened."""
    return isinstance(problem, LostReply | Unavailable)


def _next(kind: type[ApiError]) -> str:
    if kind is Unauthorized:
        return TOKEN
    if kind is QuotaExceeded:
        return "Wait until the limit is renewed, or raise the plan, then run pulumi up again."
    return "Run pulumi up again in a minute." if kind in (Busy, RateLimited, Unavailable) else CORRECT
