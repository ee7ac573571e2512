"""What validations found, for people: what did not pass in full, what passed as a list by group.

162 checks that passed are 162 lines that nobody reads: check by check they are told to whoever asks on a screen.
"""

from collections import Counter
from collections.abc import Sequence

from bluegreen.page.section import SIGNS, Section, table
from bluegreen.report.marks import mark_of
from bluegreen.report.said import amount
from bluegreen.report.story import FindingTold, Story, ValidationTold

WHEN = "%Y-%m-%d %H:%M:%S"
CHECK = ("check", "status", "observed", "expected", "n", "took")


def validations(story: Story) -> Section:
    """The last run, and what the first one before it said otherwise."""
    if not story.validations:
        return Section("validations", "Validations", "Nobody ran bluegreen validate for this release.", "look")
    *before, last = story.validations
    was = {each.id: each.status for each in before[0].findings} if before else {}
    order = {status: place for place, status in enumerate(("fail", "error", "warn", "skipped"))}
    other = sorted(
        (each for each in last.findings if each.status != "pass"), key=lambda each: order.get(each.status, 0)
    )
    passed = [each for each in last.findings if each.status == "pass"]
    better = [each.id for each in passed if was.get(each.id, "pass") not in ("pass", "skipped")]
    points = [_wrong(each) for each in other if each.status != "skipped"]
    points += [f"Passed now, and not at {before[0].began:{WHEN}}: {', '.join(better)}."] if better else []
    return Section(
        "validations",
        "Validations",
        f"{_run(last)}.",
        mark_of([each.status for each in last.findings if each.status != "skipped"]),
        (
            *table("What did not pass, or was not asked", ("", *CHECK), [_checked(each) for each in other]),
            *table("What passed", ("group", "n", "checks"), _grouped(passed)),
        ),
        points=(*points, *(_run(each) for each in before)),
        folded=table("What passed, check by check", ("", *CHECK), [_checked(each) for each in passed]),
    )


def _checked(finding: FindingTold) -> tuple[str, ...]:
    sign = SIGNS[mark_of([finding.status])]
    took = amount(finding.duration_ms, "ms")
    expected = finding.expected or "–"
    return (sign, finding.id, finding.status, finding.observed, expected, f"{finding.n:,}", took)


def _grouped(passed: Sequence[FindingTold]) -> Sequence[tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for each in passed:
        groups.setdefault(each.group or "other", []).append(each.id)
    return [(group, f"{len(ids):,}", ", ".join(ids)) for group, ids in groups.items()]


def _wrong(finding: FindingTold) -> str:
    wanted = f" Expected: {finding.expected}." if finding.expected else ""
    return f"{finding.id}, {finding.status}: {finding.observed}.{wanted} {finding.hint}".strip()


def _run(validation: ValidationTold) -> str:
    by = Counter(each.status for each in validation.findings)
    told = ", ".join(f"{number} {status}" for status, number in by.most_common())
    way = f"{validation.way} past the weights" if validation.way in ("blue", "green") else "the users' way"
    return f"{validation.began:{WHEN}} UTC, {way}: {validation.verdict or 'no verdict'} ({told or 'no check'})"
