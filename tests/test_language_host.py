"""The Python language host, spoken to as the engine does; a small script stands in for Pulumi's own executor."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from tests.held_pipe import HeldPipe
from toolchain.hosts.language import LanguageHost
from toolchain.hosts.serving import new_server
from toolchain.hosts.virtualenv import Environment
from toolchain.versions import PULUMI

DOOR = Path(__file__).parents[1] / "toolchain" / "hosts" / "__main__.py"
VENV = Path(sys.prefix)

EXECUTOR = """
import json, os, sys
names = ("PULUMI_CONFIG", "PULUMI_CONFIG_SECRET_KEYS", "VIRTUAL_ENV", "PYTHONHOME")
told = {name: os.environ.get(name) for name in names}
with open("told.json", "w") as file:
    json.dump({"arguments": sys.argv[1:], "variables": told, "python": sys.prefix}, file)
exec(open("program.py").read())
"""

HOLDER = "import time; held = open('held', 'w', 1); held.write('begun'); held.flush(); time.sleep(300)"


def play(folder: Path, scene: Callable[[Any], Awaitable[None]]) -> None:
    """Speak to a host whose executor lies in `folder`."""
    executor = folder / "executor.py"
    executor.write_text(EXECUTOR)

    async def run() -> None:
        server = new_server()
        host = LanguageHost("127.0.0.1:7", executor)
        language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await asyncio.wait_for(scene(language_pb2_grpc.LanguageRuntimeStub(channel)), 30)
        finally:
            await host.stop()
            await server.stop(0.5)

    asyncio.run(run())


def info(folder: Path, **options: str) -> language_pb2.ProgramInfo:
    given = Struct()
    given.update({"virtualenv": str(VENV)} | options)
    return language_pb2.ProgramInfo(
        root_directory=str(folder), program_directory=str(folder), entry_point=".", options=given
    )


def a_run(folder: Path, program: str, **given: Any) -> language_pb2.RunRequest:
    (folder / "program.py").write_text(program)
    usual: dict[str, Any] = {"program": ".", "pwd": str(folder), "info": info(folder), "parallel": 16}
    return language_pb2.RunRequest(**usual | given)


async def refusal(call: Awaitable[Any], code: grpc.StatusCode = grpc.StatusCode.FAILED_PRECONDITION) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == code
    return str(caught.value.details())


async def heard(stream: Any) -> list[tuple[str, Any]]:
    """What a plugin that was run said on each stream, and its exit code, in the order of their first words."""
    told: dict[str, Any] = {}
    async for message in stream:
        kind = message.WhichOneof("output")
        told[kind] = told[kind] + getattr(message, kind) if kind in told else getattr(message, kind)
    return list(told.items())


def test_a_program_is_run_by_the_executor_with_the_stacks_config_in_its_environment(tmp_path: Path) -> None:
    async def scene(stub: Any) -> None:
        request = a_run(
            tmp_path,
            "",
            project="shop",
            stack="dev",
            organization="organization",
            monitor_address="127.0.0.1:8",
            dryRun=True,
            config={"shop:live": "blue"},
            configSecretKeys=["shop:key"],
        )
        assert await stub.Run(request) == language_pb2.RunResponse()
        told = json.loads((tmp_path / "told.json").read_text())
        assert " ".join(told["arguments"]) == (
            f"--monitor 127.0.0.1:8 --engine 127.0.0.1:7 --project shop --root_directory {tmp_path} --stack dev "
            f"--pwd {tmp_path} --dry_run true --parallel 16 --organization organization ."
        )
        assert told["python"] == str(VENV)
        assert json.loads(told["variables"].pop("PULUMI_CONFIG")) == {"shop:live": "blue"}
        assert json.loads(told["variables"].pop("PULUMI_CONFIG_SECRET_KEYS")) == ["shop:key"]
        assert told["variables"] == {"VIRTUAL_ENV": str(VENV), "PYTHONHOME": None}

    play(tmp_path, scene)


def test_the_handshake_names_the_engine_that_programs_are_told_of(tmp_path: Path) -> None:
    async def scene(stub: Any) -> None:
        await stub.Handshake(language_pb2.LanguageHandshakeRequest(engine_address="127.0.0.1:9"))
        await stub.Run(a_run(tmp_path, ""))
        arguments = json.loads((tmp_path / "told.json").read_text())["arguments"]
        assert arguments[arguments.index("--engine") + 1] == "127.0.0.1:9"

    play(tmp_path, scene)


def test_a_program_that_has_told_its_error_itself_is_not_spoken_over(tmp_path: Path) -> None:
    async def scene(stub: Any) -> None:
        assert await stub.Run(a_run(tmp_path, "sys.exit(32)")) == language_pb2.RunResponse(bail=True)

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("program", "dry", "said"),
    [
        (
            "sys.exit(3)",
            True,
            "the program __main__.py ended with exit code 3 before it was done. Nothing was changed.",
        ),
        (
            "os.kill(os.getpid(), 9)",
            False,
            "the program __main__.py was ended by SIGKILL before it was done. What it had declared until then may have "
            "been changed, and is in the state.",
        ),
    ],
    ids=["exit-code-in-a-preview", "signal-in-an-update"],
)
def test_a_program_that_ends_badly_is_named_with_how_it_ended(
    tmp_path: Path, program: str, dry: bool, said: str
) -> None:
    async def scene(stub: Any) -> None:
        answer = await stub.Run(a_run(tmp_path, program, dryRun=dry))
        assert answer.error == f"{said} Mend what it printed above, then run the command again."
        assert not answer.bail

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("virtualenv", "toolchain", "wrong"),
    [
        (".venv", "pip", "does not exist. Nothing was run."),
        (".", "pip", "is not a virtual environment (it has no bin/python). Nothing was run."),
        (
            ".venv",
            "uv",
            "runtime.options.toolchain is `uv`: this Python language host serves `pip` alone. Nothing was run.",
        ),
    ],
    ids=["missing", "no-virtual-environment", "other-toolchain"],
)
def test_a_python_that_cannot_be_used_is_one_clear_error_in_every_call(
    tmp_path: Path, virtualenv: str, toolchain: str, wrong: str
) -> None:
    async def scene(stub: Any) -> None:
        of = info(tmp_path, virtualenv=virtualenv, toolchain=toolchain)
        answers = [
            (await stub.Run(a_run(tmp_path, "", info=of))).error,
            await refusal(stub.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest(info=of))),
            await refusal(stub.About(language_pb2.AboutRequest(info=of))),
        ]
        assert all(wrong in answer for answer in answers)
        assert not (tmp_path / "told.json").exists()

    play(tmp_path, scene)


def test_a_virtualenv_is_found_from_the_project_file(tmp_path: Path) -> None:
    (tmp_path / "env").symlink_to(VENV)
    assert Environment.named("env", tmp_path).python == tmp_path / "env" / "bin" / "python"


def test_the_plugins_that_installed_packages_need_are_named(tmp_path: Path) -> None:
    async def scene(stub: Any) -> None:
        answer = await stub.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest(info=info(tmp_path)))
        assert [(package.name, package.kind, package.version) for package in answer.packages] == [
            ("command", "resource", "1.2.1")
        ]

    play(tmp_path, scene)


def test_dependencies_are_the_packages_nobody_else_brought_in_unless_all_are_asked_for(tmp_path: Path) -> None:
    site = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "python").touch()
    for name, requires in {"Shop": "Requires-Dist: some_Lib>=2\n", "some.lib": "", "extra": ""}.items():
        (site / f"{name}-1.0.dist-info").mkdir(parents=True)
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}"
        (site / f"{name}-1.0.dist-info" / "METADATA").write_text(about)

    async def scene(stub: Any) -> None:
        async def names(everything: bool) -> list[str]:
            of = info(tmp_path, virtualenv="env")
            request = language_pb2.GetProgramDependenciesRequest(info=of, transitiveDependencies=everything)
            return [found.name for found in (await stub.GetProgramDependencies(request)).dependencies]

        assert await names(everything=False) == ["Shop", "extra"]
        assert await names(everything=True) == ["Shop", "extra", "some.lib"]

    play(tmp_path, scene)


def test_about_tells_the_python_and_the_host(tmp_path: Path) -> None:
    async def scene(stub: Any) -> None:
        answer = await stub.About(language_pb2.AboutRequest(info=info(tmp_path)))
        version = ".".join(str(part) for part in sys.version_info[:3])
        assert (answer.executable, answer.version) == (str(VENV / "bin" / "python"), version)
        assert (await stub.GetPluginInfo(empty_pb2.Empty())).version == PULUMI

    play(tmp_path, scene)


def test_a_policy_pack_is_run_in_its_folder_and_its_output_and_exit_code_are_passed_on(tmp_path: Path) -> None:
    pack = "import os, sys\nprint(os.getcwd(), os.environ['SAID'])\nprint('oh', file=sys.stderr)\nsys.exit(4)"
    (tmp_path / "__main__.py").write_text(pack)

    async def scene(stub: Any) -> None:
        environment = [f"{name}={value}" for name, value in {**os.environ, "SAID": "yes=no"}.items()]
        request = language_pb2.RunPluginRequest(
            kind="analyzer", args=["127.0.0.1:7"], env=environment, info=info(tmp_path)
        )
        told = await heard(stub.RunPlugin(request))
        assert sorted(told[:-1]) == [("stderr", b"oh\n"), ("stdout", f"{tmp_path} yes=no\n".encode())]
        assert told[-1] == ("exitcode", 4)

    play(tmp_path, scene)


def test_a_policy_pack_ends_when_the_engine_hangs_up(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(HOLDER)

    async def scene(stub: Any) -> None:
        held = HeldPipe(tmp_path)
        stream = stub.RunPlugin(
            language_pb2.RunPluginRequest(kind="analyzer", args=["127.0.0.1:7"], info=info(tmp_path))
        )
        listening = asyncio.ensure_future(heard(stream))
        assert await held.next() == b"begun"
        stream.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        assert await held.next() == b""
        held.close()

    play(tmp_path, scene)


def test_cancel_ends_the_program(tmp_path: Path) -> None:
    async def scene(stub: Any) -> None:
        held = HeldPipe(tmp_path)
        running = asyncio.ensure_future(stub.Run(a_run(tmp_path, HOLDER)))
        assert await held.next() == b"begun"
        await stub.Cancel(empty_pb2.Empty())
        assert (await running).error.startswith("the program __main__.py was ended by SIGTERM before it was done.")
        assert held.gone()
        held.close()

    play(tmp_path, scene)


def test_what_the_host_does_not_do_is_declined_in_one_sentence(tmp_path: Path) -> None:
    async def scene(stub: Any) -> None:
        of = info(tmp_path)
        install = await refusal(heard(stub.InstallDependencies(language_pb2.InstallDependenciesRequest(info=of))))
        assert install.endswith("Run `make setup`, which installs the hashed requirements into .venv.")
        other = await refusal(heard(stub.RunPlugin(language_pb2.RunPluginRequest(kind="resource", info=of))))
        assert other.startswith("this Python language host runs programs and policy packs, not a resource plugin.")
        unserved = grpc.StatusCode.UNIMPLEMENTED
        convert = await refusal(stub.GenerateProgram(language_pb2.GenerateProgramRequest()), unserved)
        assert convert.startswith("converting programs to Python is not what this Python language host does.")
        package = await refusal(stub.GeneratePackage(language_pb2.GeneratePackageRequest()), unserved)
        assert package.startswith("generating a Python SDK is not what this Python language host does.")
        assert not (await stub.RuntimeOptionsPrompts(language_pb2.RuntimeOptionsRequest(info=of))).prompts
        assert await stub.Template(language_pb2.TemplateRequest(info=of)) == language_pb2.TemplateResponse()

    play(tmp_path, scene)


def test_the_host_says_its_port_first_and_ends_quietly_when_the_engine_interrupts_it() -> None:
    command = [sys.executable, "-I", str(DOOR), "language", "--tracing", "x", "127.0.0.1:1"]
    environment = {**os.environ, "PULUMI_LANGUAGE_PYTHON_EXEC": "executor"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")
