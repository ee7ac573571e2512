"""`bluegreen promote` and `bluegreen revert` on the production file: one line forth, the same bytes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.stage_room import OTHER, PRODUCTION, Around, Project, Row, project, pulumi, served

SECRET = (
    "  velro:secrets:\n    releaseKey:\n      secure: v1:AAA==:bb\n    backend:\n      green:\n"
    "        DATABASE_URL:\n          secure: v1:CCC==:dd\nencryptionsalt: v1:salt=\n"
)


@pytest.fixture(scope="module")
def around() -> Iterator[Around]:
    with served() as made:
        made.registry.keep("velro/backend", "v42")
        made.registry.keep("velro/frontend", "v42")
        yield made


@pytest.fixture
def here(tmp_path: Path, around: Around) -> Project:
    """Both apps have something on green, each in a commit of its own."""
    made = project(tmp_path / "shop", around)
    made.begin()
    for app in ("backend", "frontend"):
        assert made.says("stage", app, "v42", "--commit").code == 0
    return made


def live(here: Project) -> dict[str, str]:
    apps = yaml.safe_load(here.text)["config"]["velro:apps"]
    return {name: app["live"] for name, app in apps.items()}


def test_promote_changes_one_line_and_says_which_commit(here: Project) -> None:
    before = here.text
    said = here.says("promote", "backend", "--commit")
    assert (said.code, live(here)) == (0, {"backend": "green", "frontend": "blue"})
    assert here.text == before.replace("live: blue", "live: green", 1)
    assert "backend: v41 is traded for v42; they differ in image." in said.progress
    assert said.facts["hunks"] == 1
    assert here.git("log", "-1", "--format=%s").strip() == "Promote backend v42 on green of production"


def test_all_takes_every_app_that_has_anything_there(here: Project) -> None:
    assert here.says("promote", "--all").code == 0
    assert live(here) == {"backend": "green", "frontend": "green"}


def test_an_app_without_anything_in_its_other_colour_is_refused_or_left_out(tmp_path: Path, around: Around) -> None:
    bare = project(tmp_path / "bare", around)
    refused = bare.says("promote", "backend")
    assert (refused.code, refused.outcome["what"]) == (15, "backend has nothing on green.")
    assert refused.outcome["next"] == "Stage something there first: bluegreen stage backend IMAGE."
    assert bare.says("promote", "--all").code == 15
    assert bare.file.read_bytes() == PRODUCTION
    bare.says("stage", "frontend", "v42")
    said = bare.says("promote", "--all")
    assert (said.facts["left"], live(bare)) == (["backend"], {"backend": "blue", "frontend": "green"})


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "Neither an app nor --all is given."),
        (("backend", "--all"), "Apps and --all are both given."),
        (("backend", "api"), "There is no app 'api' in the config."),
    ],
)
def test_what_cannot_be_meant_is_refused(here: Project, arguments: tuple[str, ...], what: str) -> None:
    said = here.says("promote", *arguments)
    assert (said.code, said.outcome["what"]) == (15, what)


def test_what_a_preview_will_say_is_said_by_kongs_own_weights(here: Project, around: Around) -> None:
    around.carries("backend", blue=(100,), green=(0,))
    try:
        said = here.says("promote", "backend", "--dry-run")
    finally:
        around.forgets("backend")
    assert "lanes.backend.live: green; rollout: backend blue → green 5/25/50/100 %" in said.facts["preview"]
    assert "what passed before is unknown here (there is no pulumi on PATH)" in said.facts["preview"]
    assert (said.facts["apps"][0]["back"], said.facts["kong"]) == (None, "")


def test_a_rejected_release_is_refused_as_the_update_would_be(here: Project, around: Around) -> None:
    around.carries("backend", blue=(100,), green=(0,))
    said = here.says("promote", "backend", "--dry-run")
    assert said.code == 0
    release = _release(here)
    around.carries("backend", blue=(100,), green=(0, f"release:{release}", f"rejected:{release}"))
    try:
        refused = here.says("promote", "backend")
    finally:
        around.forgets("backend")
    assert (refused.code, live(here)["backend"]) == (15, "blue")
    assert refused.outcome["what"] == f"backend: release {release} on green was rejected when it was last live."


HOLD = "hold:ann%40ops 2026-03-01T02:00:00+00:00 logins%20fail"
UNDER = "move:1a2b3c4d blue 2030-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("rows", "code", "what"),
    [
        ({"blue": (0,), "green": (100, HOLD)}, 0, "Promoted backend v42 on green of production."),
        (
            {"blue": (100, HOLD), "green": (0,)},
            15,
            "backend is held by ann@ops since 2026-03-01 02:00 UTC (logins fail).",
        ),
        (
            {"blue": (95,), "green": (5, UNDER)},
            15,
            "backend: a move to green is under way, until 2030-01-01 00:00 UTC at the latest.",
        ),
    ],
)
def test_a_line_that_agrees_with_a_hold_is_written_and_one_that_does_not_is_refused(
    here: Project, around: Around, rows: dict[str, Row], code: int, what: str
) -> None:
    around.carries("backend", **rows)
    try:
        said = here.says("promote", "backend")
    finally:
        around.forgets("backend")
    assert (said.code, said.outcome["what"]) == (code, what)
    assert live(here)["backend"] == ("blue" if code else "green")


def _release(here: Project) -> str:
    from bluegreen.plain import plain
    from bluegreen.settings import Settings

    return Settings.parse("velro", "production", plain(here.file, "velro")[0]).release_id("backend", "green")


def test_what_secrets_hide_is_not_claimed(here: Project, around: Around) -> None:
    here.write(here.text + SECRET)
    around.carries("backend", blue=(100,), green=(0,))
    try:
        said = here.says("promote", "backend", "--dry-run")
    finally:
        around.forgets("backend")
    assert "steps 5/25/50 % for a rollout, one step for a rollback (secrets are part" in said.facts["preview"]
    assert "whether a rollback to blue will be possible cannot be told" in said.facts["apps"][0]["why"]


def test_revert_restores_the_bytes_before_the_last_release_commit(here: Project) -> None:
    before = here.file.read_bytes()
    here.says("promote", "backend", "frontend", "--commit")
    said = here.says("revert")
    assert (said.code, here.file.read_bytes()) == (0, before)
    assert said.facts["live"] == {"backend": "blue", "frontend": "blue"}
    subject, body = here.git("log", "-1", "--format=%s%x00%b").split("\0")
    assert subject == 'Revert "Promote backend v42 on green and frontend v42 on green of production"'
    assert body.strip() == f"This reverts commit {said.facts['undone']}."


@pytest.mark.parametrize("autocrlf", ["false", "true"])
def test_line_ends_stay_as_they_are_through_a_commit_and_its_revert(
    tmp_path: Path, around: Around, autocrlf: str
) -> None:
    made = project(tmp_path / "crlf", around)
    before = PRODUCTION.replace(b"\n", b"\r\n").rstrip()
    made.write(before)
    made.git("init", "--quiet", "-b", "main")
    made.git("config", "core.autocrlf", autocrlf)
    made.git("config", "core.safecrlf", "false")
    made.git("add", "-A")
    made.git("commit", "-qm", "Begin")
    assert made.says("stage", "backend", "v42", "--commit").code == 0
    assert made.text.count("\n") == made.text.count("\r\n")
    said = made.says("revert")
    assert (said.code, made.file.read_bytes()) == (0, before), said


def test_a_revert_is_not_undone_unless_it_is_named(here: Project) -> None:
    here.says("promote", "backend", "--commit")
    promoted = here.file.read_bytes()
    here.says("revert", "--last")
    refused = here.says("revert")
    assert (refused.code, "is itself a revert" in refused.outcome["what"]) == (15, True)
    assert here.says("revert", here.git("rev-parse", "HEAD").strip()).code == 0
    assert here.file.read_bytes() == promoted


def test_a_commit_in_the_middle_is_undone_and_what_came_later_stays(here: Project) -> None:
    commit = here.git("rev-parse", "HEAD~1").strip()
    said = here.says("revert", commit)
    apps = yaml.safe_load(here.text)["config"]["velro:apps"]
    assert (said.facts["subject"], "green" in apps["backend"], "green" in apps["frontend"]) == (
        "Stage backend v42 on green of production",
        False,
        True,
    )


def test_what_was_changed_again_since_is_refused(here: Project) -> None:
    commit = here.git("rev-parse", "HEAD").strip()
    here.write(here.text.replace("frontend:v42", "frontend:v43"))
    here.git("commit", "-qam", "By hand")
    now = here.file.read_bytes()
    refused = here.says("revert", commit)
    assert (refused.code, here.file.read_bytes()) == (15, now)
    assert refused.outcome["next"] == "Undo the later commit first, or edit the file by hand."


def test_commits_that_are_no_release_are_passed_over_and_other_files_stay(here: Project) -> None:
    text = here.text
    here.write(text.replace("live: blue", "live: green", 1))
    (here.folder / "notes").write_text("mine\n", encoding="utf-8")
    here.git("add", "-A")
    here.git("commit", "-qm", "Go")
    here.write(here.text.replace("nodes: 1", "nodes: 2"))
    here.git("commit", "-qam", "Two nodes")
    said = here.says("revert")
    assert (said.facts["subject"], said.facts["others"]) == ("Go", 1)
    assert here.text == text.replace("nodes: 1", "nodes: 2")
    assert (here.folder / "notes").exists()


def test_a_branch_with_the_revert_leaves_the_file_alone(here: Project, tmp_path: Path) -> None:
    here.git("init", "--quiet", "--bare", str(tmp_path / "forge.git"))
    here.git("remote", "add", "origin", str(tmp_path / "forge.git"))
    before = here.file.read_bytes()
    said = here.says("revert", "--pr")
    assert (said.code, here.file.read_bytes(), said.facts["written"]) == (0, before, False)
    assert said.facts["branch"].startswith("revert-production-")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("nothing",), "'nothing' is no commit here."),
        (("HEAD", "--last"), "A commit and --last are both given."),
    ],
)
def test_a_commit_that_cannot_be_meant_is_refused(here: Project, arguments: tuple[str, ...], what: str) -> None:
    said = here.says("revert", *arguments)
    assert (said.code, said.outcome["what"]) == (15, what)


def test_the_first_commit_of_a_file_cannot_be_undone(here: Project) -> None:
    first = here.git("rev-list", "--max-parents=0", "HEAD").strip()
    refused = here.says("revert", first)
    assert (refused.code, "the file began or ended with it" in refused.outcome["what"]) == (15, True)


def test_without_git_the_last_move_in_state_is_taken_back(tmp_path: Path, around: Around) -> None:
    bare = project(tmp_path / "bare", around)
    refused = bare.says("revert")
    assert (refused.code, "there is no pulumi on PATH" in refused.outcome["what"]) == (15, True)
    bare.says("stage", "backend", "v42")
    bare.says("stage", "frontend", f"sha256:{OTHER}", BLUEGREEN_REGISTRIES="ghcr.io=http://127.0.0.1:1")
    bare.says("promote", "--all")
    moves = [("frontend", "10:00:00", "10:01:00"), ("backend", "12:00:00", "12:01:00")]
    said = bare.says("revert", PATH=pulumi(tmp_path, history(*moves)))
    assert (said.code, said.facts["live"], live(bare)["frontend"]) == (0, {"backend": "blue"}, "green")
    together = [("backend", "14:00:00", "14:01:00"), ("frontend", "14:01:00", "14:02:00")]
    bare.says("promote", "backend")
    said = bare.says("revert", PATH=pulumi(tmp_path, history(*together)))
    assert (said.facts["live"], said.facts["commit"]) == ({"backend": "blue", "frontend": "blue"}, "")


def history(*moves: tuple[str, str, str]) -> list[dict[str, str]]:
    """Moves from blue to green that have passed."""
    passed = {"verdict": "passed", "origin": "blue", "goal": "green"}
    day = "2026-03-01T{}+00:00"
    return [
        {"app": app, "started": day.format(started), "finished": day.format(finished), **passed}
        for app, started, finished in moves
    ]
