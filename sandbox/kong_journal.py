"""The stand-in's memory over restarts, where a real Kong has Postgres: `--data DIR`.

Every committed write is appended to a journal before its answer is sent, so a gateway that is killed at any moment
comes back with exactly what it had committed, and with its node ids. Starting rewrites the journal as it then stands.
A last line that was cut off by the kill is dropped: its write was never answered.

Deliberately not here: safety against a power cut (nothing is synced to the disk).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from sandbox.kong_entities import KINDS
from sandbox.kong_errors import Row
from sandbox.kong_store import Change, Store

FILE = "kong.jsonl"


class Journal:
    """The committed writes of one gateway, on disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE
        self.nodes: list[str] = []

    def restore(self, store: Store) -> None:
        """Bring back what was committed before, and remember what is committed from now on."""
        rows: dict[tuple[str, str], Row] = {}
        for line in self._lines():
            if "nodes" in line:
                self.nodes = line["nodes"]
            elif line["operation"] == "delete":
                rows.pop((line["kind"], line["row"]["id"]), None)
            else:
                rows[line["kind"], line["row"]["id"]] = line["row"]
        store.restore({kind: [row for (of, _), row in rows.items() if of == kind] for kind in KINDS})
        self._rewrite({"kind": kind, "operation": "create", "row": row} for (kind, _), row in rows.items())
        store.listen(self._append)

    def name(self, nodes: Sequence[str]) -> None:
        """Keep the ids of the nodes."""
        self.nodes = list(nodes)
        self._write({"nodes": self.nodes})

    def _append(self, change: Change) -> None:
        self._write({"kind": change.kind.name, "operation": change.operation, "row": change.row})

    def _write(self, line: Row) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _rewrite(self, lines: Iterator[Row]) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        fresh.replace(self._path)

    def _lines(self) -> Iterator[Row]:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)
