"""GetSchema: the package described from the handlers' own models, so that no field is written twice.

The program needs no schema; `pulumi package get-schema`, `pulumi import` and code generators do. Pydantic's JSON
schema is translated: a model becomes a named type, a choice of several types becomes any value, a `SecretStr` a secret.
"""

import re
from collections.abc import Mapping
from inspect import getdoc
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bluegreen.handler import Handler

Tree = dict[str, Any]
ANY = {"$ref": "pulumi.json#/Any"}
SIMPLE = frozenset({"string", "integer", "number", "boolean"})
RESERVED = frozenset({"id", "urn"})  # every resource has these already
REFERENCE = "#/$defs/"


def schema(handlers: Mapping[str, Handler[Any, Any]], version: str) -> Tree:
    """The package `bluegreen` as Pulumi's schema describes it."""
    models = dict.fromkeys(model for handler in handlers.values() for model in (handler.spec, handler.state))
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in models]
    places, definitions = models_json_schema(wanted, by_alias=True)
    translation = Translation(definitions.get("$defs", {}))
    resources: Tree = {}
    for token, handler in handlers.items():
        inputs = translation.object(places[handler.spec, "validation"])
        outputs = translation.object(places[handler.state, "validation"])
        resources[token] = {
            "description": getdoc(handler.spec) or "",
            "inputProperties": inputs["properties"],
            "requiredInputs": inputs["required"],
            "properties": outputs["properties"],
            "required": outputs["required"],
        }
    return {
        "name": "bluegreen",
        "version": version,
        "description": "Zero-downtime blue/green releases: Railway behind Kong, on Postgres.",
        "types": translation.types,
        "resources": resources,
    }


class Translation:
    """Pydantic's JSON schema, said in Pulumi's; `types` gathers the named types that were met."""

    def __init__(self, definitions: Tree) -> None:
        self.definitions = definitions
        self.types: Tree = {}

    def object(self, place: Tree) -> Tree:
        """A model's properties, and which of them must be given."""
        model = self._definition(place)
        properties = {name: self._property(field) for name, field in model["properties"].items()}
        required = [name for name in model.get("required", []) if name not in RESERVED]
        return {
            "properties": {name: said for name, said in properties.items() if name not in RESERVED},
            "required": sorted(required),
        }

    def _definition(self, place: Tree) -> Tree:
        found: Tree = self.definitions[place["$ref"].removeprefix(REFERENCE)]
        return {"properties": {}, **found}

    def _property(self, field: Tree) -> Tree:
        said = self._type(field)
        if "description" in field:
            said["description"] = field["description"]
        if any(part.get("format") == "password" for part in (field, *field.get("anyOf", ()))):
            said["secret"] = True
        return said

    def _type(self, field: Tree) -> Tree:
        if "$ref" in field:
            return self._named(field)
        branches: list[Tree] = field.get("anyOf") or field.get("oneOf") or []
        choices = [branch for branch in branches if branch.get("type") != "null"]
        if len(choices) == 1:
            return self._type(choices[0])
        kind = field.get("type")
        if kind in SIMPLE:
            return {"type": kind}
        if kind == "array":
            return {"type": "array", "items": self._type(field.get("items", {}))}
        if kind == "object":
            values = field.get("additionalProperties")
            return {"type": "object", "additionalProperties": self._type(values if isinstance(values, dict) else {})}
        return dict(ANY)

    def _named(self, place: Tree) -> Tree:
        name = place["$ref"].removeprefix(REFERENCE)
        definition = self.definitions[name]
        if "properties" not in definition:  # an enum or a plain value that has a name
            return self._type(definition)
        token = f"bluegreen:index:{re.sub('[^A-Za-z0-9_]', '_', name)}"
        if token not in self.types:
            self.types[token] = {}  # a model within itself ends here
            self.types[token] = {"type": "object", **self.object(place)}
        return {"$ref": f"#/types/{token}"}
