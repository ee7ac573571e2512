"""What the tests of the Railway stand-in share: its server on a free port, a client, a clock that a test owns.

The supervisor is either the real one (real processes) or, for the state machine, a fake that speaks its wire protocol
and lets a test decide what each process does. Deliberately not here: assertions.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from graphql import FragmentDefinitionNode, OperationDefinitionNode, parse, print_ast

from sandbox import railway, supervisor
from sandbox.railway_call import Options
from sandbox.railway_clock import Clock, LaptopClock
from sandbox.railway_door import Budget, Tokens
from sandbox.railway_images import Images
from sandbox.railway_store import Deployment, Store

RECORDED = Path(__file__).parent / "recorded" / "railway-operations.graphql"
PROJECT, ENVIRONMENT, TOKEN, WORKSPACE_TOKEN = "project-1", "environment-1", "secret", "workspace-secret"
REGION = "europe-west4-drams3a"
HEADERS = {"User-Agent": "bluegreen-tests/1", "Project-Access-Token": TOKEN}

_document = parse(RECORDED.read_text())
_fragments = {d.name.value: print_ast(d) for d in _document.definitions if isinstance(d, FragmentDefinitionNode)}


def _with_fragments(operation: OperationDefinitionNode) -> str:
    text = print_ast(operation)
    names = dict.fromkeys(re.findall(r"\.\.\.\s*(\w+)", text))
    return "\n".join([text, *(_fragments[name] for name in names)])


OPERATIONS = {
    d.name.value: _with_fragments(d)
    for d in _document.definitions
    if isinstance(d, OperationDefinitionNode) and d.name is not None
}


class ManualClock:
    """A clock that stands still until a test lets a known wait end."""

    def __init__(self) -> None:
        self._now = datetime(2030, 1, 1, tzinfo=UTC)
        self._sleepers: list[tuple[datetime, float, asyncio.Future[None]]] = []
        self._asked = asyncio.Condition()

    def now(self) -> datetime:
        return self._now

    def span(self, seconds: float) -> timedelta:
        return timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=seconds), seconds, woken))
        async with self._asked:
            self._asked.notify_all()
        await woken

    def _sleeping(self, seconds: float) -> datetime | None:
        return next((due for due, wanted, woken in self._sleepers if wanted == seconds and not woken.done()), None)

    async def wake(self, seconds: float) -> None:
        """Wait until somebody waits for exactly so many seconds, and let them pass."""
        async with self._asked:
            await self._asked.wait_for(lambda: self._sleeping(seconds) is not None)
        due = self._sleeping(seconds)
        assert due is not None
        self.advance((due - self._now).total_seconds())

    def advance(self, seconds: float) -> None:
        """Let time pass, whoever waits."""
        self._now += timedelta(seconds=seconds)
        for due, _, woken in self._sleepers:
            if due <= self._now and not woken.done():
                woken.set_result(None)
        self._sleepers = [each for each in self._sleepers if not each[2].done()]


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """The application on a free port of this machine; its address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        for each in [*runner.sites]:
            await each.stop()
        for _ in range(3):  # a connection that is being accepted is not known to aiohttp yet, and would stay open
            await asyncio.sleep(0)
        await runner.cleanup()


@dataclass
class FakeSupervisor:
    """The supervisor's wire protocol; a process runs at once, and answers `health` on its own port."""

    health: int = 200
    start_exit_code: int | None = None  # set: every new process exits at once with this code
    refuse_activation: str = ""
    processes: dict[str, dict[str, Any]] = field(default_factory=dict)
    health_hosts: list[str] = field(default_factory=list)
    health_port: int = 0

    def app(self) -> web.Application:
        app = web.Application()
        one = "/processes/{id}"
        app.add_routes(
            [
                web.get("/health", self._ok),
                web.get("/processes", self._list),
                web.put(one, self._start),
                web.get(one, self._show),
                web.delete(one, self._forget),
                web.post(one + "/activate", self._activate),
                web.post(one + "/stop", self._stop),
                web.get(one + "/logs", self._logs),
            ]
        )
        return app

    def health_app(self) -> web.Application:
        async def answer(request: web.Request) -> web.Response:
            self.health_hosts.append(request.host)
            return web.Response(status=self.health)

        app = web.Application()
        app.router.add_get("/health", answer)
        return app

    def exit(self, process: str, code: int) -> None:
        """End a running process."""
        self.processes[process].update(state="exited", exitCode=code)

    async def _ok(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response(list(self.processes.values()))

    async def _start(self, request: web.Request) -> web.Response:
        name, body = request.match_info["id"], await request.json()
        if name not in self.processes:
            state = "up" if self.start_exit_code is None else "exited"
            self.processes[name] = {
                **body,
                "id": name,
                "state": state,
                "exitCode": self.start_exit_code,
                "healthPort": self.health_port,
                "stops": [],
            }
        return web.json_response(self.processes[name], status=201)

    async def _show(self, request: web.Request) -> web.Response:
        found = self.processes.get(request.match_info["id"])
        return web.json_response(found) if found else web.json_response({"message": "none"}, status=404)

    async def _forget(self, request: web.Request) -> web.Response:
        self.processes.pop(request.match_info["id"], None)
        return web.Response(status=204)

    async def _activate(self, request: web.Request) -> web.Response:
        if self.refuse_activation:
            return web.json_response({"message": self.refuse_activation}, status=409)
        self.processes[request.match_info["id"]]["state"] = "serving"
        return web.json_response({})

    async def _stop(self, request: web.Request) -> web.Response:
        found = self.processes.get(request.match_info["id"])
        if found is None:
            return web.json_response({"message": "none"}, status=404)
        found["stops"].append((await request.json())["drainingSeconds"])
        if found["state"] != "exited":
            found.update(state="exited", exitCode=0)
        return web.json_response(found, status=202)

    async def _logs(self, request: web.Request) -> web.Response:
        line = {"time": "2030-01-01T00:00:00+00:00", "text": f"hello from {request.match_info['id']}"}
        return web.json_response({"lines": [line]})


@dataclass
class Railway:
    """A running stand-in, seen through its wire and its store."""

    address: str
    store: Store
    session: aiohttp.ClientSession

    async def post(
        self, body: Any, headers: Mapping[str, str] = HEADERS, query: str = "?source=tests"
    ) -> tuple[int, Any]:
        """Status and body of a raw POST; the body is text unless it is JSON."""
        async with self.session.post(self.address + "/graphql/v2" + query, json=body, headers=headers) as answer:
            if answer.content_type == "application/json":
                return answer.status, await answer.json()
            return answer.status, await answer.text()

    async def ask(self, operation: str, *, headers: Mapping[str, str] = HEADERS, **variables: Any) -> Any:
        """The whole answer to a recorded operation."""
        body = {"query": OPERATIONS[operation], "operationName": operation, "variables": variables}
        _, answer = await self.post(body, headers)
        return answer

    async def do(self, operation: str, **variables: Any) -> Any:
        """The value of a recorded operation's one root field, which has to succeed."""
        answer = await self.ask(operation, **variables)
        if "errors" in answer:
            raise AssertionError(answer["errors"])
        (value,) = answer["data"].values()
        return value

    async def error(self, operation: str, **variables: Any) -> str:
        """The message of a recorded operation that has to be refused."""
        answer = await self.ask(operation, **variables)
        return str(answer["errors"][0]["message"])

    async def create(self, name: str = "backend-blue", **more: Any) -> str:
        place = {"projectId": PROJECT, "environmentId": ENVIRONMENT}
        made = await self.do("ServiceCreate", input={**place, "name": name, **more})
        return str(made["id"])

    async def configure(self, service: str, tag: str = "v1", **more: Any) -> None:
        change = {
            "source": {"image": f"registry.sandbox/backend:{tag}"},
            "healthcheckPath": "/health",
            "healthcheckTimeout": 20,
            "overlapSeconds": 7,
            "drainingSeconds": 9,
            "multiRegionConfig": {REGION: {"numReplicas": 1}},
            **more,
        }
        await self.do("ServiceInstanceUpdate", serviceId=service, environmentId=ENVIRONMENT, input=change)

    async def variables(self, service: str, *, replace: bool = True, skip: bool = True, **values: str) -> None:
        wanted = {
            "projectId": PROJECT,
            "environmentId": ENVIRONMENT,
            "serviceId": service,
            "replace": replace,
            "skipDeploys": skip,
            "variables": values,
        }
        await self.do("VariableCollectionUpsert", input=wanted)

    async def deploy(self, service: str) -> Deployment:
        made = await self.do("ServiceInstanceDeploy", serviceId=service, environmentId=ENVIRONMENT)
        found = self.store.deployment(made)
        assert found is not None
        return found

    async def until(self, deployment: Deployment, status: str) -> None:
        """Return once the deployment has this status."""
        async with asyncio.timeout(20):
            await self.store.until(lambda: deployment.status == status)

    async def script(self, *scripts: Mapping[str, Any]) -> None:
        async with self.session.put(self.address + "/__scripts", json=list(scripts)) as answer:
            assert answer.status == 200, await answer.text()


@asynccontextmanager
async def standin(
    folder: Path,
    supervisor_address: str,
    clock: Clock,
    options: Options | None = None,
    limit: int = 10_000,
    images: Images | None = None,
) -> AsyncIterator[Railway]:
    """The stand-in over this folder's store."""
    store = Store.open(folder, PROJECT, ENVIRONMENT, clock.now())
    tokens = Tokens(TOKEN, WORKSPACE_TOKEN)
    app = railway.application(store, supervisor_address, clock, tokens, Budget(limit), options or Options(), images)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(served(app))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Railway(address, store, session)


@asynccontextmanager
async def faked(
    folder: Path,
    clock: Clock | None = None,
    options: Options | None = None,
    limit: int = 10_000,
    images: Images | None = None,
) -> AsyncIterator[tuple[Railway, FakeSupervisor]]:
    """The stand-in beside a fake supervisor; the clock is real and fast unless a test owns it."""
    machines = FakeSupervisor()
    async with AsyncExitStack() as stack:
        health = await stack.enter_async_context(served(machines.health_app()))
        machines.health_port = int(health.rpartition(":")[2])
        address = await stack.enter_async_context(served(machines.app()))
        running = standin(folder, address, clock or LaptopClock(0.001), options, limit, images)
        yield await stack.enter_async_context(running), machines


@asynccontextmanager
async def real(
    folder: Path, scale: float = 0.02, images: Images | None = None, clock: Clock | None = None
) -> AsyncIterator[Railway]:
    """The stand-in beside the real supervisor, whose processes are children of the test."""
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(served(supervisor.application(folder / "logs")))
        running = standin(folder / "data", address, clock or LaptopClock(scale), images=images)
        yield await stack.enter_async_context(running)
