"""A sandbox as somebody made it by hand before there was a stack: other names, a service that is built from a
repository, a Kong service that leads straight to it; and what is looked at there.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import toolchain
from sandbox.asking import call
from sandbox.load import Target
from sandbox.stack import REGION, ROOT, Stack
from sandbox.stack_runs import Run
from sandbox.world import Member, World, free_base
from tests.box import KONG_PACE, RAILWAY_PACE, wait
from tests.published import fitting

SERVICE, HOST, PORT = "web-api", "web-api.railway.internal", 3000
PASSWORD = "a-password-that-nobody-may-see"
VARIABLES = {"PORT": str(PORT), "LOG_LEVEL": PASSWORD, "DATABASE": "${{Postgres.DATABASE_URL}}"}
TIMES = ("created_at", "updated_at")


class Brownfield:
    """One world made by hand, and a stack that says nothing yet."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stack = Stack(world, toolchain.cli(), name="brown")
        self.stack.config = {
            "bluegreen:kongAdminUrl": world.admin,
            "bluegreen:kongProxyUrl": world.proxy,
            "bluegreen:railwayUrl": world.railway_url,
            "bluegreen:railwayPollSeconds": "0.2",
            "velro:rollout": {"progressDeadlineSeconds": 120, "maxRequestSeconds": 1},
        }
        self.service = ""
        self.ids: dict[str, str] = {}

    def make(self) -> None:
        """What somebody did by hand, in Railway's and Kong's own pages."""
        self.service = self._service()
        kong = self._kong("POST", "/services", name="legacy", host=HOST, port=PORT, read_timeout=120_000)
        rules = {"paths": ["/api"], "strip_path": False, "regex_priority": 7}
        route = self._kong("POST", "/services/legacy/routes", name="legacy-v1", **rules)
        cors = {"origins": ["http://frontend.sandbox"], "max_age": 77}
        plugin = self._kong("POST", f"/routes/{route['id']}/plugins", name="cors", config=cors)
        headers = {"add": {"headers": [f"X-Inner: {PASSWORD}"]}}
        self._kong("POST", f"/routes/{route['id']}/plugins", name="request-transformer", config=headers)
        self._kong("POST", "/consumers", username="partner")
        self.ids = {"service": kong["id"], "route": route["id"], "plugin": plugin["id"]}
        wait(lambda: self.status() == 200)

    def bluegreen(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """What a verb said to machines, with its own words beside it."""
        command = [str(ROOT / "bin" / "bluegreen"), *arguments, "--stack", self.stack.name, "--json"]
        variables = {**self.environment(), **environment}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        told: dict[str, Any] = {**fitting(arguments[0], done.stdout), "code": done.returncode, "said": done.stderr}
        return told

    def run(self, *arguments: str) -> Run:
        # What was adopted brought its own preview key, so the sandbox's is not in the environment.
        return self.stack.run(*arguments, BLUEGREEN_PREVIEW_KEY="")

    def environment(self) -> dict[str, str]:
        return {**self.stack.environment(), "BLUEGREEN_PREVIEW_KEY": ""}

    def edit(self) -> dict[str, Any]:
        """The stack's file as it is, for an edit of it; `stack.write` puts it in place."""
        self.stack.reload()
        return self.stack.config

    def kong(self) -> dict[str, list[dict[str, Any]]]:
        """Everything that stands in Kong, without its own times."""
        kinds = ("services", "routes", "plugins", "upstreams", "consumers")
        return {kind: sorted(map(_timeless, self._rows(kind)), key=lambda row: str(row["id"])) for kind in kinds}

    def met(self) -> dict[str, dict[str, Any]]:
        """What users meet, by its id, without names, tags and times."""
        rows = [row for kind in ("services", "routes", "plugins") for row in self.kong()[kind]]
        names = ("name", "instance_name", "tags")
        met = {row["id"]: row for row in rows if row["id"] in {*self.ids.values()}}
        return {
            id: {key: value for key, value in row.items() if key not in names or ("config" in row and key == "name")}
            for id, row in met.items()
        }

    def railway(self) -> str:
        """Railway's whole store, as it lies on disk."""
        return "\n".join(path.read_text() for path in sorted((self.world.data / "railway").glob("*.json")))

    def status(self) -> int:
        try:
            call("GET", f"{self.world.proxy}/api/hello")
        except OSError:
            return 0
        return 200

    def target(self, rps: int) -> Target:
        return Target(app=SERVICE, url=self.world.proxy, path="/api/hello", rps=rps)

    def weights(self) -> dict[str, int]:
        rows = call("GET", f"{self.world.admin}/upstreams/{SERVICE}/targets")["data"]
        return {row["target"]: row["weight"] for row in rows}

    def ask(self, query: str, **variables: Any) -> Any:
        """One question to Railway, as its own page asks it."""
        headers = {"Project-Access-Token": self.world.railway_token, "User-Agent": "hand"}
        body = {"query": query, "variables": variables}
        answer = call("POST", f"{self.world.railway_url}?source=hand", body, **headers)
        assert "errors" not in answer, answer
        return answer["data"]

    def deployments(self) -> list[dict[str, Any]]:
        """Of the service that was made by hand, newest first."""
        asked = "deployments(input: $input, first: 9) { edges { node { id meta } } }"
        query = f"query Q($input: DeploymentListInput!) {{ {asked} }}"
        edges = self.ask(query, input={**self._place(), "serviceId": self.service})["deployments"]["edges"]
        return [edge["node"] for edge in edges]

    def _service(self) -> str:
        create = "mutation C($input: ServiceCreateInput!) { serviceCreate(input: $input) { id } }"
        given = {**self._place(), "name": SERVICE, "variables": VARIABLES}
        id = str(self.ask(create, input=given)["serviceCreate"]["id"])
        update = (
            "mutation U($s: String!, $e: String!, $i: ServiceInstanceUpdateInput!)"
            " { serviceInstanceUpdate(serviceId: $s, environmentId: $e, input: $i) }"
        )
        config = {
            "source": {"repo": "acme/web"},
            "healthcheckPath": "/health",
            "multiRegionConfig": {REGION: {"numReplicas": 1}},
        }
        environment = self.world.environment_id
        self.ask(update, s=id, e=environment, i=config)
        deploy = "mutation D($s: String!, $e: String!) { serviceInstanceDeployV2(serviceId: $s, environmentId: $e) }"
        self.ask(deploy, s=id, e=environment)
        return id

    def _place(self) -> dict[str, str]:
        return {"projectId": self.world.project_id, "environmentId": self.world.environment_id}

    def _kong(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        made: dict[str, Any] = call(method, self.world.admin + path, body)
        return made

    def _rows(self, kind: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = call("GET", f"{self.world.admin}/{kind}?size=1000")["data"]
        return rows


@contextmanager
def brownfield(folder: Path) -> Iterator[Brownfield]:
    """A fresh world, made by hand, with an empty stack beside it."""
    built = ("--built", "acme/web=registry.sandbox/backend:v1")
    pace: dict[Member, tuple[str, ...]] = {"kong": KONG_PACE, "railway": (*RAILWAY_PACE, *built)}
    members: tuple[Member, ...] = ("kong", "supervisor", "railway")
    with World(free_base(), folder, members, private_network=True, extra=pace) as world:
        here = Brownfield(world)
        here.make()
        here.stack.folder.mkdir(parents=True, exist_ok=True)
        (here.stack.folder / "state").mkdir(exist_ok=True)
        (here.stack.folder / "Pulumi.yaml").write_text("name: velro\nruntime: python\n", encoding="utf-8")
        made = here.stack._pulumi("stack", "init", here.stack.name, "--no-select", cwd=here.stack.folder)
        made.check_returncode()
        here.stack.write()
        written = here.stack.file.read_text(encoding="utf-8")
        here.stack.file.write_text(written.replace("config:\n", "config:\n  # where Kong is\n"), encoding="utf-8")
        yield here


def _timeless(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in TIMES}
