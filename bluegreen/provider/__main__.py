"""The provider's process: says its port at once, then loads what it needs while the engine connects.

The port is bound, and printed, before pydantic, the rooms and their libraries are imported; the kernel holds the
engine's connection until the server starts to answer. When loading fails, the server answers all the same, and says
to every question why: a process that is simply gone would be reported as a bug without a cause.
"""

import os

PARENT = os.getppid()  # before anything else: an engine killed a moment later must still be missed

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from bluegreen.provider.server import Servicer

UNLIMITED = 400 << 20  # bytes of one message: the engine's own limit
OPTIONS = [
    ("grpc.max_receive_message_length", UNLIMITED),
    ("grpc.max_send_message_length", UNLIMITED),
    ("grpc.so_reuseport", 0),
]
LAST_WORDS = 2.0  # seconds for the answers that are on their way when the process ends
Closing = Callable[[], Awaitable[None]]


async def main(engine: str | None, parent: int, load: "Callable[[], Servicer[Any]]") -> None:
    """Serve what `load` makes until the engine asks to end, or is gone."""
    gc.disable()  # loading makes much and drops little: collecting meanwhile is a tenth of its time
    server = grpc.aio.server(options=OPTIONS)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        close = await _serve(server, load(), engine, parent, ended)
    except Exception as problem:
        close = _explain(server, problem)
    await server.start()
    gc.freeze()  # what was loaded stays; no collection needs to look at it again
    gc.enable()
    await ended.wait()
    await close()
    await server.stop(grace=LAST_WORDS)


def rooms() -> "Servicer[Any]":
    """The provider with every room there is."""
    from bluegreen.connections import SECRET, Connections, connect
    from bluegreen.provider.server import Servicer
    from bluegreen.provider.table import TABLE

    def opened(arguments: Mapping[str, str]) -> Connections:
        connections = connect(arguments, os.environ)
        servicer.redactor.learn(connections.values[key] for key in SECRET if key in connections.values)
        return connections

    # Handlers want an address of Kong's doors when they are made, even if they are only to be described.
    doors = dict.fromkeys(("kongAdminUrl", "kongProxyUrl"), "http://127.0.0.1")
    servicer = Servicer(TABLE, connect=opened, blank=lambda: Connections(doors))
    return servicer


async def _serve(
    server: grpc.aio.Server, servicer: "Servicer[Any]", engine: str | None, parent: int, ended: asyncio.Event
) -> Closing:
    from bluegreen.provider.orphan import orphaned
    from bluegreen.provider.protos import provider_pb2_grpc

    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    if engine:
        await servicer.journal.connect(engine)

    async def watch() -> None:
        await orphaned(parent)
        servicer.signals.orphaned = True
        ended.set()

    watching = asyncio.create_task(watch())

    async def close() -> None:
        watching.cancel()
        if not servicer.signals.orphaned:
            servicer.signals.cancelled.set()
        await servicer.close()

    return close


def _explain(server: grpc.aio.Server, problem: Exception) -> Closing:
    said = " ".join(f"{type(problem).__name__}: {problem}".split())
    message = f"bluegreen's provider could not be loaded: {said}. Nothing was changed. Run make setup, then try again."
    print(message, file=sys.stderr, flush=True)

    async def explain(_: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, message)
        return b""

    async def pass_over(_: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
        return b""

    async def nod(_: bytes, context: object) -> bytes:
        return b""  # an empty message of any kind

    class Everything(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the types only
        """Alive enough for the engine to go on until it asks something that matters, and then hears why not."""

        def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
            behaviours = {
                "Handshake": nod,
                "GetPluginInfo": nod,
                "Cancel": nod,
                "CheckConfig": pass_over,
                "DiffConfig": pass_over,
            }
            asked = handler_call_details.method.rpartition("/")[2]
            return grpc.unary_unary_rpc_method_handler(behaviours.get(asked, explain))

    server.add_generic_rpc_handlers((Everything(),))

    async def close() -> None:
        return

    return close


def address(arguments: Sequence[str]) -> str | None:
    """The engine's address among the arguments: the last one, after its own flags."""
    return arguments[-1] if arguments and not arguments[-1].startswith("-") else None


if __name__ == "__main__":
    asyncio.run(main(address(sys.argv[1:]), PARENT, rooms))
