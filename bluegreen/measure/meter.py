"""Measures everything that an analysis asks for, while it lasts: one watch over all its metrics and apps.

What is shared is asked once: the probes of an app are one stream at the highest rate that any metric wants, and Kong's
page is fetched once per look. What goes wrong is told in the metric's own entry and disturbs no other. Rooms that own
a source hand it in as a callable. It deliberately judges nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bluegreen.analysis import DEFAULT_RPS, Analysis, Look, Metric, Sample, Seen, Subject
from bluegreen.handler import Context, Halt
from bluegreen.http import Client
from bluegreen.measure import sampler
from bluegreen.measure.kong_page import Growth, parse
from bluegreen.measure.sampler import Stream
from bluegreen.measure.sources import Asked, Number, Sources
from bluegreen.spec import Colour

PageOf = Callable[[], Awaitable[str]]


class Sampling:
    """Measures by asking; implements `bluegreen.analysis.Meter`.

    Args:
        gateway: opens a client of the proxy that carries the preview key; each watch closes its own.
        kong_metrics: the text of Kong's metrics page; None where there is no Admin API.
        number: what a reading query answers; None where there is no database.
        folder: where a metric's program runs.
        patience: seconds for one answer to a probe.
    """

    def __init__(
        self,
        gateway: Callable[[], Client],
        *,
        kong_metrics: PageOf | None = None,
        number: Number | None = None,
        folder: Path = Path(),
        patience: float = sampler.PATIENCE,
    ) -> None:
        self._gateway = gateway
        self._kong_metrics = kong_metrics
        self._sources = Sources(number, folder)
        self._patience = patience

    @asynccontextmanager
    async def watch(self, analysis: Analysis, subjects: Sequence[Subject], ctx: Context) -> AsyncIterator["Watching"]:
        """Measure from here on; leaving ends every probe and closes every connection."""
        async with AsyncExitStack() as streams:
            growth = _Kong(self._kong_metrics, Growth(ctx.now()))
            if any(metric.kong for metric in analysis.metrics):
                await growth.look()
            rates = [metric.probe.rps for metric in analysis.metrics if metric.probe is not None]
            probed = {
                subject.app: await streams.enter_async_context(
                    Stream(subject, max(rates, default=DEFAULT_RPS), self._gateway, ctx, patience=self._patience)
                )
                for subject in (subjects if rates else ())
            }
            yield Watching(analysis, subjects, probed, growth, self._sources, ctx)


@dataclass(slots=True)
class _Kong:
    """Kong's page, and what came of the last look at it."""

    page: PageOf | None
    growth: Growth
    fault: str = ""

    async def look(self) -> None:
        if self.page is None:
            self.fault = "Kong's metrics cannot be read: no Admin API is configured."
            return
        try:
            self.growth.add(parse(await self.page()))
            self.fault = ""
        except Halt as halt:
            self.fault = halt.what


@dataclass(frozen=True, slots=True)
class Watching:
    """Measuring under way; implements `bluegreen.analysis.Watch`."""

    analysis: Analysis
    subjects: Sequence[Subject]
    streams: dict[str, Stream]
    kong: _Kong
    sources: Sources
    ctx: Context

    async def look(self) -> Sequence[Look]:
        """Everything seen so far, one entry for each app and metric; every source is asked at the same time."""
        shared = [stream.settle() for stream in self.streams.values()]
        if any(metric.kong for metric in self.analysis.metrics):
            shared.append(self.kong.look())
        await asyncio.gather(*shared)
        return await asyncio.gather(
            *(self._look(subject, metric) for subject in self.subjects for metric in self.analysis.metrics)
        )

    def told(self, app: str, colour: Colour) -> str:
        """What was wrong with the answers to the probes of one colour: `9 answered 503`; empty without errors."""
        return self.streams[app].told(colour) if app in self.streams else ""

    def samples(self) -> Mapping[str, Sequence[Sample]]:
        """Every request that has ended since this was last asked, by app."""
        return {app: stream.samples() for app, stream in self.streams.items()}

    def dropped(self) -> int:
        """How many of them were too many to be kept."""
        return sum(stream.dropped() for stream in self.streams.values())

    async def _look(self, subject: Subject, metric: Metric) -> Look:
        asked = (self._seen(subject, metric, colour) for colour in _sides(subject, metric))
        candidate, *live = await asyncio.gather(*asked)
        return Look(subject.app, metric.name, candidate, live[0] if live else None)

    async def _seen(self, subject: Subject, metric: Metric, colour: Colour) -> Seen:
        if metric.probe is not None:
            return self.streams[subject.app].seen(colour)
        if metric.kong is not None:
            if self.kong.fault:
                return Seen(error=self.kong.fault)
            return self.kong.growth.seen(subject.app, metric.measures, self.ctx.now())
        try:
            return Seen(value=await self.sources.value(metric, Asked.of(subject, colour, self.analysis)))
        except Halt as halt:
            return Seen(error=halt.what)


def _sides(subject: Subject, metric: Metric) -> Sequence[Colour]:
    """Whose side is measured: probes ask all alike, a number is asked of the live colour only to compare with it.

    Kong counts an app's colours together, and a JSON answer or a SQL query knows none: they have one side,
    and a spec that wants them compared is refused (`bluegreen.analysis`).
    """
    compared = metric.probe is not None or metric.allowed_increase is not None
    return subject.colours if compared else subject.colours[:1]
