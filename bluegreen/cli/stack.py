"""A Pulumi stack from outside: its config, its lock, and the few engine commands a verb needs.

Everything goes through the `pulumi` on PATH, so backends, secrets and `--config-file` mean here what they mean there.
Only a lock of a `file://` backend can be looked into; about any other backend nothing is claimed.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import ParseResult, unquote, urlparse

from bluegreen.cli.troubles import known
from bluegreen.handler import Refused
from bluegreen.plain import Unreadable, plain

UNREADABLE = "failed to load checkpoint"  # how the engine says that a state is no state
AGAIN = (0.1, 0.2, 0.4, 0.8)  # seconds between two looks at a state that its engine may be writing just now
CONFIG_FILE = "BLUEGREEN_CONFIG_FILE"  # names the stack's config file where it is not Pulumi.<stack>.yaml


@dataclass(frozen=True, slots=True)
class Lock:
    """Who holds a stack, as the backend wrote it down."""

    pid: int
    user: str
    host: str
    since: datetime

    @property
    def alive(self) -> bool | None:
        """Whether its process still runs; None where that cannot be known, because it is another host's."""
        if self.host != socket.gethostname():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user}@{self.host} since {self.since:%Y-%m-%d %H:%M:%S %Z}".strip()


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack of the project in the working directory."""

    name: str
    project: str
    qualified: str  # as it was given: organization/project/name, or the name alone

    @classmethod
    def named(cls, name: str, *, engine: bool = True) -> "Stack":
        """The stack called so; without `engine` no `pulumi` is needed.

        Raises:
            Refused: there is no Pulumi.yaml here, or no `pulumi` on PATH.
        """
        if engine and shutil.which("pulumi") is None:
            raise Refused(
                "There is no pulumi on PATH.",
                world="Nothing was changed.",
                next='Install it, or run eval "$(python3 -m toolchain env)" here.',
            )
        try:
            first = Path("Pulumi.yaml").read_text(encoding="utf-8").splitlines()
        except OSError as problem:
            raise Refused(
                "There is no Pulumi.yaml in this directory.",
                world="Nothing was changed.",
                next="Change to the project's directory.",
            ) from problem
        project = next((line.partition(":")[2].strip() for line in first if line.startswith("name:")), "")
        return cls(name.rpartition("/")[2], project, name)

    @property
    def file(self) -> Path:
        """Where the stack's config is, whether it is there or not."""
        return Path(os.environ.get(CONFIG_FILE) or f"Pulumi.{self.name}.yaml")

    def config(self, file: Path | None = None) -> dict[str, str]:
        """The whole config in `PULUMI_CONFIG`'s shape, secrets in clear; of another file where one is named.

        Raises:
            Refused: with what pulumi said.
        """
        chosen = ("--config-file", str(file)) if file is not None else self._file()
        listed: Mapping[str, Any] = json.loads(self._run("config", "--json", "--show-secrets", *chosen))
        return {key: str(entry.get("value", "")) for key, entry in listed.items()}

    def plain_config(self) -> tuple[dict[str, str], frozenset[str]]:
        """The config as the file has it, without Pulumi; and the keys that are left out because they are encrypted.

        Raises:
            Refused: the file is not there, or is no stack's config.
        """
        try:
            return plain(self.file, self.project)
        except Unreadable as problem:
            raise Refused(
                f"{self.file.name} cannot be read: {problem}.",
                world="Nothing was changed.",
                next="Change to the project's directory, or name the stack.",
            ) from problem

    def write(self, key: str, value: str) -> None:
        """`pulumi config set --path`: one line of the stack's config, its comments kept.

        Raises:
            Refused: with what pulumi said, or because there is no pulumi.
        """
        if shutil.which("pulumi") is None:
            what = "There is no pulumi on PATH that could write the config."
            raise Refused(what, world="The file is unchanged.", next=f"Write {key}: {value} by hand.")
        self._run("config", "set", "--path", key, value, *self._file())

    def encrypt(self, key: str, value: str, file: Path) -> None:
        """`pulumi config set --secret --path` in this file; the value is in nobody's list of processes.

        Raises:
            Refused: with what pulumi said.
        """
        self._run("config", "set", "--secret", "--path", "--raw", key, "--config-file", str(file), told=value)

    @property
    def shows_locks(self) -> bool:
        """Whether this backend's locks can be looked into."""
        return self._backend().scheme == "file"

    def lock(self) -> Lock | None:
        """Who holds the stack; None when nobody does, or when the backend does not show it."""
        root = self._root()
        kept = root.glob(f"locks/organization/{self.project}/{self.name}/*.json") if root else ()
        for path in sorted(kept):
            try:
                held = json.loads(path.read_text(encoding="utf-8"))
                since = datetime.fromisoformat(held["timestamp"])
                return Lock(int(held["pid"]), str(held["username"]), str(held["hostname"]), since)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # released this moment, or not a lock
        return None

    def break_lock(self) -> None:
        """`pulumi cancel`: takes the lock away, whoever holds it."""
        self._run("cancel", "--yes", self.qualified, stack=False)

    def refresh(self) -> None:
        """`pulumi refresh`: state as the world is, pending creates forgotten (a create adopts what one left)."""
        self._run("refresh", "--yes", "--skip-preview", "--clear-pending-creates", *self._file())

    def ids(self, kind: str) -> frozenset[str]:
        """What state knows of one kind of resource, such as `bluegreen:kong:`, by the vendor's ids."""
        exported: Mapping[str, Any] = json.loads(self._run("stack", "export"))
        resources = (exported.get("deployment") or {}).get("resources") or []
        return frozenset(str(row.get("id")) for row in resources if str(row.get("type")).startswith(kind))

    def pending(self) -> tuple[str, ...]:
        """What an engine was about to do when it was cut short, and nobody has asked since what came of it.

        Raises:
            Refused: with what pulumi said.
        """
        exported: Mapping[str, Any] = json.loads(self._run("stack", "export"))
        rows = (exported.get("deployment") or {}).get("pending_operations") or []
        names = ((row.get("type"), str((row.get("resource") or {}).get("urn")).rpartition("::")[2]) for row in rows)
        return tuple(f"{doing} {name}" for doing, name in names)

    def must_be_settled(self) -> None:
        """Everything that the program declares is there and in state.

        Raises:
            Refused: a preview would change something, or does not come to its end.
        """
        self._run("preview", "--expect-no-changes", *self._file())

    def _backend(self) -> ParseResult:
        told: Mapping[str, Any] = json.loads(self._run("whoami", "-v", "--json", stack=False))
        return urlparse(str(told.get("url", "")))

    def _file(self) -> tuple[str, ...]:
        named = os.environ.get(CONFIG_FILE)
        return ("--config-file", named) if named else ()

    def _run(self, *arguments: str, stack: bool = True, told: str | None = None) -> str:
        chosen = ("--stack", self.qualified) if stack else ()
        command = ["pulumi", *arguments, *chosen, "--non-interactive", "--color", "never"]
        done = _ran(command, told)
        for pause in AGAIN:
            # A file is not written in one go: what runs inside an update may meet half a state.
            if done.returncode == 0 or UNREADABLE not in done.stderr + done.stdout or self.lock() is None:
                break
            time.sleep(pause)
            done = _ran(command, told)
        if done.returncode == 0:
            return done.stdout
        said = [line for line in (done.stderr + done.stdout).splitlines() if "error:" in line] or [done.stderr.strip()]
        if UNREADABLE in said[0]:
            raise self.unreadable(said[0])
        if (refused := known(said[0], self.name)) is not None:
            raise refused
        raise Refused(
            f"pulumi {arguments[0]} failed: {said[0].strip().removeprefix('error: ').rstrip('.')}.",
            world=f"It ended with {done.returncode}.",
            next=f"Run pulumi {arguments[0]} --stack {self.name} by hand to see all of it.",
        )

    def unreadable(self, said: str) -> Refused:
        """What to tell where the engine says that this stack's state is no state."""
        why = said.partition(UNREADABLE)[2].strip(": ")
        root = self._root()
        copy = self._whole_copy(root) if root else None
        state = f"{root}/stacks/{self.project}/{self.name}.json"
        back = f"Put the newest whole copy back: cp '{copy}' '{state}'" if copy else "Restore it from its backend"
        return Refused(
            f"The state of stack {self.name} cannot be read: {why}.",
            world="Nothing was changed; traffic goes on as the gateway has it.",
            next=f"{back}; then run this again, and pulumi refresh.",
        )

    def _whole_copy(self, root: Path) -> Path | None:
        """The newest copy of the state that can be read."""
        kept = sorted(root.glob(f"history/{self.project}/{self.name}/*.checkpoint.json"), reverse=True)
        return next((copy for copy in kept if _is_json(copy)), None)

    def _root(self) -> Path | None:
        """Where the backend keeps everything; None where that cannot be looked into."""
        where = self._backend()
        return Path(unquote(where.netloc + where.path)).expanduser() / ".pulumi" if where.scheme == "file" else None


def _ran(command: Sequence[str], told: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, input=told or "")


def _is_json(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False
