"""The supervisor: owns the app processes, so that they outlive a stopped or killed Railway stand-in.

`python -m sandbox.supervisor --port P --logs DIR [--network N]` offers, on loopback:

* `PUT /processes/{id}` `{"group", "port", "env"}` starts `python -m sandbox.app` (idempotent by id) → 201, or 200
* `POST /processes/{id}/activate` it serves its port from now on → 200; 409 with a reason when it cannot. On 127.0.0.1,
  or in a private network on the address of `<group>.railway.internal` (`sandbox.ports`)
* `POST /processes/{id}/retire` it accepts nothing more, open connections stay → 200
* `POST /processes/{id}/stop` `{"drainingSeconds"}` SIGTERM, SIGKILL after that time → 202
* `GET /processes`, `GET /processes/{id}` → `id, group, pid, address, port, healthPort, state, exitCode, startedAt`;
  `?until=STATE&seconds=N` waits until it has come so far or has ended, at most 10 s
* `GET /processes/{id}/logs?lines=N` → `{"lines": [{"time", "text"}]}` · `DELETE /processes/{id}` forgets an exited one
* `GET /health`, and the faults of `sandbox.faults`

`state` is starting, up (its own health port answers), serving, retired, stopping, exited. When the supervisor ends, in
whatever way, every app process ends too; therefore it keeps nothing on disk but the logs.

Deliberately not here: deployments, health checks, restarts. Those are the platform's decisions (`sandbox.railway`).
"""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import get_args

from aiohttp import web
from pydantic import Field, ValidationError

from sandbox import lifecycle
from sandbox.faults import Faults, Strict
from sandbox.supervisor_children import Child, Children, Refusal, State

STATES: dict[str, State] = {state: state for state in get_args(State)}
LONGEST_WAIT = 10.0
GRACE = 0.8  # seconds that processes get when the supervisor itself is ended


class Start(Strict):
    """What to start, and which port it shall serve once it is active."""

    group: str = Field(min_length=1)
    port: int | None = Field(default=None, ge=1, le=65535)
    env: dict[str, str] = Field(default_factory=dict)


class Stop(Strict):
    """How long a process may finish what it has in flight."""

    drainingSeconds: float = Field(default=0.0, ge=0)  # the name on the wire


def shown(child: Child) -> dict[str, object]:
    """A process as the control interface shows it."""
    return {
        "id": child.name,
        "group": child.group,
        "pid": child.pid,
        "address": child.address,
        "port": child.port,
        "healthPort": child.backdoor_port,
        "state": child.state,
        "exitCode": child.exit_code,
        "startedAt": child.started.isoformat(),
    }


class Control:
    """The control interface over HTTP."""

    def __init__(self, children: Children) -> None:
        self._children = children

    def routes(self) -> list[web.RouteDef]:
        one = "/processes/{id}"
        return [
            web.get("/health", self.health),
            web.get("/processes", self.list),
            web.put(one, self.start),
            web.get(one, self.show),
            web.delete(one, self.forget),
            web.post(one + "/activate", self.activate),
            web.post(one + "/retire", self.retire),
            web.post(one + "/stop", self.stop),
            web.get(one + "/logs", self.logs),
        ]

    def _child(self, request: web.Request) -> Child:
        child = self._children.find(request.match_info["id"])
        if child is None:
            raise Refusal(f"There is no process {request.match_info['id']!r}.")
        return child

    async def health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "pid": os.getpid()})

    async def list(self, _: web.Request) -> web.Response:
        return web.json_response([shown(child) for child in self._children.all()])

    async def start(self, request: web.Request) -> web.Response:
        wanted = Start.model_validate_json(await request.read())
        name = request.match_info["id"]
        known = self._children.find(name) is not None
        child = await self._children.start(name, wanted.group, wanted.port, wanted.env)
        return web.json_response(shown(child), status=200 if known else 201)

    async def show(self, request: web.Request) -> web.Response:
        child, wanted = self._child(request), request.query.get("until")
        if wanted is not None:
            if wanted not in STATES:
                raise Refusal(f"until is {wanted!r}; a state is one of {', '.join(STATES)}.")
            try:
                seconds = min(float(request.query.get("seconds", LONGEST_WAIT)), LONGEST_WAIT)
            except ValueError:
                raise Refusal(f"seconds is {request.query['seconds']!r}, not a number.") from None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await child.come_to(STATES[wanted])
        return web.json_response(shown(child))

    async def forget(self, request: web.Request) -> web.Response:
        self._children.forget(self._child(request))
        return web.Response(status=204)

    async def activate(self, request: web.Request) -> web.Response:
        child = self._child(request)
        await self._children.activate(child)
        return web.json_response(shown(child))

    async def retire(self, request: web.Request) -> web.Response:
        child = self._child(request)
        await self._children.retire(child)
        return web.json_response(shown(child))

    async def stop(self, request: web.Request) -> web.Response:
        child = self._child(request)
        wanted = Stop.model_validate_json(await request.read() or b"{}")
        await self._children.stop(child, wanted.drainingSeconds)
        return web.json_response(shown(child), status=202)

    async def logs(self, request: web.Request) -> web.Response:
        wanted = request.query.get("lines", "200")
        if not wanted.isdecimal():
            raise Refusal(f"lines is {wanted!r}, not a number.")
        lines = list(self._child(request).lines)[-int(wanted) :] if int(wanted) else []
        return web.json_response({"lines": [{"time": line.time.isoformat(), "text": line.text} for line in lines]})


@web.middleware
async def refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Orders that cannot be carried out are told, never traced."""
    try:
        return await handler(request)
    except Refusal as error:
        missing = str(error).startswith("There is no process")
        return web.json_response({"message": str(error)}, status=404 if missing else 409)
    except ValidationError as error:
        return web.Response(status=400, text=error.json(include_url=False), content_type="application/json")


def application(logs: Path, network: int | None = None) -> web.Application:
    """The supervisor, ready to be served; its processes end in the application's clean-up."""
    children, faults = Children(logs, network), Faults()
    app = web.Application(middlewares=[faults.middleware(), refusals])
    app.add_routes(Control(children).routes() + faults.routes())

    async def end(_: web.Application) -> None:
        await children.end_all(GRACE)

    app.on_shutdown.append(end)
    return app


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.supervisor", description="Owns the app processes.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--logs", type=Path, required=True, metavar="DIR", help="one log file per process")
    parser.add_argument("--network", type=int, metavar="N", help="every service listens on an address of its own")
    lifecycle.add_parent_option(parser)
    options = parser.parse_args(arguments)

    async def build() -> web.Application:
        return application(options.logs, options.network)

    return lifecycle.run(build, options.port, options.die_with_parent)


if __name__ == "__main__":
    sys.exit(main())
