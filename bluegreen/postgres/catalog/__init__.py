"""What a schema is like, as one fingerprint and object by object: how two differ, and the way back between them."""

from bluegreen.postgres.catalog.compare import compare
from bluegreen.postgres.catalog.phase import phase_of
from bluegreen.postgres.catalog.proof import proven
from bluegreen.postgres.catalog.reverse import reverse
from bluegreen.postgres.catalog.script import script
from bluegreen.postgres.catalog.snapshot import read, snapshot
from bluegreen.postgres.catalog.spec import Difference, Reverse, Snapshot, Way

__all__ = [
    "Difference",
    "Reverse",
    "Snapshot",
    "Way",
    "compare",
    "phase_of",
    "proven",
    "read",
    "reverse",
    "script",
    "snapshot",
]
