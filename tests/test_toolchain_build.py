"""What is built and installed, when there is nothing to do, and what a build that is stopped or killed leaves."""

import errno
import io
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import toolchain
from tests.toolchain_machine import Machine, a_setup, said_through
from toolchain import build, golang, progress, requirements, sources
from toolchain.mode import Mode
from toolchain.trouble import Trouble
from toolchain.versions import PULUMI, at_least


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_built_cli_lies_beside_its_language_host_and_the_command_plugin_in_a_home_of_its_own(
    machine: Machine,
) -> None:
    machine.add_go()
    machine.setup()
    cli = machine.cli()
    assert subprocess.run([cli.pulumi, "version"], capture_output=True, text=True, check=True).stdout == f"v{PULUMI}\n"
    assert not cli.pulumi.is_symlink()
    assert cli.pulumi.samefile(build.place(machine.checkout.go, machine.cache) / "pulumi")
    host = cli.pulumi.with_name(sources.HOST).read_text()
    assert f"exec '{machine.checkout.python}' -I '{machine.checkout.hosts}' language \"$@\"" in host
    plugin = machine.checkout.home / "plugins" / "resource-command-v1.2.1" / "pulumi-resource-command"
    assert f"'{machine.checkout.hosts}' command \"$@\"" in plugin.read_text()
    assert os.access(plugin, os.X_OK)


def test_a_cache_on_another_file_system_is_copied_from(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def across(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", across)
    machine.add_go()
    machine.setup()
    built = build.place(machine.checkout.go, machine.cache) / "pulumi"
    assert machine.cli().pulumi.read_bytes() == built.read_bytes()
    assert os.access(machine.cli().pulumi, os.X_OK)


def test_go_builds_what_is_pinned_whatever_the_users_go_flags_say(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("GOPROXY", "direct")
    machine.add_go()
    machine.setup()
    assert machine.builds.read_text() == "-mod=readonly -modcacherw -buildvcs=false local\n"
    assert build.variables(machine.folder)["GOPROXY"] == "direct"
    assert "GOOS" not in build.variables(machine.folder)


def test_setup_with_nothing_to_do_starts_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.add_go()
    machine.setup()
    for name in ("go", "uv"):
        machine.add(name, "#!/bin/sh\nexit 9\n")
    monkeypatch.setattr(subprocess, "Popen", None)  # whoever starts something now fails
    machine.setup()
    assert machine.built() == 1


@pytest.mark.parametrize("what", ["cli", "language-host", "command-plugin", "record"])
def test_setup_puts_back_what_is_missing_without_building_again(machine: Machine, what: str) -> None:
    machine.add_go()
    machine.setup()
    {
        "cli": machine.cli().pulumi,
        "language-host": machine.checkout.bin / sources.HOST,
        "command-plugin": machine.checkout.command_plugin,
        "record": machine.checkout.record,
    }[what].unlink()
    machine.setup()
    assert machine.cli().pulumi.exists()
    assert machine.checkout.command_plugin.exists()
    assert machine.built() == 1


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "tools.go"])
def test_a_change_to_what_is_built_from_builds_again(machine: Machine, name: str) -> None:
    machine.add_go()
    machine.setup()
    with (machine.checkout.go / name).open("a") as file:
        file.write("// changed\n")
    machine.setup()
    assert machine.built() == 2


def test_a_cli_that_appears_on_path_is_noticed(machine: Machine) -> None:
    machine.add_go()
    machine.setup()
    pulumi = machine.add_pulumi("v3.260.0")
    machine.setup()
    assert machine.cli().pulumi == pulumi


def test_a_changed_lock_is_installed_and_an_unchanged_one_is_not(machine: Machine) -> None:
    machine.add_pulumi("v3.260.0")
    machine.setup()
    machine.setup()
    assert len(machine.syncs.read_text().splitlines()) == 1
    assert "pip sync --require-hashes --compile-bytecode --python" in machine.syncs.read_text()
    machine.checkout.lock.write_text("pulumi==3.260.0\n")
    machine.setup()
    assert len(machine.syncs.read_text().splitlines()) == 2


def test_a_failed_installation_of_the_lock_is_tried_again(machine: Machine) -> None:
    machine.add_pulumi("v3.260.0")
    working = (machine.bin / "uv").read_text()
    machine.add("uv", working.replace('"pip sync") echo', '"pip sync") echo a hash does not match; exit 2; echo'))
    with pytest.raises(Trouble, match=r"(?s)`uv pip sync …` ended with exit code 2:\n    a hash does not match\n"):
        machine.setup()
    machine.add("uv", working)
    machine.setup()
    assert requirements.ready(machine.checkout)


def test_a_go_that_is_too_old_gives_way_to_the_pinned_one(machine: Machine) -> None:
    needed = golang.least((machine.checkout.go / "go.mod").read_text())
    assert at_least(needed, "1.25")
    machine.add_go(version="1.24.9")
    pinned = golang.wheel(machine.cache) / "go" / "bin"
    pinned.mkdir(parents=True)
    assert golang.find(machine.checkout.go, machine.cache) == pinned / "go"
    machine.add_go(version=needed)
    assert golang.find(machine.checkout.go, machine.cache) == machine.bin / "go"


def test_a_build_leaves_nothing_in_the_cache_but_the_cli(machine: Machine) -> None:
    machine.add_go()
    pinned = golang.wheel(machine.cache) / "go" / "bin"
    pinned.mkdir(parents=True)
    (machine.bin / "go").rename(pinned / "go")
    machine.setup()
    entry = build.place(machine.checkout.go, machine.cache)
    files = {path.relative_to(machine.cache) for path in machine.cache.rglob("*") if path.is_file()}
    names = {"pulumi", build.EXECUTOR, "entry.json"}
    assert {path for path in files if path.name != ".lock"} == {
        (entry / name).relative_to(machine.cache) for name in names
    }


def test_a_build_that_makes_another_version_is_thrown_away(machine: Machine) -> None:
    machine.add_go(says="3.1.0")
    with pytest.raises(Trouble, match=r"the CLI that was built says `v3\.1\.0` instead of v"):
        machine.setup()
    assert machine.unfinished() == []
    assert not build.place(machine.checkout.go, machine.cache).exists()


def test_a_failing_build_tells_the_last_lines_and_leaves_nothing(machine: Machine) -> None:
    machine.add_go(before_the_end="echo no space left on device; exit 1")
    with pytest.raises(Trouble, match=r"(?s)ended with exit code 1:\n    no space left on device\n"):
        machine.setup()
    assert machine.unfinished() == []
    with pytest.raises(toolchain.Missing):
        machine.cli()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "shown"),
    [
        (io.StringIO(), "building …\nbuilding … 30 s, half of it\nbuilding … 60 s, half of it\nbuilt (61.0 s)\n"),
        (Terminal(), "\r\033[Kbuilding …" + "".join(f"\r\033[Kbuilding … {s} s, half of it" for s in range(1, 62))
         + "\r\033[Kbuilt (61.0 s)\n"),
    ],
    ids=["plain-lines-in-ci", "one-updating-line-on-a-terminal"],
)  # fmt: skip
def test_progress_tells_the_elapsed_seconds(out: io.StringIO, shown: str) -> None:
    second = 0
    step = progress.Step("building", out, now=lambda: second)
    step.detail = "half of it"
    for second in range(1, 62):  # noqa: B007 -- the clock reads it
        step.tick()
    step.done("built")
    assert out.getvalue() == shown


def test_a_killed_build_leaves_nothing_half_and_the_next_setup_sweeps_and_builds(machine: Machine) -> None:
    path, pipe = machine.pipe()
    machine.add_go(before_the_end=f"echo $$ > '{path}'; exec sleep 300")  # half a CLI is written by then
    with a_setup(machine.checkout) as process:
        builder = int(said_through(pipe))
        process.kill()
        process.wait()
    os.kill(builder, signal.SIGKILL)
    os.close(pipe)
    assert len(machine.unfinished()) == 1
    assert not build.place(machine.checkout.go, machine.cache).exists()
    machine.add_go()
    machine.setup()
    assert machine.cli().kind is Mode.BUILD
    assert machine.unfinished() == []


@pytest.mark.parametrize("checkouts", [1, 2], ids=["of-one-checkout", "of-two-checkouts"])
def test_two_setups_at_once_build_one_cli_and_both_get_it(machine: Machine, checkouts: int) -> None:
    path, pipe = machine.pipe()
    machine.add_go(before_the_end=f"echo building > '{path}'; read word < '{path}'")
    other = machine.another_checkout() if checkouts == 2 else machine.checkout
    with a_setup(machine.checkout) as one:
        assert said_through(pipe) == "building\n"
        with a_setup(other) as two:
            assert two.stderr is not None
            assert any("waiting for another setup" in line for line in two.stderr)
            os.close(pipe)
            path.write_text("go on\n")
            assert [one.wait(30), two.wait(30)] == [0, 0]
    assert machine.built() == 1
    assert {toolchain.cli(checkout).kind for checkout in (machine.checkout, other)} == {Mode.BUILD}


def test_a_stopped_setup_ends_what_it_started(machine: Machine) -> None:
    path, pipe = machine.pipe()
    machine.add_go(before_the_end=f"exec 3> '{path}'; echo begun >&3; sleep 300")
    with a_setup(machine.checkout) as process:
        assert said_through(pipe) == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
    assert said_through(pipe) == ""  # the builder held the pipe open, and is gone
    os.close(pipe)
    assert machine.unfinished() == []


def test_a_setup_that_is_stopped_while_it_starts_a_process_leaves_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedAtItsStart(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            signal.raise_signal(signal.SIGINT)

    path, pipe = machine.pipe()
    worker = machine.add("worker", f"#!/bin/sh\nexec 3> '{path}'; echo begun >&3; sleep 300\n")
    monkeypatch.setattr(subprocess, "Popen", StoppedAtItsStart)
    with pytest.raises(KeyboardInterrupt):
        progress.run([worker], log=machine.folder / "log", shown=progress.Step("work", io.StringIO()))
    os.set_blocking(pipe, True)
    assert os.read(pipe, 1000) in (b"", b"begun\n")
    assert os.read(pipe, 1000) == b""
    os.close(pipe)


def test_a_stopped_setup_also_ends_what_does_not_listen_to_a_polite_word(machine: Machine) -> None:
    path, pipe = machine.pipe()
    deaf = f"(trap '' TERM; exec 3> '{path}'; echo begun >&3; while :; do sleep 1; done) & sleep 300"
    machine.add_go(before_the_end=deaf)
    with a_setup(machine.checkout) as process:
        assert said_through(pipe) == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == -signal.SIGINT
    assert said_through(pipe) == ""
    os.close(pipe)
