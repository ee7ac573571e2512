"""Which releases of a stack left a record, and how each of them stands: from the journals alone, nothing is drawn."""

from datetime import datetime

from bluegreen.evidence.bundle import Bundle
from bluegreen.evidence.bundles import Bundles
from bluegreen.report.chapter import NEVER
from bluegreen.report.moves import move, strands
from bluegreen.report.said import Said
from bluegreen.report.story import Standing
from bluegreen.report.verdict import verdict
from bluegreen.report.watches import monitors
from bluegreen.spec import State

MOST = 100


class Release(State):
    """One release; `at` is the last thing that was written down."""

    release: Said = ""
    at: datetime = NEVER
    standing: Standing = "empty"
    sentence: Said = ""


class Listed(State):
    """Releases that left a record, newest first; at most a hundred, and how many `more` there are."""

    schema_version: int = 1
    stack: Said = ""
    folder: Said = ""
    releases: tuple[Release, ...] = ()
    more: int = 0


def listed(bundles: Bundles) -> Listed:
    """The newest releases."""
    there = bundles.all()
    found = tuple(_release(bundle) for bundle in there[:MOST])
    where, more = str(bundles.root / bundles.stack), len(there) - len(found)
    return Listed(stack=bundles.stack, folder=where, releases=found, more=more)


def _release(bundle: Bundle) -> Release:
    entries = [entry for entry in bundle.entries() if entry.at > NEVER]
    moved, watched = strands(entries)
    standing, sentence = verdict([move(each) for each in moved], monitors(watched, bundle.monitors()))
    identity = bundle.identity()
    at = entries[-1].at if entries else identity.at if identity is not None else NEVER
    return Release(release=bundle.release, at=at, standing=standing, sentence=sentence)
