"""phase-mismatch: what a file says of itself and what its statements are do not agree.

Problem: an expand runs before the release that needs it, while another release serves; what it takes away, that one
still uses. A contract without anything of the kind waits for nothing.
Solution: two files: what adds, now; what takes away, in a contract that names the schemaMin of every release by then.
Levels: refused for a contract or a restriction in an expand, unless a rule that knows better has spoken about the
statement; warned of for a contract in which there is neither.
Source: docs/migrations.md; the catalog's difference is asked the same question in the dry run.
"""

from collections.abc import Iterator, Sequence

from bluegreen.postgres.lint.findings import Finding, Kind
from bluegreen.postgres.lint.names import joined
from bluegreen.postgres.spec import Phase

NAME = "phase-mismatch"


def mismatches(phase: Phase, kinds: Sequence[Kind], columns: Sequence[int], said: set[int]) -> Iterator[Finding]:
    """Statements that do not fit the file's phase; `said` are the numbers about which a better rule has spoken."""
    if phase == "contract":
        if not any(kind.cls in ("contract", "restriction") for kind in kinds):
            message = "the file is a contract, and nothing in it takes anything away or asks for more"
            hint = "Write -- bluegreen:phase expand, so that it does not wait for a release."
            yield Finding(rule=NAME, level="warn", line=1, column=1, message=message, hint=hint)
        return
    for kind, column in zip(kinds, columns, strict=True):
        if kind.cls in ("contract", "restriction") and kind.number not in said:
            does = "takes away or changes" if kind.cls == "contract" else "limits or redefines"
            about = f" ({joined(kind.objects)})" if kind.objects else ""
            yield Finding(
                rule=NAME,
                level="refuse",
                line=kind.line,
                column=column,
                statement=kind.number,
                message=f"{kind.what}{about} {does} what the release that is live uses, in a file that is an expand",
                hint="Put it into a file with -- bluegreen:phase contract and -- bluegreen:requires-schemaMin.",
            )
