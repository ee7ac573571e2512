"""What is asked of Railway: a place, a release, one colour of one app; and what is held about it.

A `Release` is everything that makes a colour behave as it does, and its id names exactly that. The refusals here are
Railway's own rules, told before anything is sent: a health check path with a hyphen is rejected by its API, and the
three RAILWAY_* variables would be a second place that sets what a field already sets.
It deliberately does no I/O and knows no GraphQL.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, SecretStr, StringConstraints, Tag, model_validator

from bluegreen.spec import Colour, Image, Name, Spec, State, Version

OWNER, RELEASE, COLOUR, SECRETS = "BLUEGREEN_OWNER", "BLUEGREEN_RELEASE", "BLUEGREEN_COLOUR", "BLUEGREEN_SECRETS"
PORT = "PORT"
STOPPED = "STOPPED"  # of a state: Railway has no such status, a stopped deployment keeps reading SUCCESS
MOST_REPLICAS = 50  # of one service, over all its regions

RESERVED_NAMES = frozenset({"health", "internal", "internal-health", "railway", "up"})
RESERVED_VARIABLES = {
    PORT: "release.port sets it",
    "RAILWAY_HEALTHCHECK_TIMEOUT_SEC": "healthcheckTimeoutSeconds sets the same thing",
    "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS": "overlapSeconds sets the same thing",
    "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "drainingSeconds sets the same thing",
}
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What the last part of a command starts, past `exec`, `env` and variables that are set for it.
RUNNER = re.compile(r"\s*(?:(?:exec|env|[A-Za-z_]\w*=\S*)\s+)*(?:\S*/)?(npm|yarn|pnpm)(?=\s|$)")


def private_domain(name: str) -> str:
    """The name under which other services of the environment reach the service called `name`."""
    return f"{name}.railway.internal"


def _service_name(name: str) -> str:
    if name in RESERVED_NAMES:
        msg = f"{name!r} is a name that Railway keeps for itself. Choose another app name"
        raise ValueError(msg)
    return name


def _observed_path(path: str) -> str:
    if not path.startswith("/"):
        msg = f"{path!r} does not start with a slash. Write it as /{path}"
        raise ValueError(msg)
    return path


def _healthcheck_path(path: str) -> str:
    _observed_path(path)
    if "-" in path:
        msg = f"{path!r} contains a hyphen, which Railway rejects as invalid input. Serve the check under another path"
        raise ValueError(msg)
    return path


def _variable_names(names: Iterable[str]) -> None:
    for name in names:
        if not VARIABLE.fullmatch(name):
            msg = f"{name!r} is no name for a variable. Use letters, digits and underscores, and no digit first"
            raise ValueError(msg)
        reason = RESERVED_VARIABLES.get(name)
        if name.startswith("BLUEGREEN_"):
            reason = "names that start with BLUEGREEN_ mark whose release is running"
        if reason:
            msg = f"{name} cannot be set here: {reason}. Take it out of the variables"
            raise ValueError(msg)


def _variables(variables: Mapping[str, str]) -> Mapping[str, str]:
    _variable_names(variables)
    return variables


def _secrets(secrets: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    _variable_names(secrets)
    return secrets


def _replicas(replicas: Mapping[str, int]) -> Mapping[str, int]:
    total = sum(replicas.values())
    if not replicas:
        msg = "no region is named, so nothing would run. Write at least one, such as europe-west4-drams3a: 1"
        raise ValueError(msg)
    if total > MOST_REPLICAS:
        msg = f"{total} replicas are asked for; Railway runs at most {MOST_REPLICAS} of a service. Lower the numbers"
        raise ValueError(msg)
    return replicas


ServiceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63), AfterValidator(_service_name)
]
Port = Annotated[int, Field(ge=1, le=65535)]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Place(Spec):
    """The project and the environment of it in which everything lives."""

    project_id: str = Field(min_length=1)
    environment_id: str = Field(min_length=1)


class Limits(Spec):
    """The most that one replica may take; what is absent is Railway's default."""

    memory_gb: float | None = Field(default=None, gt=0)
    vcpus: float | None = Field(default=None, gt=0)


class RegistryCredentials(Spec):
    """How Railway pulls from a private registry; it never reads them back."""

    username: str
    password: SecretStr


class Release(Spec):
    """Everything that makes a colour behave as it does, except the values of its secrets.

    A new field needs a default that means what was done before it existed, and a default never changes: fields at
    their default do not enter the id, so that an upgrade of this program gives no running release another id.
    """

    image: Image
    port: Port = 8000
    healthcheck_path: Annotated[str, AfterValidator(_healthcheck_path)] = "/health"
    healthcheck_timeout_seconds: int = Field(default=120, ge=1)
    replicas: Annotated[Mapping[Region, Annotated[int, Field(ge=1)]], AfterValidator(_replicas)]
    variables: Annotated[Mapping[str, str], AfterValidator(_variables)] = {}
    overlap_seconds: int = Field(default=20, ge=0)
    draining_seconds: int = Field(default=30, ge=0)
    # Not ON_FAILURE, Railway's own default: it leaves a web process down that ended with exit code 0.
    restart_policy: Literal["ALWAYS", "ON_FAILURE", "NEVER"] = "ALWAYS"
    restart_policy_max_retries: int = Field(default=10, ge=0)
    start_command: str | None = None
    pre_deploy_command: str | None = None
    limits: Limits | None = None
    schema_min: Version | None = None  # judged by whoever moves traffic; the container never learns of it
    service_name: ServiceName | None = None  # what Railway calls the service, where that is not <app>-<colour>

    @property
    def digest(self) -> str:
        """`sha256:…` of the image."""
        return self.image.partition("@")[2]

    def warnings(self) -> Iterator[str]:
        """What Railway takes and users would feel, each led by its field; an image's own command cannot be seen."""
        if self.overlap_seconds == 0:
            yield "overlapSeconds is 0: the deployment before ends while requests are still sent to it. Write 20"
        if self.draining_seconds == 0:
            yield "drainingSeconds is 0: requests that are still being answered are cut off. Write 30"
        last = re.split(r"&&|\|\||;", self.start_command or "")[-1]
        if (started := RUNNER.match(last)) is not None:
            yield (
                f"startCommand is {self.start_command!r}, and {started[1]} does not hand SIGTERM on, so requests that"
                " are still being answered are cut off. Write the command itself, such as node server.js"
            )

    @property
    def registry(self) -> str:
        """The host that the image is pulled from."""
        first, slash, _ = self.image.partition("/")
        # Docker's rule: what has neither a dot nor a port is somebody's name at Docker Hub.
        return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"

    def id(self, secrets: Mapping[str, SecretStr] | None = None, key: SecretStr | None = None) -> str:
        """Sixteen hex digits that name this behaviour: equal ids behave alike, whoever computes them.

        The image counts by its digest alone, secret values as HMAC-SHA256 under `key`; `schema_min` and `service_name`
        do not count at all: the container learns of neither.

        Raises:
            ValueError: there are secrets and no key.
        """
        secrets = secrets or {}
        if secrets and (key is None or not key.get_secret_value()):
            msg = "secrets enter a release id as HMACs, and there is no key. Set secrets.releaseKey in the stack config"
            raise ValueError(msg)
        container = self.model_dump(mode="json", exclude={"image", "schema_min", "service_name"}, exclude_defaults=True)
        named = {name: sealed(key, name, value) for name, value in secrets.items()} if key is not None else {}
        whole = {"digest": self.digest, "container": container, "secrets": named}
        canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class Observed(Spec):
    """A colour that somebody else deploys, as `bluegreen adopt` found it: it may carry traffic, and nothing writes it.

    It bears no release of ours, so what stands for one is made of what it is: its service and the port it answers on.
    """

    observe: Literal[True]
    service_name: ServiceName
    port: Port = 8000
    healthcheck_path: Annotated[str, AfterValidator(_observed_path)] = "/health"
    schema_min: Version | None = None

    def id(self) -> str:
        """Sixteen hex digits, as a release has them."""
        canonical = json.dumps({"service": self.service_name, "port": self.port}, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _which(given: Any) -> str:
    observed = isinstance(given, Observed) or (isinstance(given, Mapping) and "observe" in given)
    return OBSERVED if observed else RELEASED


# The brackets keep the branch out of the path in which a mistake is told: see `bluegreen.spec.problems`.
RELEASED, OBSERVED = "(release)", "(observed)"
Block = Annotated[Annotated[Release, Tag(RELEASED)] | Annotated[Observed, Tag(OBSERVED)], Discriminator(_which)]


def sealed(key: SecretStr, name: str, value: SecretStr) -> str:
    """A secret as something may show it: equal for equal secrets of one name, and telling nothing else."""
    # The name is part of the message: two variables that hold the same secret must not be seen to.
    message = f"{name}\0{value.get_secret_value()}".encode()
    return hmac.new(key.get_secret_value().encode(), message, hashlib.sha256).hexdigest()


class ServiceSpec(Spec):
    """One colour of one app as a Railway service."""

    name: ServiceName
    app: Name
    colour: Colour
    place: Place
    release: Release
    release_id: str = Field(min_length=1)
    secrets: Annotated[Mapping[str, SecretStr], AfterValidator(_secrets)] = {}
    registry_credentials: RegistryCredentials | None = None
    owner: str = Field(min_length=1)  # which stack this belongs to, such as acme.production
    role: Literal["live", "idle"]
    max_request_seconds: int = Field(default=0, ge=0)  # how long after its traffic it may still be answering
    running: bool = True  # False: it is stopped while it is idle
    rollback_seconds: int = Field(default=0, ge=0)  # how long after its traffic it may still be rolled back to

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        both = sorted(self.secrets.keys() & self.release.variables.keys())
        if both:
            msg = f"{', '.join(both)} is set both as a variable and as a secret. Keep one of them"
            raise ValueError(msg)
        return self

    def environment(self) -> dict[str, str]:
        """Every variable of the container: the release's own, its secrets, and the marks that prove whose it is."""
        marks = {OWNER: self.owner, RELEASE: self.release_id, COLOUR: self.colour, PORT: str(self.release.port)}
        if self.secrets:
            marks[SECRETS] = ",".join(sorted(self.secrets))  # names only: an import must know what to keep secret
        secret = {name: value.get_secret_value() for name, value in self.secrets.items()}
        return {**self.release.variables, **secret, **marks}


class ServiceState(State):
    """What is known about the service. `release_id` and `image` are set only when they were proven to run.

    While it is stopped its status is STOPPED.
    """

    service_id: str | None = None
    deployment_id: str | None = None
    release_id: str | None = None
    image: str | None = None
    private_domain: str | None = None
    status: str | None = None
    deployed_at: datetime | None = None
    stopped_at: datetime | None = None  # by us; a service that somebody else stopped has none
    kept_until: datetime | None = None  # so long at least Railway keeps the image of what is stopped
    template_image: str | None = None  # what Railway's next deployment would be made of, where that is not `image`
