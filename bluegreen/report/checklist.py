"""What is to be done after a release, in three spans of time; what the record answers is ticked, with where it does.

A tick is a claim: it is made only where something was measured. Whatever the record does not answer is left for a
person, on the screen or on paper.
"""

from collections import Counter
from collections.abc import Iterator

from bluegreen.report.said import amount
from bluegreen.report.story import Duty, FindingTold, MonitorTold, Period, Story, Ticked, ValidationTold

MOST_ERRORS, MOST_MS = 1.0, 2000.0


def checklist(story: Story) -> tuple[Period, ...]:
    """The list for this release."""
    return (
        Period(title="0–24 hours", duties=tuple(_day(story))),
        Period(title="1–7 days", duties=tuple(_week(story))),
        Period(title="1–4 weeks", duties=tuple(_month())),
    )


def _day(story: Story) -> Iterator[Duty]:
    watch = next((each for each in reversed(story.monitors) if each.rounds or each.endpoints), None)
    yield _errors(watch)
    yield _latency(watch)
    yield _alerts(watch)
    after = story.validations[-1] if story.validations else None
    yield _rollback(after)
    yield _validations(after)


def _duty(key: str, text: str, answer: Ticked, evidence: str, link: str) -> Duty:
    return Duty(key=key, text=text, ticked=answer, evidence=evidence, link=link if answer != "unknown" else "")


def _errors(watch: MonitorTold | None) -> Duty:
    text = "Less than 1 % of the requests on the users' way failed"
    rows = [each for each in watch.endpoints if each.way == "users"] if watch else []
    n, failed = sum(each.n for each in rows), sum(each.failed for each in rows)
    if not n:
        return _duty("errors", text, "unknown", "no monitor asked on the users' way", "")
    share = 100 * failed / n
    return _duty("errors", text, _tick(share < MOST_ERRORS), f"{failed:,} of {n:,}: {amount(share, '%')}", "monitors")


def _latency(watch: MonitorTold | None) -> Duty:
    text = "p95 is below 2 s on every endpoint that users ask"
    rows = [each for each in watch.endpoints if each.way == "users" and each.p95 is not None] if watch else []
    if not rows:
        return _duty("latency", text, "unknown", "no monitor timed the users' way", "")
    worst = max(rows, key=lambda each: each.p95 or 0)
    shown = f"worst: {worst.endpoint} {amount(worst.p95, 'ms')}, n {worst.n:,}"
    return _duty("latency", text, _tick((worst.p95 or 0) < MOST_MS), shown, "monitors")


def _alerts(watch: MonitorTold | None) -> Duty:
    text = "No alert was raised"
    if watch is None:
        return _duty("alerts", text, "unknown", "no monitor was run", "")
    real = [each for each in watch.alerts if each.level in ("critical", "warning")]
    shown = f"{len(real)} in {watch.rounds} rounds" if watch.rounds else f"{len(real)} raised"
    return _duty("alerts", text, _tick(not real), shown, "monitors")


def _rollback(after: ValidationTold | None) -> Duty:
    text = "A rollback is possible"
    found = [each for each in after.findings if each.group == "rollback"] if after else []
    asked = [each for each in found if each.status != "skipped"]
    if not asked:
        return _duty("rollback", text, "unknown", "no validation asked", "")
    good = all(each.status == "pass" for each in asked)
    return _duty("rollback", text, _tick(good), _first(asked, good=good), "validations")


def _first(found: list[FindingTold], *, good: bool) -> str:
    shown = next((each for each in found if good or each.status != "pass"), None)
    return f"{shown.id}: {shown.observed or shown.status}" if shown else ""


def _validations(after: ValidationTold | None) -> Duty:
    text = "Every validation is green"
    if after is None:
        return _duty("validations", text, "unknown", "no validation was run", "")
    by = Counter(each.status for each in after.findings)
    told = ", ".join(f"{number} {status}" for status, number in by.most_common())
    shown = f"{told}, at {after.began:%Y-%m-%d %H:%M} UTC"
    good = after.verdict == "pass" and all(each.status in ("pass", "skipped") for each in after.findings)
    return _duty("validations", text, _tick(good), shown, "validations")


def _tick(good: bool) -> Ticked:
    return "yes" if good else "no"


def _week(story: Story) -> Iterator[Duty]:
    text = "Compared with the baseline from before"
    compared = next((each for each in reversed(story.monitors) if each.baseline), None)
    if compared is None:
        yield _duty("baseline", text, "unknown", "no monitor had a baseline", "")
    else:
        yield _duty("baseline", text, "yes", compared.baseline, "monitors")
    yield Duty(key="idle", text="The idle colour is stopped, or kept on purpose")
    yield Duty(key="logs", text="The logs of both apps and gateway were looked at")
    yield Duty(key="backups", text="A backup from after the release was restored and looked into")


def _month() -> Iterator[Duty]:
    yield Duty(key="contract", text="The contract migrations of this release are shipped, or planned")
    yield Duty(key="window", text="The rollback window is over, and nobody counts on the old release")
    yield Duty(key="costs", text="What the second fleet costs was looked at")
    yield Duty(key="cleanup", text="What the old colour needed alone is cleaned up: variables, flags, dead code")
