"""What is asked of a database's schema, and what is remembered of each migration.

A version is the number that a file's name begins with, as text: `011`, or fourteen digits of a timestamp. All versions
of a stack have the same width, so that text, numbers and Supabase's own ledger agree about their order.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from bluegreen.spec import Duration, Name, Spec, State, Version

Phase = Literal["expand", "contract"]
Drift = Literal["refuse", "warn"]


class Backups(Spec):
    """What is kept of a database before a migration's first statement.

    `folder` holds the dumps, readable by their owner alone, and never goes with a report. `megabytes` is how much data
    of the touched tables is dumped at most; what is larger is left out by name. `supabase_project` is the reference of
    the project whose platform backups are looked at.
    """

    folder: str = Field(default="backups", min_length=1)
    megabytes: int = Field(default=256, ge=0)
    supabase_project: str | None = Field(default=None, pattern=r"^[a-z]{20}$")


class Migrations(Spec):
    """Which schema a stack wants.

    `target` is the last file that is wanted; `baseline` the version that was there before, whose files and all below
    are not ours. `lockBudget` is how long one migration may wait for its turn and try for its locks, 50 ms at a time
    for each. `drift` is what becomes of a schema that somebody has changed by hand since the last migration. `dryRun:
    skip` applies what was never tried on a copy, and without a backup, for machines that can start no Postgres.
    `reports` is the folder that reports go to.
    """

    target: Version
    baseline: Version
    folder: str = Field(default="migrations", min_length=1)
    lock_budget: Duration = timedelta(seconds=60)
    drift: Drift = "refuse"
    dry_run: Literal["required", "skip"] = "required"
    backup: Backups = Backups()
    reports: str = Field(default="reports", min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if len(self.target) != len(self.baseline):
            msg = f"target {self.target} and baseline {self.baseline} differ in width: write both with as many digits"
            raise ValueError(msg)
        if self.target < self.baseline:
            msg = f"target {self.target} lies before baseline {self.baseline}"
            raise ValueError(msg)
        return self


class MigrationSpec(Spec):
    """One file, to be applied once.

    `file` is where it lies, from the project's folder; `sha256` is of its text with LF line ends, so what is applied is
    what was previewed. `after` is the file before it, None for the first above the baseline. `settled` is the newest
    contract before it: it has to be applied before the update begins, because a release must lie in between. `baseline`
    is the version below all files of ours. A contract waits until no move of the apps behind `upstreams` is younger
    than `rollback_window`: a rollback may still come.
    """

    owner: str
    version: Version
    name: str
    phase: Phase
    file: str
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    after: Version | None = None
    settled: Version | None = None
    baseline: Version | None = None
    lock_budget: Duration = timedelta(seconds=60)
    upstreams: Sequence[Name] = ()
    rollback_window: Duration = timedelta()
    drift: Drift = "refuse"
    dry_run: Literal["required", "skip"] = "required"
    backup: Backups = Backups()
    reports: str = Field(default="reports", min_length=1)


# What it is called, where it lies, what it waits for and how carefully change nothing about what was applied.
QUIET = frozenset(map(to_camel, MigrationSpec.model_fields)) - {"owner", "version", "phase", "sha256"}


class MigrationState(State):
    """What the ledger holds of one migration; without `applied_at` it is not in it."""

    version: str = ""
    name: str = ""
    phase: str = ""
    sha256: str = ""
    applied_at: datetime | None = None
    applied_by: str | None = None
    took_ms: int | None = None
    attempts: int | None = None
