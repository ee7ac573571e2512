"""The folder of migrations: which files are wanted, in which order, and every fault told at once."""

import hashlib
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bluegreen.handler import Refused
from bluegreen.postgres import files, segments, statements
from bluegreen.postgres.spec import Migrations
from bluegreen.spec import problems
from tests.postgres_room import OWNER, ROOT, folder, read, wanted

FINE = "select 1;\n"


def fault(at: Path, target: str = "011") -> str:
    """What is wrong with a folder, without the beats around it."""
    with pytest.raises(Refused) as refused:
        read(at, target)
    assert refused.value.world == "Nothing was changed."
    return refused.value.what.partition(" do not fit: ")[2].removesuffix(".")


def test_files_between_baseline_and_target_are_read_in_order(tmp_path: Path) -> None:
    scripts = {f"_{number:03}_step": FINE for number in (9, 10, 13, 12, 11, 14)}
    found = read(folder(tmp_path, **scripts), "013")
    assert [(file.version, file.name, file.label) for file in found] == [
        ("011", "step", "011_step"),
        ("012", "step", "012_step"),
        ("013", "step", "013_step"),
    ]
    assert files.beyond(tmp_path, wanted("013")) == ("014_step",)


def test_each_file_knows_what_comes_before_it_and_the_last_contract(tmp_path: Path) -> None:
    contract = "-- bluegreen:phase contract\n-- bluegreen:requires-schemaMin 010\nselect 1;"
    found = read(folder(tmp_path, _011_a=FINE, _012_b=contract, _013_c=FINE, _014_d=contract), "014")
    assert [(file.phase, file.after, file.settled) for file in found] == [
        ("expand", None, None),
        ("contract", "011", None),
        ("expand", "012", "012"),
        ("contract", "013", "012"),
    ]


def test_a_file_is_a_resource_with_the_sha256_of_its_text_with_lf_line_ends(tmp_path: Path) -> None:
    (tmp_path / "011_teams.sql").write_bytes(b"select 1;\r\nselect 2;\r\n")
    (file,) = read(tmp_path)
    assert file.spec(OWNER, wanted()).model_dump(mode="json", by_alias=True) == {
        "owner": "shop.test",
        "version": "011",
        "name": "teams",
        "phase": "expand",
        "file": (tmp_path / "011_teams.sql").as_posix(),
        "sha256": hashlib.sha256(b"select 1;\nselect 2;\n").hexdigest(),
        "after": None,
        "settled": None,
        "lockBudget": "30s",
        "upstreams": [],
        "rollbackWindow": "0s",
        "drift": "refuse",
        "baseline": "010",
        "reports": "reports",
        "dryRun": "required",
        "backup": {"folder": "backups", "megabytes": 256, "supabaseProject": None},
    }


def test_only_a_contract_knows_which_moves_it_waits_for(tmp_path: Path) -> None:
    contract = "-- bluegreen:phase contract\n-- bluegreen:requires-schemaMin 010\nselect 1;"
    files = read(folder(tmp_path, _011_a=FINE, _012_b=contract), "012")
    specs = [file.spec(OWNER, wanted("012"), ["backend"], timedelta(hours=72)) for file in files]
    assert [(spec.upstreams, spec.rollback_window) for spec in specs] == [
        ((), timedelta()),
        (["backend"], timedelta(hours=72)),
    ]


def test_what_a_file_says_about_itself_is_read_from_its_comments(tmp_path: Path) -> None:
    text = """-- Old names go.
-- bluegreen:phase contract
--bluegreen:requires-schemaMin 010
select 1;
-- bluegreen:verify select not exists (select 1 from pg_class where relname = 'old');
"""
    (file,) = read(folder(tmp_path, _011_gone=text))
    assert (file.phase, file.requires_schema_min) == ("contract", "010")
    assert file.verify == (files.Question("select not exists (select 1 from pg_class where relname = 'old')", 5),)


def test_statements_are_found_with_their_text_and_line(tmp_path: Path) -> None:
    text = "-- first\n/* a /* nested */ word */ select 'é; é';\n\ncreate table a (\n  b int\n)\n-- the end"
    (file,) = read(folder(tmp_path, _011_two=text))
    assert [(statement.text, statement.line) for statement in file.statements] == [
        ("select 'é; é'", 2),
        ("create table a (\n  b int\n)\n-- the end", 4),
    ]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("", "there is no statement in it"),
        ("-- nothing\n;\n", "there is no statement in it"),
        ("select 1;\n  selct 2;", 'line 2, column 3: syntax error at or near "selct"'),
        ("select 'abc", 'line 1, column 8: unterminated quoted string at or near "\'abc"'),
        ("\\d teams\n", "line 1, column 1: a psql command; only SQL can be applied"),
        ("\ufeffselect 1", "it begins with a byte order mark; save it without"),
        ("select '\0'", "it holds a zero byte"),
        (
            "select 1;\nbegin;",
            "line 2, column 1: BEGIN, COMMIT, ROLLBACK and SAVEPOINT are the runner's: it cuts a file into "
            "transactions",
        ),
        (
            "select 1;\ncreate index concurrently on t (x)",
            "line 2, column 1: CREATE INDEX CONCURRENTLY needs a name, or what a kill leaves of it could not be found "
            "again",
        ),
        (
            "create database x",
            "line 1, column 1: CREATE DATABASE cannot run in a transaction, and whether it ran could not be told after "
            "a kill",
        ),
        (
            "alter system set a = 1",
            "line 1, column 1: ALTER SYSTEM cannot run in a transaction, and whether it ran could not be told after a "
            "kill",
        ),
        ("set local lock_timeout = 0", "line 1, column 1: lock_timeout is the runner's to set"),
        ("reset all", "line 1, column 1: every setting is the runner's to set"),
        (
            "vacuum (full, analyze) t",
            "line 1, column 1: VACUUM FULL shuts the table to everybody for as long as it copies it; write VACUUM",
        ),
        (
            "select 1;\nselect pg_catalog.set_config('Lock_Timeout', '0', false)",
            "line 2, column 1: set_config: lock_timeout is the runner's to set",
        ),
        (
            "insert into t select set_config(a, b, false) from s",
            "line 1, column 1: set_config: a setting whose name is not written there is the runner's to set",
        ),
        (
            "select 1 where (select pg_advisory_unlock_all()) is null",
            "line 1, column 1: pg_advisory_unlock_all() would give away the runner's turn",
        ),
        ("copy t from stdin", "line 1, column 1: COPY from or to the client has no client here; write INSERT"),
        (
            "\ncreate function f() returns void language plpgsql as $$\nbegin slect 1; end $$",
            'line 3, column 7: in the PL/pgSQL body: syntax error at or near "slect"',
        ),
        ("do $$ begin if; end $$", 'line 1, column 1: in the PL/pgSQL body: missing "THEN" at end of SQL expression'),
        ("-- bluegreen:phase later\nselect 1", "line 1: -- bluegreen:phase is 'later'; it is expand or contract"),
        (
            "-- bluegreen:Phase expand\nselect 1",
            "line 1: -- bluegreen:Phase is no word; there are phase, verify, requires-schemaMin, backfill, allow",
        ),
        (
            "-- bluegreen:backfill x\nselect 1",
            "line 1: -- bluegreen:backfill stands above something else; it goes with UPDATE table SET … [WHERE …] or "
            "DELETE FROM table [WHERE …]",
        ),
        (
            "-- bluegreen:backfill x batch=7\ndelete from x",
            "line 1: -- bluegreen:backfill is 'x batch=7'; it is a table, and perhaps batch=2000 (rows, from 50 on)",
        ),
        (
            "-- bluegreen:backfill x\n\ndelete from x",
            "line 1: -- bluegreen:backfill stands directly above no statement",
        ),
        (
            "-- bluegreen:backfill public.x\nupdate x set a = 1",
            "line 1: -- bluegreen:backfill names public.x, and the statement changes x; it goes with UPDATE table SET "
            "… [WHERE …] or DELETE FROM table [WHERE …]",
        ),
        (
            "-- bluegreen:backfill x\nupdate x set a = 1 from y",
            "line 1: -- bluegreen:backfill stands above a statement with FROM, USING, WITH or RETURNING; it goes with "
            "UPDATE table SET … [WHERE …] or DELETE FROM table [WHERE …]",
        ),
        (
            "vacuum;\nset search_path = ''",
            "line 2, column 1: SET reaches no further than the next statement that stands alone; write SET LOCAL",
        ),
        (
            "vacuum;\ncreate temp table x (a int)",
            "line 2, column 1: a temporary table is gone after a kill; make it a table",
        ),
        ("-- bluegreen:verify delete from t\nselect 1", "line 1: -- bluegreen:verify is not one SELECT"),
        ("-- bluegreen:verify selct\nselect 1", "line 1: -- bluegreen:verify is not one SELECT"),
        (
            "-- bluegreen:requires-schemaMin 011\nselect 1",
            "line 1: -- bluegreen:requires-schemaMin stands in a file that is not contract",
        ),
        (
            "-- bluegreen:phase contract\n-- bluegreen:requires-schemaMin now\nselect 1",
            "line 2: -- bluegreen:requires-schemaMin is 'now'; it is a version such as 011",
        ),
        ("-- bluegreen:phase expand\n-- bluegreen:phase expand\nselect 1", "-- bluegreen:phase is said twice"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_place(tmp_path: Path, sql: str, told: str) -> None:
    assert fault(folder(tmp_path, _011_x=sql)) == f"011_x.sql: {told}"


@pytest.mark.parametrize(
    "sql",
    [
        "create index i on t (x)",
        "analyze t",
        "alter table t detach partition p",
        "reindex table t",
        "cluster t",
        "set local search_path = ''",
        "refresh materialized view concurrently m",
        "copy t from '/tmp/x'",
        "vacuum (full false) t",
        "select set_config('search_path', '', true)",
        "create function f(t public.teams) returns setof public.teams language plpgsql as $$ declare r record; "
        "begin for r in select * from public.teams loop return next r; end loop; t.name := 'x'; end $$",
        "create procedure p() language plpgsql as $$ begin commit; end $$",
        "create function f() returns int language sql as 'select 1'",
    ],
)
def test_what_can_run_in_a_transaction_is_let_through(tmp_path: Path, sql: str) -> None:
    assert len(read(folder(tmp_path, _011_x=sql))[0].statements) == 1


@pytest.mark.parametrize(
    ("names", "target", "told"),
    [
        (["011_a", "013_c"], "013", "no file has the number 012"),
        (["011_a", "015_c"], "016", "no file has the number 012 to 014, 016"),
        (["011_a"], "012", "no file has the number 012"),
        (["011_a", "011_b"], "011", "011 is the number of 011_a.sql and 011_b.sql"),
        (["011_a", "0012_b"], "011", "0012_b.sql: its number has 4 digits, migrations.target has 3"),
        (
            ["011_a", "20250101000000_b"],
            "011",
            "20250101000000_b.sql: its number has 14 digits, migrations.target has 3",
        ),
        (["011_a", "12-b"], "011", "12-b.sql: a migration is named NUMBER_NAME.sql, so this one would be passed over"),
    ],
)
def test_numbers_that_do_not_count_up_are_refused(tmp_path: Path, names: list[str], target: str, told: str) -> None:
    assert fault(folder(tmp_path, **dict.fromkeys(names, FINE)), target) == told


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    at = folder(tmp_path, _011_a="selct 1", _013_b="discard all", notes=FINE)
    (at / "014_c.sql").write_bytes(b"select '\xff'")
    assert fault(at, "015").split("; ") == [
        "notes.sql: a migration is named NUMBER_NAME.sql, so this one would be passed over",
        "no file has the number 012, 015",
        '011_a.sql: line 1, column 1: syntax error at or near "selct"',
        "013_b.sql: line 1, column 1: DISCARD cannot run in a transaction, and whether it ran could not be told after "
        "a kill",
        "014_c.sql: it is not UTF-8 (byte 8)",
    ]


def test_timestamps_need_not_follow_each_other_without_a_gap(tmp_path: Path) -> None:
    at = folder(tmp_path, _20250102030405_a=FINE, _20250607080910_b=FINE)
    found = files.read(at, wanted("20250607080910", "20250101000000"))
    assert [file.version for file in found] == ["20250102030405", "20250607080910"]
    with pytest.raises(Refused, match=r"no file has the number 20250607080911, which is migrations.target"):
        files.read(at, wanted("20250607080911", "20250101000000"))


def test_a_target_at_the_baseline_wants_nothing(tmp_path: Path) -> None:
    assert files.read(folder(tmp_path, _011_a="selct"), wanted("010")) == ()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        read(tmp_path / "nowhere")
    assert (refused.value.what, refused.value.next) == (
        f"There is no folder {tmp_path / 'nowhere'} with migrations.",
        "Make it, or name the right one as migrations.folder.",
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"target": 11, "baseline": "010"},
            "target: 11 is a number, and YAML drops or misreads its leading zeros. Write it in quotes",
        ),
        (
            {"target": "0011", "baseline": "010"},
            "target 0011 and baseline 010 differ in width: write both with as many digits",
        ),
        ({"target": "009", "baseline": "010"}, "target 009 lies before baseline 010"),
        ({"target": "v11", "baseline": "010"}, "target: String should match pattern '^[0-9]{1,18}$'"),
    ],
)
def test_a_target_that_cannot_be_meant_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        Migrations.model_validate(given)
    assert problems(error.value) == [told]


NAMES = st.lists(st.integers(8, 18), max_size=9)


@settings(max_examples=60, deadline=None)
@given(numbers=NAMES, target=st.integers(10, 18))
def test_a_folder_is_read_whole_or_every_missing_and_double_number_is_named(numbers: list[int], target: int) -> None:
    with TemporaryDirectory() as at:
        folder(Path(at), **{f"{number:03}_{index}": FINE for index, number in enumerate(numbers)})
        asked = range(11, target + 1)
        missing = [number for number in asked if number not in numbers]
        double = [number for number in asked if numbers.count(number) > 1]
        if not missing and not double:
            assert [int(file.version) for file in read(Path(at), f"{target:03}")] == list(asked)
            return
        told = fault(Path(at), f"{target:03}")
        assert [number for number in asked if f"{number:03} is the number of" in told] == double
        assert [end for end in _ends(missing) if end not in told.partition("no file has the number ")[2]] == []


def _ends(missing: list[int]) -> list[str]:
    return [f"{number:03}" for number in missing if number - 1 not in missing or number + 1 not in missing]


def test_a_file_is_cut_where_a_transaction_ends(tmp_path: Path) -> None:
    text = """create table t (a int);
create table u (a int);
create index concurrently i on t (a);
drop index concurrently j;
-- bluegreen:backfill t batch=500
-- bluegreen:allow unbounded-update a few rows at a time
update t set a = 1;
select 1;
vacuum t;
"""
    (file,) = read(folder(tmp_path, _011_x=text))
    assert [(each.number, each.kind, each.line, len(each.statements)) for each in file.segments] == [
        (1, "transaction", 1, 2),
        (2, "alone", 3, 1),
        (3, "alone", 4, 1),
        (4, "backfill", 7, 1),
        (5, "transaction", 8, 1),
        (6, "alone", 9, 1),
    ]
    assert file.segments[3].backfill == segments.Backfill("t", 500, 5)


def test_a_segment_is_the_same_whatever_stands_around_its_statements(tmp_path: Path) -> None:
    (file,) = read(folder(tmp_path, _011_x="select 1;\n\n-- more\nselect 2;\nvacuum;"))
    (other,) = read(folder(tmp_path, _011_x="-- first\nselect 1; select 2;\n\n\nvacuum;"))
    (edited,) = read(folder(tmp_path, _011_x="select 1; select 3;\nvacuum;"))
    assert [each.sha256 for each in file.segments] == [each.sha256 for each in other.segments]
    assert [a.sha256 == b.sha256 for a, b in zip(file.segments, edited.segments, strict=True)] == [False, True]


BLANKS = st.sampled_from(["", " ", "\n", "\n\n  ", "-- é;\n", "/* ; /* ; */ */", "\t"])
WRITTEN = st.sampled_from(["select 1", "select ';é'", "create table t (\n a int\n)", "do $$ begin null; end $$"])


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(st.tuples(BLANKS, WRITTEN, BLANKS), min_size=1, max_size=6))
def test_a_statement_stands_where_it_says(parts: list[tuple[str, str, str]]) -> None:
    text = ";".join(f"{before}{sql}{after}" for before, sql, after in parts)
    found = statements.split(text)
    assert [text[each.at :].startswith(each.text) for each in found] == [True] * len(parts)
    assert [each.text.startswith(sql) for each, (_, sql, _) in zip(found, parts, strict=True)] == [True] * len(parts)
    assert [each.line for each in found] == [text[: each.at].count("\n") + 1 for each in found]


def test_a_provider_that_migrates_nothing_loads_neither_psycopg_nor_the_grammar() -> None:
    look = "import sys, bluegreen.postgres.migration; print([m for m in ('psycopg', 'pglast') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "line",
    [
        "-- BlueGreen:phase contract",
        "-- bluegreen phase contract",
        "-- bluegreen :phase contract",
        "--- bluegreen:phase contract",
        "/* bluegreen:phase contract */",
        "select 2; -- bluegreen:phase contract",
    ],
)
def test_a_slip_in_what_a_file_says_about_itself_is_refused_and_not_taken_for_nothing(
    tmp_path: Path, line: str
) -> None:
    with pytest.raises(Refused) as refused:
        read(folder(tmp_path, _011_gone=f"{line}\nselect 1;\n"))
    assert f"line 1: {line!r} is not read; write it alone on a line" in refused.value.what


def test_a_contract_says_what_every_release_must_declare_by_then(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        read(folder(tmp_path, _011_gone="-- bluegreen:phase contract\nselect 1;\n"))
    assert "011_gone.sql: a contract needs -- bluegreen:requires-schemaMin" in refused.value.what
