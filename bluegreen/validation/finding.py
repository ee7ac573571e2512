"""What a check finds, and what a whole validation is: the shape that every output is made of.

A finding says what was seen, what was expected and what to do, so that nobody has to look a check up at night. A check
that could not be asked is `skipped` or `error`, never `pass`. It deliberately asks nobody.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import computed_field

from bluegreen.spec import State

Status = Literal["pass", "warn", "fail", "error", "skipped"]
Severity = Literal["error", "warn", "info"]
STATUSES: tuple[Status, ...] = ("pass", "warn", "fail", "error", "skipped")


class Finding(State):
    """One check's answer.

    `severity` is what it means when it does not pass: a `warn` is told and stops only `--fail-on warn`, an `info` stops
    nothing. `n` is how many requests, rows or things were looked at, `duration_ms` the time of the check itself, `doc`
    where it is explained.
    """

    id: str
    group: str  # health, api, performance, cors, assets, database, tls, tokens, colours, gateway, traffic, rollback, …
    app: str | None = None
    severity: Severity = "error"
    status: Status = "pass"
    observed: str = ""
    expected: str = ""
    n: int = 1
    duration_ms: float | None = None
    hint: str = ""  # empty when it passes
    doc: str = ""


class Validation(State):
    """Every finding of one run, in the order of the checks; times are UTC."""

    schema_version: int = 1
    stack: str = ""
    release: str = ""
    way: Literal["users", "blue", "green"] = "users"
    began: datetime = datetime.min.replace(tzinfo=UTC)
    took_ms: float = 0.0
    requests: int = 0  # sent through the gateway's proxy; what else was asked is not counted
    fail_on: Severity = "error"
    findings: Sequence[Finding] = ()

    def count(self, status: Status) -> int:
        """How many ended so."""
        return sum(finding.status == status for finding in self.findings)

    @property
    def against(self) -> Sequence[Finding]:
        """What speaks against it, by `fail_on`: a warning that could not be asked for is no more than a warning."""
        heavy = ("error", "warn") if self.fail_on == "warn" else ("error",)
        missed = [finding for finding in self.findings if finding.status in ("fail", "error", "warn")]
        return [finding for finding in missed if finding.severity in heavy]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> Literal["pass", "fail", "inconclusive"]:
        """`inconclusive` where nothing was asked at all."""
        if self.against:
            return "fail"
        return "pass" if self.count("pass") or self.count("warn") else "inconclusive"
