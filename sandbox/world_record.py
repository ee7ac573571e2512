"""What a data folder remembers of its world: world.json, with every process that runs and what belongs to the folder.

It is replaced as a whole at every change, so a crash leaves the old or the new content, and it is readable by its owner
only, because the Railway stand-in's token is in it. It deliberately starts and ends nothing.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from sandbox.world_members import Process

Member = Literal["kong", "postgres", "railway", "supervisor"]
MEMBERS: tuple[Member, ...] = ("postgres", "kong", "supervisor", "railway")  # the slowest to start comes first


class WorldError(Exception):
    """The world is not as asked; the text says what is wrong, how things stand and what to do."""


@dataclass(frozen=True, slots=True)
class Written:
    """The content of world.json."""

    base: int
    members: tuple[Member, ...]
    admin: str
    proxy: str
    token: str
    project_id: str
    environment_id: str
    parent: int | None = None  # the stand-ins end when this process is gone
    mirror: str | None = None  # a foreign registry that Railway's stand-in serves too
    private_network: bool = False
    nodes: int = 1  # of the gateway's stand-in
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)
    running: Mapping[str, Process] = field(default_factory=dict)

    @property
    def network(self) -> int | None:
        """What addresses of private names follow from, where each has its own."""
        return self.base if self.private_network else None

    def save(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        fresh = data / f".world.{os.getpid()}.json"
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        fresh.replace(data / "world.json")

    @classmethod
    def read(cls, data: Path) -> "Written | None":
        try:
            stored = json.loads((data / "world.json").read_text(encoding="utf-8"))
            known = {one.name: stored[one.name] for one in fields(cls) if one.name in stored}
            known["members"] = tuple(known["members"])
            known["running"] = {name: Process(**process) for name, process in known["running"].items()}
            return cls(**known)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise WorldError(
                f"{data / 'world.json'} cannot be read ({error}). Nothing was changed. "
                "Move that file away and start the sandbox again; its stand-ins, if any run, end with their `up`."
            ) from error
