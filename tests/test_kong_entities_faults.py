"""A fault at every single write of every Kong entity: what is told is true, and the next run ends as declared.

Each run is one resource operation as the engine drives it. It meets a fault at one of its writes; then it is run once
more, without a fault and from what state holds by then. A reply that is late is the meanest of faults: the
write still lands, perhaps after the next run has been through.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from bluegreen.handler import Halt, Held, Partial
from bluegreen.http import Client
from bluegreen.kong.api import Entity, Kong
from bluegreen.kong.entities import ConsumerHandler, PluginHandler, RouteHandler, ServiceHandler, UpstreamHandler
from bluegreen.kong.entity import EntityHandler
from bluegreen.kong.spec import EntityState
from sandbox.faults import Fault, Where
from sandbox.kong_entities import KINDS
from sandbox.kong_store import Store
from tests.kong_room import room
from tests.test_kong_entities import OWNER, Row

PATIENT, HASTY, LATE = 10.0, 0.2, 0.4  # seconds: two sorts of patience, and how late a late reply is
TAKEN = '{"code":5,"name":"unique constraint violation","message":"UNIQUE violation","fields":{"name":"x"}}'
EFFECTS: dict[str, dict[str, Any]] = {
    "500": {"kind": "answer", "status": 500, "body": '{"message":"An unexpected error occurred"}'},
    "409": {"kind": "answer", "status": 409, "body": TAKEN},
    "reset": {"kind": "reset"},
    "lost reply": {"kind": "lost"},
    "late": {"kind": "slow", "seconds": LATE},
}
HANDLERS: dict[str, type[EntityHandler[Any]]] = {
    "upstream": UpstreamHandler,
    "service": ServiceHandler,
    "route": RouteHandler,
    "plugin": PluginHandler,
    "consumer": ConsumerHandler,
}
DECLARED: dict[str, dict[str, Any]] = {
    "upstream": {"name": "shop", "slots": 1000},
    "service": {"name": "api", "host": "shop", "retries": 2},
    "route": {"name": "api", "service": "api", "paths": ["/v1"]},
    "plugin": {"instanceName": "limit", "name": "rate-limiting", "service": "api", "config": {"minute": 60}},
    "consumer": {"username": "alice", "keys": ["key-of-alice-1", "key-of-alice-2"], "groups": ["preview"]},
}
CHANGED: dict[str, dict[str, Any]] = {
    "upstream": {"slots": 2000},
    "service": {"retries": 4},
    "route": {"paths": ["/v1", "/v2"]},
    "plugin": {"config": {"minute": 90}},
    "consumer": {"customId": "c-1", "keys": ["key-of-alice-2", "key-of-alice-3"], "groups": ["beta"]},
}
LIVES_WITH = {"route": ("service",), "plugin": ("service",)}


@dataclass
class Run:
    """One operation on one entity, during which these faults are armed."""

    kind: str
    action: str
    armed: Mapping[str, Fault]
    store: Store = field(default_factory=Store)
    problem: Halt | None = None
    promised: Entity | None = None  # what Kong holds under the id that a partial outcome leaves in state
    hits: Mapping[str, int] = field(default_factory=dict)

    async def play(self) -> "Run":
        async with room(self.store) as here:
            base = f"http://127.0.0.1:{here.kong.admin_port}"
            patience = HASTY if "late" in self.armed else PATIENT
            async with Client("Kong", base) as patient, Client("Kong", base, read=patience) as hasty:
                handler, faulty = (HANDLERS[self.kind](Kong(client)) for client in (patient, hasty))
                for kind in LIVES_WITH.get(self.kind, ()):
                    await HANDLERS[kind](Kong(patient)).create(Row(), self._spec(kind, DECLARED[kind]))
                held = None if self.action == "create" else await self._converged(handler, None, DECLARED[self.kind])
                for name, fault in self.armed.items():
                    here.kong.faults.arm(name, fault)
                held = await self._attempted(faulty, held)
                self.hits = {armed["name"]: armed["hits"] for armed in await here.made("GET", "/__faults")}
                here.kong.faults.disarm(list(self.armed))
                await self._finished(handler, held)
        self._nothing_doubled()
        return self

    async def _attempted(self, handler: EntityHandler[Any], held: Held[EntityState] | None) -> Held[EntityState] | None:
        """One run of the engine: what state holds after it."""
        try:
            if self.action == "delete":
                assert held is not None
                await handler.delete(Row(), held)
                return None
            return await self._converged(handler, held, self._wanted())
        except Partial as problem:
            self.problem = problem
            self.promised = await handler.kong.entity(handler.all.path(problem.held.id))
            return problem.held
        except Halt as problem:
            self.problem = problem
            return held

    async def _finished(self, handler: EntityHandler[Any], held: Held[EntityState] | None) -> None:
        if self.problem is not None:
            assert self.problem.what.endswith(".")
            assert self.problem.world.endswith(".")
            assert not isinstance(self.problem, Partial) or self.promised is not None  # state holds what is there
            assert "key-of-alice" not in str(self.problem)
        if self.action == "delete":
            if held is not None:
                await handler.delete(Row(), held)
            return
        held = await self._converged(handler, held, self._wanted())
        found = await handler.read(Row(), held.id, held)
        assert found is not None
        assert self._comparable({"owner": OWNER, **self._wanted()}) == self._comparable(dict(found.inputs))

    async def _converged(
        self, handler: EntityHandler[Any], held: Held[EntityState] | None, declared: dict[str, Any]
    ) -> Held[EntityState]:
        spec = self._spec(self.kind, declared)
        if held is None:
            return await handler.create(Row(), spec)
        state = await handler.update(Row(), spec, held)
        return Held(held.id, {"owner": OWNER, **declared}, state)

    def _nothing_doubled(self) -> None:
        """After the room has closed, so that a late write has landed, too."""
        rows = {name: self.store.all(kind) for name, kind in KINDS.items()}
        gone = self.action == "delete"
        assert len(rows[f"{self.kind}s"]) == (0 if gone else 1)
        if self.kind == "consumer":
            wanted = {} if gone else self._wanted()
            assert sorted(row["key"] for row in rows["keyauth_credentials"]) == sorted(wanted.get("keys", ()))
            assert sorted(row["group"] for row in rows["acls"]) == sorted(wanted.get("groups", ()))

    def _wanted(self) -> dict[str, Any]:
        return DECLARED[self.kind] | (CHANGED[self.kind] if self.action == "update" else {})

    def _spec(self, kind: str, declared: dict[str, Any]) -> Any:
        return HANDLERS[kind].spec.model_validate({"owner": OWNER, **declared})

    def _comparable(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {name: sorted(value) if isinstance(value, list) else value for name, value in inputs.items()}


@cache
def writes(kind: str, action: str) -> Sequence[tuple[str, int]]:
    """Every write of this operation: its method, and how many of the same came before it."""
    harmless: dict[str, Any] = {"kind": "slow", "seconds": 0}
    methods = ("POST", "PUT", "PATCH", "DELETE")
    armed = {method: Where(method=method, times=None) for method in methods}
    faults = {method: Fault.model_validate({"where": where, "effect": harmless}) for method, where in armed.items()}
    hits = asyncio.run(Run(kind, action, faults).play()).hits
    return [(method, number) for method in methods for number in range(hits[method])]


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("action", ["create", "update", "delete"])
@pytest.mark.parametrize("kind", HANDLERS)
def test_a_fault_at_any_write_is_told_truly_and_the_next_run_ends_as_declared(
    kind: str, action: str, effect: str
) -> None:
    found = writes(kind, action)
    assert len(found) >= (4 if kind == "consumer" and action != "delete" else 1)
    for method, number in found:
        where = Where(method=method, skip=number)
        run = Run(kind, action, {effect: Fault.model_validate({"where": where, "effect": EFFECTS[effect]})})
        assert asyncio.run(run.play()).hits == {effect: 1}
