"""The demo's own verification: does a colour answer a real request through its preview route?

`python -m sandbox.smoke PATH --app APP` is what a team would write with curl in a stack's `verify`. It gets COLOUR,
PROXY_URL and the preview key in its environment, and exits 1 with one sentence when the answer is not 200 in time.
"""

import argparse
import os
import sys
import time

from sandbox.asking import ask

PATIENCE = 10.0  # seconds; a gateway's router may lag


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--app", required=True)
    options = parser.parse_args()
    colour, proxy = os.environ["COLOUR"], os.environ["PROXY_URL"]
    headers = {"X-Preview-Colour": colour, "X-Preview-App": options.app, "Host": f"{options.app}.sandbox"}
    if os.environ.get("PREVIEW_KEY"):
        headers["apikey"] = os.environ["PREVIEW_KEY"]
    end = time.monotonic() + PATIENCE
    status, seconds = ask(proxy + options.path, headers)
    while status == 404 and time.monotonic() < end:  # the route is not in force yet; anything else is an answer
        time.sleep(0.2)
        status, seconds = ask(proxy + options.path, headers)
    if status == 200:
        return 0
    said = f"answered {status}" if status else f"did not answer within {seconds:.1f} s"
    print(f"{options.app}-{colour}: GET {options.path} {said}.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
