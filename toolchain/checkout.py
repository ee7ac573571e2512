"""Where things lie in a checkout. `.venv` and `.toolchain` are made by setup and ignored by git."""

from dataclasses import dataclass
from pathlib import Path

from toolchain.versions import COMMAND


@dataclass(frozen=True, slots=True)
class Checkout:
    """One working copy of the project."""

    root: Path

    @classmethod
    def here(cls) -> "Checkout":
        """The checkout that this code is part of."""
        return cls(Path(__file__).resolve().parents[1])

    @property
    def lock(self) -> Path:
        return self.root / "requirements-dev.txt"

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def private(self) -> Path:
        return self.root / ".toolchain"

    @property
    def bin(self) -> Path:
        return self.private / "bin"

    @property
    def home(self) -> Path:
        """PULUMI_HOME of the demo and the tests; a user's own is left alone."""
        return self.private / "home"

    @property
    def command_plugin(self) -> Path:
        """Where a CLI with that home looks for the command plugin."""
        return self.home / "plugins" / f"resource-command-v{COMMAND}" / "pulumi-resource-command"

    @property
    def record(self) -> Path:
        """What setup chose."""
        return self.private / "cli.json"

    @property
    def hosts(self) -> Path:
        return self.root / "toolchain" / "hosts" / "__main__.py"

    @property
    def go(self) -> Path:
        return self.root / "toolchain" / "go"
