"""What the Railway stand-in remembers: services, their instances, deployments; kept in one JSON file.

Every change ends in `save`, which replaces the file in one step, so a killed stand-in finds either the old or the new
state. Configuration keeps Railway's own field names, because it is copied from requests into deployment manifests.

Deliberately not here: rules (`sandbox.railway_rules`) and time's work on deployments (`sandbox.railway_deployments`).
"""

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

ACTIVE = frozenset({"SUCCESS", "CRASHED", "SLEEPING"})
ENDED = frozenset({"FAILED", "SKIPPED", "REMOVED"})
DEFAULT_REGION = "us-west2"
DEFAULT_CONFIG: dict[str, JsonValue] = {
    "source": None,
    "builder": "RAILPACK",
    "startCommand": None,
    "preDeployCommand": None,
    "healthcheckPath": None,
    "healthcheckTimeout": None,
    "overlapSeconds": None,
    "drainingSeconds": None,
    "restartPolicyType": "ON_FAILURE",
    "restartPolicyMaxRetries": 10,
    "sleepApplication": False,
    "cronSchedule": None,
    "multiRegionConfig": {DEFAULT_REGION: {"numReplicas": 1}},
    "ipv6EgressEnabled": False,
    "rootDirectory": None,
    "railwayConfigFile": None,
    "watchPatterns": [],
}


def new_id() -> str:
    return str(uuid.uuid4())


class Record(BaseModel):
    """Something kept; unknown fields in a stored file are refused rather than lost."""

    model_config = ConfigDict(extra="forbid")


class Service(Record):
    """A service of the project; its name is unique in the project while it lives."""

    id: str
    name: str
    icon: str | None = None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


class Instance(Record):
    """A service in an environment: the template of its next deployment."""

    id: str
    service_id: str
    environment_id: str
    created_at: datetime
    updated_at: datetime
    config: dict[str, JsonValue]
    credentials: bool = False  # registry credentials are on file; they are never read back, so they are not kept
    branch: str = "main"  # of the repository, for a service that is built from one
    limits: dict[str, float] = {}
    variables: dict[str, str] = {}
    sealed: set[str] = set()  # names of variables whose values are never read back


class Unit(Record):
    """One replica of a deployment and the process that runs it."""

    id: str
    process: str
    region: str | None = None
    status: str = "CREATED"
    restarts: int = 0


class Event(Record):
    """One step of a deployment."""

    id: str
    step: str
    created_at: datetime
    completed_at: datetime | None = None
    payload: dict[str, JsonValue] = {}


class Script(Record):
    """The outcome that was arranged for one deployment."""

    outcome: str
    seconds: float | None = None
    image: str | None = None


class Deployment(Record):
    """A snapshot of configuration, variables and image, and what became of it."""

    id: str
    service_id: str
    environment_id: str
    snapshot_id: str
    created_at: datetime
    updated_at: datetime
    status: str = "INITIALIZING"
    status_updated_at: datetime
    meta: dict[str, JsonValue]
    variables: dict[str, str]
    units: list[Unit] = []
    events: list[Event] = []
    script: Script | None = None
    approved: bool = False
    stopped: bool = False  # by request; its processes are not restarted
    activated_at: datetime | None = None
    removed_at: datetime | None = None

    @property
    def deploy(self) -> dict[str, JsonValue]:
        """The manifest's deploy section."""
        manifest = self.meta["serviceManifest"]
        assert isinstance(manifest, dict)
        section = manifest["deploy"]
        assert isinstance(section, dict)
        return section

    def seconds(self, name: str, default: int = 0) -> int:
        """A number of the manifest's deploy section."""
        value = self.deploy.get(name)
        return value if isinstance(value, int) else default


def replicas(wanted: JsonValue) -> int:
    """How many replicas a region's entry in `multiRegionConfig` asks for."""
    number = wanted.get("numReplicas") if isinstance(wanted, dict) else 0
    return number if isinstance(number, int) else 0


def in_flight(deployment: Deployment) -> bool:
    """Whether it is still on its way up; an unknown status counts as that."""
    return deployment.status not in ACTIVE | ENDED | {"REMOVING"}


def stopped(deployment: Deployment) -> bool:
    """Whether no replica runs: also true before the first one does."""
    return not any(unit.status == "RUNNING" for unit in deployment.units)


class World(Record):
    """One project with one environment."""

    project_id: str
    environment_id: str
    created_at: datetime
    services: list[Service] = []
    instances: list[Instance] = []
    deployments: list[Deployment] = []
    shared_variables: dict[str, str] = {}


class Store:
    """The world, and its file."""

    def __init__(self, file: Path, world: World) -> None:
        self._file = file
        self._change = asyncio.Event()
        self.world = world

    @classmethod
    def open(cls, folder: Path, project_id: str, environment_id: str, now: datetime) -> "Store":
        """What the file remembers, or an empty project; a ValueError when it is another project's."""
        file = folder / "railway.json"
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            return cls(file, World(project_id=project_id, environment_id=environment_id, created_at=now))
        world = World.model_validate_json(file.read_bytes())
        if (world.project_id, world.environment_id) != (project_id, environment_id):
            raise ValueError(
                f"{file} holds project {world.project_id}, environment {world.environment_id};"
                f" it cannot serve {project_id}, {environment_id}. Choose another --data folder."
            )
        return cls(file, world)

    def save(self) -> None:
        """Keep what is, and wake whoever waits for a change."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(self.world.model_dump_json(indent=1))
        os.replace(temporary, self._file)
        self._change.set()
        self._change = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once this is true; looked at after every change."""
        while not condition():
            await self._change.wait()

    def service(self, service_id: str) -> Service | None:
        return next((service for service in self.world.services if service.id == service_id), None)

    def instance(self, service_id: str, environment_id: str) -> Instance | None:
        for instance in self.world.instances:
            if (instance.service_id, instance.environment_id) == (service_id, environment_id):
                return instance
        return None

    def deployment(self, deployment_id: str) -> Deployment | None:
        return next((each for each in self.world.deployments if each.id == deployment_id), None)

    def deployments_of(self, service_id: str, environment_id: str) -> Iterator[Deployment]:
        """Newest first."""
        for each in reversed(self.world.deployments):
            if (each.service_id, each.environment_id) == (service_id, environment_id):
                yield each
