"""Text of others, and numbers, as a report shows them: short, and without signs that nobody sees.

A sign that turns a line around could make a sentence say the opposite of what was written down.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

LONGEST = 2000  # characters of one text: a page is read by people
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def said(text: Any) -> Any:
    """Any text as it may be shown; what is no text stays what it is."""
    if not isinstance(text, str):
        return text
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
    return HIDDEN.sub("\ufffd", cut)


Said = Annotated[str, BeforeValidator(said)]


def lasted(seconds: float) -> str:
    """`31 ms`, `0.8 s`, `4 s`, `42 s`, `2 min 3 s`, `3 h 20 min`, `2 d 4 h`."""
    if 0 < seconds < 0.1:
        return f"{max(round(1000 * seconds), 1)} ms"
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    for size, name, small, less in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}{f' {rest} {less}' if rest else ''}"
    return f"{whole} s"


def amount(value: float | None, unit: str = "") -> str:
    """A number as a person reads it; a dash where there is none."""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 100 or value == round(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}{f' {unit}' if unit else ''}"


def image(name: str) -> str:
    """An image as short as it can still be told apart: `backend@0123456789ab`."""
    place, _, digest = name.partition("@sha256:")
    short = place.rpartition("/")[2]
    return f"{short}@{digest[:12]}" if digest else short
