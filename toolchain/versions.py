"""The versions that belong together, and how versions are compared.

One CLI, one SDK and one protocol: the provider, the language host and the policy pack were built against and run with
this CLI. An older one has not been tried and lacks calls that the provider relies on; a newer one of the same major
keeps the protocol.
"""

import re

PULUMI = "3.259.0"
COMMAND = "1.2.1"
PYTHON = (3, 11)
UV_LEAST = "0.5.0"


def parts(text: str) -> tuple[int, ...]:
    """The numbers of the first version in a text such as `v3.259.0` or `go version go1.26.8 linux/amd64`; else none."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(number or 0) for number in found.groups()) if found else ()


def at_least(version: str, least: str, *, same_major: bool = False) -> bool:
    """Whether the version in `version` is `least` or newer, and of the same major version where that matters."""
    have, need = parts(version), parts(least)
    return have >= need and (have[:1] == need[:1] or not same_major)
