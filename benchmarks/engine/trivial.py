"""The least provider that there can be: it takes everything as it comes and finds that nothing has changed.

`python -m benchmarks.engine.trivial` stands in bluegreen's place under the same program and the same state, so what is
left between the two is what bluegreen's own work costs. It has the same transport and the same stubs; it decodes
nothing, validates nothing and asks nobody. Deliberately not here: creating anything, since only updates without a
change are measured.
"""

import asyncio
import os

PARENT = os.getppid()  # before anything else: an engine killed a moment later must still be missed

from typing import Any, TypeAlias

import grpc
from google.protobuf.empty_pb2 import Empty

from bluegreen.provider.orphan import orphaned
from bluegreen.provider.protos import plugin_pb2, provider_pb2, provider_pb2_grpc

Said: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
UNLIMITED = 400 << 20  # bytes of one message: the engine's own limit


class Trivial(provider_pb2_grpc.ResourceProviderServicer):
    """Nothing ever differs."""

    async def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: Said
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Said) -> Empty:
        return Empty()

    async def GetPluginInfo(self, request: Empty, context: Said) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version="0.1.0")

    async def GetSchema(self, request: provider_pb2.GetSchemaRequest, context: Said) -> provider_pb2.GetSchemaResponse:
        return provider_pb2.GetSchemaResponse(schema="{}")

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: Said) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: Said) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, request: provider_pb2.ConfigureRequest, context: Said) -> provider_pb2.ConfigureResponse:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def Check(self, request: provider_pb2.CheckRequest, context: Said) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Diff(self, request: provider_pb2.DiffRequest, context: Said) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Read(self, request: provider_pb2.ReadRequest, context: Said) -> provider_pb2.ReadResponse:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def Cancel(self, request: Empty, context: Said) -> Empty:
        return Empty()


async def main() -> None:
    options = [("grpc.max_receive_message_length", UNLIMITED), ("grpc.max_send_message_length", UNLIMITED)]
    server = grpc.aio.server(options=options)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Trivial(), server)
    await server.start()
    await orphaned(PARENT)
    await server.stop(grace=None)


if __name__ == "__main__":
    asyncio.run(main())
