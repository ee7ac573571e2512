"""A plan, put together from everything that was read: nothing is asked here, and nothing is decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError

from bluegreen.evidence.identity import stack_of
from bluegreen.gateway import Split
from bluegreen.handler import Refused
from bluegreen.planning import answers, colours, moving, parts, schemas, steps, wayback
from bluegreen.planning.deciding import Decides, fingerprint
from bluegreen.planning.document import AppPlan, Planned, Schema, Unchecked
from bluegreen.planning.previewed import TRAFFIC, Previewed
from bluegreen.postgres.plan import Plan
from bluegreen.rollout.plan import Move
from bluegreen.rollout.spec import Rollout
from bluegreen.settings import Settings
from bluegreen.standing import Recorded
from bluegreen.survey import Survey


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that was read. `splits` are the gateway's, or as the last update recorded them."""

    settings: Settings
    preview: Previewed
    now: datetime
    splits: Mapping[str, Split]
    recorded: Recorded
    survey: Survey | None = None
    move: Move | Refused | None = None
    plans: Mapping[str, Plan | None] = field(default_factory=dict)  # of migrations, by name
    tags: Mapping[str, str] = field(default_factory=dict)  # by digest
    decides: Decides = field(default_factory=dict)
    unchecked: Sequence[Unchecked] = ()


def planned(material: Material) -> Planned:
    """The whole document."""
    settings, preview = material.settings, material.preview
    move = material.move if isinstance(material.move, Move) else Move()
    traffic = moving.way(move)
    migrations = schemas.pending(preview, material.plans)
    holds, after = _schema(material, bool(migrations))
    gateway = parts.gateway(settings, preview)
    apps = tuple(_apps(material, move, (holds, after), timedelta(seconds=traffic.seconds)))
    sides = tuple((app.app, side) for app in apps for side in app.sides)
    stepping = steps.Parts(settings, sides, traffic, migrations, gateway, schemas.kept(preview))
    fits = schemas.fits(settings, holds, after)
    found = parts.policies(preview)
    told = answers.Told(settings, material.survey, apps, traffic, migrations, fits, gateway, found)
    return Planned(
        owner=settings.owner,
        stack=stack_of(settings.owner),
        at=material.now,
        title=answers.title(told),
        users=answers.users(told),
        back=answers.back(told),
        risks=answers.risks(told),
        refused=tuple(dict.fromkeys(_refused(material, migrations))),
        apps=apps,
        steps=steps.steps(stepping),
        traffic=traffic,
        seconds=steps.seconds(stepping),
        schema_now=holds,
        schema_after=after,
        migrations=migrations,
        fits=fits,
        gateway=gateway,
        policies=found,
        rules=preview.rules,
        fleet=parts.fleet(settings, sides),
        unchecked=(*material.unchecked, *_untried(material, migrations)),
        operations=parts.operations(preview),
        decides=material.decides,
        fingerprint=fingerprint(material.decides),
    )


def _apps(material: Material, move: Move, schema: tuple[str | None, str | None], took: timedelta) -> Iterator[AppPlan]:
    settings = material.settings
    world = wayback.World(
        settings, material.splits, material.recorded, move, *schema, material.now, took, _in_force(material)
    )
    for app in settings.order():
        split = material.splits.get(app)
        both = colours.sides(settings, app, split, material.preview, material.tags)
        yield AppPlan(
            app=app,
            live=split.live if split else None,
            goal=settings.apps[app].live,
            sides=both,
            now=wayback.now(app, world, both),
            after=wayback.after(app, world),
        )


def _in_force(material: Material) -> Rollout:
    """How traffic moved until now; where that holds a secret it is masked, and the config's stands in."""
    found = next((step.old.get("rollout") for step in material.preview.of(TRAFFIC) if step.old), None)
    try:
        return Rollout.model_validate(found) if found is not None else material.settings.rollout
    except ValidationError:
        return material.settings.rollout


def _schema(material: Material, changes: bool) -> tuple[str | None, str | None]:
    """The newest migration that the database has, and will have."""
    wanted = material.settings.migrations
    holds = material.survey.database.holds if material.survey else None
    if wanted is None:
        return None, None
    if holds is None:
        return None, wanted.target if changes else None
    return holds, max(holds, wanted.target, key=int)


def _refused(material: Material, migrations: Sequence[Schema]) -> Iterator[str]:
    yield from material.preview.refused
    if isinstance(material.move, Refused) and not any(material.move.what in said for said in material.preview.refused):
        yield str(material.move)
    yield from schemas.objections(migrations)
    for each in material.preview.objections:
        if each.level == "mandatory":
            yield f"Policy {each.rule} is broken by {each.resource}."


def _untried(material: Material, migrations: Sequence[Schema]) -> Iterator[Unchecked]:
    if material.preview.refused:
        yield Unchecked(what="what comes after the refusal", why="the preview stopped there, so steps may be missing")
    for each in migrations:
        yield from (Unchecked(what=each.label, why=why) for why in each.not_checked if why)
