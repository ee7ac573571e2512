"""One HTTP question at a time, from the standard library: what the demo, its smoke check and the tests ask with.

Every question is a new connection, so that it may meet any worker of a gateway.
"""

import json
import time
import urllib.error
import urllib.request
from typing import Any

SLOWEST = 2.0  # seconds that one answer may take


def ask(url: str, headers: dict[str, str]) -> tuple[int, float]:
    """The status and the seconds of one GET; status 0 when there was no answer."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=SLOWEST) as answer:
            answer.read()
            return int(answer.status), time.monotonic() - began
    except urllib.error.HTTPError as error:
        with error:
            return error.code, time.monotonic() - began
    except OSError:
        return 0, time.monotonic() - began


def call(method: str, url: str, body: object = None, **headers: str) -> Any:
    """One call to a stand-in's own endpoints, in JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None
