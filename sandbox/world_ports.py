"""Whether the ports of a world can be had, asked of the system before anything starts.

Deliberately not here: which port is whose (`sandbox.ports`).
"""

import random
import socket
from collections.abc import Sequence

from sandbox.ports import SPAN, Ports
from sandbox.world_record import Member, WorldError

BASES = range(20_000, 32_000, 20)  # below the ports that systems give to outgoing connections


def free_base() -> int:
    """A port base on which nothing listens now."""
    for base in random.sample(BASES, len(BASES)):
        if all(_free(port) for port in range(base, base + SPAN)):
            return base
    raise WorldError(f"There is no free stretch of {SPAN} ports. Nothing was started. End some servers and try again.")


def refuse_if_taken(ports: Ports, members: Sequence[Member]) -> None:
    """A real Kong may hold the gateway's ports; all others have to be free, members or not."""
    theirs = () if "kong" in members else (ports.kong_admin, ports.kong_proxy, ports.kong_status)
    taken = [port for port in range(ports.base, ports.base + SPAN) if port not in theirs and not _free(port)]
    if taken:
        raise WorldError(
            f"Port {', '.join(map(str, taken))} on 127.0.0.1 is in use. No process was started. "
            "End what listens there, or choose another base with --port-base."
        )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is only closing does not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
