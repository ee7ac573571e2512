"""Which CLI is chosen, and what those who run it are given."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import toolchain
from tests.toolchain_machine import PULUMI_STAND_IN, ROOT, UNREACHABLE, Machine, site
from toolchain import doctor, sources
from toolchain.checkout import Checkout
from toolchain.installer import SITE_VARIABLE
from toolchain.mode import CACHE_VARIABLE, MODE_VARIABLE, Mode, cache_root, mode
from toolchain.setup import setup as make_ready
from toolchain.trouble import Trouble
from toolchain.versions import PULUMI, at_least, parts


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("v3.259.0", (3, 259, 0)), ("go version go1.26.8 linux/amd64", (1, 26, 8)), ("uv 0.13", (0, 13, 0)), ("", ())],
)
def test_a_version_is_found_in_what_a_program_says_of_itself(text: str, numbers: tuple[int, ...]) -> None:
    assert parts(text) == numbers


@pytest.mark.parametrize(
    ("version", "fits"),
    [("3.259.0", True), ("3.260.1", True), ("3.99.0", False), ("3.258.9", False), ("4.0.0", False), ("", False)],
)
def test_a_cli_fits_from_the_pinned_version_on_within_its_major_version(version: str, fits: bool) -> None:
    assert at_least(version, PULUMI, same_major=True) is fits
    assert (sources.unfit(version, has_host=True) == "") is fits


def test_the_pinned_version_is_the_one_of_the_locked_sdk_and_of_the_go_module() -> None:
    assert f"pulumi=={PULUMI} " in (ROOT / "requirements-dev.txt").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{PULUMI}" in (ROOT / "toolchain" / "go" / "go.mod").read_text()


@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({CACHE_VARIABLE: "/elsewhere"}, Path("/elsewhere")),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/bluegreen")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache" / "bluegreen"),
        ({}, Path.home() / ".cache" / "bluegreen"),
    ],
    ids=["named", "xdg", "xdg-relative", "default"],
)
def test_the_cache_lies_where_the_user_keeps_caches(variables: Mapping[str, str], root: Path) -> None:
    assert cache_root(variables) == root


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        Trouble, match=r"BLUEGREEN_TOOLCHAIN is `on`, which is none of auto, path, installer, build, off\."
    ):
        mode({MODE_VARIABLE: "on"})


def test_a_cli_on_path_that_fits_is_used_where_it_is(machine: Machine) -> None:
    pulumi = machine.add_pulumi("v3.260.0")
    machine.setup()
    assert (machine.cli().pulumi, machine.cli().version, machine.cli().kind) == (pulumi, "3.260.0", Mode.PATH)


def test_a_link_on_path_counts_as_what_it_leads_to(machine: Machine) -> None:
    real = machine.add("pulumi", PULUMI_STAND_IN.format(version="v3.260.0"), machine.folder / "opt")
    machine.add(sources.HOST, "#!/bin/sh\n", machine.folder / "opt")
    (machine.bin / "pulumi").symlink_to(real)
    machine.setup()
    assert machine.cli().pulumi == real


@pytest.mark.parametrize(
    ("version", "host", "why"),
    [
        ("v3.100.0", True, f"it is 3.100.0, and {PULUMI} or a newer 3.x is needed"),
        ("v3.259.0", False, "no pulumi-language-python lies beside it"),
        ("", True, f"it is of no version that it would tell, and {PULUMI} or a newer 3.x is needed"),
    ],
    ids=["too-old", "without-language-host", "silent"],
)
def test_a_cli_that_does_not_fit_is_passed_over_with_the_reason_and_one_is_built(
    machine: Machine, capsys: pytest.CaptureFixture[str], version: str, host: bool, why: str
) -> None:
    pulumi = machine.add_pulumi(version, host=host)
    machine.add_go()
    machine.setup()
    assert machine.cli().kind is Mode.BUILD
    said = capsys.readouterr().err
    assert f"passing over {pulumi}: {why}\n" in said
    assert f"Pulumi's installer cannot be reached at {UNREACHABLE}: " in said


def test_a_cli_that_setup_itself_put_on_path_is_not_taken_for_the_users_own(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add_go()
    machine.setup()
    monkeypatch.setenv("PATH", f"{machine.checkout.bin}{os.pathsep}{os.environ['PATH']}")
    assert list(sources.candidates()) == []


def test_the_installer_is_used_when_its_site_answers(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"""#!/bin/sh
[ "$1 $2 $3 $5" = "--version {PULUMI} --install-root --no-edit-path" ] || exit 1
mkdir -p "$4/bin"; printf '#!/bin/sh\\necho v{PULUMI}\\n' > "$4/bin/pulumi"; cp "$4/bin/pulumi" "$4/bin/{sources.HOST}"
chmod 755 "$4/bin/"*
"""
    with site(script) as address:
        monkeypatch.setenv(SITE_VARIABLE, address)
        machine.setup()
    assert (machine.cli().kind, machine.cli().version) == (Mode.INSTALLER, PULUMI)
    assert machine.cli().pulumi == machine.cache / "installed" / PULUMI / "bin" / "pulumi"


@pytest.mark.parametrize(
    ("answer", "said"),
    [("<html>sign in</html>", "did not answer with a script."), ("#!/bin/sh\nexit 3\n", "ended with exit code 3")],
    ids=["captive-portal", "failing-script"],
)
def test_an_installer_that_cannot_do_it_leaves_nothing_and_the_cli_is_built(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, said: str
) -> None:
    machine.add_go()
    with site(answer) as address:
        monkeypatch.setenv(SITE_VARIABLE, address)
        machine.setup()
    assert said in capsys.readouterr().err
    assert machine.cli().kind is Mode.BUILD
    assert machine.unfinished() == []


def test_a_cli_that_is_already_built_comes_before_asking_the_installer(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.add_go()
    machine.setup()
    other = machine.another_checkout()
    capsys.readouterr()
    make_ready(other)
    assert machine.built() == 1
    assert "installer" not in capsys.readouterr().err
    assert toolchain.cli(other).pulumi == other.bin / "pulumi"


@pytest.mark.parametrize("wanted", [Mode.PATH, Mode.INSTALLER])
def test_a_source_that_is_asked_for_by_name_is_not_replaced_by_another(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, wanted: Mode
) -> None:
    machine.add_go()
    monkeypatch.setenv(MODE_VARIABLE, wanted)
    with pytest.raises(Trouble):
        machine.setup()
    assert machine.built() == 0


def test_the_cli_is_missing_before_setup_and_says_what_to_run(machine: Machine) -> None:
    with pytest.raises(toolchain.Missing) as caught:
        machine.cli()
    assert str(caught.value) == (
        "there is no Pulumi CLI: setup has not run in this checkout. Nothing was run. Run `make setup`."
    )


def test_with_the_toolchain_off_there_is_no_cli_even_after_setup(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add_pulumi("v3.260.0")
    machine.setup()
    monkeypatch.setenv(MODE_VARIABLE, "off")
    with pytest.raises(toolchain.Missing, match="BLUEGREEN_TOOLCHAIN is `off`"):
        machine.cli()


def test_a_moved_checkout_and_a_vanished_cli_are_missing(machine: Machine) -> None:
    pulumi = machine.add_pulumi("v3.260.0")
    machine.setup()
    moved = Checkout(machine.folder / "moved")
    machine.checkout.root.rename(moved.root)
    with pytest.raises(toolchain.Missing, match="the checkout was moved after setup"):
        toolchain.cli(moved)
    moved.root.rename(machine.checkout.root)
    pulumi.unlink()
    with pytest.raises(toolchain.Missing, match="is gone"):
        machine.cli()


def test_the_environment_is_private_and_offline_and_puts_the_cli_first(machine: Machine) -> None:
    pulumi = machine.add_pulumi("v3.260.0")
    machine.setup()
    environment = machine.cli().environment({"PATH": f"/usr/bin{os.pathsep}{pulumi.parent}", "KEPT": "yes"})
    assert environment.pop("PATH") == f"{pulumi.parent}{os.pathsep}/usr/bin"
    assert environment == {
        "KEPT": "yes",
        "PULUMI_HOME": str(machine.checkout.home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def test_setup_and_doctor_need_nothing_but_the_standard_library() -> None:
    asked = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
import toolchain.__main__, toolchain.build, toolchain.installer, toolchain.place
files = [str(getattr(module, "__file__", "")) for module in list(sys.modules.values())]
print([file for file in files if "site-packages" in file])
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_record_says_where_the_cli_came_from(machine: Machine) -> None:
    pulumi = machine.add_pulumi("v3.260.0")
    machine.setup()
    record = json.loads(machine.checkout.record.read_text())
    assert record.pop("inputs")
    assert record == {
        "checkout": str(machine.checkout.root),
        "kind": "path",
        "pulumi": str(pulumi),
        "version": "3.260.0",
    }


def test_doctor_names_what_is_wrong_and_what_mends_it(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.report(machine.checkout) == 1
    said = capsys.readouterr().out
    assert f"WRONG requirements    {machine.checkout.venv} does not hold what requirements-dev.txt names\n" in said
    assert "WRONG pulumi          there is no Pulumi CLI: setup has not run in this checkout." in said
    assert said.endswith("Run `make setup` to mend it.\n")


def test_doctor_notices_a_plugin_that_does_not_start(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.add_pulumi("v3.260.0")
    machine.add(sources.HOST, "#!/bin/sh\necho broken; exit 1\n")
    machine.setup()
    assert doctor.report(machine.checkout) == 1
    assert f"WRONG language host   {machine.bin / sources.HOST} does not start: broken\n" in capsys.readouterr().out
