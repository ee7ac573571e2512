"""The rule about which pages of other origins may read our answers.

It judges each cors plugin by itself, before it is touched: previews carry a copy of it, which has to keep the same. It
deliberately does not ask for a cors plugin: without one, browsers let no other origin read anything.
"""

import re
from collections.abc import Iterator
from typing import Any

from policies.rule import Config, Finding, Resource, broken, sequence, shown

ORIGIN = re.compile(r"https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?", re.IGNORECASE)


def origins_are_named(plugin: Resource, config: Config) -> Iterator[Finding]:
    """An origin that is not named may read what a signed-in user sees."""
    if plugin.at("name") != "cors" or plugin.at("enabled", True) is False:
        return
    origins, credentials = plugin.at("config.origins"), plugin.at("config.credentials", False)
    if not sequence(origins):
        faults = ["config.origins is missing, and Kong's default is every origin"]
    else:
        faults = [fault for origin in sequence(origins) if (fault := _fault(origin)) is not None]
    along = "" if credentials is not True else ", with the cookies of whoever looks (credentials: true)"
    for fault in faults:
        yield broken(
            plugin,
            f"{fault}, so pages that nobody here has named may read the answers{along}",
            "Write every origin out, such as https://app.example.com.",
        )


def _fault(origin: Any) -> str | None:
    if isinstance(origin, str) and ORIGIN.fullmatch(origin):
        return None
    if origin == "null":
        return "config.origins names null, which sandboxed frames and local files send"
    if origin == "*":
        return "config.origins has *"
    return f"config.origins has {shown(origin)}, which is no origin and which Kong takes for a pattern"
