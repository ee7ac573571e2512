"""What became of a migration on the database itself: when, by whom, who was in the way, and whether it is as tried."""

from collections.abc import Iterator

from bluegreen.page.section import Mark, Section, count, span, table
from bluegreen.postgres.plan import Plan


def outcome(plan: Plan) -> Iterator[Section]:
    """Two sections, once it is applied; before that there is nothing to tell."""
    if plan.applied is None or plan.applied.applied_at is None:
        return
    yield _applied(plan)
    if plan.verified is not None:
        yield _verified(plan)


def _applied(plan: Plan) -> Section:
    done = plan.applied
    assert done is not None
    rows = [
        ("when", f"{done.applied_at:%Y-%m-%d %H:%M:%S} UTC" if done.applied_at else ""),
        ("by", done.applied_by or ""),
        ("took", span(done.took_ms or 0)),
        ("attempts", str(done.attempts or 1)),
    ]
    said = f"Applied on {plan.where}." if plan.where else "Applied."
    met = f" {count(len(plan.blockers), 'session')} in the way." if plan.blockers else " Nobody was in the way."
    points = tuple(f"In the way: {each}." for each in plan.blockers)
    return Section("applied", "Applied", said + met, "good", table("Applied", ("what", "value"), rows), points=points)


def _verified(plan: Plan) -> Section:
    found = plan.verified
    assert found is not None
    left = tuple(f"{each.object}: {each.message} {each.hint}".strip() for each in found.leftovers)
    mark: Mark = "good" if found.well else "bad"
    said = "Everything that was touched is as on the copy." if found.well else "It is not as on the copy."
    return Section("verified", "Verified", said, mark, points=(*found.differences, *left))
