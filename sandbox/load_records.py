"""What the load generator is told and what it writes down: its configuration, one record for each request, its totals.

The records are JSON lines in a file, so that a driver in another process reads along while the load goes on, and a
report can be drawn again later. It deliberately judges nothing: what counts as wrong is decided in `load_tally`, and
what counts as failed was decided by the generator when it wrote the record.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

Kind = Literal["kept", "new", "slow"]
Ended = Literal["asked", "max_seconds", "max_requests", "orphaned"]


class Strict(BaseModel):
    """Configuration: frozen, and an unknown key is refused by its path."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(Strict):
    """One stream of equal requests through the gateway."""

    app: Annotated[str, Field(min_length=1)]
    url: str  # the gateway's proxy, http://host:port
    path: Annotated[str, Field(pattern=r"^/\S*$")] = "/"
    host: str | None = None  # the Host header; by default the one in `url`
    rps: Annotated[float, Field(gt=0, le=2000)]
    method: Literal["GET", "POST"] = "GET"
    body: str = ""
    headers: dict[str, str] = {}
    slow_path: Annotated[str, Field(pattern=r"^/\S*$")] | None = None  # must take longer than `slow_every` seconds
    slow_every: Annotated[float, Field(gt=0, le=60)] = 1.0

    @field_validator("url")
    @classmethod
    def _plain_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"{url} is not of the form http://host:port")
        return url

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80


class Config(Strict):
    """A whole load: its streams and the bounds that no mistake may exceed."""

    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    max_seconds: Annotated[float, Field(gt=0, le=7200)] = 900
    max_requests: Annotated[int, Field(gt=0, le=2_000_000)] = 500_000
    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 30
    kept_connections: Annotated[int, Field(gt=0, le=256)] = 8  # per target


@dataclass(frozen=True, slots=True)
class Record:
    """One finished request. `failure` is None only for a whole answer with status 200.

    `sent` is when the first byte left (when nothing could be sent: when the attempt began). `ms` counts from the moment
    the schedule wanted it sent, so that a stalled generator or gateway cannot hide the requests that had to wait.
    """

    app: str
    kind: Kind
    scheduled: float
    sent: float
    answered: float
    sent_mono: float
    answered_mono: float
    ms: float
    status: int | None = None
    failure: str | None = None
    detail: str | None = None
    colour: str | None = None
    release: str | None = None
    pid: str | None = None


@dataclass(slots=True)
class Totals:
    """The file's last line: it is there only when the generator ended in order."""

    requests: int = 0
    failed: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    ended: Ended = "asked"
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    late_ms_max: float = 0.0  # how far the generator itself fell behind its schedule at worst


class Ledger:
    """Appends records to a file, buffered; `flush` is called by the generator's clock."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._lines: list[str] = []
        self.totals = Totals()

    def add(self, record: Record) -> None:
        self._lines.append(json.dumps(asdict(record)))
        self.totals.requests += 1
        if record.failure is not None:
            self.totals.failed += 1
            self.totals.failures[record.failure] = self.totals.failures.get(record.failure, 0) + 1

    def flush(self) -> None:
        if self._lines:
            self._file.write("\n".join(self._lines) + "\n")
            self._file.flush()
            self._lines.clear()

    def close(self) -> None:
        """The load ended in order: the totals are the last line."""
        self._lines.append(json.dumps({"totals": asdict(self.totals)}))
        self.abandon()

    def abandon(self) -> None:
        """Keep what is known, without totals; after `close` there is nothing left to do."""
        if not self._file.closed:
            self.flush()
            self._file.close()


class Reader:
    """Reads a ledger's file while it grows; a line that is not whole yet is left for the next look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.records: list[Record] = []
        self.totals: Totals | None = None

    def read(self) -> list[Record]:
        """Only the records that arrived since the last look; `records` holds all of them."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        fresh: list[Record] = []
        for line in data.splitlines():
            entry = json.loads(line)
            if "totals" in entry:
                self.totals = Totals(**entry["totals"])
            else:
                fresh.append(Record(**entry))
        self.records += fresh
        return fresh
