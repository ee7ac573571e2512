"""A validation for people: a table on a terminal, a line a finding in a log, Markdown for a pull request or a run.

A status is a sign, a word and a colour, never the colour alone. What passes is one line; what does not says what was
expected and what to do. What an app answers is text in all of them, never markup.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from bluegreen.validation.finding import STATUSES, Finding, Status, Validation

SIGNS: dict[Status, str] = {"pass": "✓", "warn": "!", "fail": "✗", "error": "?", "skipped": "-"}
STYLES: dict[Status, str] = {
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "error": "bold red",
    "skipped": "dim",
}
AWAITED = "·"
FIRST = ("health", "api", "cors", "assets")
NAMED = "check"  # what somebody named in the config: each is shown by its name
MEASURED = "performance"  # what is looked at for its numbers
ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>|"})


def missed(finding: Finding) -> bool:
    """Whether somebody has to look at it."""
    return finding.status in ("warn", "fail", "error")


def table(validation: Validation) -> Table:
    """What a person sees, in eighty columns. What passes is one line a check; what somebody has to look at is last."""
    grid = Table("", "check", "ms", "seen", box=None, header_style="dim", padding=(0, 1, 0, 0))
    grid.columns[0].no_wrap = True
    grid.columns[1].overflow = "fold"
    grid.columns[1].max_width = 34
    grid.columns[2].justify = "right"
    for group, findings in groupby(sorted_by_group(validation), key=lambda finding: finding.group):
        mine = list(findings)
        counted = ", ".join(f"{count} {status}" for status in STATUSES if (count := _count(mine, status)))
        grid.add_row("", Text(group, style="bold"), "", Text(counted, style="dim"))
        for row in _rows([finding for finding in mine if not missed(finding)]):
            grid.add_row(*(_cells(row[0]) if len(row) == 1 else _together(row)))
    bad = [finding for finding in sorted_by_group(validation) if missed(finding)]
    if bad:
        grid.add_row("", Text("to look at", style="bold"), "", "")
    for finding in bad:
        grid.add_row(*_cells(finding))
    return grid


def progress(asked: Mapping[str, int], found: Sequence[Finding]) -> Table:
    """What has come so far: a sign a finding in the row of its group, a dot for each check that is awaited."""
    grid = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True, style="dim")
    for group in dict.fromkeys([*asked, *(finding.group for finding in found)]):
        mine = [finding for finding in found if finding.group == group]
        signs = Text.assemble(*((SIGNS[each.status], STYLES[each.status]) for each in mine))
        signs.append(AWAITED * asked.get(group, 0), style="dim")
        wrong = sum(missed(each) for each in mine)
        grid.add_row(group, signs, f"{len(mine)}" + (f", {wrong} to look at" if wrong else ""))
    return grid


def lines(validation: Validation) -> Sequence[str]:
    """What a log has, in the order of the checks."""
    return [line(finding) for finding in validation.findings]


def line(finding: Finding) -> str:
    """One finding in a log."""
    took = f" ({finding.duration_ms:.0f} ms)" if finding.duration_ms is not None else ""
    said = f"{finding.status:<7} {finding.id}: {finding.observed}{took}"
    if not missed(finding):
        return said
    return f"{said} - expected {finding.expected}. {finding.hint}".rstrip()


def summary(validation: Validation) -> str:
    """How many ended how."""
    return ", ".join(f"{count} {status}" for status in STATUSES if (count := validation.count(status)))


def markdown(validation: Validation) -> str:
    """For GitHub's step summary: what needs somebody first, all of it folded below."""
    way = "as users go" if validation.way == "users" else f"of {validation.way}"
    head = f"## {_word(validation.verdict)}: validation of {validation.stack}, {way}\n\n"
    head += f"{summary(validation) or 'nothing was asked'} in {validation.took_ms / 1000:.1f} s\n"
    bad = [finding for finding in validation.findings if missed(finding)]
    rows = "".join(
        f"| {SIGNS[each.status]} {each.status} | `{each.id}` | {_cell(each.observed)} | {_cell(each.expected)} "
        f"| {_cell(each.hint)} |\n"
        for each in bad
    )
    worst = f"\n| | Check | Seen | Expected | Next |\n| --- | --- | --- | --- | --- |\n{rows}" if bad else ""
    every = "".join(
        f"| {SIGNS[each.status]} {each.status} | `{each.id}` | {_cell(each.observed)} | {_took(each)} |\n"
        for each in sorted_by_group(validation)
    )
    whole = f"\n| | Check | Seen | ms |\n| --- | --- | --- | ---: |\n{every}\n"
    folded = f"\n<details><summary>All {len(validation.findings)} findings</summary>\n{whole}</details>\n"
    return head + worst + (folded if validation.findings else "")


def sorted_by_group(validation: Validation) -> Sequence[Finding]:
    """Each group together: what asks the apps first, all others as they first come."""
    came = [finding.group for finding in validation.findings]
    order = {group: place for place, group in enumerate(dict.fromkeys([*FIRST, *came]))}
    return sorted(validation.findings, key=lambda finding: order[finding.group])


def _rows(findings: Sequence[Finding]) -> Iterator[Sequence[Finding]]:
    """Findings that are shown in one row: what one check says well of several things."""
    for key, mine in groupby(findings, key=lambda finding: (finding.status, finding.id.partition(":")[0])):
        if key[0] == "pass" and key[1] != NAMED and findings[0].group != MEASURED:
            yield list(mine)
        else:
            yield from ([finding] for finding in mine)


def _cells(finding: Finding) -> Sequence[Text]:
    wanted = [f"expected {finding.expected}", finding.hint] if missed(finding) else []
    seen = Text("\n".join(text for text in (finding.observed, *wanted) if text))
    if finding.status == "pass" and finding.group != MEASURED:
        seen.no_wrap, seen.overflow = True, "ellipsis"
    return _sign(finding.status), Text(finding.id), Text(_took(finding), style="dim"), seen


def _together(findings: Sequence[Finding]) -> Sequence[Text]:
    """Several that pass: what all say once, or what each says."""
    said = dict.fromkeys(finding.observed for finding in findings)
    each = "; ".join(f"{finding.id.partition(':')[2]}: {finding.observed}" for finding in findings)
    seen = Text(next(iter(said)) if len(said) == 1 else each, no_wrap=True, overflow="ellipsis")
    name = Text(findings[0].id.partition(":")[0]).append(f" ×{len(findings)}", style="dim")
    slowest = max(findings, key=lambda finding: finding.duration_ms or 0.0)
    return _sign("pass"), name, Text(_took(slowest), style="dim"), seen


def _sign(status: Status) -> Text:
    return Text(f"{SIGNS[status]} {status}", style=STYLES[status])


def _count(findings: Sequence[Finding], status: Status) -> int:
    return sum(finding.status == status for finding in findings)


def _took(finding: Finding) -> str:
    return "" if finding.duration_ms is None else f"{finding.duration_ms:.0f}"


def _word(verdict: str) -> str:
    return {"pass": "✓ passed", "fail": "✗ failed"}.get(verdict, "? inconclusive")


def _cell(text: str) -> str:
    return text.translate(ESCAPED)
