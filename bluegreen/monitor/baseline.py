"""How things were before the release: read from what was written down then, or said not to be known.

The release before is the one that the newest move away from it names; its bundle holds what monitors saw of it. Where
none watched it, the rollout's own probes did: until traffic moved, they asked the old colour as well. Only answers that
were good are compared. It deliberately invents nothing: without a record there is no baseline, and it says why.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bluegreen.evidence.bundle import Bundle
from bluegreen.evidence.bundles import Bundles
from bluegreen.handler import Refused
from bluegreen.journal import Analysed, AnyEntry, Began, Looked, Pulse, whole
from bluegreen.monitor.row import Before, percentile
from bluegreen.spec import Colour

NONE = "none"
MEASURED = 5000  # answers of an endpoint; the newest count

Key = tuple[str, str, str]  # app, endpoint, role


@dataclass(frozen=True, slots=True)
class Baseline:
    """By app, endpoint and role (`users`, `live`); `said` tells where from, or why there is none."""

    rows: Mapping[Key, Before] = field(default_factory=dict)
    release: str | None = None
    said: str = "no baseline"


def baseline(bundles: Bundles, release: str, wanted: str | None, alone: Mapping[str, str]) -> Baseline:
    """What to compare with.

    Args:
        release: what is watched now.
        wanted: a release by its id, `none`, or None for the one before.
        alone: of every app that is probed with one question, that endpoint's name.

    Raises:
        Refused: the release that was named left no evidence.
    """
    if wanted == NONE:
        return Baseline(said="no baseline, as asked for")
    if wanted is not None:
        bundle = bundles.bundle(wanted)
        if not bundle.names():
            raise Refused(
                f"Release {wanted} left no evidence in {bundle.path}.",
                world="Nothing was asked.",
                next="bluegreen report --list names those that did; --baseline none goes without.",
            )
        rows = _pulses(bundle.entries())
        return Baseline(rows, wanted, _said(rows, wanted))
    before = _before(bundles, release)
    rows = _pulses(before.entries()) if before is not None else {}
    if before is not None and rows:
        return Baseline(rows, before.release, _said(rows, before.release))
    probed = _probes(bundles.bundle(release).entries(), alone)
    if probed:
        said = f"what the rollout's probes saw of the colour that served before ({len(probed)} endpoints)"
        return Baseline(probed, before.release if before else None, said)
    return Baseline(said="no baseline: nothing was recorded before this release")


def _before(bundles: Bundles, release: str) -> Bundle | None:
    moves = [entry for entry in bundles.bundle(release).entries() if isinstance(entry, Began) and entry.before]
    for began in reversed(moves):
        left = whole(began.before)
        if left != release and bundles.bundle(left).names():
            return bundles.bundle(left)
    return None


def _pulses(entries: Sequence[AnyEntry]) -> dict[Key, Before]:
    """What monitors saw of it on the way of users, and of the colour that then carried everything."""
    times, wrong, live = defaultdict[Key, list[float]](list), defaultdict[Key, int](int), dict[str, Colour]()
    for pulse in (entry for entry in entries if isinstance(entry, Pulse)):
        for app, weights in pulse.weights.items():
            carrying = [colour for colour, weight in weights.items() if weight]
            if len(carrying) == 1:
                live[app] = carrying[0]
        for beat in pulse.beats:
            role = "users" if beat.way == "users" else "live" if beat.way == live.get(beat.app) else None
            if role is None:
                continue
            key = (beat.app, beat.endpoint, role)
            wrong[key] += bool(beat.fault)
            if beat.ms is not None and not beat.fault:
                times[key].append(beat.ms)
    return {key: _summed(found, wrong[key]) for key, found in times.items()}


def _probes(entries: Sequence[AnyEntry], alone: Mapping[str, str]) -> dict[Key, Before]:
    """What probes saw of the old colour while the new one was not live yet."""
    old: dict[str, Colour | None] = {}
    times, wrong = defaultdict[Key, list[float]](list), defaultdict[Key, int](int)
    for entry in entries:
        if isinstance(entry, Analysed):
            judged = entry.share not in ("monitor", "100 %")
            old = {subject.app: subject.live for subject in entry.subjects} if judged else {}
        if not isinstance(entry, Looked):
            continue
        for app, samples in entry.samples.items():
            if app not in alone or old.get(app) is None:
                continue
            key = (app, alone[app], "live")
            for _, colour, ms, fault in samples:
                if colour == old[app]:
                    wrong[key] += bool(fault)
                    times[key] += [ms] if ms is not None and not fault else []
    return {key: _summed(found, wrong[key]) for key, found in times.items() if found}


def _summed(times: Sequence[float], wrong: int) -> Before:
    newest = times[-MEASURED:]
    return Before(len(newest), percentile(newest, 50), percentile(newest, 95), wrong)


def _said(rows: Mapping[Key, Before], release: str) -> str:
    if not rows:
        return f"no baseline: no monitor watched release {release}"
    return f"what monitors saw of release {release} ({len(rows)} endpoints)"
