"""How an operation ends for the engine: which status, which words, which details.

- A `Halt` is FAILED_PRECONDITION with its three beats: "well understood" to the engine, whose state stays as it is.
- A `Partial` carries `ErrorResourceInitFailed` besides, with exactly one reason: the engine prints the reasons and
  drops the message, keeps what is held now (old inputs, new outputs), and calls Update again at the next `up`.
- Anything else is our bug and INTERNAL, which the engine takes as "the state of this resource is unknown". That is the
  truth then, and only then. The traceback goes into a file that the message names, never to a screen.
"""

import os
import tempfile
import traceback
from collections.abc import Collection
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed

from bluegreen.handler import Halt, Handler, Partial
from bluegreen.provider.check import conceal, dump
from bluegreen.provider.protos import provider_pb2, status_pb2
from bluegreen.provider.redaction import Redactor
from bluegreen.provider.wire import Path, encode


class Ending(Exception):
    """An operation's end that is not a success, ready for the wire."""

    def __init__(
        self, code: grpc.StatusCode, message: str, held: provider_pb2.ErrorResourceInitFailed | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.held = held

    async def abort(self, context: "grpc.aio.ServicerContext[Any, Any]") -> NoReturn:
        """Tell the engine; always raises."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        if self.held is not None:
            detail = Packed()
            detail.Pack(self.held)
            status.details.append(detail)
        details = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(self.code, self.message, details if self.held is not None else ())
        raise AssertionError("unreachable: abort raises")


def refused(halt: Halt, redact: Redactor) -> Ending:
    """Nothing more to say than the three beats."""
    return Ending(grpc.StatusCode.FAILED_PRECONDITION, redact(str(halt)))


def partly(
    partial: Partial, handler: Handler[Any, Any], redact: Redactor, secrets: Collection[Path], *, id: str
) -> Ending:
    """What is held now, and the three beats as the one reason."""
    held = partial.held
    outputs = redact.watch(dump(held.state, secrets=secrets))
    inputs = redact.watch(conceal(handler.spec, held.inputs, secrets))
    reason = redact(str(partial))
    init_failed = provider_pb2.ErrorResourceInitFailed(
        id=held.id or id,
        properties=encode(outputs.values, outputs.secrets),
        inputs=encode(inputs.values, inputs.secrets),
        reasons=[reason],
        refresh_before_update=handler.refresh,
    )
    return Ending(grpc.StatusCode.FAILED_PRECONDITION, reason, init_failed)


def bug(problem: Exception, doing: str, redact: Redactor, *, writes: bool) -> Ending:
    """Not foreseen: what it was, what is believed of the world, and where the traceback lies."""
    trace = _keep(redact("".join(traceback.format_exception(problem))))
    world = (
        "Whether anything was changed before that is unknown; state keeps what was known."
        if writes
        else "Nothing was changed."
    )
    after = "Run pulumi refresh to see how it really is, then report this" if writes else "Please report this"
    said = " ".join(f"{type(problem).__name__}: {problem}".split())
    return Ending(
        grpc.StatusCode.INTERNAL, redact(f"A bug in bluegreen ended {doing}: {said}. {world} {after} with {trace}.")
    )


def _keep(trace: str) -> str:
    try:
        handle, name = tempfile.mkstemp(prefix="bluegreen-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(trace)
    except OSError as problem:
        return f"its traceback, which could not be written ({problem.strerror})"
    return name
