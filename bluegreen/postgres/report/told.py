"""A plan in one line, as `pulumi preview` shows it, and the short words that the whole report begins with."""

from bluegreen.page.section import count, named, span
from bluegreen.postgres.plan import Plan

LEAST_MS = 20  # below it a wait is no more than this: what is measured on an idle copy is never exact


def told(plan: Plan) -> str:
    """The line, without a full stop at the end."""
    first = f"{plan.label}: {standing(plan)}, {count(plan.statements, 'statement')}, {plan.phase}"
    parts = [first, _locks(plan), _time(plan), _way_back(plan), _matrix(plan), *_against(plan)]
    if not plan.rehearsed:
        parts.append("not tried on a copy")
    return "; ".join(part for part in parts if part)


def standing(plan: Plan) -> str:
    """`pending`, `refused`, or when it was applied."""
    if plan.applied is not None and plan.applied.applied_at is not None:
        return f"applied on {plan.applied.applied_at:%Y-%m-%d at %H:%M} UTC"
    return "refused" if plan.refusals else "pending"


def _locks(plan: Plan) -> str:
    if plan.traced is None:
        return ""
    stopping = [held for held in plan.traced.locks if held.stops]
    if not stopping:
        return "locks nothing that is in use"
    names = tuple(held.relation.removeprefix("public.") for held in stopping)
    who = "reads and writes" if any(held.stops != "writes" for held in stopping) else "writes"
    longest = max(max(held.held_ms for held in stopping), LEAST_MS)
    return f"locks {named(names)} ({who} wait ≈ {span(longest)})"


def _time(plan: Plan) -> str:
    if plan.traced is None:
        return ""
    grows = f", {named(plan.traced.grows, 2)}" if plan.traced.grows else ""
    return f"≈ {span(max(plan.traced.estimate_ms, LEAST_MS))}{grows}"


def _way_back(plan: Plan) -> str:
    if plan.reverse is None:
        return ""
    return plan.reverse.verdict if plan.reverse.proven else f"{plan.reverse.verdict}, not proven"


def _matrix(plan: Plan) -> str:
    if plan.matrix is None:
        return ""
    if plan.matrix.missing:
        return "no matrix"
    faults = len(plan.matrix.faults) + len(plan.matrix_differences)
    return f"matrix differs in {count(faults, 'place')}" if faults else "matrix as recorded"


def _against(plan: Plan) -> tuple[str, ...]:
    if not plan.refusals:
        return ()
    return (f"{count(len(plan.refusals), 'finding')} against it",)


def mode(lock: str) -> str:
    """`ShareRowExclusiveLock` as SQL writes it: SHARE ROW EXCLUSIVE."""
    words = "".join(f" {letter}" if letter.isupper() else letter for letter in lock.removesuffix("Lock"))
    return words.strip().upper()
