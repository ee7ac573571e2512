"""The whole way of a service that nobody here made: adopted, taken over without a change, released beside, replaced.

One sandbox made by hand, under load from before the first update to the end of the last one.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from sandbox.load import Config, Load
from sandbox.load_tally import Report
from sandbox.registry import resolve
from sandbox.stack_runs import Run
from tests.adopt_room import HOST, PASSWORD, PORT, SERVICE, Brownfield, brownfield
from tests.box import moment, touched


@dataclass
class Story:
    """Every command by name, and what was there before and after it."""

    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    kong: dict[str, Any] = field(default_factory=dict)
    met: dict[str, Any] = field(default_factory=dict)  # what users meet, but for names and tags
    railway: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)
    deployments: dict[str, Any] = field(default_factory=dict)  # of the adopted service, newest first
    ids: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)  # ids that outlive the stack, as its state has them
    beside: list[str] = field(default_factory=list)
    report: Report | None = None


class Teller:
    """Does one thing after the other, and writes down what is there then."""

    def __init__(self, here: Brownfield) -> None:
        self.here, self.story = here, Story(ids=here.ids)
        self.look("by hand")

    def look(self, name: str) -> None:
        here, story = self.here, self.story
        story.kong[name], story.met[name], story.railway[name] = here.kong(), here.met(), here.railway()
        story.files[name], story.deployments[name] = here.stack.file.read_text(encoding="utf-8"), here.deployments()

    def adopt(self, name: str, *arguments: str, **environment: str) -> None:
        self.story.told[name] = self.here.bluegreen("adopt", *arguments, **environment)
        self.story.beside += [path.name for path in self.here.stack.folder.glob("*adopting*")]
        self.look(name)

    def run(self, name: str, *arguments: str) -> None:
        self.story.runs[name] = self.here.run(*arguments)
        self.story.weights[name] = self.here.weights()
        self.look(name)

    def up(self, name: str) -> None:
        self.run(name, "up", "--yes", "--skip-preview")

    def app(self) -> dict[str, Any]:
        app: dict[str, Any] = self.here.edit()["velro:apps"][SERVICE]
        return app


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with brownfield(tmp_path_factory.mktemp("brown")) as here:
        teller = Teller(here)
        teller.adopt("without a passphrase", PULUMI_CONFIG_PASSPHRASE="")
        teller.adopt("adopted")
        config = Config(targets=(here.target(rps=40),), max_seconds=300)
        with Load.start(config, here.world.data / "load") as load:
            _taken_over(teller)
            _released(teller)
            _replaced(teller)
            teller.story.report = load.stop()
        yield teller.story


def _taken_over(teller: Teller) -> None:
    teller.up("first")
    rows = teller.here.stack.exported()["deployment"]["resources"]
    teller.story.kept = {row["id"] for row in rows if row.get("retainOnDelete")}


def _released(teller: Teller) -> None:
    """What led past the weights goes, and the first release ships as the outcome says."""
    app, told = teller.app(), teller.story.told["adopted"]
    del app["kong"]["host"], app["kong"]["port"]
    begun = told["facts"]["firstRelease"][SERVICE]["green"]
    app["green"] = {**begun, "image": resolve("registry.sandbox/backend:v2"), "overlapSeconds": 1}
    teller.here.stack.write()
    teller.up("released beside")


def _replaced(teller: Teller) -> None:
    """The adopted service is to run a release while it serves: refused. Then traffic moves in the same update."""
    app, here = teller.app(), teller.here
    app["blue"] = {**app["green"], "serviceName": SERVICE}
    here.stack.write()
    teller.run("over what serves", "preview")
    app["live"] = "green"
    here.stack.write()
    teller.up("moved and replaced")


def config(story: Story) -> dict[str, Any]:
    """What the adoption wrote, as YAML has it."""
    found: dict[str, Any] = yaml.safe_load(story.files["adopted"])["config"]
    return found


def test_adopt_writes_the_config_and_changes_nothing(story: Story) -> None:
    told = story.told["adopted"]
    assert (0, 0) == (told["code"], told["exit"]), told
    assert told["what"] == "1 app adopted into the config of brown: web-api (web-api, live)."
    assert story.kong["by hand"] == story.kong["adopted"]
    assert story.railway["by hand"] == story.railway["adopted"] != ""


def test_what_is_written_says_all_that_stands_in_kong(story: Story) -> None:
    app = config(story)["velro:apps"][SERVICE]
    assert app["blue"] == {"observe": True, "serviceName": SERVICE, "port": PORT, "healthcheckPath": "/health"}
    assert app["kong"] == {"host": HOST, "port": PORT, "readTimeout": 120_000}
    assert app["routes"]["legacy-v1"] == {
        "paths": ["/api"],
        "stripPath": False,
        "regexPriority": 7,
        "plugins": {"cors": {"origins": ["http://frontend.sandbox"], "max_age": 77}},
    }
    adopted = config(story)["velro:adopt"]
    names = ("service/web-api", "route/web-api-legacy-v1", "plugin/web-api-legacy-v1-cors")
    assert [adopted[name] for name in names] == [story.ids[kind] for kind in ("service", "route", "plugin")]


def test_what_was_in_the_file_stays_there_with_its_comments(story: Story) -> None:
    assert "# where Kong is\n" in story.files["adopted"]
    kept = yaml.safe_load(story.files["by hand"])["config"]
    assert {key: config(story)[key] for key in kept} == kept


def test_no_secret_is_written_or_said_in_clear(story: Story) -> None:
    assert PASSWORD in story.railway["by hand"]
    assert PASSWORD in json.dumps(story.kong["by hand"])
    assert PASSWORD not in story.files["adopted"] + json.dumps(story.told["adopted"])
    assert set(config(story)["velro:secrets"][SERVICE]["green"]["LOG_LEVEL"]) == {"secure"}
    assert story.told["adopted"]["facts"]["firstRelease"][SERVICE]["green"]["variables"] == {
        "DATABASE": "${{Postgres.DATABASE_URL}}"
    }


def test_what_could_not_be_known_is_said(story: Story) -> None:
    left = "\n".join(story.told["adopted"]["facts"]["left"])
    assert "keeps its plugin request-transformer, and nothing declares it" in left
    assert "web-api comes from acme/web: green needs an image that is pinned to a digest" in left
    assert "Kong's consumers stay as they are, with their keys and groups: partner" in left


def test_an_adoption_that_cannot_encrypt_writes_nothing(story: Story) -> None:
    told = story.told["without a passphrase"]
    assert (15, "The passphrase is not the one of stack brown.", "Nothing was changed.") == (
        told["code"],
        told["what"],
        told["world"],
    )
    assert story.files["by hand"] == story.files["without a passphrase"]
    assert story.beside == []


def test_the_first_update_changes_nothing_that_serves(story: Story) -> None:
    assert story.runs["first"].code == 0, story.runs["first"].output
    assert story.met["by hand"] == story.met["first"] != {}
    assert story.deployments["by hand"] == story.deployments["first"]
    strangers = [
        row["id"] for kind in story.kong["by hand"].values() for row in kind if row["id"] not in story.ids.values()
    ]
    after = {row["id"]: row for kind in story.kong["first"].values() for row in kind}
    before = {row["id"]: row for kind in story.kong["by hand"].values() for row in kind}
    assert {id: before[id] for id in strangers} == {id: after[id] for id in strangers} != {}
    assert [said for said in touched(story.runs["first"]) if "railway" in said] == []


def test_what_was_adopted_outlives_the_stack(story: Story) -> None:
    assert story.kept == set(story.ids.values())


def test_the_first_release_ships_green_beside_it(story: Story) -> None:
    run = story.runs["released beside"]
    assert run.code == 0, run.output
    assert [said for said in touched(run) if "railway" in said] == ["create railway:Service web-api-green"]
    adopted = ("kong:Service web-api", "kong:Route web-api-legacy-v1", "kong:Plugin web-api-legacy-v1-cors")
    assert [said for said in touched(run) if said.endswith(adopted)] == ["update kong:Service web-api"]
    assert story.weights["released beside"] == {f"{HOST}:{PORT}": 100}
    assert story.deployments["by hand"] == story.deployments["released beside"]


def test_an_adopted_live_colour_is_never_deployed_over(story: Story) -> None:
    run = story.runs["over what serves"]
    assert run.code != 0
    assert "web-api blue really carries traffic, and release" in " ".join(run.output.split())
    assert story.railway["released beside"] == story.railway["over what serves"]


def test_the_adopted_service_is_redeployed_from_an_image_once_it_is_idle(story: Story) -> None:
    run = story.runs["moved and replaced"]
    assert run.code == 0, run.output
    assert story.weights["moved and replaced"] == {f"{HOST}:{PORT}": 0, f"web-api-green.railway.internal:{PORT}": 100}
    assert moment(run, "update rollout:Traffic traffic") < moment(run, "import railway:Service web-api-blue")
    newest, *older = story.deployments["moved and replaced"]
    assert newest["meta"]["image"] == resolve("registry.sandbox/backend:v2")
    assert [each["id"] for each in older] == [each["id"] for each in story.deployments["by hand"]]


def test_no_request_failed_in_any_of_it(story: Story) -> None:
    assert story.report is not None
    assert (story.report.total.failed, story.report.failures) == (0, {})
    assert story.report.total.requests > 400
