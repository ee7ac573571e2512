"""The rules by which an answer is held against an expectation: JSON that contains JSON, and what a page names."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bluegreen.measure.expect import contained
from bluegreen.measure.page import assets

LEAF = some.none() | some.booleans() | some.integers(-5, 5) | some.floats(-5, 5) | some.text("abc", max_size=3)
KEYS = some.text("abc", max_size=2)
JSON = some.recursive(
    LEAF, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


@given(JSON)
def test_everything_contains_itself_as_it_comes_off_the_wire(value: Any) -> None:
    assert contained(value, json.loads(json.dumps(value)))


@given(some.dictionaries(KEYS, JSON), some.dictionaries(KEYS, JSON))
def test_a_map_may_hold_more_than_was_wanted(wanted: dict[str, Any], more: dict[str, Any]) -> None:
    assert contained(wanted, {**more, **wanted})


@given(some.lists(JSON, max_size=4), some.lists(JSON, max_size=4), some.randoms())
def test_a_list_may_hold_more_in_any_order(wanted: list[Any], more: list[Any], random: Any) -> None:
    actual = [*wanted, *more]
    random.shuffle(actual)
    assert contained(wanted, actual)


@given(some.dictionaries(KEYS, JSON, min_size=1), some.data())
def test_a_map_without_a_wanted_key_does_not_contain_it(wanted: dict[str, Any], data: some.DataObject) -> None:
    gone = data.draw(some.sampled_from(sorted(wanted)))
    assert not contained(wanted, {key: value for key, value in wanted.items() if key != gone})


def grown(value: Any, more: some.DataObject) -> Any:
    """The value with further keys and entries, anywhere in it."""
    if isinstance(value, dict):
        return {**more.draw(some.dictionaries(KEYS, LEAF)), **{key: grown(each, more) for key, each in value.items()}}
    if isinstance(value, list):
        return [*more.draw(some.lists(LEAF, max_size=2)), *(grown(each, more) for each in reversed(value))]
    return value


@given(JSON, some.data())
def test_whatever_is_added_anywhere_the_value_stays_contained(value: Any, data: some.DataObject) -> None:
    assert contained(value, grown(value, data))


@given(JSON, some.text("abc", max_size=2))
def test_a_value_deep_inside_is_reached_through_maps_and_lists(value: Any, key: str) -> None:
    deep = [{"other": 1}, {key: [{"more": None}, value]}]
    assert contained([{key: [value]}], deep)
    assert not contained([{key: ["a string that is nowhere"]}], deep)


@pytest.mark.parametrize(
    ("wanted", "actual", "holds"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (None, False, False),
        ("1", 1, False),
        ({}, {"a": 1}, True),
        ({}, [], False),
        ([], [1], True),
        ([], {}, False),
        ([1, 1], [1], True),
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {}, False),
    ],
)
def test_containment_is_that_of_json_and_not_of_python(wanted: Any, actual: Any, holds: bool) -> None:
    assert contained(wanted, actual) is holds


def found(html: str, path: str = "/shop/", host: str = "velro.app") -> list[str]:
    return assets(html, host=host, path=path)


@pytest.mark.parametrize(
    ("html", "named"),
    [
        ('<script src="/a.js"></script>', ["/a.js"]),
        ("<script>let a = '<img src=\"/no.png\">'</script>", []),
        ("<!-- <script src=/no.js></script> -->", []),
        ('<link rel="stylesheet" href="a.css?v=1&amp;w=2#top">', ["/shop/a.css?v=1&w=2"]),
        ('<LINK REL="Shortcut ICON" HREF="/i.png">', ["/i.png"]),
        ('<link rel="modulepreload" href="/m.js"><link rel="canonical" href="/c">', ["/m.js"]),
        ('<link rel="preload" as="image" href="/p.png"><link rel="preload" as="fetch" href="/f">', ["/p.png"]),
        ('<img src="../x.png" srcset="/1.png 1x, /2.png 2x">', ["/x.png", "/1.png", "/2.png"]),
        ('<picture><source srcset="/s.webp"></picture>', ["/s.webp"]),
        ('<img src="/x.png"><img src="/x.png">', ["/x.png"]),
        ('<img src="data:image/png;base64,AAAA"><script src=""></script><script src></script>', []),
        ('<img src="https://VELRO.app/x.png"><img src="//velro.app/y.png">', ["/x.png", "/y.png"]),
        ('<img src="https://cdn.example/x.png"><img src="//cdn.example/y.png">', []),
        ('<base href="/v2/"><script src="a.js"></script>', ["/v2/a.js"]),
        ('<img src="http://[broken/x.png">', []),
        ("<script src='/a.js'", []),
    ],
)
def test_a_page_names_what_a_browser_would_load_from_the_same_host(html: str, named: list[str]) -> None:
    assert found(html) == named


@given(some.text("<>/=\"' abchrefsrclinkscriptimg&;!-", max_size=60))
def test_no_html_is_too_broken_to_be_read(html: str) -> None:
    assert all(name.startswith("/") for name in found(html))
