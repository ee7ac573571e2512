"""What the Admin API says about the gateway itself: version and configuration, status, timers, schemas, tags, metrics.

`GET /` answers with the configuration of a real Kong 3.9.1 (kept as JSON), overridden by what this one was started
with; its plugin list is the plugins whose schemas are known here. Memory and connection figures are not measured.
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from aiohttp import web

from sandbox.kong_admin import Admin, answer, body_of
from sandbox.kong_cluster import Node
from sandbox.kong_entities import KINDS, PLUGINS, PRIORITIES, SCHEMAS, source
from sandbox.kong_errors import Refusal, Row
from sandbox.kong_exposition import page
from sandbox.kong_store import Page, by_id, page_size, tag_rows
from sandbox.kong_writes import judged

VERSION = "3.9.1"
WORKERS_FROM = 1000  # the stand-in's workers are no processes; their pids are counted from here


@cache
def recorded_configuration() -> Mapping[str, Any]:
    loaded: dict[str, Any] = json.loads((SCHEMAS / "configuration.json").read_text())
    return loaded


class AdminInfo:
    """The endpoints about the gateway itself."""

    def __init__(self, admin: Admin, admin_port: int, proxy_port: int) -> None:
        self._admin = admin
        self._listens = {
            "admin_listen": [f"127.0.0.1:{admin_port}"],
            "proxy_listen": [f"127.0.0.1:{proxy_port}"],
        }

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._root),
            web.get("/status", self._status),
            web.get("/status/dns", self._dns),
            web.get("/timers", self._timers),
            web.get("/plugins/enabled", self._enabled),
            web.get("/tags", self._tags),
            web.get("/tags/{tag}", self._tags),
            web.get("/schemas/plugins/{name}", self._plugin_schema),
            web.get("/schemas/{name}", self._schema),
            web.post("/schemas/{name}/validate", self._validate),
            web.get("/metrics", self._metrics),
            web.post("/config", self._config),
            web.get("/__counts", self._counts),
            web.post("/__settle", self._settle),
        ]

    def status_routes(self) -> list[web.RouteDef]:
        """The Status API, for a port of its own."""
        return [
            web.get("/status", self._status),
            web.get("/status/ready", self._ready),
            web.get("/metrics", self._metrics),
        ]

    def _node(self, request: web.Request) -> Node:
        return self._admin.worker(request).node

    def _pids(self, node: Node) -> list[int]:
        first = WORKERS_FROM + node.index * len(node.workers)
        return [first + worker.index for worker in node.workers]

    async def _root(self, request: web.Request) -> web.Response:
        node, settings = self._node(request), self._admin.cluster.settings
        available = {name: {"priority": priority, "version": VERSION} for name, priority in PRIORITIES.items()}
        used = sorted({str(row["name"]) for row in self._admin.store.all(PLUGINS)})
        configuration = {
            **recorded_configuration(),
            **self._listens,
            "nginx_worker_processes": str(settings.workers),
            "nginx_main_worker_processes": str(settings.workers),
            "db_update_frequency": settings.db_update_frequency,
            "worker_state_update_frequency": settings.worker_state_update_frequency,
            **settings.dns.shown(),
            "plugins": list(PRIORITIES),
            "loaded_plugins": dict.fromkeys(PRIORITIES, True),
        }
        return answer(
            {
                "version": VERSION,
                "edition": "community",
                "tagline": "Welcome to kong",
                "hostname": f"kong-{node.index}",
                "node_id": node.id,
                "lua_version": "LuaJIT 2.1.1700206165",
                "pids": {"master": os.getpid(), "workers": self._pids(node)},
                "timers": {"running": 0, "pending": 0},
                "plugins": {"available_on_server": available, "enabled_in_cluster": used},
                "configuration": configuration,
            }
        )

    async def _status(self, request: web.Request) -> web.Response:
        counts = ("accepted", "active", "handled", "reading", "waiting", "writing")
        server: Row = {f"connections_{name}": 0 for name in counts}
        total = sum(node.counts.total for node in self._admin.cluster.nodes)
        workers = [{"pid": pid, "http_allocated_gc": "0.00 MiB"} for pid in self._pids(self._node(request))]
        return answer(
            {
                "database": {"reachable": True},
                "server": server | {"total_requests": total},
                "memory": {"lua_shared_dicts": {}, "workers_lua_vms": workers},
            }
        )

    async def _ready(self, _: web.Request) -> web.Response:
        return answer({"message": "ready"})

    async def _dns(self, request: web.Request) -> web.Response:
        if not self._admin.cluster.settings.dns.new_client:
            return answer({"message": "not implemented with the legacy DNS client"}, 501)
        worker = self._admin.worker(request)
        return answer({"worker": {"id": worker.index, "count": len(worker.node.workers)}, "stats": {}})

    async def _timers(self, request: web.Request) -> web.Response:
        worker = self._admin.worker(request)
        stats: Row = {"sys": {"running": 0, "total": 0, "runs": 0, "waiting": 0, "pending": 0}, "timers": {}}
        stats["flamegraph"] = {"running": "", "elapsed_time": "", "pending": ""}
        return answer({"worker": {"id": worker.index, "count": len(worker.node.workers)}, "stats": stats})

    async def _enabled(self, _: web.Request) -> web.Response:
        return answer({"enabled_plugins": list(PRIORITIES)})

    async def _tags(self, request: web.Request) -> web.Response:
        rows = tag_rows(self._admin.store, request.match_info.get("tag"))
        page: Page = by_id(rows, request.query, field="entity_id")
        page_size(request.query)
        return self._admin.paged(request, page, with_size=False)

    async def _plugin_schema(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in PRIORITIES:
            raise Refusal(404, {"message": f"No plugin named '{name}'"})
        return answer(source(f"plugin-{name}"))

    async def _schema(self, request: web.Request) -> web.Response:
        return answer(source(self._entity(request)))

    async def _validate(self, request: web.Request) -> web.Response:
        kind = KINDS[self._entity(request)]
        judged(kind, await body_of(request, kind))
        return answer({"message": "schema validation successful"})

    def _entity(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if name not in KINDS:
            raise Refusal(404, {"message": f"No entity named '{name}'"})
        return name

    async def _config(self, _: web.Request) -> web.Response:
        message = "this endpoint is only available when Kong is configured to not use a database"
        raise Refusal(400, {"message": message})

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=page(self._node(request), VERSION), content_type="text/plain")

    async def _counts(self, _: web.Request) -> web.Response:
        """Every client request that the proxy took, on all nodes together."""
        total = self._admin.cluster.nodes[0].counts
        for node in self._admin.cluster.nodes[1:]:
            total = total + node.counts
        return answer(total.shown())

    async def _settle(self, _: web.Request) -> web.Response:
        """Whatever was written comes into force on every worker now, for a test that need not wait for a tick."""
        self._admin.cluster.settle()
        return web.Response(status=204)
