"""`bluegreen plan` on a real stack: one life of a sandbox, told before each of its changes.

What each comment says is kept in tests/recorded/plans/, without what differs from run to run. To write them anew:
`PLANS=write python -m pytest tests/test_plan_verb.py`, then look at the difference.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bluegreen.planning.document import Planned
from sandbox.registry import HOST
from sandbox.stack import REGION, ROOT
from tests.box import Box, box

RECORDED = Path(__file__).parent / "recorded" / "plans"
WRITE = os.environ.get("PLANS") == "write"
CONTRACT = """-- bluegreen:phase contract
-- bluegreen:requires-schemaMin 011
alter table public.projects drop column description;
"""
VARYING = (
    (r"at most [\d a-z]+ in all", "at most SOME s in all"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE"),
    (r"(≈|about) [\d.]+ (ms|s)\b", r"\1 SOME ms"),
    (r"\| [\d.]+ (ms|s) \|", "| SOME ms |"),
)


class Life:
    """A stack with a database, and what was planned of it."""

    def __init__(self, here: Box, folder: Path) -> None:
        self.here, self.stack, self.folder = here, here.stack, folder
        migrations = folder / "migrations"
        shutil.copytree(ROOT / "migrations", migrations)
        (migrations / "012_drop_description.sql").write_text(CONTRACT, encoding="utf-8")
        self.stack.config["velro:migrations"]["folder"] = str(migrations)
        self.stack.write()

    @property
    def backend(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stack.config["velro:apps"]["backend"]
        return found

    def stage(self, colour: str, tag: str, **also: Any) -> None:
        """Edit: this colour is to run this tag, which the file names in a comment, too."""
        self.backend[colour] = {**self.stack.block("backend", colour, tag), **also}  # type: ignore[arg-type]
        self.stack.write()
        text = self.stack.file.read_text(encoding="utf-8")
        image = self.backend[colour]["image"]
        self.stack.file.write_text(text.replace(image, f"{image} # {HOST}/backend:{tag}"), encoding="utf-8")

    def live(self, colour: str) -> None:
        text = self.stack.file.read_text(encoding="utf-8")
        self.stack.file.write_text(re.sub(r"live: \w+", f"live: {colour}", text), encoding="utf-8")
        self.backend["live"] = colour

    def plan(self, name: str) -> Planned:
        """The plan of what is in the file now, its comment compared with the recorded one."""
        out, save = self.folder / f"{name}.md", self.folder / f"{name}.json"
        done = self.stack.bluegreen("plan", "--out", str(out), "--save", str(save), "--policy-pack", "policies")
        assert done.returncode == 0, done.stdout + done.stderr
        comment, kept = alike(out.read_text(encoding="utf-8")), RECORDED / f"{name}.md"
        if WRITE:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(comment, encoding="utf-8")
        assert comment == kept.read_text(encoding="utf-8")
        return Planned.model_validate_json(save.read_bytes())

    def check(self, name: str) -> tuple[int, str]:
        done = self.stack.bluegreen("plan", "--check", str(self.folder / f"{name}.json"))
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    folder = tmp_path_factory.mktemp("plans")
    with box(folder / "world", database=True) as here:
        yield Life(here, folder)


def alike(text: str) -> str:
    """Without what differs from run to run: times, and ids, which are numbered as they come."""
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text)
    known = dict.fromkeys(re.findall(r"\b[0-9a-f]{16}\b", text))
    for number, id in enumerate(known, 1):
        text = text.replace(id, f"ID-{number}")
    return text


def test_a_stack_s_life_is_told_before_it_happens_and_a_plan_holds_until_something_else_is_wanted(life: Life) -> None:
    here, stack = life.here, life.stack
    here.bootstrap()

    life.stage("green", "v1", variables={"LOG_LEVEL": "debug"})
    idle = life.plan("idle-deploy")
    assert (idle.users, idle.traffic.legs) == ("Nothing new: backend stays on blue.", ())
    image = stack.file.read_text(encoding="utf-8")
    other = stack.block("backend", "green", "v3")["image"]
    stack.file.write_text(image.replace(life.backend["green"]["image"], other), encoding="utf-8")
    code, said = life.check("idle-deploy")
    stack.file.write_text(image, encoding="utf-8")
    assert code == 15
    ours, theirs = (
        each[: len("registry.sandbox/backend@sha256:") + 12] for each in (life.backend["blue"]["image"], other)
    )
    # Both colours run v1's image until then; in another's place the file has the comment of the one that it was.
    assert f"backend.green.image: {ours} → {theirs}; backend.green.release: " in said
    assert life.check("idle-deploy")[0] == 0
    here.ok("--skip-preview")

    life.live("green")
    shift = life.plan("shift")
    assert [(leg.kind, leg.origin, leg.goal) for leg in shift.traffic.legs] == [("rollout", "blue", "green")]
    assert [app.after.possible for app in shift.apps] == [True]
    here.ok("--skip-preview")

    life.stage("blue", "v2", schemaMin="010", replicas={REGION: 2}, drainingSeconds=7)
    life.live("blue")
    combined = life.plan("combined")
    assert (combined.fleet.idle_after, combined.fleet.live, combined.fleet.replica_hours) == (1, 2, 72.0)
    here.ok("--skip-preview")

    stack.migrate("011")
    life.stage("green", "v3")
    life.live("green")
    grown = life.plan("migration-and-shift")
    assert [(each.label, each.known, each.rehearsed) for each in grown.migrations] == [
        ("011_team_collaboration_foundation", True, True)
    ]
    assert (grown.schema_now, grown.schema_after) == ("010", "011")
    here.ok("--skip-preview")

    del life.backend["blue"]
    stack.config["velro:rollout"]["rollbackWindow"] = {"duration": "0s"}
    stack.migrate("012")
    contract = life.plan("contract")
    assert [(app.now.possible, app.after.possible) for app in contract.apps] == [(True, False)]
    assert any(risk.startswith("012_drop_description is a contract") for risk in contract.risks)


@pytest.mark.parametrize("name", ["idle-deploy", "shift", "combined", "migration-and-shift", "contract"])
def test_a_comment_begins_with_the_three_answers_and_reads_on_a_phone(name: str) -> None:
    text = (RECORDED / f"{name}.md").read_text(encoding="utf-8")
    places = [text.index(f"**{label}:**") for label in ("What users meet", "Can it be taken back", "What is risky")]
    assert places == sorted(places)
    assert places[-1] < text.index("| backend | now | then |")
    assert max(line.count("|") - 1 for line in text.splitlines() if line.startswith("|")) <= 4
    assert len(text) < 64_000


def test_every_recorded_plan_is_asked_for() -> None:
    names = {"idle-deploy", "shift", "combined", "migration-and-shift", "contract"}
    assert {path.stem for path in RECORDED.glob("*.md")} == names
