"""Which checks are asked: by id, by pattern, by group, by app; what is not there is refused before anything is asked.

A check of the config is called `check:<name>`, and its name alone will do. `health:backend-blue` chooses one thing of
a check that looks at several: the check is asked, and the rest of what it says is left out.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from bluegreen.handler import Refused
from bluegreen.measure.spec import Check
from bluegreen.validation.check import Asked, Room
from bluegreen.validation.configured import ID, configured, group
from bluegreen.validation.finding import Finding


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody asked for on the command line."""

    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    groups: Sequence[str] = ()

    def asked(self, room: Room, register: Sequence[Asked]) -> list[Asked]:
        """The checks to ask, the config's first; a step of a journey is chosen with all of its journey.

        Raises:
            Refused: something is named that is not there.
        """
        of_apps = [check for check in room.settings.checks if not room.apps or check.app in room.apps]
        self._known(room, register)
        mine = [check for check in of_apps if self._wants(room, check)]
        journeys = {check.journey for check in mine if check.journey}
        whole = [check for check in room.settings.checks if check in mine or check.journey in journeys]
        rest = [
            each
            for each in register
            if (each.of_colour or room.colour is None)
            and (not self.groups or each.group in self.groups)
            and (not self.only or any(_chooses(text, each.id) for text in self.only))
            and not any(fnmatchcase(each.id, text) for text in self.skip)
        ]
        return [*configured(room, whole), *rest]

    def shows(self, finding: Finding) -> bool:
        """Whether this finding is wanted, of a check that says several things."""
        base = finding.id.partition(":")[0]
        if base == ID:
            return True
        chosen = not self.only or any(_names(text, finding.id) for text in self.only)
        return chosen and not any(_names(text, finding.id) for text in self.skip)

    def _wants(self, room: Room, check: Check) -> bool:
        id = f"{ID}:{check.name}"
        if self.groups and group(room, check) not in self.groups:
            return False
        if any(_names(text, id) or text == check.name for text in self.skip):
            return False
        return not self.only or any(_names(text, id) or fnmatchcase(check.name, text) for text in self.only)

    def _known(self, room: Room, register: Sequence[Asked]) -> None:
        names = [check.name for check in room.settings.checks]
        ids = [ID, *(each.id for each in register)]
        every = [*ids, *names, *(f"{ID}:{name}" for name in names)]
        for text in (*self.only, *self.skip):
            base, _, thing = text.partition(":")
            there = any(fnmatchcase(each, text) for each in every) or text == f"{ID}:*"
            if not there and not (thing and base != ID and any(fnmatchcase(each, base) for each in ids)):
                raise _nothing("check", text, every)
        groups = sorted({each.group for each in register} | {group(room, check) for check in room.settings.checks})
        for text in self.groups:
            if text not in groups:
                raise _nothing("group", text, groups)


def known_app(room: Room) -> None:
    """Whether the apps that are wanted exist.

    Raises:
        Refused: one does not.
    """
    for app in room.apps:
        if app not in room.settings.apps:
            raise _nothing("app", app, room.settings.order())


def _nothing(kind: str, text: str, there: Collection[str]) -> Refused:
    holding = [each for each in there if text in each and ":" not in each]
    near = (holding or get_close_matches(text, there, cutoff=0.5))[:3]
    few = list(there) if len(there) <= 8 else []
    named = f"Did you mean {' or '.join(near)}?" if near else f"Name one of {', '.join(few)}." if few else ""
    what = f"There is no {kind} {text!r}{' in the config' if kind == 'app' else ''}."
    return Refused(what, world="Nothing was asked.", next=named or f"docs/validate.md names every {kind}.")


def _chooses(text: str, id: str) -> bool:
    """Whether this pattern may choose something of this check."""
    return fnmatchcase(id, text) or fnmatchcase(id, text.partition(":")[0])


def _names(text: str, id: str) -> bool:
    """Whether this pattern means this finding, or the whole check that it is of."""
    return fnmatchcase(id, text) or fnmatchcase(id.partition(":")[0], text)
