"""What a validation is chosen from, how it is told, where it is kept: patterns, a table, a log, JUnit, Markdown."""

import asyncio
import io
import json
import stat
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bluegreen.cli.stack import Stack
from bluegreen.cli.validate import validate
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.connections import Connections
from bluegreen.handler import Refused
from bluegreen.standing import Recorded
from bluegreen.validation.check import Room
from bluegreen.validation.choice import Choice, known_app
from bluegreen.validation.finding import Finding, Status, Validation
from bluegreen.validation.junit import junit
from bluegreen.validation.register import register
from bluegreen.validation.shown import SIGNS, lines, markdown, progress, table
from tests.memory import START, Clock
from tests.test_validation_apps import MINE, PREVIEW_KEY, WHOLE, World, served, stack

ROOT = Path(__file__).parent.parent
STEPS = [
    *WHOLE["checks"],
    {"name": "made", "app": "backend", "journey": "teams", "method": "POST", "path": "/api/teams", "writes": True},
    {"name": "seen", "app": "backend", "journey": "teams", "path": "/api/teams"},
    {"name": "page-comes", "app": "frontend", "path": "/", "host": "shop.test", "expect": {"assets": True}},
]


def room(**given: Any) -> Room:
    async def nobody() -> Recorded:
        return Recorded()

    return Room(stack(checks=STEPS), Connections({}), Clock(), nobody, **given)


def chosen(*only: str, skip: Sequence[str] = (), groups: Sequence[str] = (), **given: Any) -> set[str]:
    """The ids that are asked; the config's checks, which share one, by how many there are."""
    asked = Choice(only, skip, groups).asked(room(**given), register())
    mine = [each.id for each in asked]
    return {each for each in mine if each != "check"} | {f"{mine.count('check')} of the config"}


# What is asked


def test_everything_is_asked_unless_somebody_chooses() -> None:
    assert chosen() == {"3 of the config"} | {each.id for each in register()}


@pytest.mark.parametrize(
    ("only", "asked"),
    [
        (["check:*"], {"3 of the config"}),
        (["hello"], {"1 of the config"}),
        (["check:hello", "page-*"], {"2 of the config"}),
        (["cors*"], {"0 of the config", "cors-allowed", "cors-foreign"}),
        (["health:backend-blue", "page"], {"0 of the config", "health", "page"}),
        (["seen"], {"1 of the config"}),
    ],
)
def test_checks_are_chosen_by_id_name_and_pattern(only: list[str], asked: set[str]) -> None:
    assert chosen(*only) == asked


def test_groups_and_what_is_left_out_narrow_it_further() -> None:
    assert chosen(groups=["cors"], skip=["cors-foreign"]) == {"0 of the config", "cors-allowed"}
    assert chosen(groups=["assets"]) == {"1 of the config", "assets", "colour-assets"}
    assert chosen("check:*", skip=["hello", "check:page-comes"]) == {"1 of the config"}


def test_a_colour_is_asked_the_configs_own_checks_alone() -> None:
    assert chosen(colour="green") == {"3 of the config"}


def test_an_app_narrows_the_checks_of_the_config() -> None:
    assert chosen("check:*", apps=("frontend",)) == {"1 of the config"}


@pytest.mark.parametrize(
    ("choice", "what", "after"),
    [
        (Choice(only=["helo"]), "There is no check 'helo'.", "Did you mean hello"),
        (Choice(skip=["colour-asset"]), "There is no check 'colour-asset'.", "Did you mean colour-assets?"),
        (Choice(only=["check:nothing"]), "There is no check 'check:nothing'.", ""),
        (Choice(groups=["databases"]), "There is no group 'databases'.", "Did you mean database?"),
        (Choice(only=["zzz*"]), "There is no check 'zzz*'.", "docs/validate.md names every check."),
    ],
)
def test_what_is_not_there_is_refused_with_what_may_have_been_meant(choice: Choice, what: str, after: str) -> None:
    with pytest.raises(Refused) as refused:
        choice.asked(room(), register())
    assert (refused.value.what, refused.value.world) == (what, "Nothing was asked.")
    assert refused.value.next.startswith(after)


def test_an_app_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        known_app(room(apps=("backnd",)))
    assert refused.value.next == "Did you mean backend?"


def test_one_thing_of_several_is_shown_alone() -> None:
    choice = Choice(only=["health:backend-*"], skip=["health:*-green"])
    ids = ("health:backend-blue", "health:backend-green", "health:frontend-blue")
    assert [id for id in ids if choice.shows(Finding(id=id, group="health"))] == ["health:backend-blue"]


# How it is told


def finding(id: str, status: Status = "pass", **given: Any) -> Finding:
    fields = {"group": "health", "observed": f"{status} seen", "expected": "well", "duration_ms": 12.3, **given}
    missed = {"hint": "Heal it.", "doc": "docs/validate.md#health"} if status not in ("pass", "skipped") else {}
    return Finding(id=id, status=status, **{**missed, **fields})


MIXED = Validation(
    stack="test",
    began=START,
    took_ms=1234,
    findings=[
        finding("a"),
        finding("b", "fail", observed="<b>|[red]x[/red]` \\"),
        finding("d", "skipped", group="api"),
        finding("e", "error"),
        finding("w", "warn", severity="warn"),
    ],
)


def screen(width: int, validation: Validation = MIXED, **given: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=width, **given).print(table(validation))
    return out.getvalue()


def test_a_table_tells_each_status_by_sign_and_word_without_any_colour() -> None:
    shown = screen(80, no_color=True)
    assert [sign for status, sign in SIGNS.items() if f"{sign} {status}" not in shown] == []
    assert "\x1b" not in shown
    assert "[red]x[/red]" in shown
    assert "expected well" in shown
    assert "Heal it." in shown


def test_a_table_fits_eighty_columns_whatever_it_holds() -> None:
    long = finding("traffic-in-force:" + "x" * 60, "fail", observed="word " * 60, hint="hint " * 40)
    shown = screen(80, MIXED.model_copy(update={"findings": [long, *MIXED.findings]}))
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_findings_of_one_group_stand_together_and_what_needs_somebody_comes_last() -> None:
    order = [line.split()[2] for line in screen(80).splitlines() if line[:1] in set(SIGNS.values())]
    assert order == ["a", "d", "b", "e", "w"]


def test_what_one_check_says_well_of_several_things_is_one_row() -> None:
    both = [finding("release:blue", observed="as it should"), finding("release:green", observed="as it should")]
    apart = [finding("health:blue", observed="200"), finding("health:green", observed="204", duration_ms=99.0)]
    mixed = [finding("page:shop"), finding("page:help", "fail")]
    shown = screen(80, MIXED.model_copy(update={"findings": [*both, *apart, *mixed]}))
    rows = [" ".join(line.split()) for line in shown.splitlines()]
    assert rows[1:5] == [
        "health 5 pass, 1 fail",
        "✓ pass release ×2 12 as it should",
        "✓ pass health ×2 99 blue: 200; green: 204",
        "✓ pass page:shop 12 pass seen",
    ]


def test_while_it_is_asked_every_group_shows_what_has_come_and_what_has_not() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(progress({"health": 1, "cors": 2}, MIXED.findings))
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["health", "✓✗?!·", "4,", "3", "to", "look", "at"],
        ["cors", "··", "0"],
        ["api", "-", "1"],
    ]


def test_a_progress_of_many_checks_fits_eighty_columns() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(progress({"gateway": 40}, [finding(str(number)) for number in range(200)]))
    assert max(len(line) for line in out.getvalue().splitlines()) <= 80


def test_a_log_has_a_line_a_finding_and_the_remedy_where_one_is_needed() -> None:
    assert lines(MIXED)[0] == "pass    a: pass seen (12 ms)"
    assert lines(MIXED)[1] == "skipped d: skipped seen (12 ms)"
    assert "error   e: error seen (12 ms) - expected well. Heal it." in lines(MIXED)


def test_what_somebody_has_to_look_at_is_at_the_end_of_a_log_with_causes_before_what_apps_answer() -> None:
    bad = [finding("check:slow", "fail"), finding("latency", "fail", group="performance"), finding("page", "fail")]
    behind = finding("database-locks:7", "fail", group="database")
    mixed = Validation(findings=[*bad, behind, *(finding(f"well-{number}") for number in range(3))])
    named = [text.split()[1].rstrip(":") for text in lines(mixed)]
    assert named == ["well-0", "well-1", "well-2", "database-locks:7", "page", "latency", "check:slow"]


def test_junit_has_a_suite_a_group_and_says_of_each_case_how_it_ended() -> None:
    suites = ElementTree.fromstring(junit(MIXED))
    assert [(suite.get("name"), suite.get("tests")) for suite in suites] == [("health", "4"), ("api", "1")]
    ends = {case.get("name"): [end.tag for end in case] for case in suites.iter("testcase")}
    assert ends == {"a": [], "b": ["failure"], "d": ["skipped"], "e": ["error"], "w": ["system-out"]}
    assert (suites.get("failures"), suites.get("errors"), suites.get("skipped")) == ("1", "1", "1")
    strict = ElementTree.fromstring(junit(MIXED.model_copy(update={"fail_on": "warn"})))
    assert strict.get("failures") == "2"


def test_markdown_shows_what_needs_somebody_first_and_no_markup_of_an_answer() -> None:
    text = markdown(MIXED)
    head, _, rest = text.partition("<details>")
    assert head.startswith(
        "## ✗ failed: validation of test, as users go\n\n1 pass, 1 warn, 1 fail, 1 error, 1 skipped in 1.2 s\n"
    )
    assert [id for id in "abdew" if f"`{id}`" in head] == ["b", "e", "w"]
    assert r"\<b\>\|\[red\]x\[/red\]\` \\" in head
    assert [id for id in "abdew" if f"`{id}`" in rest] == ["a", "d"]


def test_markdown_of_many_findings_fits_a_comment_and_keeps_what_has_failed_longest() -> None:
    long = {"observed": "_" * 400, "expected": "x" * 400, "hint": "y" * 400}
    warned = [finding(f"w{number}", "warn", severity="warn", **long) for number in range(162)]
    failed = [finding(f"f{number}", "fail", **long) for number in range(5)]
    passed = [finding(f"p{number}", observed="z" * 400) for number in range(162)]
    text = markdown(Validation(stack="test", findings=[*passed, *warned, *failed]))
    assert len(text) < 65_536
    assert [number for number in range(5) if f"`f{number}`" not in text] == []
    rows = [line for line in text.splitlines() if line.startswith("| ! warn | ")]
    assert f"| | and {162 - len(rows)} more |" in text
    assert "<summary>162 passed or were skipped</summary>" in text
    assert text.rstrip().endswith("</details>")


def test_a_name_in_markdown_ends_neither_its_cell_nor_its_code() -> None:
    told = markdown(Validation(stack="test", findings=[finding("database-prepared:a|b`c", "warn", severity="warn")]))
    assert r"| `database-prepared:a\|b'c` |" in told


def test_what_is_skipped_for_one_reason_is_one_row() -> None:
    away = [finding(f"database-{name}", "skipped", observed="no database is named") for name in ("a", "b", "c")]
    other = finding("migrations-whole", "skipped", observed="no migrations are declared")
    shown = screen(80, Validation(stack="test", findings=[*away, other]))
    assert "database-a and 2 more" in shown
    assert (shown.count("no database is named"), shown.count("no migrations are declared")) == (1, 1)


def test_a_table_ends_with_what_was_sent() -> None:
    shown = screen(80, MIXED.model_copy(update={"requests": 214}))
    assert " ".join(shown.split()).endswith("1.2 s, 214 requests through the gateway")


def test_nothing_asked_is_nothing_known_in_every_form() -> None:
    nothing = Validation(stack="test")
    assert markdown(nothing).startswith("## ? inconclusive")
    assert list(ElementTree.fromstring(junit(nothing))) == []


# The verb


def outcome(folder: Path, world: World | None = None, **given: Any) -> Outcome:
    healthy = world or World(stack())

    async def run() -> Outcome:
        async with served(healthy) as address:
            values = {"kongProxyUrl": address, "previewKey": PREVIEW_KEY, "reports": str(folder / "reports")}
            connections = Connections(values)
            try:
                return await validate(
                    Desk(Stack("test", "shop", "test"), healthy.settings, connections, Clock()), **given
                )
            finally:
                await connections.close()

    return asyncio.run(run())


def test_what_was_asked_for_is_written_beside_the_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = tmp_path / "steps.md"
    steps.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(steps))
    cases, report = tmp_path / "junit.xml", tmp_path / "out.md"
    assert outcome(tmp_path, only=MINE, junit=cases, markdown=report).exit is Exit.OK
    assert len(list(ElementTree.parse(cases).iter("testcase"))) == 26
    assert report.read_text(encoding="utf-8").startswith("## ✓ passed")
    assert steps.read_text(encoding="utf-8") == "before\n" + report.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    world = World(stack())
    with pytest.raises(Refused) as refused:
        outcome(tmp_path, world, junit=tmp_path / "nowhere" / "junit.xml")
    assert (refused.value.world, world.asked) == ("Nothing was asked.", [])


def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    world = World(stack())
    with pytest.raises(Refused) as refused:
        outcome(tmp_path, world, markdown=tmp_path)
    assert (refused.value.what, world.asked) == (f"{tmp_path} cannot be written: is a directory.", [])


def test_a_file_that_was_not_written_after_all_is_no_success(tmp_path: Path) -> None:
    ended = outcome(tmp_path, only=MINE, junit=Path("/dev/full"))  # it can be opened, and takes nothing
    assert (Exit.FAULT, "/dev/full was not written: No space left on device.") == (ended.exit, ended.world)


def test_one_thing_that_fails_is_the_outcomes_own_next_step(tmp_path: Path) -> None:
    ended = outcome(tmp_path, World(stack(), sick=("backend-green",)), only=["health"])
    assert ended.exit is Exit.FAILED_BEFORE_SWITCH
    assert (
        ended.what == "1 of 4 checks on the way that users take did not pass (health:backend-green: answered 503 {})."
    )
    assert ended.next.startswith("Look at backend-green's logs")


def test_a_warning_fails_only_who_asks_for_that(tmp_path: Path) -> None:
    silent = World(stack(), silent=True)
    told = outcome(tmp_path, silent, only=["request-id", "page"])
    assert (told.exit, told.what) == (Exit.OK, "1 of 3 checks on the way that users take passed, 2 with a warning.")
    assert outcome(tmp_path, silent, only=["request-id", "page"], fail_on="warn").exit is Exit.FAILED_BEFORE_SWITCH


def test_a_whole_validation_is_kept_as_evidence_of_its_release_and_a_narrowed_one_is_not(tmp_path: Path) -> None:
    outcome(tmp_path, only=["page"])
    assert not (tmp_path / "reports").exists()
    told = outcome(tmp_path, colour="green")
    assert isinstance(told.facts, Validation)
    kept = list((tmp_path / "reports" / "test" / told.facts.release).glob("validation-*.json"))
    assert len(kept) == 1
    assert Validation.model_validate_json(kept[0].read_text(encoding="utf-8")) == told.facts
    assert stat.S_IMODE(kept[0].stat().st_mode) == 0o600


def test_who_stops_it_is_told_that_nothing_is_known(tmp_path: Path) -> None:
    clock, world = Clock(), World(stack())

    async def run() -> None:
        async with served(world) as address:
            connections = Connections({"kongProxyUrl": address, "reports": str(tmp_path)})
            desk = Desk(Stack("test", "shop", "test"), world.settings, connections, clock)
            verb = asyncio.create_task(validate(desk, only=["hello"]))
            world.slow = lambda number: 0.0 * verb.cancel()
            with pytest.raises(asyncio.CancelledError):
                await verb
            await connections.close()

    asyncio.run(run())
    assert [text.partition(":")[0] for text in clock.milestones] == ["Stopped"]
    assert list(tmp_path.iterdir()) == []


def test_evidence_that_cannot_be_kept_is_told_and_changes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file", encoding="utf-8")
    assert outcome(tmp_path, colour="green").exit is Exit.OK


def test_the_outcome_is_whole_as_json_and_can_be_read_again(tmp_path: Path) -> None:
    told = json.loads(outcome(tmp_path, only=MINE).model_dump_json(by_alias=True))
    assert (told["facts"]["schemaVersion"], told["facts"]["verdict"], told["facts"]["way"]) == (1, "pass", "users")
    assert set(told["facts"]["findings"][0]) == {
        "id",
        "group",
        "app",
        "severity",
        "status",
        "observed",
        "expected",
        "n",
        "durationMs",
        "hint",
        "doc",
    }
    assert len(Validation.model_validate(told["facts"]).findings) == 26


def test_every_check_is_explained_in_the_docs_under_its_group() -> None:
    text = (ROOT / "docs" / "validate.md").read_text(encoding="utf-8")
    sections = {part.split("\n")[0].strip().lower(): part for part in text.split("\n## ")[1:]}
    lacking = [each.id for each in register() if f"| `{each.id}" not in sections.get(each.doc.partition("#")[2], "")]
    assert lacking == []
