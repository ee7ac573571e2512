"""A release as its journal tells it, for the tests of its report: shipped, caught and moved back, or rolled back."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from bluegreen.analysis import Analysis, Look, Seen
from bluegreen.evidence.identity import Identity, Running
from bluegreen.journal import (
    Alert,
    Analysed,
    AnyEntry,
    Beat,
    Began,
    Decided,
    Ended,
    LegTold,
    Looked,
    LookTold,
    Pulse,
    Sample,
    SeenTold,
    SubjectTold,
    Told,
    Weighed,
)
from bluegreen.report.material import Material
from bluegreen.rollout.judge import Judge

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = "a1b2c3d4e5f60718", "0f1e2d3c4b5a6978"
BOUNDS = (50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, None)
ANALYSIS: Mapping[str, Any] = {
    "duration": "30s",
    "interval": "2s",
    "minRequests": 300,
    "onNoData": "inconclusive",
    "metrics": [
        {"name": "errors", "probe": {"rps": 20}, "measures": "errors", "thresholdRange": {"max": 1}},
        {
            "name": "slow",
            "probe": {"rps": 20},
            "measures": "latency",
            "percentile": 95,
            "failureLimit": 3,
            "thresholdRange": {"max": 2000},
        },
    ],
}


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


class Writer:
    """Writes a journal as a move would: the judge's own words, over requests of a known share of errors."""

    def __init__(self, seed: int = 7) -> None:
        self.entries: list[AnyEntry] = []
        self.random = Random(seed)
        self.now = 0.0

    def note(self, entry: AnyEntry, wait: float = 0.0) -> None:
        self.now += wait
        self.entries.append(entry.model_copy(update={"at": after(self.now)}))

    def begin(self, way: str = "rollout", goal: str = "green", app: str = "backend") -> None:
        origin = "blue" if goal == "green" else "green"
        leg = LegTold.model_validate(
            {"app": app, "way": way, "origin": origin, "goal": goal, "origin_release": OLD, "release": NEW}
            | {"stages": ("preview", "25 %", "analysis of 30 s", "100 %")}
        )
        by = {"by": "ada@ci", "reason": "Ship the new search", "commit": "4f2c9ab1d0"}
        self.note(Began(move="m1", legs=(leg,), releases={app: NEW}, before={app: OLD}, **by))

    def weigh(self, blue: int, wait: float = 0.6, app: str = "backend") -> None:
        self.note(Weighed(app=app, weights={"blue": blue, "green": 100 - blue}, said="12 samples agree"), wait)

    def analyse(self, share: str, errors: float, ms: float = 80, seconds: float = 30, app: str = "backend") -> str:
        """One whole analysis; the verdict."""
        subject = SubjectTold(app=app, candidate="green", live="blue", releases={"green": NEW, "blue": OLD})
        self.note(Analysed(share=share, analysis=ANALYSIS, subjects=(subject,)))
        judge, began = Judge(Analysis.model_validate(ANALYSIS)), self.now
        seen: dict[str, list[Sample]] = {"green": [], "blue": []}
        while True:
            new: list[Sample] = []
            for colour, share_, slow in (("green", errors, ms), ("blue", 0.0, 70.0)):
                for number in range(40):
                    bad = self.random.random() < share_
                    took = slow * self.random.lognormvariate(0, 0.35)
                    new.append(
                        (number / 20, "green" if colour == "green" else "blue", took, "answered 503" if bad else "")
                    )
            for each in new:
                seen[each[1]].append(each)
            elapsed = self.now + 2 - began
            looks = [(name, self._seen(seen["green"]), self._seen(seen["blue"])) for name in ("errors", "slow")]
            last = elapsed >= seconds
            decision = judge.look(
                [Look(app, name, _as_judged(green), _as_judged(blue)) for name, green, blue in looks],
                timedelta(seconds=elapsed),
                last=last,
            )
            told = [LookTold(app=app, metric=name, candidate=green, live=blue) for name, green, blue in looks]
            rulings: list[dict[str, Any]] = [
                {"app": r.app, "metric": r.metric, "verdict": r.verdict, "sentence": r.sentence}
                | {"seen": r.seen, "value": r.value, "bound": r.bound, "warns": r.warns}
                for r in decision.rulings
            ]
            given = {"share": share, "elapsed": elapsed, "last": last, "looks": tuple(told), "rulings": tuple(rulings)}
            self.note(Looked.model_validate({**given, "samples": {app: tuple(new)}}), wait=2)
            if decision.verdict is not None:
                because = "9 answered 503" if decision.verdict == "fail" else ""
                self.note(Decided(share=share, verdict=decision.verdict, sentence=decision.sentence, because=because))
                return decision.verdict

    def monitor(self, rounds: int, bad: Sequence[int] = ()) -> None:
        for number in range(1, rounds + 1):
            beats = [
                Beat(
                    endpoint="/api/hello",
                    app="backend",
                    way=way,
                    status=200,
                    ms=60 * self.random.lognormvariate(0, 0.3),
                )
                for way in ("users", "blue", "green")
            ]
            alerts: tuple[Alert, ...] = ()
            if number in bad:
                beats[0] = beats[0].model_copy(update={"status": 503, "fault": "answered 503"})
                alerts = (Alert(level="critical", subject="/api/hello", text="6 % of the last 30 failed"),)
            self.note(Pulse(number=number, beats=tuple(beats), weights={"backend": {"green": 100}}, alerts=alerts), 5)
        verdict = "fail" if bad else "pass"
        self.note(Ended(verdict=verdict, text=f"{rounds} rounds"))

    def _seen(self, samples: Sequence[Sample]) -> SeenTold:
        times = [ms for _, _, ms, _ in samples if ms is not None]
        buckets = tuple((bound, sum(bound is None or ms <= bound for ms in times)) for bound in BOUNDS)
        return SeenTold(requests=len(samples), errors=sum(bool(fault) for *_, fault in samples), buckets=buckets)


def _as_judged(told: SeenTold) -> Seen:
    buckets = [(float("inf") if bound is None else bound, within) for bound, within in told.buckets]
    return Seen(told.requests, told.errors, buckets)


def caught() -> list[AnyEntry]:
    """Passed in the preview, failed at 25 %, moved back."""
    writer = Writer()
    writer.begin()
    writer.analyse("preview", 0.0)
    writer.weigh(75)
    verdict = writer.analyse("25 %", 0.08, ms=240)
    assert "fail" == verdict
    writer.weigh(100)
    writer.note(Told(text="backend is back on blue", app="backend"))
    writer.note(Ended(verdict="rejected", text="backend at 25 %: too many errors"), 0.4)
    return writer.entries


def shipped() -> list[AnyEntry]:
    """Every analysis passed, and a monitor found it well."""
    writer = Writer()
    writer.begin()
    for blue, share in ((75, "25 %"), (50, "50 %"), (0, "100 %")):
        writer.weigh(blue)
        assert "pass" == writer.analyse(share, 0.0)
    writer.note(Ended(verdict="passed", text="backend serves from green"))
    writer.now += 400
    writer.note(Analysed(share="monitor", analysis=ANALYSIS))
    writer.monitor(24)
    return writer.entries


def material(entries: Sequence[AnyEntry], **more: Any) -> Material:
    """A bundle of these entries, sealed and identified."""
    image = "registry.example/shop@sha256:"
    now = Identity(
        owner="shop.production",
        stack="production",
        release="5" * 16,
        apps={"backend": Running(colour="green", release=NEW, image=image + "b" * 64)},
        versions={"bluegreen": "0.1.0", "python": "3.11.9", "pulumi": "3.259.0", "kong": "3.9.1"},
        by="ada@ci",
    )
    was = now.model_copy(update={"apps": {"backend": Running(colour="blue", release=OLD, image=image + "a" * 64)}})
    given: dict[str, Any] = {
        "identity": now,
        "before": was,
        "changes": [
            ("apps.backend.image", "sha256:aaaa", "sha256:bbbb"),
            ("apps.backend.variables.SEARCH", "not there", "set"),
        ],
        "files": {"release.json": "e" * 64, "journal-20260301T120000Z-ab12.ndjson": "f" * 64},
    }
    return Material("production", "5" * 16, entries=entries, **{**given, **more})


def findings(bad: bool = False) -> dict[str, Any]:
    """A validation document as it is written."""
    rows = [
        {
            "id": name,
            "group": name.partition("-")[0],
            "status": "pass",
            "observed": "as it should be",
            "n": 3,
            "durationMs": 12.25,
        }
        for name in ("health-backend", "cors-allowed", "database-reachable", "rollback-possible", "tls-expiry")
    ]
    if bad:
        rows[2] |= {"status": "fail", "observed": "no answer in 5 s", "expected": "an answer", "hint": "Start it."}
    return {
        "schemaVersion": 1, "stack": "production", "way": "users", "began": after(300).isoformat(), "tookMs": 2300.5,
        "verdict": "fail" if bad else "pass", "findings": rows,
    }  # fmt: skip
