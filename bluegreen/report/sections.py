"""A story as sections, each told whether or not there is something to tell: silence could be taken for a good word.

It is pure; how it looks is the templates' business.
"""

from collections import Counter
from collections.abc import Iterator

from bluegreen.page.section import Link, Mark, Section, Table, count, table
from bluegreen.report.marks import mark_of
from bluegreen.report.said import amount, lasted
from bluegreen.report.story import DecisionTold, MoveTold, RulingRow, Story
from bluegreen.report.timeline import stage_of
from bluegreen.report.validated import validations

WHEN = "%Y-%m-%d %H:%M:%S"


def sections(story: Story) -> tuple[Section, ...]:
    """Everything below the charts, in the order in which somebody wants to know it."""
    return (
        _decisions(story),
        _moves(story),
        _requests(story),
        validations(story),
        _monitors(story),
        _migrations(story),
        _changes(story),
        _versions(story),
        _files(story),
        _missing(story),
    )


def _decisions(story: Story) -> Section:
    found = [decision for move in story.moves for decision in move.decisions]
    if not found:
        return Section("decisions", "Decisions", "No analysis came to a decision.")
    verdicts = Counter(each.verdict for each in found)
    said = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common())
    head = ("analysis", "app", "metric", "verdict", "value", "bar", "requests so far", "after", "upper bound")
    rows = [row for decision in found for row in _rulings(decision)]
    return Section(
        "decisions",
        "Decisions",
        f"{count(len(found), 'analysis', 'analyses')}: {said}.",
        mark_of([each.verdict for each in found]),
        table("What was measured when each decision was made", head, rows),
        points=tuple(_decided(each) for each in found if each.verdict != "pass"),  # of the others the table tells all
    )


def _decided(decision: DecisionTold) -> str:
    why = f" ({decision.because})" if decision.because else ""
    return f"{decision.at:%H:%M:%S} {stage_of(decision.share)}: {decision.verdict}. {decision.sentence}{why}"


def _rulings(decision: DecisionTold) -> Iterator[tuple[str, ...]]:
    for ruling in decision.rulings:
        yield (
            stage_of(decision.share),
            ruling.app,
            ruling.metric,
            _verdict(ruling),
            amount(ruling.value, ruling.unit),
            ruling.bar or "–",
            f"{ruling.n:,}",
            lasted(ruling.window),
            amount(ruling.bound, "%") if ruling.bound is not None else "–",
        )


def _verdict(ruling: RulingRow) -> str:
    told = ruling.verdict or "goes on"
    return f"{told}, dry run" if ruling.dry_run else f"{told}, warns" if ruling.warns else told


def _moves(story: Story) -> Section:
    if not story.moves:
        return Section("moves", "Moves", "No move is written down.", "look")
    head = ("began, UTC", "way", "apps", "ended", "took", "highest", "noticed after", "back after", "who", "why")
    rows = [_move(each) for each in story.moves]
    legs = [
        (
            leg.app,
            leg.way,
            f"{leg.origin or 'nothing'} → {leg.goal}",
            leg.origin_release or "–",
            leg.release,
            ", ".join(leg.stages) or "–",
        )
        for move in story.moves
        for leg in move.legs
    ]
    ends = [f"{each.began:{WHEN}} {each.verdict}: {each.text}" for each in story.moves if each.verdict != "passed"]
    return Section(
        "moves",
        "Moves",
        f"{count(len(story.moves), 'move')} of traffic.",
        mark_of([each.verdict or "stopped" for each in story.moves]),
        (
            *table("Every move", head, rows),
            *table("What each move was planned to do", ("app", "way", "colours", "from release", "to", "stages"), legs),
        ),
        points=tuple(ends),
    )


def _move(move: MoveTold) -> tuple[str, ...]:
    return (
        f"{move.began:{WHEN}}",
        move.way,
        ", ".join(f"{leg.app} → {leg.goal}" for leg in move.legs) or "–",
        move.verdict or "no end in the record",
        lasted((move.ended - move.began).total_seconds()) if move.ended else "–",
        f"{move.highest} %",
        lasted(move.detected) if move.detected is not None else "–",
        lasted(move.back) if move.back is not None else "–",
        move.by or "–",
        move.reason or "–",
    )


def _requests(story: Story) -> Section:
    users = [each for each in story.counted if each.users]
    rows = [
        (each.what, f"{each.n:,}", f"{each.failed:,}", amount(100 * each.failed / each.n if each.n else None, "%"))
        for each in story.counted
    ]
    if users:
        n, failed = sum(each.n for each in users), sum(each.failed for each in users)
        said = f"{failed:,} of {n:,} requests counted on the users' way failed. Nobody counted any others."
    else:
        said = "Requests of users were not counted: no monitor asked on their way, and no metric had Kong count them."
    head = ("requests", "n", "failed", "share")
    mark: Mark = "none" if not users else "bad" if any(each.failed for each in users) else "good"
    return Section("requests", "Requests", said, mark, table("Requests, as far as somebody counted", head, rows))


def _monitors(story: Story) -> Section:
    if not story.monitors:
        return Section("monitors", "Monitors", "Nobody watched it with bluegreen monitor.", "look")
    rows = [
        (
            f"{watch.began:%H:%M:%S}",
            each.endpoint,
            each.way,
            f"{each.n:,}",
            f"{each.failed:,}",
            amount(each.p50, "ms"),
            amount(each.p95, "ms"),
            each.trend or "–",
        )
        for watch in story.monitors
        for each in watch.endpoints
    ]
    raised = [
        (f"{each.at:%H:%M:%S}", each.level, each.subject, each.text)
        for watch in story.monitors
        for each in watch.alerts
    ]
    last = story.monitors[-1]
    judged = [
        _decided(each)
        for watch in story.monitors
        for each in watch.decisions
        if each.sentence not in watch.text  # mostly its end says the same
    ]
    timed = [
        f"noticed after {amount(watch.detect_ms, 'ms')}, back after {amount(watch.rollback_ms, 'ms')}"
        for watch in story.monitors
        if watch.rollback_ms is not None
    ]
    ended = [f"{watch.began:%H:%M:%S} {watch.verdict or 'no end'}: {watch.text}" for watch in story.monitors]
    head = ("began", "endpoint", "way", "n", "failed", "p50", "p95", "against the baseline")
    return Section(
        "monitors",
        "Monitors",
        f"{count(len(story.monitors), 'watch', 'watches')}, {count(len(raised), 'alert')}; "
        f"the last came to {last.verdict or 'no end'}.",
        mark_of([last.verdict or "stopped"]),
        (
            *table("Endpoints, as monitors saw them", head, rows),
            *table("Alerts", ("at", "level", "of", "what"), raised),
        ),
        points=(*ended, *judged, *timed),
    )


def _migrations(story: Story) -> Section:
    if not story.migrations:
        return Section("migrations", "Migrations", "The release brings no migration that is written down.")
    rows = [
        (
            each.label,
            each.phase,
            each.standing,
            amount(each.took_ms, "ms"),
            amount(each.estimate_ms, "ms"),
            each.reverse,
        )
        for each in story.migrations
    ]
    locks = [
        (each.label, lock.relation, lock.mode, lock.stops or "nobody", amount(lock.held_ms, "ms"))
        for each in story.migrations
        for lock in each.locks
    ]
    waiting = sum(bool(lock.stops) for each in story.migrations for lock in each.locks)
    return Section(
        "migrations",
        "Migrations",
        f"{count(len(story.migrations), 'file')}; {count(waiting, 'lock')} that readers or writers wait for.",
        "look" if any("refused" in each.standing for each in story.migrations) else "good",
        (
            *table("Every file", ("file", "phase", "standing", "took", "estimated", "way back"), rows),
            *table("Locks, as measured on a copy", ("file", "relation", "mode", "who waits", "held"), locks),
        ),
        links=tuple(Link(f"The report of {each.label}", each.page) for each in story.migrations),
    )


def _changes(story: Story) -> Section:
    if story.changes is None:
        first = bool(story.moves) and story.moves[0].way == "first"
        why = "this is the first release" if first else "the release before left no config in the record"
        said = f"There is nothing to compare with: {why}."
        return Section("changes", "Config, before and after", said)
    rows = [(each.path, each.before, each.after) for each in story.changes]
    said = f"{count(len(rows), 'difference')} from the release before; of variables only the names are known."
    return Section(
        "changes", "Config, before and after", said, tables=table("Differences", ("where", "before", "after"), rows)
    )


def _versions(story: Story) -> Section:
    told = ", ".join(f"{name} {version}" for name, version in sorted(story.versions.items()))
    return Section("versions", "Versions", f"Made with {told}." if told else "The versions are not written down.")


def _files(story: Story) -> Section:
    rows = [(name, digest) for name, digest in sorted(story.files.items())]
    if not rows:
        return Section("files", "Files and hashes", "The record was not sealed.", "look")
    if story.broken:
        said = f"{count(len(story.broken), 'file is', 'files are')} otherwise than sealed."
        return Section("files", "Files and hashes", said, "bad", _hashes(rows), points=story.broken)
    said = f"{count(len(rows), 'file')}, each as it was when the record was sealed."
    return Section("files", "Files and hashes", said, "good", _hashes(rows))


def _hashes(rows: list[tuple[str, str]]) -> tuple[Table, ...]:
    return table("Files of the record", ("file", "sha256"), rows)


def _missing(story: Story) -> Section:
    if not story.missing:
        return Section("missing", "What the record does not say", "Nothing is known to be missing.", "good")
    said = f"{count(len(story.missing), 'thing')} that nobody can read here."
    return Section("missing", "What the record does not say", said, "look", points=story.missing)
