"""`bluegreen observe`: printed, written or compared with a committed file; it needs the stack's own file alone."""

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from bluegreen.cli.observe import Generated, observe
from bluegreen.cli.stack import Stack
from bluegreen.cli.verb import Desk, Exit, Outcome
from bluegreen.connections import Connections
from bluegreen.handler import Refused
from bluegreen.observe.written import dashboard_text, rules_text
from bluegreen.settings import Settings
from sandbox.stack import ROOT
from tests.memory import Clock
from tests.observe_room import block, config, parsed, settings
from tests.published import fitting

SECRET = "key-of-the-admin-api"
What = Literal["dashboard", "rules"]
BOTH: tuple[What, ...] = ("dashboard", "rules")


def ask(of: Settings, what: What, **options: Any) -> Outcome:
    return asyncio.run(observe(Desk(Stack("test", "shop", "test"), of, Connections({}), Clock()), what, **options))


def facts(outcome: Outcome) -> Generated:
    assert isinstance(outcome.facts, Generated)
    return outcome.facts


def run(folder: Path, whole: dict[str, Any], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line itself, in a project where there is no pulumi."""
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    (folder / "Pulumi.test.yaml").write_text(yaml.safe_dump({"config": whole}), encoding="utf-8")
    return subprocess.run(
        [str(ROOT / "bin" / "bluegreen"), "observe", *arguments, "--stack", "test"],
        cwd=folder,
        env={"PATH": os.defpath, "COLUMNS": "200", "BLUEGREEN_KONG_ADMIN_KEY": SECRET},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_file_it_is_printed_as_it_is_and_pulumi_is_not_asked(tmp_path: Path) -> None:
    done = run(tmp_path, config(), "rules")
    assert (0, rules_text(settings()), "") == (done.returncode, done.stdout, done.stderr)


def test_a_file_is_written_with_its_folder_and_fits_until_the_config_moves_on(tmp_path: Path) -> None:
    file = tmp_path / "ops" / "rules.yml"
    outcome = ask(settings(), "rules", out=file)
    assert (Exit.OK, f"The rules of shop.test: {file}.") == (outcome.exit, outcome.what)
    assert rules_text(settings()) == file.read_text(encoding="utf-8")

    outcome = ask(settings(), "rules", check=file)
    assert (Exit.OK, f"{file} is what the config of shop.test makes.") == (outcome.exit, outcome.what)

    whole = config()
    whole["shop:rollout"]["progressDeadlineSeconds"] = 1200
    outcome = ask(parsed(whole), "rules", check=file)
    assert Exit.DRIFT == outcome.exit
    assert outcome.what.startswith(f"{file} is not what the config of shop.test makes: ")
    assert f"Write it anew: bluegreen observe rules --out {file}" == outcome.next


def test_what_differs_is_told_to_machines_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(rules_text(settings()).replace("for: 2m", "for: 9m", 1), encoding="utf-8")
    told = facts(ask(settings(), "rules", check=file))
    assert (False, str(file), ("-    for: 9m", "+    for: 2m")) == (told.fits, told.file, told.differs)


def test_a_release_makes_no_committed_file_stale(tmp_path: Path) -> None:
    whole = config()
    whole["shop:apps"]["orders"]["live"] = "green"
    whole["shop:apps"]["orders"]["blue"] = block("green")
    for what in BOTH:
        ask(settings(), what, out=tmp_path / what)
        assert Exit.OK == ask(parsed(whole), what, check=tmp_path / what).exit


def test_the_jobs_of_a_shared_prometheus_are_in_what_is_made() -> None:
    jobs = {"kong_job": "kong-a", "postgres_job": "db-a"}
    assert rules_text(settings(), **jobs).rstrip("\n") == ask(settings(), "rules", **jobs).what
    assert dashboard_text(settings(), **jobs).rstrip("\n") == ask(settings(), "dashboard", **jobs).what
    assert 'job="kong-a"' in rules_text(settings(), **jobs)


REFUSALS: dict[str, tuple[What, dict[str, Any], str]] = {
    "both": (
        "rules",
        {"out": Path("a"), "check": Path("b")},
        "--out and --check are both given. Nothing was changed. Give one of them.",
    ),
    "no file": (
        "rules",
        {"check": Path("gone.yml")},
        "gone.yml cannot be read: No such file or directory. Nothing was changed. "
        "Write it: bluegreen observe rules --out gone.yml",
    ),
    "no place": (
        "dashboard",
        {"out": ROOT / "README.md" / "a.json"},
        f"{ROOT}/README.md/a.json cannot be written: File exists. Nothing was changed. Name another file after --out.",
    ),
    "no job": (
        "rules",
        {"kong_job": 'a"} or vector(1'},
        "--kong-job is 'a\"} or vector(1', which is no name of a job. Nothing was changed. "
        "Write it as in scrape_configs: letters, digits and _ . / : - alone.",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_mistake_is_refused_in_three_beats(name: str) -> None:
    what, options, said = REFUSALS[name]
    with pytest.raises(Refused) as refused:
        ask(settings(), what, **options)
    assert said == str(refused.value)


def test_no_secret_of_the_config_or_the_environment_is_in_what_is_made(tmp_path: Path) -> None:
    whole = config()
    whole |= {"bluegreen:kongAdminUrl": "http://127.0.0.1:1", "bluegreen:previewKey": "key-of-previews"}
    whole["shop:secrets"] = {"consumers": {"web": "key-of-web"}, "previewKey": "key-of-previews"}
    whole["shop:gateway"]["consumers"] = {"web": {}}
    done = run(tmp_path, whole, "dashboard", "--json")
    assert not any(secret in done.stdout for secret in (SECRET, "key-of-previews", "key-of-web"))
    assert dashboard_text(parsed(whole)).rstrip("\n") == fitting("observe", done.stdout)["what"]
