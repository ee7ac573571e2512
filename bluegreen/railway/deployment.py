"""A deployment as Railway tells it, and what that means. Pure: no call, no clock.

There is no status for "stopped", and SUCCESS alone does not mean that anything runs: what a deployment is follows from
its status, from whether it is stopped, and from its instances together. Railway's own list of statuses grows, so one
that is not known here counts as in progress; whoever waits has a deadline.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isclose
from typing import Any, Literal

from bluegreen.railway.spec import Limits, Release

End = Literal["running", "exited", "sleeping", "failed", "crashed", "skipped", "superseded", "approval"]
ENDS: dict[str, End] = {
    "FAILED": "failed",
    "CRASHED": "crashed",
    "SKIPPED": "skipped",
    "REMOVING": "superseded",
    "REMOVED": "superseded",
    "NEEDS_APPROVAL": "approval",
}
ACTIVE = frozenset({"SUCCESS", "SLEEPING"})
OVER = frozenset({"EXITED", "STOPPED", "CRASHED", "REMOVED", "SKIPPED"})
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment; what `DeploymentPoll` does not ask for is None."""

    id: str
    status: str
    stopped: bool
    instances: tuple[str, ...]
    created_at: datetime | None = None
    image: str | None = None
    image_digest: str | None = None
    manifest: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> "Deployment":
        """From a GraphQL node; `meta` is an open scalar, so everything in it may be missing."""
        meta = node.get("meta") if isinstance(node.get("meta"), dict) else {}
        assert isinstance(meta, dict)
        service = meta.get("serviceManifest")
        manifest = service.get("deploy") if isinstance(service, dict) else None
        created = node.get("createdAt")
        return cls(
            id=str(node["id"]),
            status=str(node["status"]),
            stopped=bool(node.get("deploymentStopped")),
            instances=tuple(str(each["status"]) for each in node.get("instances") or ()),
            created_at=datetime.fromisoformat(created) if isinstance(created, str) else None,
            image=meta.get("image") or None,
            image_digest=meta.get("imageDigest") or None,
            manifest=manifest if isinstance(manifest, dict) else None,
        )

    @property
    def end(self) -> End | None:
        """How it ended; None while it is on its way."""
        if self.status not in ACTIVE:
            return ENDS.get(self.status)
        if "RUNNING" in self.instances and not self.stopped:
            return "running"
        if self.status == "SLEEPING":
            return "sleeping"  # it wakes only when somebody asks it, and that first request may be lost
        # Right after its success a deployment may still read as stopped: only instances that are over make it so.
        if self.stopped and self.instances and OVER.issuperset(self.instances):
            return "exited"
        return None

    @property
    def in_flight(self) -> bool:
        """Whether Railway is still at work on it."""
        return (self.status not in ACTIVE and self.status not in ENDS) or self.status == "NEEDS_APPROVAL"

    @property
    def active(self) -> bool:
        """Whether it is the one that serves, or slept or was stopped while it was."""
        return self.status in ACTIVE

    @property
    def halted(self) -> bool:
        """Whether it was stopped and nothing of it runs, whoever did it; Railway need not list what has ended."""
        return self.active and self.stopped and "RUNNING" not in self.instances

    @property
    def digests(self) -> frozenset[str]:
        """Every digest it names: normally one, none when it was deployed from a tag."""
        named = DIGEST.findall(f"{self.image} {self.image_digest}")
        return frozenset(named)

    def runs(self, release: Release) -> bool:
        """Whether its image is the release's, to the digest."""
        return self.digests == {release.digest}

    def replicas(self) -> dict[str, int] | None:
        """Replicas per region as they were deployed; None when the manifest does not say."""
        regions = (self.manifest or {}).get("multiRegionConfig")
        if not isinstance(regions, dict):
            return None
        return {name: int(region.get("numReplicas") or 1) for name, region in regions.items() if region is not None}

    def differences(self, release: Release) -> list[str]:
        """What was deployed otherwise than asked, one phrase each: Railway has reset omitted fields before."""
        found: list[str] = []
        if not self.runs(release):
            really = ", ".join(sorted(self.digests)) or self.image or "no image"
            found.append(f"the image is {really} instead of {release.digest}")
        if self.manifest is None:
            return found
        wanted: dict[str, Any] = {
            "healthcheckPath": release.healthcheck_path,
            "overlapSeconds": release.overlap_seconds,
            "drainingSeconds": release.draining_seconds,
        }
        found += [
            f"{name} is {_shown(self.manifest.get(name))} instead of {_shown(value)}"
            for name, value in wanted.items()
            if self.manifest.get(name) != value
        ]
        found += self._otherwise(release)
        if self.replicas() != dict(release.replicas):
            found.append(f"replicas are {_shown(self.replicas())} instead of {_shown(dict(release.replicas))}")
        return found

    def _otherwise(self, release: Release) -> list[str]:
        """The same for what a manifest need not name; there, absent, empty, 0 and false are one."""
        named = self.manifest or {}
        wanted: dict[str, Any] = {
            "healthcheckTimeout": release.healthcheck_timeout_seconds,
            "restartPolicyType": release.restart_policy,
            "startCommand": release.start_command,
            "preDeployCommand": release.pre_deploy_command,
            "sleepApplication": None,
            "cronSchedule": None,
        }
        if release.restart_policy == "ON_FAILURE":  # no other policy counts
            wanted["restartPolicyMaxRetries"] = release.restart_policy_max_retries
        found = [
            f"{name} is {_shown(_one(named[name]))} instead of {_shown(value)}"
            for name, value in wanted.items()
            if name in named and (_one(named[name]) or None) != (value or None)
        ]
        if "limitOverride" in named:
            override = named["limitOverride"]
            held = override.get("containers") if isinstance(override, dict) else None
            limits = release.limits or Limits()
            if not limited(held if isinstance(held, dict) else {}, limits):
                found.append(f"limits are {_shown(held or None)} instead of {_shown(_containers(limits))}")
        return found


def limited(held: Mapping[str, Any], wanted: Limits) -> bool:
    """Whether these limits are the wanted ones. Nothing says which kind of GB is held, so either will do."""
    sizes = {round((wanted.memory_gb or 0) * unit) for unit in (10**9, 2**30)}
    return round(_amount(held.get("memoryBytes"))) in sizes and isclose(_amount(held.get("cpu")), wanted.vcpus or 0)


def _amount(value: Any) -> float:
    return value if isinstance(value, int | float) else 0.0  # an open scalar


def _containers(limits: Limits) -> dict[str, Any] | None:
    told = {"cpu": limits.vcpus, "memoryBytes": limits.memory_gb and limits.memory_gb * 10**9}
    return {name: value for name, value in told.items() if value} or None


def _one(value: Any) -> Any:
    return (value[0] if value else None) if isinstance(value, list) else value  # a command may be shown as a list


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {count}" for name, count in sorted(value.items())) or "none"
    return "not set" if value is None else str(value)
