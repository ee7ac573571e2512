"""Import Pulumi's generated gRPC bindings without the SDK around them.

`import pulumi` costs half a second, most of it for the Automation API and tracing, which a plugin never uses, and every
preview and update starts these plugins. The generated modules under `pulumi.runtime.proto` need neither package's
`__init__`, so two empty packages that only know their folder stand in for `pulumi` and `pulumi.runtime`. That is for a
process of our own: `__main__` calls it before anything else imports pulumi. A process that already has the SDK (a test
run) keeps it.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def without_the_sdk() -> None:
    """Let `import pulumi.runtime.proto.x_pb2` run no code of the SDK from here on."""
    if "pulumi" in sys.modules:
        return
    found = importlib.util.find_spec("pulumi")
    if found is None or found.origin is None:
        return  # the import that follows says so in Python's own words
    root = Path(found.origin).parent
    for name, folder in (("pulumi", root), ("pulumi.runtime", root / "runtime")):
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
