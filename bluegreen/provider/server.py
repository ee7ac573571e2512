"""The servicer: the engine's door to this provider, and to nothing else.

Each call is carried out as a work that cannot be cut in two, what it said is in the engine's log before it returns,
and however it ends, it ends as `outcome.py` tells. What a resource operation does is told in `operations.py`; which
handlers there are, and how they are connected, is given from outside.
"""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, NoReturn, Protocol, TypeAlias, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from bluegreen import VERSION
from bluegreen.handler import Halt, Handler, Refused
from bluegreen.provider.context import Journal, Signals
from bluegreen.provider.diff import changes
from bluegreen.provider.operations import Operations, diff_response, label
from bluegreen.provider.outcome import Ending, bug, refused
from bluegreen.provider.protos import plugin_pb2, provider_pb2, provider_pb2_grpc
from bluegreen.provider.redaction import Redactor
from bluegreen.provider.schema import schema
from bluegreen.provider.wire import Unreadable
from bluegreen.provider.works import Works

NOT_CONFIG = frozenset({"version", "pluginDownloadURL", "__internal"})  # the engine's own, beside the provider's config


class Connected(Protocol):
    """Whatever handlers are made from."""

    async def close(self) -> None: ...


C = TypeVar("C", bound=Connected)
R = TypeVar("R", bound=Message)
Said: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Servicer(provider_pb2_grpc.ResourceProviderServicer, Generic[C]):
    """One provider for one engine.

    Args:
        table: which handler serves which token, made from what is connected.
        connect: the provider's configuration to what handlers are made from; touches no network.
        blank: the same without a configuration; the handlers made from it are only described, never called.
    """

    def __init__(
        self,
        table: Mapping[str, Callable[[C], Handler[Any, Any]]],
        connect: Callable[[Mapping[str, str]], C],
        blank: Callable[[], C],
    ) -> None:
        self.signals = Signals()
        self.redactor = Redactor()
        self.journal = Journal(self.redactor)
        self.works = Works()
        self._operations = Operations(self._handler_of, self.signals, self.journal, self.redactor)
        self._table = table
        self._connect = connect
        self._blank = blank
        self._connections: list[C] = []  # the last one is in use
        self._handlers: dict[str, Handler[Any, Any]] = {}
        self._schema = ""

    async def close(self) -> None:
        """Wait for what is under way, then hang up everywhere."""
        await self.works.idle()
        await self.journal.close()
        while self._connections:
            await self._connections.pop().close()

    # Resources

    async def Check(self, request: provider_pb2.CheckRequest, context: Said) -> provider_pb2.CheckResponse:
        return await self._answer(context, self._operations.check(request), f"checking {label(request)}")

    async def Diff(self, request: provider_pb2.DiffRequest, context: Said) -> provider_pb2.DiffResponse:
        return await self._answer(context, self._operations.diff(request), f"comparing {label(request)}")

    async def Create(self, request: provider_pb2.CreateRequest, context: Said) -> provider_pb2.CreateResponse:
        doing, writes = f"creating {label(request)}", not request.preview
        return await self._answer(context, self._operations.create(request), doing, writes=writes)

    async def Update(self, request: provider_pb2.UpdateRequest, context: Said) -> provider_pb2.UpdateResponse:
        doing, writes = f"updating {label(request)}", not request.preview
        return await self._answer(context, self._operations.update(request), doing, writes=writes)

    async def Read(self, request: provider_pb2.ReadRequest, context: Said) -> provider_pb2.ReadResponse:
        return await self._answer(context, self._operations.read(request), f"reading {label(request)}")

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Said) -> Empty:
        return await self._answer(context, self._operations.delete(request), f"deleting {label(request)}", writes=True)

    # The provider itself

    async def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: Said
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Said) -> Empty:
        await self.journal.connect(request.address)
        return Empty()

    async def GetPluginInfo(self, request: Empty, context: Said) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=VERSION)

    async def GetSchema(self, request: provider_pb2.GetSchemaRequest, context: Said) -> provider_pb2.GetSchemaResponse:
        return await self._answer(context, self._describe(), "describing the provider")

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: Said) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: Said) -> provider_pb2.DiffResponse:
        return await self._answer(context, self._diff_config(request), "comparing the provider's configuration")

    async def Configure(self, request: provider_pb2.ConfigureRequest, context: Said) -> provider_pb2.ConfigureResponse:
        return await self._answer(context, self._configure(request), "configuring the provider")

    async def Cancel(self, request: Empty, context: Said) -> Empty:
        self.signals.cancelled.set()
        return Empty()

    async def GetMapping(
        self, request: provider_pb2.GetMappingRequest, context: Said
    ) -> provider_pb2.GetMappingResponse:
        return provider_pb2.GetMappingResponse()

    async def GetMappings(
        self, request: provider_pb2.GetMappingsRequest, context: Said
    ) -> provider_pb2.GetMappingsResponse:
        return provider_pb2.GetMappingsResponse()

    # What this provider does not have

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Said) -> provider_pb2.InvokeResponse:
        await _lacks(context, f"the function {request.tok}: it has resources only")

    async def Call(self, request: provider_pb2.CallRequest, context: Said) -> provider_pb2.CallResponse:
        await _lacks(context, f"the method {request.tok}: its resources have none")

    async def Construct(self, request: provider_pb2.ConstructRequest, context: Said) -> provider_pb2.ConstructResponse:
        await _lacks(context, f"the component {request.type}: components are part of the program")

    async def Parameterize(
        self, request: provider_pb2.ParameterizeRequest, context: Said
    ) -> provider_pb2.ParameterizeResponse:
        await _lacks(context, "parameters")

    # How

    async def _answer(self, context: Said, work: Coroutine[Any, Any, R], doing: str, *, writes: bool = False) -> R:
        try:
            return await self.works.run(self._told(work, doing, writes=writes))
        except Ending as ending:
            await ending.abort(context)

    async def _told(self, work: Coroutine[Any, Any, R], doing: str, *, writes: bool) -> R:
        """The work's result, or its `Ending`; either way the engine has heard before what there was to say."""
        try:
            return await work
        except Ending:
            raise
        except Halt as halt:
            raise refused(halt, self.redactor) from halt
        except Unreadable as problem:
            told = Refused(f"{problem}.", world="Nothing was changed.", next="Correct it and run pulumi up again.")
            raise refused(told, self.redactor) from problem
        except Exception as problem:
            raise bug(problem, doing, self.redactor, writes=writes) from problem
        finally:
            await self.journal.drain()

    async def _describe(self) -> provider_pb2.GetSchemaResponse:
        if not self._schema:
            blank = self._blank()
            handlers = {token: make(blank) for token, make in self._table.items()}
            await blank.close()
            self._schema = json.dumps(schema(handlers, VERSION))
        return provider_pb2.GetSchemaResponse(schema=self._schema)

    async def _diff_config(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        olds, news = self._operations.decode(request.old_inputs), self._operations.decode(request.news)
        return diff_response([change for change in changes(olds, news) if change.path[0] not in NOT_CONFIG])

    async def _configure(self, request: provider_pb2.ConfigureRequest) -> provider_pb2.ConfigureResponse:
        arguments = self._operations.decode(request.args).values
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in arguments.items()}
        self._connections.append(self._connect(texts))
        self._handlers.clear()
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def _handler_of(self, token: str) -> Handler[Any, Any]:
        if token not in self._handlers:
            if token not in self._table:
                what = f"bluegreen has no resource {token}; it has {', '.join(self._table)}."
                raise Refused(what, world="Nothing was changed.", next="Correct the resource's type in the program.")
            if not self._connections:
                self._connections.append(self._connect({}))
            self._handlers[token] = self._table[token](self._connections[-1])
        return self._handlers[token]


async def _lacks(context: Said, what: str) -> NoReturn:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"bluegreen does not have {what}.")
    raise AssertionError("unreachable: abort raises")
