"""The lint: what is wrong with a migration, and what each of its statements is, before any of them runs."""

from collections.abc import Mapping

from bluegreen.postgres.files import File
from bluegreen.postgres.lint import allow
from bluegreen.postgres.lint.check import NAMES, lint
from bluegreen.postgres.lint.findings import Class, Finding, Kind, Level, Linted
from bluegreen.postgres.lint.known import Known, look

__all__ = ["NAMES", "Class", "Finding", "Kind", "Known", "Level", "Linted", "allowed", "lint", "look"]


def allowed(file: File) -> Mapping[str, str]:
    """The rules about a whole file that it sets aside, with its reasons."""
    return allow.whole(allow.read(file.sql, file.statements))
