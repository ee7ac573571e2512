"""From what a bundle holds to the story of its release.

Nothing is claimed that was not written down: where the record is silent, the story says that it is.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bluegreen.journal import Analysed, AnyEntry, Looked, Pulse, Weighed
from bluegreen.page.section import count
from bluegreen.report.chapter import NEVER
from bluegreen.report.checklist import checklist
from bluegreen.report.material import Material
from bluegreen.report.moves import MONITOR, Strand, metrics_of, move, strands
from bluegreen.report.story import (
    AppTold,
    ChangeTold,
    Counted,
    FindingTold,
    LockRow,
    MigrationTold,
    MoveTold,
    Story,
    ValidationTold,
)
from bluegreen.report.timeline import chapters
from bluegreen.report.verdict import verdict
from bluegreen.report.watches import monitors
from bluegreen.spec import Colour

if TYPE_CHECKING:
    from bluegreen.postgres.plan import Plan

CANDIDATE, WATCHED = "the candidate", "live and watched by a monitor"
JUDGED = (CANDIDATE, WATCHED)
ENTRIES = 200_000  # of one bundle: a page about more than that would be about nothing


def story(found: Material, made: datetime) -> Story:
    """Everything that the record says, and what it does not."""
    entries = sorted((entry for entry in found.entries if entry.at > NEVER), key=lambda entry: entry.at)[-ENTRIES:]
    moved, watched = strands(entries)
    moves = tuple(move(strand) for strand in moved)
    drawn, more = chapters(entries)
    validations = tuple(sorted(_validations(found.validations), key=lambda each: each.began))
    watches = monitors(watched, found.monitors)
    standing, sentence = verdict(moves, watches)
    last = moves[-1] if moves else MoveTold()
    told = Story(
        stack=found.stack,
        release=found.release,
        standing=standing,
        sentence=sentence,
        began=entries[0].at if entries else None,
        ended=entries[-1].at if entries else None,
        by=last.by or (found.identity.by if found.identity else ""),
        reason=last.reason,
        commit=last.commit or (found.identity.commit if found.identity else ""),
        apps=tuple(_apps(found, moved)),
        moves=moves,
        chapters=drawn,
        counted=tuple(_counted(entries)),
        validations=validations,
        monitors=watches,
        migrations=tuple(_migration(folder, plan) for folder, plan in found.migrations),
        changes=None if found.changes is None else tuple(_change(each) for each in found.changes),
        versions=dict(found.identity.versions) if found.identity else {},
        files=dict(found.files),
        broken=tuple(found.broken),
        missing=tuple(_missing(found, entries, moved, validations, bool(watches), more)),
        made=made,
    )
    return told.model_copy(update={"checklist": checklist(told)})


def _apps(found: Material, moved: Sequence[Strand]) -> Iterator[AppTold]:
    """Before the first move that says so, and after the last."""
    begun = [strand.began for strand in moved if strand.began is not None]
    weights = {e.app: dict(e.weights) for strand in moved for e in strand.entries if isinstance(e, Weighed)}
    legs = {leg.app: leg for began in reversed(begun) for leg in began.legs if leg.way != "repair"}
    now = found.identity.apps if found.identity else {}
    was = found.before.apps if found.before else {}
    before = next((began.before for began in begun if began.before), {})
    after = next((began.releases for began in begun if began.releases), {})
    for app in sorted({*now, *legs, *after}):
        leg = legs.get(app)
        here, there = now.get(app), was.get(app)
        goal = leg.goal if leg else _colour(here.colour if here else "")
        yield AppTold(
            app=app,
            origin=leg.origin if leg else _colour(there.colour if there else ""),
            goal=goal,
            before=before.get(app) or (leg.origin_release if leg else None) or (there.release if there else ""),
            release=(leg.release if leg else "") or after.get(app) or (here.release if here else ""),
            image_before=(there.image if there else None) or "",
            image=(here.image if here else None) or "",
            weights=weights.get(app, {}),
        )


def _colour(text: str) -> Any:
    return text if text in ("blue", "green") else None


def _counted(entries: Sequence[AnyEntry]) -> Iterator[Counted]:
    """Requests that somebody counted: those of users first, then our own past the weights."""
    candidates: dict[str, Colour] = {}
    probes: dict[tuple[str, Colour, str], list[int]] = defaultdict(lambda: [0, 0])
    asked = [0, 0]
    kong: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    gateway: frozenset[str] = frozenset()
    last: dict[str, tuple[int, int]] = {}
    for entry in entries:
        if isinstance(entry, Analysed):
            gateway, last = _by_kong(entry), {}
            candidates |= {each.app: each.candidate for each in entry.subjects}
        elif isinstance(entry, Looked):
            for app, samples in entry.samples.items():
                for _, colour, _, fault in samples:
                    counts = probes[app, colour, _role(entry.share, colour == candidates.get(app, colour))]
                    counts[0] += 1
                    counts[1] += bool(fault)
            for look in entry.looks:
                if look.metric in gateway:
                    was = last.get(look.app, (0, 0))
                    now = (look.candidate.requests, look.candidate.errors)
                    kong[look.app][0] += max(0, now[0] - was[0])
                    kong[look.app][1] += max(0, now[1] - was[1])
                    last[look.app] = now
        elif isinstance(entry, Pulse):
            for beat in entry.beats:
                if beat.way == "users":
                    asked[0] += 1
                    asked[1] += bool(beat.fault) or beat.status is None
    for app, (n, failed) in kong.items():
        if n:  # a metric that answered nothing counted nobody
            what = f"Users' requests to {app}, as Kong counted them in analyses"
            yield Counted(what=what, app=app, n=n, failed=failed, users=True)
    if asked[0]:
        yield Counted(what="A monitor's requests on the users' way", n=asked[0], failed=asked[1], users=True)
    for (app, side, role), (n, failed) in probes.items():
        what = f"Probes of {app} on {side}, {role}"
        yield Counted(what=what, app=app, who=side, judged=role in JUDGED, n=n, failed=failed)


def _role(share: str, judged: bool) -> str:
    """What a colour was when it was probed, past the weights."""
    if share == MONITOR:
        return WATCHED if judged else "idle while the other was watched"
    return CANDIDATE if judged else "live beside the candidate"


def _by_kong(entry: Analysed) -> frozenset[str]:
    """Its metrics for which Kong counts the errors of what users ask."""
    found = metrics_of(entry).items()
    return frozenset(
        name for name, each in found if each.get("kong") is not None and each.get("measures", "errors") == "errors"
    )


def _validations(given: Sequence[Mapping[str, Any]]) -> Iterator[ValidationTold]:
    for document in given:
        try:
            yield ValidationTold.model_validate(document)
        except ValidationError:
            listed = document.get("findings")
            found = [_finding(each) for each in listed] if isinstance(listed, list) else []
            kept = tuple(each for each in found if each is not None)
            if kept:
                yield ValidationTold(findings=kept, verdict=str(document.get("verdict", "")))


def _finding(given: object) -> FindingTold | None:
    try:
        return FindingTold.model_validate(given)
    except ValidationError:
        return None


def _migration(folder: str, plan: "Plan") -> MigrationTold:
    from bluegreen.postgres.report.told import mode, standing, told

    traced, applied = plan.traced, plan.applied
    held = traced.locks if traced is not None else ()
    proven = "" if plan.reverse is None else "proven on a copy" if plan.reverse.proven else "not proven"
    return MigrationTold(
        label=plan.label,
        standing=standing(plan),
        phase=plan.phase,
        sentence=told(plan),
        took_ms=applied.took_ms if applied is not None else None,
        estimate_ms=traced.estimate_ms if traced is not None else None,
        reverse=f"{plan.reverse.verdict}, {proven}" if plan.reverse is not None else "",
        locks=tuple(
            LockRow(relation=lock.relation, mode=mode(lock.mode), stops=lock.stops, held_ms=lock.held_ms)
            for lock in held
        ),
        page=f"migrations/{folder}/plan.html",
    )


def _first(moved: Sequence[Strand]) -> bool:
    """Whether nothing was live before: then there is nothing to compare with."""
    began = next((strand.began for strand in moved if strand.began is not None), None)
    return began is not None and bool(began.legs) and all(leg.way == "first" for leg in began.legs)


def _change(each: tuple[str, str, str]) -> ChangeTold:
    return ChangeTold(path=each[0], before=each[1], after=each[2])


def _missing(
    found: Material,
    entries: Sequence[AnyEntry],
    moved: Sequence[Strand],
    validations: Sequence[ValidationTold],
    watched: bool,
    more: int,
) -> Iterator[str]:
    yield from found.complaints
    if not moved:
        yield "No move of traffic is written down."
    for strand in moved:
        if strand.began is None:
            yield "The beginning of a move is not in the record; its apps and releases are not known from it."
        elif strand.ended is None:
            yield (
                f"The move of {strand.began.at:%Y-%m-%d %H:%M:%S} UTC has no end in the record: whatever ran it "
                "was ended, or it is still under way."
            )
    passed = [strand for strand in moved if strand.ended is not None and strand.ended.verdict == "passed"]
    if passed and not any(isinstance(entry, Weighed) for strand in passed for entry in strand.entries):
        yield "No weight is written down."
    if not validations:
        yield "No validation was written down."
    if not watched:
        yield "Nobody watched the release with bluegreen monitor."
    if found.changes is None and not _first(moved):
        yield "The config before is not in the record, so nothing is compared."
    if not found.files:
        yield "The record was never sealed: whether it was changed since cannot be told."
    if more:
        yield f"{count(more, 'earlier chapter is', 'earlier chapters are')} not drawn; the numbers are in the journal."
    if dropped := sum(entry.dropped for entry in entries if isinstance(entry, Looked)):
        yield f"{count(dropped, 'request')} of analyses were too many to be written down, and are not counted."
    if len(found.entries) > ENTRIES:
        yield f"The record has {len(found.entries):,} entries; what is told here is the last {ENTRIES:,}."
