"""Is what would be brought up the newest that there is? Asked of the branch where it is kept, before an update.

A pipeline may start late and a laptop may be behind: an update of an older commit takes back what a newer one brought,
and nobody asked for that. The branch is fetched each time; what cannot be fetched is not known to be older, and not
brought up either. It deliberately merges nothing and moves no branch.
"""

import subprocess
from pathlib import Path

from bluegreen.handler import Refused
from bluegreen.staging.repository import Repository, git, printed, why

WORLD = "Nothing was changed."
PATIENCE = 120.0  # seconds for a remote that does not answer
SHORT = 10
SHALLOW = "This clone is shallow, so git cannot see all of the way: git fetch --unshallow (fetch-depth: 0)."


def newest(file: Path, branch: str, remote: str) -> str:
    """The commit here, which has everything that the remote's branch has.

    Raises:
        Refused: it has not, nobody can tell, or the stack's file is not as it was committed.
    """
    if Repository.of(file) is None:
        what = f"{file.name} is in no git repository, so nobody can tell whether it is the newest."
        raise Refused(what, world=WORLD, next="Run it in a clone of the repository, or without --branch.")
    root = Repository.clean(file).root
    here, there = _commit(root, "HEAD"), _fetched(root, branch, remote)
    if _leads(root, there, here):
        return here
    behind, shallow = _leads(root, here, there), _said(root, "rev-parse", "--is-shallow-repository") == "true"
    onto = f"git pull --ff-only {remote} {branch}" if behind else f"git pull --rebase {remote} {branch}, then push"
    raise Refused(
        f"An older commit is never brought up over a newer one: {branch} of {remote} is at {there[:SHORT]}, "
        f"and {here[:SHORT]} here {'is behind it' if behind else 'does not have that'}.",
        world=WORLD,
        next=SHALLOW if shallow and not behind else f"{onto}; look at what it brings, and run this again.",
    )


def _fetched(root: Path, branch: str, remote: str) -> str:
    """The newest commit of the remote's branch, under a name that is nobody's."""
    kept = f"refs/bluegreen/{branch}"
    arguments = ("fetch", "--quiet", "--no-tags", "--", remote, f"+refs/heads/{branch}:{kept}")
    try:
        done = git(root, *arguments, within=PATIENCE)
        if done.returncode == 0:
            return _commit(root, kept)
        said = why(done)
    except subprocess.TimeoutExpired:
        said = f"no answer within {PATIENCE:g} s"
    raise Refused(
        f"{branch} could not be fetched from {remote}, so nobody can tell whether this is the newest: {said}.",
        world=WORLD,
        next=f"git fetch {remote} {branch} has to work; then run this again.",
    )


def _leads(root: Path, older: str, newer: str) -> bool:
    return git(root, "merge-base", "--is-ancestor", older, newer).returncode == 0


def _commit(root: Path, name: str) -> str:
    return _said(root, "rev-parse", f"{name}^{{commit}}")


def _said(root: Path, *arguments: str) -> str:
    return printed(git(root, *arguments)).strip()
