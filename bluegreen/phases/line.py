"""The line of commits that a stack follows: one branch of one remote, only ever moved forward.

A phase begins where the branch is, adds its commit, and pushes it before anything is brought up: what runs is then
what the branch says, and whoever comes next builds on it. A branch that has moved on meanwhile and one that takes no
pushes are answers here, not faults; what to do about them is the phase's. It deliberately never forces a push, never
merges, and takes back only what it was told to, without touching a line that somebody has not committed.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bluegreen.handler import Refused

WORLD = "Nothing was changed."
PATIENCE = 60.0  # seconds that a remote has to answer
LONGEST = 300  # characters of what git has to say
CREDENTIALS = re.compile(r"://[^/@\s]+@")
PROTECTED = re.compile(r"GH006|GH013|protected branch|hook declined|rule violations|not allowed to push", re.IGNORECASE)
MOVED = re.compile(
    r"\[rejected\]|fetch first|non-fast-forward|cannot lock ref|failed to update ref|incorrect old value"
)

Answer = Literal["landed", "moved", "protected"]


@dataclass(frozen=True, slots=True)
class Pushed:
    """How a push ended; `why` in the remote's own words where it did not land."""

    answer: Answer
    why: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One branch of one remote, as the repository around a stack's file knows it."""

    root: Path
    branch: str
    remote: str

    @classmethod
    def of(cls, file: Path, branch: str, remote: str) -> "Line":
        """The line that this file's repository follows.

        Raises:
            Refused: the file is in no repository, or the repository knows no such remote.
        """
        found = _git(file.resolve().parent, "rev-parse", "--show-toplevel")
        if found.returncode != 0:
            what = f"{file.name} is in no git repository, so there is nothing to push."
            raise Refused(what, world=WORLD, next="Take --no-push, or work in a clone.")
        line = cls(Path(found.stdout.strip()).resolve(), branch, remote)
        if remote not in line._said("remote").split():
            what = f"This repository knows no remote {remote}."
            raise Refused(what, world=WORLD, next="Name another one by --remote, or take --no-push.")
        return line

    @property
    def there(self) -> str:
        """The remote's branch, as it was fetched last."""
        return f"refs/remotes/{self.remote}/{self.branch}"

    @property
    def head(self) -> str:
        """What is checked out."""
        return self._said("rev-parse", "HEAD")

    def begin(self) -> str:
        """Fetch the branch, and go forward to where it is; the commit at which work begins.

        Raises:
            Refused: the remote is out of reach, or what is checked out is not part of its branch.
        """
        self._fetch()
        there, here = self._said("rev-parse", self.there), self.head
        if here == there:
            return here
        if self._run("merge-base", "--is-ancestor", here, there).returncode != 0:
            raise Refused(
                f"{here[:10]} is checked out, and {self.remote}/{self.branch} ({there[:10]}) does not have it.",
                world=WORLD,
                next=f"Push it, or check out {self.remote}/{self.branch}: a phase adds to that branch alone.",
            )
        done = self._run("merge", "--ff-only", "--quiet", there)
        if done.returncode != 0:
            what = f"What is checked out cannot go forward to {self.remote}/{self.branch}: {why(done)}."
            raise Refused(what, world=WORLD, next="Commit or take back what git names, then run this again.")
        return there

    def push(self) -> Pushed:
        """Push what is checked out to the branch, forward only.

        Raises:
            Refused: the remote is out of reach.
        """
        done = self._run("push", "--porcelain", self.remote, f"HEAD:refs/heads/{self.branch}")
        if done.returncode == 0:
            return Pushed("landed")
        told = f"{done.stdout}\n{done.stderr}"
        if PROTECTED.search(told):
            return Pushed("protected", _declined(told) or why(done))
        if MOVED.search(told):
            return Pushed("moved", why(done))
        what = f"Nothing could be pushed to {self.remote}: {why(done)}."
        raise Refused(what, world=WORLD, next="Correct that, then run this again; or take --no-push.")

    def take_back(self, commit: str) -> None:
        """Check out this commit in place of what was committed since; what is in no commit stays as it is.

        Raises:
            Refused: git would have to touch what is in no commit.
        """
        done = self._run("reset", "--keep", "--quiet", commit)
        if done.returncode != 0:
            what = f"The commit that was made here could not be taken back: {why(done)}."
            raise Refused(what, world="It is in no remote.", next=f"git reset --keep {commit[:10]} by hand.")

    def propose(self, name: str, commit: str) -> None:
        """Push a commit as a branch of its own.

        Raises:
            Refused: there is such a branch with something else in it, or it may not be pushed.
        """
        done = self._run("push", "--porcelain", self.remote, f"{commit}:refs/heads/{name}")
        if done.returncode != 0:
            told = f"{self.remote} has a branch {name} already" if MOVED.search(done.stdout) else why(done)
            what = f"The branch {name} could not be pushed: {told}."
            raise Refused(what, world=WORLD, next="Merge or delete that branch, then run this again.")

    def changed(self, since: str, until: str, path: str) -> tuple[bytes, bytes]:
        """A file as two commits have it."""
        return self._content(since, path), self._content(until, path)

    def _content(self, commit: str, path: str) -> bytes:
        done = subprocess.run(["git", "show", f"{commit}:{path}"], cwd=self.root, capture_output=True, check=False)
        return done.stdout

    def _fetch(self) -> None:
        done = self._run("fetch", "--quiet", self.remote, f"+refs/heads/{self.branch}:{self.there}")
        if done.returncode != 0:
            raise Refused(
                f"{self.remote}/{self.branch} could not be fetched: {why(done)}.",
                world=WORLD,
                next="Correct that, then run this again; or take --no-push, which asks no remote.",
            )

    def _said(self, *arguments: str) -> str:
        return self._run(*arguments).stdout.strip()

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return _git(self.root, *arguments)


def _git(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command: Sequence[str] = ("git", *arguments)
    env = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=env,
            timeout=PATIENCE,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "fatal: there is no git on PATH")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"fatal: no answer within {PATIENCE:g} s")


def why(done: "subprocess.CompletedProcess[str]") -> str:
    """What git says of why not, in one phrase and without anybody's password."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
    said = next((line for line in lines if line.startswith(("fatal:", "error:"))), next(filter(None, lines), ""))
    return _shown(said.removeprefix("fatal: ").removeprefix("error: ")) or f"it ended with {done.returncode}"


def _declined(told: str) -> str:
    """What a hook or a rule of the remote had to say."""
    lines = [line.removeprefix("remote:").strip() for line in told.splitlines() if line.startswith("remote:")]
    said = [line for line in lines if line]
    named = next((line for line in said if PROTECTED.search(line)), said[0] if said else "")
    return _shown(named.removeprefix("error: "))


def _shown(text: str) -> str:
    return CREDENTIALS.sub("://***@", text)[:LONGEST].rstrip(".")
