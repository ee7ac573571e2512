"""What the demo leaves to look at: the record of each release, and the page of the first that was caught among users.

The page is made by `bluegreen report` from what the updates wrote down while they ran, as anybody makes it. It
deliberately writes nothing of its own: what was counted is `sandbox.demo_report`'s.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sandbox.demo_report import Bad
from sandbox.demo_story import Unexpected
from sandbox.stack import Stack


def pages(stack: Stack, bad: Sequence[Bad], reports: Path) -> list[Path]:
    """`record/`, a folder for each release, and `report.html`; what was there from an earlier demo is replaced.

    Raises:
        Unexpected: `bluegreen report` did not make the page.
    """
    reports.mkdir(parents=True, exist_ok=True)
    kept = reports / "record"
    shutil.rmtree(kept, ignore_errors=True)
    if stack.record.is_dir():
        shutil.copytree(stack.record, kept, ignore=lambda folder, _: _beside(folder, stack.record))
    caught = next((one for one in bad if one.met), None)
    if caught is None:
        return []
    page = reports / "report.html"
    page.unlink(missing_ok=True)
    release = _whole(stack.record, caught.app, caught.release)
    done = stack.bluegreen("report", "--release", release, "--out", str(page))
    if done.returncode != 0 or not page.is_file():
        raise Unexpected(f"bluegreen report of {release} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return [page]


def _beside(folder: str, record: Path) -> list[str]:
    """What lies beside the releases: reports on migrations, which each release has those of that it brought."""
    return ["migrations"] if Path(folder) == record else []


def _whole(record: Path, app: str, release: str) -> str:
    """The stack's release, as its folder is called, that brought this release of this app."""
    for journal in sorted(record.glob("*/journal-*.ndjson")):
        if any(entry["releases"].get(app) == release for entry in _began(journal)):
            return journal.parent.name
    raise Unexpected(f"No record in {record} is of {app}'s release {release}.")


def _began(journal: Path) -> Iterator[dict[str, Any]]:
    for line in journal.read_text(encoding="utf-8").splitlines():
        if '"kind":"began"' in line:
            yield json.loads(line)
