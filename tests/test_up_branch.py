"""Never an older commit over a newer one: the branch is asked where it is kept, with real git and a bare remote."""

import subprocess
from pathlib import Path

import pytest

from bluegreen.handler import Refused
from bluegreen.staging.newest import newest
from tests.stage_room import GIT, Project, project


class Two:
    """A bare remote with a stack's file on `main`, and clones of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.remote = folder, folder / "remote.git"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.remote)], check=True)
        first = project(folder / "first")
        first.begin()
        first.git("remote", "add", "origin", str(self.remote))
        first.git("push", "-q", "origin", "main")

    def clone(self, name: str, *options: str) -> Project:
        command = ["git", "clone", "-q", *options, f"file://{self.remote}", str(self.folder / name)]
        subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin", **GIT})
        return Project(self.folder / name)


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    return Two(tmp_path)


def commits(here: Project, text: str) -> str:
    here.write(f"{here.text}# {text}\n")
    here.git("commit", "-qam", text)
    return here.git("rev-parse", "HEAD").strip()


def refused(here: Project, branch: str = "main", remote: str = "origin") -> Refused:
    with pytest.raises(Refused) as caught:
        newest(here.file, branch, remote)
    return caught.value


def test_what_is_at_the_branch_or_ahead_of_it_goes_up(two: Two) -> None:
    here = two.clone("ann")
    assert newest(here.file, "main", "origin") == here.git("rev-parse", "HEAD").strip()
    ahead = commits(here, "mine")
    assert newest(here.file, "main", "origin") == ahead


def test_what_is_behind_is_refused_with_both_commits(two: Two) -> None:
    here, other = two.clone("ann"), two.clone("bob")
    old, new = here.git("rev-parse", "HEAD").strip(), commits(other, "newer")
    other.git("push", "-q", "origin", "main")
    found = refused(here)
    assert found.what == (
        "An older commit is never brought up over a newer one: main of origin is at "
        f"{new[:10]}, and {old[:10]} here is behind it."
    )
    assert found.next.startswith("git pull --ff-only origin main")
    here.git("pull", "-q", "--ff-only", "origin", "main")
    assert newest(here.file, "main", "origin") == new


def test_what_went_another_way_is_refused_and_told_to_be_put_on_top(two: Two) -> None:
    here, other = two.clone("ann"), two.clone("bob")
    new = commits(other, "newer")
    other.git("push", "-q", "origin", "main")
    mine = commits(here, "mine")
    found = refused(here)
    assert f"is at {new[:10]}, and {mine[:10]} here does not have that." in found.what
    assert found.next.startswith("git pull --rebase origin main, then push")


def test_a_shallow_clone_that_cannot_tell_is_told_what_to_do(two: Two) -> None:
    other = two.clone("bob")
    begin = other.git("rev-parse", "HEAD").strip()
    for number in range(3):
        commits(other, f"step {number}")
    other.git("push", "-q", "origin", "HEAD:side")
    here = two.clone("ann", "--depth", "1", "--branch", "side")
    found = refused(here)
    assert begin[:10] in found.what
    assert "git fetch --unshallow (fetch-depth: 0)" in found.next
    here.git("fetch", "-q", "--unshallow", "origin")
    assert newest(here.file, "main", "origin") == here.git("rev-parse", "HEAD").strip()


def test_a_shallow_clone_at_the_branch_itself_goes_up(two: Two) -> None:
    other = two.clone("bob")
    new = commits(other, "newer")
    other.git("push", "-q", "origin", "main")
    here = two.clone("ann", "--depth", "1")
    assert newest(here.file, "main", "origin") == new


@pytest.mark.parametrize(("branch", "remote"), [("main", "upstream"), ("gone", "origin"), ("main", "--upload-pack=x")])
def test_a_branch_that_cannot_be_fetched_is_not_known_to_be_older(two: Two, branch: str, remote: str) -> None:
    found = refused(two.clone("ann"), branch, remote)
    assert found.what.startswith(f"{branch} could not be fetched from {remote}, so nobody can tell")
    assert found.world == "Nothing was changed."


def test_an_address_with_credentials_is_told_without_them(two: Two) -> None:
    here = two.clone("ann")
    here.git("remote", "set-url", "origin", "http://ann:hunter2@127.0.0.1:1/shop.git")
    said = str(refused(here))
    assert "hunter2" not in said
    assert "could not be fetched from origin" in said


def test_a_file_that_is_not_as_it_was_committed_is_no_commit(two: Two) -> None:
    here = two.clone("ann")
    here.write(f"{here.text}# by hand\n")
    assert refused(here).what == "Pulumi.production.yaml has changes that are not committed."


def test_a_folder_without_git_cannot_tell(tmp_path: Path) -> None:
    found = refused(project(tmp_path))
    assert found.what == "Pulumi.production.yaml is in no git repository, so nobody can tell whether it is the newest."
