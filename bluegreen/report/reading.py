"""One bundle read whole: the only place of a report that opens files.

Whatever cannot be read is a sentence in the report, never its end.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bluegreen.evidence.bundle import MANIFEST, Bundle, Manifest
from bluegreen.evidence.bundles import Bundles
from bluegreen.evidence.identity import Identity, difference
from bluegreen.journal import AnyEntry, Began, whole
from bluegreen.report.material import Material

if TYPE_CHECKING:
    from bluegreen.postgres.plan import Plan

LONGEST = 160  # characters of one value in the comparison
OURS = "rejudged-"  # written beside the record, never part of it


def material(bundles: Bundles, bundle: Bundle) -> Material:
    """Everything that the bundle of one release holds."""
    entries = bundle.entries()
    identity, before = bundle.identity(), _before(bundles, bundle, entries)
    compared = identity is not None and before is not None
    manifest = bundle.read(MANIFEST, Manifest)
    return Material(
        stack=bundle.stack,
        release=bundle.release,
        identity=identity,
        before=before,
        entries=entries,
        validations=bundle.validations(),
        monitors=bundle.monitors(),
        migrations=_migrations(bundle),
        changes=_changes(before, identity) if compared else None,
        files=dict(manifest.files) if manifest is not None else {},
        broken=[each for each in bundle.broken() if not each.startswith(OURS)] if manifest is not None else (),
        complaints=bundle.complaints,
    )


def _before(bundles: Bundles, bundle: Bundle, entries: Sequence[AnyEntry]) -> Identity | None:
    """What was live before the first move that says so."""
    known = next((entry.before for entry in entries if isinstance(entry, Began) and entry.before), None)
    if known is None or whole(known) == bundle.release:
        return None
    return bundles.bundle(whole(known)).identity()


def _changes(before: Identity | None, after: Identity | None) -> Sequence[tuple[str, str, str]]:
    if before is None or after is None:
        return ()
    return [(each.path, _shown(each.before), _shown(each.after)) for each in difference(before, after)]


def _shown(value: Any) -> str:
    if value is None:
        return "not there"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… (whole in release.json)"


def _migrations(bundle: Bundle) -> list[tuple[str, "Plan"]]:
    folders = bundle.migrations()
    if not folders:
        return []
    from bluegreen.postgres.report.written import read

    return [(label, plan) for label, folder in folders.items() if (plan := read(folder)) is not None]
