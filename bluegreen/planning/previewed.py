"""What one run of `pulumi preview --json` said: its steps, its words, and what policies found, from its event log.

Read forgivingly, because an engine's next version writes more; what is secret is masked by the engine itself. It
deliberately starts nothing, and does not know what a step means for a release.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SERVICE, TRAFFIC = "bluegreen:railway:Service", "bluegreen:rollout:Traffic"
MIGRATION, KONG = "bluegreen:postgres:Migration", "bluegreen:kong:"
QUIET = ("same", "refresh", "read")  # steps that change nothing
HALVES = ("create-replacement", "delete-replaced")  # of a replace, which is a step of its own
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on one resource; `paths` are the inputs that differ, `old` and `new` its inputs."""

    op: str
    urn: str
    old: Json = field(default_factory=dict)
    new: Json = field(default_factory=dict)
    left: Json = field(default_factory=dict)  # what the last update recorded as its outputs
    paths: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """Its token, such as `bluegreen:kong:Route`."""
        return self.urn.rpartition("::")[0].rpartition("::")[2].rpartition("$")[2]

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]

    @property
    def inside(self) -> str:
        """The component that it belongs to: `Front`, `Gateway`; empty where there is none."""
        return self.urn.rpartition("::")[0].rpartition("::")[2].partition("$")[0].rpartition(":")[2]

    @property
    def changes(self) -> bool:
        return self.op not in QUIET


@dataclass(frozen=True, slots=True)
class Said:
    """One line that the program or a provider said."""

    severity: str
    text: str
    name: str = ""  # of the resource that it is about


@dataclass(frozen=True, slots=True)
class Objection:
    """What a policy has against one resource; `level` is mandatory or advisory."""

    rule: str
    level: str
    resource: str
    says: str


@dataclass(frozen=True, slots=True)
class Previewed:
    """One preview, whole. `refused` says why it came to no end; empty where it did."""

    steps: tuple[Step, ...] = ()
    said: tuple[Said, ...] = ()
    objections: tuple[Objection, ...] = ()
    rules: tuple[str, ...] = ()  # that were asked
    refused: tuple[str, ...] = ()

    def of(self, type: str) -> tuple[Step, ...]:
        """Every step on this type of resource that is more than a look, each once."""
        looks = ("refresh", "read", *HALVES)
        return tuple(step for step in self.steps if step.type.startswith(type) and step.op not in looks)


def previewed(out: str, log: str, code: int, err: str = "") -> Previewed:
    """The preview by what it wrote: its standard output, its event log, its exit code and its standard error."""
    events = list(_lines(log))
    told = [entry["diagnosticEvent"] for entry in events if isinstance(entry.get("diagnosticEvent"), Mapping)]
    said = tuple(_said(entry) for entry in told if entry.get("severity") != "debug" and not entry.get("ephemeral"))
    objections = tuple(dict.fromkeys(_objections(events)))
    return Previewed(
        steps=tuple(_logged(events)) or tuple(_steps(out)),
        said=said,
        objections=objections,
        rules=tuple(sorted(_rules(events) | {each.rule for each in objections})),
        refused=_refused(said, objections, err) if code else (),
    )


def _steps(out: str) -> Iterator[Step]:
    try:
        found = json.loads(out[out.index("{") :]) if "{" in out else {}
    except ValueError:
        return
    for step in found.get("steps") or ():
        old, new = step.get("oldState") or {}, step.get("newState") or {}
        paths = (step.get("detailedDiff") or {}).keys()
        yield _step(str(step.get("op")), str(step.get("urn")), old, new, paths)


def _logged(events: list[Json]) -> Iterator[Step]:
    """From the log, which has what stays as it is, too, and what a preview saw that was refused later."""
    for entry in events:
        about = (entry.get("resourcePreEvent") or {}).get("metadata")
        if about:
            paths = (about.get("detailedDiff") or {}).keys()
            yield _step(str(about.get("op")), str(about.get("urn")), about.get("old"), about.get("new"), paths)


def _step(op: str, urn: str, old: Any, new: Any, paths: Any) -> Step:
    old, new = old or {}, new or {}
    return Step(
        op=op,
        urn=urn,
        old=old.get("inputs") or {},
        new=new.get("inputs") or {},
        left=old.get("outputs") or {},
        paths=tuple(sorted(map(str, paths))),
    )


def _said(entry: Json) -> Said:
    name = str(entry.get("urn") or "").rpartition("::")[2]
    return Said(str(entry.get("severity", "")).partition("#")[0], str(entry.get("message", "")).strip(), name)


def _objections(events: list[Json]) -> Iterator[Objection]:
    for entry in events:
        told = entry.get("policyEvent")
        if told:
            name = str(told.get("resourceUrn") or "").rpartition("::")[2]
            level, text = str(told.get("enforcementLevel", "")), str(told.get("message", "")).strip()
            yield Objection(str(told.get("policyName", "")), level, name, text)


def _rules(events: list[Json]) -> set[str]:
    asked = [entry.get(kind) or {} for entry in events for kind in SUMMARIES]
    return {str(rule) for each in asked for how in ("passed", "failed") for rule in each.get(how) or ()}


SUMMARIES = ("policyAnalyzeSummaryEvent", "policyAnalyzeStackSummaryEvent")


def _refused(said: tuple[Said, ...], objections: tuple[Objection, ...], err: str) -> tuple[str, ...]:
    errors = [each for each in said if each.severity == "error"]
    # The engine repeats a provider's refusal as its own; the first is the one with all its beats.
    found = tuple(dict.fromkeys(_sentence(each.text) for each in errors if not _repeated(each.text)))
    if found or any(each.level == "mandatory" for each in objections):
        return found
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    last = next((line for line in lines if "error:" in line), lines[-1] if lines else "it does not say why")
    return (last.removeprefix("error:").strip(),)


def _repeated(text: str) -> bool:
    return text.startswith(("preview failed", "update failed"))


def _sentence(text: str) -> str:
    return " ".join(text.removeprefix("error:").split()).removeprefix("Preview failed: ")


def _lines(log: str) -> Iterator[Json]:
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last line of an engine that was killed
        if isinstance(entry, Mapping):
            yield entry
