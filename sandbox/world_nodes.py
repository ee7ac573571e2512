"""The nodes of a world's gateway: how many there may be, and one of them killed or started over HTTP.

They live in one process, the gateway's stand-in, which plays the end of a node (`/__nodes` on its admin port).
Deliberately not here: the stand-in itself; `World.kill("kong")` ends all of its nodes.
"""

import http.client
import json
from collections.abc import Sequence
from typing import Any

from sandbox.ports import Ports
from sandbox.world_record import Member, WorldError

MOST = Ports(0).app("backend", "blue") - Ports(0).kong_proxy_of(0)  # proxy ports of nodes lie before the apps' ports


def refuse_nodes(nodes: int, members: Sequence[Member]) -> None:
    if not 1 <= nodes <= MOST:
        raise WorldError(
            f"A gateway of {nodes} nodes cannot be played, only one of 1 to {MOST}. Nothing was started. "
            "Choose another number with --nodes."
        )
    if nodes > 1 and "kong" not in members:
        raise WorldError(
            f"{nodes} nodes were asked for without the stand-in that plays them: a real Kong has its own. "
            "Nothing was started. Leave --nodes out."
        )


def put(port: int, node: int, *, up: bool) -> None:
    """Say how this node shall be; returns when it is so."""
    try:
        told = asked(port, "PUT", f"/__nodes/{node}", {"up": up})
    except (OSError, http.client.HTTPException) as error:
        raise WorldError(
            f"The gateway's stand-in does not answer on 127.0.0.1:{port} ({error}). Its nodes are as they were. "
            "Look with python -m sandbox status, and start it again."
        ) from error
    if told.get("up") != up:
        raise WorldError(
            f"Node {node} was not {'started' if up else 'killed'}: {told.get('message', told)}. "
            f"The nodes are as they were. Look at http://127.0.0.1:{port}/__nodes."
        )


def asked(port: int, method: str, path: str, body: object = None) -> Any:
    """The JSON that a stand-in answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
