"""`bluegreen observe dashboard|rules`: what Grafana draws of a stack and what Prometheus alarms about, from its config.

Printed, written to a file, or compared with one: `--check` ends with 14 where a committed file is no longer what the
config would make, so that a pipeline notices. It reads the stack's file alone, and deliberately sends nothing to any
Grafana or Prometheus: whoever runs those decides how a file comes there.
"""

import difflib
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.handler import Refused
from bluegreen.observe.written import dashboard_text, rules_text
from bluegreen.spec import Spec

WORLD = "Nothing was changed."
JOB = r"[A-Za-z0-9_./:-]*"

What = Annotated[Literal["dashboard", "rules"], typer.Argument(help="For Grafana, or for Prometheus.")]
Out = Annotated[Path | None, typer.Option(help="Write it to this file instead of printing it.")]
Check = Annotated[Path | None, typer.Option(help="Say whether this file is what the config makes; 14 where not.")]
KongJob = Annotated[
    str, typer.Option(help="The job under which Prometheus fetches this stack's Kong, if it has several.")
]
PostgresJob = Annotated[str, typer.Option(help="The same for postgres_exporter.")]

WRITERS: dict[str, Callable[..., str]] = {"dashboard": dashboard_text, "rules": rules_text}


class Generated(Spec):
    """What was generated: where it lies (nowhere when it was printed), and whether that is what the config makes."""

    kind: Literal["dashboard", "rules"]
    stack: str
    sha256: str
    file: str | None = None
    fits: bool = True
    differs: tuple[str, ...] = ()  # the first lines that do: `-` in the file, `+` in what the config makes


async def observe(
    desk: Desk,
    what: What,
    *,
    out: Out = None,
    check: Check = None,
    kong_job: KongJob = "",
    postgres_job: PostgresJob = "",
) -> Outcome:
    """Make a Grafana dashboard or Prometheus' alert rules of a stack from its config."""
    _must_fit(out, check, {"--kong-job": kong_job, "--postgres-job": postgres_job})
    text = WRITERS[what](desk.settings, kong_job=kong_job, postgres_job=postgres_job)
    facts = Generated(kind=what, stack=desk.settings.owner, sha256=hashlib.sha256(text.encode()).hexdigest())
    if check is not None:
        return _compared(text, check, facts)
    if out is None:
        return Outcome(exit=Exit.OK, what=text.rstrip("\n"), facts=facts)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise Refused(
            f"{out} cannot be written: {problem.strerror}.", world=WORLD, next="Name another file after --out."
        ) from None
    facts = facts.model_copy(update={"file": str(out)})
    after = "Import it in Grafana, or commit it and let --check guard it."
    if what == "rules":
        after = "Put it under rule_files of Prometheus, or commit it and let --check guard it."
    return Outcome(exit=Exit.OK, what=f"The {what} of {facts.stack}: {out}.", next=after, facts=facts)


def _compared(text: str, file: Path, facts: Generated) -> Outcome:
    try:
        found = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as problem:
        why = getattr(problem, "strerror", None) or "it is no UTF-8"
        raise Refused(
            f"{file} cannot be read: {why}.", world=WORLD, next=f"Write it: bluegreen observe {facts.kind} --out {file}"
        ) from None
    if found == text:
        facts = facts.model_copy(update={"file": str(file)})
        return Outcome(exit=Exit.OK, what=f"{file} is what the config of {facts.stack} makes.", facts=facts)
    lines = difflib.unified_diff(found.splitlines(), text.splitlines(), n=0, lineterm="")
    differs = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    facts = facts.model_copy(update={"file": str(file), "fits": False, "differs": tuple(differs[:20])})
    return Outcome(
        exit=Exit.DRIFT,
        what=f"{file} is not what the config of {facts.stack} makes: {len(differs)} lines differ.",
        world=f"The first: {differs[0].strip()[:160]}" if differs else "Only the ends of lines do.",
        next=f"Write it anew: bluegreen observe {facts.kind} --out {file}",
        facts=facts,
    )


def _must_fit(out: Path | None, check: Path | None, jobs: dict[str, str]) -> None:

    if out is not None and check is not None:
        raise Refused("--out and --check are both given.", world=WORLD, next="Give one of them.")
    for option, job in jobs.items():
        if not re.fullmatch(JOB, job):
            raise Refused(
                f"{option} is {job!r}, which is no name of a job.",
                world=WORLD,
                next="Write it as in scrape_configs: letters, digits and _ . / : - alone.",
            )
