"""Where everything in a sandbox listens: a pure function of one port base.

Nothing is looked up, so `python -m sandbox hosts` can name every address before a gateway starts, and several
sandboxes live side by side on different bases. It deliberately does not check whether a port is free.
"""

from dataclasses import dataclass
from typing import Literal

Colour = Literal["blue", "green"]
COLOURS: tuple[Colour, Colour] = ("blue", "green")
APPS: tuple[str, ...] = ("backend", "frontend")
SPAN = 10 + len(APPS) * len(COLOURS)  # ports a sandbox may use, counted from its base


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port of one sandbox."""

    base: int

    @property
    def kong_admin(self) -> int:
        return self.base

    @property
    def kong_proxy(self) -> int:
        return self.base + 1

    @property
    def railway(self) -> int:
        return self.base + 2

    @property
    def supervisor(self) -> int:
        return self.base + 3

    @property
    def postgres(self) -> int:
        return self.base + 4

    @property
    def kong_status(self) -> int:
        return self.base + 5

    def app(self, app: str, colour: Colour) -> int:
        """The port on which this colour of this app answers."""
        return self.base + 10 + APPS.index(app) * len(COLOURS) + COLOURS.index(colour)


def host(app: str, colour: Colour) -> str:
    """The private name under which the gateway reaches this colour."""
    return f"{app}-{colour}.railway.internal"
