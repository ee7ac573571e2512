"""`bluegreen rehearse`: does a change of the gateway do no harm? Asked on the previews, before users meet it.

`pulumi up` runs it once for every change of the gateway: the previews have the change already, what users meet has it
not. Every check is asked of each app's serving colour through its preview routes; what fails there and passes on the
way that users take now is harm. What fails on both ways is told and stops nothing: it was so before. What stands before
AI models is asked on a route that the gateway answers itself, because models cost money. Journeys and checks that write
are not asked: they would write while users meet the same data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bluegreen.cli.asking import alone, door, way_of_colour, way_of_users
from bluegreen.cli.retire import retire
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.witness import proved
from bluegreen.coherence import PREVIEWS
from bluegreen.gateway import Slot, Split
from bluegreen.http import ApiError
from bluegreen.kong.kept import hold_on, kept
from bluegreen.kong.spec import KEY_HEADER
from bluegreen.measure.checks import NoWay, Result, Way, ask_all
from bluegreen.measure.spec import CLOSED, Check
from bluegreen.spec import Spec
from bluegreen.validation.ways import shown

WORLD = "What users meet is as it was."


class Rehearsed(Spec):
    """What was asked of which gateway, and what of it is harm."""

    gateway: str
    asked: int
    harm: Sequence[Result] = ()
    before: Sequence[Result] = ()  # failed on the way that users take already


@dataclass(frozen=True, slots=True)
class Asked:
    """One check on the preview of the colour that serves."""

    check: Check
    way: Way | NoWay


async def rehearse(desk: Desk) -> Outcome:
    """Ask every check on the previews of a changed gateway, before users meet the change."""
    splits = await serving(desk)
    if not splits:
        facts = Rehearsed(gateway=desk.settings.gateway_id, asked=0)
        return Outcome(exit=Exit.OK, what="Nothing serves yet, so there is nobody to harm.", facts=facts)
    retired = await retire(desk)
    outcome = await _rehearsed(desk, splits, retired.said)
    if outcome.exit != Exit.OK:
        await retired.undo(desk)
        return outcome
    await retired.settle(desk)
    return await _released(desk, outcome)


async def _rehearsed(desk: Desk, splits: Mapping[str, Split], said: str) -> Outcome:
    id = desk.settings.gateway_id
    if late := await proved(desk, PREVIEWS, said):
        return Outcome(
            exit=Exit.FAILED_BEFORE_SWITCH,
            what=f"The changed previews are not in force: {late}.",
            world=WORLD,
            next="Look at the gateway's nodes, then run pulumi up again.",
        )
    asked = [each for check in alone(desk) if (each := _asked(desk, check, splits))]
    async with door(desk, desk.settings.checks) as gateway:
        results = await ask_all([(each.check, each.way) for each in asked], gateway, desk.ctx)
        failed = [each.check for each, result in zip(asked, results, strict=True) if result.status != "pass"]
        # Once more and beside the way of users, so that neither one bad answer nor an old fault counts.
        again = await ask_all([(each.check, each.way) for each in asked if each.check in failed], gateway, desk.ctx)
        now = await ask_all([(check, way_of_users(desk, check)) for check in failed], gateway, desk.ctx)
    harm = [new for new, old in zip(again, now, strict=True) if new.status != "pass" and old.status == "pass"]
    before = [new for new, old in zip(again, now, strict=True) if new.status != "pass" and old.status != "pass"]
    for result in before:
        await desk.ctx.milestone(f"{result.app}/{result.id} fails on the way that users take, too: {result.observed}")
    facts = Rehearsed(gateway=id, asked=len(asked), harm=harm, before=before)
    wrong = [f"{result.id}: {result.observed.rstrip('.')}" for result in harm] + await _kinds(desk)
    if wrong:
        return Outcome(
            exit=Exit.FAILED_BEFORE_SWITCH,
            what=f"This gateway would do harm, seen on its previews: {'; '.join(wrong)}.",
            world=WORLD,
            next="Correct the gateway in the config, then run pulumi up again.",
            facts=facts,
        )
    return Outcome(exit=Exit.OK, what=f"Gateway {id} is rehearsed: {len(asked)} checks, no harm.", facts=facts)


async def _released(desk: Desk, outcome: Outcome) -> Outcome:
    """A hold on the very gateway that the config wants has done its work."""
    kong, owner = desk.connections.kong(), desk.settings.owner
    there = await kept(kong, owner)
    if there is None or there.hold is None or there.gateway != desk.settings.gateway_id:
        return outcome
    await hold_on(kong, owner, None)
    said = f"{outcome.what} The hold is released: the config agrees with it ({there.hold})."
    return outcome.model_copy(update={"what": said})


async def serving(desk: Desk) -> Mapping[str, Split]:
    """The apps that carry traffic now, and how; what was just adopted does so past the weights."""
    found: dict[str, Split] = {}
    for app, lane in desk.settings.lanes().items():
        live, split = desk.settings.apps[app].live, await desk.connections.gateway().split(lane.upstream)
        if split.carrying:
            found[app] = split
        elif desk.settings.apps[app].kong.host is not None:
            found[app] = Split(lane.upstream, {live: Slot(live, lane.addresses[live], 100)})
    return found


def _asked(desk: Desk, check: Check, splits: Mapping[str, Split]) -> Asked | None:
    """How a check is asked of the colour that serves; None where nothing serves or nothing could be told apart."""
    split = splits.get(check.app)
    if split is None or split.live is None:
        return None
    closed = check.consumer is None and check.expect.status in CLOSED
    if closed and desk.settings.secrets.preview_key is None:
        return None  # an open preview turns nobody away
    answered = not check.only_at_the_gateway
    release = split.slots[split.live].release if answered else None
    # The witness has shown that the previews are in force.
    way = replace(way_of_colour(desk, check.app, split.live, release), young=False)
    if closed:
        way = replace(way, headers={name: value for name, value in way.headers.items() if name != KEY_HEADER})
    return Asked(check, shown(desk.settings, check, way))


async def _kinds(desk: Desk) -> list[str]:
    """What is wrong with what stands before models, a phrase each."""
    settings, key = desk.settings, desk.connections.values.get("previewKey", "")
    wrong: list[str] = []
    async with desk.connections.proxy(secrets=[key]) as gateway:
        for kind in settings.model_kinds():
            headers = {**settings.kind_headers(kind), **({KEY_HEADER: key} if key else {})}
            try:
                status = (await gateway.probe("/", headers=headers)).status
            except ApiError as problem:
                wrong.append(f"models of kind {kind}: {problem.what.rstrip('.')}")
                continue
            # Without a preview key strangers are turned away here as they are before the models.
            if status != 200 and (key or status >= 500 or status == 404):
                wrong.append(f"what stands before models of kind {kind} answered {status}")
    return wrong
