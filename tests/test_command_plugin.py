"""The stand-in for the command plugin, spoken to as the engine does: over gRPC, with a fake engine that it logs to."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Value
from pulumi.runtime.proto import engine_pb2, provider_pb2

from tests.command_plugin_stage import URN, Engine, created, hidden, play, refusal, struct
from toolchain.hosts import values
from toolchain.hosts.command import CommandProvider

REMOTE = "urn:pulumi:dev::shop::command:remote:Command::check"


def test_create_runs_the_command_and_keeps_inputs_and_output() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        request = provider_pb2.CreateRequest(urn=URN, properties=struct(create="echo out; echo err >&2"))
        answer = await stub.Create(request)
        assert answer.id.startswith("check")
        assert values.fields(answer.properties) == {
            "create": "echo out; echo err >&2",
            "stdout": "out",
            "stderr": "err",
        }

    play(scene)


def test_a_command_gets_its_environment_folder_input_and_interpreter(tmp_path: Path) -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        state = await created(
            stub,
            create="import os, sys; print(os.environ['COLOUR'], os.getcwd(), sys.stdin.read())",
            environment={"COLOUR": "green"},
            dir=str(tmp_path),
            stdin="from stdin",
            interpreter=[sys.executable, "-c"],
        )
        assert state["stdout"] == f"green {tmp_path} from stdin"

    play(scene)


def test_output_that_is_one_long_line_or_no_utf8_is_kept() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        long = "import sys; sys.stdout.write('x' * 300_000)"
        assert await created(stub, create=long, interpreter=[sys.executable, "-c"], logging="none") == {
            "create": long,
            "interpreter": [sys.executable, "-c"],
            "logging": "none",
            "stdout": "x" * 300_000,
            "stderr": "",
        }
        assert (await created(stub, create=r"printf 'a\377b'"))["stdout"] == "a\ufffdb"

    play(scene)


@pytest.mark.parametrize(
    ("update", "stdout"), [({"update": "echo updated"}, "updated"), ({}, "created")], ids=["with-update", "without"]
)
def test_update_runs_the_update_command_or_else_create_again(update: dict[str, str], stdout: str) -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        news = struct(create="echo created", **update)
        answer = await stub.Update(provider_pb2.UpdateRequest(urn=URN, news=news, olds=struct(create="echo old")))
        assert values.fields(answer.properties)["stdout"] == stdout

    play(scene)


@pytest.mark.parametrize(
    ("switch", "expected"), [({}, "old out old err"), ({"addPreviousOutputInEnv": False}, " ")], ids=["default", "off"]
)
def test_the_last_output_is_in_the_environment_unless_switched_off(switch: dict[str, bool], expected: str) -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        news = struct(create='echo "$PULUMI_COMMAND_STDOUT $PULUMI_COMMAND_STDERR"', **switch)
        olds = struct(create="x", stdout="old out", stderr="old err")
        answer = await stub.Update(provider_pb2.UpdateRequest(urn=URN, news=news, olds=olds))
        assert values.fields(answer.properties)["stdout"] == expected

    play(scene)


def test_delete_runs_the_delete_command_of_the_state_with_its_last_output(tmp_path: Path) -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        state = struct(create="x", delete='echo "$PULUMI_COMMAND_STDOUT" > gone', dir=str(tmp_path), stdout="last")
        await stub.Delete(provider_pb2.DeleteRequest(urn=URN, id="check1", properties=state))
        assert (tmp_path / "gone").read_text() == "last\n"

    play(scene)


def test_delete_without_a_delete_command_does_nothing(tmp_path: Path) -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        state = struct(create="touch ran", dir=str(tmp_path))
        await stub.Delete(provider_pb2.DeleteRequest(urn=URN, id="check1", properties=state))
        assert list(tmp_path.iterdir()) == []

    play(scene)


def test_a_preview_runs_nothing_and_foresees_unknown_output(tmp_path: Path) -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        inputs = struct(create="touch ran", dir=str(tmp_path))
        create = await stub.Create(provider_pb2.CreateRequest(urn=URN, properties=inputs, preview=True))
        update = await stub.Update(provider_pb2.UpdateRequest(urn=URN, news=inputs, olds=struct(), preview=True))
        for answer in (create, update):
            assert values.is_unknown(values.fields(answer.properties)["stdout"])
        assert list(tmp_path.iterdir()) == []

    play(scene)


def test_a_changed_trigger_replaces_and_any_other_change_updates() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        old = struct(create="a", triggers=["r1", "s"], environment={"A": "1", "B.C": "2"}, stdin="x")
        new = struct(create="a", triggers=["r2", "s", "t"], environment={"A": "9", "B.C": "3"}, delete="d")
        answer = await stub.Diff(provider_pb2.DiffRequest(urn=URN, old_inputs=old, olds=old, news=new))
        kind = provider_pb2.PropertyDiff
        assert {path: diff.kind for path, diff in answer.detailedDiff.items()} == {
            "triggers[0]": kind.UPDATE_REPLACE,
            "triggers[2]": kind.ADD_REPLACE,
            "environment.A": kind.UPDATE,
            'environment["B.C"]': kind.UPDATE,
            "delete": kind.ADD,
            "stdin": kind.DELETE,
        }
        assert sorted(answer.diffs) == ["delete", "environment", "stdin", "triggers"]
        assert list(answer.replaces) == ["triggers"]
        assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
        assert not answer.deleteBeforeReplace

    play(scene)


def test_nothing_changed_is_no_diff_even_when_a_value_became_secret() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        old = struct(create="a", environment={"KEY": "a key"}, stdout="o", stderr="")
        new = struct(create="a", environment={"KEY": hidden("a key")})
        answer = await stub.Diff(provider_pb2.DiffRequest(urn=URN, olds=old, news=new))
        assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE
        assert dict(answer.detailedDiff) == {}

    play(scene)


def test_live_lines_go_to_the_resources_row_as_the_logging_input_says() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        for logging, lines in {
            "stdoutAndStderr": {"out", "err"},
            "stdout": {"out"},
            "stderr": {"err"},
            "none": set(),
        }.items():
            engine.told.clear()
            await created(stub, create="echo out; echo err >&2", logging=logging)
            assert set(engine.lines()) == lines
            assert all(request.urn == URN and request.ephemeral for request in engine.told)
            assert all(request.severity == engine_pb2.INFO for request in engine.told)

    play(scene)


def test_a_failure_says_what_ended_how_and_what_it_printed_last() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        said = await refusal(created(stub, create="for i in $(seq 1 30); do echo line $i; done; exit 3"))
        first, *rest = said.splitlines()
        assert first.startswith("the create command `for i in $(seq 1 30); do echo")
        assert " ended with exit code 3 after " in first
        assert rest[:2] == ["Its last lines:", "    line 11"]
        assert rest[-2:] == [
            "    line 30",
            "Nothing that waits for it was changed. Mend what it reports, then run `pulumi up` again.",
        ]

    play(scene)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"dir": "/no/such/folder"}, "its `dir` /no/such/folder is not a folder."),
        ({"interpreter": ["/no/such/shell", "-c"]}, "its interpreter /no/such/shell is no program that can be run."),
        ({"environment": {"BIG": "x" * 200_000}}, "its environment is too large"),
    ],
    ids=["dir", "interpreter", "environment"],
)
def test_a_command_that_cannot_be_started_says_why(inputs: dict[str, Any], why: str) -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        said = await refusal(created(stub, create="true", **inputs))
        assert said.startswith("the create command `true` cannot be started: ")
        assert why in said
        assert said.endswith("Nothing was run. Correct it, then run `pulumi up` again.")

    play(scene)


def test_a_secret_input_makes_the_output_secret_and_is_blotted_out_of_live_lines() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        inputs = struct(create='echo "key=$KEY"', environment={"KEY": hidden("hunter2")})
        answer = await stub.Create(provider_pb2.CreateRequest(urn=URN, properties=inputs))
        assert values.has_secret(answer.properties.fields["stdout"])
        assert values.has_secret(answer.properties.fields["environment"])
        assert values.fields(answer.properties)["stdout"] == "key=hunter2"
        assert engine.lines() == ["key=[secret]"]

    play(scene)


def test_output_that_was_secret_stays_secret() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        news = struct(create='echo "again $PULUMI_COMMAND_STDOUT"')
        olds = struct(create="x", stdout=hidden("hunter2"), stderr="")
        answer = await stub.Update(provider_pb2.UpdateRequest(urn=URN, news=news, olds=olds))
        assert values.has_secret(answer.properties.fields["stdout"])
        assert values.fields(answer.properties)["stdout"] == "again hunter2"
        assert engine.lines() == ["again [secret]"]

    play(scene)


def test_a_failure_never_shows_a_secret() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        said = await refusal(created(stub, create=hidden("echo hunter2; exit 1"), stdin=hidden("hunter2")))
        assert "hunter2" not in said
        assert "[secret]" in said

    play(scene)


def test_check_names_every_input_that_cannot_be_used_and_never_its_value() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        news = struct(
            create=hidden("fine"),
            stdin={"secret": "hunter2"},
            environment={"REPLICAS": 2},
            interpreter="sh",
            logging="loud",
            triggers="r1",
            addPreviousOutputInEnv="yes",
            assetPaths=["*.txt"],
            creates="typo",
            dir=values.UNKNOWN,
        )
        answer = await stub.Check(provider_pb2.CheckRequest(urn=URN, news=news))
        assert {failure.property: failure.reason for failure in answer.failures} == {
            "stdin": "must be text, not a map.",
            "environment": "must map names to text: write numbers and booleans in quotes.",
            "interpreter": "must be a list of texts such as [/bin/bash, -c].",
            "logging": "must be one of stdout, stderr, stdoutAndStderr, none.",
            "triggers": "must be a list, not text.",
            "addPreviousOutputInEnv": "must be true or false, not text.",
            "assetPaths": "is not supported by this stand-in: have the command put its files where they belong.",
            "creates": "is not an input of command:local:Command. Remove it.",
        }

    play(scene)


def test_remote_commands_functions_and_imports_are_refused_in_one_sentence() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        only = "is not served by this stand-in for the command plugin, which has command:local:Command alone."
        for remote in (
            stub.Check(provider_pb2.CheckRequest(urn=REMOTE, news=struct())),
            stub.Create(provider_pb2.CreateRequest(urn=REMOTE, properties=struct(create="touch ran"))),
            stub.Update(provider_pb2.UpdateRequest(urn=REMOTE, news=struct(create="touch ran"))),
            stub.Delete(provider_pb2.DeleteRequest(urn=REMOTE, properties=struct(delete="touch ran"))),
        ):
            assert (await refusal(remote)).startswith(f"command:remote:Command {only}")
        function = await refusal(stub.Invoke(provider_pb2.InvokeRequest(tok="command:local:run")))
        assert function.startswith(f"command:local:run {only}")
        imported = await refusal(stub.Read(provider_pb2.ReadRequest(urn=URN, id="x")))
        assert imported.startswith("command:local:Command cannot be imported")

    play(scene)


def test_a_refresh_hands_back_what_the_state_holds() -> None:
    async def scene(stub: Any, engine: Engine) -> None:
        inputs, state = struct(create="true"), struct(create="true", stdout="kept")
        answer = await stub.Read(provider_pb2.ReadRequest(urn=URN, id="check1", inputs=inputs, properties=state))
        assert (answer.id, answer.inputs, answer.properties) == ("check1", inputs, state)

    play(scene)


def test_a_command_does_not_fail_when_nobody_hears_its_live_lines() -> None:
    async def scene() -> str:
        provider = CommandProvider("127.0.0.1:1")
        request = provider_pb2.CreateRequest(urn=URN, properties=struct(create="echo alone"))
        answer = await provider.Create(request, None)
        await provider.stop()
        return str(values.fields(answer.properties)["stdout"])

    assert asyncio.run(scene()) == "alone"


def test_an_unknown_value_of_any_type_is_recognised() -> None:
    assert values.is_unknown(values.UNKNOWN)
    assert not values.is_unknown("blue")
    assert values.plain(Value(number_value=3)) == 3
