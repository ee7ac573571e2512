"""Kong's Admin API, one method per route, in the vendor's words. Rules live above: this only calls.

Kong has no compare-and-swap and no request ids, so a write is never repeated here; a lost reply is told as such and
the caller reads. The address may have a path prefix (an Admin API that Kong itself serves at `/admin-api`): pagination
sends `offset` itself, because Kong's `next` is root-relative and breaks there (measured on 3.9.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bluegreen.http import Answer, Client, Method, NotFound, Unavailable

Entity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one worker of one node says about an upstream. `worker` is None where Kong does not name it."""

    node: str
    worker: int | None
    workers: int | None
    rows: tuple[Entity, ...]


class Kong:
    """The Admin API of one Kong cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def where(self) -> str:
        """The address, for messages."""
        return self._client.base

    async def close(self) -> None:
        await self._client.close()

    async def node(self) -> Entity:
        """`GET /`: version, node id, plugins, configuration."""
        return _object(await self._client.read("/"))

    async def entity(self, path: str) -> Entity | None:
        """One entity, e.g. `/routes/api`; None when there is none."""
        try:
            return _object(await self._client.read(path))
        except NotFound as problem:
            _is_kongs(problem, self.where)
            return None

    async def entities(self, path: str, **params: str) -> list[Entity]:
        """A whole collection, every page of it."""
        found: list[Entity] = []
        offset: str | None = None
        while True:
            page = _object(await self._client.read(path, params=params | ({"offset": offset} if offset else {})))
            found += page.get("data") or []
            offset = page.get("offset")
            if not offset:
                return found

    async def entity_create(self, path: str, body: Mapping[str, Any]) -> Entity:
        """`POST` to a collection; Kong answers 409 when the name is taken."""
        return await self._write("POST", path, body)

    async def entity_upsert(self, path: str, body: Mapping[str, Any]) -> Entity:
        """`PUT`: replaces the whole entity, also its `created_at`."""
        return await self._write("PUT", path, body)

    async def entity_update(self, path: str, body: Mapping[str, Any]) -> Entity:
        """`PATCH`: merges; null resets a field to its default."""
        return await self._write("PATCH", path, body)

    async def entity_delete(self, path: str) -> None:
        """`DELETE`; what is already gone is fine."""
        try:
            await self._client.write("DELETE", path)
        except NotFound:
            return

    async def metrics(self) -> str:
        """`GET /metrics`: what whichever node takes a new connection has counted, in Prometheus' text format.

        Raises:
            Unavailable: there is no such page.
        """
        async with self._client.fresh() as line:
            answer = await self._client.probe("/metrics", client=line)
        if answer.status != 200:
            what = f"{self.where}/metrics answered {answer.status}, so Kong's own counts cannot be read."
            raise Unavailable(what, world="Nothing was changed.", next="Add prometheus to Kong's `plugins` setting.")
        return answer.text

    async def schema(self, kind: str) -> Entity:
        """`GET /schemas/…`: fields, types and defaults of an entity (`routes`) or a plugin (`plugins/cors`)."""
        return _object(await self._client.read(f"/schemas/{kind}"))

    async def validate(self, kind: str, body: Mapping[str, Any]) -> None:
        """`POST /schemas/…/validate`: what a write would answer, without writing; references go by id here."""
        await self._client.call("POST", f"/schemas/{kind}/validate", dict(body), writes=False)

    async def targets(self, upstream: str) -> list[Entity] | None:
        """Every stored target of an upstream, weight 0 included; None when the upstream does not exist."""
        try:
            return await self.entities(f"/upstreams/{upstream}/targets", size="1000")
        except NotFound as problem:
            _is_kongs(problem, self.where)
            return None

    async def target(self, upstream: str, row: str) -> Entity | None:
        return await self.entity(f"/upstreams/{upstream}/targets/{row}")

    async def target_create(self, upstream: str, body: Mapping[str, Any]) -> Entity:
        return await self._write("POST", f"/upstreams/{upstream}/targets", body)

    async def target_update(self, upstream: str, row: str, body: Mapping[str, Any]) -> Entity:
        return await self._write("PATCH", f"/upstreams/{upstream}/targets/{row}", body)

    async def target_delete(self, upstream: str, row: str) -> None:
        await self.entity_delete(f"/upstreams/{upstream}/targets/{row}")

    async def sample(self, upstream: str) -> Sample | None:
        """What whichever worker takes a new connection holds in memory; None when the two calls met two workers.

        A keep-alive admin connection stays on one worker (measured), so `GET /timers` on the same connection tells
        which one answers; not so when a proxy stands in between and shares its own connections out.
        """
        async with self._client.fresh() as line:
            try:
                timers = await self._client.call("GET", "/timers", writes=False, client=line)
            except NotFound:
                timers = None
            health = await self._client.call("GET", f"/upstreams/{upstream}/health", writes=False, client=line)
        return _sample(timers, health)

    async def _write(self, method: Method, path: str, body: Mapping[str, Any]) -> Entity:
        return _object(await self._client.write(method, path, dict(body)))


def _is_kongs(problem: NotFound, where: str) -> None:
    """Another server at this address answers 404 to everything; taken as Kong's, all would seem to be gone."""
    message = problem.body.get("message") if isinstance(problem.body, dict) else None
    if not str(message).lower().startswith("not found"):
        what = f"What answers at {where} is not Kong's Admin API: it answered 404 to {problem.subject}, in other words."
        raise Unavailable(what, world="Nothing was changed.", next="Check bluegreen:kongAdminUrl.") from problem


def _object(answer: Answer) -> Entity:
    return answer.json if isinstance(answer.json, dict) else {}


def _sample(timers: Answer | None, health: Answer) -> Sample | None:
    report = _object(health)
    rows = tuple(report.get("data") or [])
    worker = _object(timers).get("worker") if timers is not None else None
    if timers is None or not isinstance(worker, dict) or "via" in health.headers:
        return Sample(str(report.get("node_id")), None, None, rows)
    if timers.connection != health.connection:
        return None
    return Sample(str(report.get("node_id")), worker.get("id"), worker.get("count"), rows)
