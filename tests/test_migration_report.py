"""The report of a migration: the same for programs, a pull request and a browser, and no secret in any of it."""

import asyncio
import base64
import json
import os
import re
import stat
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bluegreen.handler import Refused
from bluegreen.postgres import report
from bluegreen.postgres.backup import Backup, Dump, LeftOut
from bluegreen.postgres.catalog import Reverse, Way
from bluegreen.postgres.lint.findings import Finding, Kind, Linted
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.rehearsal import rehearse
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import MigrationState
from tests.database import database
from tests.postgres_room import Context, read, wanted
from tests.published import faults

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOSTILE = "a | b\n<script>alert('x')</script> `c` **d** [e](https://example.org) @someone & </details>"
SECRET = "p@ss/w+rd 1"


@pytest.fixture(scope="module")
def teams() -> Plan:
    """011, tried on a copy of the database before it."""
    [file] = read(Path("migrations"))
    spec = file.spec("shop.test", wanted())
    return asyncio.run(rehearse(Database(database()), file, (), spec, Context()))


def test_its_folder_and_those_above_it_are_their_owners_alone(tmp_path: Path, teams: Plan) -> None:
    folder = tmp_path / "reports" / "shop" / "migrations" / "011_teams"
    umask = os.umask(0o022)
    try:
        written = report.write(teams, folder)
    finally:
        os.umask(umask)
    made = [folder, *folder.parents[:3], *written]
    assert {0o700, 0o600} == {stat.S_IMODE(each.stat().st_mode) for each in made}
    assert [0o700] * 4 == [stat.S_IMODE(each.stat().st_mode) for each in made[:4]]


def hostile(text: str = HOSTILE) -> Plan:
    """Every free text of a plan is this text."""
    dump = Dump(
        name="database.dump", kind="archive", bytes=4096, sha256="b" * 64, tables=("public.t",), rows={"public.t": 3}
    )
    return Plan(
        version="012",
        name="odd",
        phase="expand",
        sha256="a" * 64,
        owner=text,
        written_at=AT,
        where=text,
        allowed={"leftover": text},
        linted=Linted(
            findings=(Finding(rule="some-rule", level="refuse", line=3, message=text, hint=text),),
            kinds=(Kind(number=1, line=3, what=text, cls="contract"),),
        ),
        scratch=text,
        reverse=Reverse(
            verdict="reversible with loss",
            objects=(Way(object=text, verdict="reversible with loss", why=text),),
            script=f"select '{text}';\n```\n",
            differences=(text,),
        ),
        reasons=(text,),
        not_checked=(text,),
        not_modelled=(text,),
        backup=Backup(
            at=AT,
            dumped_at=AT,
            folder=text,
            files=(dump,),
            asked=("public.t",),
            left_out=(LeftOut(table=text, bytes=5_000_000, reason=text, next=text),),
            faults=(text,),
            platform=text,
        ),
        applied=MigrationState(version="012", applied_at=AT, applied_by=text, took_ms=40, attempts=2),
        blockers=(text,),
    )


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def texts(plan: Plan, folder: Path, **more: Any) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in report.write(plan, folder, **more)}


def page(plan: Plan, folder: Path) -> Page:
    return Page(texts(plan, folder)["plan.html"])


def test_a_preview_tells_the_plan_in_one_line(teams: Plan) -> None:
    assert re.fullmatch(
        r"011_team_collaboration_foundation: pending, 109 statements, expand; "
        r"locks (users|auth\.users), projects, generations \(writes wait ≈ \d+ ms\); ≈ [\d.]+ m?s; "
        r"reversible with loss; matrix as recorded",
        report.told(teams),
    )


def test_a_plan_without_a_copy_says_so() -> None:
    plan = Plan(version="011", name="teams", phase="expand", statements=1)
    assert "011_teams: pending, 1 statement, expand; not tried on a copy" == report.told(plan)


def test_what_speaks_against_a_plan_is_in_its_line() -> None:
    line = report.told(hostile("odd"))
    assert "012_odd: applied on 2026-05-01 at 12:00 UTC" in line
    assert "findings against it" in line
    assert "reversible with loss, not proven" in line


def test_what_is_written_can_be_read_back(teams: Plan, tmp_path: Path) -> None:
    report.write(teams, tmp_path)
    assert teams.model_dump() == (report.read(tmp_path) or Plan()).model_dump()
    assert (
        teams.model_dump()
        == report.plan_in(tmp_path).model_dump()
        == report.plan_in(tmp_path / "plan.json").model_dump()
    )
    assert report.read(tmp_path / "none") is None


def test_a_file_that_is_no_plan_is_refused_in_three_beats(tmp_path: Path) -> None:
    odd = tmp_path / "plan.json"
    for text, said in (
        ("{", "is no plan of a migration"),
        ("{}", "is no plan"),
        ('{"version": "1", "form": 99}', "another version"),
    ):
        odd.write_text(text, encoding="utf-8")
        with pytest.raises(Refused, match=said) as refused:
            report.plan_in(odd)
        assert ("Nothing was changed.", True) == (refused.value.world, "dry-run" in refused.value.next)
    with pytest.raises(Refused, match="cannot be read"):
        report.plan_in(tmp_path / "none.json")


def test_the_json_is_as_its_schema_says(teams: Plan, tmp_path: Path) -> None:
    for plan in (teams, hostile()):
        assert [] == faults("migration-plan", json.loads(texts(plan, tmp_path)["plan.json"]))
    assert [] != faults("migration-plan", {"statements": "many"})


def test_a_comment_begins_with_five_lines_and_folds_the_rest(teams: Plan, tmp_path: Path) -> None:
    text = texts(teams, tmp_path)["plan.md"]
    first, _, rest = text.partition("<details")
    assert len([line for line in first.splitlines() if line]) <= 5
    assert first.startswith("### 011\\_team\\_collaboration\\_foundation: pending")
    assert rest.count("<details") + 1 == text.count("</details>") == text.count("<summary>")


def test_a_comment_is_never_longer_than_github_takes_and_says_what_it_leaves_out(teams: Plan, tmp_path: Path) -> None:
    assert teams.matrix is not None
    long = teams.model_copy(update={"not_checked": tuple(f"Sentence {n} about something." for n in range(5000))})
    found = texts(long, tmp_path)
    assert len(found["plan.md"]) < 65_536
    assert "more, in plan.html" in found["plan.md"]
    assert "Sentence 4999" in found["plan.html"]


def test_no_text_of_a_plan_becomes_a_sign_of_markdown(tmp_path: Path) -> None:
    text = texts(hostile(), tmp_path)["plan.md"]
    fenced = re.sub(r"^(`{3,})[^\n]*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "<script" not in fenced
    assert "@someone" not in fenced
    assert fenced.count("<details") == fenced.count("</details>")
    for line in (line for line in fenced.splitlines() if line.startswith("| ")):
        assert "](" not in line.replace("\\]", "").replace("\\[", "")
    rows = [re.split(r"(?<!\\)\|", line) for line in fenced.splitlines() if line.startswith("| 3 |")]
    assert [8, 7] == sorted((len(row) for row in rows), reverse=True)


def test_no_text_of_a_plan_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    found = page(hostile(), tmp_path)
    assert ([], []) == (found.open, found.all("script"))
    assert {None} == {attributes.get("onclick") for _, attributes in found.tags}


def test_the_page_is_whole_in_itself_and_its_policy_lets_nothing_in(teams: Plan, tmp_path: Path) -> None:
    text = texts(teams, tmp_path)["plan.html"]
    found = Page(text)
    policy = [each["content"] for each in found.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert [True] == [(each or "").startswith("default-src 'none'") for each in policy]
    links = {str(each.get("href")) for each in (*found.all("a"), *found.all("link"))}
    assert [] == [link for link in links if not link.startswith(("#", "data:,"))]
    assert [] == [tag for tag in ("img", "script", "iframe", "form", "object") if found.all(tag)]
    assert "@import" not in text
    assert "url(" not in text


def test_the_page_can_be_read_by_keyboard_small_dark_printed_and_without_colour(teams: Plan, tmp_path: Path) -> None:
    text = texts(teams, tmp_path)["plan.html"]
    found = Page(text)
    ids = {each["id"] for _, each in found.tags if each.get("id")}
    assert [] == [each["href"] for each in found.all("a") if str(each["href"]).removeprefix("#") not in ids]
    assert [] == [each for each in found.all("section") if each.get("aria-labelledby") not in ids]
    wide = [each for each in found.all("div") if each.get("class") == "wide"]
    assert len(found.all("table")) == len(wide) > 4
    assert {("0", "region")} == {(each.get("tabindex"), each.get("role")) for each in wide}
    assert all(each.get("scope") == "col" for each in found.all("th"))
    assert [{"lang": "en"}] == found.all("html")
    for needed in ("width=device-width", "prefers-color-scheme: dark", "@media print", "overflow-x: auto", "in order"):
        assert needed in text


def test_the_page_and_the_comment_say_the_same(teams: Plan, tmp_path: Path) -> None:
    found = texts(teams, tmp_path)
    titles = re.findall(r"<summary>. <b>([^<]+)</b>", found["plan.md"])
    assert titles == re.findall(r'aria-hidden="true">.</span> ([^<]+?) <span', found["plan.html"])
    assert {"Findings", "Statements", "Locks", "Catalog", "The way back", "Who may what", "Backup", "Times"} <= set(
        titles
    )


def test_a_planted_secret_is_in_no_file_in_no_spelling(tmp_path: Path) -> None:
    encoded = base64.b64encode(SECRET.encode()).decode()
    planted = hostile(f"{SECRET} p%40ss%2Fw%2Brd%201 p%40ss%2Fw%2Brd+1 {encoded} public.t")
    before = "".join(texts(planted, tmp_path / "before").values())
    assert SECRET in before
    after = "".join(texts(planted, tmp_path / "after", secrets=(SECRET, "")).values())
    assert [] == [each for each in (SECRET, "p%40ss%2Fw%2Brd%201", "p%40ss%2Fw%2Brd+1", encoded) if each in after]
    assert "[secret]" in after


def test_the_database_s_password_is_in_no_report(teams: Plan, tmp_path: Path) -> None:
    password = database().partition("//")[2].partition("@")[0].partition(":")[2]
    assert password not in "".join(texts(teams, tmp_path).values())


def test_a_script_with_the_same_statements_stays_the_one_and_another_is_kept_beside_it(tmp_path: Path) -> None:
    plan = Plan(
        version="012",
        name="odd",
        sha256="a" * 64,
        written_at=AT,
        reverse=Reverse(statements=("drop table a",), script="x"),
    )
    report.write(plan, tmp_path)
    report.write(plan.model_copy(update={"written_at": AT.replace(hour=13), "took_ms": 5}), tmp_path)
    other = plan.model_copy(
        update={"written_at": AT.replace(hour=14), "reverse": Reverse(statements=("drop table b",), script="x")}
    )
    report.write(other, tmp_path)
    scripts = sorted(path.name for path in tmp_path.glob("*.sql"))
    assert ["rollback_012_odd_20260501T120000Z.sql", "rollback_012_odd_20260501T140000Z.sql"] == scripts
    assert {"plan.json", "plan.md", "plan.html", *scripts} == {path.name for path in tmp_path.iterdir()}


def test_what_nobody_looked_at_is_told(tmp_path: Path) -> None:
    text = texts(hostile("odd"), tmp_path)["plan.html"]
    assert "2 things that nobody looked at." in text
    assert "Not on the copy: odd." in text
