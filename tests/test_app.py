"""The demo app: what it answers, and how its process begins and ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from sandbox.app_setup import Setup
from sandbox.registry import Behaviour, UnknownImage, resolve

Scene = Callable[[aiohttp.ClientSession, asyncio.subprocess.Process], Awaitable[None]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@asynccontextmanager
async def running(port: int, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The app as its own process, which has said that it is up."""
    env = {"PATH": os.environ["PATH"], "PORT": str(port), "BLUEGREEN_RELEASE": "r1", "BLUEGREEN_COLOUR": "blue"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.app", env={**env, **variables}, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 20)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def play(scene: Scene, **variables: str) -> None:
    async def run() -> None:
        port = free_port()
        async with asyncio.timeout(30), running(port, **variables) as process:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                await scene(session, process)

    asyncio.run(run())


def test_every_answer_names_release_colour_and_process() -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        for path in ("/health", "/ready", "/api/hello", "/"):
            async with session.get(path) as answer:
                told = (answer.headers["X-Release"], answer.headers["X-Colour"], answer.headers["X-Pid"])
                assert (answer.status, *told) == (200, "r1", "blue", str(process.pid))

    play(scene)


def test_the_backend_says_hello_with_who_it_is() -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        async with session.post("/api/hello", data=b"{}") as answer:
            body = await answer.json()
        assert body == {
            "app": "backend",
            "colour": "blue",
            "release": "r1",
            "pid": process.pid,
            "method": "POST",
            "path": "/api/hello",
        }

    play(scene)


def test_a_request_can_be_slow_on_purpose_and_a_number_is_asked_for() -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        async with session.get("/api/slow?seconds=0.01") as answer:
            assert answer.status == 200
        async with session.get("/api/slow?seconds=long") as answer:
            assert answer.status == 400

    play(scene)


def test_a_failing_image_is_healthy_and_fails_every_twentieth_request() -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        statuses = []
        for _ in range(60):
            async with session.get("/api/hello") as answer:
                statuses.append(answer.status)
            async with session.get("/health") as health:  # counts for nothing
                assert health.status == 200
        assert statuses == ([200] * 19 + [500]) * 3

    play(scene, SANDBOX_IMAGE=resolve("registry.sandbox/backend:v3-failing"))


@pytest.mark.parametrize("app", ["backend", "frontend"])
def test_a_broken_image_is_healthy_and_answers_500(app: str) -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        for path in ("/", "/api/hello", "/api/projects", "/nowhere"):
            async with session.get("/health") as health, session.get(path) as answer:
                assert (health.status, answer.status, answer.headers["X-Release"]) == (200, 500, "r1")

    play(scene, SANDBOX_IMAGE=resolve(f"registry.sandbox/{app}:v3-broken"))


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_an_image_that_is_not_ready_says_why(path: str) -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        async with session.get(path) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (503, "as shipped")

    play(scene, SANDBOX_IMAGE=resolve("registry.sandbox/backend:v3-unready"))


def test_an_unready_image_answers_503_on_its_health_paths() -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        async with (
            session.get("/health") as health,
            session.get("/ready") as ready,
            session.get("/api/hello") as answer,
        ):
            assert (health.status, ready.status, answer.status) == (503, 503, 200)

    play(scene, SANDBOX_IMAGE=resolve("registry.sandbox/backend:v3-unready"))


def test_a_slow_image_is_healthy_at_once() -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        slow = asyncio.ensure_future(session.get("/api/hello"))
        async with session.get("/health") as health:
            assert (health.status, slow.done()) == (200, False)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow

    play(scene, SANDBOX_IMAGE=resolve("registry.sandbox/backend:v3-slow"))


def test_a_crashing_image_exits_1() -> None:
    env = {"PATH": os.environ["PATH"], "PORT": "1", "SANDBOX_BEHAVIOUR": "crashing"}
    ended = subprocess.run([sys.executable, "-m", "sandbox.app"], env=env, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (1, "fatal: cannot start, as shipped\n")


def test_an_image_that_crashes_later_starts_well_and_exits_1() -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        assert await process.wait() == 1

    play(scene, SANDBOX_BEHAVIOUR="crash-later", SANDBOX_CRASH_AFTER="0.05")


def test_at_sigterm_requests_in_flight_are_finished_and_the_exit_is_0() -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        async with session.get("/health"):
            pass
        in_flight = asyncio.ensure_future(session.get("/api/slow?seconds=1"))
        async with session.get("/health"):  # answered later than the slow request was read
            pass
        process.send_signal(signal.SIGTERM)
        async with await in_flight as answer:
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert await process.wait() == 0

    play(scene)


def test_after_sigterm_nothing_new_is_accepted() -> None:
    async def scene(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get("/health")

    play(scene)


def test_the_end_of_the_supervisors_channel_is_the_end_of_the_process() -> None:
    ours, theirs = socket.socketpair()
    env = {"PATH": os.environ["PATH"], "SANDBOX_CONTROL_FD": str(theirs.fileno())}
    command = [sys.executable, "-m", "sandbox.app"]
    with subprocess.Popen(command, env=env, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE) as process:
        theirs.close()
        said = ours.recv(100)
        ours.close()
        code = process.wait(20)
    assert (said, code) == (b'{"event": "up"}\n', 70)


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = {"PATH": os.environ["PATH"], "PORT": str(taken.getsockname()[1])}
        command = [sys.executable, "-m", "sandbox.app"]
        ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert ended.stderr == f"Port {env['PORT']} on 127.0.0.1 cannot be used (Address already in use); choose another.\n"


def test_without_a_port_the_app_says_so() -> None:
    with pytest.raises(ValueError, match="PORT is not set"):
        Setup.read({})


def test_an_unknown_image_is_refused() -> None:
    with pytest.raises(UnknownImage):
        Setup.read({"PORT": "1", "SANDBOX_IMAGE": "registry.sandbox/backend:latest"})


def test_the_image_decides_app_and_behaviour() -> None:
    setup = Setup.read({"PORT": "1", "SANDBOX_IMAGE": "registry.sandbox/frontend:v9-slow"})
    assert (setup.app, setup.behaviour) == ("frontend", Behaviour.SLOW)
    assert (setup.version, setup.database_url) == (9, None)


def test_a_behaviour_can_be_had_without_an_image() -> None:
    setup = Setup.read({"PORT": "1", "SANDBOX_APP": "backend", "SANDBOX_VERSION": "3", "SANDBOX_BEHAVIOUR": "broken"})
    assert (setup.app, setup.version, setup.behaviour) == ("backend", 3, Behaviour.BROKEN)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"SANDBOX_APP": "database"}, "SANDBOX_APP is 'database'"),
        ({"SANDBOX_VERSION": "0"}, "SANDBOX_VERSION is '0'"),
        ({"SANDBOX_VERSION": "two"}, "SANDBOX_VERSION is 'two'"),
        ({"SANDBOX_BEHAVIOUR": "moody"}, "'moody' is not a valid Behaviour"),
        ({"DATABASE_URL": "postgresql://x"}, "SUPABASE_JWT_SECRET has 0 bytes"),
        ({"DATABASE_URL": "postgresql://x", "SUPABASE_JWT_SECRET": "short"}, "SUPABASE_JWT_SECRET has 5 bytes"),
    ],
)
def test_a_setup_that_cannot_work_is_refused_at_the_start(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Setup.read({"PORT": "1", **wrong})


def test_what_is_secret_is_not_in_a_setups_own_words() -> None:
    secret = "0123456789abcdef0123456789abcdef"
    shown = repr(
        Setup.read({"PORT": "1", "DATABASE_URL": f"postgresql://u:{secret}@h/d", "SUPABASE_JWT_SECRET": secret})
    )
    assert secret not in shown
