"""Health of addresses as one node sees it: counters, thresholds, and who may get requests.

Follows Kong's health checker: a run of failures makes an address unhealthy, a run of successes healthy again; passive
checks learn from live requests (and never heal by themselves), active ones probe over HTTP. Addresses of weight 0 are
never checked. Deliberately not here: probes over TLS or gRPC; they count as plain TCP connects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.kong_errors import Row

Address = tuple[str, int]


def in_use(upstream: Row) -> bool:
    """Whether any check of this upstream can ever change a state."""
    checks = upstream["healthchecks"]
    active, passive = checks["active"], checks["passive"]["unhealthy"]
    probes = active["healthy"]["interval"] or active["unhealthy"]["interval"]
    return bool(probes or passive["tcp_failures"] or passive["timeouts"] or passive["http_failures"])


@dataclass
class State:
    """What is known of one address of one upstream."""

    up: bool = True
    successes: int = 0
    failures: dict[str, int] = field(default_factory=dict)  # by tcp_failures, timeouts, http_failures


class HealthBook:
    """The states of all addresses on one node, shared by its workers."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, Address], State] = {}

    def up(self, upstream: str, address: Address) -> bool:
        state = self._states.get((upstream, address))
        return state is None or state.up

    def set(self, upstream: str, address: Address, up: bool) -> None:
        """An operator's word: it stands until checks say otherwise."""
        self._states[upstream, address] = State(up=up)

    def forget(self, upstream: str) -> None:
        for key in [key for key in self._states if key[0] == upstream]:
            del self._states[key]

    def answered(self, upstream: Row, address: Address, status: int, kind: str) -> None:
        """An answer arrived, to a live request (`passive`) or a probe (`active`)."""
        rules = upstream["healthchecks"][kind]
        if status in rules["healthy"]["http_statuses"]:
            self._succeeded(upstream["id"], address, rules["healthy"]["successes"])
        elif status in rules["unhealthy"]["http_statuses"]:
            self.failed(upstream, address, "http_failures", kind)

    def failed(self, upstream: Row, address: Address, how: str, kind: str) -> None:
        """No good answer: `tcp_failures`, `timeouts` or `http_failures`."""
        limit = upstream["healthchecks"][kind]["unhealthy"][how]
        if not limit:
            return
        state = self._states.setdefault((upstream["id"], address), State())
        state.successes = 0
        state.failures[how] = state.failures.get(how, 0) + 1
        if state.failures[how] >= limit:
            state.up = False

    def _succeeded(self, upstream: str, address: Address, needed: int) -> None:
        state = self._states.get((upstream, address))
        if state is None or not needed:
            return
        state.failures.clear()
        state.successes += 1
        if state.successes >= needed:
            state.up = True


def probe_intervals(upstream: Row) -> Mapping[bool, float]:
    """Seconds between probes of addresses that are up (True) and down (False); 0 means never."""
    active: dict[str, Any] = upstream["healthchecks"]["active"]
    return {True: active["healthy"]["interval"], False: active["unhealthy"]["interval"]}
