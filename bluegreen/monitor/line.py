"""Whether it is our own line that is gone: when nothing answers here, Kong's Admin API included, nobody can tell.

Kong's Admin API is looked at every few seconds beside everything else. That says two things: what serves by now, and
when nothing came from there. Requests that got no answer in such a time, while none got one, say nothing of a release;
nor does anything before the proxy has answered for the first time, because its address may be wrong. An absence that is
shorter than two looks may go unnoticed. It deliberately judges nothing.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bluegreen.gateway import Gateway
from bluegreen.handler import Context
from bluegreen.journal import Beat
from bluegreen.monitor.sight import Sight, look

GLANCE = 2.0  # seconds between two looks
KEPT = 2000  # looks: no request is judged that late

Asked = tuple[datetime, bool]  # when a request began, and whether it was answered at all


@dataclass(slots=True)
class Line:
    """The line from here to the gateway; `sight` is what Kong said last, `heard` whether the proxy ever answered."""

    gateway: Gateway
    upstreams: Mapping[str, str]
    ctx: Context
    sight: Sight = field(default_factory=Sight)
    heard: bool = False
    _looks: deque[tuple[datetime, bool]] = field(default_factory=lambda: deque(maxlen=KEPT))

    async def look(self) -> Sight:
        """What Kong says now; never raises."""
        at = self.ctx.now()
        sight = await look(self.gateway, self.upstreams, self.sight)
        if not self._looks or self._looks[-1][0] <= at:  # of two at the same time, the one that began later counts
            self.sight = sight
            self._looks.append((at, bool(sight.fresh)))
        return sight

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            await self.ctx.sleep(GLANCE)
            await self.look()

    @property
    def away(self) -> bool:
        """Kong's Admin API gave no answer at the last look."""
        return bool(self._looks) and not self._looks[-1][1]

    def silent(self, beats: Sequence[Beat], sight: Sight) -> bool:
        """Whether a round saw nothing at all that would say anything of a release."""
        answered = any(beat.status is not None for beat in beats)
        self.heard = self.heard or answered
        return bool(beats) and not answered and not (self.heard and sight.fresh)

    def lost(self, asked: Iterable[Asked]) -> bool:
        """Whether among these requests there are some that say nothing of a release, because the line was gone."""
        found = list(asked)
        self.heard = self.heard or any(answered for _, answered in found)
        if not self.heard:
            return bool(found)
        return any(self._within(gap, found) for gap in self._gaps())

    @staticmethod
    def _within(gap: tuple[datetime, datetime, datetime, datetime], asked: Sequence[Asked]) -> bool:
        good, first, last, again = gap
        unanswered = any(not answered and good <= at <= again for at, answered in asked)
        return unanswered and not any(answered and first <= at <= last for at, answered in asked)

    def _gaps(self) -> list[tuple[datetime, datetime, datetime, datetime]]:
        """Of each absence: the last look before it, its first one, its last one, and the next after it."""
        gaps, looks = [], list(self._looks)
        began: int | None = None
        for at, (_, answered) in enumerate(looks):
            if not answered and began is None:
                began = at
            if began is not None and (answered or at == len(looks) - 1):
                over = at - 1 if answered else at
                again = looks[at][0] if answered else self.ctx.now()
                gaps.append((looks[max(0, began - 1)][0], looks[began][0], looks[over][0], again))
                began = None
        return gaps
