"""What a reviewer asks first: what will users meet, can we go back, what is risky. Each answer is a sentence or two.

A risk is what a reviewer may want to stop a change for. What stops an update by itself is told apart (`refused`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bluegreen.page.section import named, span
from bluegreen.planning.colours import short
from bluegreen.planning.document import AppPlan, Fit, Part, Policy, Schema, Side, Way
from bluegreen.planning.steps import LEAST_MS
from bluegreen.settings import Settings
from bluegreen.survey import Survey


@dataclass(frozen=True, slots=True)
class Told:
    """What the answers are made of."""

    settings: Settings
    survey: Survey | None
    apps: Sequence[AppPlan]
    traffic: Way
    migrations: Sequence[Schema]
    fits: Sequence[Fit]
    gateway: Sequence[Part]
    policies: Sequence[Policy]

    @property
    def sides(self) -> Iterator[tuple[AppPlan, Side]]:
        return ((app, side) for app in self.apps for side in app.sides)


def title(told: Told) -> str:
    """The change in a line."""
    moves = [
        f"{leg.app} {leg.origin} → {leg.goal}" if leg.origin else f"{leg.app} on {leg.goal}"
        for leg in told.traffic.legs
    ]
    deploys = [f"{app.app} {side.colour}" for app, side in told.sides if side.done == "deployed"]
    parts = [*(f"{each.label}" for each in told.migrations)]
    parts += [f"deploy {named(deploys, 3)}"] * bool(deploys)
    parts += moves
    parts += [f"remove {app.app} {side.colour}" for app, side in told.sides if side.done == "removed"]
    parts += ["gateway"] * bool(told.gateway)
    return ", ".join(parts) or "nothing changes"


def users(told: Told) -> str:
    """What they will meet."""
    said = [*_moved(told)]
    waits = [lock for each in told.migrations for lock in each.locks]
    if waits:
        who = "reads and writes" if any(lock.stops != "writes" for lock in waits) else "writes"
        longest = max(max(lock.ms for lock in waits), LEAST_MS)
        tables = named(sorted({lock.relation.removeprefix("public.") for lock in waits}), 3)
        said.append(f"While the schema changes, {who} of {tables} wait about {span(longest)}.")
    fronts = [part for part in told.gateway if part.users]
    if fronts:
        said.append(f"The gateway changes for everybody at once: {named([_part(part) for part in fronts], 3)}.")
    if not said:
        still = ", ".join(f"{app.app} stays on {app.goal}" for app in told.apps)
        said.append(f"Nothing new: {still}.")
    return " ".join(said)


def _moved(told: Told) -> Iterator[str]:
    for leg in told.traffic.legs:
        app = next(app for app in told.apps if app.app == leg.app)
        goal = next((side.after for side in app.sides if side.colour == leg.goal), None)
        what = f" ({short(goal.tag) or f'release {goal.release}'})" if goal else ""
        if leg.origin is None:
            yield f"{leg.app} begins on {leg.goal}{what}, the first there is."
        elif leg.origin == leg.goal:
            yield f"{leg.app} stays on {leg.goal}; what the gateway says of it is put right."
        else:
            how = ", all at once" if len(leg.stages) == 1 else f" in {len(leg.stages)} stages"
            yield f"{leg.app} goes from {leg.origin} to {leg.goal}{what}{how}."


def back(told: Told) -> str:
    """Whether this can be taken back."""
    said = [app.after.why for app in told.apps]
    for each in told.migrations:
        if each.reverse:
            proven = "" if each.proven else ", not proven"
            said.append(
                f"The schema of {each.label} stays when traffic goes back; by itself it is {each.reverse}{proven}."
            )
        else:
            said.append(f"The schema of {each.label} stays when traffic goes back; its own way back is not known.")
    return " ".join(said)


def risks(told: Told) -> tuple[str, ...]:
    """What a reviewer may want to stop this for, the worst first."""
    return tuple(dict.fromkeys(_risks(told)))


def _risks(told: Told) -> Iterator[str]:
    yield from (f"Policy {each.rule}, {each.resource}: {each.says}" for each in told.policies)
    for fit in told.fits:
        if fit.after is False:
            yield f"{fit.app} {fit.colour} needs schema {fit.needs}, which is not there afterwards."
    for each in told.migrations:
        yield from _migration(each)
    for app in told.apps:
        if app.now.possible and app.after.possible is False:
            yield f"It takes the way back of {app.app}, which is there now: {_until(app)}."
    yield from _traffic(told)
    if told.survey is not None:
        if told.survey.frozen:
            yield f"Rollouts are frozen now: {told.survey.frozen}."
        yield from (
            f"It is not as it should be now: {each}." for each in told.survey.drift if not _meant(each, told.traffic)
        )


def _meant(drift: str, traffic: Way) -> bool:
    """A difference that is there only because the config was changed is what this plan is about."""
    first = any(leg.origin is None and drift.startswith(f"{leg.app}: Kong has no target") for leg in traffic.legs)
    return first or "no update has run since" in drift or "Kong's target says" in drift


def _migration(each: Schema) -> Iterator[str]:
    if each.phase == "contract":
        yield f"{each.label} is a contract: it takes away what releases before it may need."
    if each.rewrites:
        yield f"{each.label} rewrites {named(each.rewrites, 3)}."
    if any(lock.stops != "writes" for lock in each.locks):
        yield f"{each.label} makes reads wait."
    if each.grows:
        yield f"How long {each.label} takes {named(each.grows, 2)}."
    if each.reverse and (each.reverse != "reversible" or not each.proven):
        yield f"{each.label} is {each.reverse}{'' if each.proven else ', not proven'}."
    if not each.rehearsed:
        yield f"{each.label} was not tried on a copy of the database."


def _until(app: AppPlan) -> str:
    return (
        f"possible until {app.now.until:%Y-%m-%d %H:%M} UTC" if app.now.until else "possible as long as nobody deploys"
    )


def _traffic(told: Told) -> Iterator[str]:
    rollouts = [leg for leg in told.traffic.legs if leg.kind == "rollout"]
    if rollouts and not (told.traffic.before or told.traffic.after or _judged(told)):
        yield "No analysis judges this rollout: whatever is wrong, users tell."
    for app, side in told.sides:
        live_now = side.before is not None and bool(side.before.weight)
        if side.done == "deployed" and live_now and side.after is not None and side.after.weight:
            yield f"{app.app} {side.colour} is redeployed while it serves, which an update refuses."


def _judged(told: Told) -> bool:
    return any(stage.startswith("analysis") for leg in told.traffic.legs for stage in leg.stages)


def _part(part: Part) -> str:
    return f"{part.kind} {part.name} {part.op}"
