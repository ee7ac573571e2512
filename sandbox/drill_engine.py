"""An engine played for a drill: one update of the traffic resource, by the provider's real process over real gRPC.

It asks what Pulumi's engine asks, in its order: Configure, Read, Check, Diff, Update. The engine is a process of its
own and the provider is that one's child, so each can be killed alone, and an orphaned provider has really lost its
parent. A whole `pulumi up` takes seconds in which no traffic moves; this one moves traffic at once. Deliberately not
here: state, locks, previews, other resources. `sandbox.stack` drives the real engine.
"""

import contextlib
import multiprocessing
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

PROVIDER = Path(__file__).resolve().parents[1] / "bluegreen" / "provider" / "pulumi-resource-bluegreen"
LOADED_AGAIN = ("sandbox.drill_share", "rich.console", "rich.table")  # what takes its time in `sandbox.drill`
PATIENCE = 60.0  # seconds for the end of an update
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # how the engine says that a value is a secret one


@dataclass(frozen=True, slots=True)
class Known:
    """What the engine knows of the resource: as its state has it."""

    urn: str
    id: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """How an update ended: what state holds now, and what was wrong; `killed` where nobody could say."""

    outputs: Mapping[str, Any] | None = None
    problem: str = ""
    killed: bool = False
    pids: tuple[int, ...] = ()

    @property
    def well(self) -> bool:
        return not (self.problem or self.killed)


class Context(Protocol):
    """How processes are made; `forkserver`, so that no update pays for loading gRPC."""

    def Process(self, *, target: Any, args: Any) -> BaseProcess: ...
    def Pipe(self, duplex: bool = True) -> tuple[Connection, Connection]: ...


@dataclass(slots=True)
class Playing:
    """An update under way."""

    process: BaseProcess
    words: Connection
    provider: int = 0
    _heard: list[Any] = field(default_factory=list)

    @property
    def engine(self) -> int:
        return int(self.process.pid or 0)

    @property
    def over(self) -> bool:
        return not self.process.is_alive()

    def finish(self) -> Ended:
        """Wait for its end, however it ends."""
        said: Any = None
        with contextlib.suppress(EOFError):
            said = self.words.recv() if self.words.poll(PATIENCE) else None
        self.words.close()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        pids = (self.engine, self.provider)
        if said is None:
            return Ended(killed=True, pids=pids)
        outputs, problem = said
        return Ended(outputs, problem, pids=pids)


def context() -> Any:
    """Where updates are forked from: a process that has loaded gRPC, and what a fork loads again of its program."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["sandbox.drill_engine", *LOADED_AGAIN])
    return made


def start(made: Any, known: Known, news: Mapping[str, Any], environment: Mapping[str, str]) -> Playing:
    """Begin an update to these inputs; returns once the provider runs."""
    ours, theirs = made.Pipe(duplex=False)
    process = made.Process(target=_play, args=(theirs, known, dict(news), dict(environment)))
    process.start()
    theirs.close()
    playing = Playing(process, ours)
    if ours.poll(PATIENCE):
        playing.provider = ours.recv()
    return playing


def _play(words: Connection, known: Known, news: dict[str, Any], environment: dict[str, str]) -> None:
    """The engine's whole life."""
    os.environ.clear()
    os.environ.update(environment)
    with subprocess.Popen([str(PROVIDER)], env=environment, stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdout is not None
        port = int(provider.stdout.readline())
        words.send(provider.pid)
        outputs, problem = None, ""
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                outputs = _update(provider_pb2_grpc.ResourceProviderStub(channel), known, news)
        except grpc.RpcError as error:
            outputs, problem = _held(error), str(error.details())
        finally:
            provider.terminate()
    words.send((outputs, problem))


def _update(stub: Any, known: Known, news: dict[str, Any]) -> Any:
    who: dict[str, Any] = {"urn": known.urn, "type": known.urn.split("::")[-2], "name": known.urn.rpartition("::")[2]}
    stub.Configure(provider_pb2.ConfigureRequest(args=Struct(), acceptSecrets=True), wait_for_ready=True)
    inputs, outputs = _struct(known.inputs), _struct(known.outputs)
    read = stub.Read(provider_pb2.ReadRequest(**who, id=known.id, inputs=inputs, properties=outputs))
    checked = stub.Check(provider_pb2.CheckRequest(**who, olds=read.inputs, news=_struct(news)))
    if checked.failures:
        return None
    both: dict[str, Any] = {"old_inputs": read.inputs, "olds": read.properties, "news": checked.inputs}
    diff = stub.Diff(provider_pb2.DiffRequest(**who, id=known.id, **both))
    if diff.changes == provider_pb2.DiffResponse.DIFF_NONE:
        return MessageToDict(read.properties)
    return MessageToDict(stub.Update(provider_pb2.UpdateRequest(**who, id=known.id, **both)).properties)


def _held(error: Any) -> Any:
    """What state is to keep although it went wrong."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            details = status_pb2.Status.FromString(value).details
            held = provider_pb2.ErrorResourceInitFailed()
            if details and details[0].Unpack(held):
                return MessageToDict(held.properties)
    return None


def _struct(values: Mapping[str, Any]) -> Struct:
    made = Struct()
    made.update(_clear(values))
    return made


def _clear(value: Any) -> Any:
    """Whole numbers as the wire has them, secrets opened."""
    if isinstance(value, Mapping):
        return _clear(value.get("value")) if SECRET in value else {key: _clear(each) for key, each in value.items()}
    return [_clear(each) for each in value] if isinstance(value, (list, tuple)) else value
