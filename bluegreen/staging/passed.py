"""Whether an image has passed where it is live: said by that stack's state, or by what its releases left behind.

State is asked by release id, which needs the other stack's secrets; the evidence names the image itself. Neither is
guessed: without one of them nothing passed, and what is missing is said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bluegreen.evidence.bundle import Bundle
from bluegreen.handler import Refused
from bluegreen.journal import Ended
from bluegreen.rollout.spec import Done
from bluegreen.settings import Settings
from bluegreen.spec import Colour
from bluegreen.staging.edit import Apps
from bluegreen.staging.reference import Reference
from bluegreen.standing import Recorded

WORLD = "Nothing was changed."


@dataclass(frozen=True, slots=True)
class Wanted:
    """One app's next image, resolved; `passed` says where it is known from that it passed elsewhere."""

    app: str
    image: Reference
    platforms: bool | None = None
    passed: str = ""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another stack: its file, its settings with as many of its secrets as can be read, its state and its evidence."""

    name: str
    written: Apps
    settings: Settings
    known: Recorded
    bundles: Sequence[Bundle]

    def passed(self, app: str) -> Wanted:
        """What of this app serves there.

        Raises:
            Refused: it did not pass there, or nobody can say so.
        """
        said = self.settings.apps.get(app)
        image = (self.written.block(app, said.live) or {}).get("image") if said else None
        if said is None or image is None:
            what = f"{self.name} has no app {app} whose image anybody could take."
            raise Refused(what, world=WORLD, next=f"Name an app that {self.name} deploys.")
        by_state = ("", self.known.unread)
        if self.known.traffic is not None:
            release = self.settings.release_id(app, said.live)
            by_state = by_history(self.known.traffic.history, app, said.live, release)
        by_record = by_evidence(self.bundles, app, image)
        repository, _, digest = image.partition("@")
        tag = self.written.tag(app, said.live)
        if by_state[0] or by_record[0]:
            return Wanted(app, Reference(repository, tag, digest), None, by_state[0] or by_record[0])
        raise Refused(
            f"Nobody can say that {app} {tag or digest[:19]} passed in {self.name}: {by_state[1]}, and {by_record[1]}.",
            world=WORLD,
            next=f"Run pulumi up there, or bluegreen monitor {self.name}; or name the image.",
        )


def by_history(history: Iterable[Done], app: str, colour: Colour, release: str) -> tuple[str, str]:
    """What state says: how it passed, or, in the second place, why nobody can say so."""
    mine = [done for done in history if (done.app, done.release) == (app, release) and done.verdict != "stopped"]
    if not mine:
        return "", f"its history knows no move of {app} to release {release}"
    last = mine[-1]
    if last.verdict != "passed" or last.goal != colour:
        return "", f"release {release} of {app} ended as {last.verdict} on {last.goal}"
    return f"{last.kind} of release {release} passed on {last.finished:%Y-%m-%d %H:%M} UTC", ""


def by_evidence(bundles: Iterable[Bundle], app: str, image: str) -> tuple[str, str]:
    """What the newest release with this image left behind, in the same two places."""
    for bundle in bundles:
        identity = bundle.identity()
        if identity is None or app not in identity.apps or identity.apps[app].image != image:
            continue
        verdicts = [entry.verdict for entry in bundle.entries() if isinstance(entry, Ended) and entry.verdict]
        watched = [_verdict(each) for each in bundle.monitors()]
        if watched and watched[-1] == "fail":
            return "", f"the last monitor of release {bundle.release} failed"
        if watched and watched[-1] == "pass":
            return f"a monitor of release {bundle.release} passed", ""
        if verdicts and verdicts[-1] == "passed":
            return f"release {bundle.release} ended as passed", ""
        return "", f"release {bundle.release} ended as {verdicts[-1] if verdicts else 'nothing that is written down'}"
    return "", f"no record of a release has {image.rpartition('@')[2][:19]}"


def _verdict(monitor: Mapping[str, Any]) -> str:
    return str(monitor.get("verdict", ""))
