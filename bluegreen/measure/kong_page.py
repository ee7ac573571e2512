"""What Kong itself counted for one service, from two or more looks at its `/metrics`.

A small strict parser of the three families that are needed, in the text format; everything else on the page is left
alone. Kong writes a page per node and names it (`kong_node_info{node_id=…}`), so behind one address every node has
counters of its own, and what was seen is the sum over nodes, of each since its first page. A page that names no node
is taken for the page of one node: with several behind one address a decrease then counts as a restart, and too much is
counted.

A counter that went down began at zero again (a restart): everything of that service on that node then counts in full.
A series that was not there before began at zero, too. Counters are process-local and written once a second, so what
went through in the last second is on the next page, and in the first second there is nothing at all.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bluegreen.analysis import Seen
from bluegreen.handler import Halt

REQUESTS = "kong_http_requests_total"
LATENCY = "kong_request_latency_ms_bucket"
OVERHEAD = "kong_kong_latency_ms_bucket"
MARKED = {REQUESTS: "code", LATENCY: "le", OVERHEAD: "le"}
SETTING = {REQUESTS: "status_code_metrics", LATENCY: "latency_metrics", OVERHEAD: "latency_metrics"}
SHOWN = 120  # characters of a line that an error quotes
FLUSHED = timedelta(seconds=2)  # Kong writes its counters once a second; a page is that old at most

LINE = re.compile(r"[a-zA-Z_:][\w:]*\{(.*)\}[ \t]+(\S+)(?:[ \t]+-?\d+)?\s*")
LABEL = re.compile(r'\s*([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"\s*(?:,|$)')
INFINITE = "+Inf"
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|\+Inf")
NODE = re.compile(r'^kong_node_info\{(?:.*,)?node_id="([^"]*)"', re.MULTILINE)

Key = tuple[str, str]  # a family, and the code or the upper bound
Counts = Mapping[Key, float]


@dataclass(frozen=True, slots=True)
class Page:
    """One node's counters at one moment, by service; routes, consumers and sources are added up."""

    node: str
    services: Mapping[str, Counts] = field(default_factory=dict)

    @property
    def families(self) -> frozenset[str]:
        """The families that are on the page at all, for whichever service."""
        return frozenset(family for counts in self.services.values() for family, _ in counts)


def parse(text: str) -> Page:
    """The page, as far as it is needed.

    Raises:
        Halt: a line that is needed is not in the text format.
    """
    services: dict[str, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
    for number, line in enumerate(text.splitlines(), 1):
        family = line.partition("{")[0].strip()
        if family in MARKED:
            labels, value = _sample(line, number)
            mark = labels.get(MARKED[family], "")
            if MARKED[family] == "le" and not NUMBER.fullmatch(mark):
                raise _unreadable(line, number)
            services[labels.get("service", "")][family, mark] += value
    node = NODE.search(text)
    return Page(node[1] if node else "", services)


def _sample(line: str, number: int) -> tuple[Mapping[str, str], float]:
    whole = LINE.fullmatch(line)
    labels: dict[str, str] = {}
    position = 0
    while whole and (pair := LABEL.match(whole[1], position)):
        labels[pair[1]], position = (
            re.sub(r"\\(.)", lambda sign: {"n": "\n"}.get(sign[1], sign[1]), pair[2]),
            pair.end(),
        )
    if whole is None or position != len(whole[1]) or not NUMBER.fullmatch(whole[2]) or whole[2] == INFINITE:
        raise _unreadable(line, number)
    return labels, float(whole[2])


def _unreadable(line: str, number: int) -> Halt:
    what = f"Line {number} of Kong's metrics page is no counter: {line[:SHOWN]}"
    return Halt(what, world="Nothing was changed.", next="Check that what answers there is Kong's Admin API.")


class Growth:
    """How much the counters of every service grew since the first page of each node."""

    def __init__(self, began: datetime) -> None:
        self._began = began
        self._pages: dict[str, Page] = {}
        self._grown: dict[str, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
        self._families: frozenset[str] = frozenset()

    def add(self, page: Page) -> None:
        """One more look at one node."""
        before = self._pages.get(page.node, page)
        for service in {*page.services, *before.services}:
            self._grow(service, before.services.get(service, {}), page.services.get(service, {}))
        self._pages[page.node] = page
        self._families |= page.families

    def seen(self, service: str, measures: str, now: datetime) -> Seen:
        """What one service answered since the first look; an error where Kong is not told to count it."""
        asked = {"latency": LATENCY, "overhead": OVERHEAD}.get(measures, REQUESTS)
        if asked not in self._families:
            return Seen() if now - self._began < FLUSHED else Seen(error=_uncounted(asked))
        grown = self._grown[service]
        buckets = _cumulative(grown, OVERHEAD if asked == OVERHEAD else LATENCY)
        codes = {code: count for (family, code), count in grown.items() if family == REQUESTS}
        errors = sum(count for code, count in codes.items() if code.isdigit() and int(code) >= 500)
        requests = sum(codes.values()) if asked == REQUESTS else (buckets[-1][1] if buckets else 0)
        return Seen(requests=int(requests), errors=int(errors), buckets=buckets)

    def _grow(self, service: str, before: Counts, now: Counts) -> None:
        if any(now.get(key, 0) < count for key, count in before.items()):
            before = {}
        for key, count in now.items():
            self._grown[service][key] += count - before.get(key, 0)


def _cumulative(grown: Counts, family: str) -> tuple[tuple[float, int], ...]:
    found = {float(bound): int(count) for (of, bound), count in grown.items() if of == family}
    return tuple(sorted(found.items()))


def _uncounted(family: str) -> str:
    return (
        f"Kong's metrics page has no {family} for any service: prometheus.{SETTING[family]} is not true among the "
        "gateway's plugins, or nothing has gone through this node yet."
    )
