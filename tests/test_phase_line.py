"""The branch that a phase follows: begun where it is, pushed forward only, and never lost, on real repositories."""

import os
import subprocess
from pathlib import Path

import pytest

from bluegreen.handler import Refused
from bluegreen.phases.images import image_of, images
from bluegreen.phases.line import Line
from bluegreen.phases.target import retargeted
from tests.workflow_expressions import Expression, Functions, holds
from tests.workflow_room import DECLINES, WHO

FILE = "Pulumi.shop.yaml"


class Place:
    """A bare repository and clones of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in WHO.items():
            monkeypatch.setenv(name, value)
        self.folder, self.bare = folder, folder / "hub.git"
        self.git(folder, "init", "-q", "--bare", "-b", "main", str(self.bare))
        first = self.clone("first")
        self.commit(first, "Begin", "a\n")
        self.git(first, "push", "-q", "origin", "HEAD:main")

    def git(self, at: Path, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=at, capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def clone(self, name: str) -> Path:
        self.git(self.folder, "clone", "-q", str(self.bare), name)
        return self.folder / name

    def commit(self, clone: Path, subject: str, text: str) -> str:
        (clone / FILE).write_text(text, encoding="utf-8")
        self.git(clone, "add", FILE)
        self.git(clone, "commit", "-qm", subject)
        return self.git(clone, "rev-parse", "HEAD")

    def line(self, clone: Path) -> Line:
        return Line.of(clone / FILE, "main", "origin")

    @property
    def log(self) -> list[str]:
        return self.git(self.bare, "log", "--reverse", "--format=%s", "main").splitlines()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_work_begins_where_the_branch_is(place: Place) -> None:
    late, early = place.clone("late"), place.clone("early")
    pushed = place.commit(early, "Newer", "b\n")
    place.git(early, "push", "-q", "origin", "HEAD:main")
    assert place.line(late).begin() == pushed
    assert (late / FILE).read_text(encoding="utf-8") == "b\n"


def test_a_clone_of_one_commit_goes_forward_too(place: Place) -> None:
    place.git(place.folder, "clone", "-q", "--depth=1", f"file://{place.bare}", "shallow")
    pushed = place.commit(place.clone("early"), "Newer", "b\n")
    place.git(place.folder / "early", "push", "-q", "origin", "HEAD:main")
    assert place.line(place.folder / "shallow").begin() == pushed


def test_what_is_checked_out_and_in_no_branch_of_the_remote_is_refused(place: Place) -> None:
    here = place.clone("here")
    place.commit(here, "Mine", "mine\n")
    with pytest.raises(Refused, match=r"origin/main .* does not have it"):
        place.line(here).begin()


def test_going_forward_never_overwrites_what_is_in_no_commit(place: Place) -> None:
    late, early = place.clone("late"), place.clone("early")
    place.commit(early, "Newer", "b\n")
    place.git(early, "push", "-q", "origin", "HEAD:main")
    (late / FILE).write_text("not committed\n", encoding="utf-8")
    with pytest.raises(Refused, match="cannot go forward"):
        place.line(late).begin()
    assert (late / FILE).read_text(encoding="utf-8") == "not committed\n"


def test_a_push_lands_or_says_that_the_branch_has_moved_on(place: Place) -> None:
    one, two = place.clone("one"), place.clone("two")
    lines = [place.line(clone) for clone in (one, two)]
    begun = [line.begin() for line in lines]
    place.commit(one, "One", "one\n")
    place.commit(two, "Two", "two\n")
    assert lines[0].push().answer == "landed"
    refused = lines[1].push()
    assert refused.answer == "moved", refused
    assert place.log == ["Begin", "One"]
    lines[1].take_back(begun[1])
    assert (two / FILE).read_text(encoding="utf-8") == "a\n"


def test_a_branch_that_takes_no_pushes_says_so_in_its_own_words(place: Place) -> None:
    hook = place.bare / "hooks" / "pre-receive"
    hook.write_text(DECLINES, encoding="utf-8")
    hook.chmod(0o755)
    (place.bare / "protected").touch()
    here = place.clone("here")
    line = place.line(here)
    begun = line.begin()
    commit = place.commit(here, "Mine", "mine\n")
    refused = line.push()
    assert (refused.answer, refused.why) == (
        "protected",
        "GH006: Protected branch update failed for refs/heads/main",
    )
    line.propose("mine", commit)
    line.take_back(begun)
    assert place.git(place.bare, "rev-parse", "mine") == commit
    assert place.log == ["Begin"]


def test_a_branch_of_that_name_with_something_else_in_it_is_never_overwritten(place: Place) -> None:
    one, two = place.clone("one"), place.clone("two")
    place.line(one).propose("mine", place.commit(one, "One", "one\n"))
    place.git(two, "fetch", "-q")
    with pytest.raises(Refused, match="has a branch mine already"):
        place.line(two).propose("mine", place.commit(two, "Two", "two\n"))


def test_taking_back_keeps_what_is_in_no_commit(place: Place) -> None:
    here = place.clone("here")
    line = place.line(here)
    begun = line.begin()
    place.commit(here, "Mine", "mine\n")
    (here / "notes").write_text("mine alone\n", encoding="utf-8")
    line.take_back(begun)
    assert (here / "notes").read_text(encoding="utf-8") == "mine alone\n"
    place.commit(here, "Again", "again\n")
    (here / FILE).write_text("not committed\n", encoding="utf-8")
    with pytest.raises(Refused, match="could not be taken back"):
        line.take_back(begun)
    assert (here / FILE).read_text(encoding="utf-8") == "not committed\n"


def test_a_remote_that_is_away_is_refused_without_its_password(place: Place) -> None:
    here = place.clone("here")
    place.git(here, "remote", "set-url", "origin", "http://ann:hunter2@127.0.0.1:9/none.git")
    with pytest.raises(Refused) as refused:
        place.line(here).begin()
    assert "origin/main could not be fetched" in refused.value.what
    assert "hunter2" not in str(refused.value)


def test_a_folder_without_a_repository_and_a_remote_that_there_is_not_are_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with pytest.raises(Refused, match="is in no git repository"):
        Line.of(tmp_path / FILE, "main", "origin")
    with pytest.raises(Refused, match="knows no remote upstream"):
        Line.of(place.clone("here") / FILE, "main", "upstream")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('  velro:migrations: {target: "010", baseline: "010"} # ours\n', '{target: "011", baseline: "010"} # ours'),
        ("  velro:migrations:\n    target: '010' # the last\n    baseline: '010'\n", "target: '011' # the last\n"),
    ],
)
def test_the_target_alone_is_edited_where_it_stands(before: str, after: str) -> None:
    text = f"# a file\nconfig:\n{before}  velro:protect: true\n"
    told = retargeted(text, "velro", "011")
    assert after in told
    assert len(told) == len(text)


@pytest.mark.parametrize("text", ["config: {}\n", "config:\n  velro:migrations:\n    target: 10\n"])
def test_a_target_that_is_not_there_or_would_read_otherwise_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="cannot be edited"):
        retargeted(text, "velro", "011")


def test_an_image_is_the_phase_s_own_app_s_or_named_for_each() -> None:
    assert images(["backend=v2, frontend=v3", "v4"]) == ("v4", {"backend": "v2", "frontend": "v3"})
    assert image_of(["v4"], "backend", alone=True) == "v4"
    assert image_of(["backend=v2,v4"], "backend", alone=True) == "v2"
    with pytest.raises(Refused, match="No image is named for frontend"):
        image_of(["v4"], "frontend", alone=False)
    with pytest.raises(Refused, match="No image is named for backend"):
        image_of([""], "backend", alone=True)
    with pytest.raises(Refused, match="Two images are given for backend"):
        images(["backend=v2", "backend=v3"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.phase == 'rollback' && 'rolling' || 'stack'", "stack"),
        ("!(inputs.phase != 'switch') && github.event.number == 7", True),
        ("format('{0}-traffic', inputs.environment)", "staging-traffic"),
        ("inputs.nothing || 'it''s empty'", "it's empty"),
    ],
)
def test_the_harness_reads_expressions_as_github_does(text: str, value: object) -> None:
    context = {"inputs": {"phase": "switch", "environment": "staging"}, "github": {"event": {"number": 7}}}
    functions: Functions = {
        "format": lambda text, *given: text.format(*given),
        "success": lambda: False,
        "always": lambda: True,
    }
    assert Expression(text, context, functions).value() == value
    assert holds("inputs.phase == 'switch'", context, functions) is False  # something failed before
    assert holds("always() && inputs.phase == 'switch'", context, functions) is True
