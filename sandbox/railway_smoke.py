"""A live try of what no recording confirms: create, deploy, stop, restart and delete one service in a scratch place.

    BLUEGREEN_SMOKE_TOKEN=… python -m sandbox.railway_smoke --project ID --environment ID --image ghcr.io/…@sha256:…

Opt-in: without that variable, a project token of a scratch environment, it asks nothing. It refuses an environment in
which any service is, makes one named `bluegreen-smoke`, and deletes it in the end whatever happened. Railway bills the
minutes. Each step is a line `ok …`, and what the stand-in only assumes is told beside it as `saw …`, to be compared by
a person. Exit 0: every step went as assumed; 1: one did not; 2: nothing was begun.

It has been tried on the stand-in alone, never on Railway itself: that needs an account.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

WENT_WELL, WENT_WRONG, NOT_BEGUN = 0, 1, 2
URL = "https://backboard.railway.com/graphql/v2"
VARIABLE = "BLUEGREEN_SMOKE_TOKEN"
NAME = "bluegreen-smoke"
AGENT = "bluegreen-smoke/1"  # Cloudflare turns libraries' own names away
SLOWEST = 90.0  # seconds for one answer
DOCUMENTS = {
    "SmokeScope": "query SmokeScope { projectToken { projectId environmentId } }",
    "SmokePlace": """query SmokePlace($environmentId: String!) {
        environment(id: $environmentId) { serviceInstances { edges { node { serviceName } } } } }""",
    "SmokeCreate": "mutation SmokeCreate($input: ServiceCreateInput!) { serviceCreate(input: $input) { id } }",
    "SmokeUpdate": """mutation SmokeUpdate($serviceId: String!, $environmentId: String!,
        $input: ServiceInstanceUpdateInput!) {
        serviceInstanceUpdate(serviceId: $serviceId, environmentId: $environmentId, input: $input) }""",
    "SmokeVariables": """mutation SmokeVariables($input: VariableCollectionUpsertInput!) {
        variableCollectionUpsert(input: $input) }""",
    "SmokeRead": """query SmokeRead($projectId: String!, $environmentId: String!, $serviceId: String!) {
        variables(projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId) }""",
    "SmokeDeploy": """mutation SmokeDeploy($serviceId: String!, $environmentId: String!) {
        serviceInstanceDeployV2(serviceId: $serviceId, environmentId: $environmentId) }""",
    "SmokePoll": """query SmokePoll($id: String!) {
        deployment(id: $id) { status deploymentStopped meta instances { status } } }""",
    "SmokeStop": "mutation SmokeStop($id: String!) { deploymentStop(id: $id) }",
    "SmokeRestart": "mutation SmokeRestart($id: String!) { deploymentRestart(id: $id) }",
    "SmokeDelete": """mutation SmokeDelete($id: String!, $environmentId: String!) {
        serviceDelete(id: $id, environmentId: $environmentId) }""",
}


class Wrong(Exception):
    """A step did not go as assumed; the text says how."""


class NotBegun(Exception):
    """Nothing may be begun; the text says why."""


@dataclass
class Api:
    """Railway's API, asked by one token."""

    url: str
    token: str = field(repr=False)
    reset: str = "no such header"  # X-RateLimit-Reset, whose format is not documented

    def ask(self, operation: str, **variables: Any) -> Any:
        """The value of the operation's one root field."""
        body = {"query": DOCUMENTS[operation], "operationName": operation, "variables": variables}
        headers = {"Content-Type": "application/json", "User-Agent": AGENT, "Project-Access-Token": self.token}
        request = urllib.request.Request(f"{self.url}?source=bluegreen-smoke", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=SLOWEST) as answer:
                self.reset = answer.headers.get("X-RateLimit-Reset", self.reset)
                told = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise Wrong(f"{operation} was answered {error.code}") from error
        except (OSError, ValueError) as error:
            raise Wrong(f"{operation} got no answer: {error}") from error
        if told.get("errors"):
            raise Wrong(f"{operation} was refused: {told['errors'][0]['message']}")
        (value,) = told["data"].values()
        return value


@dataclass(frozen=True)
class Smoke:
    """The steps, each a line on the screen."""

    api: Api
    project: str
    environment: str
    image: str
    patience: float
    poll: float

    def run(self) -> None:
        """All of it; nothing is left behind.

        Raises:
            NotBegun: the token opens another place, or somebody lives there.
            Wrong: a step did not go as assumed.
        """
        self._look_round()
        with self._service() as service:
            self._configure(service)
            deployment = self._deploy(service)
            self.api.ask("SmokeStop", id=deployment)
            told = self._until(deployment, "stop", lambda now: bool(now["deploymentStopped"]))
            saw(f"a stopped deployment as {told['status']}, its replicas as {_replicas(told)}")
            self.api.ask("SmokeRestart", id=deployment)
            told = self._until(deployment, "restart", lambda now: "RUNNING" in _replicas(now))
            saw(f"a restarted deployment as {told['status']}, deploymentStopped {told['deploymentStopped']}")
        saw(f"X-RateLimit-Reset as {self.api.reset}")

    def _look_round(self) -> None:
        try:
            scope = self.api.ask("SmokeScope")
            if (scope["projectId"], scope["environmentId"]) != (self.project, self.environment):
                raise NotBegun(
                    f"The token of {VARIABLE} opens environment {scope['environmentId']} of project "
                    f"{scope['projectId']}, not {self.environment} of {self.project}. Nothing was changed. "
                    "Give the ids of the scratch environment, or its token."
                )
            edges = self.api.ask("SmokePlace", environmentId=self.environment)["serviceInstances"]["edges"]
        except Wrong as error:
            raise NotBegun(f"{error}. Nothing was changed. Check {VARIABLE} and the address.") from error
        if edges:
            names = ", ".join(sorted(edge["node"]["serviceName"] for edge in edges))
            raise NotBegun(
                f"Environment {self.environment} is no scratch environment: {names} live there. Nothing was changed. "
                "Make an empty environment, or take away what an earlier try left."
            )
        ok("scope: the token opens this empty environment alone")

    @contextmanager
    def _service(self) -> Iterator[str]:
        place = {"projectId": self.project, "environmentId": self.environment}
        service = str(self.api.ask("SmokeCreate", input={**place, "name": NAME})["id"])
        ok(f"create: service {service}")
        try:
            yield service
        except BaseException as error:  # also when somebody stops it
            self._delete(service, f"{error}. And " if isinstance(error, Wrong) else "")
            raise
        self._delete(service)

    def _delete(self, service: str, before: str = "") -> None:
        try:
            self.api.ask("SmokeDelete", id=service, environmentId=self.environment)
        except Wrong as error:
            there = f"{NAME} is still there ({error}). Delete it in Railway's dashboard."
            raise Wrong(before + there) from error
        ok("delete")

    def _configure(self, service: str) -> None:
        config = {
            "source": {"image": self.image},
            "overlapSeconds": 2,
            "drainingSeconds": 5,
            "restartPolicyType": "ALWAYS",
            "registryCredentials": None,
        }
        self.api.ask("SmokeUpdate", serviceId=service, environmentId=self.environment, input=config)
        ok("update: registryCredentials may be null")
        place = {"projectId": self.project, "environmentId": self.environment, "serviceId": service}
        wanted = {**place, "replace": True, "skipDeploys": True, "variables": {"PORT": "8000"}}
        self.api.ask("SmokeVariables", input=wanted)
        names = sorted(self.api.ask("SmokeRead", **place))
        if "PORT" not in names:
            raise Wrong(f"variables: PORT was written and is not read ({', '.join(names) or 'none'} are)")
        ok("variables: written without a deployment")
        saw(f"variables named {', '.join(names)}")

    def _deploy(self, service: str) -> str:
        id = str(self.api.ask("SmokeDeploy", serviceId=service, environmentId=self.environment))
        told = self._until(id, "deploy", lambda now: now["status"] == "SUCCESS" and "RUNNING" in _replicas(now))
        meta = told["meta"] or {}
        saw(f"meta.image as {meta.get('image')}, meta.imageDigest as {meta.get('imageDigest')}")
        manifest = (meta.get("serviceManifest") or {}).get("deploy") or {}
        saw(f"serviceManifest.deploy with {', '.join(sorted(manifest)) or 'nothing'}")
        if self.image.partition("@")[2] not in f"{meta.get('image')} {meta.get('imageDigest')}":
            raise Wrong(f"deploy: deployment {id} does not name the digest that was asked for")
        return id

    def _until(self, id: str, step: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The deployment once it has come so far."""
        end, seen = time.monotonic() + self.patience, list[str]()
        while time.monotonic() < end:
            told: dict[str, Any] = self.api.ask("SmokePoll", id=id)
            if (state := f"{told['status']}{' stopped' if told['deploymentStopped'] else ''}") not in seen[-1:]:
                seen.append(state)
            if reached(told):
                ok(f"{step}: {' → '.join(seen)}")
                return told
            if told["status"] in ("FAILED", "CRASHED", "REMOVED", "SKIPPED"):
                break
            time.sleep(self.poll)
        raise Wrong(f"{step}: deployment {id} was {' → '.join(seen)}")


def _replicas(told: dict[str, Any]) -> list[str]:
    return [each["status"] for each in told["instances"] or ()]


def ok(text: str) -> None:
    print(f"ok {text}", flush=True)


def saw(text: str) -> None:
    print(f"saw {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try, and tell; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.railway_smoke", description="A live try of Railway's API.")
    parser.add_argument("--project", required=True, metavar="ID")
    parser.add_argument("--environment", required=True, metavar="ID", help="an empty one, for this alone")
    parser.add_argument(
        "--image", required=True, metavar="IMAGE", help="a public image that runs, pinned by its digest"
    )
    parser.add_argument("--url", default=URL, help=f"default {URL}")
    parser.add_argument(
        "--patience", type=float, default=300.0, metavar="S", help="seconds for each step (default 300)"
    )
    parser.add_argument("--poll", type=float, default=3.0, metavar="S", help="seconds between two looks (default 3)")
    asked = parser.parse_args(arguments)
    try:
        token = os.environ.get(VARIABLE, "")
        if not token:
            raise NotBegun(f"{VARIABLE} is not set, so nothing was tried. Set it to a scratch environment's token.")
        if "@sha256:" not in asked.image:
            raise NotBegun(f"{asked.image} names no digest. Nothing was changed. Write IMAGE@sha256:….")
        api = Api(asked.url, token)
        Smoke(api, asked.project, asked.environment, asked.image, asked.patience, asked.poll).run()
    except NotBegun as error:
        print(error, file=sys.stderr)
        return NOT_BEGUN
    except Wrong as error:
        print(f"not as assumed: {error}", file=sys.stderr)
        return WENT_WRONG
    return WENT_WELL


if __name__ == "__main__":
    sys.exit(main())
