"""Rules about what one update does together: a move of traffic, a contract, a freeze, the end of a way back.

That an update moves traffic is not in its inputs. It is in the history that Traffic keeps in its outputs: what passed
last is where users are, and where `live` is another colour, this update moves them. A move goes back where every app
that it moves returns to a release that has passed there before. A move by hand is not in that history, and neither is
what happens after a preview: the provider, which asks Kong, has the last word on both. These rules are for the preview.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from policies.parameters import names, number, stacks
from policies.rule import UNKNOWN, Config, Finding, Resource, Violation, mapping, sequence
from policies.span import moment, seconds
from policies.traffic import COLOURS, TRAFFIC

MIGRATION, SERVICE = "bluegreen:postgres:Migration", "bluegreen:railway:Service"
STACKS = stacks("The names of the stacks that serve users.")
WINDOWS = names("Freeze windows that the stack config has to have, by name.")
OVERRIDE_HOURS = number(24, "How long after its rollout a freezeOverride may still stand in the config.")


@dataclass(frozen=True, slots=True)
class Lane:
    """One app's way through the gateway, and what is remembered of it."""

    app: str
    wanted: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]

    @property
    def live(self) -> str | None:
        """Who is live now as far as anybody has written down; None before the first move."""
        if not self.history:
            return None
        last = self.history[-1]
        was = last.get("goal") if last.get("verdict") == "passed" else last.get("origin")
        return was if was in COLOURS else None

    @property
    def moves(self) -> bool:
        return self.live is not None and self.wanted.get("live") in COLOURS and self.wanted["live"] != self.live

    @property
    def returns(self) -> bool:
        """Whether that release passed here before, under that colour."""
        wanted = (self.wanted.get("release"), self.wanted.get("live"))
        return any((done.get("release"), done.get("goal")) == wanted for done in self._passed)

    @property
    def arrived(self) -> Mapping[str, Any] | None:
        """The rollout by which users came where they are, with a colour that they could go back to."""
        last = self._passed[-1] if self._passed else None
        if last is None or last.get("kind") != "rollout" or last.get("origin") not in COLOURS:
            return None
        return last

    @property
    def _passed(self) -> list[Mapping[str, Any]]:
        return [done for done in self.history if done.get("verdict") == "passed"]


def contracts_stand_alone(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    """What a contract takes away, the release before may still need; so no way back may lead there any more."""
    contracts = [one for one in resources if one.type == MIGRATION and one.at("phase") == "contract"]
    for traffic in _traffics(resources) if contracts else ():
        lanes, window = _lanes(traffic), _window(traffic)
        moving = [lane.app for lane in lanes if lane.moves]
        for contract in contracts:
            if (slack := _slack(contract, traffic, lanes, window)) is not None:
                yield Violation(
                    contract,
                    f"{contract.name}: {slack}. Nothing would keep it from being applied while a rollback may come. "
                    "Declare contracts as components/migrations.py does, after Traffic and with its rollbackWindow.",
                )
            if contract.told("appliedAt") not in (None, UNKNOWN):
                continue
            if moving:
                yield Violation(
                    contract,
                    f"{contract.name}: takes away what older releases need in the very update that moves "
                    f"{' and '.join(moving)}. A rollback of that move would meet a schema without it. Move traffic "
                    "first, and raise migrations.target in an update of its own when the rollback window is over.",
                )
            for lane, until in _returnable(lanes, window):
                yield Violation(
                    contract,
                    f"{contract.name}: takes away what older releases need, and {lane.app} may still go back until "
                    f"{until:%Y-%m-%d %H:%M} UTC. The schema is left as it is. Raise migrations.target after that.",
                )


def freezes_are_kept(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    """A freeze that somebody took out, or overrode for ever, stops nothing; a rollback is never stopped by one."""
    for traffic in _traffics(resources):
        lanes = _lanes(traffic)
        moving = [lane for lane in lanes if lane.moves]
        if traffic.stack not in config["stacks"] or (moving and all(lane.returns for lane in moving)):
            continue
        there = {mapping(window).get("name") for window in sequence(traffic.at("rollout.freeze", []))}
        if missing := [name for name in config["windows"] if name not in there]:
            yield Violation(
                traffic,
                f"{traffic.name}: rollout.freeze of stack {traffic.stack} lacks {', '.join(missing)}. As declared, "
                "rollouts go on in that time. Write the window back, or take its name out of `windows` of this "
                "rule's config.",
            )
        if traffic.at("rollout.freezeOverride") is None or moving:
            continue
        if not _just_moved(lanes, int(config["overrideHours"])):
            yield Violation(
                traffic,
                f"{traffic.name}: rollout.freezeOverride stands in the config, and no rollout needs it. As declared, "
                "the next freeze stops nothing. Take it out; write it with the rollout that cannot wait.",
            )


def ways_back_are_kept(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    """The way back is a colour that runs: without it, a rollback is a deployment that takes minutes."""
    services = {(one.at("app"), one.at("colour")): one for one in resources if one.type == SERVICE}
    for traffic in _traffics(resources):
        if traffic.stack not in config["stacks"]:
            continue
        for lane, until in _returnable(_lanes(traffic), _window(traffic), alone=True):
            origin = (lane.arrived or {}).get("origin")
            service = services.get((lane.app, origin))
            if origin in sequence(lane.wanted.get("unmarked")) or lane.wanted.get("live") == origin:
                continue
            if service is None or service.at("running", True) is False:
                how = "is gone from" if service is None else "is stopped in"
                instead = f"Keep apps.{lane.app}.{origin}" if service is None else f"Set apps.{lane.app}.idle: running"
                yield Violation(
                    service or traffic,
                    f"{lane.app}-{origin}: {how} stack {traffic.stack}, and {lane.app} may have to go back to it until "
                    f"{until:%Y-%m-%d %H:%M} UTC. As declared, a rollback would have to deploy it first. {instead} "
                    "until then.",
                )


def _traffics(resources: Sequence[Resource]) -> Iterator[Resource]:
    return (resource for resource in resources if resource.type == TRAFFIC)


def _lanes(traffic: Resource) -> list[Lane]:
    told = [mapping(done) for done in sequence(traffic.told("history"))]
    lanes = mapping(traffic.at("lanes", {}))
    return [Lane(app, mapping(lanes[app]), [one for one in told if one.get("app") == app]) for app in sorted(lanes)]


def _window(traffic: Resource) -> int:
    lasts = seconds(traffic.at("rollout.rollbackWindow.duration", "72h"))
    return lasts if lasts is not None else 72 * 3600


def _returnable(lanes: Sequence[Lane], window: int, *, alone: bool = False) -> Iterator[tuple[Lane, datetime]]:
    """Every app that may still go back, and until when.

    Args:
        alone: an app whose other colour has left the config counts as well.
    """
    for lane in lanes:
        finished = moment((lane.arrived or {}).get("finished"))
        if finished is None or not (alone or len(mapping(lane.wanted.get("addresses"))) > 1):
            continue
        if datetime.now(UTC) - finished < timedelta(seconds=window):
            yield lane, finished + timedelta(seconds=window)


def _just_moved(lanes: Sequence[Lane], hours: int) -> bool:
    ended = [moment((lane.arrived or {}).get("finished")) for lane in lanes]
    return any(datetime.now(UTC) - end < timedelta(hours=hours) for end in ended if end is not None)


def _slack(contract: Resource, traffic: Resource, lanes: Sequence[Lane], window: int) -> str | None:
    """Why a contract would not wait for the last move, or None where it does."""
    waits = seconds(contract.at("rollbackWindow", "0s"))
    if waits is None or waits < window:
        return f"waits {waits or 0} s after a move, and one can be taken back for {window} s"
    upstreams = sequence(contract.at("upstreams", []))
    if unasked := [lane.app for lane in lanes if lane.wanted.get("upstream") not in upstreams]:
        return f"does not ask when {' and '.join(unasked)} last moved"
    if traffic.urn not in contract.needs:
        return f"does not come after {traffic.name}"
    return None
