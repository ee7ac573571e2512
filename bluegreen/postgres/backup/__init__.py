"""The point to come back to: made before a migration's first statement, proven, and told with its commands."""

from bluegreen.postgres.backup.instructions import instructions
from bluegreen.postgres.backup.point import NoBackup, Platform, backup
from bluegreen.postgres.backup.state import Backup, Dump, LeftOut

__all__ = ["Backup", "Dump", "LeftOut", "NoBackup", "Platform", "backup", "instructions"]
