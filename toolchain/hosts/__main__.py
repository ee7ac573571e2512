"""The door to both plugins: `python -I __main__.py language|command [flags] ENGINE_ADDRESS`, as the engine starts them.

It keeps the way to the port line short: the bindings come without the SDK, and only the module that is asked for is
imported.
"""

import asyncio
import os
import sys
from pathlib import Path


def engine_address(arguments: list[str]) -> str:
    """The last argument; the flags before it (`--tracing X`, `-v=9`, `--logtostderr`) are not needed here."""
    return arguments[-1] if arguments and not arguments[-1].startswith("-") else ""


def main(arguments: list[str]) -> int:
    """Serve the plugin named first until the engine is done with it."""
    parent = os.getppid()  # asked first: the CLI may be killed while we still import
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # -I leaves the checkout out
    from toolchain.hosts.bindings import without_the_sdk

    without_the_sdk()
    match arguments:
        case ["language", *rest]:
            from toolchain.hosts.language import run
        case ["command", *rest]:
            from toolchain.hosts.command import run
        case _:
            print("usage: __main__.py language|command ENGINE_ADDRESS (the pulumi CLI starts it)", file=sys.stderr)
            return 2
    asyncio.run(run(engine_address(rest), parent))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
