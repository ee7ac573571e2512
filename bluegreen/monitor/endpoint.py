"""What a round asks: every endpoint on the way of users, and of every colour past the weights.

An endpoint is one of the stack's checks that only reads and stands for itself (a journey's too, with its person's
token), or an app's health path where it has none. On the way of users a check shows its consumer's key; past the
weights it shows the preview's, and only that colour's release may answer. What cannot be asked from here is told once
as a note and left out: an endpoint without its key says nothing about a release. It deliberately sends nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from bluegreen.gateway import Split
from bluegreen.kong.spec import KEY_HEADER
from bluegreen.measure.spec import Check
from bluegreen.settings import PREVIEW_MARK, Settings
from bluegreen.spec import COLOURS, Colour

USERS = "users"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One question on one way; with a `release`, only that one may answer, with a `mark`, only on that way."""

    check: Check
    way: str
    headers: Mapping[str, str]
    release: str | None = None
    release_header: str = "X-Release"
    mark: tuple[str, str] | None = None
    keyless: bool = False  # a preview asked without the preview key: a refusal is no fault of the colour


@dataclass(slots=True)
class Endpoints:
    """Knows what to ask of a stack; `notes` tell what cannot be asked, each once."""

    settings: Settings
    apps: Sequence[str]
    preview_key: str = ""
    shut: set[str] = field(default_factory=set)  # apps whose previews refuse whoever has no key
    notes: list[str] = field(default_factory=list)
    _checks: Mapping[str, Sequence[Check]] = field(init=False)

    def __post_init__(self) -> None:
        self._checks = {app: self._asked_of(app) for app in self.apps}

    def round(self, splits: Mapping[str, Split]) -> list[Endpoint]:
        """Everything to ask in one round, as the gateway stands now."""
        found: list[Endpoint] = []
        for app in self.apps:
            found += self._of_users(app)
            for colour in COLOURS:
                if self._runs(app, colour, splits.get(app)) and app not in self.shut:
                    found += self._of_colour(app, colour, splits.get(app))
        return found

    def close(self, app: str) -> None:
        """This app's previews want a key that is not known here."""
        self.shut.add(app)
        self._note(
            f"{app}'s colours are not asked past the weights, and not judged: the preview key is not known here. "
            "Set BLUEGREEN_PREVIEW_KEY."
        )

    @property
    def secrets(self) -> list[str]:
        """Every key and token that is shown; the longest first, so that none spares another's rest."""
        known = self.settings.secrets
        shown = [*known.consumers.values(), *known.tokens.values()]
        found = {self.preview_key, *(secret.get_secret_value().strip() for secret in shown)}
        return sorted(filter(None, found), key=len, reverse=True)

    def _runs(self, app: str, colour: Colour, split: Split | None) -> bool:
        """Whether anything is to answer there: what is stopped while it is idle is not."""
        block = self.settings.apps[app]
        live = split.live if split is not None else block.live
        return block.release(colour) is not None and (block.idle == "running" or live in (None, colour))

    def _asked_of(self, app: str) -> Sequence[Check]:
        mine = [check for check in self.settings.checks if check.app == app and _reads(check)]
        return mine or [self._health(app)]

    def _health(self, app: str) -> Check:
        probe = self.settings.lanes()[app].probe
        self._note(f"{app} has no check that only reads, so only its health path is asked, and of its colours alone.")
        return Check(name=f"{app}-health", app=app, path=probe.path)

    def _of_users(self, app: str) -> Iterator[Endpoint]:
        for check in self._checks[app]:
            if check not in self.settings.checks:
                continue  # a health path is no way of users
            key = self._shown("consumer", self.settings.secrets.consumers, check.consumer)
            if key is not None and (person := self._person(check)) is not None:
                yield Endpoint(check, USERS, {**({KEY_HEADER: key} if key else {}), **person})

    def _of_colour(self, app: str, colour: Colour, split: Split | None) -> Iterator[Endpoint]:
        lane = self.settings.lanes()[app]
        slot = split.slots.get(colour) if split else None
        ways = {name: values[colour] for name, values in lane.probe.headers.items() if colour in values}
        shown = {KEY_HEADER: self.preview_key} if self.preview_key else {}
        for check in self._checks[app]:
            if check.only_at_the_gateway or (person := self._person(check)) is None:
                continue
            yield Endpoint(
                check,
                colour,
                {**ways, **shown, **person},
                slot.release if slot and colour not in lane.unmarked else None,
                lane.probe.release_header,
                (PREVIEW_MARK, self.settings.service_name(app, colour)),
                keyless=not self.preview_key,
            )

    def _person(self, check: Check) -> Mapping[str, str] | None:
        token = self._shown("token", self.settings.secrets.tokens, check.token)
        if token is None:
            return None
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _shown(self, kind: str, known: Mapping[str, SecretStr], name: str | None) -> str | None:
        """What is shown; empty where nothing is, None where it is not known here."""
        if name is None:
            return ""
        given = known.get(name)
        text = given.get_secret_value().strip() if given is not None else ""
        if text and text.isascii() and text.isprintable():
            return text
        self._note(f"What {kind} {name} asks is not asked: its secret (secrets.{kind}s.{name}) is not known here.")
        return None

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _reads(check: Check) -> bool:
    """Whether it can be asked again and again by itself, and changes nothing."""
    return check.method == "GET" and not check.places and not check.cleanup
