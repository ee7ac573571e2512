"""What a phase says of itself for machines: its steps, its commits, and where they went."""

from collections.abc import Sequence
from typing import Literal

from bluegreen.spec import State

Phase = Literal[
    "validation", "database_migration", "backend_deployment", "frontend_deployment", "traffic_switch", "rollback"
]
SCHEMA = 1


class Step(State):
    """One thing that a phase did: a verb, or what was done in git; `exit` as the verb would have ended."""

    name: str = ""
    exit: int = 0
    what: str = ""


class Phased(State):
    """One phase. A commit is told with where it went: pushed, only here, or waiting in a pull request."""

    schema_version: int = SCHEMA
    phase: Phase = "validation"
    stack: str = ""
    apps: Sequence[str] = ()
    nothing: bool = False  # there was nothing to do
    commit: str = ""  # the edit that this phase made
    pushed: bool = False
    recomputed: bool = False  # the branch had moved on, and the edit was made once more on what was there
    branch: str = ""  # of its own, where the branch that is followed takes no pushes
    pull_request: str = ""
    undone: str = ""  # the commit that takes it back, because what it says did not come to be
    steps: Sequence[Step] = ()
