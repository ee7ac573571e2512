"""Names to IPv4 addresses, as the gateway sees them.

Private names end in `.railway.internal` and mean this computer, each an address of its own in a private network
(`sandbox.ports`); literals mean themselves; everything else is asked of the system, remembered for a few seconds, and
asked again soon when there was no answer.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Sequence

from sandbox.ports import LOOPBACK, PRIVATE, address

REMEMBERED = 5.0  # seconds that an answer of the system is used
RETRY = 1.0  # seconds until an unresolvable name is tried again (Kong: dns_error_ttl)


class Resolver:
    """The gateway's view of names."""

    def __init__(self, network: int | None = None) -> None:
        self._network = network
        self._answers: dict[str, tuple[float, Sequence[str]]] = {}

    def known(self, host: str) -> Sequence[str] | None:
        """The addresses, empty if there are none; None when the system must be asked."""
        if host.lower().endswith(PRIVATE):
            return [address(host, self._network)]
        if host == "localhost":
            return [LOOPBACK]
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            answer = self._answers.get(host)
        return answer[1] if answer and answer[0] > time.monotonic() else None

    async def resolve(self, host: str) -> Sequence[str]:
        known = self.known(host)
        if known is not None:
            return known
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET)
            found = sorted({str(info[4][0]) for info in infos})
        except OSError:
            found = []
        self._answers[host] = (time.monotonic() + (REMEMBERED if found else RETRY), found)
        return found
