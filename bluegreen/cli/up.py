"""`bluegreen up STACK`: `pulumi up` for whoever wants its end in our words and codes, as pipelines do.

Before the engine starts three things are looked at: that no older commit is brought up over a newer one (`--branch`),
that nobody has the stack, and that a reviewed plan still is what this does (`--plan`). Then the engine runs once; it
previews first only where policies judge (`--policy-pack`), so that they object before anything is changed. What is
under way is told on standard error, and the end is one outcome: 0, or the code that says where users are.

It deliberately adds no gate of its own: what must not happen the provider refuses, whoever runs the engine.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bluegreen.cli.plan import Checked, Pack, PackConfig, hidden
from bluegreen.cli.plan import plan as planned
from bluegreen.cli.stack import UNREADABLE
from bluegreen.cli.up_engine import Event, Order, run
from bluegreen.cli.up_outcome import UNFINISHED, End, held, outcome
from bluegreen.cli.up_seen import Op, Seen
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.evidence.hidden import Hide
from bluegreen.handler import Halt, Refused
from bluegreen.rollout.spec import Done
from bluegreen.settings import Settings
from bluegreen.spec import State
from bluegreen.staging.newest import newest

Reviewed = Annotated[Path | None, typer.Option("--plan", help="Only if this plan still is what it does.")]
Reason = Annotated[str, typer.Option(help="Why; for the record of the release, and the engine's own history.")]
Branch = Annotated[str, typer.Option(help="Only if this branch of the remote has no commit that is missing here.")]
Remote = Annotated[str, typer.Option(help="Where that branch is.")]

ASKED = "what came of it is found by the next one that needs it; bluegreen recover asks at once and forgets it."


class Brought(State):
    """What an update did. `engine` is the engine's own exit code; none where it was not started."""

    schema_version: int = 1
    engine: int | None = None
    seconds: float = 0.0
    changed: tuple[Op, ...] = ()
    failed: tuple[Op, ...] = ()
    live: Mapping[str, str] = {}  # by app: a colour, or split, none, unfinished, held
    moves: tuple[Done, ...] = ()  # this update's own
    policies: tuple[str, ...] = ()  # mandatory ones that object
    errors: tuple[str, ...] = ()
    plan: str = ""  # the fingerprint of the plan that was checked
    since: tuple[str, ...] = ()  # what is not as it was planned


async def up(
    desk: Desk,
    *,
    plan: Reviewed = None,
    policy_pack: Pack = None,
    policy_pack_config: PackConfig = None,
    reason: Reason = "",
    branch: Branch = "",
    remote: Remote = "origin",
) -> Outcome:
    """Bring the stack up as its file says; every end in one sentence and one code."""
    if branch:
        commit = await asyncio.to_thread(newest, desk.stack.file, branch, remote)
        await desk.ctx.milestone(f"{commit[:10]} has everything that {branch} of {remote} has.")
    lock = await asyncio.to_thread(desk.stack.lock)
    if lock is not None:
        return held(desk.stack.name, str(lock), alive=lock.alive)
    if cut := await asyncio.to_thread(desk.stack.pending):
        await desk.ctx.milestone(f"An earlier update was cut short ({', '.join(cut)}): {ASKED}")
    facts = Brought()
    if plan is not None:
        checked = await planned(desk, check=plan)
        facts = _checked(checked)
        if checked.exit is not Exit.OK:
            return checked.model_copy(update={"facts": facts})
        await _unchanged(desk)
        await desk.ctx.milestone(checked.what)
    order = Order(policy_pack or (), policy_pack_config or (), " ".join(reason.split()))
    return await _brought(desk, order, facts)


async def _brought(desk: Desk, order: Order, facts: Brought) -> Outcome:
    seen, hide, began = Seen(), hidden(desk), desk.ctx.now()

    async def hear(event: Event) -> None:
        for text, passes in seen.hear(event):
            await (desk.ctx.status if passes else desk.ctx.milestone)(hide(text))

    done = await run(desk.stack, order, hear, desk.ctx)
    if not seen.began and UNREADABLE in done.said:
        raise await asyncio.to_thread(desk.stack.unreadable, next(x for x in done.said.splitlines() if UNREADABLE in x))
    now = await _now(desk) if done.code and seen.began else {}
    told = outcome(seen, End(done.code, done.said, done.wish, now), desk.stack.name)
    facts = facts.model_copy(
        update={
            "engine": done.code,
            "seconds": round((desk.ctx.now() - began).total_seconds(), 1),
            "changed": tuple(seen.changed),
            "failed": tuple(seen.failed),
            "live": now or (dict(seen.traffic.live) if seen.traffic is not None else {}),
            "moves": seen.moves,
            "policies": tuple(seen.policies),
            "errors": tuple(seen.errors),
        }
    )
    return _without(told, facts, hide)


async def _now(desk: Desk) -> dict[str, str]:
    """Where users are as the gateway has it, whatever state knows of it; empty where it does not answer."""
    found, gateway = dict[str, str](), desk.connections.gateway()
    for app, lane in desk.settings.lanes().items():
        try:
            split = await gateway.split(lane.upstream)
        except Halt:
            return {}
        mark = any(slot.move is not None for slot in split.slots.values())
        found[app] = UNFINISHED if mark else split.live or ("split" if split.carrying else "none")
    return found


async def _unchanged(desk: Desk) -> None:
    """What was compared with the plan is what the engine is about to read.

    Raises:
        Refused: the config was changed while the plan was checked.
    """
    stack = desk.stack
    if Settings.parse(stack.project, stack.name, await asyncio.to_thread(stack.config)) != desk.settings:
        what = f"{stack.file.name} was changed while its plan was checked."
        raise Refused(what, world="Nothing was changed.", next="Run this again.")


def _checked(told: Outcome) -> Brought:
    found = told.facts
    return Brought(plan=found.fingerprint, since=found.since) if isinstance(found, Checked) else Brought()


def _without(told: Outcome, facts: Brought, hide: Hide) -> Outcome:
    shown = Brought.model_validate(hide(facts.model_dump(mode="json", by_alias=True)))
    beats = {beat: hide(getattr(told, beat)) for beat in ("what", "world", "next")}
    return told.model_copy(update={**beats, "facts": shown})
