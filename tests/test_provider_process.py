"""The provider as a process: started as the engine starts it, ended as engines end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from bluegreen.connections import Connections
from bluegreen.provider import migrations
from bluegreen.provider.__main__ import address
from bluegreen.provider.protos import provider_pb2, provider_pb2_grpc
from bluegreen.provider.table import TABLE
from tests.provider_engine import Engine, failure

ROOT = Path(__file__).parent.parent
LAUNCHER = ROOT / "bluegreen" / "provider" / "pulumi-resource-bluegreen"
NOBODY = "127.0.0.1:1"
BEDS = f"""
import asyncio, os
from bluegreen.provider.__main__ import main
from tests.provider_engine import beds
asyncio.run(main({NOBODY!r}, os.getppid(), beds))
"""
PARENT = """
import signal, subprocess, sys
with subprocess.Popen(sys.argv[1:]) as child:
    signal.pause()
"""


@contextmanager
def started(*command: str, cwd: Path = ROOT, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process with its output at hand, gone in the end whatever happened."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "BLUEGREEN_PYTHON": sys.executable, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def connected(process: subprocess.Popen[str]) -> AsyncIterator[Engine]:
    """The engine's client, once the process has said its port."""
    port = int(await line(process))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        engine = Engine()
        engine.stub = provider_pb2_grpc.ResourceProviderStub(channel)
        await engine.stub.Handshake(provider_pb2.ProviderHandshakeRequest(), wait_for_ready=True, timeout=30)
        yield engine


async def line(process: subprocess.Popen[str]) -> str:
    """The next line that it says."""
    assert process.stdout is not None
    return await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 30)


async def rest(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it still said until its last process ended."""
    return await asyncio.wait_for(asyncio.to_thread(process.communicate), 30)


def test_the_launcher_serves_every_kind_from_any_folder_and_ends_quietly(tmp_path: Path) -> None:
    async def test() -> None:
        with started(str(LAUNCHER), "--logtostderr", "-v=9", NOBODY, cwd=tmp_path) as process:
            async with connected(process) as engine:
                answer = await engine.stub.GetSchema(provider_pb2.GetSchemaRequest())
                assert sorted(TABLE) == sorted(json.loads(answer.schema)["resources"])
                await engine.stub.Cancel(Empty())
                process.send_signal(signal.SIGINT)
                assert ("", "") == await rest(process)
            assert 0 == process.returncode

    asyncio.run(test())


def test_the_launcher_says_in_one_sentence_that_there_is_no_python(tmp_path: Path) -> None:
    missing = str(tmp_path / "python")
    done = subprocess.run(
        [str(LAUNCHER), NOBODY],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "BLUEGREEN_PYTHON": missing},
    )
    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr == (
        f"bluegreen's Python is not there: {missing} cannot be run. Nothing was changed. "
        f"Run make setup in {ROOT}, or set BLUEGREEN_PYTHON.\n"
    )


def test_the_launcher_is_executable() -> None:
    assert 0o755 == LAUNCHER.stat().st_mode & 0o777


def test_the_port_is_said_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, sys\n"
        "said = builtins.print\n"
        "def heavy(): return [name for name in {'pydantic', 'httpx', 'pulumi'} if name in sys.modules]\n"
        "def telling(*texts, **more): said(*texts, **more); said('HEAVY', heavy(), file=sys.stderr, flush=True)\n"
        "builtins.print = telling\n",
        encoding="utf-8",
    )

    async def test() -> None:
        with started(str(LAUNCHER), NOBODY, PYTHONPATH=str(tmp_path)) as process:
            async with connected(process):
                process.terminate()
                assert ("", "HEAVY []\n") == await rest(process)

    asyncio.run(test())


def test_who_applies_migrations_is_loaded_with_the_first_that_needs_it() -> None:
    loaded = "import sys; from bluegreen.provider.__main__ import rooms; rooms(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = ("bluegreen.postgres.migration", "bluegreen.settings", "psycopg", "pglast", "jinja2", "rich", "typer")
    assert [] == [name for name in heavy if name in done.stdout.split()]


def test_what_a_migration_is_is_said_alike_before_and_after_that() -> None:
    connections = Connections({"kongAdminUrl": "http://127.0.0.1", "kongProxyUrl": "http://127.0.0.1"})
    thin = TABLE["bluegreen:postgres:Migration"](connections)
    assert isinstance(thin, migrations.MigrationHandler)
    assert thin.real is thin.real
    said = ("spec", "state", "quiet", "replace_on", "refresh")
    assert [getattr(thin.real, name) for name in said] == [getattr(thin, name) for name in said]
    assert type(thin.real).fill is type(thin).fill


def test_a_provider_that_cannot_be_loaded_says_why_to_whoever_asks(tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text("raise ImportError('pydantic is broken')\n", encoding="utf-8")
    message = (
        "bluegreen's provider could not be loaded: ImportError: pydantic is broken. Nothing was changed. "
        "Run make setup, then try again."
    )

    async def test() -> None:
        command = (sys.executable, "-P", "-m", "bluegreen.provider", NOBODY)
        with started(*command, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}") as process:
            async with connected(process) as engine:
                end = await failure(engine.stub.Configure(provider_pb2.ConfigureRequest()))
                assert (grpc.StatusCode.FAILED_PRECONDITION, message, None) == end
                assert Empty() == await engine.stub.Cancel(Empty())
                process.terminate()
                assert ("", f"{message}\n") == await rest(process)
            assert 0 == process.returncode

    asyncio.run(test())


def test_a_signal_ends_it_like_a_cancel_and_the_last_answer_still_arrives() -> None:
    async def test() -> None:
        with started(sys.executable, "-c", BEDS) as process:
            async with connected(process) as engine:
                creating = asyncio.ensure_future(failure(engine.create({"soil": "loam", "ends": "sleeping"})))
                assert "begun\n" == await line(process)
                process.terminate()
                _, message, held = await creating
                assert ("Somebody asked to stop. It is as it was. Go on.", "bed-1") == (message, held.id)
                assert ("", "") == await rest(process)
            assert 0 == process.returncode

    asyncio.run(test())


def test_an_orphan_ends_by_itself() -> None:
    async def test() -> None:
        with started(sys.executable, "-c", PARENT, sys.executable, "-c", BEDS) as parent:
            async with connected(parent):
                parent.kill()
                assert ("", "") == await rest(parent)

    asyncio.run(test())


def test_an_orphan_finishes_the_step_in_hand_first() -> None:
    async def test() -> None:
        with started(sys.executable, "-c", PARENT, sys.executable, "-c", BEDS) as parent:
            async with connected(parent) as engine:
                call = engine.create({"soil": "loam", "ends": "left alone"})
                assert "begun\n" == await line(parent)
                call.cancel()
                parent.kill()
                assert ("finished the step in hand\n", "") == await rest(parent)

    asyncio.run(test())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["127.0.0.1:7"], "127.0.0.1:7"),
        (["--logtostderr", "-v=9", "127.0.0.1:7"], "127.0.0.1:7"),
        (["--tracing", "http://t", "127.0.0.1:7"], "127.0.0.1:7"),
        ([], None),
        (["-v=9"], None),
    ],
)
def test_the_engines_address_is_found_among_its_flags(arguments: list[str], expected: str | None) -> None:
    assert expected == address(arguments)


def run_python(text: str) -> Any:
    """What a fresh Python prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


def test_the_protos_come_without_the_sdk() -> None:
    assert [] == run_python(
        "import json, sys\n"
        "from bluegreen.provider import protos\n"
        "print(json.dumps([name for name in sys.modules if name in ('pulumi', 'pulumi.runtime', 'pulumi.output')]))\n"
    )


def test_the_real_sdk_can_be_imported_afterwards_over_the_same_protos() -> None:
    assert [True, True, True] == run_python(
        "import json\n"
        "from bluegreen.provider import protos\n"
        "import pulumi\n"
        "from pulumi.runtime.proto import engine_pb2, provider_pb2\n"
        "print(json.dumps([provider_pb2 is protos.provider_pb2, engine_pb2 is protos.engine_pb2,\n"
        "                  hasattr(pulumi, 'CustomResource')]))\n"
    )


def test_the_real_sdk_is_used_when_it_is_there_already() -> None:
    assert [True, True] == run_python(
        "import json\n"
        "import pulumi, pulumi.runtime.proto.provider_pb2\n"
        "from bluegreen.provider import protos\n"
        "print(json.dumps([pulumi.runtime.proto.provider_pb2 is protos.provider_pb2, hasattr(pulumi, 'Output')]))\n"
    )
