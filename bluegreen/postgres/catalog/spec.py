"""What is remembered of a schema: a snapshot of it, how two differ, and the way back from one to the other.

All of it can stand in a report and be read back. An object's name begins with its kind: `policy public.teams.readers`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from bluegreen.spec import State

Verdict = Literal["reversible", "reversible with loss", "forward only"]
NAMED = 8  # objects in a sentence, before it says how many more there are


class Snapshot(State):
    """A schema at one moment: what each object is like, as canonical JSON.

    `numbers` are Postgres's own, of what holds rows or is held on to: no part of the fingerprint, because the same
    schema in another database has others.
    """

    major: int = 0
    objects: Mapping[str, str] = {}
    numbers: Mapping[str, str] = {}

    @property
    def fingerprint(self) -> str:
        """The same for the same schema, whatever the order in which it was made."""
        digest = hashlib.sha256()
        for name in sorted(self.objects):
            digest.update(f"{name}\0{self.objects[name]}\0".encode())
        return digest.hexdigest()

    def hashes(self) -> Mapping[str, str]:
        """Twelve hex digits for each object: enough to say later which one is not what it was."""
        return {name: hashlib.sha256(like.encode()).hexdigest()[:12] for name, like in sorted(self.objects.items())}

    def like(self, name: str) -> Mapping[str, Any]:
        """What an object is like."""
        found: Mapping[str, Any] = json.loads(self.objects[name])
        return found


class Difference(State):
    """What one snapshot has and another has not, by name; `attributes` tells in what a changed one differs."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.gone)

    def told(self) -> str:
        """One sentence that names the objects."""
        changed = tuple(self._with_attributes(name) for name in self.changed)
        parts = [
            _some(names, how)
            for names, how in ((self.added, "added"), (changed, "changed"), (self.gone, "gone"))
            if names
        ]
        return f"{'; '.join(parts)}." if parts else "Nothing differs."

    def _with_attributes(self, name: str) -> str:
        return f"{name} ({', '.join(self.attributes[name])})" if self.attributes.get(name) else name


class Way(State):
    """How one object comes back: `why` says what is lost, or why there is no way."""

    object: str = ""
    verdict: Verdict = "reversible"
    why: str = ""


class Reverse(State):
    """The way back from a schema to the one before it.

    `statements` are in the order that worked, `guards` come before them and refuse while rows would be lost. `script`
    is the whole as one transaction. `proven`: the way there, back, and there again was gone, with the same
    fingerprints; `differences` says what was not the same, where it was not. `lasting` is what cannot come back by its
    nature; with it the way was gone there and back, and not there again.
    """

    verdict: Verdict = "reversible"
    objects: tuple[Way, ...] = ()
    guards: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    script: str = ""
    proven: bool = False
    differences: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()


def _some(names: tuple[str, ...], how: str) -> str:
    shown = ", ".join(names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{how}: {shown}{more}"
