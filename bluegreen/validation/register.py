"""Every check that there is, in the order in which a validation shows them.

A module of checks registers them when it is imported; this is the one list of those modules, so the order of the
output is the order here and not that of some import. It deliberately imports nothing before it is asked to: checks
bring half of the program with them.
"""

from collections.abc import Sequence
from importlib import import_module

from bluegreen.validation.check import REGISTER, Asked

MODULES = (
    "bluegreen.validation.endpoints",
    "bluegreen.validation.releases",
    "bluegreen.validation.consumers",
    "bluegreen.validation.cors",
    "bluegreen.validation.assets",
    "bluegreen.validation.database",
    "bluegreen.validation.sessions",
    "bluegreen.validation.migrations",
    "bluegreen.validation.tls",
    "bluegreen.validation.tokens",
    "bluegreen.validation.colours",
    "bluegreen.validation.railway",
    "bluegreen.validation.idle",
    "bluegreen.validation.gateway",
    "bluegreen.validation.traffic",
    "bluegreen.validation.rollback",
    "bluegreen.validation.freeze",
    "bluegreen.validation.performance",
)


def register() -> Sequence[Asked]:
    """All of them; what measures stands last, as it is asked last."""
    for name in MODULES:
        import_module(name)
    places = {name: number for number, name in enumerate(MODULES)}
    known = [each for each in REGISTER if each.ask.__module__ in places]  # and not those that only a test registered
    return sorted(known, key=lambda each: (each.alone, places[each.ask.__module__]))
