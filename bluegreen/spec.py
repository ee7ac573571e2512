"""The words every room speaks: what a spec is, a colour, a pinned image, a span of time.

A field is written once, in a room's spec: settings builds it, the program sends it, the handler validates it. Names
are camelCase in YAML, on the wire and in state, and snake_case in Python; this base class is the only translation.
It deliberately knows no vendor and does no I/O.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

Colour = Literal["blue", "green"]
COLOURS: tuple[Colour, Colour] = ("blue", "green")


class Spec(BaseModel):
    """What somebody asks for: strict, complete, immutable; an unknown key is refused by its path."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        defer_build=True,  # a validator is built when it is first needed: 10 ms of the provider's start
    )


class State(Spec):
    """What is held about something real: forgiving, because an older or newer version may have written it."""

    model_config = ConfigDict(strict=False, extra="ignore")


PINNED = re.compile(r"[a-z0-9][a-zA-Z0-9./:_-]*@sha256:[0-9a-f]{64}")


def _pinned(image: str) -> str:
    if PINNED.fullmatch(image):
        return image
    msg = (
        f"{image!r} is not pinned to a digest, so two deployments of it could differ. "
        "Write repository@sha256:…, and keep the tag as a comment"
    )
    raise ValueError(msg)


Image = Annotated[str, AfterValidator(_pinned)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]


def _quoted(value: Any) -> Any:
    if isinstance(value, int):
        msg = f"{value} is a number, and YAML drops or misreads its leading zeros. Write it in quotes"
        raise ValueError(msg)
    return value


# The number that a migration's file begins with, as text: 011, or fourteen digits of a timestamp.
DIGITS = r"^[0-9]{1,18}$"
Version = Annotated[str, BeforeValidator(_quoted), StringConstraints(pattern=DIGITS)]

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SPAN = re.compile(r"([0-9]+)(s|m|h|d)")


def _span(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = SPAN.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        msg = f"{value!r} is not a span of time. Write it as 45s, 10m, 72h or 1h30m"
        raise ValueError(msg)
    try:
        return sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        msg = f"{value!r} is longer than can be counted here. Write a span of time that somebody would wait"
        raise ValueError(msg) from None


def _span_text(value: timedelta) -> str:
    seconds, text = round(value.total_seconds()), ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


Duration = Annotated[timedelta, BeforeValidator(_span), PlainSerializer(_span_text, return_type=str)]


def path(location: Iterable[int | str]) -> str:
    """`("apps", "backend", 0)` as a person writes it: `apps.backend[0]`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def problems(error: ValidationError, *, under: Sequence[int | str] = ()) -> list[str]:
    """Every fault of one validation as `path: what is wrong`, one sentence each, in the order of the fields."""
    found = [(path((*under, *_shown(fault))), _sentence(fault)) for fault in error.errors(include_url=False)]
    return [f"{where}: {what}" if where else what for where, what in found]


def _shown(fault: Any) -> tuple[int | str, ...]:
    # pydantic adds the name of a union's branch or a function to the location: noise for whoever wrote the YAML. An
    # unknown key is the last part and theirs, whatever is in it.
    *inner, last = fault["loc"] or ("",)
    theirs = [last] if fault["type"] == "extra_forbidden" or not _noise(last) else []
    return tuple(part for part in (*(part for part in inner if not _noise(part)), *theirs) if part != "")


def _noise(part: int | str) -> bool:
    return isinstance(part, str) and re.search(r"[\[\]()]", part) is not None


def _sentence(fault: Any) -> str:
    kind, message = fault["type"], str(fault["msg"])
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "missing"
    return message.removeprefix("Value error, ")
