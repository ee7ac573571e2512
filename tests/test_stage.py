"""`bluegreen stage` on the production file as it is: one hunk, every comment kept, undone byte for byte."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox.registry_http import Registry
from sandbox.stack import ROOT
from tests.stage_room import OTHER, PRODUCTION, Around, Project, Row, changed, project, served


@pytest.fixture(scope="module")
def around() -> Iterator[Around]:
    with served(tokens=True) as made:
        made.registry.keep("velro/backend", "v42")
        made.registry.keep("velro/frontend", "v42", index=True)
        yield made


@pytest.fixture
def registry(around: Around) -> Registry:
    return around.registry


@pytest.fixture
def here(tmp_path: Path, around: Around) -> Project:
    made = project(tmp_path / "shop", around)
    made.begin()
    return made


def test_the_production_file_changes_in_one_hunk_and_keeps_every_comment(here: Project, registry: Registry) -> None:
    said = here.says("stage", "backend", "v42")
    assert said.code == 0, said
    digest = registry.keep("velro/backend", "v42")
    added = [line[1:] for line in said.facts["diff"].splitlines()[2:] if line.startswith("+")]
    taken = [line for line in said.facts["diff"].splitlines()[2:] if line.startswith("-")]
    assert (said.facts["hunks"], taken, len(added)) == (1, [], 9)
    assert "      green: # ghcr.io/velro/backend:v42" in added
    assert f"        image: ghcr.io/velro/backend@{digest}" in added
    before, after = PRODUCTION.decode().splitlines(), here.text.splitlines()
    assert [line for line in before if line not in after] == []
    assert "backend: green says schemaMin 010: raise it there if v42 needs a newer schema." in said.progress
    assert changed(yaml.safe_load(PRODUCTION), yaml.safe_load(here.text)) == ["config.velro:apps.backend.green"]


def test_the_page_shows_what_is_really_said(here: Project) -> None:
    page = (ROOT / "docs" / "stage.md").read_text(encoding="utf-8")
    said = here.says("stage", "backend", "v42", "--commit")
    assert said.facts["diff"] in page
    shown = f"{said.outcome['what']} {said.outcome['world']} {said.outcome['next']}"
    assert shown.replace(said.facts["commit"][:10], "1ab0f699f8") in page


def test_a_git_revert_of_the_commit_restores_the_file_byte_for_byte(here: Project) -> None:
    said = here.says("stage", "backend", "ghcr.io/velro/backend:v42", "--commit")
    assert said.facts["commit"] == here.git("rev-parse", "HEAD").strip()
    assert here.git("log", "-1", "--format=%s").strip() == "Stage backend v42 on green of production"
    assert said.facts["apps"][0]["image"] in here.git("log", "-1", "--format=%b")
    here.git("revert", "--no-edit", "HEAD")
    assert here.file.read_bytes() == PRODUCTION


def test_only_the_file_is_committed_whatever_else_is_ready(here: Project) -> None:
    (here.folder / "Pulumi.yaml").write_text("name: velro\nruntime: python # mine\n", encoding="utf-8")
    here.git("add", "Pulumi.yaml")
    here.says("stage", "backend", "v42", "--commit")
    assert here.git("show", "--format=", "--name-only").split() == ["Pulumi.production.yaml"]
    assert here.git("diff", "--cached", "--name-only").split() == ["Pulumi.yaml"]


def test_a_file_with_other_changes_is_not_committed(here: Project) -> None:
    here.write(here.text + "# mine\n")
    said = here.says("stage", "backend", "v42", "--commit")
    assert (said.code, said.outcome["what"]) == (15, "Pulumi.production.yaml has changes that are not committed.")
    assert here.file.read_bytes() == PRODUCTION + b"# mine\n"


def test_a_hook_that_refuses_leaves_the_file_as_it_was(here: Project) -> None:
    hook = here.folder / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no releases on Fridays >&2\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    said = here.says("stage", "backend", "v42", "--commit")
    assert (said.code, said.outcome["what"]) == (15, "git commit failed: no releases on Fridays.")
    assert (here.file.read_bytes(), here.git("status", "--porcelain")) == (PRODUCTION, "")


def test_without_git_the_file_alone_is_written_and_a_commit_is_refused(tmp_path: Path, around: Around) -> None:
    bare = project(tmp_path / "bare", around)
    refused = bare.says("stage", "backend", "v42", "--commit")
    assert (refused.code, bare.file.read_bytes()) == (15, PRODUCTION)
    assert refused.outcome["what"] == "Pulumi.production.yaml is in no git repository, so it cannot be committed."
    assert (bare.says("stage", "backend", "v42").code, bare.text.count("      green: #")) == (0, 1)


def test_a_dry_run_shows_the_diff_and_writes_nothing(here: Project) -> None:
    said = here.says("stage", "backend", "v42", "--dry-run", "--commit")
    assert (said.code, said.facts["written"], said.facts["commit"]) == (0, False, "")
    assert "+      green: # ghcr.io/velro/backend:v42" in said.progress
    assert here.file.read_bytes() == PRODUCTION


def test_an_image_that_is_live_already_is_nothing_to_stage(here: Project) -> None:
    live = yaml.safe_load(PRODUCTION)["config"]["velro:apps"]["backend"]["blue"]["image"]
    said = here.says("stage", "backend", live)
    assert (said.code, here.file.read_bytes()) == (15, PRODUCTION)
    assert "is live already, on blue: there is nothing to stage" in said.outcome["what"]


def test_what_is_staged_already_is_said_and_not_written_again(here: Project) -> None:
    here.says("stage", "backend", "v42", "--commit")
    again = here.says("stage", "backend", "v42", "--commit")
    assert (again.code, again.outcome["what"]) == (0, "backend v42 on green is staged already.")
    assert here.git("rev-list", "--count", "HEAD").strip() == "2"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("api", "v42"), "There is no app 'api' in the config."),
        (("backend",), "Neither an image nor --from is given."),
        (("backend", "v42", "--from", "staging"), "An image and --from are both given."),
        (("backend", "ghcr.io/velro/backend"), "ghcr.io/velro/backend has neither a tag nor a digest."),
        (("backend", "Ghcr.io/velro"), "'Ghcr.io/velro' names no image."),
        (("backend", "v43"), "There is no ghcr.io/velro/backend:v43 at ghcr.io."),
        (("backend", "v42", "--keep", "--overwrite"), "--keep and --overwrite are both given."),
        (("backend", f"sha256:{OTHER}"), f"There is no ghcr.io/velro/backend@sha256:{OTHER} at ghcr.io."),
    ],
)
def test_what_cannot_be_meant_is_refused(here: Project, arguments: tuple[str, ...], what: str) -> None:
    said = here.says("stage", *arguments)
    assert (said.code, said.outcome["what"]) == (15, what)
    assert here.file.read_bytes() == PRODUCTION


def test_settings_of_the_idle_colour_are_named_before_a_copy_overwrites_them(here: Project) -> None:
    here.says("stage", "backend", "v42")
    text = here.text.replace("drainingSeconds: 30", "drainingSeconds: 45", 2).replace("Seconds: 45", "Seconds: 30", 1)
    other = text.replace("v42", "v43").replace("@sha256:" + _image(text)[-64:], "@sha256:" + OTHER)
    here.write(other)
    refused = here.says("stage", "backend", "v42")
    assert (refused.code, here.text) == (15, other)
    assert refused.outcome["what"] == (
        "backend: green differs from blue not in its image alone: a copy would overwrite drainingSeconds."
    )
    assert refused.outcome["next"] == "Take --overwrite for the copy, or --keep, which changes the image alone."
    kept = here.says("stage", "backend", "v42", "--keep")
    assert (kept.code, here.text, kept.facts["hunks"]) == (0, text, 1)
    here.write(other)
    copied = here.says("stage", "backend", "v42", "--overwrite")
    assert "green has v43 now, which is where a rollback from blue would go. Once pulumi up" in copied.progress
    assert (copied.facts["apps"][0]["overwritten"], "Seconds: 45" in here.text) == (["drainingSeconds"], False)


def _image(text: str) -> str:
    image: str = yaml.safe_load(text)["config"]["velro:apps"]["backend"]["green"]["image"]
    return image


def test_a_digest_alone_takes_the_old_tag_out_of_the_comment(here: Project, registry: Registry) -> None:
    digest = registry.keep("velro/backend", "v77")
    assert here.says("stage", "backend", f"ghcr.io/velro/backend@{digest}").code == 0
    assert "      green:\n        image: ghcr.io/velro/backend@" + digest in here.text
    assert here.text.count("# ghcr.io/velro/backend:v41") == 1


def test_a_digest_is_taken_where_no_registry_can_be_asked(tmp_path: Path, around: Around) -> None:
    away = project(tmp_path, around, BLUEGREEN_REGISTRIES="ghcr.io=http://127.0.0.1:1")
    said = away.says("stage", "backend", f"sha256:{OTHER}")
    assert (said.code, f"image: ghcr.io/velro/backend@sha256:{OTHER}" in away.text) == (0, True)
    assert "could not be looked up" in said.progress
    refused = away.says("stage", "frontend", "v42")
    assert (refused.code, "ghcr.io did not answer HEAD" in refused.outcome["what"]) == (15, True)


def test_an_index_for_several_platforms_is_the_right_digest(here: Project, registry: Registry) -> None:
    said = here.says("stage", "frontend", "v42")
    (told,) = said.facts["apps"]
    assert (told["platforms"], told["image"].rpartition("@")[2]) == (
        True,
        registry.keep("velro/frontend", "v42", index=True),
    )


def test_the_mode_of_the_file_and_a_link_to_it_stay(here: Project) -> None:
    real = here.folder / "files" / "real.yaml"
    real.parent.mkdir()
    here.file.rename(real)
    here.file.symlink_to(real)
    real.chmod(0o640)
    assert here.says("stage", "backend", "v42").code == 0
    assert (here.file.is_symlink(), stat.S_IMODE(real.stat().st_mode)) == (True, 0o640)
    assert [each.name for each in real.parent.iterdir()] == ["real.yaml"]


def test_an_edit_that_would_not_hang_together_is_not_written(here: Project) -> None:
    text = here.text.replace(
        "image: ghcr.io/velro/backend@", "serviceName: backend-green\n        image: ghcr.io/velro/backend@"
    )
    here.write(text)
    said = here.says("stage", "backend", "v42")
    assert (said.code, said.outcome["world"], here.text) == (15, "Nothing was written.", text)
    assert "would be the Railway service backend-green" in said.outcome["what"]


def test_secrets_stay_as_they_are_and_what_the_copy_lacks_is_named(here: Project) -> None:
    secret = (
        "  velro:secrets:\n    releaseKey:\n      secure: v1:AAA==:bb\n    backend:\n      blue:\n"
        "        DATABASE_URL:\n          secure: v1:CCC==:dd\nencryptionsalt: v1:salt=\n"
    )
    here.write(here.text + secret)
    said = here.says("stage", "backend", "v42")
    assert (said.code, here.text.endswith(secret), said.facts["hunks"]) == (0, True, 1)
    assert said.facts["apps"][0]["lacks"] == ["DATABASE_URL"]
    assert "pulumi config set --secret --path 'velro:secrets.backend.green.DATABASE_URL'" in said.progress


def test_a_pull_request_is_a_branch_of_its_own_and_nothing_here_changes(here: Project, tmp_path: Path) -> None:
    here.git("init", "--quiet", "--bare", str(tmp_path / "forge.git"))
    refused = here.says("stage", "backend", "v42", "--pr")
    assert (refused.code, "has no remote" in refused.outcome["what"]) == (15, True)
    here.git("remote", "add", "origin", str(tmp_path / "forge.git"))
    said = here.says("stage", "backend", "v42", "--pr")
    branch = "stage-production-backend-v42"
    assert (said.code, said.facts["branch"], said.facts["written"]) == (0, branch, False), said
    assert said.outcome["next"] == f"Open the pull request: gh pr create --head {branch} --base main --fill"
    assert (here.file.read_bytes(), here.git("status", "--porcelain")) == (PRODUCTION, "")
    assert here.git("branch", "--show-current").strip() == "main"
    assert here.git("--git-dir", str(tmp_path / "forge.git"), "rev-parse", branch).strip() == said.facts["commit"]
    assert here.git("diff", "--stat", f"main..{branch}").count("|") == 1
    again = here.says("stage", "backend", "v42", "--pr")
    assert (again.code, again.outcome["what"]) == (15, f"There is a branch {branch} already.")


def test_with_gh_the_pull_request_is_opened(here: Project, tmp_path: Path) -> None:
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$0.asked"\necho https://forge.test/velro/pull/7\n', encoding="utf-8"
    )
    gh.chmod(0o755)
    here.git("init", "--quiet", "--bare", str(tmp_path / "forge.git"))
    here.git("remote", "add", "origin", str(tmp_path / "forge.git"))
    said = here.says("stage", "backend", "v42", "--pr", PATH=f"{gh.parent}:/usr/bin:/bin")
    assert said.facts["pullRequest"] == "https://forge.test/velro/pull/7"
    asked = Path(f"{gh}.asked").read_text(encoding="utf-8").splitlines()
    assert asked[:6] == ["pr", "create", "--head", "stage-production-backend-v42", "--base", "main"]


def test_a_push_that_fails_leaves_no_branch_and_no_credentials_in_words(here: Project, tmp_path: Path) -> None:
    here.git("remote", "add", "origin", "http://ann:hunter2@127.0.0.1:1/shop.git")
    said = here.says("stage", "backend", "v42", "--pr")
    assert (said.code, "could not be pushed to origin" in said.outcome["what"]) == (15, True)
    assert ("hunter2" in said.outcome["what"], here.git("branch", "--list", "stage*")) == (False, "")


BUSY: dict[str, tuple[dict[str, Row], str]] = {
    "a move": (
        {"blue": (95,), "green": (5, "move:1a2b3c4d blue 2030-01-01T00:00:00+00:00")},
        "backend: a move to green is under way, until 2030-01-01 00:00 UTC at the latest.",
    ),
    "a hold": (
        {"blue": (100, "hold:ann%40ops 2026-03-01T02:00:00+00:00 logins%20fail"), "green": (0,)},
        "backend is held by ann@ops since 2026-03-01 02:00 UTC (logins fail).",
    ),
    "another weight": (
        {"blue": (75,), "green": (25,)},
        "backend: green is idle in the config, and carries 25 % of the traffic in Kong.",
    ),
}


@pytest.mark.parametrize("case", BUSY)
def test_what_moves_or_is_held_in_kong_is_left_alone(here: Project, around: Around, case: str) -> None:
    rows, what = BUSY[case]
    around.carries("backend", **rows)
    try:
        said = here.says("stage", "backend", "v42")
    finally:
        around.forgets("backend")
    assert (said.code, said.outcome["what"], here.file.read_bytes()) == (15, what, PRODUCTION)
