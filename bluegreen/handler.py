"""What one kind of resource must be able to do, and how it may end.

    Halt            an expected end: what is wrong, where the world is, what next
    ├── Refused     nothing was changed
    ├── Partial     something was; what it holds is true now and state keeps it
    │   └── Cancelled
    └── Moved, Unproven in bluegreen.gateway, ApiError in bluegreen.http

Plain async Python: no gRPC type comes in here, so a handler runs the same under the engine, the command line and a
test. It deliberately offers no retry and no clock of its own: time comes from the context.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from bluegreen.spec import Spec, State


class Halt(Exception):
    """An expected end, told in three beats: what is wrong, the state of the world, the next step."""

    def __init__(self, what: str, *, world: str, next: str) -> None:
        super().__init__(what)
        self.what = what
        self.world = world
        self.next = next

    def __str__(self) -> str:
        return " ".join(beat for beat in (self.what, self.world, self.next) if beat)


class Refused(Halt):
    """Nothing was changed."""


class Partial(Halt):
    """Something was changed; `held` is true now, and state keeps it."""

    def __init__(self, what: str, *, held: "Held[Any]", world: str, next: str) -> None:
        super().__init__(what, world=world, next=next)
        self.held = held


class Cancelled(Partial):
    """Somebody asked to stop; what was begun is undone or recorded."""


S = TypeVar("S", bound=Spec)
T = TypeVar("T", bound=State)


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    """A resource as state holds it. The inputs stay raw: an older version may have written them."""

    id: str
    inputs: Mapping[str, Any]
    state: T


class Context(Protocol):
    """The row in `pulumi up`, or the command line's screen; and the only clock."""

    @property
    def cancelled(self) -> bool:
        """Somebody asked to stop: take traffic back to where it was."""

    @property
    def orphaned(self) -> bool:
        """Whoever started this is gone: finish the step in hand, begin no other."""

    @property
    def deadline(self) -> datetime | None: ...
    def now(self) -> datetime: ...
    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds, at once when cancelled."""

    async def milestone(self, text: str) -> None:
        """Kept in logs."""

    async def status(self, text: str) -> None:
        """Overwritten by the next."""


class Handler(ABC, Generic[S, T]):
    """One kind of resource. Constructed with its clients; each method returns or raises a `Halt`.

    `Check` and `Diff` are generic and pure: the provider validates against `spec`, calls `fill`, and compares inputs
    path by path. In `replace_on` and `quiet` a path is dotted, `*` stands for one level: `lanes.*.addresses`.
    """

    spec: ClassVar[type[Spec]]
    state: ClassVar[type[State]]
    replace_on: ClassVar[frozenset[str]] = frozenset()  # a change here means another resource
    quiet: ClassVar[frozenset[str]] = frozenset()  # a change here alone is no change
    refresh: ClassVar[bool] = False  # read before every preview and up

    def fill(self, new: S, old: Mapping[str, Any]) -> S:
        """Check's last word: what follows from the inputs and from the held ones (empty before the first create)."""
        return new

    @abstractmethod
    async def preview(self, ctx: Context, new: S, old: Held[T] | None) -> T:
        """What create (`old` is None) or update will leave, judged after the resources before this one."""

    @abstractmethod
    async def create(self, ctx: Context, new: S) -> Held[T]: ...

    @abstractmethod
    async def read(self, ctx: Context, id: str, old: Held[T] | None) -> Held[T] | None:
        """As it really is. `old` None: an import. Answers None when it is gone."""

    @abstractmethod
    async def update(self, ctx: Context, new: S, old: Held[T]) -> T:
        """Idempotent: after a Partial the engine calls it again, even with nothing to change."""

    @abstractmethod
    async def delete(self, ctx: Context, old: Held[T]) -> None: ...
