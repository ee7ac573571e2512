"""What is really written, held against its published schema, in a stricter reading: no field missing, none unnamed.

So a field that is added to a model and forgotten in its schema fails wherever a test meets a real document.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from bluegreen.cli.documents import OUTCOME, schema_of
from bluegreen.cli.verb import Outcome

JOURNAL = "journal-entry"


def strict(part: Any) -> Any:
    """The same schema for a writer: every field is there, and no other."""
    if isinstance(part, list):
        return [strict(each) for each in part]
    if not isinstance(part, Mapping):
        return part
    told = {key: strict(value) for key, value in part.items()}
    if part.get("type") == "object" and "properties" in part:
        told |= {"required": sorted(part["properties"]), "additionalProperties": False}
    return told


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(strict(schema_of(name)))


def faults(name: str, document: Any) -> list[str]:
    """What speaks against a document of this name; empty where it fits."""
    found = _validator(name).iter_errors(document)
    return [f"{name} at {'.'.join(map(str, fault.absolute_path))}: {fault.message[:300]}" for fault in found]


def fitting(verb: str, answer: str) -> dict[str, Any]:
    """What a verb answered with --json, which fits its schema."""
    outcome: dict[str, Any] = json.loads(answer)
    assert [] == faults(f"{OUTCOME}{verb}", outcome)
    return outcome


def fits(verb: str, outcome: Outcome) -> Outcome:
    """The outcome, which fits its schema as --json would tell it."""
    fitting(verb, json.dumps(outcome.model_dump(mode="json", by_alias=True)))
    return outcome


def in_records(reports: Path) -> Iterator[tuple[str, Any]]:
    """Every document in the records of releases below this folder, with its schema's name."""
    for file in sorted(reports.glob("*/*/*")):
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".ndjson":
            yield from ((JOURNAL, json.loads(line)) for line in text.splitlines())
        elif file.suffix == ".json":
            yield file.stem.partition("-")[0], json.loads(text)
