"""Check and Diff, the two that are pure: what is kept, what is wrong, what differs and what follows from it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, SecretStr

from bluegreen.provider.check import check, conceal, dump, forgive, parse, typed_secrets
from bluegreen.provider.diff import Change, changes, diff, property_path
from bluegreen.provider.wire import UNKNOWN, Bag
from bluegreen.spec import Spec, State
from tests.provider_engine import BedHandler, BedSpec, BedState, Garden

LOAM: dict[str, Any] = {"soil": "loam"}


def bed() -> BedHandler:
    return BedHandler(Garden())


def checked(news: dict[str, Any], olds: dict[str, Any] | None = None) -> dict[str, Any]:
    bag, wrong = check(bed(), Bag(news), olds or {})
    assert [] == wrong
    return bag.values


def wrongs(news: dict[str, Any], **more: Any) -> list[str]:
    return check(bed(), Bag(news, **more), {})[1]


def differs(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, str]:
    return {
        str(change): change.kind + "_REPLACE" * change.replace
        for change in diff(bed(), Bag({**LOAM, **olds}), Bag({**LOAM, **news}))
    }


def test_check_keeps_what_was_given_and_adds_no_default() -> None:
    assert LOAM == checked(LOAM)


def test_check_keeps_a_default_that_was_given() -> None:
    assert {**LOAM, "steps": [5, 25, 50]} == checked({**LOAM, "steps": [5, 25, 50]})


def test_check_adds_what_the_handler_fills_in() -> None:
    filled = checked({**LOAM, "lanes": {"backend": {"live": "green"}}})
    assert {"live": "green", "weights": {"green": 100}} == filled["lanes"]["backend"]


def test_check_shows_the_handler_the_held_inputs_as_they_are() -> None:
    class Remembering(BedHandler):
        def fill(self, new: BedSpec, old: Mapping[str, Any]) -> BedSpec:
            return new.model_copy(update={"role": str(sorted(old))})

    bag, _ = check(Remembering(Garden()), Bag(LOAM), {"fieldOfOldTimes": 1})
    assert {**LOAM, "role": "['fieldOfOldTimes']"} == bag.values


def test_check_answers_in_camel_case_and_in_the_wires_shapes() -> None:
    given_in = {"soil": "loam", "place": {"project_id": "p"}, "lanes": {"a": {"live": "blue", "pause": "90s"}}}
    values = checked(given_in)
    assert {"projectId": "p"} == values["place"]
    assert "1m30s" == values["lanes"]["a"]["pause"]


@pytest.mark.parametrize(
    ("news", "sentence"),
    [
        ({}, "soil: missing"),
        ({**LOAM, "soyl": 1}, "soyl: unknown key"),
        ({**LOAM, "lanes": {"a": {"live": "blue", "wights": {}}}}, "lanes.a.wights: unknown key"),
        ({**LOAM, "lanes": {"a": {"live": "red"}}}, "lanes.a.live: Input should be 'blue' or 'green'"),
        ({**LOAM, "steps": [5, "25"]}, "steps[1]: Input should be a valid integer"),
        ({**LOAM, "paths": "/"}, "paths: Input should be a valid array"),
        ({**LOAM, "lanes": {"a": {"live": "blue", "weights": {"blue": 1.5}}}}, "lanes.a.weights.blue: Input should be"),
    ],
)
def test_check_tells_each_problem_by_its_path(news: dict[str, Any], sentence: str) -> None:
    found = wrongs(news)
    assert 1 == len(found)
    assert found[0].startswith(sentence)


def test_check_tells_all_problems_at_once() -> None:
    assert ["soil: missing", "soyl: unknown key"] == wrongs({"soyl": 1})


def test_check_tells_a_refusal_of_fill_in_its_three_beats() -> None:
    assert ["Nothing grows in sand. The bed is as it was. Take loam."] == wrongs({"soil": "sand"})


class Round(Spec):
    kind: Literal["round"]
    radius: int


class Square(Spec):
    kind: Literal["square"]
    side: int


class Shapes(Spec):
    shape: Annotated[Round | Square, Field(discriminator="kind")] | None = None
    rows: Sequence[Mapping[str, tuple[int, ...]]] = ()
    opened: datetime | None = None
    marks: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "values",
    [
        {"shape": {"kind": "round", "radius": 1}},
        {"rows": [{"a": [1, 2]}, {}]},
        {"opened": "2026-01-02T03:04:05Z"},
        {"marks": ["a", "b"]},
    ],
)
def test_strict_validation_takes_every_shape_that_the_wire_has(values: dict[str, Any]) -> None:
    assert values == dump(parse(Shapes, values), given=True).values


def test_a_parsed_value_is_of_its_own_type() -> None:
    shapes = parse(Shapes, {"rows": [{"a": [1]}], "opened": "2026-01-02T03:04:05Z", "marks": ["a"]})
    assert [{"a": (1,)}] == shapes.rows
    assert (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), frozenset({"a"})) == (shapes.opened, shapes.marks)


def test_inputs_that_are_unknown_are_left_to_the_real_run() -> None:
    news = {"soil": UNKNOWN, "lanes": {"a": {"live": UNKNOWN}}, "steps": UNKNOWN}
    unknowns = frozenset({("soil",), ("lanes", "a", "live"), ("steps",)})
    bag, wrong = check(bed(), Bag(news, unknowns=unknowns), {})
    assert ([], news, unknowns) == (wrong, bag.values, bag.unknowns)


def test_an_unknown_input_does_not_hide_what_is_wrong_elsewhere() -> None:
    news = {"soil": UNKNOWN, "lanes": {"a": {"live": UNKNOWN, "wights": 1}, "b": {}}, "steps": ["x"]}
    found = wrongs(news, unknowns=frozenset({("soil",), ("lanes", "a", "live")}))
    assert ["lanes.a.wights: unknown key", "lanes.b.live: missing"] == found[:2]
    assert found[2].startswith("steps[0]: ")
    assert 3 == len(found)


def test_a_secret_stays_secret_through_check_wherever_it_came_in() -> None:
    news = {**LOAM, "variables": {"A": "1", "B": "2"}, "paths": ["/a", "/b"]}
    bag, _ = check(bed(), Bag(news, frozenset({("variables", "B"), ("paths", 1)})), {})
    assert {("variables", "B"), ("paths", 1)} == bag.secrets


def test_what_is_typed_as_secret_is_secret_though_it_came_in_plain() -> None:
    bag, _ = check(bed(), Bag({**LOAM, "apiKey": "k"}), {})
    assert Bag({**LOAM, "apiKey": "k"}, frozenset({("apiKey",)})) == bag


def test_a_secret_given_in_snake_case_is_secret_in_camel_case() -> None:
    bag, _ = check(bed(), Bag({**LOAM, "place": {"project_id": "p"}}, frozenset({("place", "project_id")})), {})
    assert {("place", "projectId")} == bag.secrets


def test_inputs_that_are_not_valid_yet_do_not_give_their_secrets_away() -> None:
    bag, _ = check(bed(), Bag({"soil": UNKNOWN, "apiKey": "k"}, unknowns=frozenset({("soil",)})), {})
    assert {("apiKey",)} == bag.secrets


class Safe(Spec):
    keys: Mapping[str, Sequence[SecretStr]] = {}
    inner: "Safe | None" = None


def test_secrets_are_found_by_type_at_any_depth() -> None:
    values = {"keys": {"a": ["x", "y"]}, "inner": {"inner": {"keys": {"b": ["z"]}}}}
    expected = {("keys", "a", 0), ("keys", "a", 1), ("inner", "inner", "keys", "b", 0)}
    assert expected == typed_secrets(Safe, values)
    assert expected == dump(parse(Safe, values), given=True).secrets


def test_raw_inputs_may_hold_secrets_as_objects() -> None:
    bag = conceal(Safe, {"other": SecretStr("x"), "keys": {"a": ["y"]}, "none": None})
    assert Bag({"other": "x", "keys": {"a": ["y"]}}, frozenset({("other",), ("keys", "a", 0)})) == bag


@pytest.mark.parametrize(
    "written",
    [{"soil": 7}, {"soil": {"deep": 1}, "watered": 3}, {"watered": "many", "fieldOfTheFuture": [1]}, {"soil": UNKNOWN}],
)
def test_state_that_another_version_wrote_never_fails(written: dict[str, Any]) -> None:
    assert isinstance(forgive(BedState, written), BedState)


def test_of_a_state_everything_is_kept_that_can_be_understood() -> None:
    state = forgive(BedState, {"soil": "loam", "watered": "many", "weights": {"a": {"blue": 7}}, "fieldOfOldTimes": 1})
    assert BedState(soil="loam", weights={"a": {"blue": 7}}) == state


class Owing(State):
    name: str
    size: int = 1


def test_a_state_whose_field_has_no_default_does_not_fail_either() -> None:
    assert 1 == forgive(Owing, {"size": 5}).size


def test_nothing_differs_between_equal_inputs() -> None:
    assert {} == differs({"paths": ["/a"], "variables": {"A": "1"}}, {"variables": {"A": "1"}, "paths": ["/a"]})


def test_changes_are_told_path_by_path() -> None:
    old = {"lanes": {"backend": {"live": "blue", "weights": {"blue": 100}}}, "paths": ["/a", "/b", "/c"]}
    new = {"lanes": {"backend": {"live": "green", "weights": {"green": 100}}}, "paths": ["/a", "/x"], "share": 0.5}
    assert {
        "lanes.backend.live": "UPDATE",
        "lanes.backend.weights.green": "ADD",
        "lanes.backend.weights.blue": "DELETE",
        "paths[1]": "UPDATE",
        "paths[2]": "DELETE",
        "share": "ADD",
    } == differs(old, new)


def test_another_kind_of_value_is_an_update_of_the_whole() -> None:
    assert [Change(("a",), "UPDATE"), Change(("b",), "UPDATE")] == changes(
        Bag({"a": {"x": 1}, "b": True}), Bag({"a": [1], "b": 1})
    )


def test_one_is_one_whether_whole_or_broken() -> None:
    assert [] == changes(Bag({"a": 1}), Bag({"a": 1.0}))


def test_an_unknown_differs_from_everything() -> None:
    assert {"share": "UPDATE"} == differs({"share": 1.0}, {"share": UNKNOWN})
    assert {"share": "UPDATE"} == differs({"share": UNKNOWN}, {"share": UNKNOWN})
    assert {"share": "ADD"} == differs({}, {"share": UNKNOWN})


def test_a_field_at_its_default_equals_one_that_is_absent() -> None:
    assert {} == differs({}, {"steps": [5, 25, 50], "place": {"projectId": "garden"}, "share": 1})
    assert {} == differs({"steps": [5, 25, 50]}, {})


def test_a_field_that_leaves_its_default_is_a_change() -> None:
    assert {"steps": "ADD"} == differs({}, {"steps": [5, 50]})
    assert {"steps": "DELETE"} == differs({"steps": [5, 50]}, {})


def test_inputs_of_another_version_are_compared_as_they_are() -> None:
    assert {"fieldOfOldTimes": "DELETE", "steps": "ADD"} == differs({"fieldOfOldTimes": 1}, {"steps": [5, 25, 50]})


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"soil": "clay"}, {"soil": "loam"}, {"soil": "UPDATE_REPLACE"}),
        (
            {"lanes": {"a": {"live": "blue", "addresses": {"blue": "x"}}}},
            {"lanes": {"a": {"live": "blue", "addresses": {"blue": "y", "green": "z"}}}},
            {"lanes.a.addresses.blue": "UPDATE_REPLACE", "lanes.a.addresses.green": "ADD_REPLACE"},
        ),
        (
            {"lanes": {"a": {"live": "blue", "addresses": {"blue": "x"}}}},
            {"lanes": {"a": {"live": "blue"}}},
            {"lanes.a.addresses": "DELETE_REPLACE"},
        ),
        ({}, {"place": {"projectId": "other"}}, {"place": "ADD_REPLACE"}),
        (
            {"place": {"projectId": "p", "environmentId": "e"}},
            {"place": {"projectId": "p", "environmentId": "f"}},
            {"place.environmentId": "UPDATE"},
        ),
    ],
)
def test_what_forces_another_resource_says_so(
    old: dict[str, Any], new: dict[str, Any], expected: dict[str, str]
) -> None:
    assert expected == differs(old, new)


def test_a_new_member_of_a_collection_forces_nothing() -> None:
    assert {"lanes.b": "ADD"} == differs(
        {"lanes": {"a": {"live": "blue"}}},
        {"lanes": {"a": {"live": "blue"}, "b": {"live": "blue", "addresses": {"blue": "x"}}}},
    )


def test_a_quiet_input_alone_is_no_change() -> None:
    assert {} == differs({"role": "live"}, {"role": "idle"})
    assert {} == differs({}, {"role": "live"})


def test_a_quiet_input_is_not_told_among_others() -> None:
    assert {"share": "UPDATE"} == differs({"role": "live", "share": 0.1}, {"role": "idle", "share": 0.2})


def test_a_change_inside_a_secret_shows_as_a_change_of_the_secret() -> None:
    old = Bag({**LOAM, "variables": {"A": "1", "B": "2"}}, frozenset({("variables",)}))
    new = Bag({**LOAM, "variables": {"A": "2", "C": "3"}}, frozenset({("variables",)}))
    assert [Change(("variables",), "UPDATE")] == diff(bed(), old, new)


def test_becoming_secret_is_no_change_of_a_value() -> None:
    assert [] == diff(bed(), Bag({**LOAM, "apiKey": "k"}), Bag({**LOAM, "apiKey": "k"}, frozenset({("apiKey",)})))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("lanes", "backend", "weights", "green"), "lanes.backend.weights.green"),
        (("paths", 1), "paths[1]"),
        (("headers", "x-colour", 0), 'headers["x-colour"][0]'),
        (("a.b", "c"), '["a.b"].c'),
        (("say", 'a "b"'), 'say["a \\"b\\""]'),
        (("straße", ""), '["straße"][""]'),
    ],
)
def test_a_path_is_written_as_the_engine_reads_it(path: tuple[str | int, ...], text: str) -> None:
    assert text == property_path(path)


LANES = st.dictionaries(
    st.sampled_from(["backend", "frontend"]),
    st.fixed_dictionaries(
        {"live": st.sampled_from(["blue", "green"])},
        optional={"weights": st.dictionaries(st.sampled_from(["blue", "green"]), st.integers(0, 100), min_size=1)},
    ),
    min_size=1,
)


@settings(max_examples=50, deadline=None)
@given(LANES, st.lists(st.text(max_size=5)))
def test_what_check_answered_is_no_change_when_it_is_checked_again(lanes: dict[str, Any], paths: list[str]) -> None:
    first = checked({**LOAM, "lanes": lanes, "paths": paths})
    assert first == checked(first, first)
    assert [] == diff(bed(), Bag(first), Bag(checked(first, first)))
