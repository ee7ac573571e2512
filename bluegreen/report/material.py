"""What a story is told from: everything that one release's bundle holds, read and not yet understood."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bluegreen.evidence.identity import Identity
from bluegreen.journal import AnyEntry

if TYPE_CHECKING:
    from bluegreen.postgres.plan import Plan


@dataclass(frozen=True, slots=True)
class Material:
    """One bundle as it was read. `changes` is None where nothing could be compared; `migrations` by their folder.

    `complaints` are sentences about what could not be read, `broken` about what is otherwise than sealed.
    """

    stack: str
    release: str
    identity: Identity | None = None
    before: Identity | None = None
    entries: Sequence[AnyEntry] = ()
    validations: Sequence[Mapping[str, Any]] = ()
    monitors: Sequence[Mapping[str, Any]] = ()
    migrations: Sequence[tuple[str, "Plan"]] = ()
    changes: Sequence[tuple[str, str, str]] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    broken: Sequence[str] = ()
    complaints: Sequence[str] = ()
