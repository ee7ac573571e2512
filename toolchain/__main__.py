"""`python3 -m toolchain setup | doctor | env | uv`, with any Python that is new enough and nothing installed.

setup makes `.venv` and gets the CLI, and is done in a blink when both are there. doctor says what is used. env prints
what a shell needs to use the same CLI: `eval "$(python3 -m toolchain env)"`. uv prints where the uv is that setup uses.
"""

import argparse
import os
import shlex
import signal
import sys
from types import FrameType

from toolchain import doctor
from toolchain.checkout import Checkout
from toolchain.installed import cli
from toolchain.mode import cache_root
from toolchain.requirements import find_uv
from toolchain.setup import setup
from toolchain.trouble import Trouble


def exports() -> str:
    """Export lines for a POSIX shell."""
    found = cli()
    lines = [f"export {name}={shlex.quote(value)}" for name, value in found.variables().items()]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(found.pulumi.parent))}:"$PATH"'])


def main(arguments: list[str]) -> int:
    """Do one verb; trouble is told in its own words, never as a traceback."""
    parser = argparse.ArgumentParser(
        prog="python3 -m toolchain", description="The Pulumi CLI and the Python packages of this checkout."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("setup", help="make .venv and get a Pulumi CLI, as far as they are missing")
    verbs.add_parser("doctor", help="say which CLI, language host and versions are used, and what is wrong (exit 1)")
    verbs.add_parser("env", help="print export lines that give a shell the same pulumi")
    verbs.add_parser("uv", help="print the path of the uv that setup uses, fetched if need be")
    verb = parser.parse_args(arguments).verb
    try:
        if verb == "doctor":
            return doctor.report(Checkout.here())
        if verb == "env":
            print(exports())
        elif verb == "uv":
            print(find_uv(cache_root(os.environ)))
        else:
            setup(Checkout.here())
    except Trouble as trouble:
        print(f"{trouble.what} {trouble.world} {trouble.next}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(
            f"{problem.filename}: {problem.strerror}. Nothing half-made is used. Mend it, then run this again.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("Stopped. Nothing half-made is used; run this again to go on.", file=sys.stderr)
        return 130
    return 0


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)  # what was started is ended on the way out


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    raise SystemExit(main(sys.argv[1:]))
