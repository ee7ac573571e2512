"""The checks of the stack's own config, each a finding `check:<name>`; the steps of a journey one after another.

What a check is about says its group: CORS, a page with its assets, an app's health, and all others the API. It
deliberately judges no answer itself: `bluegreen.measure` does, as it does for everybody who asks these checks.
"""

from collections.abc import Sequence
from secrets import token_hex

from bluegreen.measure.checks import ROUTED, Result
from bluegreen.measure.journey import walked
from bluegreen.measure.spec import CORS, Check
from bluegreen.validation.check import Asked, Room, Seen, Skip
from bluegreen.validation.finding import Status
from bluegreen.validation.ways import asker, way

ID = "check"


def configured(room: Room, checks: Sequence[Check]) -> list[Asked]:
    """These checks as the runner asks them: each by itself, a journey as one."""
    units: dict[str, list[Check]] = {}
    for check in checks:
        units.setdefault(f"journey {check.journey}" if check.journey else f"check {check.name}", []).append(check)
    return [_asked(room, unit) for unit in units.values()]


def _asked(room: Room, checks: Sequence[Check]) -> Asked:
    async def ask(room: Room) -> Sequence[Seen]:
        try:
            line = await asker(room)
        except Skip as skip:
            return [_skipped(check, str(skip), group(room, check)) for check in checks]
        ways = [(check, way(room, check)) for check in checks]
        if checks[0].journey is None:
            results = [await line.result(*ways[0])]
        else:
            results = await walked(ways, line, token_hex(4))
        return [seen(check, result, group(room, check)) for check, result in zip(checks, results, strict=True)]

    # Each ends by itself, assets as long again; this is for what never should happen.
    patience = sum(2 * check.within.total_seconds() + ROUTED for check in checks) + ROUTED
    expected, hint = "the expected answer", "Look at the app's logs, or correct what the check expects."
    return Asked(ID, "api", expected, hint, ask, doc="docs/validate.md#checks", within=patience, of_colour=True)


def _skipped(check: Check, why: str, group: str) -> Seen:
    return Seen(False, why, about=check.name, app=check.app, status="skipped", group=group)


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


def group(room: Room, check: Check) -> str:
    """What this check is about."""
    if check.method == "OPTIONS" or any(name.lower().startswith(CORS) for name in check.expect.headers):
        return "cors"
    if check.expect.assets:
        return "assets"
    app = room.settings.apps[check.app]
    if check.path == room.settings.release(check.app, app.live).healthcheck_path:
        return "health"
    return "api"
