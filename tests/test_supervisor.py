"""The supervisor: app processes, their front doors, and that nothing is left behind."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.ports import address
from sandbox.supervisor import application
from tests.railway_platform import served
from tests.test_app import free_port


class Control:
    """A client of the control interface."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address, self.session = address, session

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self.session.request(method, self.address + path, json=body) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None

    async def start(self, name: str, port: int, group: str = "backend-blue", **env: str) -> dict[str, Any]:
        """A process that is up."""
        image = {"SANDBOX_IMAGE": "registry.sandbox/backend:v1", "BLUEGREEN_RELEASE": name}
        body = {"group": group, "port": port, "env": {**image, **env}}
        status, _ = await self.call("PUT", f"/processes/{name}", body)
        assert status == 201
        return await self.wait(name, "up")

    async def wait(self, name: str, state: str) -> dict[str, Any]:
        _, body = await self.call("GET", f"/processes/{name}?until={state}&seconds=10")
        assert isinstance(body, dict)
        return body

    async def activate(self, name: str) -> int:
        status, _ = await self.call("POST", f"/processes/{name}/activate")
        return status


Scene = Callable[[Control], Awaitable[None]]


@asynccontextmanager
async def supervised(folder: Path, *more: str) -> AsyncIterator[tuple[Control, asyncio.subprocess.Process]]:
    """The supervisor as its own process."""
    port = free_port()
    command = [sys.executable, "-m", "sandbox.supervisor", "--port", str(port), "--logs", str(folder / "logs"), *more]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"ready\n"
        async with aiohttp.ClientSession() as session:
            yield Control(f"http://127.0.0.1:{port}", session), process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), 20)


def play(folder: Path, scene: Scene) -> None:
    """The scene over a supervisor in this process, whose children are real all the same."""

    async def run() -> None:
        async with asyncio.timeout(40), served(application(folder / "logs")) as address:
            async with aiohttp.ClientSession() as session:
                await scene(Control(address, session))

    asyncio.run(run())


async def gone(pid: int) -> None:
    """Return once this process has ended; it is not our child, so the kernel is asked."""
    descriptor = os.pidfd_open(pid)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), 10)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def release(port: int, address: str = "127.0.0.1") -> str:
    """The release that answers on a front door, over a connection of its own."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}:{port}/") as answer:
        return answer.headers["X-Release"]


def test_a_started_process_answers_on_its_health_port_only(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        port = free_port()
        process = await control.start("one", port)
        assert await release(process["healthPort"]) == "one"
        with pytest.raises(aiohttp.ClientConnectionError):
            await release(port)

    play(tmp_path, scene)


def test_an_active_process_serves_its_port_and_gives_it_up_when_it_stops(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        port = free_port()
        await control.start("one", port)
        assert await control.activate("one") == 200
        served = await release(port)
        status, body = await control.call("POST", "/processes/one/stop", {"drainingSeconds": 5})
        ended = await control.wait("one", "exited")
        assert (served, status, body["state"], ended["exitCode"]) == ("one", 202, "stopping", 0)
        with pytest.raises(aiohttp.ClientConnectionError):
            await release(port)

    play(tmp_path, scene)


def test_two_deployments_of_one_group_share_a_front_door_and_the_new_one_takes_over_without_a_failure(
    tmp_path: Path,
) -> None:
    async def scene(control: Control) -> None:
        port = free_port()
        await control.start("old", port)
        await control.start("new", port)
        await control.activate("old")
        releases: list[str] = []
        handed_over = asyncio.Event()

        async def knock() -> None:
            while not handed_over.is_set() or releases[-1] != "new":
                releases.append(await release(port))

        knocking = [asyncio.create_task(knock()) for _ in range(4)]
        await control.activate("new")
        await control.call("POST", "/processes/old/stop", {"drainingSeconds": 5})
        await control.wait("old", "exited")
        handed_over.set()
        await asyncio.gather(*knocking)
        assert set(releases) >= {"new"}

    play(tmp_path, scene)


def test_a_port_of_another_group_is_refused(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        port = free_port()
        await control.start("one", port)
        await control.start("two", port, group="backend-green")
        await control.activate("one")
        status, body = await control.call("POST", "/processes/two/activate")
        assert (status, body["message"]) == (409, f"Port {port} cannot be used for two: backend-blue serves it.")
        assert await release(port) == "one"

    play(tmp_path, scene)


def test_a_port_of_a_stranger_is_refused(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            await control.start("one", port)
            status, body = await control.call("POST", "/processes/one/activate")
        assert status == 409
        assert body["message"].startswith(f"Port {port} cannot be used for one: ")

    play(tmp_path, scene)


def test_a_process_that_does_not_end_is_killed_after_draining(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        process = await control.start("one", free_port())
        os.kill(process["pid"], signal.SIGSTOP)  # it cannot even hear SIGTERM
        await control.call("POST", "/processes/one/stop", {"drainingSeconds": 0.1})
        assert (await control.wait("one", "exited"))["exitCode"] == -signal.SIGKILL

    play(tmp_path, scene)


def test_a_crashed_process_shows_its_exit_code_and_last_words_and_closes_its_front_door(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        port = free_port()
        image = "registry.sandbox/backend:v1-crash-later"
        await control.start("one", port, SANDBOX_IMAGE=image, SANDBOX_CRASH_AFTER="0.3")
        await control.activate("one")
        ended = await control.wait("one", "exited")
        _, logs = await control.call("GET", "/processes/one/logs?lines=1")
        assert ended["exitCode"] == 1
        assert [line["text"] for line in logs["lines"]] == ["fatal: out of luck, as shipped"]
        with pytest.raises(aiohttp.ClientConnectionError):
            await release(port)

    play(tmp_path, scene)
    assert "out of luck" in (tmp_path / "logs" / "one.log").read_text()


def test_starting_is_idempotent_by_id_and_an_exited_process_can_be_forgotten(tmp_path: Path) -> None:
    async def scene(control: Control) -> None:
        process = await control.start("one", free_port())
        again, body = await control.call("PUT", "/processes/one", {"group": "backend-blue"})
        early, _ = await control.call("DELETE", "/processes/one")
        await control.call("POST", "/processes/one/stop", {"drainingSeconds": 5})
        await control.wait("one", "exited")
        forgotten, _ = await control.call("DELETE", "/processes/one")
        assert (again, body["pid"], early, forgotten) == (200, process["pid"], 409, 204)
        assert await control.call("GET", "/processes") == (200, [])

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/processes/nobody", None, 404),
        ("PUT", "/processes/a", {"group": "g", "colour": "blue"}, 400),
        ("PUT", "/processes/a", {"group": "g", "port": 0}, 400),
        ("PUT", "/processes/-a", {"group": "g"}, 409),
    ],
)
def test_a_wrong_order_is_refused(tmp_path: Path, method: str, path: str, body: Any, status: int) -> None:
    async def scene(control: Control) -> None:
        assert (await control.call(method, path, body))[0] == status

    play(tmp_path, scene)


def test_in_a_private_network_two_groups_serve_the_same_port(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(40), served(application(tmp_path / "logs", 20_000)) as at:
            async with aiohttp.ClientSession() as session:
                control, port = Control(at, session), free_port()
                one = await control.start("one", port, "backend-blue")
                two = await control.start("two", port, "backend-green")
                assert [await control.activate(name) for name in ("one", "two")] == [200, 200]
                assert one["address"] == address("backend-blue.railway.internal", 20_000)
                assert await release(port, one["address"]) == "one"
                assert await release(port, two["address"]) == "two"

    asyncio.run(run())


def test_a_killed_supervisor_leaves_no_process_behind(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(40), supervised(tmp_path) as (control, supervisor):
            one, two = await control.start("one", free_port()), await control.start("two", free_port())
            await control.activate("one")
            ends = [asyncio.create_task(gone(process["pid"])) for process in (one, two)]
            await asyncio.sleep(0)
            supervisor.kill()
            await asyncio.gather(*ends)

    asyncio.run(run())


def test_a_terminated_supervisor_ends_its_processes_even_those_that_hang(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(40), supervised(tmp_path) as (control, supervisor):
            one, two = await control.start("one", free_port()), await control.start("two", free_port())
            os.kill(two["pid"], signal.SIGSTOP)
            ends = [asyncio.create_task(gone(process["pid"])) for process in (one, two)]
            await asyncio.sleep(0)
            supervisor.terminate()
            await asyncio.gather(*ends)
            assert await supervisor.wait() == 0

    asyncio.run(run())


def test_a_supervisor_ends_with_the_process_it_was_told_to_follow(tmp_path: Path) -> None:
    async def run() -> None:
        leader = await asyncio.create_subprocess_exec("sleep", "60")
        try:
            async with supervised(tmp_path, "--die-with-parent", str(leader.pid)) as (_, supervisor):
                leader.kill()
                await leader.wait()
                assert await asyncio.wait_for(supervisor.wait(), 10) == 0
        finally:
            if leader.returncode is None:
                leader.kill()
                await leader.wait()

    asyncio.run(run())


def test_a_port_in_use_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    async def run() -> tuple[int | None, bytes, int]:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            command = [sys.executable, "-m", "sandbox.supervisor", "--port", str(port), "--logs", str(tmp_path)]
            process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
            _, told = await asyncio.wait_for(process.communicate(), 20)
            return process.returncode, told, port

    code, told, port = asyncio.run(run())
    sentence = f"Port {port} on 127.0.0.1 cannot be used (Address already in use); choose another.\n"
    assert (code, told.decode()) == (2, sentence)
