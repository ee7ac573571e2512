"""`make demo`: a schema grows, releases ship, a bad one is caught, a rollback happens; and every request is counted.

Each scene is an edit of the stack's config and one plain `pulumi up`, while open-loop load goes through the gateway.
What must come of it is written beside it; anything else, and any failed or wrongly coloured request, ends the demo
with a non-zero exit. A bad release's own errors are counted beside them. The table and `reports/demo/report.json` hold
what was counted, nothing else; the stand-in's own count of the load's requests has to be the same. `report.html` beside
it is the page of the release that was caught. `--inject N` breaks N requests on purpose, to see that all this tells.
"""

import argparse
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from sandbox.asking import ask, call
from sandbox.demo_pages import pages
from sandbox.demo_report import Bad, counted, publish, rejection, table, verdict
from sandbox.demo_rollout import ROLLOUT
from sandbox.demo_story import APPS, Scene, Unexpected, scenes
from sandbox.load import AGENT, Config, Load, LoadError, Target
from sandbox.people import Person, sign_up
from sandbox.ports import Colour
from sandbox.stack import API_KEY, ROOT, Stack
from sandbox.stack_runs import Run
from sandbox.world import MEMBERS, World, WorldError, free_base
from toolchain import Cli, Missing, cli

ROUTED, SURE = 30.0, 20  # seconds for the first routes; good answers in a row, each over a new connection
RPS = 60  # per app; half on kept-alive connections, half on new ones
PASSED = re.compile(r"(preview|\d+ %): .* pass$")  # what the judge says at the end of an analysis
# Kong's own defaults are 5 s each; a laptop's demo need not wait for them. Railway's clock runs twenty times as fast.
PACE = {
    "kong": (
        *("--worker-state-update-frequency", "1", "--db-update-frequency", "1"),
        *("--dns-stale-ttl", "1", "--dns-order", "LAST,AAAA,A,CNAME"),  # as docs/railway.md advises
    ),
    "railway": ("--time-scale", "0.05"),
}


@dataclass
class Demo:
    """The running demo: a world, a stack, a load, and what was measured so far."""

    world: World
    stack: Stack
    load: Load
    person: Person  # whose projects the load asks for
    say: Callable[[str], None]
    live: Colour = "blue"
    seconds: dict[str, float] = field(default_factory=dict)
    marks: list[tuple[str, float]] = field(default_factory=list)  # when each scene began
    bad: list[Bad] = field(default_factory=list)  # the releases that were rejected

    def play(self, scene: Scene) -> Run:
        """One scene, whole."""
        self.say(f"▶ {scene.name}")
        since = self.load.mark(scene.name)
        self.marks.append((scene.name, since))
        if scene.without_railway:
            self.world.stop("railway")
        scene.edit(self.stack)
        run = self.stack.up(*scene.options, reason=f"{scene.name}, in the demo")
        if scene.without_railway:
            self.world.start("railway")
        self.seconds[scene.name] = run.seconds
        for text in _told(run):
            self.say(f"  {text}")
        self._expect(scene, run, since)
        for look in scene.after:
            self.say(f"  {look(self.stack, self.person)}")
        self.say(f"  ✓ {run.seconds:.1f} s, live is {scene.live}")
        return run

    def _expect(self, scene: Scene, run: Run, since: float) -> None:
        said = run.output[-4000:]
        if scene.fails:
            if run.code == 0 or scene.fails not in run.output:
                raise Unexpected(
                    f"{scene.name}: the update had to fail with {scene.fails!r}, and ended {run.code}:\n{said}"
                )
            words = run.violations() or [line.strip() for line in run.output.splitlines() if scene.fails in line]
            self.say(f"  {scene.how}: {words[-1].removeprefix('error: ').removeprefix('* ')}")
        elif run.code != 0:
            raise Unexpected(f"{scene.name}: pulumi up ended with {run.code}:\n{said}")
        traffic = _traffic(self.stack)
        if traffic["live"] != dict.fromkeys(APPS, scene.live):
            raise Unexpected(f"{scene.name}: live is {traffic['live']}, not {scene.live} everywhere.")
        if scene.live != self.live:
            self._moved(traffic["history"], scene.live, since)
        if scene.rejects:
            self._rejected(scene, traffic["history"], since)

    def _moved(self, history: Sequence[dict[str, Any]], live: Colour, since: float) -> None:
        """Tell the load who was allowed to answer when: both between a move's first raise and its last proof."""
        for app in APPS:
            done = [entry for entry in history if entry["app"] == app][-1]
            if done["goal"] != live or _time(done["started"]) < since:
                raise Unexpected(f"History tells of no move of {app} to {live} in this scene: {done}.")
            self.load.serving(app, self.live, live, since=_time(done["started"]))
            self.load.serving(app, live, since=_time(done["finished"]))
        self.live = live

    def _rejected(self, scene: Scene, history: Sequence[dict[str, Any]], since: float) -> None:
        """Tell the load when a bad release was allowed to answer, and keep what it did."""
        done = [entry for entry in history if entry["app"] == scene.rejects][-1]
        if done["verdict"] != "rejected" or _time(done["finished"]) < since:
            raise Unexpected(f"{scene.name}: history tells of no rejected release of {scene.rejects}: {done}.")
        self.load.serving(scene.rejects, self.live, done["goal"], since=_time(done["started"]))
        self.load.serving(scene.rejects, self.live, since=_time(done["finished"]))
        self.bad.append(rejection(scene.name, done))


def _told(run: Run) -> Iterator[str]:
    """What the provider said for the record; where an analysis passed, its live row says it shorter."""
    row = ""
    for live, text in run.words():
        if live:
            row = text
        elif PASSED.match(text):
            yield f"{row.rpartition(' · ')[0]}: pass"
        elif ": " in text:
            yield text


def _traffic(stack: Stack) -> dict[str, Any]:
    """What state tells of traffic; a stack's outputs stay as they were when an update fails."""
    resources = stack.exported()["deployment"]["resources"]
    outputs: dict[str, Any] = next(one for one in resources if one["type"] == "bluegreen:rollout:Traffic")["outputs"]
    return outputs


def run(options: argparse.Namespace, say: Callable[[str], None], console: Console) -> int:
    """The whole demo; 0 when everything was as it must be."""
    found = cli()
    data = Path(tempfile.mkdtemp(prefix="bluegreen-demo-"))
    real = options.kong_admin is not None
    members = tuple(name for name in MEMBERS if not (real and name == "kong"))
    pace = {name: arguments for name, arguments in PACE.items() if name in members}
    try:
        with World(free_base(), data, members, admin=options.kong_admin, proxy=options.kong_proxy, extra=pace) as world:
            return _play(world, found, say, console, options)
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _play(world: World, found: Cli, say: Callable[[str], None], console: Console, options: argparse.Namespace) -> int:
    stack = Stack(world, found, apps=APPS, policies=True)
    stack.create()
    stack.judge(ROLLOUT)
    # What users met is counted by Kong, beside what probes are answered.
    stack.config["velro:gateway"]["plugins"]["prometheus"] = {"status_code_metrics": True, "latency_metrics": True}
    stack.write()
    say(f"Kong answers on {world.proxy}, Railway on {world.railway_url}, Postgres on port {world.ports.postgres}.")
    say("Every colour is a process of its own; every update below is a plain pulumi up with the policy pack.")
    say("▶ bootstrap")
    first = stack.up()
    if first.code != 0:
        raise Unexpected(f"bootstrap: pulumi up ended with {first.code}:\n{first.output[-4000:]}")
    say(f"  ✓ {first.seconds:.1f} s, live is blue")
    person = sign_up(world.database_url, "ada")
    asked = _load(world, person)
    _await_routes(world, asked)
    unexpected = ""
    before = _proxied(world)
    with Load.start(asked, world.data / "load") as load:
        demo = Demo(world, stack, load, person, say)
        for app in APPS:
            load.serving(app, "blue")
        try:
            for scene in scenes():
                if scene.breaks:
                    _inject(world, options.inject)
                demo.play(scene)
        except Unexpected as problem:
            unexpected = str(problem)
        report = load.stop()
        count = counted(report, load.records(), demo.marks, demo.bad)
    proxied = _proxied(world) - before if "kong" in world.members else None
    if proxied not in (None, report.total.requests) and not unexpected:
        unexpected = f"The load counted {report.total.requests} requests and the proxy {proxied}."
    try:
        made = pages(stack, count.bad, options.reports)
    except Unexpected as problem:
        unexpected, made = unexpected or str(problem), []
    destroyed = stack.run("destroy", "--yes", BLUEGREEN_TEARDOWN="1")
    if destroyed.code != 0 and not unexpected:
        unexpected = f"destroy ended with {destroyed.code}:\n{destroyed.output[-4000:]}"
    publish(count, demo.seconds, proxied, options.reports)
    console.print(table(count))
    return verdict(count, unexpected, demo.seconds, say, [options.reports / "report.json", *made])


def _load(world: World, person: Person) -> Config:
    """One person's projects from the database, under row level security; and the page."""
    shown = {"apikey": API_KEY, "Authorization": f"Bearer {person.token}"}
    slow = "/api/slow?seconds=2"
    targets = [
        Target(app="backend", url=world.proxy, path="/api/projects", headers=shown, rps=RPS, slow_path=slow),
        Target(app="frontend", url=world.proxy, path="/", host="frontend.sandbox", rps=RPS),
    ]
    return Config(targets=tuple(targets), max_seconds=600)


def _await_routes(world: World, load: Config) -> None:
    """Nobody uses an app before its first route is in force on every worker; Kong's routers take up to 5 s for that."""
    end, agreeing = time.monotonic() + ROUTED, 0
    while agreeing < SURE:
        answers = [
            ask(target.url + target.path, {**target.headers, "Host": target.host or "any"})[0]
            for target in load.targets
        ]
        agreeing = agreeing + 1 if set(answers) == {200} else 0
        if time.monotonic() > end:
            raise Unexpected(f"bootstrap: the apps answered {answers} through {world.proxy} after {ROUTED:.0f} s.")


def _proxied(world: World) -> int:
    """The load's requests by the stand-in's own count; 0 where there is none."""
    if "kong" not in world.members:
        return 0
    return int(call("GET", f"{world.admin}/__counts")["agents"].get(AGENT, 0))


def _inject(world: World, times: int) -> None:
    """Some requests of the next scene get a 503 in the apps' place."""
    if times:
        fault = {
            "where": {"path": "/api/projects", "skip": 50, "times": times},
            "effect": {"kind": "answer", "status": 503},
        }
        call("PUT", f"{world.proxy}/__faults/injected", fault)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kong-admin", help="a real Kong's Admin API, http://host:port, instead of the stand-in")
    parser.add_argument("--kong-proxy", help="and its proxy")
    parser.add_argument("--inject", type=int, default=0, metavar="N", help="break N requests during the first switch")
    parser.add_argument("--reports", type=Path, default=ROOT / "reports" / "demo")
    options = parser.parse_args()
    if (options.kong_admin is None) != (options.kong_proxy is None):
        parser.error("a real Kong has two addresses: give both --kong-admin and --kong-proxy")
    if options.inject and options.kong_admin is not None:
        parser.error("only the stand-in breaks requests on purpose: leave out --inject, or the real Kong")
    console = Console()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job ignores SIGINT otherwise
        signal.signal(number, _interrupt)
    try:
        return run(options, lambda text: print(text, flush=True), console)
    except (WorldError, LoadError, Missing, Unexpected) as problem:
        print(f"✗ {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing is left running.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
