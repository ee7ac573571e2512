"""How a command and the plugin itself are stopped: by a cancel, a timeout, a signal, or the end of who started them."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import empty_pb2

from tests.command_plugin_stage import Engine, created, play, refusal
from tests.held_pipe import HeldPipe
from toolchain.hosts import processes

DOOR = Path(__file__).parents[1] / "toolchain" / "hosts" / "__main__.py"


def test_cancel_stops_the_command_and_everything_it_started(tmp_path: Path) -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        held = HeldPipe(tmp_path)
        command = "exec 3> held; echo begun >&3; sleep 300 & wait"
        running = asyncio.ensure_future(created(stub, create=command, dir=str(tmp_path)))
        assert await held.next() == b"begun\n"
        await stub.Cancel(empty_pb2.Empty())
        said = await refusal(running)
        assert "was stopped, with everything it had started, because the update was cancelled" in said
        assert held.gone()
        held.close()

    play(scene)


def test_a_command_that_takes_longer_than_its_custom_timeout_is_stopped() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        said = await refusal(created(stub, limit=0.2, create="sleep 300"))
        assert "was stopped, with everything it had started, because its timeout of 0.2 s was over" in said

    play(scene)


def test_a_child_that_ignores_the_polite_stop_is_killed() -> None:
    async def scene() -> int:
        ready = asyncio.Event()
        child = await processes.start(
            ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
            environment=dict(os.environ),
            stdout=lambda _: ready.set(),
        )
        await ready.wait()
        await child.end(grace=0.1)
        return await child.done()

    assert asyncio.run(asyncio.wait_for(scene(), 30)) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_plugin_says_its_port_first_and_ends_quietly_on(number: signal.Signals) -> None:
    command = [sys.executable, "-I", str(DOOR), "command", "127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_plugin_ends_when_the_process_that_started_it_is_gone() -> None:
    """The plugin alone holds the pipe open once its parent is killed; the pipe's end is the plugin's."""
    started = f"'{sys.executable}' -I '{DOOR}' command 127.0.0.1:1 & wait"
    with subprocess.Popen(["/bin/sh", "-c", started], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 0
        parent.kill()
        told, _, _ = select.select([parent.stdout], [], [], 30)
        assert told
        assert parent.stdout.read() == ""


def test_the_plugins_load_the_bindings_without_the_sdk() -> None:
    asked = (
        f"import sys; sys.path.insert(0, {str(DOOR.parents[2])!r})\n"
        "from toolchain.hosts.bindings import without_the_sdk; without_the_sdk()\n"
        "import toolchain.hosts.language, toolchain.hosts.command\n"
        "print([name for name in ('pulumi.output', 'pulumi.automation', 'opentelemetry') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
