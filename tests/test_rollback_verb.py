"""`bluegreen rollback full | APP`: back at once with Kong alone, held there; what it refuses, says and writes."""

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import yaml

from sandbox.stack import ROOT
from tests import rollback_room
from tests.rollback_room import APPS, BACK, BARE_PATH, OVER, Room, closed_port


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with rollback_room.room(tmp_path_factory.mktemp("rollback")) as made:
        yield made


@pytest.fixture
def here(room: Room) -> Room:
    room.as_shifted()
    assert (room.shares(), room.shares("frontend"), room.holds()) == (OVER, OVER, [])
    return room


def test_full_takes_every_app_back_in_reverse_order_and_holds_it(here: Room) -> None:
    said = here.rolls_back("full")
    assert said.code == 0, said
    assert (here.shares(), here.shares("frontend")) == (BACK, BACK)
    assert [each["app"] for each in said.outcome["facts"]["apps"]] == ["frontend", "backend"]
    assert [hold.split(" ", 2)[2] for name in APPS for hold in here.holds(name)] == ["logins fail"] * 4
    assert "frontend is on blue again" in said.outcome["what"]
    assert said.outcome["next"] == (
        "Write into the config: velro:apps.frontend.live: blue; velro:apps.backend.live: blue. "
        "pulumi up then releases the hold."
    )


def test_an_app_alone_leaves_the_others_where_they_are(here: Room) -> None:
    said = here.rolls_back("backend")
    assert (said.code, here.shares(), here.shares("frontend"), here.holds("frontend")) == (0, BACK, OVER, [])
    assert said.outcome["facts"]["lines"] == {"velro:apps.backend.live": "blue"}


def test_what_was_left_is_rejected_and_what_came_back_is_not(here: Room) -> None:
    here.rolls_back("backend")
    rejected = {
        colour: [t for t in row["tags"] if t.startswith("rejected:")] for colour, row in here.rows("backend").items()
    }
    green = next(tag for tag in here.rows("backend")["green"]["tags"] if tag.startswith("release:"))
    assert rejected == {"blue": [], "green": [green.replace("release:", "rejected:")]}


@pytest.mark.parametrize("name", ["api", "BACKEND", "", "kong "])
def test_a_name_that_is_no_app_is_refused_with_the_names_there_are(name: str, here: Room) -> None:
    said = here.rolls_back(name)
    assert (said.code, said.outcome["next"]) == (15, "Name backend, frontend, full or kong.")
    assert (here.shares(), here.holds()) == (OVER, [])


@pytest.mark.parametrize("reason", ["", " \t "])
def test_without_a_reason_nothing_happens(reason: str, here: Room) -> None:
    said = here.says("rollback", "full", "--reason", reason)
    assert (said.code, said.outcome["what"], here.shares()) == (15, "No reason is given.", OVER)


def test_any_reason_can_be_kept_and_read_again(here: Room) -> None:
    reason = "5xx on /api, logins,\nthen: Kassen-Fehler 50 % (Ö)"
    said = here.says("rollback", "backend", "--reason", reason, "--guard", "0")
    assert said.code == 0, said
    (shown,) = here.says("hold", "show").outcome["facts"]["holds"]
    assert (shown["what"], shown["reason"]) == ("backend", "5xx on /api, logins, then: Kassen-Fehler 50 % (Ö)")


def test_no_pulumi_no_state_no_railway_no_database_are_needed(here: Room) -> None:
    out_of_reach: dict[str, str | None] = {
        "PATH": BARE_PATH,
        "PULUMI_BACKEND_URL": f"file://{here.stack.folder}/gone",
        "PULUMI_CONFIG_PASSPHRASE": None,
        "BLUEGREEN_RAILWAY_TOKEN": None,
        "BLUEGREEN_DATABASE_URL": f"postgres://nobody@127.0.0.1:{closed_port()}/none",
    }
    assert shutil.which("pulumi", path=BARE_PATH) is None
    here.world.kill("railway")
    try:
        said = here.says("rollback", "full", "--reason", "Railway is down", "--guard", "0", **out_of_reach)
    finally:
        here.world.start("railway")
    assert (said.code, here.shares(), here.shares("frontend")) == (0, BACK, BACK), said


def test_it_runs_from_the_shell_as_well(here: Room) -> None:
    command = [str(ROOT / "bin" / "bluegreen"), "rollback", "backend", "--reason", "slow", "--guard", "0"]
    env = {**here.stack.environment(), "PATH": BARE_PATH}
    command += ["--stack", here.stack.name]
    done = subprocess.run(command, cwd=here.stack.folder, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, here.shares()) == (0, BACK), done.stderr
    assert done.stdout.startswith("backend is on blue again (release ")
    assert "Write into the config: velro:apps.backend.live: blue." in done.stdout
    assert "backend: blue 100 %, proved by " in done.stderr


def test_a_target_that_is_not_well_is_refused_and_nothing_was_changed(here: Room) -> None:
    with here.fault({"kind": "answer", "status": 503}, proxy=True, path="/health", times=None):
        said = here.rolls_back("full")
    assert (said.code, here.shares(), here.shares("frontend"), here.holds()) == (15, OVER, OVER, [])
    assert said.outcome["what"].startswith("frontend: blue is not well: ")
    assert said.outcome["world"] == "Traffic stays on green."
    assert said.outcome["next"] == "Bring frontend-blue back first, or go on all the same with --unchecked."


def test_a_target_that_is_stopped_while_idle_is_told_to_be_pulumis_to_start(here: Room) -> None:
    said = yaml.safe_load(here.written)
    said["config"]["velro:apps"]["backend"]["idle"] = "stopped"
    here.stack.file.write_text(yaml.safe_dump(said), encoding="utf-8")
    with here.fault({"kind": "answer", "status": 503}, proxy=True, path="/health", times=None):
        told = here.rolls_back("backend")
    assert (told.code, here.shares(), here.holds()) == (15, OVER, [])
    assert told.outcome["next"] == (
        "If backend-blue is stopped (apps.backend.idle), pulumi up alone starts it again: write live: blue and"
        " idle: running, then run it. Or go on all the same with --unchecked."
    )


def test_a_target_that_leads_elsewhere_than_what_would_be_asked_is_no_way_back(here: Room) -> None:
    asked = here.admin("GET", "/services/backend-blue")
    here.admin("PATCH", "/services/backend-blue", {"host": "backend-blue2.railway.internal"})
    try:
        said = here.rolls_back("backend")
        assert (said.code, here.shares(), here.holds()) == (15, OVER, [])
        assert said.outcome["what"] == (
            f"backend: the gateway's target of blue leads to {asked['host']}:{asked['port']}, and what would be asked"
            f" is backend-blue2.railway.internal:{asked['port']}."
        )
        assert said.outcome["next"] == (
            "Write live: blue and run pulumi up, which makes that target anew. Or go on with --unchecked."
        )
        assert here.rolls_back("backend", "--unchecked").code == 0
    finally:
        here.admin("PATCH", "/services/backend-blue", {"host": asked["host"]})


def test_one_app_that_is_not_well_keeps_all_of_them_from_moving(here: Room) -> None:
    another = [tag.replace("release:", "release:x") for tag in here.rows("backend")["blue"]["tags"]]
    here.write("backend", "blue", tags=another)
    said = here.rolls_back("full")
    assert (said.code, here.shares(), here.shares("frontend"), here.holds("frontend")) == (15, OVER, OVER, [])
    assert said.outcome["what"].startswith("backend: blue is not well: ")


def test_unchecked_goes_all_the_same(here: Room) -> None:
    with here.fault({"kind": "answer", "status": 503}, proxy=True, path="/health", times=None):
        said = here.rolls_back("backend", "--unchecked")
    assert (said.code, here.shares()) == (0, BACK)


def test_without_the_preview_key_it_goes_on_and_says_so(here: Room) -> None:
    said = here.rolls_back("backend", PATH=BARE_PATH, BLUEGREEN_PREVIEW_KEY=None)
    assert (said.code, here.shares()) == (0, BACK)
    assert "backend: blue could not be asked without the preview key. Going on." in said.progress


def test_without_a_way_to_the_proxy_it_goes_on_and_says_so(here: Room) -> None:
    said = here.rolls_back("backend", BLUEGREEN_KONG_PROXY_URL=f"http://127.0.0.1:{closed_port()}")
    assert (said.code, here.shares()) == (13, BACK)
    assert "backend: blue could not be asked (" in said.progress
    assert "backend/no-key does not: " in said.outcome["what"]


def test_without_an_address_of_the_proxy_it_goes_on_and_says_so(here: Room) -> None:
    here.without("bluegreen:kongProxyUrl")
    said = here.rolls_back("full", BLUEGREEN_KONG_PROXY_URL=None)
    assert (said.code, here.shares(), here.shares("frontend")) == (0, BACK, BACK), said
    assert (
        "backend: blue could not be asked (The address of Kong's proxy is not configured). Going on." in said.progress
    )
    assert "No check could be asked (The address of Kong's proxy is not configured)." in said.progress
    assert said.outcome["what"].endswith("; no check was asked on the way that users take.")


def test_a_check_that_fails_afterwards_is_named_and_no_success(here: Room) -> None:
    with here.fault({"kind": "answer", "status": 418}, proxy=True, path="/api/hello", times=None):
        said = here.rolls_back("backend")
    assert (said.code, here.shares(), len(here.holds())) == (13, BACK, 2), said
    assert "0 of 1 checks on the way that users take pass (backend/no-key does not: " in said.outcome["what"]
    assert said.outcome["world"].startswith("Traffic is back all the same. It is held by ")
    assert said.outcome["next"].startswith(
        "See to backend/no-key. Write into the config: velro:apps.backend.live: blue"
    )


def test_one_app_that_cannot_be_moved_does_not_keep_the_others(here: Room) -> None:
    """Kong writes nothing of frontend, which is the first to go."""
    with here.fault({"kind": "answer", "status": 500}, method="PATCH", path="/upstreams/frontend/targets*", times=None):
        said = here.rolls_back("full")
    assert (said.code, here.shares(), here.shares("frontend")) == (12, BACK, OVER), said
    assert said.outcome["what"].startswith("frontend: Kong's Admin API answered 500 to PATCH /upstreams/frontend/")
    assert "Now frontend is on green; backend is on blue, held." in said.outcome["world"]
    assert "Then run this again. Write into the config: velro:apps.backend.live: blue." in said.outcome["next"]
    assert [each["app"] for each in here.report()["apps"]] == ["backend"]
    again = here.rolls_back("full")
    assert (again.code, here.shares(), here.shares("frontend")) == (0, BACK, BACK), again


def test_every_app_that_cannot_be_moved_is_told(here: Room) -> None:
    with here.fault({"kind": "answer", "status": 500}, method="PATCH", path="/upstreams/*/targets*", times=None):
        said = here.rolls_back("full")
    assert (said.code, here.shares(), here.shares("frontend")) == (12, OVER, OVER), said
    assert all(f"{name}: Kong's Admin API answered 500 to " in said.outcome["what"] for name in APPS)
    assert "Now frontend is on green; backend is on green." in said.outcome["world"]


def test_traffic_that_is_split_without_a_mark_needs_a_word_where_to(here: Room) -> None:
    here.write("backend", "blue", weight=50)
    here.write("backend", "green", weight=50)
    said = here.rolls_back("backend")
    assert (said.code, said.outcome["next"]) == (15, "Name the colour with --to.")
    assert "traffic is split (" in said.outcome["what"]
    assert (here.rolls_back("backend", "--to", "green").code, here.shares()) == (0, OVER)


def test_a_hold_in_force_moves_nobody_asks_as_users_would_and_to_goes_elsewhere(here: Room) -> None:
    here.rolls_back("backend")
    rows = here.rows("backend")
    again = here.rolls_back("backend")
    assert (again.code, here.rows("backend")) == (0, rows)
    assert "backend is held by " in again.outcome["what"]
    assert again.outcome["what"].endswith(" already; 1 of 1 checks on the way that users take pass.")
    assert again.outcome["world"] == "Nothing was changed. Traffic stays on blue."
    assert again.outcome["next"] == "To go elsewhere, name the colour with --to."
    there = here.rolls_back("backend", "--to", "green")
    assert (there.code, here.shares()) == (0, OVER)
    assert there.outcome["next"] == "The config says so already. pulumi up then releases the hold."


def test_full_where_all_is_held_by_to_says_how_users_fare_and_never_goes_to_and_fro(here: Room) -> None:
    assert here.rolls_back("full", "--to", "green").code == 0
    rows = {name: here.rows(name) for name in APPS}
    well = here.rolls_back("full")
    here.stack.file.write_text(here.written.replace("status: 401", "status: 418"), encoding="utf-8")
    ill = here.rolls_back("full")
    assert (well.code, ill.code, {name: here.rows(name) for name in APPS}) == (0, 13, rows)
    assert "See to backend/no-key. To go elsewhere, name the colour with --to." == ill.outcome["next"]


def test_a_key_that_nobody_knows_keeps_nobody_from_going_back_and_is_told(here: Room) -> None:
    here.stack.file.write_text(here.written + "  velro:nope: 1\n", encoding="utf-8")
    said = here.rolls_back("full")
    assert (said.code, here.shares()) == (0, BACK)
    assert "does not fit: velro:nope: unknown key." in said.outcome["world"]
    assert said.outcome["next"].endswith(f"Correct {here.stack.file.name}.")


def test_full_leaves_an_app_that_is_held_already_and_takes_the_rest(here: Room) -> None:
    here.rolls_back("frontend")
    held = here.rows("frontend")
    said = here.rolls_back("full")
    assert (said.code, here.shares(), here.rows("frontend")) == (0, BACK, held)
    assert "frontend is held by " in said.progress


def test_a_target_that_was_rejected_itself_needs_a_word(here: Room) -> None:
    release = next(t for t in here.rows("backend")["blue"]["tags"] if t.startswith("release:")).partition(":")[2]
    here.tag("backend", "blue", f"rejected:{release}")
    said = here.rolls_back("backend")
    assert (said.code, here.shares()) == (15, OVER)
    assert said.outcome["what"] == f"backend: release {release} on blue was rejected itself."
    assert said.outcome["next"] == ("If it is better all the same: bluegreen rollback backend --to blue --reason …")
    assert (here.rolls_back("backend", "--to", "blue").code, here.shares()) == (0, BACK)


def test_a_colour_that_does_not_exist_is_nowhere_to_go_back_to(here: Room) -> None:
    row = here.rows("backend")["blue"]
    here.admin("DELETE", f"/upstreams/backend/targets/{row['id']}")
    said = here.rolls_back("backend")
    assert (said.code, said.outcome["what"]) == (15, "backend: there is no blue target in the gateway to go back to.")


def test_write_edits_the_line_and_keeps_the_comments(here: Room) -> None:
    text = here.stack.file.read_text(encoding="utf-8")
    here.stack.file.write_text(f"# ours\n{text}", encoding="utf-8")
    said = here.rolls_back("backend", "--write")
    assert said.code == 0, said
    written = here.stack.file.read_text(encoding="utf-8")
    lives = {name: block["live"] for name, block in yaml.safe_load(written)["config"]["velro:apps"].items()}
    assert (lives, written.startswith("# ours\n")) == ({"backend": "blue", "frontend": "green"}, True)
    told = "Written into the config: velro:apps.backend.live: blue. pulumi up then releases the hold."
    assert said.outcome["next"] == told


def test_write_without_pulumi_says_what_to_write(here: Room) -> None:
    before = here.stack.file.read_text(encoding="utf-8")
    said = here.rolls_back("backend", "--write", PATH=BARE_PATH)
    assert (said.code, here.shares(), here.stack.file.read_text(encoding="utf-8")) == (0, BACK, before)
    assert "There is no pulumi on PATH that could write the config). Write into it: " in said.outcome["next"]


def test_the_report_says_what_went_where_why_and_how_users_fare(here: Room) -> None:
    said = here.rolls_back("full")
    report = here.report()
    assert (report, report["reason"]) == (said.outcome["facts"], "logins fail")
    assert [(each["app"], each["origin"], each["goal"]) for each in report["apps"]] == [
        ("frontend", ["green"], "blue"),
        ("backend", ["green"], "blue"),
    ]
    releases = {each["app"]: each["release"] for each in report["apps"]}
    assert all(f"release:{releases[name]}" in here.after_shift[name]["blue"]["tags"] for name in APPS)
    assert [(result["id"], result["status"]) for result in report["results"]] == [("no-key", "pass")]
    name = next((here.stack.folder / "reports").glob("rollback-*.json")).name
    assert f"Report: reports/{name}." in said.outcome["world"]


def test_a_folder_that_cannot_be_written_costs_the_report_alone(here: Room) -> None:
    (here.stack.folder / "reports").write_text("a file\n", encoding="utf-8")
    try:
        said = here.rolls_back("backend")
    finally:
        (here.stack.folder / "reports").unlink()
    assert (said.code, here.shares(), "Report:" in said.outcome["world"]) == (0, BACK, False)


def test_hold_release_lets_go_and_moves_nobody(here: Room) -> None:
    here.rolls_back("full")
    refused = here.says("hold", "release")
    released = here.says("hold", "release", "--reason", "fixed by hand")
    assert (refused.code, released.code) == (15, 0)
    assert (here.shares(), here.shares("frontend"), here.holds(), here.holds("frontend")) == (BACK, BACK, [], [])
    assert here.says("hold", "show").outcome["what"] == "Nothing is held."


def test_notifications_reach_a_webhook(here: Room) -> None:
    with webhook() as (url, heard):
        said = here.rolls_back("full", BLUEGREEN_WEBHOOK_URL=url)
    assert said.code == 0, said
    assert [body["kind"] for body in heard] == ["rollback-started", "hold-set", "hold-set", "rollback-completed"]
    assert "logins fail" in heard[0]["text"]


def test_a_refusal_is_told_to_nobody(here: Room) -> None:
    with webhook() as (url, heard):
        assert here.rolls_back("nobody", BLUEGREEN_WEBHOOK_URL=url).code == 15
    assert heard == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/hook", "not an address"])
def test_a_webhook_that_cannot_be_reached_stops_nothing(url: str, here: Room) -> None:
    said = here.rolls_back("backend", BLUEGREEN_WEBHOOK_URL=url.format(port=closed_port()))
    assert (said.code, here.shares()) == (0, BACK)
    assert "did not arrive" in said.progress or "bluegreen:webhookUrl is not an address" in said.progress


def test_a_webhook_that_never_answers_delays_no_traffic(here: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/hook"
        said = here.rolls_back("backend", BLUEGREEN_WEBHOOK_URL=url)
    (gone,) = said.outcome["facts"]["apps"]
    arrived = said.progress.index("backend: blue 100 %")
    assert (said.code, arrived < said.progress.index("did not arrive"), gone["seconds"] < 5) == (0, True, True)


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Somebody who listens, and what was heard."""
    heard: list[dict[str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
