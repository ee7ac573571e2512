"""What the release is that a move brings, as the stack's file says: for its record, in the process of the provider.

A plugin is told of its own keys alone, so whoever writes down a move there reads the rest from the file that the
update was made with, where that lies in the working directory. What is encrypted in it stays so. A file that wants
something else than the move is another update's, and then nothing is known.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from bluegreen.evidence.identity import Identity, identify
from bluegreen.evidence.who import Who
from bluegreen.handler import Refused
from bluegreen.journal import Began
from bluegreen.plain import Unreadable, plain
from bluegreen.settings import Settings

CONFIG_FILE = "BLUEGREEN_CONFIG_FILE"  # names the stack's config file where it is not Pulumi.<stack>.yaml


def identified(owner: str, environment: Mapping[str, str], began: Began, who: Who, now: datetime) -> Identity | None:
    """The release that this move brings; None where no file says so."""
    project, _, stack = owner.partition(".")
    file = Path(environment.get(CONFIG_FILE) or f"Pulumi.{stack}.yaml")
    try:
        settings = Settings.parse(project, stack, plain(file, project)[0])
    except (Unreadable, Refused):
        return None
    apps = settings.apps
    if apps.keys() != began.releases.keys() or any(apps[leg.app].live != leg.goal for leg in began.legs):
        return None
    by, commit = began.by or who.by, began.commit or who.commit
    return identify(settings, now, by=by, commit=commit, releases=began.releases)
