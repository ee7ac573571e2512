"""What a change does to the database, as its rehearsals found it, and whether both colours can live with it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bluegreen.planning.document import Fit, Locked, Schema
from bluegreen.planning.previewed import MIGRATION, Previewed, Step
from bluegreen.postgres import report
from bluegreen.postgres.plan import Plan
from bluegreen.settings import Settings

APPLIED = ": applied on "  # after its name, as the provider says of a file that the ledger has
UNSEEN = "its report is not there, or is another text's"


def pending(preview: Previewed, plans: Mapping[str, Plan | None]) -> tuple[Schema, ...]:
    """Every migration that this change applies, in its order; `plans` are by the resource's name."""
    done = {each.name for each in preview.said if each.text.startswith(f"{each.name}{APPLIED}")}
    steps = [step for step in preview.of(MIGRATION) if step.op in ("create", "update") and step.name not in done]
    return tuple(_schema(step, plans.get(step.name)) for step in steps)


def wanted(preview: Previewed) -> tuple[tuple[str, Path, str], ...]:
    """Name, report folder and text's hash of every migration that a step is about."""
    found = list[tuple[str, Path, str]]()
    for step in preview.of(MIGRATION):
        if step.op in ("create", "update"):
            reports, owner = str(step.new.get("reports") or "reports"), str(step.new.get("owner", ""))
            folder = Path(reports) / (owner.partition(".")[2] or owner) / "migrations" / step.name
            found.append((step.name, folder, str(step.new.get("sha256", ""))))
    return tuple(found)


def kept(preview: Previewed) -> tuple[str, ...]:
    """Migrations that leave the program; their schema stays."""
    return tuple(step.name for step in preview.of(MIGRATION) if step.op.startswith("delete"))


def fits(settings: Settings, holds: str | None, after: str | None) -> tuple[Fit, ...]:
    """What schema every colour needs, and whether it is there."""
    return tuple(
        Fit(app=app, colour=colour, needs=needs, now=_enough(needs, holds), after=_enough(needs, after))
        for app in settings.order()
        for colour in ("blue", "green")
        if (block := settings.apps[app].release(colour)) is not None
        for needs in [block.schema_min]
    )


def _enough(needs: str | None, holds: str | None) -> bool | None:
    if needs is None:
        return True
    return None if holds is None else int(needs) <= int(holds)


def _schema(step: Step, plan: Plan | None) -> Schema:
    phase = str(step.new.get("phase", ""))
    if plan is None:
        return Schema(label=step.name, phase=phase, told=f"{step.name}: pending, {phase}", not_checked=(UNSEEN,))
    traced, back = plan.traced, plan.reverse
    return Schema(
        label=plan.label,
        phase=plan.phase,
        told=report.told(plan),
        rehearsed=plan.rehearsed,
        known=True,
        ms=traced.estimate_ms if traced else None,
        locks=tuple(
            Locked(relation=each.relation, stops=each.stops, ms=each.held_ms) for each in traced.locks if each.stops
        )
        if traced
        else (),
        rewrites=traced.rewrites if traced else (),
        grows=traced.grows if traced else (),
        reverse=back.verdict if back else "",
        proven=back.proven if back else False,
        refusals=plan.refusals,
        not_checked=plan.not_checked,
    )


def objections(migrations: Sequence[Schema]) -> Iterator[str]:
    """What keeps a migration from being applied, a sentence each."""
    for each in migrations:
        if each.refusals:
            more = f", and {len(each.refusals) - 1} more" if len(each.refusals) > 1 else ""
            yield f"{each.label} is refused: {each.refusals[0].rstrip('.')}{more}."
