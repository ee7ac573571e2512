"""The sandbox's own Pulumi stack: its config file is generated, and every engine command runs in private folders.

The program is the project's own `__main__.py`; only the config is the sandbox's. It lies in the data folder and is
passed by `--config-file`, so a checkout is never written to, and any number of sandboxes run side by side. A change of
the config is an edit of one small model here, which is what a person's edit of the YAML is.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from sandbox.people import JWT_SECRET, Person
from sandbox.ports import COLOURS, Colour
from sandbox.registry import HOST, image, resolve
from sandbox.stack_checks import questions
from sandbox.stack_runs import Run, Started
from sandbox.world import World
from toolchain import Cli

ROOT = Path(__file__).resolve().parents[1]
REGION = "europe-west4-drams3a"
KEY = "sandbox-preview-key"
API_KEY = "sandbox-web-key"  # of the consumer `web`; whoever calls the API shows it
KEY_AUTH = {"key_names": ["apikey"], "key_in_query": False, "hide_credentials": True}
BASELINE, TEAMS = "010", "011"  # the schema that the sandbox's database begins with; what v2 and later need
POLICIES = ["--policy-pack", "policies", "--policy-pack-config", "policies/policy-config.json"]
LOGGED = ("up", "preview", "refresh", "destroy")  # the commands that write an event log


class Stack:
    """A stack on one world.

    Args:
        apps: which of the registry's apps it declares.
        policies: previews and the updates that have one run with the project's policy pack.
    """

    def __init__(
        self,
        world: World,
        cli: Cli,
        *,
        name: str = "sandbox",
        apps: tuple[str, ...] = ("backend",),
        policies: bool = False,
    ) -> None:
        self.world, self.cli, self.name, self.policies = world, cli, name, policies
        self.folder = world.data / "stack"
        self.file = self.folder / f"Pulumi.{name}.yaml"
        self._runs = 0
        self.config: dict[str, Any] = {
            "bluegreen:kongAdminUrl": world.admin,
            "bluegreen:kongProxyUrl": world.proxy,
            "bluegreen:railwayUrl": world.railway_url,
            "bluegreen:railwayPollSeconds": "0.2",
            "velro:railway": {"projectId": world.project_id, "environmentId": world.environment_id},
            "velro:apps": {app: self._app(app) for app in apps},
            "velro:gateway": {
                "plugins": {
                    "correlation-id": {"header_name": "X-Correlation-ID", "echo_downstream": True},
                    "cors": {"origins": ["http://frontend.sandbox"], "exposed_headers": ["X-Release"]},
                },
                "types": {"api": {"key-auth": KEY_AUTH}},
                "consumers": {"web": {}},
            },
            "velro:rollout": {"order": list(apps), "progressDeadlineSeconds": 120, "maxRequestSeconds": 1},
        }
        if self._database:
            self.config["velro:migrations"] = {
                "target": BASELINE,
                "baseline": BASELINE,
                "reports": str(self.folder / "reports"),
                "backup": {"folder": str(self.folder / "backups")},
            }

    def create(self) -> None:
        """Make the stack in its own backend and write its config."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "state").mkdir(exist_ok=True)
        # `stack init` takes no --config-file: it runs beside a Pulumi.yaml that only says the project's name.
        (self.folder / "Pulumi.yaml").write_text("name: velro\nruntime: python\n", encoding="utf-8")
        self._pulumi("stack", "init", self.name, "--no-select", cwd=self.folder).check_returncode()
        self.write()
        self._encrypt(self._secrets())

    def write(self) -> None:
        """Write the config file as the model is now; what pulumi itself keeps in it (the salt) stays."""
        kept = yaml.safe_load(self.file.read_text(encoding="utf-8")) or {} if self.file.exists() else {}
        self.file.write_text(yaml.safe_dump({**kept, "config": self.config}, sort_keys=False), encoding="utf-8")

    def migrate(self, target: str) -> None:
        """Edit: the database is to have this schema."""
        self.config["velro:migrations"]["target"] = target
        self.write()

    def deploy(self, app: str, colour: Colour, tag: str) -> None:
        """Edit: this colour of this app is to run this tag."""
        self.config["velro:apps"][app][colour] = self.block(app, colour, tag)
        self.write()

    def shift(self, colour: Colour, *apps: str) -> None:
        """Edit the one line, of every app or of the named ones."""
        for app in apps or self.config["velro:apps"]:
            self.config["velro:apps"][app]["live"] = colour
        self.write()

    def judge(self, rollout: Mapping[str, Any]) -> None:
        """Edit: traffic moves in steps, and every one is judged. Probes ask what the apps themselves answer.

        The verification gets as careless as most smoke tests are, or no bad release would ever come that far.
        """
        apps: dict[str, Any] = self.config["velro:apps"]
        self.config["velro:rollout"] |= deepcopy(dict(rollout))
        self.config["velro:checks"] = [
            {"name": f"{app}-answers", "app": app, "host": f"{app}.sandbox", "path": _asked(app), **_shown(app)}
            for app in apps
        ]
        for app, block in apps.items():
            block["verify"] = [f"{_smoke(app)} --times 3 --within 4"]
        self.write()

    def check(self, people: Mapping[str, Person]) -> None:
        """Edit: what `bluegreen validate` asks of this stack, as these people (`sandbox.stack_checks.PEOPLE`).

        The apps have to know teams: release 2, on the schema that it needs.
        """
        apps = self.config["velro:apps"]
        self.config["velro:checks"] = [question for question in questions() if question["app"] in apps]
        self.write()
        self._encrypt((f"velro:secrets.tokens.{name}", person.token) for name, person in people.items())

    def reload(self) -> None:
        """Take the file as it is now: somebody else, such as git, has written it."""
        self.config = yaml.safe_load(self.file.read_text(encoding="utf-8"))["config"]

    def snapshot(self) -> dict[str, Any]:
        """The config as a commit would keep it; `restore` is the revert."""
        return deepcopy(self.config)

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self.config = deepcopy(dict(snapshot))
        self.write()

    def block(self, app: str, colour: Colour, tag: str) -> dict[str, Any]:
        """What the config says about one colour."""
        reference = f"{HOST}/{app}:{tag}"
        schema = {"schemaMin": TEAMS if image(reference).version > 1 else BASELINE} if self._database else {}
        shown = {"variables": {"PUBLIC_API_URL": self.world.proxy, "PUBLIC_API_KEY": API_KEY}}
        return {
            "image": resolve(reference),
            "port": self.world.ports.app(app, colour),
            "healthcheckPath": "/health",
            "healthcheckTimeoutSeconds": 20,
            "replicas": {REGION: 1},
            "overlapSeconds": 1,
            "drainingSeconds": 5,
            **(schema if app == "backend" else shown),
        }

    def up(self, *options: str, reason: str = "") -> Run:
        """An update; its reason goes into the record of the release."""
        return self.run("up", "--yes", *options, **({"BLUEGREEN_REASON": reason} if reason else {}))

    def run(self, *arguments: str, **variables: str) -> Run:
        """Any engine command on this stack, with its event log where the command writes one."""
        return self.start(*arguments, **variables).finish()

    def start(self, *arguments: str, **variables: str) -> "Started":
        """The same, under way: for tests that kill it. It is its own process group, as a shell's job is."""
        self._runs += 1
        verb = arguments[0]
        log = self.folder / f"events-{self._runs}.jsonl" if verb in LOGGED else None
        command = [str(self.cli.pulumi), *arguments, "--stack", self.name, "--non-interactive", "--color", "never"]
        command += ["--config-file", str(self.file)] if verb in (*LOGGED, "import", "config") else []
        command += ["--event-log", str(log)] if log is not None else []
        previewed = verb == "preview" or (verb == "up" and "--skip-preview" not in arguments)
        command += POLICIES if self.policies and previewed else []
        output = self.folder / f"output-{self._runs}.txt"
        with output.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environment(), **variables},
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return Started(process, " ".join(arguments), time.monotonic(), output, log)

    def bluegreen(self, verb: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A verb of the project's own command on this stack, as a person runs it."""
        command = [str(ROOT / "bin" / "bluegreen"), verb, "--stack", self.name, *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False)

    @property
    def record(self) -> Path:
        """Where its releases are written down: a folder for each."""
        return self.folder / "reports" / self.name

    def environment(self) -> dict[str, str]:
        """Everything private: backend, home, passphrase; and the secrets of the sandbox's own stand-ins."""
        return {
            **self.cli.environment(os.environ),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "sandbox",
            "PULUMI_DEBUG_COMMANDS": "true",  # the event log is one of them
            "BLUEGREEN_CONFIG_FILE": str(self.file),
            "BLUEGREEN_REPORTS": str(self.folder / "reports"),
            "BLUEGREEN_RAILWAY_TOKEN": self.world.railway_token,
            "BLUEGREEN_PREVIEW_KEY": KEY,
            **({"BLUEGREEN_DATABASE_URL": self.world.database_url} if self._database else {}),
        }

    def exported(self) -> dict[str, Any]:
        """The whole state, decrypted."""
        done = self._pulumi("stack", "export", "--show-secrets", "--stack", self.name)
        done.check_returncode()
        state: dict[str, Any] = json.loads(done.stdout)
        return state

    def outputs(self) -> dict[str, Any]:
        done = self._pulumi("stack", "output", "--json", "--stack", self.name)
        done.check_returncode()
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @property
    def _database(self) -> bool:
        return "postgres" in self.world.members

    def _secrets(self) -> Iterator[tuple[str, str]]:
        yield "velro:secrets.previewKey", KEY
        yield "velro:secrets.releaseKey", "sandbox-release-key"
        yield "velro:secrets.consumers.web", API_KEY
        if self._database and "backend" in self.config["velro:apps"]:
            for colour in COLOURS:
                yield f"velro:secrets.backend.{colour}.DATABASE_URL", self.world.app_database_url
                yield f"velro:secrets.backend.{colour}.SUPABASE_JWT_SECRET", JWT_SECRET

    def _encrypt(self, secrets: Iterable[tuple[str, str]]) -> None:
        """Write these into the config file as secrets."""
        given = [part for path, value in secrets for part in ("--secret", f"{path}={value}")]
        command = ("config", "set-all", "--path", *given, "--stack", self.name, "--config-file", str(self.file))
        self._pulumi(*command).check_returncode()
        self.reload()  # as they lie there, encrypted

    def _app(self, app: str) -> dict[str, Any]:
        name = "api" if app == "backend" else "web"
        route = {"paths": ["/api"]} if app == "backend" else {"hosts": [f"{app}.sandbox"], "paths": ["/"]}
        return {
            "kind": "api" if app == "backend" else "web",
            "live": "blue",
            "blue": self.block(app, "blue", "v1"),
            "routes": {name: {**route, "stripPath": False}},
            "verify": [_smoke(app)],
        }

    def _pulumi(self, *arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
        command = [str(self.cli.pulumi), *arguments, "--non-interactive"]
        return subprocess.run(command, cwd=cwd, env=self.environment(), capture_output=True, text=True, check=False)


def _asked(app: str) -> str:
    """What stands for everything that an app answers: it needs no database and no person."""
    return "/api/hello" if app == "backend" else "/"


def _shown(app: str) -> dict[str, str]:
    """Who asks: nobody gets at the API without a key."""
    return {"consumer": "web"} if app == "backend" else {}


def _smoke(app: str) -> str:
    return f".venv/bin/python -m sandbox.smoke {_asked(app)} --app {app}"
