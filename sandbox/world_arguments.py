"""What each stand-in of a world is told when it starts: its command line, from what is recorded and nothing else.

So a member that another process starts again comes up as it was. Deliberately not here: starting (`sandbox.world`).
"""

from collections.abc import Sequence
from pathlib import Path

from sandbox.ports import Ports
from sandbox.world_record import Member, Written


def arguments(name: Member, written: Written, data: Path) -> list[str]:
    """The whole command line of one member, without the program's name."""
    parent = ["--die-with-parent", written.parent] if written.parent is not None else []
    return [str(part) for part in [*_own(name, written, data), *written.extra.get(name, ()), *parent]]


def logs(data: Path) -> Path:
    return data / "logs"


def _own(name: Member, written: Written, data: Path) -> Sequence[object]:
    ports = Ports(written.base)
    network = [] if written.network is None else ["--network", written.network]
    match name:
        case "postgres":
            return ["--port", ports.postgres, "--data", data / name]
        case "kong":
            addresses = ["--admin-port", ports.kong_admin, "--proxy-port", ports.kong_proxy]
            nodes: list[object] = ["--nodes", written.nodes]
            for node in range(written.nodes):
                nodes += ["--node-proxy-port", ports.kong_proxy_of(node)]
            return [*addresses, "--status-port", ports.kong_status, *nodes, "--data", data / name, *network]
        case "supervisor":
            return ["--port", ports.supervisor, "--logs", logs(data) / "apps", *network]
        case "railway":
            place = ["--project", written.project_id, "--environment", written.environment_id]
            mirror = [] if written.mirror is None else ["--mirror", written.mirror]
            supervisor = f"http://127.0.0.1:{ports.supervisor}"
            beside = ["--supervisor", supervisor, "--data", data / name, "--token", written.token]
            return ["--port", ports.railway, *beside, *place, *mirror]
