"""Say which Python, CLI, language host and command plugin are used, by asking each of them, and what is wrong."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolchain import requirements
from toolchain.checkout import Checkout
from toolchain.installed import cli
from toolchain.mode import Mode
from toolchain.sources import HOST
from toolchain.trouble import Trouble
from toolchain.versions import COMMAND, PULUMI, PYTHON

_ANSWER_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    says: str
    well: bool = True


def findings(checkout: Checkout) -> Iterator[Finding]:
    """Every part in the order in which setup makes them."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", f"{version} at {sys.executable}", sys.version_info >= PYTHON)
    well = requirements.ready(checkout)
    yield Finding(
        "requirements", f"{checkout.venv} {'holds' if well else 'does not hold'} what requirements-dev.txt names", well
    )
    try:
        found = cli(checkout)
    except Trouble as trouble:
        yield Finding("pulumi", str(trouble), well=False)
        return
    said = _first_line([found.pulumi, "version"])
    kinds = {
        Mode.PATH: "found on PATH",
        Mode.INSTALLER: "from Pulumi's installer",
        Mode.BUILD: "built from package registries",
    }
    where = f"{said or 'no answer'} at {found.pulumi} ({kinds.get(found.kind, found.kind)})"
    yield Finding("pulumi", where, said.removeprefix("v") == found.version)
    host = found.pulumi.with_name(HOST)
    ours = found.kind is Mode.BUILD
    yield _plugin("language host", host, f"for pulumi {PULUMI}, of this checkout" if ours else "its own")
    yield _plugin("command plugin", checkout.command_plugin, f"{COMMAND}, stand-in of this checkout")


def _plugin(name: str, launcher: Path, what: str) -> Finding:
    """A plugin is well when it says its port."""
    port = _first_line([launcher, "127.0.0.1:1"])
    return Finding(
        name,
        f"{what}, at {launcher}" if port.isdigit() else f"{launcher} does not start: {port or 'no answer'}",
        port.isdigit(),
    )


def _first_line(command: list[Path | str]) -> str:
    """The first line that a program prints; the program is ended after it."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except OSError as problem:
        return str(problem.strerror)
    with process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        process.terminate()
        try:
            process.wait(_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    return line


def report(checkout: Checkout) -> int:
    """Print it; 1 when something is wrong."""
    found = list(findings(checkout))
    for finding in found:
        print(f"{'ok   ' if finding.well else 'WRONG'} {finding.name:15} {finding.says}")
    if all(finding.well for finding in found):
        return 0
    print("Run `make setup` to mend it.")
    return 1
