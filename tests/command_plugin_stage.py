"""A stage for the command plugin's tests: the plugin served over gRPC, and a fake engine that it logs to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from toolchain.hosts import values
from toolchain.hosts.command import CommandProvider
from toolchain.hosts.serving import new_server

URN = "urn:pulumi:dev::shop::command:local:Command::check"


class Engine(engine_pb2_grpc.EngineServicer):
    """Keeps what it is told, and lets a test wait for a line."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self._news = asyncio.Event()

    async def Log(self, request: Any, context: Any) -> empty_pb2.Empty:
        self.told.append(request)
        self._news.set()
        return empty_pb2.Empty()

    def lines(self) -> list[str]:
        return [request.message for request in self.told]

    async def heard(self, line: str) -> None:
        while line not in self.lines():
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def plugin() -> AsyncIterator[tuple[Any, Engine]]:
    """A stub that speaks to a served plugin, and the engine that the plugin speaks to."""
    engine, servers = Engine(), [new_server(), new_server()]
    engine_pb2_grpc.add_EngineServicer_to_server(engine, servers[0])
    engine_port = servers[0].add_insecure_port("127.0.0.1:0")
    provider = CommandProvider(f"127.0.0.1:{engine_port}")
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, servers[1])
    port = servers[1].add_insecure_port("127.0.0.1:0")
    for server in servers:
        await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel), engine
    finally:
        await provider.stop()
        for server in servers:
            await server.stop(0.5)


def play(scene: Callable[[Any, Engine], Awaitable[None]]) -> None:
    async def run() -> None:
        async with plugin() as (stub, engine):
            await asyncio.wait_for(scene(stub, engine), 30)

    asyncio.run(run())


def struct(**given: Any) -> Struct:
    made = Struct()
    made.update(given)
    return made


def hidden(text: str) -> dict[str, Any]:
    """A secret as it travels."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": text}


async def created(stub: Any, limit: float = 0, **inputs: Any) -> dict[str, Any]:
    request = provider_pb2.CreateRequest(urn=URN, properties=struct(**inputs), timeout=limit)
    return values.fields((await stub.Create(request)).properties)


async def refusal(call: Awaitable[Any]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    return str(caught.value.details())
