"""`bluegreen validate`: does every check of the stack get the answer that it expects?

Without a colour the checks go the way that users take, each with its consumer's key or with none. With a colour they
go past the weights, through that colour's preview routes with the preview key, and only that colour's release may
answer; what the gateway itself answers says nothing about a colour and is skipped. An app's `verify` can name this
verb: it finds STACK, APP and COLOUR in its environment. It deliberately moves nothing, and a skipped check never
counts as passed.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from bluegreen.cli.asking import STYLES, door, show, way_of_colour, way_of_users
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Refused
from bluegreen.measure.checks import NoWay, Result, Way, ask_all
from bluegreen.measure.spec import Check
from bluegreen.spec import Colour, Spec

App = Annotated[str | None, typer.Option(help="Only this app's checks.")]
Slot = Annotated[
    Literal["blue", "green"] | None, typer.Option(help="Ask this colour alone, past the weights, not the way of users.")
]
Only = Annotated[list[str] | None, typer.Option(help="Only this check; may be given more than once.")]


class Checked(Spec):
    """What was asked on which way, and every result in the order of the config."""

    way: Literal["users", "blue", "green"]
    passed: int
    failed: int
    errors: int
    skipped: int
    results: Sequence[Result]


async def validate(desk: Desk, *, app: App = None, colour: Slot = None, only: Only = None) -> Outcome:
    """Ask every check of the config, on the way that users take or of one colour."""
    checks = _chosen(desk, app, only or ())
    async with door(desk, checks) as gateway:
        results = await ask_all([(check, _way(desk, check, colour)) for check in checks], gateway, desk.ctx)
    await show(desk, results)
    return _outcome(results, colour)


def _chosen(desk: Desk, app: str | None, only: Sequence[str]) -> list[Check]:
    checks = desk.settings.checks
    _known("app", [] if app is None else [app], desk.settings.order())
    _known("check", only, [check.name for check in checks])
    return [check for check in checks if app in (None, check.app) and (not only or check.name in only)]


def _known(kind: str, given: Sequence[str], there: Sequence[str]) -> None:
    for name in given:
        if name not in there:
            named = f"Name one of {', '.join(there)}." if there else f"Add one to the config ({kind}s)."
            raise Refused(f"There is no {kind} {name!r} in the config.", world="Nothing was asked.", next=named)


def _way(desk: Desk, check: Check, colour: Colour | None) -> Way | NoWay:
    if colour is None:
        return way_of_users(desk, check)
    settings = desk.settings
    if settings.apps[check.app].release(colour) is None:
        return NoWay("skipped", f"{check.app} has no {colour} block")
    if check.only_at_the_gateway:
        return NoWay("skipped", check.only_at_the_gateway)
    return way_of_colour(desk, check.app, colour, settings.release_id(check.app, colour))


def _outcome(results: Sequence[Result], colour: Colour | None) -> Outcome:
    count = {status: sum(result.status == status for result in results) for status in STYLES}
    bad = [result for result in results if result.status in ("fail", "error")]
    where = f"of {colour}" if colour else "on the way that users take"
    rest = f", {count['skipped']} skipped" if count["skipped"] else ""
    facts = Checked(
        way=colour or "users",
        passed=count["pass"],
        failed=count["fail"],
        errors=count["error"],
        skipped=count["skipped"],
        results=results,
    )
    if bad:
        named = "; ".join(f"{result.id}: {result.observed.rstrip('.')}" for result in bad)
        what = f"{len(bad)} of {len(results)} checks {where} did not pass{rest} ({named})."
        after = bad[0].hint if len(bad) == 1 else "Each result says what to look at."
        world = "No traffic was moved."
        return Outcome(exit=Exit.FAILED_BEFORE_SWITCH, what=what, world=world, next=after, facts=facts)
    if not count["pass"]:
        what = f"No check was asked {where}{rest}."
        after = "Add a check that says something about it, or choose others with --app and --only."
        return Outcome(exit=Exit.REFUSED, what=what, world="So nothing is known.", next=after, facts=facts)
    return Outcome(exit=Exit.OK, what=f"{count['pass']} of {len(results)} checks {where} passed{rest}.", facts=facts)
