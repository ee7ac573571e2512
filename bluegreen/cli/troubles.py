"""What the engine says when it does not even begin, in our words: who holds the stack, which login is missing.

An engine's own sentences are for those who know it. The ones that people meet at a release are told in three beats
here, by what they begin with; any other stays as the engine said it. It deliberately runs nothing.
"""

import re
from dataclasses import dataclass

from bluegreen.handler import Refused

WORLD = "Nothing was changed."
LOCKED = re.compile(
    r"is currently locked by|another update is (currently )?in progress|\[409\] conflict", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Known:
    """One sentence of the engine; `what` and `next` may name the stack, and `why` that the pattern found."""

    pattern: str
    what: str
    next: str


KNOWN = (
    Known(
        r"incorrect passphrase",
        "The passphrase is not the one of stack {stack}.",
        "Set PULUMI_CONFIG_PASSPHRASE to the one that its secrets were encrypted with.",
    ),
    Known(
        r"passphrase must be set",
        "The secrets of stack {stack} are encrypted with a passphrase, and none is given.",
        "Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE.",
    ),
    Known(
        r"PULUMI_ACCESS_TOKEN must be set",
        "Nobody is logged in to where stack {stack} has its state.",
        "Set PULUMI_BACKEND_URL, or PULUMI_ACCESS_TOKEN, or run pulumi login.",
    ),
    Known(
        r"no stack named (?P<why>'[^']*') found",
        "There is no stack {why} where the state is kept.",
        "pulumi stack ls names those that there are; pulumi stack init makes one.",
    ),
    Known(
        r"unable to open state directory (?P<why>.+)",
        "The place where stack {stack} has its state cannot be opened: {why}.",
        "Correct PULUMI_BACKEND_URL.",
    ),
    Known(
        r"(?P<why>no resource plugin .+|failed to load plugin .+)",
        "A plugin of the engine is missing: {why}.",
        "Run make setup, or pulumi install.",
    ),
)


def locked(said: str) -> bool:
    """Whether the engine found somebody else at work."""
    return LOCKED.search(said) is not None


def known(said: str, stack: str) -> Refused | None:
    """The refusal that this is; None where the engine's own words have to do."""
    for each in KNOWN:
        found = re.search(each.pattern, said)
        if found is not None:
            why = str(found.groupdict().get("why") or "").strip().rstrip(".")
            return Refused(each.what.format(stack=stack, why=why), world=WORLD, next=each.next)
    return None
