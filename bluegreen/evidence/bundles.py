"""Every release of a stack that left evidence: found by its folder, newest first.

The newest is the one that was last written into, by the times in its files' names: those stay right when a folder is
copied somewhere else, and the times of the files themselves do not. Nothing is ever deleted here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bluegreen.evidence.bundle import IDENTITY, Bundle
from bluegreen.evidence.folder import name
from bluegreen.evidence.hidden import NOTHING, Hide
from bluegreen.evidence.identity import Identity
from bluegreen.handler import Refused

RELEASE = re.compile(r"[0-9a-f]{16}")
STAMP = re.compile(r"^(?:journal|validation|monitor)-(\d{8}T\d{6}Z)[-.]")  # what is made of them later is no news


@dataclass(frozen=True, slots=True)
class Bundles:
    """One stack's bundles below the folder of all reports; `hide` takes secrets out of what is written."""

    root: Path
    stack: str
    hide: Hide = NOTHING

    def bundle(self, release: str) -> Bundle:
        """The bundle of one release, whether it is there or not.

        Raises:
            Refused: that is no id of a release.
        """
        if RELEASE.fullmatch(release):
            return Bundle(self.root, name(self.stack), release, self.hide)
        raise Refused(
            f"{release!r} is no release of stack {self.stack}: its ids are sixteen hex digits.",
            world="Nothing was read or written.",
            next="bluegreen report --list names those that left evidence.",
        )

    def all(self) -> Sequence[Bundle]:
        """Every bundle that is there, newest first."""
        folder = self.root / name(self.stack)
        try:
            inside = [] if folder.is_symlink() else list(folder.iterdir())
        except OSError:
            return ()
        there = [each for each in inside if RELEASE.fullmatch(each.name) and each.is_dir() and not each.is_symlink()]
        found = [self.bundle(each.name) for each in there]
        return sorted(found, key=lambda bundle: (_last(bundle), bundle.release), reverse=True)

    def introduce(self, bundle: Bundle, identity: Identity) -> None:
        """Write down what a release is, and take over the reports on the migrations that came with it.

        Raises:
            Unwritten: something could not be written.
        """
        bundle.write_json(IDENTITY, identity)
        if identity.migrations is not None:
            self._take(bundle, identity.migrations)

    def bringing(self, known: Mapping[str, str]) -> Mapping[str, str] | None:
        """Every app's release id of the newest release that has these; None where none has.

        Somebody who knows some of them only, as whoever breaks the glass in the middle of a rollout, finds the others.
        """
        for bundle in self.all():
            identity = bundle.identity()
            apps = {app: running.release for app, running in identity.apps.items()} if identity is not None else {}
            if known.items() <= apps.items():
                return apps
        return None

    def _take(self, bundle: Bundle, reports: Path) -> None:
        """Those that no other release has."""
        known = {label for other in self.all() if other.release != bundle.release for label in other.migrations()}
        for report in sorted(reports.glob("*/plan.json")):
            if report.parent.name not in known and not report.parent.is_symlink():
                bundle.copy_migration(report.parent)


def _last(bundle: Bundle) -> str:
    """The last time in its files' names; else when its identity was written."""
    stamps = [found[1] for each in bundle.names() if (found := STAMP.search(each))]
    if stamps:
        return max(stamps)
    identity = bundle.identity()
    return f"{identity.at:%Y%m%dT%H%M%SZ}" if identity is not None else ""
