"""The codec: what crosses the wire comes back as it was, and what cannot cross is refused by its path."""

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from bluegreen.provider import wire
from bluegreen.provider.wire import UNKNOWN, Bag, Path, Unreadable, decode, encode, settle

LEAVES = (
    st.text().filter(lambda text: text not in wire.UNKNOWN_TEXTS)
    | st.booleans()
    | st.integers(-wire.EXACT, wire.EXACT)
    | st.floats(allow_nan=False)
)
KEYS = st.text(min_size=1).filter(lambda key: key != wire.SIGNATURE)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)
MAPS = st.dictionaries(KEYS, VALUES, max_size=5)


def paths(values: Any, at: Path = ()) -> list[Path]:
    """Every path within."""
    if isinstance(values, dict):
        return [path for key, value in values.items() for path in [(*at, key), *paths(value, (*at, key))]]
    if isinstance(values, list):
        return [path for index, value in enumerate(values) for path in [(*at, index), *paths(value, (*at, index))]]
    return []


def disguised(signature: str, **fields: Any) -> Struct:
    struct = Struct()
    struct.update({"thing": {wire.SIGNATURE: signature, **fields}})
    return struct


@settings(max_examples=50, deadline=None)
@given(MAPS)
def test_plain_data_comes_back_as_it_was(values: dict[str, Any]) -> None:
    assert values == decode(encode(values)).values


@settings(max_examples=50, deadline=None)
@given(MAPS, st.data())
def test_secret_paths_come_back_with_the_outermost_counting(values: dict[str, Any], data: st.DataObject) -> None:
    every = paths(values)
    chosen = frozenset(data.draw(st.lists(st.sampled_from(every), max_size=5))) if every else frozenset()
    outermost = {path for path in chosen if not any(path[:length] in chosen for length in range(1, len(path)))}
    bag = decode(encode(values, chosen))
    assert Bag(values, frozenset(outermost)) == bag


@settings(max_examples=50, deadline=None)
@given(MAPS, st.data())
def test_unknown_values_come_back_with_their_paths(values: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(KEYS)
    bag = decode(encode({**values, key: {"inner": [1, UNKNOWN]}}))
    assert UNKNOWN is bag.values[key]["inner"][1]
    assert frozenset({(key, "inner", 1)}) == bag.unknowns


@pytest.mark.parametrize("text", sorted(wire.UNKNOWN_TEXTS))
def test_each_of_the_seven_sentinels_is_unknown(text: str) -> None:
    struct = Struct()
    struct.update({"later": text})
    assert Bag({"later": UNKNOWN}, unknowns=frozenset({("later",)})) == decode(struct)


def test_a_secret_that_is_unknown_is_both() -> None:
    bag = decode(disguised(wire.SECRET, value=wire.UNKNOWN_TEXT))
    assert Bag({"thing": UNKNOWN}, frozenset({("thing",)}), frozenset({("thing",)})) == bag


def test_a_whole_number_is_an_int_and_any_other_a_float() -> None:
    struct = Struct()
    struct.update({"whole": 3.0, "broken": 3.5, "edge": float(2**53), "beyond": float(2**60)})
    values = decode(struct).values
    assert {"whole": "int", "broken": "float", "edge": "int", "beyond": "float"} == {
        key: type(value).__name__ for key, value in values.items()
    }


def test_a_bool_is_not_a_number() -> None:
    assert {"yes": True, "one": 1} == decode(encode({"yes": True, "one": 1})).values
    assert decode(encode({"yes": True})).values["yes"] is True


def test_an_integer_that_a_double_cannot_hold_is_refused_by_its_path() -> None:
    with pytest.raises(Unreadable, match=r"rows\[1\]\.size: 9007199254740993 is too large"):
        encode({"rows": [{}, {"size": 2**53 + 1}]})


def test_a_null_in_a_map_is_an_absent_key_and_a_null_in_a_list_keeps_its_place() -> None:
    struct = Struct()
    struct.update({"gone": None, "inner": {"gone": None}, "list": [1, None, 2]})
    assert {"inner": {}, "list": [1, None, 2]} == decode(struct).values
    assert {"list": [None]} == decode(encode({"gone": None, "list": [None]})).values


def test_a_secret_null_is_a_null() -> None:
    assert Bag() == decode(disguised(wire.SECRET, value=None))


def test_empty_maps_and_lists_are_there() -> None:
    assert {"map": {}, "list": [], "text": ""} == decode(encode({"map": {}, "list": [], "text": ""})).values


def test_an_output_value_is_its_value_and_secret_when_it_says_so() -> None:
    assert Bag({"thing": [1]}) == decode(disguised(wire.OUTPUT, value=[1], dependencies=["urn:a"]))
    assert Bag({"thing": "x"}, frozenset({("thing",)})) == decode(disguised(wire.OUTPUT, value="x", secret=True))


def test_an_output_value_without_a_value_is_unknown() -> None:
    bag = decode(disguised(wire.OUTPUT, secret=True))
    assert Bag({"thing": UNKNOWN}, frozenset({("thing",)}), frozenset({("thing",)})) == bag


def test_a_resource_reference_is_its_id_or_else_its_urn() -> None:
    assert {"thing": "i-1"} == decode(disguised(wire.RESOURCE, urn="urn:a", id="i-1")).values
    assert {"thing": "urn:a"} == decode(disguised(wire.RESOURCE, urn="urn:a")).values


@pytest.mark.parametrize(
    ("signature", "kind"),
    [
        ("c44067f5952c0a294b673a41bacd8c17", "an asset"),
        ("0def7320c3a5731c473e5ecbe6d01bc7", "an archive"),
        ("803fd3297a5875dc03ca845dda5d2a98", "text that is not UTF-8"),
        ("feedfacefeedfacefeedfacefeedface", "a value of a kind that is not known here"),
    ],
)
def test_what_is_no_plain_data_is_refused_by_its_path(signature: str, kind: str) -> None:
    with pytest.raises(Unreadable, match=f"^thing: this is {kind}"):
        decode(disguised(signature, text="x"))


def test_a_python_object_is_refused_by_its_path() -> None:
    with pytest.raises(Unreadable, match=r"^a\.b\[0\]: object is not plain data"):
        encode({"a": {"b": [object()]}})


def test_keys_come_in_one_order_whatever_the_process() -> None:
    assert ["a", "b", "c"] == list(decode(encode({"c": 1, "a": 1, "b": 1})).values)


def test_settling_finds_a_path_in_its_new_spelling_and_forgets_what_is_gone() -> None:
    values = {"apiKey": "x", "rows": [{"DB_URL": "y"}]}
    wanted = [("api_key",), ("rows", 0, "DB_URL"), ("rows", 1), ("gone",), ("apiKey", "deeper")]
    assert {("apiKey",), ("rows", 0, "DB_URL")} == settle(wanted, values)


def test_a_secret_within_a_secret_adds_nothing() -> None:
    inner = {wire.SIGNATURE: wire.SECRET, "value": "x"}
    bag = decode(disguised(wire.SECRET, value={"deep": inner, "plain": 1}))
    assert Bag({"thing": {"deep": "x", "plain": 1}}, frozenset({("thing",)})) == bag
