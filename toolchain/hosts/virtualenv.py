"""What a program's virtual environment holds, read from its folders.

`pip list` takes a third of a second and would be asked in every preview and every update; the folders say the same in
milliseconds. Nothing is imported from the environment and nothing in it is run.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path


class NoEnvironment(Exception):
    """The program's Python cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """One installed distribution, under its own name and version."""

    name: str
    version: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plugin:
    """One Pulumi plugin that an installed package says it needs."""

    name: str
    version: str
    server: str = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """The Python that runs a program: of a virtual environment, or the one on PATH when none is named."""

    python: Path
    root: Path | None = None

    @classmethod
    def named(cls, virtualenv: str, project: Path, toolchain: str = "") -> "Environment":
        """The environment that `runtime.options` of the project file in `project` names."""
        if toolchain not in ("", "pip"):
            raise NoEnvironment(
                f"runtime.options.toolchain is `{toolchain}`: this Python language host serves `pip` alone. "
                f"Nothing was run. Set it to pip in {project}, or use a Pulumi CLI from Pulumi's own installer."
            )
        if not virtualenv:
            return cls(Path(os.environ.get("PULUMI_PYTHON_CMD", "python3")))
        root = (project / virtualenv).absolute()
        python = root / "bin" / "python"
        if not python.exists():
            state = "is not a virtual environment (it has no bin/python)" if root.exists() else "does not exist"
            raise NoEnvironment(
                f"runtime.options.virtualenv is `{virtualenv}`, and {root} {state}. Nothing was run. "
                "Make it and install the project's requirements (here: `make setup`), then run the command again."
            )
        return cls(python, root)

    def variables(self, base: dict[str, str]) -> dict[str, str]:
        """`base` as it looks with this environment active."""
        if self.root is None:
            return base
        active = {
            **base,
            "VIRTUAL_ENV": str(self.root),
            "PATH": f"{self.root / 'bin'}{os.pathsep}{base.get('PATH', '')}",
        }
        active.pop("PYTHONHOME", None)
        return active

    def version(self) -> str:
        """The Python version that the environment was made with, or of this process when it does not say."""
        settings = self.root / "pyvenv.cfg" if self.root else None
        if settings and settings.is_file():
            found = re.search(
                r"^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)", settings.read_text(encoding="utf-8"), re.MULTILINE
            )
            if found:
                return found.group(1)
        return ".".join(str(part) for part in sys.version_info[:3])

    def site_packages(self) -> list[Path]:
        """The folders that its packages lie in; none for an environment that is not ours to look into."""
        found = self.root.glob("lib*/python3*/site-packages") if self.root else ()
        return sorted({folder.resolve() for folder in found})  # lib64 is often another name for lib

    def plugins(self) -> Iterator[Plugin]:
        """What `pulumi-plugin.json` says in each installed package that needs a resource plugin."""
        for folder in self.site_packages():
            for found in sorted(folder.glob("*/pulumi-plugin.json")):
                about = json.loads(found.read_text(encoding="utf-8"))
                if about.get("resource"):
                    name = about.get("name") or found.parent.name.removeprefix("pulumi_").replace("_", "-")
                    version = about.get("version") or ""
                    yield Plugin(name, version, about.get("server") or "")

    def packages(self) -> Iterator[Package]:
        """Every installed distribution."""
        for folder in self.site_packages():
            for found in sorted(folder.glob("*.dist-info/METADATA")):
                about = HeaderParser().parsestr(found.read_text(encoding="utf-8", errors="replace"))
                requires = tuple(about.get_all("Requires-Dist") or ())
                yield Package(str(about["Name"]), str(about["Version"]), requires)

    def wanted(self) -> Iterator[Package]:
        """The distributions that no other one brought in."""
        everything = list(self.packages())
        brought = {_canonical(text) for package in everything for text in package.requires if "extra ==" not in text}
        return (package for package in everything if _canonical(package.name) not in brought)


def _canonical(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    return re.sub(r"[-_.]+", "-", name.group(0)).lower() if name else ""
