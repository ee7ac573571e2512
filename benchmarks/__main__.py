"""`make bench`: measures the rows asked for beside their peers and writes `benchmarks/results.json`.

The exit code is 0 when every row could be run, whether or not it reached its goal: a figure is told, not enforced.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from benchmarks import board
from benchmarks.result import Unreadable
from benchmarks.row import Row, Wanted
from benchmarks.rows import ROWS

OUT = Path(__file__).with_name("results.json")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    rows = "\n".join(f"  {row.name:<12} {row.promise}" for row in ROWS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{__doc__}\nRows:\n{rows}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=[row.name for row in ROWS], metavar="ROW", help="repeatable")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    parser.add_argument("--flips", type=_positive, default=20, metavar="N", help="how often traffic flips (20)")
    parser.add_argument("--repetitions", type=_positive, default=5, metavar="N", help="of an engine command (5)")
    parser.add_argument("--kong-admin", metavar="URL", help="a real Kong's Admin API, instead of the stand-in")
    parser.add_argument("--kong-proxy", metavar="URL", help="and its proxy")
    parser.add_argument("--kong-nodes", type=_positive, default=1, metavar="N", help="and how many nodes it has (1)")
    options = parser.parse_args(arguments)
    if (options.kong_admin is None) != (options.kong_proxy is None):
        parser.error("a real Kong has two addresses: give both --kong-admin and --kong-proxy")
    return options


def chosen(only: Sequence[str] | None) -> tuple[Row, ...]:
    """The rows that were named, in the registry's order; all when none was."""
    return tuple(row for row in ROWS if only is None or row.name in only)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job ignores SIGINT otherwise
        signal.signal(number, _interrupt)

    def say(text: str) -> None:
        print(text, flush=True)

    wanted = Wanted(say, options.flips, options.repetitions, options.kong_admin, options.kong_proxy, options.kong_nodes)
    try:
        results, missing = board.run(chosen(options.only), wanted, options.out, say)
    except Unreadable as problem:
        print(f"✗ {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; rows that were finished are written, nothing is left running.", file=sys.stderr)
        return 130
    if results:
        Console().print(board.table(results))
        say(f"Written to {options.out}.")
    if missing:
        say(f"Not measured: {', '.join(missing)}.")
    return 1 if missing else 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
