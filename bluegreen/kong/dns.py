"""How long Kong may hold on to an address that a service has left, read from what a node says of itself. Pure.

A service gets other addresses with each deployment, and the one before lives on for its `overlapSeconds`. Kong asks for
the new ones when the answer it holds has expired, and by default goes on using an expired one for up to an hour while
it asks. How long an answer of Railway's own resolver is good is unknown, so nothing here can say that no request is
lost: a risk is told with the setting that lessens it, and never refused.
It deliberately asks nothing: whoever calls has the node's answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FEW = 4  # seconds: what is advised for an expired answer


@dataclass(frozen=True, slots=True)
class Names:
    """How a node looks names up; seconds, and `valid` is None where it believes what it is told."""

    stale: float
    valid: float | None
    order: tuple[str, ...]
    new_client: bool

    def setting(self, name: str) -> str:
        """What this client calls `stale_ttl`, `valid_ttl` and `order`."""
        if name == "order":
            return "resolver_family" if self.new_client else "dns_order"
        return f"{'resolver' if self.new_client else 'dns'}_{name}"


def names(node: Mapping[str, Any]) -> Names | None:
    """From a node's `GET /`; None where it does not show its configuration."""
    shown = node.get("configuration") or {}
    new = shown.get("new_dns_client") is True
    room = "resolver" if new else "dns"
    stale, order = shown.get(f"{room}_stale_ttl"), shown.get("resolver_family" if new else "dns_order")
    if not isinstance(stale, int | float) or not isinstance(order, list):
        return None
    valid = shown.get(f"{room}_valid_ttl")
    return Names(float(stale), float(valid) if isinstance(valid, int | float) else None, tuple(order), new)


def late(names: Names | None, service: str, overlap: float) -> tuple[str, ...]:
    """Why requests may reach an address that this service has left; nothing where none is known."""
    if names is None or (names.valid or 0) + names.stale <= overlap:
        return ()
    settings, advice = [names.setting("stale_ttl")], [f"with {_variable(names.setting('stale_ttl'))}={FEW}"]
    if names.valid is not None:
        settings.insert(0, names.setting("valid_ttl"))
        advice.insert(0, f"without {_variable(names.setting('valid_ttl'))}")
    longest = (names.valid or 0) + names.stale
    return (
        f"Kong may send requests to an address that {service} has left for up to {longest:g} s"
        f" ({' and '.join(settings)}); the deployment before goes on for {overlap:g} s (overlapSeconds)."
        f" Start Kong {' and '.join(advice)}.",
    )


def unfound(names: Names | None) -> tuple[str, ...]:
    """Why Kong may not find a service at all."""
    if names is None or "AAAA" in names.order:
        return ()
    setting, wanted = names.setting("order"), "A,AAAA,SRV" if names.new_client else "LAST,AAAA,A,CNAME"
    return (
        f"Kong asks for no AAAA records ({setting} {','.join(names.order)}), so it cannot find an IPv6-only"
        f" environment. Start Kong with {_variable(setting)}={wanted}.",
    )


def _variable(setting: str) -> str:
    return f"KONG_{setting.upper()}"
