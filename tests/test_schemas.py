"""Published schemas are what the models are, and what is really written fits them, with every field that it has.

Documents with something in every field are held against them here. What verbs really answer, and what releases really
leave, is held against them by the tests that run those: `published.py`.
"""

import asyncio
import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bluegreen import cli
from bluegreen.cli.__main__ import VERBS
from bluegreen.cli.documents import FACTS, names, schema_of, text_of
from bluegreen.cli.schema import ENDING, Published, schema
from bluegreen.cli.verb import Outcome
from bluegreen.evidence.bundle import Manifest
from bluegreen.evidence.identity import Identity, Running
from bluegreen.handler import Refused
from bluegreen.journal import (
    NEVER,
    Alert,
    Analysed,
    Beat,
    Began,
    Decided,
    Ended,
    LegTold,
    Looked,
    LookTold,
    Pulse,
    RulingTold,
    SeenTold,
    SubjectTold,
    Told,
    Weighed,
)
from bluegreen.monitor.document import AlertTold, BeforeTold, EndpointTold, Monitored, ReturnTold, Timings
from bluegreen.report.story import Story
from bluegreen.schemas import URN, published
from bluegreen.spec import Spec
from bluegreen.validation.finding import Finding, Validation
from sandbox.stack import ROOT
from tests.published import JOURNAL, faults

FOLDER = ROOT / "docs" / "schemas"
INSIDE = {"Door", "Desk"}


def models(given: Mapping[str, Any]) -> set[str]:
    """Every model that a schema tells of."""
    return {str(given.get("title")), *given.get("$defs", {})}


# What is published


@pytest.mark.parametrize("name", names())
def test_a_published_schema_is_what_the_model_is(name: str) -> None:
    file = FOLDER / f"{name}{ENDING}"
    assert text_of(name) == file.read_text(encoding="utf-8"), "run bin/bluegreen schema --out docs/schemas"


def test_nothing_else_is_published() -> None:
    assert {f"{name}{ENDING}" for name in names()} == {file.name for file in FOLDER.glob(f"*{ENDING}")}


def test_every_schema_is_one_by_the_drafts_own_schema_with_a_name_and_words_of_its_own() -> None:
    for name in names():
        given = schema_of(name)
        Draft202012Validator.check_schema(given)
        assert f"{URN}{name}" == given["$id"]
        assert given["title"]
        for title, part in {name: given, **given.get("$defs", {})}.items():
            assert part.get("description"), f"{name}: {title} has no docstring"


def test_no_schema_has_room_for_a_secret() -> None:
    assert [] == [name for name in names() if '"password"' in text_of(name) or "writeOnly" in text_of(name)]


def test_every_verb_has_a_schema_of_its_outcome() -> None:
    assert sorted(verb.__name__ for verb in VERBS) == sorted(FACTS)


def test_every_model_of_a_verb_is_in_the_schema_of_its_outcome() -> None:
    told = set().union(*(models(schema_of(name)) for name in names()))
    kept = {name for name, kind in _models() if name.rpartition(".")[2] not in INSIDE and not _told(kind, told)}
    assert set() == kept


def _models() -> Iterator[tuple[str, type[Spec]]]:
    for each in pkgutil.iter_modules(cli.__path__):
        if each.name == "__main__":
            continue
        module = importlib.import_module(f"bluegreen.cli.{each.name}")
        for name, kind in vars(module).items():
            if inspect.isclass(kind) and issubclass(kind, Spec) and kind.__module__ == module.__name__:
                yield f"{each.name}.{name}", kind


def _told(kind: type[Spec], told: set[str]) -> bool:
    # Two models of one name are told apart in a schema by their modules.
    return kind is Outcome or any(name == kind.__name__ or name.endswith(f"__{kind.__name__}") for name in told)


def test_a_schema_forbids_no_further_field_and_requires_what_tells_kinds_apart() -> None:
    class Thing(Spec):
        """One thing.

        And more
        of it.
        """

        title: str
        kind: str = "thing"

    given = published("thing", Thing, "A thing")
    assert "One thing.\n\nAnd more of it." == given["description"]
    assert ["title"] == given["required"]
    assert {"title": {"type": "string"}, "kind": {"type": "string", "default": "thing"}} == given["properties"]
    assert "additionalProperties" not in given
    assert {"kind"} <= set(schema_of(JOURNAL)["$defs"]["Told"]["required"])


# The verb


def run(**given: Any) -> tuple[Outcome, Published]:
    outcome = asyncio.run(schema(**given))
    assert isinstance(outcome.facts, Published)
    return outcome, outcome.facts


def test_without_a_name_every_schema_is_listed_with_where_its_documents_are() -> None:
    outcome, facts = run()
    assert list(names()) == [one.name for one in facts.schemas]
    assert [line.split()[0] for line in outcome.what.splitlines()] == list(names())
    assert all(one.documents for one in facts.schemas)


def test_with_a_name_it_is_printed_as_json() -> None:
    outcome, _ = run(name="manifest")
    assert schema_of("manifest") == json.loads(outcome.what)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refused, match="There is no schema 'manifesto'") as refused:
        asyncio.run(schema(name="manifesto"))
    assert "manifest, " in refused.value.next


def test_all_are_written_only_the_changed_ones_told_and_what_is_none_any_more_goes(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "schemas"
    _, facts = run(out=folder)
    assert [f"{name}{ENDING}" for name in names()] == list(facts.written)
    (folder / f"manifest{ENDING}").write_text("{}", encoding="utf-8")
    (folder / f"gone{ENDING}").write_text("{}", encoding="utf-8")
    (folder / "README.md").write_text("mine", encoding="utf-8")
    _, facts = run(out=folder)
    assert ((f"manifest{ENDING}",), (f"gone{ENDING}",)) == (facts.written, facts.gone)
    assert (folder / "README.md").exists()


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(Refused, match="cannot be written"):
        asyncio.run(schema(out=tmp_path / "file"))


# What is really written


WATCHED = Monitored(
    owner="shop.test",
    endpoints=(EndpointTold(app="orders", p50_ms=1.5, faults={"503": 1}, before=BeforeTold(n=3)), EndpointTold()),
    alerts=(AlertTold(level="critical", text="x"), AlertTold(resolved=NEVER)),
    weights={"orders": {"blue": 100, "green": 0}},
    timings=Timings(detect_ms=4.0),
    rollback=ReturnTold(apps={"orders": "blue"}, well=True),
    notes=("x",),
)
FOUND = Validation(
    findings=(Finding(id="a", group="tls", status="fail", hint="b"), Finding(id="b", group="cors", app="orders"))
)


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("manifest", Manifest(files={"release.json": "0" * 64})),
        ("monitor", Monitored()),
        ("monitor", WATCHED),
        ("release", Identity(apps={"orders": Running()}, config={"apps": {}})),
        ("report", Story()),
        ("validation", Validation()),
        ("validation", FOUND),
    ],
)
def test_a_document_of_a_bundle_fits(name: str, document: Spec) -> None:
    assert [] == faults(name, json.loads(document.model_dump_json(by_alias=True)))


ENTRIES: tuple[Spec, ...] = (
    Began(legs=(LegTold(app="orders", origin="blue", goal="green"),), releases={"orders": "r1"}),
    Weighed(app="orders", weights={"blue": 75, "green": 25}),
    Analysed(share="25 %", analysis={"metrics": []}, subjects=(SubjectTold(app="orders", releases={"blue": "r"}),)),
    Looked(
        looks=(LookTold(candidate=SeenTold(requests=3, buckets=((25.0, 2), (None, 3))), live=SeenTold(value=1.5)),),
        samples={"orders": ((0.1, "blue", None, "no answer"), (0.2, "green", 12.0, ""))},
        rulings=(RulingTold(app="orders", metric="errors", verdict="pass", value=0.0),),
    ),
    Decided(share="25 %", verdict="pass"),
    Pulse(beats=(Beat(), Beat(status=200, ms=1.0)), weights={"orders": {"blue": 100}}, alerts=(Alert(text="x"),)),
    Told(text="a word"),
    Ended(verdict="passed", done=({"app": "orders"},)),
)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry.kind))
def test_every_kind_of_entry_fits(entry: Spec) -> None:
    assert [] == faults(JOURNAL, json.loads(entry.model_dump_json(by_alias=True)))


@pytest.mark.parametrize(
    "entry", [{"kind": "unheard"}, {}, {"kind": "weighed", "weights": {"red": 1}}, {"kind": "pulse", "beats": "none"}]
)
def test_what_is_no_entry_does_not_fit_even_the_published_schema(entry: Any) -> None:
    assert not Draft202012Validator(schema_of(JOURNAL)).is_valid(entry)
