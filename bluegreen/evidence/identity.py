"""What a release is: which image each app runs in which colour, by which config, said by whom, made with what.

The config is kept as it is written, so that two releases can be laid beside each other; of what nobody may see, and of
an app's variables, it has the names alone. It deliberately knows no stack: whoever has one hands its settings in.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from bluegreen import VERSION
from bluegreen.journal import whole
from bluegreen.spec import COLOURS, Colour, State

SCHEMA = 1
CONFIGURED = ("apps", "gateway", "migrations", "rollout", "checks")
NAMES_ALONE = "set"  # what stands where a value is left out


class Running(State):
    """One app of a release."""

    colour: Colour = "blue"
    release: str = ""
    image: str | None = None  # None where somebody else deploys it
    schema_min: str | None = None


class Identity(State):
    """One release of a stack; `release` is `journal.whole` of its apps', `at` is UTC."""

    schema_version: int = SCHEMA
    owner: str = ""
    stack: str = ""
    release: str = ""
    apps: Mapping[str, Running] = {}
    config: Mapping[str, Any] = {}
    versions: Mapping[str, str] = {}
    by: str = ""
    commit: str = ""
    at: datetime = datetime.min.replace(tzinfo=UTC)

    @property
    def migrations(self) -> Path | None:
        """The folder of reports on its migrations; None where it has no database."""
        wanted = self.config.get("migrations")
        return Path(str(wanted.get("reports", "reports"))) / self.stack / "migrations" if wanted else None


class Configured(Protocol):
    """As much of a stack's settings as a release is told by."""

    @property
    def owner(self) -> str: ...
    @property
    def apps(self) -> Mapping[str, Any]: ...
    def release_id(self, app: str, colour: Colour) -> str: ...
    def model_dump_json(self, *, by_alias: bool, include: set[str], exclude_none: bool) -> str: ...


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs, at its dotted path; None where it is not there."""

    path: str
    before: Any
    after: Any

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """Which way it differs."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"


def identify(
    settings: Configured,
    now: datetime,
    *,
    by: str = "",
    commit: str = "",
    versions: Mapping[str, str] | None = None,
    releases: Mapping[str, str] | None = None,
) -> Identity:
    """The release that these settings want to be live.

    Args:
        versions: of what it is made with beside this program: Kong's, Postgres'.
        releases: every app's id, where the settings lack the secrets that it is made of.
    """
    known = releases or {name: settings.release_id(name, app.live) for name, app in settings.apps.items()}
    apps = {name: _running(settings, name, known.get(name, "")) for name in settings.apps}
    return Identity(
        owner=settings.owner,
        stack=stack_of(settings.owner),
        release=whole({name: app.release for name, app in apps.items()}),
        apps=apps,
        config=_config(settings),
        versions={**_made_with(), **(versions or {})},
        by=by,
        commit=commit,
        at=now.astimezone(UTC),
    )


def stack_of(owner: str) -> str:
    """The name of a stack, from `project.stack`."""
    return owner.partition(".")[2] or owner


def difference(before: Identity, after: Identity) -> tuple[Change, ...]:
    """What changed of apps, config and versions, by path."""
    return tuple(_changes("", _comparable(before), _comparable(after)))


def _made_with() -> dict[str, str]:
    import platform  # both take a while, and whoever only reads needs neither
    from importlib.metadata import PackageNotFoundError, version

    found = {"bluegreen": VERSION, "python": platform.python_version()}
    with suppress(PackageNotFoundError):
        found["pulumi"] = version("pulumi")
    return found


def _running(settings: Configured, name: str, release: str) -> Running:
    colour: Colour = settings.apps[name].live
    block = settings.apps[name].release(colour)
    return Running(
        colour=colour,
        release=release,
        image=getattr(block, "image", None),
        schema_min=getattr(block, "schema_min", None),
    )


def _config(settings: Configured) -> dict[str, Any]:
    """As it is written, without what nobody may see: a secret has no text of its own here, and no variable a value."""
    dumped = json.loads(settings.model_dump_json(by_alias=True, include=set(CONFIGURED), exclude_none=True))
    for app in dumped.get("apps", {}).values():
        for colour in COLOURS:
            block = app.get(colour) or {}
            if block.get("variables"):
                block["variables"] = dict.fromkeys(sorted(block["variables"]), NAMES_ALONE)
    return {key: value for key, value in dumped.items() if value not in ({}, [])}


def _comparable(identity: Identity) -> Mapping[str, Any]:
    return identity.model_dump(mode="json", by_alias=True, include={"apps", "config", "versions"}, exclude_none=True)


def _changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            yield from _changes(f"{path}.{key}" if path else key, before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list):
        for at in range(max(len(before), len(after))):
            yield from _changes(f"{path}[{at}]", *(side[at] if at < len(side) else None for side in (before, after)))
    else:
        yield Change(path, before, after)
