"""An engine for the provider's tests: real gRPC on loopback, the official stubs, and a log that can be read.

`Bed` is a resource with everything that makes a resource difficult: nested lists and maps, secrets by type and by
origin, a quiet input, inputs that force another resource, and an input that says how its operations end. What it
grows in is a `Garden`, the only thing that its handler is connected to.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pydantic import SecretStr

from bluegreen.handler import Cancelled, Context, Handler, Held, Partial, Refused
from bluegreen.provider.protos import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2
from bluegreen.provider.server import Servicer
from bluegreen.provider.wire import Bag, decode, encode
from bluegreen.spec import Colour, Duration, Spec, State

BED = "bluegreen:garden:Bed"
ROOMY = [("grpc.max_metadata_size", 8 << 20), ("grpc.absolute_max_metadata_size", 8 << 20)]  # like the engine's client


class Lane(Spec):
    """One row of a bed.

    Args:
        live: which colour blooms.
    """

    live: Colour
    weights: Mapping[Colour, int] = {}
    addresses: Mapping[Colour, str] = {}
    pause: Duration = timedelta(minutes=5)


class Place(Spec):
    """Where a bed is."""

    project_id: str
    environment_id: str = "production"


class BedSpec(Spec):
    """A bed of flowers."""

    soil: str
    lanes: Mapping[str, Lane] = {}
    paths: tuple[str, ...] = ()
    steps: tuple[int, ...] = (5, 25, 50)
    share: float = 1.0
    api_key: SecretStr | None = None
    variables: Mapping[str, str] = {}
    place: Place = Place(project_id="garden")
    role: str = "idle"
    ends: str = "well"


class BedState(State):
    """What grows."""

    soil: str = ""
    weights: Mapping[str, Mapping[str, int]] = {}
    watered: int = 0
    key: SecretStr | None = None
    variables: Mapping[str, str] = {}
    note: str | None = None


@dataclass
class Garden:
    """What is really there, and what was done to it; `gate` holds up an operation that `ends` in waiting."""

    values: Mapping[str, str] = field(default_factory=dict)
    beds: dict[str, BedSpec] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    seen: list[Held[BedState] | None] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    async def close(self) -> None:
        self.closed = True


class BedHandler(Handler[BedSpec, BedState]):
    """Plants, reads and clears beds."""

    spec = BedSpec
    state = BedState
    replace_on = frozenset({"soil", "lanes.*.addresses", "place.projectId"})
    quiet = frozenset({"role"})
    refresh = True

    def __init__(self, garden: Garden) -> None:
        self.garden = garden

    def fill(self, new: BedSpec, old: Mapping[str, Any]) -> BedSpec:
        """Where no weights are asked for, everything blooms in the live colour."""
        if new.soil == "sand":
            raise Refused("Nothing grows in sand.", world="The bed is as it was.", next="Take loam.")
        lanes = {
            name: lane if lane.weights else lane.model_copy(update={"weights": {lane.live: 100}})
            for name, lane in new.lanes.items()
        }
        return new.model_copy(update={"lanes": lanes}) if lanes else new

    async def preview(self, ctx: Context, new: BedSpec, old: Held[BedState] | None) -> BedState:
        return self._grown(new, (old.state.watered if old else 0) + 1)

    async def create(self, ctx: Context, new: BedSpec) -> Held[BedState]:
        await self._work(ctx, new, Held("bed-1", {"soil": new.soil, "apiKey": new.api_key}, self._grown(new, 1)))
        self.garden.beds["bed-1"] = new
        return Held("bed-1", {}, self._grown(new, 1))

    async def read(self, ctx: Context, id: str, old: Held[BedState] | None) -> Held[BedState] | None:
        self.garden.seen.append(old)
        bed = self.garden.beds.get(id)
        if bed is None:
            return None
        inputs = {**(old.inputs if old else {}), "soil": bed.soil}
        if bed.api_key is not None:
            inputs["apiKey"] = bed.api_key.get_secret_value()
        return Held(id, inputs, self._grown(bed, old.state.watered if old else 0))

    async def update(self, ctx: Context, new: BedSpec, old: Held[BedState]) -> BedState:
        self.garden.seen.append(old)
        left = self._grown(new, old.state.watered + 1)
        await self._work(ctx, new, Held(old.id, old.inputs, left))
        return left

    async def delete(self, ctx: Context, old: Held[BedState]) -> None:
        self.garden.seen.append(old)
        self.garden.beds.pop(old.id, None)
        self.garden.done.append("cleared")

    def _grown(self, bed: BedSpec, watered: int) -> BedState:
        weights = {
            name: {str(colour): share for colour, share in lane.weights.items()} for name, lane in bed.lanes.items()
        }
        return BedState(soil=bed.soil, weights=weights, watered=watered, key=bed.api_key, variables=bed.variables)

    async def _work(self, ctx: Context, bed: BedSpec, held: Held[BedState]) -> None:
        self.garden.begun.set()
        key = bed.api_key.get_secret_value() if bed.api_key else "none"
        match bed.ends:
            case "talking":
                await ctx.status("digging")
                await ctx.milestone(f"planted with the key {key}")
            case "refused":
                raise Refused(f"The soil refuses {key}.", world="Nothing was planted.", next="Add compost.")
            case "partly":
                raise Partial("Half of it withered.", held=held, world="The other half blooms.", next="Water it.")
            case "badly":
                raise KeyError(f"spade for {key}")
            case "waiting":
                await self.garden.gate.wait()
            case "left alone":
                print("begun", flush=True)
                while not ctx.orphaned:
                    await ctx.sleep(0.05)
                print("finished the step in hand", flush=True)
            case "sleeping":
                print("begun", flush=True)
                await ctx.sleep(3600)
                if ctx.cancelled:
                    raise Cancelled("Somebody asked to stop.", held=held, world="It is as it was.", next="Go on.")
        self.garden.done.append(f"worked, by {ctx.deadline.isoformat() if ctx.deadline else 'no deadline'}")


class Engine(engine_pb2_grpc.EngineServicer):
    """The part of the engine that a provider talks to, and the engine's calls as a test writes them."""

    def __init__(self) -> None:
        self.logs: list[engine_pb2.LogRequest] = []
        self.stub: Any = None
        self.servicer: Any = None
        self.garden = Garden()

    async def Log(self, request: engine_pb2.LogRequest, context: Any) -> Empty:
        self.logs.append(request)
        return Empty()

    async def check(self, news: Bag | dict[str, Any], olds: Bag | dict[str, Any] | None = None) -> Any:
        return await self.stub.Check(provider_pb2.CheckRequest(**who(), news=struct(news), olds=struct(olds or {})))

    async def diff(self, olds: Bag | dict[str, Any], news: Bag | dict[str, Any]) -> Any:
        return await self.stub.Diff(
            provider_pb2.DiffRequest(**who(), id="bed-1", old_inputs=struct(olds), olds=struct({}), news=struct(news))
        )

    def create(self, news: Bag | dict[str, Any], **more: Any) -> Any:
        return self.stub.Create(provider_pb2.CreateRequest(**who(), properties=struct(news), **more))

    def update(
        self, olds: Bag | dict[str, Any], state: Bag | dict[str, Any], news: Bag | dict[str, Any], **more: Any
    ) -> Any:
        return self.stub.Update(
            provider_pb2.UpdateRequest(
                **who(), id="bed-1", old_inputs=struct(olds), olds=struct(state), news=struct(news), **more
            )
        )

    async def read(self, id: str, **known: Bag | dict[str, Any]) -> Any:
        held: dict[str, Any] = {name: struct(bag) for name, bag in known.items()}
        return await self.stub.Read(provider_pb2.ReadRequest(**who(), id=id, **held))

    async def delete(self, inputs: dict[str, Any], state: dict[str, Any]) -> Any:
        return await self.stub.Delete(
            provider_pb2.DeleteRequest(**who(), id="bed-1", old_inputs=struct(inputs), properties=struct(state))
        )


def who(kind: str = BED) -> dict[str, Any]:
    """How a request says which resource it is about."""
    return {"urn": f"urn:pulumi:test::velro::{kind}::bed", "type": kind, "name": "bed"}


def struct(bag: Bag | Mapping[str, Any]) -> Struct:
    """Plain data, or a bag with its secrets, for the wire."""
    return encode(bag.values, bag.secrets) if isinstance(bag, Bag) else encode(bag)


def plain(message: Struct) -> dict[str, Any]:
    """What a Struct holds, secrets unwrapped."""
    return decode(message).values


def secret(message: Struct) -> set[tuple[str | int, ...]]:
    """Which paths of a Struct are secret."""
    return set(decode(message).secrets)


async def failure(call: Any) -> tuple[grpc.StatusCode, str, Any]:
    """How a call failed: code, message, and what is held if it says so."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or "", _held(error)
    raise AssertionError(f"it went well: {answer}")


def _held(error: grpc.aio.AioRpcError) -> Any:
    metadata: Any = error.trailing_metadata()
    details = {key: value for key, value in metadata if key == "grpc-status-details-bin"}
    if not details:
        return None
    status = status_pb2.Status.FromString(details.popitem()[1])
    assert (error.code().value[0], error.details()) == (status.code, status.message)
    held = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(held)
    return held


@asynccontextmanager
async def engine() -> AsyncIterator[Engine]:
    """A provider of beds that is served, an engine that it logs to, and the engine's client of it."""
    host = Engine()

    def connect(values: Mapping[str, str]) -> Garden:
        host.garden.values = values
        return host.garden

    host.servicer = Servicer[Garden]({BED: BedHandler}, connect, blank=Garden)
    listening, serving = grpc.aio.server(), grpc.aio.server(options=ROOMY)
    engine_pb2_grpc.add_EngineServicer_to_server(host, listening)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(host.servicer, serving)
    address = f"127.0.0.1:{listening.add_insecure_port('127.0.0.1:0')}"
    port = serving.add_insecure_port("127.0.0.1:0")
    await listening.start()
    await serving.start()
    await host.servicer.journal.connect(address)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=ROOMY) as channel:
        host.stub = provider_pb2_grpc.ResourceProviderStub(channel)
        yield host
    host.garden.gate.set()
    await host.servicer.close()
    await serving.stop(grace=None)
    await listening.stop(grace=None)


def beds() -> Servicer[Garden]:
    """A provider of beds that stands for itself."""
    return Servicer[Garden]({BED: BedHandler}, lambda values: Garden(values), blank=Garden)


def run(test: Callable[[Engine], Any]) -> None:
    """One test against a fresh engine."""

    async def inside() -> None:
        async with asyncio.timeout(60), engine() as host:
            await test(host)

    asyncio.run(inside())
