"""The CLI that setup chose, for code that runs it: the demo, the tests, the benchmarks. It reads one small file and
starts nothing.

Its environment keeps a run private and offline: a Pulumi home of the checkout's own, no update check, no plugin
downloads, no plugins from PATH. The state backend and the passphrase are the caller's.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.checkout import Checkout
from toolchain.mode import MODE_VARIABLE, Mode, mode
from toolchain.trouble import Trouble


class Missing(Trouble):
    """There is no CLI to run."""


@dataclass(frozen=True, slots=True)
class Cli:
    """A Pulumi CLI and the environment that it is run in."""

    pulumi: Path
    version: str
    kind: Mode
    checkout: Checkout

    def variables(self) -> dict[str, str]:
        """What is set for every run, PATH aside."""
        return {
            "PULUMI_HOME": str(self.checkout.home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """`base`, or this process's environment, with the CLI first on PATH and kept private and offline."""
        given = os.environ if base is None else base
        rest = [
            folder for folder in given.get("PATH", os.defpath).split(os.pathsep) if folder != str(self.pulumi.parent)
        ]
        return {**given, **self.variables(), "PATH": os.pathsep.join([str(self.pulumi.parent), *rest])}


def cli(checkout: Checkout | None = None, variables: Mapping[str, str] = os.environ) -> Cli:
    """The CLI of this checkout, or `Missing`."""
    checkout = checkout or Checkout.here()
    if mode(variables) is Mode.OFF:
        raise Missing(
            f"there is no Pulumi CLI: {MODE_VARIABLE} is `off`.",
            world="Nothing was run.",
            next=f"Unset {MODE_VARIABLE}, run `make setup`, then this again.",
        )
    try:
        record = json.loads(checkout.record.read_text(encoding="utf-8"))
        found = Cli(Path(record["pulumi"]), record["version"], Mode(record["kind"]), checkout)
        here = record["checkout"] == str(checkout.root)
    except (OSError, ValueError, KeyError, TypeError):
        raise Missing(
            "there is no Pulumi CLI: setup has not run in this checkout.",
            world="Nothing was run.",
            next="Run `make setup`.",
        ) from None
    if not here or not os.access(found.pulumi, os.X_OK):
        why = "the checkout was moved after setup" if not here else f"{found.pulumi} is gone"
        raise Missing(
            f"there is no Pulumi CLI: {why}.", world="Nothing was run.", next="Run `make setup`, which gets it again."
        )
    return found
