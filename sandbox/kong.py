"""A stand-in for a Kong 3.9.1 cluster: `python -m sandbox.kong --admin-port P --proxy-port P`.

One process plays all nodes and workers: an Admin API that answers as the real one was recorded to answer, and a data
plane that really proxies. Nodes share both ports, as behind a load balancer; a connection stays where it arrived. With
`--node-proxy-port` (once a node, in their order) each also takes clients at a port of its own.
One node alone can be killed and started again over `/__nodes/{n}` (kong_nodes.py).
With `--data DIR` a killed gateway comes back with everything that it had committed; without, it starts empty.
With `--network N` it finds private names where the supervisor of the same private network lets them listen.

Faults: `/__faults` on the admin port acts on the Admin API, `/__faults` on the proxy port on client requests (a `lag`
is armed on the admin port). `GET /__counts` on either port counts the client requests that the proxy took;
`POST /__settle` on the admin port brings into force at once what was written.

Enforced plugins: key-auth, acl, request-termination, correlation-id, cors, request-size-limiting, rate-limiting (local
policy), response-transformer (headers). http-log sends its records, prometheus switches series in `/metrics` on. Stored
and shown, but without effect: ip-restriction, request-transformer. With `--tls CERT KEY` clients are served over TLS as
well, at `--proxy-tls-port` (kong_tls.py). gRPC, WebSockets, stream routes and DB-less mode do not exist here.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from aiohttp import web

from sandbox.faults import Faults
from sandbox.kong_admin import Admin, kong_manners
from sandbox.kong_admin_health import AdminHealth
from sandbox.kong_admin_info import AdminInfo
from sandbox.kong_cluster import Cluster, Dns, Settings
from sandbox.kong_journal import Journal
from sandbox.kong_nodes import Nodes
from sandbox.kong_probes import probing
from sandbox.kong_proxy import Proxy
from sandbox.kong_resolver import Resolver
from sandbox.kong_store import Store
from sandbox.kong_tls import Certificate
from sandbox.lifecycle import ENDING, Unfit, add_parent_option, asked_to_end, orphaned

HOST = "127.0.0.1"


class Kong:
    """The whole gateway, to be run inside an event loop."""

    def __init__(
        self,
        settings: Settings,
        admin_port: int = 0,
        proxy_port: int = 0,
        store: Store | None = None,
        journal: Journal | None = None,
        network: int | None = None,
        node_proxy_ports: Sequence[int] = (),
        certificate: Certificate | None = None,
        proxy_tls_port: int = 0,
    ) -> None:
        self.admin_port = admin_port
        self.proxy_port = proxy_port
        self.node_proxy_ports = list(node_proxy_ports)
        self.certificate, self.proxy_tls_port = certificate, proxy_tls_port
        self.faults = Faults()
        self.proxy_faults = Faults()
        self.cluster = Cluster(settings, store or Store(), self.faults)
        self.cluster.resolver = Resolver(network)
        self._journal = journal
        self.proxy = Proxy(self.cluster, self.proxy_faults)

    @contextlib.asynccontextmanager
    async def serving(self, status_port: int | None = None) -> AsyncIterator["Kong"]:
        """Answer on both ports (and the Status API's) until the block ends; port 0 means any free one."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.cluster.close)
            if self._journal is not None:
                self._remember(self._journal)
            for node in self.cluster.nodes:
                self.cluster.spawn(probing(node))
            await stack.enter_async_context(self.proxy.serving())
            self.proxy_port = await stack.enter_async_context(self.proxy.listening(HOST, self.proxy_port))
            if self.certificate is not None:
                tls = self.proxy.listening(HOST, self.proxy_tls_port, certificate=self.certificate)
                self.proxy_tls_port = await stack.enter_async_context(tls)
            for node, port in zip(self.cluster.nodes, list(self.node_proxy_ports), strict=False):
                own = await stack.enter_async_context(self.proxy.listening(HOST, port, node))
                self.node_proxy_ports[node.index] = own
            admin = Admin(self.cluster)
            info = AdminInfo(admin, self.admin_port, self.proxy_port)
            nodes = Nodes(self.cluster, admin, self.proxy)
            before = [nodes.middleware(), self.faults.middleware(), kong_manners]
            app = web.Application(middlewares=before, client_max_size=10 * 2**20)
            app.add_routes(nodes.routes())
            app.add_routes(AdminHealth(admin).routes())
            app.add_routes(info.routes())
            app.add_routes(self.faults.routes())
            app.add_routes(self.proxy_faults.routes("/__proxy"))
            app.add_routes(admin.routes())
            self.admin_port = await stack.enter_async_context(listening(app, self.admin_port))
            self.proxy.gateway.own_endpoints = (HOST, self.admin_port)
            if status_port is not None:
                status = web.Application(middlewares=[nodes.middleware(), kong_manners])
                status.add_routes(info.status_routes())
                await stack.enter_async_context(listening(status, status_port))
            yield self

    def _remember(self, journal: Journal) -> None:
        """Be the gateway that the journal tells of, every view up to date."""
        journal.restore(self.cluster.store)
        for node, id in zip(self.cluster.nodes, journal.nodes, strict=False):
            node.id = id
        journal.name([node.id for node in self.cluster.nodes])
        self.cluster.reload()


@contextlib.asynccontextmanager
async def listening(app: web.Application, port: int) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=ENDING, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise Unfit(
                f"Port {port} on {HOST} cannot be used ({os.strerror(error.errno or 0)}); choose another."
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.kong", description="A stand-in for a Kong 3.9.1 cluster.")
    parser.add_argument("--admin-port", type=int, required=True)
    parser.add_argument("--proxy-port", type=int, required=True)
    parser.add_argument("--status-port", type=int, help="serve the Status API here too")
    parser.add_argument(
        "--tls", type=Path, nargs=2, metavar=("CERT", "KEY"), help="PEM files: serve clients over TLS too"
    )
    parser.add_argument("--proxy-tls-port", type=int, default=0, metavar="P", help="where, with --tls")
    parser.add_argument("--workers", type=int, default=2, help="workers per node")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument(
        "--node-proxy-port", type=int, action="append", default=[], metavar="P", help="of the first node, the second, …"
    )
    parser.add_argument(
        "--db-update-frequency", type=float, default=5, help="seconds until other nodes hear of a write"
    )
    parser.add_argument(
        "--worker-state-update-frequency", type=float, default=5, help="seconds between router rebuilds"
    )
    parser.add_argument("--metrics-flush", type=float, default=1, help="seconds until a request shows in /metrics")
    parser.add_argument("--data", type=Path, metavar="DIR", help="remember everything here over restarts")
    parser.add_argument("--network", type=int, metavar="N", help="private names have addresses of their own")
    parser.add_argument("--dns-stale-ttl", type=int, metavar="S", help="shown: seconds that an expired address is used")
    parser.add_argument("--dns-order", metavar="LIST", help="shown: which records are asked for, as LAST,AAAA,A,CNAME")
    parser.add_argument("--new-dns-client", action="store_true", help="shown: the two above are resolver_*, not dns_*")
    parser.add_argument("--seed", type=int, help="make shuffles and moments repeatable")
    add_parent_option(parser)
    options = parser.parse_args(arguments)
    order = tuple(options.dns_order.split(",")) if options.dns_order is not None else None
    options.dns = Dns(options.new_dns_client, options.dns_stale_ttl, order)
    if options.dns_stale_ttl is not None and options.dns_stale_ttl < 0:
        parser.error(f"--dns-stale-ttl is {options.dns_stale_ttl}; no address is used for less than 0 seconds.")
    for entry in options.dns.order or ():
        if entry not in options.dns.known:
            known = ", ".join(sorted(options.dns.known))
            parser.error(f"--dns-order: invalid entry {entry!r}; this DNS client knows {known}.")
    return options


async def serve(options: argparse.Namespace) -> None:
    settings = Settings(
        workers=options.workers,
        nodes=options.nodes,
        db_update_frequency=options.db_update_frequency,
        worker_state_update_frequency=options.worker_state_update_frequency,
        metrics_flush=options.metrics_flush,
        seed=options.seed,
        dns=options.dns,
    )
    reasons = [asyncio.ensure_future(asked_to_end())]
    if options.die_with_parent is not None:
        reasons.append(asyncio.ensure_future(orphaned(options.die_with_parent)))
    try:
        journal = Journal(options.data) if options.data else None
        kong = Kong(
            settings,
            options.admin_port,
            options.proxy_port,
            journal=journal,
            network=options.network,
            node_proxy_ports=options.node_proxy_port,
            certificate=Certificate(*options.tls) if options.tls else None,
            proxy_tls_port=options.proxy_tls_port,
        )
        async with kong.serving(options.status_port):
            print("ready", flush=True)
            await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for reason in reasons:
            reason.cancel()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until asked to end; the exit code."""
    options = parsed(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(options))
    except Unfit as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
