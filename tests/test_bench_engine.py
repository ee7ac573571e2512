"""The provider that does nothing: what `noop-up` measures ours against."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct

from bluegreen.provider.protos import provider_pb2, provider_pb2_grpc
from sandbox.stack import ROOT

STARTER = """
import subprocess, sys
command = [sys.executable, "-m", "benchmarks.engine.trivial"]
started = subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[int(sys.argv[1])])
started.stdout.readline()
"""


@asynccontextmanager
async def trivial() -> AsyncIterator[provider_pb2_grpc.ResourceProviderStub]:
    command = [sys.executable, "-m", "benchmarks.engine.trivial"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
    finally:
        process.terminate()
        process.communicate()


def test_a_provider_that_does_nothing_finds_that_nothing_has_changed() -> None:
    async def run() -> None:
        news, olds = Struct(), Struct()
        news.update({"weight": 100})
        olds.update({"weight": 0})
        async with trivial() as provider:
            assert (await provider.Handshake(provider_pb2.ProviderHandshakeRequest())).accept_secrets
            assert (await provider.GetPluginInfo(Empty())).version
            assert (await provider.Configure(provider_pb2.ConfigureRequest())).acceptSecrets
            assert (await provider.Check(provider_pb2.CheckRequest(news=news, olds=olds))).inputs == news
            differs = await provider.Diff(provider_pb2.DiffRequest(news=news, old_inputs=olds))
            assert differs.changes == provider_pb2.DiffResponse.DIFF_NONE
            read = await provider.Read(provider_pb2.ReadRequest(id="a", properties=olds, inputs=news))
            assert (read.id, read.properties, read.inputs) == ("a", olds, news)

    asyncio.run(run())


def test_a_provider_that_does_nothing_ends_with_whoever_started_it() -> None:
    kept, given = os.pipe()  # the provider holds the other end open as long as it lives
    starter = [sys.executable, "-c", STARTER, str(given)]
    subprocess.run(starter, cwd=ROOT, pass_fds=[given], check=True)
    os.close(given)
    with open(kept, "rb") as held:
        assert held.read() == b""
