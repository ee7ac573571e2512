"""response-transformer, as far as it changes headers: remove, rename, replace, add, append, in this order.

It runs on every answer of a route on which it stands, Kong's own refusals included, as Kong's header filters do.
Deliberately not here: JSON bodies, which are stored and left as they are.
"""

from collections.abc import Sequence

from sandbox.kong_call import Call
from sandbox.kong_wire import Header

NAME = "response-transformer"


def transformed(call: Call | None, headers: Sequence[Header]) -> list[Header]:
    """The headers as the plugin leaves them."""
    plugin = call.match.plugins.of(NAME, call.who) if call is not None else None
    if plugin is None:
        return list(headers)
    config = plugin["config"]
    gone = {name.lower() for name in config["remove"]["headers"]}
    found = [header for header in headers if header[0].lower() not in gone]
    for old, new in _pairs(config["rename"]["headers"]):
        found = [(new, value) if name.lower() == old.lower() else (name, value) for name, value in found]
    for name, value in _pairs(config["replace"]["headers"]):
        if _has(found, name):
            found = [*(header for header in found if header[0].lower() != name.lower()), (name, value)]
    for name, value in _pairs(config["add"]["headers"]):
        found += [] if _has(found, name) else [(name, value)]
    return [*found, *_pairs(config["append"]["headers"])]


def _pairs(entries: Sequence[str]) -> list[Header]:
    return [(name.strip(), value.strip()) for name, _, value in (entry.partition(":") for entry in entries)]


def _has(headers: Sequence[Header], name: str) -> bool:
    return any(given.lower() == name.lower() for given, _ in headers)
