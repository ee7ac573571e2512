"""A plan as sections: what the file does, what speaks against it, the way back, and what nobody looked at.

Each is told whether or not there is something to tell: silence could be taken for a good word. It is pure; how it
looks is the templates' business.
"""

from collections.abc import Iterator

from bluegreen.page.section import Mark, Section, Text, count, span, table
from bluegreen.postgres.backup.instructions import instructions
from bluegreen.postgres.backup.state import size_of
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.report.outcome import outcome
from bluegreen.postgres.report.told import mode

OBJECTS = ("object", "verdict", "why")


def sections(plan: Plan, script: str = "") -> tuple[Section, ...]:
    """Everything, in the order in which somebody wants to know it; `script` is where the reverse script lies."""
    told = (_findings, _statements, _locks, _catalog, _reverse, _rls, _replay)
    return (
        *(section for tell in told for section in tell(plan)),
        *outcome(plan),
        _backup(plan),
        _back(plan, script),
        _times(plan),
        _unknown(plan),
    )


def _findings(plan: Plan) -> Iterator[Section]:
    found = plan.linted.findings
    standing, allowed = plan.refusals, [each for each in found if each.allowed is not None]
    said = f"{count(len(standing), 'refusal')}, {len(allowed)} allowed with a reason, {len(found)} in all."
    rows = [
        (
            str(each.line),
            each.level if each.allowed is None else f"{each.level}, allowed",
            each.rule,
            each.message,
            f"allowed: {each.allowed}" if each.allowed is not None else each.hint,
        )
        for each in found
    ]
    aside = [f"The file sets {rule} aside as a whole: {why}" for rule, why in plan.allowed.items()]
    mark: Mark = "bad" if standing else "look" if any(each.level == "warn" for each in found) else "good"
    head = ("line", "level", "rule", "what", "reason or remedy")
    yield Section("findings", "Findings", said, mark, table("Findings", head, rows), points=(*standing, *aside))


def _statements(plan: Plan) -> Iterator[Section]:
    steps = {step.number: step for step in plan.traced.statements} if plan.traced else {}
    rows = []
    for kind in plan.linted.kinds:
        step = steps.get(kind.number)
        locks = "; ".join(f"{lock.relation} {mode(lock.mode)}" for lock in step.locks) if step else ""
        took = f"{step.ms:.1f}" if step else ""
        rewrites = ", ".join(step.rewrites) if step and step.rewrites else "no" if step else ""
        rows.append((str(kind.line), kind.what, kind.cls, locks or ("none" if step else ""), took, rewrites))
    tried = f" Tried on {plan.scratch}." if plan.rehearsed else " Not tried on a copy."
    head = ("line", "statement", "class", "new locks on what was there", "ms on the copy", "rewrites")
    said = f"{count(plan.statements, 'statement')}, declared {plan.phase}.{tried}"
    yield Section("statements", "Statements", said, tables=table("Statements", head, rows))


def _locks(plan: Plan) -> Iterator[Section]:
    if plan.traced is None:
        yield Section("locks", "Locks", "Not measured: the file was not tried on a copy.", "look")
        return
    held = plan.traced.locks
    rows = [
        (
            each.relation,
            mode(each.mode),
            each.stops or "nobody who reads or writes",
            str(each.line),
            span(each.held_ms),
        )
        for each in held
    ]
    stopping = [each for each in held if each.stops]
    said = f"{count(len(stopping), 'relation')} in use would make others wait." if stopping else "Nobody waits for it."
    mark: Mark = "bad" if plan.traced.rewrites else "good" if not stopping or plan.traced.late else "look"
    points = [f"Rewrites {name}: nobody reads or writes it meanwhile." for name in plan.traced.rewrites]
    points += [f"The time {each}." for each in plan.traced.grows]
    head = ("relation", "strongest mode", "who waits", "from line", "held, estimated")
    yield Section("locks", "Locks", said, mark, table("Locks", head, rows), points=tuple(points))


def _catalog(plan: Plan) -> Iterator[Section]:
    found = plan.difference
    if found is None:
        yield Section("catalog", "Catalog", "Not known: the file was not tried on a copy.", "look")
        return
    rows = [("added", name, "") for name in found.added]
    rows += [("changed", name, ", ".join(found.attributes.get(name, ()))) for name in found.changed]
    rows += [("gone", name, "") for name in found.gone]
    made = f" It makes {plan.counts.told()}." if plan.counts is not None else ""
    agrees = "as it says" if plan.found_phase == plan.phase else f"but it says {plan.phase}"
    said = f"{len(found.added)} added, {len(found.changed)} changed, {len(found.gone)} gone.{made}"
    said += f" By what changes it is {plan.found_phase or 'of no class'}, {agrees}."
    mark: Mark = "good" if plan.found_phase in ("", plan.phase) else "bad"
    left = [f"{each.object}: {each.message} {each.hint}".strip() for each in plan.leftovers]
    points = (
        *plan.reasons,
        *left,
        *(f"{each.name}: {each.object}: {each.message} {each.hint}" for each in plan.advice),
    )
    names = table("Catalog changes", ("what", "object", "in"), rows)
    meant = all(each.added for each in plan.leftovers)
    yield Section("catalog", "Catalog", said, mark if meant else "bad", names, points=points)


def _reverse(plan: Plan) -> Iterator[Section]:
    found = plan.reverse
    if found is None:
        yield Section("reverse", "The way back", "There is none: it is made by trying the file on a copy.", "look")
        return
    gone = "up and down" if found.lasting else "up, down and up again"
    proven = f"proven on a copy: {gone}" if found.proven else "not proven"
    rows = [(way.object, way.verdict, way.why) for way in found.objects]
    mark: Mark = "bad" if not found.proven else "good" if found.verdict == "reversible" else "look"
    said = f"{found.verdict.capitalize()}, {proven}."
    texts = (Text("Reverse script", found.script),) if found.script else ()
    where = table("Way back, object by object", OBJECTS, rows)
    yield Section("reverse", "The way back", said, mark, where, points=found.differences, texts=texts)


def _rls(plan: Plan) -> Iterator[Section]:
    found = plan.matrix
    if found is None:
        yield Section("matrix", "Who may what", "Not asked: the file was not tried on a copy.", "look")
        return
    wrong = (*found.faults, *plan.matrix_differences)
    alike: dict[tuple[str, str, str], list[str]] = {}
    for line in found.lines:
        alike.setdefault((line.what, line.verb, line.answer), []).append(line.who)
    rows = [(what, verb, ", ".join(who), answer) for (what, verb, answer), who in alike.items()]
    asked = f"{count(found.probes, 'probe')} as {count(len(found.people), 'person', 'people')} in {span(found.took_ms)}"
    said = found.missing or (f"{asked}; {count(len(wrong), 'difference')}." if wrong else f"{asked}, as recorded.")
    mark: Mark = "bad" if wrong else "look" if found.missing else "good"
    head = ("object", "verb", "person", "answer")
    bounded = [f"Not every row of {name} was asked about." for name in found.bounded]
    yield Section("matrix", "Who may what", said, mark, table("Who may what", head, rows), points=(*wrong, *bounded))


def _replay(plan: Plan) -> Iterator[Section]:
    found = plan.replayed
    if found is None:
        yield Section("replay", "The running release", "Its statements were not tried.", "look")
        return
    rows = [("broken", each.statement, each.role, f"{each.message} ({each.code})") for each in found.broken]
    rows += [("as before", each.statement, each.role, f"{each.message} ({each.code})") for each in found.not_replayable]
    mark: Mark = "bad" if found.broken else "good" if found.replayed else "look"
    head = ("since", "statement", "role", "why")
    yield Section("replay", "The running release", found.told(), mark, table("Statements that do not run", head, rows))


def _backup(plan: Plan) -> Section:
    found = plan.backup
    if found is None or found.at is None:
        return Section("backup", "Backup", "It is made just before the first statement.")
    rows = [(each.name, size_of(each.bytes), str(sum(each.rows.values())), each.sha256) for each in found.files]
    points = [f"Left out: {each}. {each.next}." for each in found.left_out]
    points += [f"Not restored on the scratch server: {each}." for each in found.faults]
    points.append(f"The platform's own backups: {found.platform or 'not asked'}.")
    held = found.archive.rows if found.archive else {}
    tables = (
        *table("Files of the backup", ("file", "size", "rows", "sha256"), rows),
        *table("Rows in the backup", ("table", "rows"), [(name, str(rows)) for name, rows in held.items()]),
    )
    mark: Mark = "good" if found.restored and not found.read_back and not found.left_out else "look"
    where = f" In {found.folder}, at {found.at:%Y-%m-%d %H:%M:%S} UTC."
    return Section("backup", "Backup", f"{found.told()}.{where}", mark, tables, points=tuple(points))


def _back(plan: Plan, script: str) -> Section:
    text = instructions(plan.backup, plan.reverse, plan.where or "not known", version=plan.version, script=script)
    return Section("back", "Taking the database back", "Three ways, from the smallest loss to the largest.", prose=text)


def _times(plan: Plan) -> Section:
    rows = [("analysis and dry run", span(plan.took_ms))]
    if plan.traced is not None:
        rows += [("the file on the copy", span(plan.traced.took_ms))]
        rows += [("the file on the database, estimated", span(plan.traced.estimate_ms))]
    if plan.matrix is not None and plan.matrix.probes:
        rows += [("who may what", span(plan.matrix.took_ms))]
    if plan.backup is not None and plan.backup.at is not None:
        rows += [("backup: dump", span(plan.backup.dump_ms)), ("backup: restore", span(plan.backup.restore_ms))]
    if plan.applied is not None and plan.applied.took_ms is not None:
        rows += [("the file on the database", span(plan.applied.took_ms))]
    return Section("times", "Times", "What took how long.", tables=table("Times", ("what", "took"), rows))


def _unknown(plan: Plan) -> Section:
    skipped = plan.traced.not_modelled if plan.traced is not None else ()
    left = (*plan.not_modelled, *skipped)
    points = (*plan.not_checked, *(f"Not on the copy: {name}." for name in dict.fromkeys(left)))
    said = (
        f"{count(len(points), 'thing')} that nobody looked at." if points else "Everything that can be was looked at."
    )
    return Section("unknown", "Not looked at", said, "look" if points else "good", points=points)
