"""Every document that a machine may read from here: what verbs answer with `--json`, and what lies in a bundle.

A model is named by its module and imported when its schema is asked for, so that naming all costs nothing. What is
listed here is published in docs/schemas/; a test holds both together, and real outputs against them. It deliberately
leaves out the report of the sandbox's demo, whose schema is the sandbox's own.
"""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from pydantic import create_model

from bluegreen.cli.verb import Outcome
from bluegreen.schemas import published

# By verb: every model that its facts may be; none where it answers in words alone.
FACTS: Mapping[str, tuple[str, ...]] = {
    "adopt": ("bluegreen.cli.adopt:Facts",),
    "approve": ("bluegreen.cli.approve:Approved",),
    "bypass": ("bluegreen.cli.bypass:Way",),
    "drill": ("bluegreen.cli.drill:Drilled",),
    "hold": ("bluegreen.cli.hold:Holds",),
    "keep": ("bluegreen.cli.keep:Facts",),
    "migrate": (
        "bluegreen.cli.migrate_state:Migrated",
        "bluegreen.cli.migrate_look:Plans",
        "bluegreen.cli.migrate_look:Looked",
        "bluegreen.postgres.undone:Undone",
        "bluegreen.postgres.verify.matrix:Matrix",
    ),
    "monitor": ("bluegreen.monitor.document:Monitored",),
    "observe": ("bluegreen.cli.observe:Generated",),
    "orphans": ("bluegreen.cli.orphans:Found",),
    "phase": ("bluegreen.phases.told:Phased",),
    "plan": ("bluegreen.planning.document:Planned", "bluegreen.cli.plan:Checked"),
    "promote": ("bluegreen.staging.told:Promoted",),
    "recover": ("bluegreen.cli.recover:Recovered",),
    "rehearse": ("bluegreen.cli.rehearse:Rehearsed",),
    "report": (
        "bluegreen.cli.report:Made",
        "bluegreen.report.listing:Listed",
        "bluegreen.report.rejudge:Rejudged",
    ),
    "revert": ("bluegreen.staging.told:Reverted",),
    "rollback": ("bluegreen.cli.rollback_traffic:Back", "bluegreen.cli.rollback:RolledBack"),
    "schema": ("bluegreen.cli.schema:Published",),
    "stage": ("bluegreen.staging.told:Staged",),
    "status": ("bluegreen.survey:Survey",),
    "up": ("bluegreen.cli.up:Brought",),
    "validate": ("bluegreen.validation.finding:Validation",),
    "verify": (),
}


@dataclass(frozen=True, slots=True)
class Document:
    """One document by its model, or a union's name; `where` says where such a document is found."""

    kind: str
    title: str
    where: str
    says: str = ""


DOCUMENTS: Mapping[str, Document] = {
    "journal-entry": Document(
        "bluegreen.journal:AnyEntry",
        "Journal entry",
        "reports/<stack>/<release>/journal-*.ndjson, one a line",
        "One thing that happened in a release or while it was monitored; `kind` says which.",
    ),
    "manifest": Document("bluegreen.evidence.bundle:Manifest", "Manifest", "reports/<stack>/<release>/manifest.json"),
    "migration-plan": Document(
        "bluegreen.postgres.plan:Plan", "Migration plan", "reports/<stack>/migrations/<file>/plan.json"
    ),
    "monitor": Document("bluegreen.monitor.document:Monitored", "Monitor", "reports/<stack>/<release>/monitor-*.json"),
    "plan": Document("bluegreen.planning.document:Planned", "Plan", "where bluegreen plan --save says"),
    "rejudged": Document(
        "bluegreen.report.rejudge:Rejudged", "Analyses judged again", "reports/<stack>/<release>/rejudged-*.json"
    ),
    "release": Document("bluegreen.evidence.identity:Identity", "Release", "reports/<stack>/<release>/release.json"),
    "report": Document("bluegreen.report.story:Story", "Report", "reports/<stack>/<release>/report.json"),
    "rollback": Document("bluegreen.cli.rollback_traffic:Back", "Rollback", "reports/rollback-<stack>-*.json"),
    "validation": Document(
        "bluegreen.validation.finding:Validation", "Validation", "reports/<stack>/<release>/validation-*.json"
    ),
}
OUTCOME = "outcome-"  # before a verb's name


def names() -> tuple[str, ...]:
    """Every schema that there is, by name."""
    return (*sorted(DOCUMENTS), *(f"{OUTCOME}{verb}" for verb in sorted(FACTS)))


def where(name: str) -> str:
    """Where documents of this schema are found."""
    document = DOCUMENTS.get(name)
    return document.where if document else f"bluegreen {name.removeprefix(OUTCOME)} --json"


def schema_of(name: str) -> dict[str, Any]:
    """The schema of this name, which has to be one of `names`."""
    document = DOCUMENTS.get(name)
    if document is not None:
        return published(name, _named(document.kind), document.title, document.says)
    verb = name.removeprefix(OUTCOME)
    return published(name, _outcome(verb), f"Outcome of bluegreen {verb}")


def text_of(name: str) -> str:
    """The same as its file in docs/schemas/ has it."""
    return json.dumps(schema_of(name), indent=2, ensure_ascii=False) + "\n"


def _outcome(verb: str) -> Any:
    """An outcome whose facts are this verb's."""
    facts = reduce(or_, (_named(kind) for kind in FACTS[verb]), None)
    fields: dict[str, Any] = {"facts": (facts, None)}
    return create_model(f"{verb.capitalize()}Outcome", __base__=Outcome, __doc__=Outcome.__doc__, **fields)


def _named(kind: str) -> Any:
    module, _, name = kind.partition(":")
    return getattr(importlib.import_module(module), name)
