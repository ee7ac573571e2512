"""A stand-in for the command plugin 1.2.1, served where Pulumi's plugin registry cannot be reached:
`command:local:Command`, as documented.

Better than the original in two places: a cancelled or overdue command is stopped together with everything it started,
and secret inputs are blotted out of live lines and errors. It does not serve `command:remote:*`, `command:local:run`,
or the collection of assets and archives.
"""

import asyncio
import json
import secrets as randomness
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

import grpc
from google.protobuf import empty_pb2
from google.protobuf.struct_pb2 import Struct, Value
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from toolchain.hosts import shell
from toolchain.hosts.inputs import REPLACES, Inputs, changes, problems
from toolchain.hosts.serving import refuse, serve
from toolchain.hosts.values import UNKNOWN, fields, has_secret, secret, secrets
from toolchain.versions import COMMAND

TOKEN = "command:local:Command"
OUTPUTS = ("stdout", "stderr")
_KINDS = {
    "add": (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    "delete": (provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.DELETE_REPLACE),
    "update": (provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE),
}
_RESOURCE = {"properties": {name: {"type": "string"} for name in OUTPUTS}}
_SCHEMA = {"name": "command", "version": COMMAND, "resources": {TOKEN: _RESOURCE}}


class CommandProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Runs commands for the engine; a Cancel ends all of them at once."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._channel: grpc.aio.Channel | None = None
        self._cancelled = asyncio.Event()

    async def Handshake(self, request: Any, context: Any) -> provider_pb2.ProviderHandshakeResponse:
        self._engine = request.engine_address or self._engine
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    async def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:
        self._engine = request.address
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=COMMAND)

    async def GetSchema(self, request: Any, context: Any) -> provider_pb2.GetSchemaResponse:
        return provider_pb2.GetSchemaResponse(schema=json.dumps(_SCHEMA))

    async def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        await _ours(request.urn, context)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=why) for name, why in problems(fields(request.news))
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    async def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        old = fields(request.old_inputs if request.old_inputs.fields else request.olds)
        return difference({name: old[name] for name in old if name not in OUTPUTS}, fields(request.news))

    async def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        await _ours(request.urn, context)
        given = request.properties
        if request.preview:
            return provider_pb2.CreateResponse(properties=_foreseen(given, Struct()))
        inputs = Inputs.of(fields(given))
        output = await self._run("create", inputs.create, inputs, request, given, Struct(), context)
        identity = f"{request.urn.rsplit('::', 1)[-1]}{randomness.token_hex(4)}"
        return provider_pb2.CreateResponse(id=identity, properties=_held(given, Struct(), output))

    async def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        await _ours(request.urn, context)
        given, last = request.news, request.olds
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_foreseen(given, last))
        inputs = Inputs.of(fields(given))
        verb, command = ("create", inputs.create) if inputs.update is None else ("update", inputs.update)
        output = await self._run(verb, command, inputs, request, given, last, context)
        return provider_pb2.UpdateResponse(properties=_held(given, last, output))

    async def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        await _ours(request.urn, context)
        last = request.properties
        inputs = Inputs.of(fields(last))
        await self._run("delete", inputs.delete, inputs, request, last, last, context)
        return empty_pb2.Empty()

    async def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        await _ours(request.urn, context)
        if not request.properties.fields:
            await refuse(context, f"{TOKEN} cannot be imported: a command leaves nothing to read. Declare it instead.")
        return provider_pb2.ReadResponse(id=request.id, inputs=request.inputs, properties=request.properties)

    async def Invoke(self, request: Any, context: Any) -> NoReturn:
        await refuse(context, _elsewhere(request.tok))

    async def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        self._cancelled.set()
        return empty_pb2.Empty()

    async def stop(self) -> None:
        """End every command, and the line to the engine."""
        self._cancelled.set()
        if self._channel:
            await self._channel.close(None)

    async def _run(
        self, verb: str, command: str | None, inputs: Inputs, request: Any, given: Struct, last: Struct, context: Any
    ) -> shell.Output:
        """What the command wrote, or what the state held when there is no command."""
        held = fields(last)
        before = shell.Output(*(str(held.get(name, "")) for name in OUTPUTS))
        if command is None:
            return before
        hidden = (text for struct in (given, last) for value in struct.fields.values() for text in secrets(value))
        try:
            return await shell.run(
                command,
                inputs,
                verb=verb,
                before=before,
                veil=shell.Veil(hidden),
                live=lambda line: self._log(request.urn, line),
                cancelled=self._cancelled,
                limit=request.timeout,
            )
        except shell.Failed as problem:
            await refuse(context, str(problem))

    async def _log(self, urn: str, line: str) -> None:
        """A live line in the resource's row; an engine that is gone has nobody watching."""
        self._channel = self._channel or grpc.aio.insecure_channel(self._engine)
        told = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=line, urn=urn, ephemeral=True)
        log = cast(Callable[[engine_pb2.LogRequest], Awaitable[Any]], engine_pb2_grpc.EngineStub(self._channel).Log)
        try:
            await log(told)
        except grpc.aio.AioRpcError:
            return


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> provider_pb2.DiffResponse:
    """What changed, path by path; a changed trigger replaces the resource, anything else updates it."""
    answer = provider_pb2.DiffResponse(hasDetailedDiff=True, changes=provider_pb2.DiffResponse.DIFF_NONE)
    for path, what in changes(old, new):
        top = path.split(".")[0].split("[")[0]
        replaces = top == REPLACES
        answer.changes = provider_pb2.DiffResponse.DIFF_SOME
        answer.detailedDiff[path].kind = _KINDS[what][replaces]
        answer.detailedDiff[path].inputDiff = True
        for names in (answer.diffs, *([answer.replaces] if replaces else [])):
            if top not in names:
                names.append(top)
    return answer


def _held(given: Struct, last: Struct, output: shell.Output) -> Struct:
    return _state(given, last, (output.stdout, output.stderr))


def _foreseen(given: Struct, last: Struct) -> Struct:
    return _state(given, last, (UNKNOWN, UNKNOWN))


def _state(given: Struct, last: Struct, outputs: Sequence[str]) -> Struct:
    """The inputs as they came, and both streams: secret when an input is, or when they were before."""
    state = Struct()
    state.CopyFrom(given)
    were = [last.fields[name] for name in OUTPUTS if name in last.fields]
    hide = any(has_secret(value) for value in [*given.fields.values(), *were])
    for name, text in zip(OUTPUTS, outputs, strict=True):
        value = Value(string_value=text)
        state.fields[name].CopyFrom(secret(value) if hide else value)
    return state


async def _ours(urn: str, context: Any) -> None:
    token = urn.split("::")[2].rsplit("$", 1)[-1] if urn.count("::") >= 3 else ""
    if token != TOKEN:
        await refuse(context, _elsewhere(token or urn))


def _elsewhere(token: str) -> str:
    return (
        f"{token} is not served by this stand-in for the command plugin, which has {TOKEN} alone. Nothing was run. "
        "Use a Pulumi CLI that can fetch the command plugin itself."
    )


async def run(engine: str, parent: int) -> None:
    """Serve until the engine is done, or the process that started this one is gone."""

    def add(server: grpc.aio.Server) -> Callable[[], Awaitable[None]]:
        provider = CommandProvider(engine)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
        return provider.stop

    await serve(add, parent)
