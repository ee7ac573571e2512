"""The git repository that a stack's file is in: exactly this file is committed, here or on a branch of its own.

A branch is made without touching what is checked out: the commit is put together from HEAD and the file alone, so that
whoever works here notices nothing. It deliberately forces nothing, merges nothing and never rewrites what is there.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bluegreen.handler import Refused

WORLD = "Nothing was changed."
CREDENTIALS = re.compile(r"://[^/@\s]+@")
MISSING = "0" * 40
LONGEST = 300  # characters of what git has to say
COMMITS = 200  # of one file, that are looked through


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit that touched the file."""

    id: str
    parents: Sequence[str]
    subject: str


@dataclass(frozen=True, slots=True)
class Repository:
    """One file's repository; `path` is the file's name in it."""

    root: Path
    path: str

    @classmethod
    def of(cls, file: Path) -> "Repository | None":
        """The repository that has this file; None where there is no git, no repository, or it is not in it."""
        file = file.resolve()
        if shutil.which("git") is None:
            return None
        found = git(file.parent, "rev-parse", "--show-toplevel")
        if found.returncode != 0:
            return None
        root = Path(printed(found).rstrip("\n")).resolve()
        here = cls(root, file.relative_to(root).as_posix()) if file.is_relative_to(root) else None
        return here if here and here._run("ls-files", "--error-unmatch", "--", here.path).returncode == 0 else None

    @classmethod
    def clean(cls, file: Path) -> "Repository":
        """The same, with the file as it was committed.

        Raises:
            Refused: it is in no repository, or has changes that are in no commit.
        """
        here = cls.of(file)
        if here is None:
            what = f"{file.name} is in no git repository, so it cannot be committed."
            raise Refused(what, world=WORLD, next="Run it without --commit and --pr, which writes the file alone.")
        if here._said("status", "--porcelain", "--", here.path):
            what = f"{file.name} has changes that are not committed."
            raise Refused(what, world=WORLD, next=f"Commit them or take them back first: git diff HEAD -- {here.path}")
        if here._run("rev-parse", "--verify", "--quiet", "HEAD").returncode != 0:
            raise Refused("Nothing was ever committed here.", world=WORLD, next="Make the first commit.")
        return here

    def commit(self, subject: str, body: str) -> str:
        """Commit this file as it lies there, and nothing else of what was made ready; the new commit's id.

        Raises:
            Refused: git would not, or a hook of it.
        """
        self._must("commit", "--quiet", "--only", "-m", subject, "-m", body, "--", self.path)
        return self._said("rev-parse", "HEAD")

    def branched(self, branch: str, content: bytes, subject: str, body: str) -> str:
        """A new branch of HEAD and one commit, in which the file is this; what is checked out stays as it is.

        Raises:
            Refused: the branch is there already, or git would not.
        """
        name = f"refs/heads/{branch}"
        if self._run("rev-parse", "--verify", "--quiet", name).returncode == 0:
            raise Refused(
                f"There is a branch {branch} already.", world=WORLD, next=f"git branch -d {branch}, or use it."
            )
        with tempfile.TemporaryDirectory() as folder:
            own = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            mode = self._said("ls-tree", "HEAD", "--", self.path).split()[0]
            blob = self._must("hash-object", "-w", f"--path={self.path}", "--stdin", told=content)
            self._must("read-tree", "HEAD", own=own)
            self._must("update-index", "--cacheinfo", f"{mode},{blob},{self.path}", own=own)
            tree = self._must("write-tree", own=own)
        signed = ["-S"] if self._said("config", "--type=bool", "--default=false", "commit.gpgsign") == "true" else []
        message = f"{subject}\n\n{body}\n".encode()
        made = self._must("commit-tree", tree, "-p", "HEAD", *signed, "-F", "-", told=message)
        self._must("update-ref", name, made, MISSING)
        return made

    def push(self, branch: str) -> str:
        """Push a branch; where to.

        Raises:
            Refused: it could not be pushed; the branch is gone here too.
        """
        remote = self.remote()
        name = f"refs/heads/{branch}"
        done = self._run("push", "--quiet", remote, f"{name}:{name}")
        if done.returncode != 0:
            self._run("update-ref", "-d", name)
            what = f"The branch {branch} could not be pushed to {remote}: {why(done)}."
            raise Refused(what, world=WORLD, next="Correct that, then run this again; or take --commit.")
        return remote

    def remote(self) -> str:
        """Where branches of this one go.

        Raises:
            Refused: nowhere.
        """
        known = self._said("remote").split()
        branch = self.branch()
        own = self._said("config", "--default", "", f"branch.{branch}.remote") if branch else ""
        chosen = next((name for name in (own, "origin", *known[:1]) if name in known), None)
        if chosen is None:
            what = "This repository has no remote, so there is nowhere to push a branch to."
            raise Refused(what, world=WORLD, next="git remote add origin …, or take --commit.")
        return chosen

    def branch(self) -> str:
        """What is checked out; empty where that is no branch."""
        return self._said("branch", "--show-current")

    def commits(self) -> Sequence[Commit]:
        """The commits of HEAD that touched the file, newest first."""
        log = self._said("log", f"-{COMMITS}", "--no-show-signature", "--format=%H%x1f%P%x1f%s", "--", self.path)
        rows = (line.split("\x1f", 2) for line in log.split("\n") if line)
        return [Commit(id, parents.split(), subject) for id, parents, subject in rows]

    def found(self, word: str) -> Commit:
        """The commit that somebody means.

        Raises:
            Refused: there is none, or it is not part of what is checked out.
        """
        done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{word}^{{commit}}")
        if done.returncode != 0:
            raise Refused(f"{word!r} is no commit here.", world=WORLD, next=f"git log -- {self.path} names them.")
        id = printed(done).strip()
        if self._run("merge-base", "--is-ancestor", id, "HEAD").returncode != 0:
            what = f"{word} is not part of what is checked out, so there is nothing of it to undo."
            raise Refused(what, world=WORLD, next=f"git log -- {self.path} names the commits that are.")
        shown = self._said("show", "-s", "--no-show-signature", "--format=%P%x1f%s", id)
        parents, _, subject = shown.partition("\x1f")
        return Commit(id, parents.split(), subject)

    def content(self, commit: str) -> bytes | None:
        """The file as a commit has it, as it would lie here; None where it has none."""
        done = self._run("cat-file", "--filters", f"{commit}:{self.path}")
        return done.stdout if done.returncode == 0 else None

    def others(self, commit: Commit) -> int:
        """How many other files a commit touched."""
        names = self._said("diff-tree", "--no-commit-id", "--name-only", "-r", "--root", commit.id).split("\n")
        return sum(bool(name) and name != self.path for name in names)

    def merged(self, current: bytes, base: bytes, other: bytes) -> bytes | None:
        """What `current` is once the way from `base` to `other` is gone in it; None where both changed one place."""
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("current", "base", "other")]
            for file, content in zip(files, (current, base, other), strict=True):
                file.write_bytes(content)
            done = self._run("merge-file", "-p", "--quiet", *map(str, files))
        return done.stdout if done.returncode == 0 else None

    def request(self, branch: str, subject: str, body: str) -> tuple[str, str]:
        """Open a pull request with gh: where it is, or empty and the command with which a person does."""
        base = self.branch()
        into = ["--base", base] if base else []
        asked = ["pr", "create", "--head", branch, *into, "--title", subject, "--body", body]
        by_hand = f"gh pr create --head {branch}{f' --base {base}' if base else ''} --fill"
        if shutil.which("gh") is None:
            return "", by_hand
        done = subprocess.run(["gh", *asked], cwd=self.root, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        url = next((word for word in printed(done).split() if word.startswith("https://")), "")
        return (url, "") if done.returncode == 0 and url else ("", by_hand)

    def _must(self, *arguments: str, told: bytes | None = None, own: Mapping[str, str] | None = None) -> str:
        done = self._run(*arguments, told=told, own=own)
        if done.returncode == 0:
            return printed(done).strip()
        raise Refused(
            f"git {arguments[0]} failed: {why(done)}.",
            world=WORLD,
            next="Correct that, then run this again; or run it without --commit and --pr.",
        )

    def _said(self, *arguments: str) -> str:
        return printed(self._run(*arguments)).rstrip("\n")

    def _run(
        self, *arguments: str, told: bytes | None = None, own: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        return git(self.root, *arguments, told=told, own=own)


def git(
    folder: Path,
    *arguments: str,
    told: bytes | None = None,
    own: Mapping[str, str] | None = None,
    within: float | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """Run git there, asking nobody anything; a remote may need to answer `within` so many seconds."""
    command = ["git", "--literal-pathspecs", *arguments]
    env = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(own or {})}
    return subprocess.run(
        command, cwd=folder, input=told or b"", capture_output=True, check=False, env=env, timeout=within
    )


def printed(done: "subprocess.CompletedProcess[bytes]") -> str:
    """What it said on its standard output."""
    return done.stdout.decode("utf-8", "replace")


def why(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Why it failed, in a phrase without credentials."""
    lines = [line.strip() for line in (done.stderr or done.stdout).decode("utf-8", "replace").splitlines()]
    said = next((line for line in lines if line.startswith(("fatal:", "error:"))), next(filter(None, lines), ""))
    shown = CREDENTIALS.sub("://***@", said.removeprefix("fatal: ").removeprefix("error: "))
    return shown[:LONGEST].rstrip(".") or f"it ended with {done.returncode}"
