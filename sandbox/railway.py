"""The Railway stand-in: `POST /graphql/v2?source=…` over a project whose deployments are real processes.

    python -m sandbox.railway --port P --supervisor http://127.0.0.1:P --data DIR
        --token T --project ID --environment ID [--workspace-token T] [--time-scale 0.1] [--mirror ghcr.io/acme]

Every document is validated against `railway.graphql`, the closed subset of Railway's public schema. One project with
one environment; its store lives in DIR, so that a stopped and restarted stand-in remembers. What it does follows the
recorded facts, and where those are silent each module says what it assumes. Beside the API it offers `/__faults`
(`sandbox.faults`; a request's path is its operation name) and `/__scripts` (`sandbox.railway_scripts`).

Validated but not modelled, each answered with an error that says so:
customDomain, customDomainCreate, customDomainDelete, customDomainUpdate, environmentCreate, environmentDelete,
environmentPatchCommit, environmentPatchCommitStaged, environmentStageChanges, metrics,
privateNetworkEndpointRename, serviceConnect, serviceDisconnect, serviceDomainCreate, serviceDomainDelete,
serviceDomainUpdate, tcpProxyDelete, volumeCreate, volumeDelete, volumeInstance, volumeInstanceBackupCreate,
volumeInstanceBackupDelete, volumeInstanceBackupList, volumeInstanceBackupLock, volumeInstanceBackupRestore,
volumeInstanceBackupScheduleList, volumeInstanceBackupScheduleUpdate, workflowStatus.
"""

import argparse
import sys
from pathlib import Path

from aiohttp import web

from sandbox import lifecycle
from sandbox.faults import Faults
from sandbox.railway_call import Options
from sandbox.railway_clock import Clock, LaptopClock
from sandbox.railway_deployments import Platform
from sandbox.railway_door import Budget, Door, Tokens, operation
from sandbox.railway_images import Images
from sandbox.railway_machines import Machines
from sandbox.railway_scripts import Scripts
from sandbox.railway_store import Store


def application(
    store: Store,
    supervisor: str,
    clock: Clock,
    tokens: Tokens,
    budget: Budget,
    options: Options,
    images: Images | None = None,
) -> web.Application:
    """The stand-in, ready to be served; call it inside a running loop."""
    scripts, faults = Scripts(), Faults(operation=operation)
    machines = Machines(supervisor)
    platform = Platform(store, machines, clock, scripts, images or Images())
    app = web.Application(middlewares=[faults.middleware()])
    app.add_routes(Door(platform, tokens, budget, options, faults).routes() + faults.routes() + scripts.routes())

    async def begin(_: web.Application) -> None:
        platform.open()

    async def end(_: web.Application) -> None:
        await platform.close()
        await machines.close()

    app.on_startup.append(begin)
    app.on_cleanup.append(end)
    return app


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.railway", description="Railway on a laptop.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--supervisor", required=True, metavar="URL", help="where sandbox.supervisor listens")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where the store is kept")
    parser.add_argument("--token", required=True, help="the project token")
    parser.add_argument("--workspace-token", help="also let this bearer token in")
    parser.add_argument("--project", required=True, metavar="ID")
    parser.add_argument("--environment", required=True, metavar="ID")
    parser.add_argument(
        "--mirror", metavar="REGISTRY", help="also serve this registry's images, as the sandbox's good ones"
    )
    parser.add_argument("--time-scale", type=float, default=1.0, help="real seconds of a platform second (default 1)")
    parser.add_argument("--rate-limit", type=int, default=10_000, help="requests per hour (default 10000)")
    parser.add_argument("--read-lag", type=float, default=0.0, help="platform seconds until a new service can be read")
    parser.add_argument("--no-reset-rule", action="store_true", help="an update keeps what it omits")
    parser.add_argument("--refuse-early-healthcheck", action="store_true", help="no health-check path before a deploy")
    lifecycle.add_parent_option(parser)
    options = parser.parse_args(arguments)
    if options.time_scale <= 0:
        parser.error(f"--time-scale is {options.time_scale:g}; a platform second has to take some time, such as 0.1.")
    strictness = Options(
        reset=not options.no_reset_rule,
        read_lag=options.read_lag,
        early_healthcheck=not options.refuse_early_healthcheck,
    )

    async def build() -> web.Application:
        clock = LaptopClock(options.time_scale)
        try:
            store = Store.open(options.data, options.project, options.environment, clock.now())
        except ValueError as error:
            raise lifecycle.Unfit(str(error)) from error
        tokens = Tokens(options.token, options.workspace_token)
        budget, images = Budget(options.rate_limit), Images(options.mirror)
        return application(store, options.supervisor, clock, tokens, budget, strictness, images)

    return lifecycle.run(build, options.port, options.die_with_parent)


if __name__ == "__main__":
    sys.exit(main())
