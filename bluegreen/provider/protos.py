"""Pulumi's gRPC stubs without Pulumi's SDK.

The stubs ship inside the package `pulumi`, whose `__init__` imports the whole program SDK: 0.5 s before the engine
could connect, for code that a provider never calls. So while the stubs are imported, empty packages stand where
`pulumi`, `pulumi.runtime` and `pulumi.runtime.proto` would run theirs; they know nothing but their folder.

Afterwards the empty packages are taken away again and the stub modules stay. Whoever imports the real `pulumi` later
gets the real one, over the very same stubs; where it is there already, it is simply used. Everything in this room
imports the protos from here and nowhere else.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

PACKAGES = {
    "pulumi": Path(),
    "pulumi.runtime": Path("runtime"),
    "pulumi.runtime.proto": Path("runtime", "proto"),
}


@contextmanager
def _empty_packages() -> Iterator[None]:
    if "pulumi" in sys.modules:
        yield
        return
    root = _folder()
    for name, below in PACKAGES.items():
        package = ModuleType(name)
        package.__path__ = [str(root / below)]
        sys.modules[name] = package
    try:
        yield
    finally:
        for name in PACKAGES:
            sys.modules.pop(name, None)


def _folder() -> Path:
    spec = importlib.util.find_spec("pulumi")  # looks a top-level package up without running it
    if spec is None or not spec.submodule_search_locations:
        msg = "the package pulumi is not installed; run make setup"
        raise ImportError(msg)
    return Path(next(iter(spec.submodule_search_locations)))


with _empty_packages():
    from pulumi.runtime.proto import (
        engine_pb2,
        engine_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
        status_pb2,
    )

__all__ = ["engine_pb2", "engine_pb2_grpc", "plugin_pb2", "provider_pb2", "provider_pb2_grpc", "status_pb2"]
