"""What a row of the benchmark is: a name, one sentence, and a function that measures it.

Deliberately not here: which rows there are (`rows.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.result import Result


class NotMeasured(Exception):
    """A row that cannot be run here; the text says why, how things stand and what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person asked for, beside which rows.

    `flips` is how often traffic is flipped, `repetitions` how often an engine command is measured. `admin` and `proxy`
    are a real Kong's, with `nodes` nodes; None means the stand-in.
    """

    say: Callable[[str], None]
    flips: int = 20
    repetitions: int = 5
    admin: str | None = None
    proxy: str | None = None
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `measure` returns its figures, or raises `NotMeasured`.

    `beside` is asked afterwards for what belongs to the machine's facts in this row, such as the peers' versions.
    """

    name: str
    promise: str
    measure: Callable[[Wanted], Sequence[Result]]
    beside: Callable[[], Mapping[str, object]] = dict
