"""The demo's own verification: does a colour answer real requests through its preview route, every one of them?

`python -m sandbox.smoke PATH --app APP` is what a team would write in a stack's `verify`. It gets COLOUR, PROXY_URL and
the preview key in its environment, and exits 1 with one sentence when an answer is not 200 in time.

One good answer says little about a release that fails now and then, so it asks 60 times, over a few kept-alive
connections: an app that fails every 20th request is caught even where somebody else's request meets two of its three
failures. All of it took 0.03 s through the sandbox's gateway. `--times` and `--within` make it as careless as most
teams' smoke tests are, which is how the demo's bad releases get past it.

Deliberately not here: statistics. What fails more rarely is the business of an analysis under real traffic.
"""

import argparse
import http.client
import os
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from sandbox.asking import SLOWEST

PATIENCE = 10.0  # seconds; a gateway's router may lag
CONNECTIONS, TIMES = 4, 60  # the requests are dealt out to so many connections


class Asking:
    """One kept-alive connection to the gateway, asking for one thing again and again."""

    def __init__(self, proxy: str, path: str, headers: Mapping[str, str], within: float) -> None:
        where = urllib.parse.urlsplit(proxy)
        kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(where.netloc, timeout=within)
        self._path, self._headers = where.path.rstrip("/") + path, dict(headers)

    def status(self) -> int:
        """The status of one answer; 0 when there was none in time."""
        try:
            self._connection.request("GET", self._path, headers=self._headers)
            with self._connection.getresponse() as answer:
                answer.read()
                return answer.status
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0

    def bad(self, times: int) -> int | None:
        """The first status that is not 200, if there is one."""
        return next((status for status in self._statuses(times) if status != 200), None)

    def first(self) -> int:
        """The status of the first answer from the app: while the route is not in force yet, the gateway says 404."""
        end = time.monotonic() + PATIENCE
        while (status := self.status()) == 404 and time.monotonic() < end:
            time.sleep(0.2)
        return status

    def close(self) -> None:
        self._connection.close()

    def _statuses(self, times: int) -> Iterator[int]:
        for _ in range(times):
            yield self.status()


def verdict(proxy: str, path: str, headers: Mapping[str, str], *, times: int = TIMES, within: float = SLOWEST) -> str:
    """What is wrong with the answers; empty when all of them were good."""
    askers = [Asking(proxy, path, headers, within) for _ in range(min(CONNECTIONS, times))]
    shares = [len(range(place, times, len(askers))) for place in range(len(askers))]
    try:
        status = askers[0].first()
        if status != 200:
            return _said(status, within)
        with ThreadPoolExecutor(len(askers)) as threads:
            bad = [status for status in threads.map(Asking.bad, askers, shares) if status is not None]
    finally:
        for one in askers:
            one.close()
    return f"{_said(bad[0], within)}, though not every time" if bad else ""


def _said(status: int, within: float) -> str:
    return f"answered {status}" if status else f"did not answer within {within:.1f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--app", required=True)
    parser.add_argument("--times", type=int, choices=range(1, 1001), default=TIMES, metavar="N", help="questions")
    parser.add_argument("--within", type=float, default=SLOWEST, metavar="SECONDS", help="for one answer")
    options = parser.parse_args()
    colour, proxy = os.environ["COLOUR"], os.environ["PROXY_URL"]
    headers = {"X-Preview-Colour": colour, "X-Preview-App": options.app, "Host": f"{options.app}.sandbox"}
    if os.environ.get("PREVIEW_KEY"):
        headers["apikey"] = os.environ["PREVIEW_KEY"]
    wrong = verdict(proxy, options.path, headers, times=options.times, within=options.within)
    if wrong:
        print(f"{options.app}-{colour}: GET {options.path} {wrong}.", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
