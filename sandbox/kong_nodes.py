"""Killing one node of the gateway and starting it again: `PUT /__nodes/{n} {"up": false}` on the admin port.

All nodes live in one process, so a node is killed by what its neighbours would see: its own proxy port refuses
connections, every connection that it held is reset, the shared ports lead to the other nodes only, and it hears of no
write. `{"up": true}` starts it as a process starts: it reads everything from the database at once, and its limits,
health and metrics begin anew. Either word may be said twice. With no node left, the shared ports reset whoever comes,
but for `/__` paths on the admin port. A restarted gateway has all its nodes up.

Deliberately not here: a node that is only slow or cut off from its database (that is a `lag` fault).
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import ValidationError

from sandbox.faults import Strict, cut
from sandbox.kong_admin import Admin, answer
from sandbox.kong_cluster import Cluster, Node, NoNode
from sandbox.kong_errors import Row
from sandbox.kong_proxy import Proxy
from sandbox.lifecycle import Unfit

PATH = "/__nodes"


class Wanted(Strict):
    """How a node shall be."""

    up: bool


class Nodes:
    """The nodes that live and those that do not."""

    def __init__(self, cluster: Cluster, admin: Admin, proxy: Proxy) -> None:
        self._cluster = cluster
        self._admin = admin
        self._proxy = proxy

    def routes(self) -> list[web.RouteDef]:
        one = PATH + "/{node}"
        return [web.get(PATH, self._list), web.get(one, self._get), web.put(one, self._put)]

    def middleware(self) -> Middleware:
        """Every connection belongs to a node that lives; where there is none, it breaks."""

        @web.middleware
        async def living(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if not request.path.startswith("/__"):
                try:
                    self._admin.worker(request)
                except NoNode:
                    return cut(request)
            return await handler(request)

        return living

    async def kill(self, node: Node, spared: object = None) -> None:
        """End this node at once; `spared` is the connection on which that was asked."""
        node.stop()
        self._proxy.close_node(node)
        self._admin.sever(node, spared)

    async def start(self, node: Node) -> None:
        """Let this node live again, once it has its port."""
        await self._proxy.open_node(node)
        node.start()

    def _shown(self, node: Node) -> Row:
        return {"node": node.index, "id": node.id, "up": node.up, "proxy_port": self._proxy.port_of(node)}

    def _asked(self, request: web.Request) -> Node | None:
        return next((one for one in self._cluster.nodes if str(one.index) == request.match_info["node"]), None)

    async def _list(self, _: web.Request) -> web.Response:
        return answer([self._shown(node) for node in self._cluster.nodes])

    async def _get(self, request: web.Request) -> web.Response:
        node = self._asked(request)
        return answer(self._shown(node)) if node else self._unknown(request)

    async def _put(self, request: web.Request) -> web.Response:
        node = self._asked(request)
        if node is None:
            return self._unknown(request)
        try:
            wanted = Wanted.model_validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=400, text=error.json(include_url=False), content_type="application/json")
        try:
            if wanted.up != node.up:
                await (self.start(node) if wanted.up else self.kill(node, request.transport))
        except Unfit as error:  # somebody took the port meanwhile
            return answer({"message": str(error)}, 409)
        return answer(self._shown(node))

    def _unknown(self, request: web.Request) -> web.Response:
        last = len(self._cluster.nodes) - 1
        return answer({"message": f"no node {request.match_info['node']}, only 0 to {last}"}, 404)
