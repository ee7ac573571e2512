"""Whom a client believes over TLS, who it says it is, and what went wrong when either side did not agree.

Kong's Admin API has no login of its own in the open-source edition; a private authority and client certificates are
the usual door. Certificates and keys are files or their PEM text. Nothing is read before the first connection, and a
key given as text lies in a file of its own for the moment in which OpenSSL reads it: it takes no text.

Deliberately not here: keys behind a passphrase, ciphers, and a way to switch verification off.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bluegreen.handler import Refused

BEGINNING = "-----BEGIN "
# What nginx, and so Kong, says with status 400 about the connection itself, before anything else is looked at.
NGINX = (
    ("No required SSL certificate was sent", "wants a client certificate, and none was shown"),
    ("The SSL certificate error", "does not accept our client certificate"),
    ("plain HTTP request was sent to HTTPS port", "speaks TLS, and the address begins with http://"),
)


# These end a handshake, so nothing that was sent with them was read. Others may break a connection in use.
OF_A_HANDSHAKE = frozenset(
    (
        *("ACCESS_DENIED", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_REQUIRED", "CERTIFICATE_REVOKED"),
        *("CERTIFICATE_UNKNOWN", "HANDSHAKE_FAILURE", "PROTOCOL_VERSION", "UNKNOWN_CA", "UNSUPPORTED_CERTIFICATE"),
    )
)
CONTEXTS: dict[tuple[object, ...], ssl.SSLContext] = {}  # of this process
NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


@dataclass(frozen=True, slots=True)
class Pem:
    """A setting that holds certificates or a key: the path of a file, or the PEM text itself."""

    setting: str = ""
    value: str = ""
    secret: bool = False  # then no message quotes it, not even as a path: it may be a key without its first line

    def __bool__(self) -> bool:
        return bool(self.value)

    @property
    def is_text(self) -> bool:
        return BEGINNING in self.value

    def text(self) -> str:
        """Raises `Refused` when it is a file that cannot be read or holds no PEM."""
        if self.is_text:
            return self.value
        file = "the file" if self.secret else self.value
        try:
            text = Path(self.value).expanduser().read_text(encoding="ascii")
        except OSError as problem:
            raise self.unfit(f"{file} cannot be read ({problem.strerror})") from None
        except ValueError:
            text = ""
        if BEGINNING not in text:
            raise self.unfit(f"{file} holds no PEM text")
        return text

    def unfit(self, what: str) -> Refused:
        next_ = f"Set {self.setting} to the path of a PEM file, or to its text."
        return Refused(f"{self.setting}: {what}.", world="Nothing was changed.", next=next_)


@dataclass(frozen=True, slots=True)
class Trust:
    """Authorities to believe beside the system's own, and the certificate to show when one is asked for."""

    authorities: Pem = Pem()
    certificate: Pem = Pem()
    key: Pem = Pem()

    def context(self) -> ssl.SSLContext:
        """Equal trusts share one: it costs 28 ms, most of it for the system's own authorities.

        Raises `Refused` when a setting cannot be used.
        """
        if self.key and not self.certificate:
            raise self.key.unfit(f"a key without a certificate; {self.certificate.setting} is not set")
        texts = tuple(pem.text() if pem else "" for pem in (self.authorities, self.certificate, self.key))
        # What the files hold now, and where OpenSSL is told to find the system's own.
        known = (texts, *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))
        if known not in CONTEXTS:
            CONTEXTS[known] = self._made(*texts)
        return CONTEXTS[known]

    def distrust(self, problem: BaseException, *, connected: bool) -> tuple[str, str] | None:
        """Why TLS came to nothing, as the end of a sentence, and the next step; None when it was not TLS.

        Whatever it is, the other side has not looked at the request; of a connection in use that is not said lightly.
        """
        for cause in _causes(problem):
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = cause.verify_message.rstrip(".")
                return f"its certificate is not trusted: {why}", self._about_theirs(cause)
            reason = (cause.reason or "") if isinstance(cause, ssl.SSLError) else ""
            alert = reason.partition("ALERT_")[2]
            if alert in OF_A_HANDSHAKE:
                return f"it refuses our side of TLS: {alert.replace('_', ' ').lower()}", self._about_ours()
            if reason in NO_TLS and not connected:
                return "what listens there does not speak TLS", "Check the address: its scheme and its port."
        return None

    def complaint(self, status: int, text: str) -> tuple[str, str] | None:
        """What a 400 says of the connection rather than of the call, and the next step."""
        for said, meaning in NGINX if status == 400 else ():
            if said in text:
                return meaning, "Write https://." if "http://" in meaning else self._about_ours()
        return None

    def _made(self, authorities: str, certificate: str, key: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if authorities:
            try:
                context.load_verify_locations(cadata=authorities)
            except ssl.SSLError:
                raise self.authorities.unfit("no certificate can be read from it") from None
        if certificate:
            self._show(context, certificate + "\n" + key)
        return context

    def _show(self, context: ssl.SSLContext, text: str) -> None:
        held = self.key or self.certificate

        def passphrase() -> str:
            raise held.unfit("its key is behind a passphrase, and nobody is here to type it")

        with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".pem") as file:  # readable by us alone
            file.write(text)
            file.flush()
            try:
                context.load_cert_chain(file.name, password=passphrase)
            except ssl.SSLError as problem:
                if problem.reason == "KEY_VALUES_MISMATCH":
                    raise held.unfit(f"the key does not belong to {self.certificate.setting}") from None
                raise held.unfit("no certificate with its key can be read from it") from None

    def _about_theirs(self, cause: ssl.SSLCertVerificationError) -> str:
        if "mismatch" in cause.verify_message:
            return "Use a name in the address that its certificate is made out to."
        if "expired" in cause.verify_message:
            return "Renew its certificate."
        if not self.authorities.setting:
            return "Check the address, and this computer's certificate authorities."
        return f"Check that {self.authorities.setting} holds the authority that signed it."

    def _about_ours(self) -> str:
        if not self.certificate.setting:
            return "It asks for a client certificate, which cannot be configured here."
        verb = "Check" if self.certificate else "Set"
        return f"{verb} {self.certificate.setting} and {self.key.setting}."


def _causes(problem: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = problem
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
