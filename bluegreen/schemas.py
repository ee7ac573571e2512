"""How a model becomes a published JSON Schema: draft 2020-12, named, told in the words of the models' own docstrings.

Schemas describe what is written: aliases in camelCase, computed fields and all. A further field may come without
notice, so none is forbidden here, however strict the model is with itself; `schemaVersion` rises when a field goes or
means something else. It deliberately knows no document: `cli/documents.py` lists them.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

DRAFT = "https://json-schema.org/draft/2020-12/schema"
URN = "urn:bluegreen:schema:"


def published(name: str, kind: Any, title: str, says: str = "") -> dict[str, Any]:
    """The schema of one document; `kind` is a model or a union of some, `says` stands in where it has no docstring."""
    made: dict[str, Any] = TypeAdapter(kind).json_schema(mode="serialization", by_alias=True)
    told = _told(made)
    return {
        "$schema": DRAFT,
        "$id": f"{URN}{name}",
        "title": title,
        "description": says or told.get("description", ""),
        **{key: value for key, value in told.items() if key not in ("title", "description")},
    }


def _told(part: Any) -> Any:
    """The same for readers: docstrings as paragraphs, no further field forbidden, what tells kinds apart required."""
    if isinstance(part, list):
        return [_told(each) for each in part]
    if not isinstance(part, Mapping):
        return part
    told = {key: _told(value) for key, value in part.items()}
    if isinstance(part.get("description"), str):
        told["description"] = _paragraphs(part["description"])
    if part.get("type") == "object" and part.get("additionalProperties") is False:
        del told["additionalProperties"]
    if part.get("type") == "object" and "properties" in part:
        # A field's title is only its name again, misspelt.
        told["properties"] = {
            name: {key: value for key, value in field.items() if key != "title"}
            for name, field in told["properties"].items()
        }
        marks = [name for name, field in part["properties"].items() if "const" in field]
        required = [*marks, *(name for name in part.get("required", ()) if name not in marks)]
        told |= {"required": required} if required else {}
    return told


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(each.split()) for each in inspect.cleandoc(text).split("\n\n"))
