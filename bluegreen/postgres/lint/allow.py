"""`-- bluegreen:allow RULE REASON`: somebody has looked at it, and says why it is right here.

It stands directly above the statement that it is about: between the two there may be other comments, and no blank
line. What was right for one statement is not for the next one that is added. What only a copy of the database shows is
about the file as a whole: such a rule may be set aside on any line of it.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bluegreen.postgres.lint.findings import Finding
from bluegreen.postgres.statements import Statement

ALLOW = re.compile(r"^[ \t]*--[ \t]*bluegreen:allow\b[ \t]*(\S*)[ \t]*(.*?)[ \t]*$", re.MULTILINE)
BAD, UNUSED = "bad-allow", "unused-allow"
ALWAYS = frozenset({BAD, UNUSED, "squawk-ignore", "syntax-error"})  # nothing to be allowed
# What is found on a copy, about a file as a whole.
WHOLE = frozenset(
    ["catalog-phase", "unproven-reverse", "matrix-differs", "broken-statement", "leftover", "hidden-write", "no-backup"]
)


@dataclass(frozen=True, slots=True)
class Allow:
    """One such line; `statement` is the number of what it stands above, 0 where that is nothing."""

    rule: str
    reason: str
    line: int
    statement: int


def read(text: str, statements: Sequence[Statement]) -> tuple[Allow, ...]:
    """Every such line of a file; one that only looks like it, inside of a statement's text, is above nothing."""
    found: list[Allow] = []
    for line in ALLOW.finditer(text):
        inside = any(each.at <= line.start() < each.at + len(each.text) for each in statements)
        if not inside:
            number = next((at for at, each in enumerate(statements, 1) if each.at > line.start()), 0)
            above = number and not re.search(r"\n[ \t]*\n", text[line.end() : statements[number - 1].at])
            found.append(Allow(line[1], line[2], text[: line.start()].count("\n") + 1, number if above else 0))
    return tuple(found)


def whole(allows: Sequence[Allow]) -> Mapping[str, str]:
    """The rules about the whole file that it sets aside, with its reasons."""
    return {allow.rule: allow.reason for allow in allows if allow.rule in WHOLE and allow.reason}


def apply(findings: Sequence[Finding], allows: Sequence[Allow], known: Collection[str]) -> Iterator[Finding]:
    """The findings with what is allowed marked, and what is wrong with the allows themselves."""
    known = {*known, *WHOLE}
    good = [allow for allow in allows if allow.rule in known and allow.rule not in ALWAYS and allow.reason]
    reasons = {(allow.statement, allow.rule): allow.reason for allow in good if allow.statement}
    used = set[tuple[int, str]]()
    for finding in findings:
        key = (finding.statement, finding.rule)
        if key in reasons and finding.level != "info":
            used.add(key)
            yield finding.model_copy(update={"allowed": reasons[key]})
        else:
            yield finding
    for allow in allows:
        if allow not in good:
            yield _bad(allow, known)
        elif (allow.statement, allow.rule) not in used and allow.rule not in WHOLE:
            yield _unused(allow)


def _bad(allow: Allow, known: Collection[str]) -> Finding:
    if allow.rule in known and allow.rule not in ALWAYS:
        what, hint = f"-- bluegreen:allow {allow.rule} gives no reason", "Write why it is right here, on the same line."
    elif allow.rule in ALWAYS:
        what, hint = f"{allow.rule} cannot be allowed", "Correct what it says."
    else:
        what, hint = f"there is no rule {allow.rule!r}", "docs/rules.md lists our rules; squawk's have their own names."
    return Finding(
        rule=BAD, level="refuse", line=allow.line, column=1, statement=allow.statement, message=what, hint=hint
    )


def _unused(allow: Allow) -> Finding:
    where = "the statement below it" if allow.statement else "no statement: a blank line, or nothing, is below it"
    return Finding(
        rule=UNUSED,
        level="warn",
        line=allow.line,
        column=1,
        statement=allow.statement,
        message=f"-- bluegreen:allow {allow.rule} allows nothing: it stands above {where}",
        hint="Take it out, or put it directly above the statement that it is about.",
    )
