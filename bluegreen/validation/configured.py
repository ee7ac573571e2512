"""The checks of the stack's own config, each a finding `check:<name>`; the steps of a journey one after another.

What a check is about says its group: CORS, a page with its assets, an app's health, and all others the API. It
deliberately judges no answer itself: `bluegreen.measure` does, as it does for everybody who asks these checks.
"""

from collections.abc import Sequence
from dataclasses import replace
from secrets import token_hex

from bluegreen.http import Answer
from bluegreen.measure.checks import ROUTED, Result
from bluegreen.measure.journey import walked
from bluegreen.measure.spec import CORS, Check
from bluegreen.validation.causes import told_by
from bluegreen.validation.check import Asked, Room, Seen, Skip
from bluegreen.validation.judged import seen
from bluegreen.validation.run import TELLER
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
            line = replace(await asker(room), answers={})
        except Skip as skip:
            return [_skipped(check, str(skip), group(room, check)) for check in checks]
        ways = [(check, way(room, check)) for check in checks]
        if checks[0].journey is None:
            results = [await line.result(*ways[0])]
        else:
            results = await walked(ways, line, token_hex(4))
        return await _seen(
            room, [(check, each, line.answers.get(check.name)) for check, each in zip(checks, results, strict=True)]
        )

    # Each ends by itself, assets as long again; this is for what never should happen.
    patience = sum(2 * check.within.total_seconds() + ROUTED for check in checks) + ROUTED
    expected, hint = "the expected answer", "Look at the app's logs, or correct what the check expects."
    return Asked(ID, "api", expected, hint, ask, doc="docs/validate.md#checks", within=patience, of_colour=True)


async def _seen(room: Room, came: Sequence[tuple[Check, Result, Answer | None]]) -> list[Seen]:
    """What came of each; skipped where another check tells of what is behind it, or behind an earlier step."""
    found, behind = list[Seen](), ""
    for check, result, answer in came:
        why = await told_by(room, check, result, answer)
        if not why and behind and result.status == "fail":
            why = behind
        elif why and not behind and (teller := TELLER.search(why)):
            behind = f"{check.name} did not pass{teller[0]}"
        mine = group(room, check)
        found.append(_skipped(check, why, mine) if why else seen(check, result, mine))
    return found


def _skipped(check: Check, why: str, group: str) -> Seen:
    return Seen(False, why, about=check.name, app=check.app, status="skipped", group=group)


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
