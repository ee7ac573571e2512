"""One alarm as Prometheus' rule file has it: a question, how long it has to be answered, and three beats to read.

What is wrong, what that means for users and the release, and what to do next: whoever is woken by it reads nothing
else first. It deliberately holds no alarm itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen.observe.bars import Severity

PAGE = "docs/observe.md"
APP = "{{ $labels.app }}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alarm. In its texts `{{ $labels.app }}` and `{{ $value }}` are Prometheus' own; `lasts` is in seconds."""

    name: str
    expr: str
    lasts: int
    severity: Severity
    what: str
    world: str
    next: str
    labels: Mapping[str, str]

    def rule(self, owner: str) -> dict[str, Any]:
        """As a rule of this stack."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": span(self.lasts),
            "labels": {"severity": self.severity, "stack": owner, **self.labels},
            "annotations": {
                "summary": self.what,
                "description": f"{self.what} {self.world} {self.next}",
                "runbook": f"{PAGE}#{self.name.lower()}",
            },
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Alarms that belong together and are asked at the same moment."""

    name: str
    alerts: Sequence[Alert]


def span(seconds: int) -> str:
    """Seconds as Prometheus writes them: `1h30m`."""
    text = ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        text += f"{count}{unit}" * (count > 0)
    return text or "0s"
