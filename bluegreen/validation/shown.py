"""A validation for people: a table on a terminal, a line a finding in a log, Markdown for a pull request or a run.

A status is a sign, a word and a colour, never the colour alone. What passes is one line; what does not says what was
expected and what to do. What an app answers is text in all of them, never markup.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby, takewhile

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
HEAVIEST: Sequence[Status] = ("fail", "error", "warn")
LONGEST, FOLD = 60_000, 400  # characters of the Markdown, and of what is around its folded part
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
    bad = to_look_at(validation)
    if bad:
        grid.add_row("", Text("to look at", style="bold"), "", "")
    for finding in bad:
        grid.add_row(*_cells(finding))
    grid.caption, grid.caption_justify = Text(_spent(validation), style="dim"), "left"
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
    """What a log has, in the order of the checks; what somebody has to look at is last, where it is read."""
    well = [finding for finding in validation.findings if not missed(finding)]
    return [line(finding) for finding in [*well, *to_look_at(validation)]]


def to_look_at(validation: Validation) -> Sequence[Finding]:
    """What somebody has to look at, causes first: what stands behind the apps before what the apps answer."""
    bad = filter(missed, sorted_by_group(validation))
    return sorted(bad, key=lambda each: (each.id.startswith(f"{NAMED}:"), each.group == MEASURED, each.group in FIRST))


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
    """For a pull request or GitHub's step summary: what needs somebody first, what passes folded below.

    A comment there may have 65,536 characters. What would be too much is counted, and what has failed is told longest.
    """
    way = "as users go" if validation.way == "users" else f"of {validation.way}"
    head = f"## {_word(validation.verdict)}: validation of {validation.stack}, {way}\n\n"
    head += f"{summary(validation) or 'nothing was asked'} in {_spent(validation)}\n"
    known = {status: place for place, status in enumerate(HEAVIEST)}
    bad = sorted(to_look_at(validation), key=lambda finding: known[finding.status])
    rest = [finding for finding in sorted_by_group(validation) if not missed(finding)]
    worst = _cut([_row(each, _cell(each.expected), _cell(each.hint)) for each in bad], LONGEST - len(head) - FOLD)
    if worst:
        head += f"\n| | Check | Seen | Expected | Next |\n| --- | --- | --- | --- | --- |\n{worst}"
    if not rest:
        return head
    others = _cut([_row(each, _took(each)) for each in rest], LONGEST - len(head) - FOLD)
    folded = f"\n| | Check | Seen | ms |\n| --- | --- | --- | ---: |\n{others}\n"
    return f"{head}\n<details><summary>{len(rest)} passed or were skipped</summary>\n{folded}</details>\n"


def _row(finding: Finding, *more: str) -> str:
    sign = f"{SIGNS[finding.status]} {finding.status}"
    return f"| {' | '.join((sign, _code(finding.id), _cell(finding.observed), *more))} |\n"


def _cut(rows: Sequence[str], room: int) -> str:
    """As many as there is room for, and how many more there are."""
    kept = list(takewhile(lambda row: row[0] <= room, zip(accumulate(map(len, rows)), rows, strict=True)))
    more = f"| | and {len(rows) - len(kept)} more |\n" if len(kept) < len(rows) else ""
    return "".join(row for _, row in kept) + more


def sorted_by_group(validation: Validation) -> Sequence[Finding]:
    """Each group together: what asks the apps first, all others as they first come."""
    came = [finding.group for finding in validation.findings]
    order = {group: place for place, group in enumerate(dict.fromkeys([*FIRST, *came]))}
    return sorted(validation.findings, key=lambda finding: order[finding.group])


def _rows(findings: Sequence[Finding]) -> Iterator[Sequence[Finding]]:
    """Findings in one row: what one check says well of several things, and what is skipped for one reason."""
    for key, mine in groupby(findings, key=_alike):
        if key[0] == "skipped" or (key[0] == "pass" and key[1] != NAMED and findings[0].group != MEASURED):
            yield list(mine)
        else:
            yield from ([finding] for finding in mine)


def _alike(finding: Finding) -> tuple[Status, str]:
    return finding.status, finding.observed if finding.status == "skipped" else finding.id.partition(":")[0]


def _cells(finding: Finding) -> Sequence[Text]:
    wanted = [f"expected {finding.expected}", finding.hint] if missed(finding) else []
    seen = Text("\n".join(text for text in (finding.observed, *wanted) if text))
    if finding.status == "pass" and finding.group != MEASURED:
        seen.no_wrap, seen.overflow = True, "ellipsis"
    return _sign(finding.status), Text(finding.id), Text(_took(finding), style="dim"), seen


def _together(findings: Sequence[Finding]) -> Sequence[Text]:
    """Several that pass: what all say once, or what each says. Several that are skipped: the first, and how many."""
    if findings[0].status == "skipped":
        name = Text(findings[0].id).append(f" and {len(findings) - 1} more", style="dim")
        return _sign("skipped"), name, Text(""), Text(findings[0].observed)
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


def _spent(validation: Validation) -> str:
    sent = f", {validation.requests} requests through the gateway" if validation.requests else ""
    return f"{validation.took_ms / 1000:.1f} s{sent}"


def _cell(text: str) -> str:
    return text.translate(ESCAPED)


def _code(text: str) -> str:
    """A code span; nothing is escaped in one, save what ends a cell."""
    plain = text.replace("`", "'").replace("|", "\\|")
    return f"`{plain}`"
