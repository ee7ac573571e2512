"""Kong's Admin API fails in the middle of a gateway's change, under load: nobody notices, and the next update is whole.

One stack, one load, one change after the other: a route goes, another comes with plugins, a plugin on everything
changes. In each change another kind of fault waits at chosen writes, each for one request. What every single write of
every entity does with a fault is told in `test_kong_entities_faults.py`; here it is the engine that goes on.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from bluegreen.cli.retire import RETIRED
from bluegreen.kong.ownership import FRONT, KEPT
from bluegreen.kong.shut import is_shut
from sandbox.asking import call
from sandbox.load import Config, Load
from sandbox.load_tally import Report
from sandbox.stack_runs import Run
from tests.box import Box, box

TAKEN = '{"code":5,"name":"unique constraint violation","message":"UNIQUE violation","fields":{"name":"x"}}'
EFFECTS: dict[str, dict[str, Any]] = {
    "500": {"kind": "answer", "status": 500, "body": '{"message":"An unexpected error occurred"}'},
    "409": {"kind": "answer", "status": 409, "body": TAKEN},
    "reset": {"kind": "reset"},
    "lost reply": {"kind": "lost"},
    "timeout": {"kind": "hold"},
}
PLACES: dict[str, tuple[str, ...]] = {
    "500": ("a new route", "a changed plugin", "a removed route"),
    "409": ("a new preview", "a changed preview", "what is kept"),
    "reset": ("a new route", "a changed plugin"),
    "lost reply": ("a new route", "a changed plugin", "a removed route"),
    "timeout": ("a new route", "a changed plugin"),  # each costs all the patience that there is with Kong
}
ROUTES = ("alpha", "beta")  # one of them is there at a time
NEW = ("backend-alpha", "backend-beta", "backend-blue-alpha")  # routes that a fault waits for
UPDATES = 5  # after which a change has to be done; the engine may stop at the first fault of many
KINDS = ("upstreams", "services", "routes", "plugins", "consumers")

Rows = Mapping[tuple[str, str], Any]  # (kind, name): everything that Kong holds, but for ids and times


@dataclass
class Change:
    """One change of the gateway, and every update that it took."""

    before: Rows
    after: Rows = field(default_factory=dict)
    between: list[Rows] = field(default_factory=list)  # after each update that failed
    updates: list[Run] = field(default_factory=list)
    hits: dict[str, int] = field(default_factory=dict)
    settled: Run | None = None


@dataclass
class Story:
    """Every change, by the kind of its faults, and how those fared who asked meanwhile."""

    changes: dict[str, Change]
    report: Report


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with box(tmp_path_factory.mktemp("faults")) as here:
        _declare(here, 0)
        here.bootstrap()
        with Load.start(Config(targets=(here.target(rps=40),), max_seconds=300), here.world.data / "load") as load:
            changes = {kind: _changed(here, kind, number) for number, kind in enumerate(EFFECTS, start=1)}
            yield Story(changes, load.stop())


def _declare(here: Box, number: int) -> None:
    """Edit: the gateway as it is after this many changes."""
    route = {"stripPath": False, "plugins": {"request-size-limiting": {"allowed_payload_size": 1}}}
    name = ROUTES[number % 2]
    routes = here.stack.config["velro:apps"]["backend"]["routes"]
    for one in ROUTES:
        routes.pop(one, None)
    routes[name] = {"paths": [f"/{name}"], **route}
    here.stack.config["velro:gateway"]["plugins"]["cors"]["max_age"] = 100 + number
    here.stack.write()


def _changed(here: Box, kind: str, number: int) -> Change:
    """Make one change, as often as it takes, and look at what Kong holds after each update."""
    change = Change(_rows(here))
    _arm(here, kind, number)
    _declare(here, number)
    for _ in range(UPDATES):
        change.updates.append(here.stack.up("--skip-preview"))
        change.hits |= {fault["name"]: fault["hits"] for fault in here.admin("GET", "/__faults")}
        if kind == "timeout":
            for fault in here.admin("GET", "/__faults"):
                if fault["hits"]:  # what was held back lands now, while nobody waits for it
                    here.admin("DELETE", f"/__faults/{fault['name']}".replace(" ", "%20"))
        if change.updates[-1].code == 0:
            break
        change.between.append(_rows(here))
    here.admin("DELETE", "/__faults")
    change.after = _rows(here)
    change.settled = here.stack.run("preview", "--refresh", "--expect-no-changes")
    return change


def _arm(here: Box, kind: str, number: int) -> None:
    new, old = ROUTES[number % 2], ROUTES[(number + 1) % 2]

    def at(path: str) -> str:
        return f"{path.rpartition('/')[0]}/{here.admin('GET', path)['id']}"

    places = {
        "a new route": {"method": "POST", "path": "/routes", "body": f'"backend-{new}"'},
        "a changed plugin": {"method": "PATCH", "path": at("/plugins/gateway-cors")},
        "a removed route": {"method": "DELETE", "path": at(f"/routes/backend-{old}")},
        "a new preview": {"method": "POST", "path": "/routes", "body": f'"backend-blue-{new}"'},
        "a changed preview": {"method": "PATCH", "path": at("/plugins/backend-blue-api-cors")},
        "what is kept": {"method": "PATCH", "path": at(f"/plugins/{KEPT}")},
    }
    for place in PLACES[kind]:
        call(
            "PUT",
            f"{here.world.admin}/__faults/{place}".replace(" ", "%20"),
            {"where": places[place], "effect": EFFECTS[kind]},
        )


def _rows(here: Box) -> Rows:
    found = {kind: here.admin("GET", f"/{kind}?size=1000")["data"] for kind in KINDS}
    names = {row["id"]: _name(row) for rows in found.values() for row in rows}
    return {
        (kind, _name(row)): _plain(row, names)
        for kind, rows in found.items()
        for row in rows
        if (_name(row) != KEPT or kind != "plugins") and not (kind == "routes" and is_shut(row))  # that takes nobody
    }


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("instance_name") or row.get("name") or row["username"])


def _plain(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    plain = {field: value for field, value in row.items() if field not in ("id", "created_at", "updated_at")}
    if row.get("headers"):
        # A route that is to go asks for one header more, while its absence is judged.
        plain["headers"] = {name: values for name, values in row["headers"].items() if name not in RETIRED} or None
    return {
        field: names[value["id"]] if isinstance(value, Mapping) and set(value) == {"id"} else value
        for field, value in plain.items()
    }


def errors(run: Run) -> dict[str, list[str]]:
    """What the engine was told to tell, by resource."""
    assert run.log is not None
    found: dict[str, list[str]] = {}
    for line in run.log.read_text(encoding="utf-8").splitlines():
        told = json.loads(line).get("diagnosticEvent")
        if told and told["severity"] == "error" and ":kong:" in told.get("urn", ""):
            found.setdefault(told["urn"].rpartition("::")[2], []).append(told["message"].strip())
    return found


def _at_whose_route(name: str) -> str:
    """A new route is first written, shut, by whichever of its plugins comes first."""
    return next((route for route in NEW if name.startswith(f"{route}-")), name)


every = pytest.mark.parametrize("kind", EFFECTS)


def test_nobody_s_request_failed(story: Story) -> None:
    assert (story.report.total.failed, story.report.failures) == (0, {})
    assert story.report.total.requests > 500


@every
def test_every_fault_met_the_write_that_it_waited_for(story: Story, kind: str) -> None:
    assert story.changes[kind].hits == dict.fromkeys(PLACES[kind], 1)


@every
def test_an_update_that_fails_says_why_once_for_each_resource_and_shows_no_traceback(story: Story, kind: str) -> None:
    for run in story.changes[kind].updates:
        assert "Traceback" not in run.output
        for name, said in errors(run).items():
            assert (name, len(said)) == (name, 1)
            beats = said[0].split(". ")
            assert (len(beats) >= 3, "\n" in said[0], said[0][-1]) == (True, False, "."), said


def test_what_was_never_done_fails_the_update_and_a_reply_that_was_lost_does_not(story: Story) -> None:
    failed = {
        kind: sorted(_at_whose_route(name) for run in change.updates for name in errors(run))
        for kind, change in story.changes.items()
    }
    for kind in ("409", "reset", "timeout"):
        # Another plugin of that route may have made it by the time somebody looks: then nothing is missing.
        failed[kind] = [name for name in failed[kind] if name not in NEW]
    assert failed == {
        "500": ["backend-alpha", "backend-beta", "gateway-cors"],
        "409": ["backend-blue-api-cors"],  # and then the verb that keeps
        "reset": ["gateway-cors"],
        "lost reply": [],
        "timeout": ["gateway-cors"],
    }
    assert len(story.changes["lost reply"].updates) == 1


def test_a_verb_that_cannot_keep_the_gateway_says_so_in_its_own_words(story: Story) -> None:
    said = story.changes["409"].updates[-2].output.partition("Diagnostics:")[2].partition("Resources:")[0]
    assert "command:local:Command (gateway-kept)" in said
    assert "passes, and somebody else kept a gateway at the same moment. Nothing of the gateway itself" in said
    assert "answered 409" not in said


@every
def test_in_between_every_entity_is_as_it_was_or_as_it_is_to_be(story: Story, kind: str) -> None:
    change = story.changes[kind]
    assert len(change.between) == len(change.updates) - 1
    for rows in change.between:
        torn = [key for key in {*rows, *change.before, *change.after}
                if rows.get(key) not in (change.before.get(key), change.after.get(key))]  # fmt: skip
        assert torn == []


def test_while_the_previews_are_not_done_what_users_meet_is_as_it_was(story: Story) -> None:
    change = story.changes["409"]
    front = [{key: row for key, row in rows.items() if FRONT in (row["tags"] or ())}
             for rows in (change.before, change.between[0], change.after)]  # fmt: skip
    assert (front[0] == front[1], front[1] == front[2]) == (True, False)


@every
def test_the_last_update_is_whole_and_a_preview_with_a_refresh_expects_no_change(story: Story, kind: str) -> None:
    change = story.changes[kind]
    assert change.updates[-1].code == 0, change.updates[-1].output
    assert change.settled is not None
    assert change.settled.code == 0, change.settled.output
    number = 1 + list(EFFECTS).index(kind)
    there = [name for name in ROUTES if ("routes", f"backend-{name}") in change.after]
    assert (there, change.after["plugins", "gateway-cors"]["config"]["max_age"]) == ([ROUTES[number % 2]], 100 + number)
