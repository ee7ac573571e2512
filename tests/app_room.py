"""The demo app as a real process on a real database, and the people who use it: what the tests of the app stand on."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import psycopg

from sandbox.registry import HOST
from tests.database import as_app

SECRET = "a-secret-of-the-tests-with-32-bytes-or-more"
MIGRATION = Path(__file__).resolve().parents[1] / "migrations" / "011_team_collaboration_foundation.sql"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, or `anon`, who has none."""

    name: str
    id: str = ""
    email: str = ""
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


ANON = Person("anon")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the headers in lower case, and the JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


def token(secret: str = SECRET, *, lives: float = 3600, **claims: Any) -> str:
    """A token as the platform's sign-in makes them."""
    return jwt.encode({"aud": "authenticated", "exp": int(time.time() + lives), **claims}, secret, "HS256")


def sign_up(owner_url: str, *names: str, secret: str = SECRET) -> dict[str, Person]:
    """An account for each name; the address is name@example.com."""
    people = {}
    with psycopg.connect(owner_url, autocommit=True) as line:
        for name in names:
            id, email = str(uuid.uuid4()), f"{name}@example.com"
            line.execute("insert into auth.users (id, email) values (%s, %s)", (id, email))
            people[name] = Person(name, id, email, token(secret, sub=id, role="authenticated", email=email))
    return people


def migrate(owner_url: str) -> None:
    """Apply 011 as the database's owner, in one transaction."""
    with psycopg.connect(owner_url) as line:
        line.execute(MIGRATION.read_bytes())


@dataclass
class App:
    """A running process of the demo app."""

    url: str
    process: "subprocess.Popen[str]"

    def ask(self, method: str, path: str, body: Any = None, who: Person = ANON, **headers: str) -> Answer:
        """One request of this person; underscores in a header's name are dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(method, path, body, {**who.headers, **named})

    def send(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        """One request with these headers."""
        return ask(self.url, method, path, body, headers)


def ask(base: str, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
    """One request; a body that is not bytes is sent as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return _answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers, error.read())


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    kind = headers.get("Content-Type", "")
    told = json.loads(body) if body and kind.startswith("application/json") else body.decode()
    return Answer(status, {name.lower(): value for name, value in headers.items()}, told)


@contextmanager
def app(tag: str = "v2", name: str = "backend", *, owner_url: str | None = None, **variables: str) -> Iterator[App]:
    """The app as its own process, up; with `owner_url`, on that database as `authenticator`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {"PATH": os.environ["PATH"], "PORT": str(port), "SANDBOX_IMAGE": f"{HOST}/{name}:{tag}"}
    env |= {"BLUEGREEN_RELEASE": f"r-{tag}", "BLUEGREEN_COLOUR": "blue"}
    if owner_url is not None:
        env |= {"DATABASE_URL": as_app(owner_url), "SUPABASE_JWT_SECRET": SECRET}
    command = [sys.executable, "-m", "sandbox.app"]
    with subprocess.Popen(command, env={**env, **variables}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "is up" in said, said
            yield App(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.wait(10)
