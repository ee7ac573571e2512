"""TLS towards clients: one certificate with its key, for everybody who comes to the proxy's TLS port.

The files are read again once they have changed, so a certificate can be renewed, or let expire, while the gateway
runs: whoever is connected stays, and the next handshake shows the new one. What is half written meanwhile is not taken.

Deliberately not here: certificates by name (SNI), client certificates, HTTP/2.
"""

import contextlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.lifecycle import Unfit


@dataclass
class Certificate:
    """The certificate that the gateway shows, as its files are now."""

    chain: Path
    key: Path
    _seen: tuple[int, ...] = ()
    _loaded: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            raise Unfit(
                f"No certificate with its key can be read from {self.chain} and {self.key} ({error}). "
                "Nothing was started. Name two PEM files."
            ) from None

    def context(self) -> ssl.SSLContext:
        """What a listener is opened with; it asks here again at every handshake."""
        listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        listening.load_cert_chain(self.chain, self.key)
        listening.sni_callback = self._chosen  # called for clients that name nobody, too
        return listening

    def _chosen(self, connection: ssl.SSLObject, name: str | None, listening: ssl.SSLContext) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._stamp() != self._seen:
                self._load()
        connection.context = self._loaded

    def _load(self) -> None:
        seen, fresh = self._stamp(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        fresh.load_cert_chain(self.chain, self.key)
        self._seen, self._loaded = seen, fresh

    def _stamp(self) -> tuple[int, ...]:
        return tuple(
            stamp for file in (self.chain, self.key) for stamp in (file.stat().st_mtime_ns, file.stat().st_ino)
        )
