"""The Railway stand-in: `POST /graphql/v2?source=…` over a project whose deployments are real processes.

    python -m sandbox.railway --port P --supervisor http://127.0.0.1:P --data DIR
        --token T --project ID --environment ID [--workspace-token T] [--time-scale 0.1] [--mirror ghcr.io/acme]
        [--built acme/web=registry.sandbox/backend:v1]

Every document is validated against `railway.graphql`, the closed subset of Railway's public schema. One project with
one environment; its store lives in DIR, so that a stopped and restarted stand-in remembers. What it does follows the
recorded facts, and where those are silent each module says what it assumes. Beside the API it offers `/__faults`
(`sandbox.faults`; a request's path is its operation name) and `/__scripts` (`sandbox.railway_scripts`).

Validated but not modelled, each answered with an error that says so:
customDomain, customDomainCreate, customDomainDelete, customDomainUpdate, environmentCreate, environmentDelete,
environmentPatchCommitStaged, environmentStageChanges, metrics,
privateNetworkEndpointRename, serviceConnect, serviceDisconnect, serviceDomainCreate, serviceDomainDelete,
serviceDomainUpdate, tcpProxyDelete, volumeCreate, volumeDelete, volumeInstance, volumeInstanceBackupCreate,
volumeInstanceBackupDelete, volumeInstanceBackupList, volumeInstanceBackupLock, volumeInstanceBackupRestore,
volumeInstanceBackupScheduleList, volumeInstanceBackupScheduleUpdate, workflowStatus.
"""

import sys

from aiohttp import web

from sandbox import lifecycle
from sandbox.faults import Faults
from sandbox.railway_arguments import images_of, options_of, parsed
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
    platform = Platform(store, machines, clock, scripts, images or Images(), dark=options.dark_first)
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
    """Serve until asked to end; the exit code."""
    asked = parsed(arguments)

    async def build() -> web.Application:
        clock = LaptopClock(asked.time_scale)
        try:
            store = Store.open(asked.data, asked.project, asked.environment, clock.now())
        except ValueError as error:
            raise lifecycle.Unfit(str(error)) from error
        tokens = Tokens(asked.token, asked.workspace_token)
        budget, images = Budget(asked.rate_limit), images_of(asked)
        return application(store, asked.supervisor, clock, tokens, budget, options_of(asked), images)

    return lifecycle.run(build, asked.port, asked.die_with_parent)


if __name__ == "__main__":
    sys.exit(main())
