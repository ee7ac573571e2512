"""A machine of stand-ins for the tests of toolchain: `go`, `uv` and `pulumi` are scripts, the installer a server."""

import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import toolchain
from toolchain import build, cache, sources
from toolchain.checkout import Checkout
from toolchain.installer import SITE_VARIABLE
from toolchain.mode import CACHE_VARIABLE, MODE_VARIABLE
from toolchain.setup import setup as make_ready
from toolchain.versions import PULUMI

ROOT = Path(__file__).parents[1]
_PATIENCE_SECONDS = 30
UNREACHABLE = "http://127.0.0.1:9/"  # the discard port: nothing listens

PULUMI_STAND_IN = '#!/bin/sh\ncase "$1" in version) echo {version};; esac\n'
GO_STAND_IN = """#!/bin/sh
case "$1" in
version) echo "go version go{version} linux/amd64" ;;
list) echo '{module}' ;;
build)
    echo "$GOFLAGS $GOTOOLCHAIN" >> '{log}'
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho v{says}\\n' > "$2"
    {before_the_end}
    chmod 755 "$2" ;;
esac
"""
UV_STAND_IN = """#!/bin/sh
case "$1 $2" in
"--version ") echo "uv 0.13.9" ;;
"venv --quiet") for last; do :; done; mkdir -p "$last/bin"; ln -s '{python}' "$last/bin/python" ;;
"pip sync") echo "$@" >> '{log}' ;;
esac
"""


class Machine:
    """A checkout, a cache and a PATH that hold nothing but stand-ins, in a folder whose name has a space."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "a machine"
        self.bin = self.folder / "bin"
        self.cache = self.folder / "cache"
        self.builds, self.syncs = self.folder / "builds", self.folder / "syncs"
        self.checkout = Checkout(self.folder / "checkout")
        self.checkout.go.mkdir(parents=True)
        self.bin.mkdir()
        self.checkout.lock.write_text("pulumi==3.259.0\n")
        for name in ("go.mod", "go.sum", "tools.go"):
            (self.checkout.go / name).write_bytes((ROOT / "toolchain" / "go" / name).read_bytes())
        module = self.folder / "module" / "python" / "cmd"
        module.mkdir(parents=True)
        (module / build.EXECUTOR).write_text("executor")
        self.add("uv", UV_STAND_IN.format(python=sys.executable, log=self.syncs))
        monkeypatch.setenv("PATH", f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin")
        monkeypatch.setenv(CACHE_VARIABLE, str(self.cache))
        monkeypatch.setenv(SITE_VARIABLE, UNREACHABLE)
        monkeypatch.delenv(MODE_VARIABLE, raising=False)

    def add(self, name: str, text: str, folder: Path | None = None) -> Path:
        file = (folder or self.bin) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return file

    def add_go(self, *, version: str = "1.26.8", says: str = PULUMI, before_the_end: str = "true") -> None:
        module = self.folder / "module"
        text = GO_STAND_IN.format(
            version=version, says=says, before_the_end=before_the_end, module=module, log=self.builds
        )
        self.add("go", text)

    def add_pulumi(self, version: str, *, host: bool = True) -> Path:
        if host:
            self.add(sources.HOST, "#!/bin/sh\n")
        return self.add("pulumi", PULUMI_STAND_IN.format(version=version))

    def another_checkout(self) -> Checkout:
        """A second checkout that shares the cache."""
        other = Checkout(self.folder / "other checkout")
        other.go.mkdir(parents=True)
        for file in (self.checkout.lock, *self.checkout.go.iterdir()):
            (other.root / file.relative_to(self.checkout.root)).write_bytes(file.read_bytes())
        return other

    def setup(self) -> None:
        make_ready(self.checkout)

    def cli(self) -> toolchain.Cli:
        return toolchain.cli(self.checkout)

    def pipe(self) -> tuple[Path, int]:
        """A named pipe for a stand-in to write to, and its end for `said_through`."""
        path = self.folder / "pipe"
        os.mkfifo(path)
        return path, os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def built(self) -> int:
        return len(self.builds.read_text().splitlines()) if self.builds.exists() else 0

    def unfinished(self) -> list[Path]:
        return list(self.cache.rglob(f"{cache.UNFINISHED}*"))


@contextmanager
def site(body: str) -> Iterator[str]:
    """A web site that answers everything with `body`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@contextmanager
def a_setup(checkout: Checkout) -> Iterator["subprocess.Popen[str]"]:
    """Setup of a checkout in a process of its own, which does not outlive the test."""
    asked = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path\n"
        "from toolchain.checkout import Checkout; from toolchain.setup import setup\n"
        f"setup(Checkout(Path({str(checkout.root)!r})))"
    )
    command = [sys.executable, "-c", asked]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def said_through(pipe: int) -> str:
    """What somebody writes into a named pipe next, or nothing once the last writer is gone."""
    ready, _, _ = select.select([pipe], [], [], _PATIENCE_SECONDS)
    assert ready, "nobody wrote"
    return os.read(pipe, 1000).decode()
