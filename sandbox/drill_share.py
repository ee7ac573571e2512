"""One world's share of a drill: its commands, every case of them one after the other, and the load that runs meanwhile.

Those that kill a gateway node come last, when nobody is on it. It stops between two cases when it is told to.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sandbox import drill_real
from sandbox.drill_case import FATES, Drill, Fate, Subject, Told
from sandbox.drill_relay import Relay
from sandbox.drill_report import Case
from sandbox.drill_room import APPS, NODES, Broken, Room, Write
from sandbox.load import Config, Load, Target
from sandbox.stack import API_KEY
from sandbox.world import Member, World, free_base
from toolchain import cli

PACE: Mapping[Member, Sequence[str]] = {
    # The second node hears of a write a tenth of a second late: late enough for a mistake, early enough for a drill.
    "kong": ("--worker-state-update-frequency", "0.1", "--db-update-frequency", "0.1"),
    "railway": ("--time-scale", "0.02"),
}
MEMBERS: tuple[Member, ...] = ("kong", "supervisor", "railway")
RPS = 30.0  # of each app on each node
SUBJECTS = tuple(Subject(kind, apps) for kind in FATES for apps in (APPS[:1], APPS))
ALL = tuple(dict.fromkeys(fate for fates in FATES.values() for fate in fates))


Say = Callable[[str], None]


class Stopped(Broken):
    """It was told to end; whatever was wrong, was so elsewhere."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a drill is wanted; `fault` is one of Kong's Admin API in every case."""

    only: Sequence[Fate] = ()
    quick: bool = False
    real: bool = True  # a sample by `pulumi up` as well
    fault: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What one world plays."""

    subjects: Sequence[Subject]
    real: bool


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a share; the counts are of all its requests, those between two cases too."""

    cases: tuple[Case, ...]
    failures: Mapping[str, int]
    failed: int
    requests: int


class Watched:
    """The load on both nodes, cut into cases."""

    def __init__(self, world: World, folder: Path) -> None:
        self._folder, self._world = folder, world
        self._spared: dict[str, tuple[int, int]] = {}
        self.loads = (self._start(0), self._start(1))
        self.near = self.loads[0]
        self.far: Load | None = self.loads[1]

    def begin(self, told: str) -> None:
        for load in (self.near, self.far):
            if load is not None:
                load.mark(told)

    def spare_the_last_node(self) -> None:
        """Nobody may be on a node that is about to be killed: what a client loses with it is no fault of a move."""
        far, self.far = self.far, None
        if far is not None:
            self._spared = _counted(far)

    def end(self) -> dict[str, tuple[int, int]]:
        """Requests and failed ones of both nodes, by what was begun."""
        self.spare_the_last_node()
        counted = dict(self._spared)
        for name, (requests, failed) in _counted(self.near).items():
            before = counted.get(name, (0, 0))
            counted[name] = (before[0] + requests, before[1] + failed)
        return counted

    def failures(self) -> dict[str, int]:
        reasons: dict[str, int] = {}
        for load in self.loads:
            for reason, count in load.stop().failures.items():
                reasons[reason] = reasons.get(reason, 0) + count
        return reasons

    def _start(self, node: int) -> Load:
        proxy, shown = self._world.proxy_of(node), {"apikey": API_KEY}
        targets = (
            Target(app="backend", url=proxy, path="/api/hello", headers=shown, rps=RPS),
            Target(app="frontend", url=proxy, path="/", host="frontend.sandbox", rps=RPS),
        )
        return Load.start(Config(targets=targets, max_seconds=7200), self._folder / f"load-{node}")


def _counted(load: Load) -> dict[str, tuple[int, int]]:
    return {row.name: (row.requests, row.failed) for row in load.stop().phases}


def play(share: Share, asked: Asked, say: Say, stop: threading.Event) -> Played:
    """Everything of this share, in a world of its own."""
    began = time.monotonic()
    with ExitStack() as stack:
        room, folder = stack.enter_context(_room())
        say(f"two apps on two nodes of a gateway, ready after {time.monotonic() - began:.0f} s")
        relay = stack.enter_context(Relay(room.world.ports.kong_admin))
        watched = Watched(room.world, folder)
        for load in watched.loads:
            stack.enter_context(load)
        player = Player(room, watched, asked, say, stop)
        if share.real:
            player.real()
        player.played(Drill(room, relay), share.subjects)
        counted = watched.end()
        cases = tuple(Case(each, *counted.get(str(n), (0, 0))) for n, each in enumerate(player.told))
        failed, requests = sum(f for _, f in counted.values()), sum(r for r, _ in counted.values())
        return Played(cases, watched.failures(), failed, requests)


@dataclass(slots=True)
class Player:
    """Plays case after case and keeps what became of each."""

    room: Room
    watched: Watched
    asked: Asked
    say: Say
    stop: threading.Event
    told: list[Told] = field(default_factory=list)

    def played(self, here: Drill, subjects: Sequence[Subject]) -> None:
        """Every case of these commands; those that kill a node come last, when nobody is on it."""
        writes = {}
        for subject in subjects:
            self.watched.begin(f"counting {subject}")
            writes[subject] = here.counted(subject)
            said = ", ".join(each.said for each in writes[subject])
            self.say(f"{subject}: {len(writes[subject])} writes ({said})")
        here.room.standing = self.asked.fault
        wanted = (few_cases if self.asked.quick else every_case)(writes, self.asked.only)
        wanted.sort(key=lambda case: case[1] == "kill-node")
        of = len(self.told) + len(wanted)
        for subject, fate, each in wanted:
            if fate == "kill-node":
                self.watched.spare_the_last_node()
            self._case(partial(here.run, subject, fate, each), of)

    def real(self) -> None:
        """The ends of a rollout by the real engine, each killed in every way."""
        fates = [fate for fate in drill_real.FATES if not self.asked.only or fate in self.asked.only]
        if not fates:
            return
        self.watched.begin("preparing the real engine")
        self.say("a sample by pulumi up and bluegreen recover")
        drill_real.prepare(self.room)
        since = self.room.mark()
        self.room.stack.shift("green")
        self.room.up()
        sample = list(drill_real.sample(self.room.writes(since)))
        self.room.stack.shift("blue")
        self.room.up()
        for fate in fates:
            for each in sample:
                self._case(partial(drill_real.run, self.room, fate, each), len(fates) * len(sample))

    def _case(self, run: Callable[[], Told], of: int) -> None:
        if self.stop.is_set():
            raise Stopped("it was stopped.")
        self.watched.begin(f"{len(self.told)}")
        told = run()
        self.told.append(told)
        times = f", whole again after {told.healed:.1f} s" if told.healed is not None else ""
        self.say(f"  {len(self.told)}/{of} {told.name} ({told.write}): {told.wrong or 'converged'}{times}")


def every_case(writes: Mapping[Subject, Sequence[Write]], only: Sequence[Fate]) -> list[tuple[Subject, Fate, Write]]:
    return [
        (subject, fate, each)
        for subject, found in writes.items()
        for fate in FATES[subject.kind]
        if not only or fate in only
        for each in found
    ]


def few_cases(writes: Mapping[Subject, Sequence[Write]], only: Sequence[Fate]) -> list[tuple[Subject, Fate, Write]]:
    """Everything that can happen once, in the middle of a command; the commands take turns."""
    few = []
    for number, fate in enumerate(only or ALL):
        of = [subject for subject in writes if fate in FATES[subject.kind]]
        subject = of[number % len(of)]
        few.append((subject, fate, writes[subject][len(writes[subject]) // 2]))
    return few


@contextmanager
def _room() -> Iterator[tuple[Room, Path]]:
    folder = Path(tempfile.mkdtemp(prefix="bluegreen-drill-"))
    try:
        with World(free_base(), folder, MEMBERS, extra=PACE, nodes=NODES) as world:
            yield Room(world, cli()), folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
