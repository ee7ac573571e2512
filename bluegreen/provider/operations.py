"""One resource operation each: decode what the engine sent, ask the handler, encode what it answers.

Check and Diff are pure and touch no network, because the engine asks them one after another for every resource.
Inputs are validated strictly before anything is created or updated; what state holds is read forgivingly, always. It
deliberately holds no state of any resource and knows no kind of resource: which handler serves a token is asked.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from pydantic import ValidationError

from bluegreen.handler import Context, Halt, Handler, Held, Partial, Refused
from bluegreen.provider.check import check, conceal, dump, forgive, parse, unknown_outputs
from bluegreen.provider.context import Journal, Row, Signals
from bluegreen.provider.diff import Change, diff
from bluegreen.provider.outcome import partly
from bluegreen.provider.protos import provider_pb2
from bluegreen.provider.redaction import Redactor
from bluegreen.provider.wire import Bag, Path, Unreadable, decode, encode
from bluegreen.spec import Spec, State, problems

A = TypeVar("A")
AnyHandler: TypeAlias = Handler[Any, Any]
Request: TypeAlias = (
    provider_pb2.CheckRequest
    | provider_pb2.DiffRequest
    | provider_pb2.CreateRequest
    | provider_pb2.UpdateRequest
    | provider_pb2.ReadRequest
    | provider_pb2.DeleteRequest
)


class Operations:
    """What the engine can ask for a resource."""

    def __init__(
        self, handler_of: Callable[[str], AnyHandler], signals: Signals, journal: Journal, redactor: Redactor
    ) -> None:
        self._handler_of = handler_of
        self._signals = signals
        self._journal = journal
        self._redactor = redactor

    async def check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        try:
            news, olds = self.decode(request.news), self.decode(request.olds)
            inputs, wrong = check(self._handler(request), news, olds.values)
        except (Halt, Unreadable) as problem:
            return provider_pb2.CheckResponse(inputs=request.news, failures=self._failures([str(problem)]))
        return provider_pb2.CheckResponse(inputs=self._encode(inputs), failures=self._failures(wrong))

    async def diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        olds, news = self.decode(request.old_inputs), self.decode(request.news)
        return diff_response(diff(self._handler(request), olds, news))

    async def create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        handler, news, row = self._handler(request), self.decode(request.properties), self._row(request)
        again = handler.refresh
        if request.preview:
            outputs = await self._preview(handler, row, request, news, None)
            return provider_pb2.CreateResponse(properties=outputs, refresh_before_update=again)
        self._refuse_when_cancelled(request)
        new = _strict(handler, request, news)
        held: Held[Any] = await self._carry(handler.create(row, new), handler, news.secrets, "")
        outputs = self._outputs(held.state, news)
        return provider_pb2.CreateResponse(id=held.id, properties=outputs, refresh_before_update=again)

    async def update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
        handler, news, row = self._handler(request), self.decode(request.news), self._row(request)
        inputs, state = self.decode(request.old_inputs), self.decode(request.olds)
        old = Held(request.id, inputs.values, forgive(handler.state, state.values))
        again = handler.refresh
        if request.preview:
            outputs = await self._preview(handler, row, request, news, old, state)
            return provider_pb2.UpdateResponse(properties=outputs, refresh_before_update=again)
        self._refuse_when_cancelled(request)
        new = _strict(handler, request, news)
        secrets = news.secrets | inputs.secrets | state.secrets
        left: State = await self._carry(handler.update(row, new, old), handler, secrets, request.id)
        outputs = self._outputs(left, news, state)
        return provider_pb2.UpdateResponse(properties=outputs, refresh_before_update=again)

    async def read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        handler, row = self._handler(request), self._row(request)
        inputs, state = self.decode(request.inputs), self.decode(request.properties)
        known = bool(inputs.values or state.values)  # an import, or a look-up by id, brings nothing along
        old = Held(request.id, inputs.values, forgive(handler.state, state.values)) if known else None
        reading = handler.read(row, request.id, old)
        found = await self._carry(reading, handler, inputs.secrets | state.secrets, request.id)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=found.id,
            properties=self._outputs(found.state, inputs, state),
            inputs=self._encode(conceal(handler.spec, found.inputs, inputs.secrets)),
            refresh_before_update=handler.refresh,
        )

    async def delete(self, request: provider_pb2.DeleteRequest) -> Empty:
        handler, row = self._handler(request), self._row(request)
        self._refuse_when_cancelled(request)
        inputs, state = self.decode(request.old_inputs), self.decode(request.properties)
        await handler.delete(row, Held(request.id, inputs.values, forgive(handler.state, state.values)))
        return Empty()

    def decode(self, struct: Struct) -> Bag:
        """A bag, its secrets learned."""
        return self._redactor.watch(decode(struct))

    def _encode(self, bag: Bag) -> Struct:
        self._redactor.watch(bag)
        return encode(bag.values, bag.secrets)

    def _outputs(self, state: State, *marked: Bag) -> Struct:
        secrets: frozenset[Path] = frozenset().union(*(bag.secrets for bag in marked))
        return self._encode(dump(state, secrets=secrets))

    async def _preview(
        self,
        handler: AnyHandler,
        row: Context,
        request: Request,
        news: Bag,
        old: Held[Any] | None,
        *marked: Bag,
    ) -> Struct:
        if news.unknowns:
            return self._encode(unknown_outputs(handler.state))
        expected: State = await handler.preview(row, _strict(handler, request, news), old)
        # What a preview cannot know yet is None there, and unknown to whoever depends on it.
        known = dump(expected, secrets=frozenset().union(*(bag.secrets for bag in (news, *marked))))
        return self._encode(Bag({**unknown_outputs(handler.state).values, **known.values}, known.secrets))

    async def _carry(self, work: Awaitable[A], handler: AnyHandler, secrets: frozenset[Path], id: str) -> A:
        try:
            return await work
        except Partial as partial:
            raise partly(partial, handler, self._redactor, secrets, id=id) from partial

    def _failures(self, wrong: list[str]) -> list[provider_pb2.CheckFailure]:
        # Without a property the engine lets the sentence stand alone; with one it adds `value {<nil>}`.
        return [provider_pb2.CheckFailure(property="", reason=self._redactor(sentence)) for sentence in wrong]

    def _handler(self, request: Request) -> AnyHandler:
        return self._handler_of(token(request))

    def _row(self, request: Request) -> Row:
        return Row(request.urn, getattr(request, "timeout", 0.0), self._signals, self._journal)

    def _refuse_when_cancelled(self, request: Request) -> None:
        if self._signals.cancelled.is_set():
            what = f"{label(request)} was cancelled before it began."
            raise Refused(what, world="Nothing was changed.", next="Run pulumi up again when you want it.")


def diff_response(found: list[Change]) -> provider_pb2.DiffResponse:
    """What differs, both ways in which the engine wants to know it."""
    kinds = provider_pb2.PropertyDiff
    detailed = {
        str(change): kinds(kind=kinds.Kind.Value(change.kind + "_REPLACE" * change.replace), inputDiff=True)
        for change in found
    }
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=list(dict.fromkeys(str(change.path[0]) for change in found)),
        replaces=list(dict.fromkeys(str(change.path[0]) for change in found if change.replace)),
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )


def token(request: Request) -> str:
    """Which kind of resource it is about; an older engine says so in the URN alone."""
    return request.type or request.urn.split("::")[-2].split("$")[-1]


def label(request: Request) -> str:
    """Which resource it is about, as a person says it: `kong:Route api`."""
    name = request.name or request.urn.split("::")[-1]
    return f"{token(request).removeprefix('bluegreen:')} {name}"


def _strict(handler: AnyHandler, request: Request, news: Bag) -> Spec:
    try:
        return parse(handler.spec, news.values)
    except ValidationError as error:
        what = f"The inputs of {label(request)} are not valid: {'; '.join(problems(error))}."
        raise Refused(what, world="Nothing was changed.", next="Correct them and run pulumi up again.") from error
