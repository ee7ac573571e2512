"""A project in which the commands of README and docs are run as they stand there, on a sandbox of its own.

The project is a copy of this checkout in a git repository with a remote. Its production file is the real one, made
small and quick; where Kong, Railway, the registry and the database are comes from the environment, as the runbook asks
of whoever is on call. What a shell runs is run by a shell; `bluegreen` itself runs in this process, which spares a
start of Python for each of some fifty verbs (every update starts it as a program of its own, to verify what it
deploys). An update does not preview first: `pulumi preview` is a command of its own.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import yaml
from typer.testing import CliRunner

import toolchain
from bluegreen.cli.__main__ import app
from sandbox.asking import call
from sandbox.people import JWT_SECRET
from sandbox.registry_http import Registry
from sandbox.stack import API_KEY, KEY
from sandbox.world import Member, World, free_base
from tests.box import KONG_PACE, PATIENCE, RAILWAY_PACE
from tests.docs_pages import DOCS, ROOT, Shown, key, shown, split
from tests.stack_files import BACKEND_KEY
from tests.stage_room import GIT

STACK = "production"
LONG = 150.0  # seconds until something that is on its way is given up
STALE = ("PULUMI_", "BLUEGREEN_", "PYTHONPATH")  # of whoever runs this
LEFT_OUT = {  # of the copy, and read by no command of a page
    *(".git", ".venv", ".toolchain", ".sandbox", "reports", "backups", "images", "recorded"),
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".import_linter_cache", ".hypothesis"),
}
OF_THE_CHECKOUT = ("make ", "eval ", "python3 -m toolchain")  # they are about where setup ran
HERE = re.compile(r"(?:bin/)?bluegreen (?!verify )")  # verify hands its own output on to what it starts
STEPS = "steps: [{setWeight: 5}, {setWeight: 50}]"
CALM = '{duration: 1s, interval: 1s, metrics: [{name: calm, command: {run: [echo, "0"]}, thresholdRange: {max: 1}}]}'
ANALYSES = "".join(
    f"\n    {name}: {CALM}" for name in ("prePromotionAnalysis", "stepAnalysis", "postPromotionAnalysis")
)
ASKS = re.compile(r"    - \{name: teams-ask-who-calls, .*\n")
SMALL = (  # what makes the production file small and quick, and begin with schema 010
    (re.compile(r"    models:\n(?:      - .*\n)+"), ""),
    (re.compile(r'target: "011"'), 'target: "010"'),
    (ASKS, ""),
    (re.compile(r"steps: .*\n(?:.*\n)+?(?=    progressDeadlineSeconds)"), f"{STEPS}{ANALYSES}\n"),
)


@dataclass(frozen=True, slots=True)
class Ran:
    """One command that was run, and how it ended."""

    page: str
    text: str
    wanted: int
    code: int
    output: str

    @property
    def fault(self) -> str | None:
        """How it ended otherwise than its page says, with its last lines."""
        if self.code == self.wanted:
            return None
        return f"{self.text}\nended with {self.code}, not with {self.wanted}:\n{self.output[-3000:]}"


@dataclass
class Room:
    """The project, its world, and everything that was run in it so far."""

    world: World
    folder: Path
    registry: Registry
    ran: list[Ran] = field(default_factory=list)
    filled: dict[str, str] = field(default_factory=dict)  # by the pages' word: what a reader writes in its place

    @property
    def file(self) -> Path:
        return self.folder / f"Pulumi.{STACK}.yaml"

    @property
    def state(self) -> Path:
        return self.folder.parent / "state" / ".pulumi"

    @property
    def reports(self) -> Path:
        return self.folder / "reports" / STACK

    def newest(self) -> str:
        """How the id of the newest release with a record begins."""
        return self.shell("bluegreen report production --list").split()[0][:4]

    def plays(
        self,
        page: str,
        first: str,
        codes: Mapping[str, int] | None = None,
        *,
        but: Sequence[str] = (),
        told: Mapping[str, str] | None = None,
    ) -> str:
        """Run a fence of a page, line by line; what all of it printed.

        Args:
            first: how the fence's first command begins.
            codes: by the beginning of a line, with what it ends there; all others end with 0.
            but: the beginnings of lines that are run in another place.
            told: by the beginning of a line, what is typed when it asks.
        """
        ends, typed, said = dict(codes or {}), dict(told or {}), ""
        met = set[str]()

        def of(line: Shown, beginnings: Iterable[str]) -> str | None:
            found = next((each for each in beginnings if line.bare.startswith(each)), None)
            met.update({found} if found else ())
            return found

        for line in self._fence(page, first):
            if of(line, but) is None:
                answer = typed.get(of(line, typed) or "", "")
                said += self.run(page, line.runnable, ends.get(of(line, ends) or "", 0), told=answer)
        unmet = {*ends, *but, *typed} - met
        assert not unmet, f"{page}: no line begins with {unmet} in the fence of {first!r}"
        return said

    def run(self, page: str, text: str, code: int = 0, *, told: str = "") -> str:
        """Run one command of a page; what it printed."""
        for word, instead in self.filled.items():
            text = text.replace(word, instead)
        done = self._verb(text) if HERE.match(text) else self._shell(text, told)
        self.ran.append(Ran(page, text, code, *done))
        return done[1]

    def run_once_it_can(self, page: str, text: str) -> None:
        """Run it until it ends well: what it needs is on its way."""
        self.awaits(lambda: self._verb(text)[0] == 0)
        self.ran.append(Ran(page, text, 0, 0, ""))

    def until(self, page: str, text: str, ready: Callable[[str], object], code: int) -> None:
        """Run a command that does not end by itself; once it is ready it gets ^C."""
        output = self.folder.parent / "until.txt"
        with output.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                split(text), cwd=self.folder, env=self.environment(), stdout=file, stderr=subprocess.STDOUT
            )
            try:
                self.awaits(lambda: ready(output.read_text(encoding="utf-8")))
                process.send_signal(signal.SIGINT)
                ended = process.wait(LONG)
            finally:
                process.kill()
                process.wait()
        self.ran.append(Ran(page, text, code, ended, output.read_text(encoding="utf-8")))

    def beside(self, text: str) -> "subprocess.Popen[bytes]":
        """A command under way, as a job of its own that can be killed as one."""
        return subprocess.Popen(
            split(text),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def awaits(self, until: Callable[[], object]) -> None:
        """Come back when something is so; an engine on a busy machine needs its time until then."""
        end = time.monotonic() + LONG
        while not until():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.1)

    def edit(self, before: str | re.Pattern[str], after: str) -> None:
        """Somebody edits the stack's file."""
        text = self.file.read_text(encoding="utf-8")
        pattern = before if isinstance(before, re.Pattern) else re.compile(re.escape(before))
        edited, times = pattern.subn(lambda _: after, text, count=1)
        assert times == 1, (before, text)
        self.file.write_text(edited, encoding="utf-8")

    def shell(self, text: str) -> str:
        """What prepares something, and is on no page."""
        code, output = self._shell(text)
        assert code == 0, (text, output)
        return output

    def undo(self) -> None:
        self.shell(f"git checkout -q {self.file.name}")

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        return call(method, self.world.admin + path, body)

    def weights(self, name: str = "backend") -> dict[str, int]:
        rows = self.admin("GET", f"/upstreams/{name}/targets")["data"]
        return {next(tag[7:] for tag in row["tags"] if tag.startswith("colour:")): row["weight"] for row in rows}

    def lock(self, pid: int, host: str) -> None:
        """Somebody's update holds the stack, as Pulumi's own backend writes that down."""
        held = {
            "pid": pid,
            "username": "ada",
            "hostname": host,
            "timestamp": datetime(2026, 11, 23, 23).isoformat() + "Z",
        }
        place = self.state / "locks" / "organization" / "velro" / STACK
        place.mkdir(parents=True, exist_ok=True)
        (place / "ada.json").write_text(json.dumps(held), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """What the runbook asks for, where things are, and nothing that the caller has set."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(STALE)}
        base = {**inherited, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        return {
            **toolchain.cli().environment(base),
            **GIT,
            "PULUMI_BACKEND_URL": f"file://{self.state.parent}",
            "PULUMI_CONFIG_PASSPHRASE": "sandbox",
            "PULUMI_STACK": STACK,
            "PULUMI_SKIP_CONFIRMATIONS": "true",
            "PULUMI_OPTION_SKIP_PREVIEW": "true",
            "BLUEGREEN_KONG_ADMIN_URL": self.world.admin,
            "BLUEGREEN_KONG_PROXY_URL": self.world.proxy,
            "BLUEGREEN_RAILWAY_URL": self.world.railway_url,
            "BLUEGREEN_RAILWAY_POLL_SECONDS": "0.2",
            "BLUEGREEN_DATABASE_URL": self.world.database_url,
            "BLUEGREEN_PREVIEW_KEY": KEY,
            "BLUEGREEN_REGISTRIES": f"ghcr.io={self.registry.url}",
            "BROWSER": "true",  # the program that ends well and shows nothing
        }

    def _fence(self, page: str, first: str) -> list[Shown]:
        path = ROOT / page if page == "README.md" else DOCS / page
        found = [line for line in shown(path.read_text(encoding="utf-8"), page) if line.block]
        blocks: dict[int, list[Shown]] = {}
        for line in found:
            blocks.setdefault(line.block, []).append(line)
        beginnings = first.split("\n")
        for block in blocks.values():
            if len(block) >= len(beginnings) and all(
                line.text.startswith(each) for line, each in zip(block, beginnings, strict=False)
            ):
                return block
        raise AssertionError(f"{page} has no fence that begins with {first!r}")

    def _verb(self, text: str) -> tuple[int, str]:
        env: dict[str, str | None] = {**dict.fromkeys(os.environ), **self.environment()}
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            done = CliRunner().invoke(app, split(text)[1:], env=env)
        finally:
            os.chdir(before)
        fault = "" if done.exception is None or isinstance(done.exception, SystemExit) else repr(done.exception)
        return done.exit_code, f"{done.stderr}{done.stdout}{fault}"

    def _shell(self, text: str, told: str = "") -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=ROOT if text.startswith(OF_THE_CHECKOUT) else self.folder,
            env=self.environment(),
            input=told,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@contextmanager
def room(folder: Path) -> Iterator[Room]:
    """The project with its first commit, its stack made and its secrets set; nothing is up."""
    project = folder / "velro"
    shutil.copytree(ROOT, project, ignore=lambda _, names: LEFT_OUT.intersection(names), symlinks=True)
    (project / ".venv").symlink_to(ROOT / ".venv")
    (folder / "state").mkdir()
    pace: dict[Member, tuple[str, ...]] = {"kong": KONG_PACE, "railway": RAILWAY_PACE}
    place = yaml.safe_load((project / f"Pulumi.{STACK}.yaml").read_text(encoding="utf-8"))["config"]["velro:railway"]
    with (
        registry() as images,
        World(
            free_base(),
            folder / "world",
            mirror="ghcr.io/velro",
            private_network=True,
            project_id=place["projectId"],
            environment_id=place["environmentId"],
            extra=pace,
        ) as world,
    ):
        here = Room(world, project, images)
        for before, after in SMALL:
            here.edit(before, after)
        here.shell("git init -q -b main && git add -A && git commit -qm Begin")
        here.shell(
            "git init -q --bare ../origin.git && git remote add origin ../origin.git && git push -qu origin main"
        )
        here.run("runbook.md", "pulumi stack init production")
        given = " ".join(f"--secret 'velro:secrets.{path}={value}'" for path, value in secrets(world).items())
        here.shell(f"pulumi config set-all --path {given}")
        yield here


def secrets(world: World) -> dict[str, str]:
    """What the head of the production file asks to be set, below `secrets`."""
    own = {
        "previewKey": KEY,
        "releaseKey": "the-release-key",
        "consumers.web": API_KEY,
        "consumers.backend": BACKEND_KEY,
    }
    for colour in ("blue", "green"):
        own[f"frontend.{colour}.PUBLIC_API_KEY"] = API_KEY
        own[f"backend.{colour}.DATABASE_URL"] = world.app_database_url
        own[f"backend.{colour}.SUPABASE_JWT_SECRET"] = JWT_SECRET
    return own


@contextmanager
def registry() -> Iterator[Registry]:
    """A registry that has v42 of both apps, in a thread of its own."""
    images, up, stop = Registry(), Event(), list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]()
    for name in ("backend", "frontend"):
        images.keep(f"velro/{name}", "v42")

    async def serve() -> None:
        async with images.serving():
            stop.append((asyncio.get_running_loop(), asyncio.Event()))
            up.set()
            await stop[0][1].wait()

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(PATIENCE)
    try:
        yield images
    finally:
        stop[0][0].call_soon_threadsafe(stop[0][1].set)
        thread.join(PATIENCE)


def commands(ran: Sequence[Ran]) -> list[tuple[str, ...]]:
    """The words of everything that was run."""
    return [key(each.text) for each in ran]
