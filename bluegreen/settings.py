"""The stack config, whole and typed: what every room is asked for follows from it.

Everything that needs a deployment lives under its colour, so a colour's release id says exactly how it behaves.
Unknown keys are refused by their path, before anything is registered. It deliberately reads no file and no
environment: it gets the project's config as Pulumi hands it out, and knows no Pulumi.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import PrivateAttr, SecretStr, ValidationError

from bluegreen.analysis import Analysis
from bluegreen.coherence import faults, idle_words
from bluegreen.config import App
from bluegreen.handler import Refused
from bluegreen.leniency import left_out
from bluegreen.naming import Naming
from bluegreen.railway.spec import Observed, RegistryCredentials, Release, ServiceSpec, sealed
from bluegreen.rollout.spec import Lane, Probe, Rollout, TrafficSpec
from bluegreen.spec import COLOURS, Colour, path, problems

PREVIEW_MARK = "X-Preview"  # on every answer of a preview: its name


class Settings(Naming):
    """One stack, whole. Every derived name, address, release id and spec comes from here."""

    _misfit: str = PrivateAttr(default="")

    @property
    def misfit(self) -> str:
        """What `parse` would refuse of the config that this was read from, where it was read `leniently`."""
        return self._misfit

    @classmethod
    def leniently(cls, project: str, stack: str, config: Mapping[str, str]) -> Self:
        """The same for a way back in an emergency: what does not fit is left out, and `misfit` tells of it.

        What an app is says where its traffic may go, so no value there is guessed: only keys that nobody knows are.

        Raises:
            Refused: as `parse` does, where what is left is no stack, or what an app is cannot be told.
        """
        try:
            return cls.parse(project, stack, config)
        except Refused as refused:
            mine = _mine(project, config)
            mine.pop("owner", None)
            while True:
                try:
                    read = cls.model_validate({**mine, "owner": f"{project}.{stack}"})
                except ValidationError as error:
                    if not left_out(mine, error):
                        raise refused from None
                else:
                    read._misfit = refused.what
                    return read

    @classmethod
    def parse(cls, project: str, stack: str, config: Mapping[str, str]) -> Self:
        """Settings from `PULUMI_CONFIG`'s shape: `{"acme:apps": "<JSON>", …}`; other namespaces are left alone.

        Raises:
            Refused: every fault of the config in one message, each with its path.
        """
        mine = _mine(project, config)
        wrong = ["owner: unknown key"] if "owner" in mine else []  # a field of ours, and nobody's key
        try:
            parsed = cls.model_validate({**mine, "owner": f"{project}.{stack}"})
            wrong += [*faults(parsed), *_in_clear(parsed.rollout)]
        except ValidationError as error:
            # In YAML an app's secrets have no `apps` above them.
            wrong += [fault.replace("secrets.apps.", "secrets.", 1) for fault in problems(error)]
        if not wrong:
            return parsed
        raise Refused(
            f"The config of stack {stack} does not fit: {'; '.join(f'{project}:{fault}' for fault in wrong)}.",
            world="Nothing was changed.",
            next=f"Correct Pulumi.{stack}.yaml.",
        )

    def admit(self, contracts: Iterable[tuple[str, str | None]]) -> None:
        """Whether every colour can do without what these files (name, schema that they require) take away.

        Raises:
            Refused: some release still needs the schema as it was.
        """
        wanted = list(contracts)
        lags = [lag for app, colour in self.existing() for lag in self.lags(app, colour, wanted)]
        if lags:
            raise Refused(
                f"{'; '.join(lags)}.",
                world="Nothing was changed.",
                next="Take the colour out or ship a newer release there first, in an update of its own.",
            )

    def complete(self) -> None:
        """Whether what belongs together is there; asked only where every secret can be read.

        Raises:
            Refused: one half of a registry's credentials is missing.
        """
        halves = sorted(host for host, registry in self.secrets.registries.items() if registry.credentials is None)
        if halves:
            raise Refused(
                f"secrets.registries of {', '.join(halves)} needs both a username and a password.",
                world="Nothing was changed.",
                next="Write both, or take the registry out.",
            )

    def lags(self, app: str, colour: Colour, contracts: Iterable[tuple[str, str | None]]) -> list[str]:
        """Which contracts (name, schema that they require) this colour's release cannot live with, in words."""
        has = self.release(app, colour).schema_min or "0"
        return [
            f"{name} requires that every release needs schema {required} or newer, and {app}.{colour} needs {has}"
            for name, required in contracts
            if required is not None and int(has) < int(required)
        ]

    def warnings(self) -> tuple[str, ...]:
        """What is allowed and may not do what was meant, each led by the path of the key to change."""
        lossy = (
            f"apps.{app}.{colour}.{warning}."
            for role in ("live", "idle")
            for app, colour in self.deployed(role)
            for warning in self._release(app, colour).warnings()
        )
        return (*lossy, *idle_words(self))

    def release_id(self, app: str, colour: Colour) -> str:
        """What this colour is to run: sixteen hex digits over image, container spec and secrets."""
        block = self.release(app, colour)
        if isinstance(block, Observed):
            return block.id()
        return block.id(self._secret(app, colour), self.secrets.release_key)

    def service(self, app: str, colour: Colour) -> ServiceSpec:
        """The Railway service that runs this colour, which is ours to deploy."""
        live = self.apps[app].live == colour
        return ServiceSpec(
            name=self.railway_name(app, colour),
            app=app,
            colour=colour,
            place=self.railway,
            release=self._release(app, colour),
            release_id=self.release_id(app, colour),
            secrets=self._secret(app, colour),
            registry_credentials=self._credentials(app, colour),
            owner=self.owner,
            role="live" if live else "idle",
            max_request_seconds=self.rollout.max_request_seconds,
            running=live or self.apps[app].idle == "running",
            rollback_seconds=round(self.rollout.rollback_window.duration.total_seconds()),
        )

    def lanes(self) -> Mapping[str, Lane]:
        """Every app's way through the gateway, in the order of a rollout."""
        return {app: self._lane(app) for app in self.order()}

    def traffic(self) -> TrafficSpec:
        """Where all traffic is to go."""
        nodes = self.gateway.nodes
        return TrafficSpec(owner=self.owner, nodes=nodes, lanes=self.lanes(), rollout=self._armed(self.rollout))

    @cached_property
    def gateway_id(self) -> str:
        """What stands before users: sixteen hex digits; equal ids are equal gateways, whatever the colours run."""
        whole = {
            "gateway": self.gateway.model_dump(mode="json", exclude={"nodes", "bypass"}, exclude_defaults=True),
            "routes": {app: _ways(self.apps[app]) for app in self.order()},
            "secrets": {
                plugin: {path: self._sealed(f"{plugin} {path}", value) for path, value in values.items()}
                for plugin, values in self.secrets.plugins.items()
            },
        }
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]

    def _lane(self, app: str) -> Lane:
        live = self.apps[app].live
        existing = [colour for colour in COLOURS if self.apps[app].release(colour)]
        unmarked = [colour for colour in existing if self.observed(app, colour)]
        lane = Lane(
            upstream=app,
            live=live,
            release=self.release_id(app, live),
            addresses={colour: self.address(app, colour) for colour in existing},
            probe=Probe(
                path=self.release(app, live).healthcheck_path,
                headers=self.preview_headers(app),
                questions=[check.question for check in self.checks if check.app == app and check.question],
            ),
            whole=self.apps[app].kind == "web" and self.apps[app].sticky is None,
        )
        return lane.model_copy(update={"unmarked": unmarked}) if unmarked else lane

    def _armed(self, rollout: Rollout) -> Rollout:
        """The rollout with each metric's secret in it."""
        if not self.secrets.metrics:
            return rollout
        around = ("pre_promotion_analysis", "step_analysis", "post_promotion_analysis")
        armed: dict[str, Any] = {
            name: self._with_secrets(analysis) for name in around if (analysis := getattr(rollout, name)) is not None
        }
        armed["steps"] = [
            step.model_copy(update={"analysis": self._with_secrets(step.analysis)}) if step.analysis else step
            for step in rollout.steps
        ]
        return rollout.model_copy(update=armed)

    def _with_secrets(self, analysis: Analysis) -> Analysis:
        known = self.secrets.metrics
        metrics = [
            metric.model_copy(update={"authorization": known[metric.name]}) if metric.name in known else metric
            for metric in analysis.metrics
        ]
        return analysis.model_copy(update={"metrics": metrics})

    def _sealed(self, name: str, value: SecretStr) -> str:
        return sealed(self.secrets.release_key, name, value) if self.secrets.release_key else ""

    def _release(self, app: str, colour: Colour) -> Release:
        release = self.release(app, colour)
        if isinstance(release, Observed):
            msg = f"{app}.{colour} is observed, and nothing of ours deploys it"
            raise TypeError(msg)
        return release

    def _credentials(self, app: str, colour: Colour) -> RegistryCredentials | None:
        registry = self.secrets.registries.get(self._release(app, colour).registry)
        return registry.credentials if registry is not None else None

    def _secret(self, app: str, colour: Colour) -> Mapping[str, SecretStr]:
        return self.secrets.apps.get(app, {}).get(colour, {})


def _ways(app: App) -> Any:
    routes = {name: route.model_dump(mode="json", exclude_defaults=True) for name, route in app.routes.items()}
    kong = app.kong.model_dump(mode="json", exclude_defaults=True)
    return {"kind": app.kind, "routes": routes, **({"kong": kong} if kong else {})}


def _in_clear(rollout: Rollout) -> Iterator[str]:
    """The credentials of metrics that stand where anybody reads them."""
    around = {
        ("prePromotionAnalysis",): rollout.pre_promotion_analysis,
        ("stepAnalysis",): rollout.step_analysis,
        ("postPromotionAnalysis",): rollout.post_promotion_analysis,
    }
    steps = {("steps", position, "analysis"): step.analysis for position, step in enumerate(rollout.steps)}
    for where, analysis in (around | steps).items():
        for position, metric in enumerate(analysis.metrics if analysis else ()):
            if metric.authorization is not None:
                here = path(("rollout", *where, "metrics", position, "authorization"))
                yield f"{here}: nobody may see it, so it belongs in secrets.metrics.{metric.name}, encrypted"


def _mine(project: str, config: Mapping[str, str]) -> dict[str, Any]:
    return {key.partition(":")[2]: _value(text) for key, text in config.items() if key.startswith(f"{project}:")}


def _value(text: str) -> Any:
    """A config value as YAML meant it: Pulumi hands objects, numbers and booleans out as JSON text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
