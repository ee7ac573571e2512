"""Upstream health over the Admin API: which weights are in force on the worker that answers, and operators' verdicts.

Deliberately not here: the checks themselves (kong_health.py, kong_probes.py).
"""

from aiohttp import web

from sandbox.kong_admin import Admin, answer
from sandbox.kong_balancer import ring_report, targets_report
from sandbox.kong_entities import TARGETS, UPSTREAMS
from sandbox.kong_errors import Refusal, Row
from sandbox.kong_store import by_position


class AdminHealth:
    """`/upstreams/{u}/health` and what belongs to it."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def routes(self) -> list[web.RouteDef]:
        one = "/upstreams/{above}/targets/{key}"
        return [
            web.get("/upstreams/{above}/health", self._health),
            web.get("/upstreams/{above}/targets/all", self._all_targets),
            *(web.put(f"{one}/{word}", self._verdict) for word in ("healthy", "unhealthy")),
            *(web.put(one + "/{address}/" + word, self._verdict) for word in ("healthy", "unhealthy")),
        ]

    def _upstream(self, request: web.Request) -> Row:
        return self._admin.required(UPSTREAMS, request.match_info["above"])

    async def _health(self, request: web.Request) -> web.Response:
        upstream, worker = self._upstream(request), self._admin.worker(request)
        balancer = worker.reported(upstream)
        body: Row = {"node_id": worker.node.id, "next": None}
        if request.query.get("balancer_health") == "1":
            if balancer is not None:
                body["data"] = ring_report(balancer)
            return answer(body)
        rows = self._admin.store.all(TARGETS, {"upstream": upstream})
        rows.sort(key=lambda row: (-row["created_at"], row["id"]))
        page = by_position(rows, request.query)
        body["data"] = targets_report(balancer, page.rows)
        if page.offset is not None:
            body |= {"offset": page.offset, "next": f"{request.path}?offset={page.offset}"}
        return answer(body)

    async def _all_targets(self, request: web.Request) -> web.Response:
        rows = self._admin.store.all(TARGETS, {"upstream": self._upstream(request)})
        return self._admin.paged(request, by_position(rows, request.query), with_size=False)

    async def _verdict(self, request: web.Request) -> web.Response:
        """An operator calls an address (or all of a target's) healthy or unhealthy; every node hears of it."""
        upstream = self._upstream(request)
        row = self._admin.required(TARGETS, request.match_info["key"], {"upstream": upstream})
        balancer = self._admin.worker(request).balancers.get(upstream["id"])
        if balancer is None:
            raise Refusal(400, {"message": f"Upstream {upstream['name']} has no balancer"})
        if not balancer.checked:
            raise Refusal(400, {"message": f"no healthchecker found for {upstream['name']}"})
        up, wanted = request.path.endswith("/healthy"), request.match_info.get("address")
        for one in balancer.members:
            for peer in one.peers if one.row["id"] == row["id"] else ():
                if wanted in (None, f"{peer.ip}:{peer.port}"):
                    for node in self._admin.cluster.nodes:
                        node.health.set(upstream["id"], peer.address, up)
        return web.Response(status=204)
