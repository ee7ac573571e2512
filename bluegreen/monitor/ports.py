"""What a watch works with and does not make itself: whom it asks, who shows it and notes it, how traffic goes back.

Protocols and callables alone, so that a watch can be tried without a gateway and without a clock.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import JsonValue

from bluegreen.analysis import Meter
from bluegreen.event import Kind
from bluegreen.handler import Context
from bluegreen.journal import AnyEntry, Beat, Pulse
from bluegreen.monitor.document import ReturnTold
from bluegreen.monitor.endpoint import Endpoint
from bluegreen.monitor.line import Line
from bluegreen.monitor.picture import Picture


class Show(Protocol):
    """Whoever shows a watch to a person or a log; never raises, whatever becomes of the terminal."""

    def draw(self, picture: Picture, now: datetime) -> None:
        """Something may look otherwise now."""

    def round(self, picture: Picture, beats: Sequence[Beat], at: datetime) -> None:
        """A round is over."""

    def say(self, text: str) -> None:
        """One sentence, which stays."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that a watch works with."""

    ctx: Context
    line: Line
    meter: Meter
    ask: Callable[[Sequence[Endpoint]], Awaitable[Sequence[Beat]]]
    show: Show
    note: Callable[[AnyEntry], None]
    tell: Callable[[Kind, str, Mapping[str, JsonValue]], None]
    heard: Callable[[Pulse], None]
    back: Callable[[str], Awaitable[ReturnTold]]
