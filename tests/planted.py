"""What a planted fault is: what it does to a sound sandbox, which checks have to tell it, and which remedy they name.

`against` maps a check's id (with `*` for what is new each time) to words of its hint; everything else has to stay as it
was, apart from `hides`: what cannot be asked while the fault is there. Each heals what it did. The faults themselves
are in `planted_gateway.py`, `planted_platform.py` and `planted_database.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.faults_room import Config, Sound

How = Mapping[str, Any]
Plant = Callable[[Sound], AbstractContextManager[How]]
AS_IT_IS: How = {}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and everything that a validation has to say of it."""

    name: str
    plant: Plant
    against: Mapping[str, str]
    hides: tuple[str, ...] = ()
    alone: bool = False  # it is looked at in a way of its own

    @property
    def room(self) -> str:
        """What it is planted in: the end of its module's name."""
        return self.plant.__module__.rpartition("_")[2]


FAULTS: list[Fault] = []  # in the order in which their modules are imported


def fault(
    name: str, against: Mapping[str, str], hides: tuple[str, ...] = (), *, alone: bool = False
) -> Callable[[Callable[[Sound], Iterator[How]]], Plant]:
    """Keep it under this name."""

    def kept(plant: Callable[[Sound], Iterator[How]]) -> Plant:
        made = contextmanager(plant)
        FAULTS.append(Fault(name, made, against, hides, alone))
        return made

    return kept


def edited(edit: Callable[[Config], object]) -> How:
    """Nothing is planted in the world: the config is another."""
    return {"edit": edit}
