"""GraphQL as Railway speaks it: parse, validate against `railway.graphql`, execute, and its own shape of errors.

A refusal is HTTP 200 with `data: null`, a code and a traceId; a document that does not parse or validate is HTTP 400.
Root fields without a resolver answer that the sandbox does not model them. Introspection needs no token.
"""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    execute,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values

from sandbox.railway_call import Call, Resolver
from sandbox.railway_machines import Down
from sandbox.railway_mutations import MUTATIONS
from sandbox.railway_queries import QUERIES
from sandbox.railway_rules import Refused, not_modelled

SDL = Path(__file__).with_name("railway.graphql")
KNOWN_DOCUMENTS = 500  # a client sends few different ones; more would be a leak
SERVER_ERROR = "INTERNAL_SERVER_ERROR"

log = logging.getLogger("railway")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status and a JSON body."""

    status: int
    body: dict[str, Any]


class OpenEnum(GraphQLEnumType):
    """An enum that may also show a value nobody knows yet, as Railway's do when it adds one."""

    def coerce_output_value(self, output_value: Any) -> str:
        return str(output_value)


@cache
def load() -> GraphQLSchema:
    """The schema with the sandbox's resolvers on its root fields; they keep nothing, so one serves everyone."""
    schema = build_schema(SDL.read_text())
    status = schema.type_map["DeploymentStatus"]
    status.__class__ = OpenEnum
    for root, table in ((schema.query_type, QUERIES), (schema.mutation_type, MUTATIONS)):
        assert root is not None
        unknown = set(table) - set(root.fields)
        assert not unknown, f"resolvers for fields that the schema does not have: {unknown}"
        for name, field in root.fields.items():
            _resolve(field, name, table.get(name))
    return schema


def _resolve(field: GraphQLField, name: str, resolver: Resolver | None) -> None:
    async def resolve(_: object, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        call = cast(Call, info.context)
        call.authorise()
        if resolver is None:
            raise not_modelled(name)
        return await resolver(call, arguments)

    async def unauthorised_ok(_: object, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        assert resolver is not None
        return await resolver(cast(Call, info.context), arguments)

    field.resolve = unauthorised_ok if name == "projectToken" else resolve


class Executor:
    """Answers GraphQL requests over one schema."""

    def __init__(self) -> None:
        self._schema = load()
        self._documents: dict[str, DocumentNode | Reply] = {}

    async def execute(self, request: Mapping[str, Any], call: Call) -> Reply:
        """The answer to one request; `Down` when the platform behind it cannot be reached."""
        prepared = self._prepare(request.get("query"))
        if isinstance(prepared, Reply):
            return prepared
        operation = get_operation_ast(prepared, request.get("operationName"))
        if operation is None:
            return _bad("Must provide operation name if query contains multiple operations.", "BAD_USER_INPUT")
        variables = request.get("variables") or {}
        coerced = get_variable_values(self._schema, operation.variable_definitions or (), variables)
        if isinstance(coerced, list):
            return _bad(coerced[0].message, "BAD_USER_INPUT")
        result = await _awaited(
            execute(
                self._schema,
                prepared,
                context_value=call,
                variable_values=variables,
                operation_name=request.get("operationName"),
            )
        )
        if result.errors:
            return Reply(200, {"data": None, "errors": [_shown(error) for error in result.errors]})
        return Reply(200, {"data": result.data})

    def _prepare(self, query: object) -> DocumentNode | Reply:
        """The document, parsed and validated once."""
        if not isinstance(query, str):
            return _bad("POST body missing query.", "BAD_REQUEST")
        if query not in self._documents:
            if len(self._documents) >= KNOWN_DOCUMENTS:
                self._documents.clear()
            self._documents[query] = self._read(query)
        return self._documents[query]

    def _read(self, query: str) -> DocumentNode | Reply:
        try:
            document = parse(query)
        except GraphQLError as error:
            return _bad(error.message, "GRAPHQL_PARSE_FAILED")
        problems = validate(self._schema, document)
        return _bad(problems[0].message, "GRAPHQL_VALIDATION_FAILED") if problems else document


def operation_name(request: Mapping[str, Any]) -> str:
    """The name under which faults know a request: its operation's, or its only root field's."""
    if isinstance(request.get("operationName"), str):
        return str(request["operationName"])
    try:
        document = parse(str(request.get("query")))
    except GraphQLError:
        return ""
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            first = definition.selection_set.selections[0]
            if definition.name is not None:
                return definition.name.value
            return first.name.value if isinstance(first, FieldNode) else ""
    return ""


async def _awaited(result: Any) -> Any:
    return await result if hasattr(result, "__await__") else result


def _bad(message: str, code: str) -> Reply:
    error = {"message": message, "extensions": {"code": code}, "traceId": secrets.token_hex(8)}
    return Reply(400, {"errors": [error]})


def _shown(error: GraphQLError) -> dict[str, Any]:
    """An error in Railway's shape; what went wrong in here is told to the log, not to the client."""
    cause, trace = error.original_error, secrets.token_hex(8)
    if isinstance(cause, Down):
        raise cause
    message, code = error.message, SERVER_ERROR
    if isinstance(cause, Refused):
        message, code = cause.message, cause.code
    elif cause is not None:
        log.error("trace %s", trace, exc_info=cause)
        message = "Problem processing request"
    return {"message": message, "path": error.path, "extensions": {"code": code}, "traceId": trace}
