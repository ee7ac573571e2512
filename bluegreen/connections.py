"""Opened clients, from the `bluegreen:` config: what the provider and the command line share.

Each value is looked for in its own environment variable first (`BLUEGREEN_KONG_ADMIN_KEY`), then in the stack config
that Pulumi hands to every plugin (`bluegreen:kongAdminKey`), then in the provider's arguments. The stack config comes
before the arguments because a refresh still gets the old arguments from state, while the config is always the new one
(measured). None of them is ever an input, an output or a log line. Opening a connection touches no network.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr

from bluegreen.evidence.bundles import Bundles
from bluegreen.evidence.hidden import hiding
from bluegreen.evidence.scribe import Identify, Scribe
from bluegreen.evidence.who import who
from bluegreen.handler import Refused
from bluegreen.http import Client
from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import KongGateway
from bluegreen.kong.spec import KEY_HEADER
from bluegreen.measure.meter import Sampling
from bluegreen.measure.probe import Prober
from bluegreen.notify.sender import Notifier
from bluegreen.notify.slack import slack
from bluegreen.notify.webhook import webhook
from bluegreen.postgres.number import number
from bluegreen.postgres.session import Database
from bluegreen.railway.api import URL as RAILWAY
from bluegreen.railway.api import Railway, TokenKind
from bluegreen.tls import Pem, Trust

KEYS = (
    "kongAdminUrl",
    "kongAdminKey",
    "kongAdminKeyHeader",
    "kongProxyUrl",
    "kongCaBundle",
    "kongClientCertificate",
    "kongClientKey",
    "previewKey",
    "railwayUrl",
    "railwayToken",
    "railwayTokenKind",
    "railwayPollSeconds",
    "databaseUrl",
    "supabaseToken",
    "webhookUrl",
    "slackUrl",
    "reports",
)
SECRET = (
    "kongAdminKey",
    "kongClientKey",
    "previewKey",
    "railwayToken",
    "databaseUrl",
    "supabaseToken",
    "webhookUrl",
    "slackUrl",
)
DOORS = ("kongAdminUrl", "kongAdminKey", "kongClientCertificate", "kongClientKey")  # without them, no Admin API
PASSWORD = re.compile(r"://[^:@/]*:([^@]*)@")
SHORTEST = 6  # a shorter one is no secret worth the name, and hiding it would make every sentence unreadable
REPORTS = "reports"
CONNECT, READ = 5.0, 10.0  # seconds of patience with Kong: for a connection, for an answer


@dataclass(slots=True)
class Connections:
    """Clients by need: each is opened when it is first asked for, and all are closed together."""

    values: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    _open: dict[str, Any] = field(default_factory=dict)

    def kong(self) -> Kong:
        """Raises `Refused` when no address is configured."""
        if "kong" not in self._open:
            key = self.values.get("kongAdminKey", "")
            header = self.values.get("kongAdminKeyHeader", KEY_HEADER)
            self._open["kong"] = Kong(
                Client(
                    "Kong's Admin API",
                    self._need("kongAdminUrl", "the address of Kong's Admin API"),
                    headers={header: key} if key else {},
                    secrets=(key,),
                    hint="Check bluegreen:kongAdminUrl and that Kong's Admin API is reachable from here.",
                    connect=CONNECT,
                    read=READ,
                    trust=self.trust,
                )
            )
        opened: Kong = self._open["kong"]
        return opened

    def gateway(self) -> KongGateway:
        """Raises `Refused` when no address is configured."""
        if "gateway" not in self._open:
            self._open["gateway"] = KongGateway(self.kong())
        opened: KongGateway = self._open["gateway"]
        return opened

    def prober(self) -> Prober:
        """Raises `Refused` when no address is configured."""
        if "prober" not in self._open:
            key = self.values.get("previewKey", "")
            self._open["prober"] = Prober(self.proxy(headers={KEY_HEADER: key} if key else {}, secrets=(key,)))
        opened: Prober = self._open["prober"]
        return opened

    def meter(self) -> Sampling:
        """Nothing is opened, and nothing refused, before a metric asks for it."""
        key = self.values.get("previewKey", "")
        return Sampling(
            lambda: self.proxy(headers={KEY_HEADER: key} if key else {}, secrets=(key,)),
            kong_metrics=lambda: self.kong().metrics(),
            number=lambda query: number(self.database(), query),
        )

    def notifier(self) -> Notifier:
        """Tells whoever is configured, or nobody. Raises `Refused` when an address is none."""
        if "notifier" not in self._open:
            url, channel, run = self.values.get("webhookUrl"), self.values.get("slackUrl"), token_hex(4)
            audiences = [*([webhook(url, run=run)] if url else []), *([slack(channel)] if channel else [])]
            self._open["notifier"] = Notifier(audiences, complain=lambda _: None)
        opened: Notifier = self._open["notifier"]
        return opened

    def journal(self, stack: str, also: Sequence[str] = (), identify: Identify | None = None) -> Scribe:
        """A new one that writes down this stack's releases, which whoever asks for it settles; `also` is hidden too.

        No file is opened before there is something to write.
        """
        hide = hiding((*self.secrets, *also))
        known = identify or (lambda began, who: None)
        return Scribe(self.reports, stack, hide=hide, who=lambda: who(self.environment), identify=known)

    def bundles(self, stack: str) -> Bundles:
        """What is written down of this stack's releases."""
        return Bundles(self.reports, stack, hiding(self.secrets))

    @property
    def reports(self) -> Path:
        """The folder of all reports."""
        return Path(self.values.get("reports", REPORTS))

    def proxy(
        self, *, headers: Mapping[str, str] | None = None, secrets: Sequence[str] = (), read: float = READ
    ) -> Client:
        """A new client of the proxy, which whoever asks for it closes; `read` in seconds.

        Raises `Refused` when no address is configured.
        """
        return Client(
            "The gateway",
            self._need("kongProxyUrl", "the address of Kong's proxy"),
            headers=headers,
            secrets=secrets,
            hint="Check bluegreen:kongProxyUrl and that Kong's proxy is reachable from here.",
            connect=CONNECT,
            read=read,
            trust=self.trust,
        )

    def railway(self) -> Railway:
        """Without a token it refuses at its first call, so that a rollback needs none.

        Raises `Refused` for a kind of token that there is not.
        """
        if "railway" not in self._open:
            token, url = self.values.get("railwayToken"), self.values.get("railwayUrl", RAILWAY)
            self._open["railway"] = Railway(url, SecretStr(token) if token else None, kind=self.railway_token_kind)
        opened: Railway = self._open["railway"]
        return opened

    def database(self) -> Database:
        """Raises `Refused` when no address is configured."""
        return Database(self._need("databaseUrl", "the address of the database"))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that nothing may show: what is secret, and the password in the database's address by itself."""
        told = [self.values.get(key, "") for key in SECRET]
        found = PASSWORD.search(self.values.get("databaseUrl", ""))
        told += [unquote(found[1])] if found else []
        return tuple(text for text in told if len(text) >= SHORTEST)

    @property
    def trust(self) -> Trust:
        """Certificates for both of Kong's doors; each setting is a file's path or its text."""
        names = ("kongCaBundle", "kongClientCertificate", "kongClientKey")
        return Trust(*(Pem(f"bluegreen:{name}", self.values.get(name, ""), secret=name in SECRET) for name in names))

    @property
    def railway_token_kind(self) -> TokenKind:
        """Which header the token goes into; a project token alone is compared with the place it belongs to."""
        match self.values.get("railwayTokenKind", "project"):
            case "project" | "workspace" as kind:
                return kind
            case other:
                raise Refused(
                    f"bluegreen:railwayTokenKind is {other!r}, neither project nor workspace.",
                    world="Nothing was changed.",
                    next="Write workspace for a workspace's or an account's token, project for an environment's.",
                )

    @property
    def railway_poll(self) -> float:
        """Seconds before a deployment is first looked at again; Railway's rate limits allow two."""
        try:
            seconds = float(self.values.get("railwayPollSeconds", "2"))
        except ValueError:
            seconds = 0.0
        if 0 < seconds <= 60:
            return seconds
        raise Refused(
            f"bluegreen:railwayPollSeconds is {self.values['railwayPollSeconds']!r}, not between 0 and 60.",
            world="Nothing was changed.",
            next="Write a number of seconds, such as 2.",
        )

    @property
    def offline(self) -> bool:
        """Previews compare with state where the gateway cannot be reached (forks' CI)."""
        return self.environment.get("BLUEGREEN_OFFLINE") == "1"

    @property
    def teardown(self) -> bool:
        """`pulumi destroy` may take away what carries traffic."""
        return self.environment.get("BLUEGREEN_TEARDOWN") == "1"

    async def close(self) -> None:
        async with AsyncExitStack() as closing:
            for opened in (
                self._open.pop(name) for name in ("kong", "prober", "railway", "notifier") if name in self._open
            ):
                closing.push_async_callback(opened.close)
            self._open.clear()

    def _need(self, key: str, what: str) -> str:
        value = self.values.get(key)
        if value:
            return value
        raise Refused(
            f"{what[0].upper()}{what[1:]} is not configured.",
            world="Nothing was changed.",
            next=f"Set bluegreen:{key} in the stack config{' (with --secret)' if key in SECRET else ''}, "
            f"or the environment variable {variable(key)}.",
        )


def connect(arguments: Mapping[str, str], environment: Mapping[str, str]) -> Connections:
    """Connections from the provider's arguments and the process's environment, in the order told above."""
    config = json.loads(environment.get("PULUMI_CONFIG") or "{}")
    values: dict[str, str] = {}
    unknown = [key for key in config if ":" not in key and key not in KEYS]
    if unknown:
        what = f"bluegreen:{unknown[0]}: unknown key."
        raise Refused(what, world="Nothing was changed.", next=f"The provider knows {', '.join(KEYS)}.")
    for key in KEYS:
        # The engine hands a plugin the keys of its own namespace, bare; a whole stack's config has them with it.
        written = config.get(key, config.get(f"bluegreen:{key}"))
        for value in (environment.get(variable(key)), written, arguments.get(key)):
            if value:
                values[key] = str(value).strip()
                break
    for key in SECRET:
        lines = values.get(key, "").splitlines() if key == "kongClientKey" else [values.get(key, "")]
        if not all(line.isascii() and line.isprintable() for line in lines):
            raise Refused(
                f"bluegreen:{key} holds characters that no key or token has.",
                world="Nothing was changed.",
                next="Set it again, without line breaks and quotes around it.",
            )
    return Connections(values, environment)


def variable(key: str) -> str:
    """`kongAdminKey` as an environment variable: `BLUEGREEN_KONG_ADMIN_KEY`."""
    return "BLUEGREEN_" + re.sub(r"(?=[A-Z])", "_", key).upper()
