"""The world on one laptop: starts the stand-ins as processes, stops or kills each one alone, and leaves nothing behind.

`with World(free_base(), data) as world:` runs Postgres, the Kong stand-in, the supervisor of the app processes and the
Railway stand-in side by side, on ports counted from one base. What runs is written to `data/world.json` as soon as it
runs, so another process (a driver, `python -m sandbox down` after a crash) finds the same world with
`World.found(data)`. Token, project and environment belong to the data folder: they stay the same when a world is
started there again, and so does what is in its database, unless the database had to lie elsewhere
(`sandbox.postgres_cluster`): then it goes with the world.

Deliberately not here: deployments, upstreams, load. A world that was just started has no app process in it.
"""

import http.client
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox import postgres_cluster, world_members, world_nodes
from sandbox.ports import Ports
from sandbox.postgres_address import APP, OWNER, address
from sandbox.world_arguments import arguments, logs
from sandbox.world_members import Process
from sandbox.world_nodes import asked, refuse_nodes
from sandbox.world_ports import free_base, refuse_if_taken
from sandbox.world_record import MEMBERS, Member, WorldError, Written

__all__ = ["DEFAULT_BASE", "MEMBERS", "Member", "World", "WorldError", "free_base"]

DEFAULT_BASE = 18_000


class World:
    """The sandbox's processes on one port base, recorded in one data folder."""

    def __init__(
        self,
        base: int,
        data: Path,
        members: Sequence[Member] = MEMBERS,
        *,
        admin: str | None = None,
        proxy: str | None = None,
        mirror: str | None = None,
        private_network: bool = False,
        nodes: int = 1,
        project_id: str | None = None,
        environment_id: str | None = None,
        extra: Mapping[Member, Sequence[str]] | None = None,
        detached: bool = False,
    ) -> None:
        """A world that is not open yet.

        Args:
            admin: the Admin API of a real Kong, when `members` leaves the stand-in out; `proxy` is its proxy.
            mirror: a foreign registry, such as `ghcr.io/acme`, whose images run as the sandbox's good ones.
            private_network: every service listens on a loopback address of its own, on any port it likes.
            nodes: of the gateway's stand-in, behind one admin address; each has a proxy port of its own, too.
            project_id: instead of the folder's own; so with `environment_id`.
            extra: further arguments for a member.
            detached: the members outlive this process.
        """
        if private_network and sys.platform != "linux":
            raise WorldError(
                "A private network needs every address of 127.0.0.0/8, which only Linux has from the start. "
                "Nothing was started. Leave private_network out and give every service a port of its own."
            )
        refuse_nodes(nodes, members)
        self.data = data.resolve()
        self.ports = Ports(base)
        known = Written.read(self.data)
        self._refuse_if_up(known)
        self._written = Written(
            base=base,
            members=tuple(member for member in MEMBERS if member in members),
            admin=admin or f"http://127.0.0.1:{self.ports.kong_admin}",
            proxy=proxy or f"http://127.0.0.1:{self.ports.kong_proxy}",
            token=known.token if known else str(uuid.uuid4()),
            project_id=project_id or (known.project_id if known else str(uuid.uuid4())),
            environment_id=environment_id or (known.environment_id if known else str(uuid.uuid4())),
            mirror=mirror,
            private_network=private_network,
            nodes=nodes,
            parent=None if detached else os.getpid(),
            extra={name: tuple(arguments) for name, arguments in (extra or {}).items()},
        )

    @classmethod
    def found(cls, data: Path) -> Self:
        """The world that is recorded in this folder, whoever started it."""
        written = Written.read(data.resolve())
        if written is None:
            raise WorldError(f"There is no sandbox in {data}. Nothing was changed. Start one: python -m sandbox up.")
        world = cls.__new__(cls)
        world.data = data.resolve()
        world.ports = Ports(written.base)
        world._written = written
        return world

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def admin(self) -> str:
        return self._written.admin

    @property
    def proxy(self) -> str:
        return self._written.proxy

    @property
    def nodes(self) -> int:
        return self._written.nodes

    def proxy_of(self, node: int) -> str:
        """The proxy of one node of the gateway's stand-in, counted from 0."""
        return f"http://127.0.0.1:{self.ports.kong_proxy_of(node)}"

    @property
    def railway_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.railway}/graphql/v2"

    @property
    def railway_token(self) -> str:
        return self._written.token

    @property
    def database_url(self) -> str:
        """For the owner of the app's tables, who migrates them."""
        return address(self._database_port, OWNER)

    @property
    def app_database_url(self) -> str:
        """For the app, whose login becomes one of the API's roles."""
        return address(self._database_port, APP)

    @property
    def project_id(self) -> str:
        return self._written.project_id

    @property
    def environment_id(self) -> str:
        return self._written.environment_id

    @property
    def members(self) -> tuple[Member, ...]:
        return self._written.members

    @property
    def logs(self) -> Path:
        return logs(self.data)

    def pids(self) -> dict[str, int]:
        """The stand-ins that run now."""
        self._look()
        return {name: process.pid for name, process in self._written.running.items() if process.alive}

    def apps(self) -> dict[str, int]:
        """The app processes that run now, by the supervisor's name for them."""
        if "supervisor" not in self.pids():
            return {}
        try:
            told = asked(self.ports.supervisor, "GET", "/processes")
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        return {one["id"]: one["pid"] for one in told if one["pid"] is not None and one["state"] != "exited"}

    def open(self) -> None:
        """Start every member; when one cannot start, all are ended again."""
        self._refuse_if_up(Written.read(self.data))
        refuse_if_taken(self.ports, self.members)
        try:
            for name in self.members:
                self._spawn(name)
            for name in self.members:
                self._await_ready(name, "Nothing is left running.")
        except BaseException:
            self.close()
            raise

    def start(self, name: Member) -> None:
        """Start a stopped or killed member again, on the same ports and with the same data."""
        if name not in self.members:
            raise WorldError(f"{name} is no member of this sandbox ({', '.join(self.members)}). Nothing was started.")
        if name not in self.pids():
            self._spawn(name)
            self._await_ready(name, "The other members go on.")

    def stop(self, name: Member) -> None:
        """End a member in order, SIGTERM; returns when it is gone."""
        self._finish([name], world_members.TERM_SECONDS)

    def kill(self, name: Member) -> None:
        """End a member at once, SIGKILL, as a crash would."""
        self._finish([name], None)

    def kill_node(self, node: int) -> None:
        """End one node of the gateway's stand-in at once; the others take the shared ports over."""
        world_nodes.put(self.ports.kong_admin, node, up=False)

    def start_node(self, node: int) -> None:
        """Start a killed node again, as a fresh process on what is stored."""
        world_nodes.put(self.ports.kong_admin, node, up=True)

    def close(self) -> None:
        """End everything this world started, whoever started it, and make sure that nothing is left."""
        self._finish(list(reversed(self.members)), world_members.TERM_SECONDS)
        self._written = replace(self._written, running={}, parent=None)
        self._written.save(self.data)
        if "postgres" in self.members:
            postgres_cluster.leave(self.data / "postgres")

    @property
    def _database_port(self) -> int:
        if "postgres" not in self.members:
            raise WorldError(f"postgres is no member of this sandbox ({', '.join(self.members)}); it has no database.")
        return self.ports.postgres

    def _spawn(self, name: Member) -> None:
        process = world_members.spawn(f"sandbox.{name}", arguments(name, self._written, self.data), self.logs, name)
        self._written = replace(self._written, running={**self._written.running, name: process})
        self._written.save(self.data)

    def _await_ready(self, name: Member, world: str) -> None:
        reason = world_members.await_ready(self._written.running[name], self.logs, name)
        if reason is not None:
            self._finish([name], None)
            raise WorldError(
                f"{name} did not start: {reason.rstrip('.')}. {world} See {self.logs / name}.log, and start it again."
            )

    def _finish(self, names: Sequence[Member], term_seconds: float | None) -> None:
        """End these members' processes; without `term_seconds`, at once."""
        self._look()
        processes = [self._written.running[name] for name in names if name in self._written.running]
        left = world_members.kill(processes) if term_seconds is None else world_members.end(processes, term_seconds)
        self._insist(left)
        running = {name: process for name, process in self._written.running.items() if name not in names}
        self._written = replace(self._written, running=running)
        self._written.save(self.data)

    def _look(self) -> None:
        """Another process may have stopped or started a member meanwhile; only that is taken over."""
        known = Written.read(self.data)
        if known is not None:
            self._written = replace(self._written, running=known.running)

    def _insist(self, left: Sequence[Process]) -> None:
        if left:
            raise WorldError(
                f"These processes did not end: {', '.join(str(process.pid) for process in left)}. "
                f"They are still recorded in {self.data / 'world.json'}. Run python -m sandbox down again."
            )

    def _refuse_if_up(self, known: Written | None) -> None:
        up = {name: process.pid for name, process in known.running.items() if process.alive} if known else {}
        if up:
            told = ", ".join(f"{name} {pid}" for name, pid in up.items())
            raise WorldError(
                f"A sandbox is already up in {self.data} ({told}). It was left as it is. "
                f"Run python -m sandbox down --data {self.data} first, or choose another folder with --data."
            )
