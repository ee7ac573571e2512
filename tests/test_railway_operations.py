"""Every operation is valid against Railway's schema, complete by itself, and used."""

import gzip
import inspect
import re
from pathlib import Path

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, build_schema, parse, validate

from bluegreen.railway import api, wire

ROOT = Path(__file__).resolve().parents[1]
OPERATIONS = sorted(wire.documents())


@pytest.fixture(scope="module")
def subset() -> GraphQLSchema:
    return build_schema((ROOT / "sandbox" / "railway.graphql").read_text())


@pytest.fixture(scope="module")
def whole() -> GraphQLSchema:
    recorded = gzip.decompress((ROOT / "tests" / "recorded" / "railway_full.graphql.gz").read_bytes()).decode()
    return build_schema(recorded, assume_valid=True)  # Railway's own schema has one fault: Team.id


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_valid_against_the_schema_of_the_stand_in(name: str, subset: GraphQLSchema) -> None:
    assert validate(subset, parse(wire.documents()[name])) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_valid_against_railways_whole_schema(name: str, whole: GraphQLSchema) -> None:
    assert validate(whole, parse(wire.documents()[name])) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_document_holds_one_operation_of_its_own_name(name: str) -> None:
    operations = [
        node for node in parse(wire.documents()[name]).definitions if isinstance(node, OperationDefinitionNode)
    ]
    assert [name] == [operation.name.value for operation in operations if operation.name is not None]


def test_a_field_that_railway_does_not_have_is_found(subset: GraphQLSchema) -> None:
    document = wire.documents()["DeploymentPoll"].replace("deploymentStopped", "isStopped")
    assert [error.message for error in validate(subset, parse(document))] == [
        "Cannot query field 'isStopped' on type 'Deployment'."
    ]


def test_every_operation_is_used_and_no_other_is_asked_for() -> None:
    asked = set(re.findall(r'_(?:query|mutate)\(\s*"(\w+)"', inspect.getsource(api.Railway)))
    assert set(OPERATIONS) == asked
