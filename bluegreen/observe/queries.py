"""PromQL about one stack, each question once: a panel and the alarm beside it ask the same.

Every query names what it is about: our own series carry the stack, Kong's are chosen by the names of the stack's
services there. Two stacks whose apps are called alike and whose Kongs one Prometheus fetches need `--kong-job` to be
told apart. It deliberately knows no panel and no threshold.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bluegreen.observe import series
from bluegreen.settings import Settings
from bluegreen.spec import Colour

GRAFANA = "$__rate_interval"  # what Grafana fills in: the shortest window that never misses a fetch


@dataclass(frozen=True, slots=True)
class Queries:
    """What can be asked of a stack. `window` is the span of a rate; with a job, only series of that job are asked."""

    settings: Settings
    window: str = GRAFANA
    kong_job: str = ""
    postgres_job: str = ""

    @property
    def apps(self) -> str:
        """The apps' services in Kong: what users meet, both colours together."""
        return "|".join(self.settings.order())

    @property
    def previews(self) -> str:
        """The services that lead to one colour, past the weights."""
        return "|".join(self.settings.service_name(app, colour) for app, colour in self._colours())

    @property
    def models(self) -> str:
        """The models' services in Kong; empty where there are none."""
        return "|".join(model.entity for model in self.settings.gateway.models)

    def ours(self, name: str, *, over: str = "", **labels: str) -> str:
        """One of the exporter's own series, of this stack."""
        return _selector(name, [f'stack="{self.settings.owner}"', *_equal(labels)], over)

    def weights(self, **labels: str) -> str:
        """Percent by app and colour; several monitors of one stack see the same shares, which must not be added up."""
        return f"max by (stack, app, colour) ({self.ours(series.WEIGHT, **labels)})"

    def kong(self, name: str, *more: str, over: str = "") -> str:
        """One of Kong's series, with these matchers."""
        return _selector(name, [*more, *_job(self.kong_job)], over)

    def database(self, name: str, *more: str, over: str = "") -> str:
        """One of postgres_exporter's series."""
        return _selector(name, [*more, *_job(self.postgres_job)], over)

    def requests(self, services: str, by: str = "service", *more: str) -> str:
        """Requests a second."""
        named = self.kong(series.KONG_REQUESTS, f'service=~"{services}"', *more, over=self.window)
        return f"sum by ({by}) (rate({named}))"

    def counted(self, services: str, by: str = "service") -> str:
        """How many requests there were in the window."""
        named = self.kong(series.KONG_REQUESTS, f'service=~"{services}"', over=self.window)
        return f"sum by ({by}) (increase({named}))"

    def errors(self, services: str, by: str = "service") -> str:
        """The share of answers with 5xx, in percent; 0 where there was none, nothing where nobody asked."""
        every = self.requests(services, by)
        failed = self.requests(services, by, 'code=~"5.."')
        return f"100 * ({failed} or 0 * {every}) / ({every} > 0)"

    def percentile(self, family: str, services: str, percent: float, by: str = "service") -> str:
        """A percentile of one of Kong's three latencies, in milliseconds."""
        named = self.kong(f"{family}_bucket", f'service=~"{services}"', over=self.window)
        return f"histogram_quantile({percent / 100:g}, sum by (le, {by}) (rate({named})))"

    def unwell(self, app: str, colour: Colour) -> str:
        """1 while Kong calls this colour's target unhealthy or cannot find its name."""
        host = self.settings.host(app, colour).replace(".", "\\\\.")
        matchers = (f'upstream="{app}"', f'target=~"{host}:.+"', 'state=~"unhealthy|dns_error"')
        return f"max by (upstream, target) ({self.kong(series.KONG_HEALTH, *matchers)}) == 1"

    def _colours(self) -> Iterable[tuple[str, Colour]]:
        return ((app, colour) for app in self.settings.order() for colour in ("blue", "green"))


def _selector(name: str, matchers: Iterable[str], over: str) -> str:
    inside = ", ".join(matchers)
    return f"{name}{{{inside}}}" * bool(inside) + name * (not inside) + f"[{over}]" * bool(over)


def _equal(labels: dict[str, str]) -> list[str]:
    return [f'{name}="{value}"' for name, value in labels.items()]


def _job(name: str) -> list[str]:
    return [f'job="{name}"'] if name else []
