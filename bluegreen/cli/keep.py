"""`bluegreen keep`: remember what users meet as the last good gateway, once it is in force and every check passes.

`pulumi up` runs it after each change of the gateway, last of all but what the change takes away: that is taken out of
the way here, so that the checks meet the gateway as it will be, and stands again when one of them fails. What is
remembered lies in Kong, where `bluegreen rollback kong` finds it without Pulumi. A check that fails here fails the
update, and what was kept stays. Journeys and checks that write are not asked: an update is no reason to make a team.
"""

from collections.abc import Sequence

from bluegreen.cli.asking import alone, door, known, way_of_users
from bluegreen.cli.rehearse import serving
from bluegreen.cli.retire import withdraw
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.cli.witness import proved
from bluegreen.coherence import FRONTS
from bluegreen.declared import EVERYWHERE, before_users
from bluegreen.http import Conflict
from bluegreen.kong import kept as kong
from bluegreen.kong.kept import Kept, Rows
from bluegreen.kong.restore import taken
from bluegreen.measure.checks import Result, ask_all
from bluegreen.settings import Settings
from bluegreen.spec import Spec


class Facts(Spec):
    """Which gateway was judged, and every check's result."""

    gateway: str
    kept: bool
    results: Sequence[Result] = ()


async def keep(desk: Desk) -> Outcome:
    """Remember what users meet as the last good gateway, if every check passes."""
    id, owner, gateway = desk.settings.gateway_id, desk.settings.owner, desk.connections.kong()
    before = await kong.kept(gateway, owner)
    if before is not None and before.hold is not None and before.gateway != id:
        return _refused(f"The gateway is {before.hold}, and the config wants another (gateway {id}).")
    if not await serving(desk):
        facts = Facts(gateway=id, kept=False)
        return Outcome(exit=Exit.OK, what="Nothing serves yet, so no gateway is known to be good.", facts=facts)
    withdrawn = await withdraw(desk)
    results = await passing(desk) if not (late := await proved(desk, FRONTS, withdrawn.said)) else ()
    bad = [f"{result.id}: {result.observed.rstrip('.')}" for result in results if result.status != "pass"]
    if late or bad:
        await withdrawn.undo(desk)
        why = (
            f"Users meet a gateway that does not pass ({'; '.join(bad)})"
            if bad
            else f"The changed gateway is not in force: {late}"
        )
        again = ". What it would take away stands again" if withdrawn.back else ""
        return _failed(f"{why}{again}", before, Facts(gateway=id, kept=False, results=results))
    facts = Facts(gateway=id, kept=False, results=results)
    if _another(now := await kong.kept(gateway, owner), before):  # the witness is theirs by now
        return _overtaken(now, before, facts)
    await withdrawn.settle(desk)
    secrets = {plugin: list(paths) for plugin, paths in desk.settings.secrets.plugins.items()}
    rows = declared(desk.settings, await taken(gateway, owner, secrets=secrets))
    good = Kept(id, desk.ctx.now().replace(microsecond=0), len(results), rows, hold=None)
    if _another(now := await kong.kept(gateway, owner), before):
        return _overtaken(now, before, facts)
    try:
        await kong.keep(gateway, owner, good)
    except Conflict:
        return _beaten(await kong.kept(gateway, owner), facts)
    released = f" The hold is released: the config agrees with it ({before.hold})." if before and before.hold else ""
    return Outcome(
        exit=Exit.OK,
        what=f"Gateway {id} passes {len(results)} checks and is kept as the last good one.{released}",
        facts=Facts(gateway=id, kept=True, results=results),
    )


async def passing(desk: Desk, *, sealed: bool = False) -> Sequence[Result]:
    """Every check on the way that users take; what does not pass is asked once more: one bad answer is no verdict.

    Args:
        sealed: keys may be encrypted and Pulumi not here to open them; the checks that show these are left out.
    """
    checks = alone(desk)
    if sealed:
        checks = [check for check in checks if known(desk, check)]
    async with door(desk, checks) as line:
        results = await ask_all([(check, way_of_users(desk, check)) for check in checks], line, desk.ctx)
        bad = [check for check, result in zip(checks, results, strict=True) if result.status != "pass"]
        again = await ask_all([(check, way_of_users(desk, check)) for check in bad], line, desk.ctx)
    second = {result.id: result for result in again}
    return [second.get(result.id, result) for result in results]


def declared(settings: Settings, rows: Rows) -> Rows:
    """These rows without what the config has no more: the engine deletes that after everything else."""
    wanted, names = before_users(settings), {str(row["id"]): str(row["name"]) for row in rows["routes"]}
    return {
        "services": [row for row in rows["services"] if row["name"] in wanted],
        "routes": [row for row in rows["routes"] if row["name"] in wanted],
        "plugins": [
            row
            for row in rows["plugins"]
            if row["name"] in wanted.get(names.get(str((row["route"] or {}).get("id")), EVERYWHERE), ())
        ],
    }


def _failed(what: str, before: Kept | None, facts: Facts) -> Outcome:
    ways = "bluegreen rollback kong --reason … puts it back. Or correct the config" if before else "Correct the config"
    return Outcome(
        exit=Exit.FAILED_BEFORE_SWITCH,
        what=f"{what}.",
        world=f"Kept stays {before}." if before else "No gateway was ever kept.",
        next=f"{ways}, then run pulumi up again.",
        facts=facts,
    )


def _another(now: Kept | None, before: Kept | None) -> bool:
    """Whether somebody has kept, held or released a gateway since it was read."""
    return (now and (now.gateway, now.hold)) != (before and (before.gateway, before.hold))


def _overtaken(now: Kept | None, before: Kept | None, facts: Facts) -> Outcome:
    """A way back by hand began while the checks were asked: it has the last word."""
    if now is None or now.hold is None:
        released = now is not None and before is not None and before.hold is not None
        return _beaten(now, facts, "released the hold" if released else "kept a gateway")
    if before is not None and now.hold == before.hold:
        return _beaten(now, facts)
    refused = _refused(f"Gateway {facts.gateway} passes, and meanwhile it was taken back: it is {now.hold}.")
    return refused.model_copy(update={"facts": facts})


def _beaten(there: Kept | None, facts: Facts, did: str = "kept a gateway") -> Outcome:
    """Which of the two gateways users meet now, only a look at it can tell, so this one is not kept after the other."""
    return Outcome(
        exit=Exit.REFUSED,
        what=f"Gateway {facts.gateway} passes, and somebody else {did} at the same moment.",
        world=f"Nothing of the gateway itself was changed. Kept is {there or 'none'}.",
        next="Run pulumi up again.",
        facts=facts,
    )


def _refused(what: str) -> Outcome:
    return Outcome(
        exit=Exit.REFUSED,
        what=what,
        world="Nothing was kept; users meet the gateway that was restored.",
        next="Revert the gateway's change in the config, or go on with it: bluegreen hold release --reason …",
    )
