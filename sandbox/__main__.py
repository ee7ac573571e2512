"""`python -m sandbox up | down | status | hosts`: the laptop's world for people; programs use `sandbox.world`.

`up` stays in the foreground until Ctrl-C and then ends everything; with `--detach` it returns and `down` ends it. A
crashed `up` takes its stand-ins with it, and the next `down` or `up` in the same folder tidies what it left.
`hosts` needs no running sandbox: addresses are a pure function of the port base. With `--private-network` every service
has a loopback address of its own, and with `--mirror` a foreign registry's images run as the sandbox's good ones, so
that a stack file which was written for production goes up here too. `--nodes 2` plays a gateway of two nodes, each with
a proxy port of its own; `curl -X PUT -d '{"up": false}' ADMIN/__nodes/1` kills one of them and `true` starts it again.

Deliberately not here: deploying anything into the world.
"""

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from sandbox.ports import APPS, COLOURS, Ports, address, host
from sandbox.postgres_binaries import MAJORS
from sandbox.world import DEFAULT_BASE, MEMBERS, World, WorldError
from sandbox.world_record import Written

DATA = Path(__file__).resolve().parents[1] / ".sandbox"


def up(options: argparse.Namespace) -> int:
    """Start the world; without --detach, stay until asked to end."""
    base = options.port_base or _recorded_base(options.data)
    _check(base)
    if (options.kong_admin is None) != (options.kong_proxy is None):
        raise WorldError(
            "A real Kong has two addresses, and only one was given. Nothing was started. "
            "Give both --kong-admin and --kong-proxy."
        )
    members = MEMBERS if options.kong_admin is None else tuple(name for name in MEMBERS if name != "kong")
    world = World(
        base,
        options.data,
        members,
        admin=options.kong_admin,
        proxy=options.kong_proxy,
        mirror=options.mirror,
        private_network=options.private_network,
        nodes=options.nodes,
        project_id=options.project,
        environment_id=options.environment,
        extra={
            "railway": ("--time-scale", f"{options.time_scale:g}"),
            "postgres": ("--major", str(options.postgres_major)),
        },
        detached=options.detach,
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        world.open()
        _tell(world)
        if options.detach:
            print(f"It runs until: python -m sandbox down --data {options.data}", flush=True)
            return 0
        print("Ctrl-C ends it.", flush=True)
        while world.pids():  # `down` in another terminal ends this one too
            time.sleep(0.5)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the end short
    world.close()
    print("The sandbox has ended; nothing is left running.", flush=True)
    return 0


def down(options: argparse.Namespace) -> int:
    """End what `up` started, also after a crash; nothing to end is no error."""
    world = World.found(options.data)
    running = world.pids()
    world.close()
    ended = ", ".join(f"{name} {pid}" for name, pid in running.items())
    print(f"Ended {ended}; nothing is left running." if ended else "Nothing was running.")
    return 0


def status(options: argparse.Namespace) -> int:
    """What runs; exit 0 only when every member does."""
    world = World.found(options.data)
    running = world.pids()
    _tell(world)
    for name in world.members:
        print(f"{name:<12}{f'pid {running[name]}' if name in running else 'not running'}")
    for app, pid in world.apps().items():
        print(f"{'app':<12}pid {pid}  {app}")
    return 0 if set(running) == set(world.members) else 1


def hosts(options: argparse.Namespace) -> int:
    """The private names as lines of a hosts file, each with the port behind it as a comment."""
    base = options.port_base or _recorded_base(options.data)
    _check(base)
    network = base if options.private_network else None
    for app in APPS:
        for colour in COLOURS:
            name = host(app, colour)
            where = address(name, network)
            port = Ports(base).app(app, colour) if network is None else "any port"
            print(f"{where} {name}  # {app} {colour} listens on {where}:{port}")
    return 0


def _tell(world: World) -> None:
    print(f"proxy       {world.proxy}")
    for node in range(world.nodes) if world.nodes > 1 else ():
        print(f"node {node}      {world.proxy_of(node)}")
    print(f"admin       {world.admin}")
    print(f"railway     {world.railway_url}  (project {world.project_id}, environment {world.environment_id})")
    if "postgres" in world.members:
        print(f"database    {world.database_url}  (owner of the tables)")
        print(f"app login   {world.app_database_url}")
    print(f"data        {world.data}", flush=True)


def _recorded_base(data: Path) -> int:
    written = Written.read(data)
    return written.base if written else DEFAULT_BASE


def _check(base: int) -> None:
    if not 1024 <= base <= 65_000:
        raise WorldError(f"Port base {base} is not between 1024 and 65000. Nothing was started. Choose another.")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="The laptop's world.")
    verbs = parser.add_subparsers(required=True, metavar="up | down | status | hosts")
    for verb in (up, down, status, hosts):
        words = verbs.add_parser(verb.__name__, help=verb.__doc__, description=verb.__doc__)
        words.set_defaults(verb=verb)
        words.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the sandbox's folder (.sandbox)")
        if verb in (up, hosts):
            words.add_argument("--port-base", type=int, metavar="N", help=f"default {DEFAULT_BASE}, or as last time")
            words.add_argument("--private-network", action="store_true", help="an address for every service")
        if verb is up:
            words.add_argument("--detach", action="store_true", help="return; `down` ends it")
            words.add_argument("--nodes", type=int, default=1, metavar="N", help="of the stand-in for Kong (default 1)")
            words.add_argument("--time-scale", type=float, default=0.1, help="length of Railway's waits (default 0.1)")
            words.add_argument("--mirror", metavar="REGISTRY", help="also serve this registry's images (ghcr.io/acme)")
            words.add_argument("--project", metavar="ID", help="Railway's project, instead of the folder's own")
            words.add_argument("--environment", metavar="ID", help="and its environment")
            words.add_argument("--postgres-major", type=int, choices=MAJORS, default=MAJORS[-1])
            words.add_argument("--kong-admin", metavar="URL", help="a real Kong instead of the stand-in")
            words.add_argument("--kong-proxy", metavar="URL", help="that Kong's proxy")
    options = parser.parse_args(arguments)
    try:
        code: int = options.verb(options)
    except WorldError as error:
        print(error, file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
