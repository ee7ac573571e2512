"""One file through everything: the grammar, squawk, our own rules, its phase, and what it allows itself.

It asks no server. What runs inside of DO blocks and called functions is judged like statements of the file; squawk,
which reads no code, is shown it apart. A finding about what the file itself has made is dropped.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby

from bluegreen.postgres.files import File
from bluegreen.postgres.lint import allow, levels, parsed, squawk
from bluegreen.postgres.lint.classify import absent, classify, worst
from bluegreen.postgres.lint.findings import Finding, Kind, Linted
from bluegreen.postgres.lint.known import Known
from bluegreen.postgres.lint.parsed import Parsed
from bluegreen.postgres.lint.phase import NAME as PHASE
from bluegreen.postgres.lint.phase import mismatches
from bluegreen.postgres.lint.rules import OF_PHASE, RULES
from bluegreen.postgres.lint.squawk import Said
from bluegreen.postgres.lint.things import makes, touches
from bluegreen.postgres.lint.world import World, worlds
from bluegreen.postgres.statements import Unparsable

NAMES = frozenset({*RULES, PHASE, *levels.RULES, *allow.ALWAYS})  # every rule that a finding can have
GENERAL = "constraint-missing-not-valid"
Met = Sequence[tuple[Parsed, World]]
Heard = tuple[Parsed, World, Said, int]  # what squawk said of which statement, at which line


async def lint(file: File, *, major: int, known: Known | None = None) -> Linted:
    """Everything that can be said of a file without running it.

    Raises:
        bluegreen.handler.Refused: squawk is missing.
    """
    try:
        # A large file takes seconds; whoever waits beside it goes on.
        met, kinds, own = await asyncio.to_thread(_read, file, known)
    except Unparsable as problem:
        return Linted(findings=(_unparsable(problem),))
    outer = [(statement, world) for statement, world in met if not statement.inner]
    heard = [*await _of_file(file, outer, major), *await _of_code(file, met, major)]
    found = [*own, *_theirs(heard, file, kinds)]
    once: dict[tuple[str, int, str], Finding] = {}  # code that is run twice says the same twice
    for finding in allow.apply(found, allow.read(file.sql, file.statements), NAMES):
        once.setdefault((finding.rule, finding.statement or -finding.line, finding.message), finding)
    return Linted(findings=tuple(sorted(once.values(), key=_order)), kinds=tuple(kinds))


def _read(file: File, known: Known | None) -> tuple[Met, list[Kind], list[Finding]]:
    """The file as the grammar and our own rules see it."""
    met = list(worlds(parsed.read(file, known), known, file.phase))
    kinds, own = _kinds(met), list(_own(met))
    said = {finding.statement for finding in own if finding.rule in OF_PHASE}
    columns = [statement.column for statement, _ in met if not statement.inner]
    own += mismatches(file.phase, kinds, columns, said)
    return met, kinds, [*own, *_silenced(file.sql)]


def _order(finding: Finding) -> tuple[int, int, str]:
    return finding.line, finding.column, finding.rule


def _kinds(met: Met) -> list[Kind]:
    each = [classify(statement, world) for statement, world in met]
    return [worst(list(group)) for _, group in groupby(each, key=lambda kind: kind.number)]


def _own(met: Met) -> Iterator[Finding]:
    for statement, world in met:
        for name, judge in RULES.items():
            for fault in judge(statement, world):
                yield Finding(
                    rule=name,
                    level=fault.level,
                    line=fault.line or statement.line,
                    column=1 if fault.line else statement.column,
                    statement=statement.number,
                    message=fault.message,
                    hint=fault.hint,
                )


def _silenced(text: str) -> Iterator[Finding]:
    for found in squawk.IGNORE.finditer(text):
        yield Finding(
            rule="squawk-ignore",
            level="refuse",
            line=text[: found.start()].count("\n") + 1,
            column=found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1,
            message="squawk's own words for silence are not obeyed here, because no report shows them",
            hint="Write -- bluegreen:allow RULE REASON directly above the statement.",
        )


async def _of_file(file: File, outer: Met, major: int) -> list[Heard]:
    """What squawk says of the file, transaction by transaction: what is not in one is blank to it."""
    asked = []
    for segment in file.segments:
        start, end = segment.statements[0].at, segment.statements[-1].at + len(segment.statements[-1].text)
        blank = "".join("\n" if letter == "\n" else " " for letter in file.sql[:start])
        text = f"{blank}{file.sql[start:end]};"
        asked.append(squawk.ask(text, file.path.name, major=major, in_transaction=segment.kind == "transaction"))
    answers = await _few_at_once(asked)
    starts = [statement.at for statement in file.statements]
    heard: list[Heard] = []
    for said in (each for answer in answers for each in answer):
        number = max(bisect_right(starts, said.at), 1)
        statement, world = outer[number - 1]
        heard.append((statement, world, said, file.sql[: said.at].count("\n") + 1))
    return heard


async def _of_code(file: File, met: Met, major: int) -> list[Heard]:
    """What squawk says of the statements that code runs, written one below the other."""
    inner = [(statement, world) for statement, world in met if statement.inner]
    if not inner:
        return []
    text, starts = "", []
    for statement, _ in inner:
        starts.append(len(text))
        text += f"{statement.text};\n"
    said = await squawk.ask(text, file.path.name, major=major)
    owners = [inner[bisect_right(starts, each.at) - 1] for each in said]
    return [(statement, world, each, statement.line) for (statement, world), each in zip(owners, said, strict=True)]


async def _few_at_once(asked: Sequence[object]) -> list[Sequence[Said]]:
    answers: list[Sequence[Said]] = []
    for at in range(0, len(asked), 2):
        answers += await asyncio.gather(*asked[at : at + 2])  # type: ignore[call-overload]
    return answers


def _theirs(heard: Sequence[Heard], file: File, kinds: Sequence[Kind]) -> Iterator[Finding]:
    precise = {statement.number for statement, _, said, _ in heard if said.rule in levels.PRECISE}
    for statement, world, said, line in heard:
        judged = levels.RULES.get(said.rule, levels.UNHEARD)
        level, hint = judged.level(file.phase), said.help or judged.because
        if said.rule == squawk.SYNTAX:
            level, hint = "warn", "Postgres's own grammar reads it; what else squawk would have said is missing."
        elif absent(statement.node, world) or (not judged.of_new and world.only_new(statement.node)):
            continue
        elif _harmless(statement, world, said.rule, judged) or (said.rule == GENERAL and statement.number in precise):
            level = "info"
        elif judged.concern == "taken" and kinds[statement.number - 1].cls in ("contract", "restriction"):
            # It is known for what it is; in an expand phase-mismatch, or a rule of its own, has spoken already.
            if file.phase == "expand":
                continue
            level = "info"
        yield Finding(
            rule=said.rule,
            level=level,
            line=line,
            column=1 if statement.inner else said.at - (file.sql.rfind("\n", 0, said.at) + 1) + 1,
            statement=statement.number,
            message=said.message.rstrip("."),
            hint=hint,
        )


def _harmless(statement: Parsed, world: World, rule: str, judged: levels.Judged) -> bool:
    """Whether there is little to scan, as the database knows, or nothing, as the statement says."""
    if rule == "ban-alter-domain-with-add-constraint":
        return bool(getattr(statement.node.def_, "skip_validation", False))
    tables = [name for of, name in touches(statement.node) if of == "relation" and world.exists(name)]
    fresh = {name for _, name in makes(statement.node)}
    old = [name for name in tables if name not in fresh]
    return judged.concern == "scan" and bool(old) and all(map(world.small, old))


def _unparsable(problem: Unparsable) -> Finding:
    where, _, what = str(problem).partition(": ")
    line, column = (int("".join(filter(str.isdigit, part)) or 1) for part in where.split(","))
    hint = "Correct the SQL; nothing else can be said of the file before."
    return Finding(rule=squawk.SYNTAX, level="refuse", line=line, column=column, message=what, hint=hint)
