"""The migrations of a stack: one resource a file, each after the one before.

Two components hold them. "expand" comes before the live colours, so that no release meets a schema older than it
needs; "contract" comes last, when nothing is left that would miss what it takes away. A file that is no longer wanted
leaves the program and nothing else: the schema stays, because undoing it is a decision about data.
"""

from collections.abc import Sequence
from pathlib import Path

import pulumi

from bluegreen.postgres import files
from bluegreen.postgres.files import File
from bluegreen.postgres.spec import Phase
from bluegreen.settings import Settings
from components.resources import Migration


def wanted(settings: Settings) -> Sequence[File]:
    """Every file that the stack wants, read and judged before anything is registered.

    Raises:
        Refused: files are missing, wrong or not yet allowed; every fault is named.
    """
    if settings.migrations is None:
        return ()
    folder = Path(settings.migrations.folder)
    found = files.read(folder, settings.migrations)
    settings.admit((file.label, file.requires_schema_min) for file in found)
    if later := files.beyond(folder, settings.migrations):
        pulumi.log.info(
            f"migrations: {', '.join(later)} lies beyond the target {settings.migrations.target} and is not applied. "
            "Where it was applied before, its schema stays and nothing is dropped."
        )
    return found


class Migrations(pulumi.ComponentResource):
    """Every wanted file of one phase, in order."""

    def __init__(
        self, phase: Phase, settings: Settings, files: Sequence[File], *, after: Sequence[pulumi.Resource]
    ) -> None:
        super().__init__("bluegreen:components:Migrations", phase, opts=pulumi.ResourceOptions(depends_on=after))
        before = list(after)
        for file in files:
            if file.phase == phase and settings.migrations is not None:
                migration = Migration(
                    file.label,
                    file.spec(
                        settings.owner, settings.migrations, settings.order(), settings.rollout.rollback_window.duration
                    ),
                    pulumi.ResourceOptions(parent=self, depends_on=before, retain_on_delete=True),
                )
                before = [*after, migration]
        self.register_outputs({})
