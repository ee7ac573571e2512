"""Secrets that are easy to recognise are planted everywhere, and then looked for in everything that anybody may read.

Each is looked for as it is, and as base64 and percent-encoding would write it. The Admin API stands behind a key here,
as an open-source Kong can have it: its own proxy serves it. Whatever is searched is shown to be there, and every
secret to be in use, so that nothing passes because there was nothing to find.
"""

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from sandbox.asking import ask
from sandbox.postgres_address import PASSWORD
from sandbox.stack import KEY_AUTH, ROOT
from sandbox.stack_runs import Run
from tests.box import Box, box, wait

PLANTED = {
    "the key of the consumer web": "planted+web/key=1?",
    "the key of the consumer twin": "planted+twin/key=2?",
    "the preview key": "planted+preview/key=3?",
    "the release key": "planted+release/key=4?",
    "the Admin API's key": "planted+admin/key=5?",
    "a plugin's token": "Bearer planted+token/6?",
    "a plugin's address": "planted+address/7?",
    "the webhook's address": "planted+webhook/8",
    "Slack's address": "planted+slack/9",
    "a metric's header": "Bearer planted+metric/10?",
    "the token in a metric's header": "planted+metric/10?",
    "the database's password": PASSWORD,
}
WEB, TWIN, PREVIEW, RELEASE, ADMIN, TOKEN, ADDRESS, WEBHOOK, SLACK, METRIC, *_ = PLANTED.values()
# Secrets come from the encrypted config alone.
NOTHING = dict.fromkeys(("BLUEGREEN_RAILWAY_TOKEN", "BLUEGREEN_PREVIEW_KEY", "BLUEGREEN_DATABASE_URL"), "")
QUOTING = json.dumps(
    {
        "code": 2,
        "name": "schema violation",
        "message": f"schema violation (config.headers: {TOKEN} is no header)",
        "fields": {"config": {"headers": f"{TOKEN} is no header"}},
    }
)


@dataclass
class Told:
    """Everything that anybody may read, by where it is found; and what shows that the secrets were in use."""

    texts: dict[str, str]
    runs: dict[str, Run]
    verbs: dict[str, tuple[int, str]]
    state: dict[str, str]  # decrypted, by type of resource
    answers: dict[str, int]  # of the gateway, by whose key was shown
    came: set[str]  # to the listener: paths, and the header of the metric's question
    planted: dict[str, str]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    before = _reports()
    with box(tmp_path_factory.mktemp("planted"), database=True) as here, _listener() as (url, came):
        _lock_the_admin_api(here)
        _plant(here, url)
        yield _tell(here, before, url, came)


@contextmanager
def _listener() -> Iterator[tuple[str, set[str]]]:
    """Whoever is told or asked: it refuses everything, and quotes back what it was shown."""
    came: set[str] = set()

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["content-length"] or 0))
            shown = f"{self.path} with {self.headers['authorization']}"
            came.update((self.path, self.headers["authorization"] or ""))
            self.send_response(400)
            self.send_header("content-length", str(len(shown)))
            self.end_headers()
            self.wfile.write(shown.encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()
            serving.join()


def _lock_the_admin_api(here: Box) -> None:
    """Kong's own proxy serves the Admin API to whoever has the key; none of it is the stack's."""
    here.admin("PUT", "/services/admin-api", {"url": here.world.admin})
    here.admin("PUT", "/services/admin-api/routes/admin-api", {"paths": ["/admin-api"]})
    here.admin("POST", "/services/admin-api/plugins", {"name": "key-auth"})
    here.admin("PUT", "/consumers/deployer", {})
    here.admin("POST", "/consumers/deployer/key-auth", {"key": ADMIN})
    wait(lambda: ask(f"{here.world.proxy}/admin-api/", {"apikey": ADMIN})[0] == 200)
    here.stack.config["bluegreen:kongAdminUrl"] = f"{here.world.proxy}/admin-api"


def _plant(here: Box, listener: str) -> None:
    gateway = here.stack.config["velro:gateway"]
    gateway["plugins"]["http-log"] = {"http_endpoint": "http://127.0.0.1:9/log", "queue": {"max_retry_time": 1}}
    here.stack.config["velro:checks"] = [
        {"name": "hello", "app": "backend", "path": "/api/hello", "consumer": "web"},
        {"name": "closed", "app": "backend", "path": "/api/hello", "expect": {"status": 401}},
    ]
    here.stack.write()
    _secret(here, "velro:secrets.consumers.web", WEB)
    _secret(here, "velro:secrets.previewKey", PREVIEW)
    _secret(here, "velro:secrets.releaseKey", RELEASE)
    _secret(here, 'velro:secrets.plugins.http-log["headers.Authorization"]', TOKEN)
    _secret(here, "bluegreen:kongAdminKey", ADMIN)
    _secret(here, "bluegreen:previewKey", PREVIEW)
    _secret(here, "bluegreen:railwayToken", here.world.railway_token)
    _secret(here, "bluegreen:databaseUrl", here.world.database_url)
    _secret(here, "bluegreen:webhookUrl", f"{listener}/{WEBHOOK}")
    _secret(here, "bluegreen:slackUrl", f"{listener}/{SLACK}")
    _secret(here, "velro:secrets.metrics.queue", METRIC)


def _secret(here: Box, path: str, value: str) -> None:
    run = here.stack.run("config", "set-all", "--path", "--secret", f"{path}={value}")
    assert run.code == 0, run.output
    here.stack.reload()


def _tell(here: Box, reports: Mapping[Path, str], listener: str, came: set[str]) -> Told:
    runs = {"preview from nothing": _run(here, "preview", "--diff"), "up": _run(here, "up", "--yes", "--skip-preview")}
    here.stack.config["velro:gateway"]["plugins"]["http-log"]["timeout"] = 2000
    here.stack.config["velro:gateway"]["types"]["api"]["key-auth"] = {**KEY_AUTH, "realm": "api"}
    here.stack.write()
    runs["preview of a change"] = _run(here, "preview", "--diff")
    runs["changed"] = _run(here, "up", "--yes", "--skip-preview")
    here.admin("PATCH", "/plugins/gateway-cors", {"config": {"max_age": 5}})
    verbs = {
        "validate": _verb(here, "validate"),
        "validate of blue": _verb(here, "validate", "--app", "backend", "--colour", "blue"),
        "orphans": _verb(here, "orphans"),
        "rollback kong": _verb(here, "rollback", "kong", "--reason", "somebody changed cors"),
        "hold release": _verb(here, "hold", "release", "--reason", "it is as it was"),
    }
    answers = {
        "web": ask(f"{here.world.proxy}/api/hello", {"apikey": WEB})[0],
        "admin": ask(f"{here.world.proxy}/admin-api/", {"apikey": ADMIN})[0],
        "nobody": ask(f"{here.world.proxy}/admin-api/", {})[0],
    }
    state: dict[str, str] = {}
    for row in here.stack.exported()["deployment"]["resources"]:
        state[row["type"]] = state.get(row["type"], "") + json.dumps(row)
    kept = here.admin("GET", "/plugins/gateway-kept")
    runs |= {"a key twice": _twice(here), "a token quoted back": _quoted(here), "an address refused": _refused(here)}
    runs |= {"a metric refused": _unmeasured(here, listener)}
    runs["refresh"] = _run(here, "refresh", "--yes", "--skip-preview")
    exported = _run(here, "stack", "export")
    files = {str(path.relative_to(here.stack.folder)): path.read_text(errors="replace") for path in _files(here)}
    written = {str(path): text for path, text in _reports().items() if reports.get(path) != text}
    said = {f"the words of {name}": output for name, (_, output) in verbs.items()}
    texts = {**files, **written, **said, "export": exported.output, "what is kept": json.dumps(kept)}
    return Told(texts, runs, verbs, state, answers, came, {**PLANTED, "Railway's token": here.world.railway_token})


def _run(here: Box, *arguments: str) -> Run:
    return here.stack.run(*arguments, **NOTHING)


def _verb(here: Box, *arguments: str) -> tuple[int, str]:
    command = [str(ROOT / "bin" / "bluegreen"), *arguments, "--stack", here.stack.name, "--json"]
    environment = {**here.stack.environment(), **NOTHING}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _twice(here: Box) -> Run:
    """A consumer gets a key that somebody else has in Kong already: a real 409 that quotes it."""
    here.admin("PUT", "/consumers/stranger", {})
    here.admin("POST", "/consumers/stranger/key-auth", {"key": TWIN})
    before = here.stack.snapshot()
    here.stack.config["velro:gateway"]["consumers"]["twin"] = {}
    here.stack.write()
    _secret(here, "velro:secrets.consumers.twin", TWIN)
    run = _run(here, "up", "--yes", "--skip-preview")
    here.admin("DELETE", "/consumers/stranger")
    here.stack.restore(before)
    return run


def _quoted(here: Box) -> Run:
    """A plugin is changed, and Kong's refusal quotes its token."""
    before = here.stack.snapshot()
    here.stack.config["velro:gateway"]["plugins"]["http-log"]["timeout"] = 3000
    here.stack.write()
    where: dict[str, Any] = {"method": "PATCH", "path": "/plugins/*", "times": None}
    with here.fault({"kind": "answer", "status": 400, "body": QUOTING}, **where):
        run = _run(here, "up", "--yes", "--skip-preview")
    here.stack.restore(before)
    return run


def _refused(here: Box) -> Run:
    """A plugin gets an address that is none, as a secret."""
    before = here.stack.snapshot()
    del here.stack.config["velro:gateway"]["plugins"]["http-log"]["http_endpoint"]
    here.stack.write()
    _secret(here, "velro:secrets.plugins.http-log.http_endpoint", ADDRESS)
    run = _run(here, "preview", "--diff")
    here.stack.restore(before)
    return run


def _unmeasured(here: Box, listener: str) -> Run:
    """A rollout asks for a number, and whoever is asked refuses and quotes the header; nobody hears how it ended."""
    here.stack.deploy("backend", "green", "v1")
    deployed = _run(here, "up", "--yes", "--skip-preview")
    assert deployed.code == 0, deployed.output[-3000:]
    before = here.stack.snapshot()
    queue = {"name": "queue", "http": {"url": f"{listener}/queue", "path": "long"}, "thresholdRange": {"max": 1}}
    here.stack.judge({"prePromotionAnalysis": {"metrics": [queue], "duration": "30s", "interval": "1s"}})
    here.stack.shift("green", "backend")
    run = _run(here, "up", "--yes", "--skip-preview")
    here.stack.restore(before)
    return run


def _files(here: Box) -> list[Path]:
    """The stack's own: config, state with its history, event logs, and what every command put out."""
    return [path for path in sorted(here.stack.folder.rglob("*")) if path.is_file()]


def _reports() -> dict[Path, str]:
    return {path: path.read_text(errors="replace") for path in (ROOT / "reports").rglob("*") if path.is_file()}


def forms(secret: str) -> set[str]:
    """A secret as it may be written: in clear, in JSON, in an address, and in base64 wherever it begins there."""
    found = {secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe=""), quote_plus(secret)}
    for lead in range(3):
        text = base64.b64encode(b"\0" * lead + secret.encode()).decode()
        # The characters at both ends hold bits of what stands beside.
        certain = text[4 if lead else 0 : -4].rstrip("=")
        found |= {certain, certain.replace("+", "-").replace("/", "_")}
    return found


def places(texts: Mapping[str, str], secret: str) -> list[str]:
    return [where for where, text in texts.items() if any(form in text for form in forms(secret))]


def test_no_text_that_anybody_may_read_holds_a_secret_in_any_form(told: Told) -> None:
    found = {name: places(told.texts, secret) for name, secret in told.planted.items()}
    assert {name: where for name, where in found.items() if where} == {}


def test_a_search_like_this_finds_what_is_there_in_every_form() -> None:
    secret = PLANTED["the preview key"]
    encoded = [base64.b64encode(f"{lead}{secret}…".encode()).decode() for lead in ("", "x", "xy")]
    for text in (secret, f"a {secret} b", quote(secret, safe=""), json.dumps({"key": secret}), *encoded):
        assert places({"here": text}, secret) == ["here"], text
    assert places({"here": "planted+preview/key=4?"}, secret) == []


def test_every_secret_of_a_resource_is_in_its_state_for_whoever_may_decrypt_it(told: Told) -> None:
    held = {secret: [kind for kind, text in told.state.items() if secret in text] for secret in (WEB, PREVIEW, TOKEN)}
    assert "bluegreen:kong:Consumer" in held[WEB]
    assert "bluegreen:kong:Consumer" in held[PREVIEW]
    assert held[TOKEN] == ["bluegreen:kong:Plugin"]
    assert PASSWORD in told.state["bluegreen:railway:Service"]


@pytest.mark.parametrize("whose", ["the Admin API's key", "Railway's token"])
def test_a_key_to_a_vendor_s_door_is_the_provider_s_own_and_in_no_resource(told: Told, whose: str) -> None:
    held = [kind for kind, text in told.state.items() if told.planted[whose] in text]
    assert held == ["pulumi:providers:bluegreen"]


def test_the_keys_open_what_they_are_for(told: Told) -> None:
    assert told.answers == {"web": 200, "admin": 200, "nobody": 401}


def test_whoever_is_told_or_asked_was_shown_what_is_meant_for_him(told: Told) -> None:
    assert {f"/{WEBHOOK}", f"/{SLACK}", "/queue", METRIC} <= told.came
    assert "notifications did not arrive: " in told.runs["a metric refused"].output


def test_every_update_went_through(told: Told) -> None:
    codes = {name: told.runs[name].code for name in ("preview from nothing", "up", "preview of a change", "changed")}
    assert codes == dict.fromkeys(codes, 0), told.runs["up"].output[-3000:] + told.runs["changed"].output[-3000:]


def test_every_verb_answered(told: Told) -> None:
    codes = {name: code for name, (code, _) in told.verbs.items()}
    # Somebody has changed a plugin by hand, and a validation says so.
    assert codes == {**dict.fromkeys(codes, 0), "validate": 10}, told.verbs
    assert "gateway-kept" in told.verbs["validate"][1]
    assert "gateway-cors" in told.verbs["rollback kong"][1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a key twice", "keys[0] belongs to another consumer already"),
        ("a token quoted back", "config.headers: *** is no header"),
        ("an address refused", "config.http_endpoint: missing host in url"),
        ("a metric refused", "answered 400 to GET /queue: /queue with ***"),
    ],
)
def test_a_refusal_says_what_is_wrong_without_the_value(told: Told, name: str, said: str) -> None:
    run = told.runs[name]
    assert (run.code != 0, "Traceback" in run.output) == (True, False)
    assert said in run.output, run.output


def test_what_is_kept_in_kong_is_a_gateway_with_its_plugins(told: Told) -> None:
    rows: dict[str, list[dict[str, Any]]] = json.loads(json.loads(told.texts["what is kept"])["config"]["body"])["rows"]
    assert "gateway-http-log" in {row["instance_name"] for row in rows["plugins"]}


def test_what_was_searched_is_there(told: Told) -> None:
    names = " ".join(told.texts)
    assert [part for part in ("Pulumi.sandbox.yaml", "events-", "output-", "state/.pulumi/stacks", "history") if
            part not in names] == []  # fmt: skip
    assert '"bluegreen:kong:Consumer"' in told.texts["export"]
    records = [text for name, text in told.texts.items() if "/journal-" in name]
    assert any("answered 400 to GET /queue" in text for text in records), [*told.texts]
    assert any(name.endswith("/release.json") for name in told.texts)
