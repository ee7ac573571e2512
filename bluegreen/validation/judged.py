"""What came of a check of the config, in the words of a finding. It deliberately judges nothing and asks nobody."""

from bluegreen.measure.checks import Result
from bluegreen.measure.spec import Check
from bluegreen.validation.check import Seen
from bluegreen.validation.finding import Status


def seen(check: Check, result: Result, group: str = "") -> Seen:
    """A result in the words of a finding."""
    status: Status = result.status
    return Seen(
        result.status == "pass",
        result.observed,
        about=check.name,
        app=check.app,
        expected=result.expected,
        hint=result.hint,
        n=result.n,
        duration_ms=None if result.seconds is None else result.seconds * 1000,
        status=status,
        group=group,
    )
