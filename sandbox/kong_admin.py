"""Kong's Admin API over HTTP: entities at their paths, top level and nested, with Kong's bodies and status codes.

A connection stays with the worker of the node at which it first arrived, as on a real gateway; a fresh one ends up
anywhere. What the paths mean is in kong_writes.py; what is not about entities is in kong_admin_info.py and
kong_admin_health.py. Deliberately not here: RBAC and workspaces (Enterprise), DB-less mode.
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Handler

from sandbox.faults import sever
from sandbox.kong_checks import CHECKS
from sandbox.kong_cluster import Cluster, Node
from sandbox.kong_entities import ACLS, KINDS, TARGETS, Kind, schema_of
from sandbox.kong_errors import Json, Refusal, Row, invalid_primary_key, invalid_unique, not_allowed, not_found
from sandbox.kong_schema import Rule, is_uuid, named
from sandbox.kong_store import Page, Store, by_id, by_position, tagged
from sandbox.kong_worker import Worker
from sandbox.kong_writes import Writes, absent

SERVER = "kong/3.9.1"
LATENCY = "X-Kong-Admin-Latency"
UNSUPPORTED = "<html>\n<head><title>415 Unsupported Media Type</title></head>\n</html>\n"


def answer(body: Json, status: int = 200) -> web.Response:
    text = json.dumps(body, separators=(",", ":"))
    return web.Response(text=text, status=status, content_type="application/json", charset="utf-8")


class Admin:
    """The Admin API of all nodes, behind one port."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._workers: WeakKeyDictionary[asyncio.BaseTransport, Worker] = WeakKeyDictionary()

    @property
    def store(self) -> Store:
        return self.cluster.store

    def worker(self, request: web.Request) -> Worker:
        """The worker that this request's connection belongs to."""
        transport = request.transport
        if transport is None:
            return self.cluster.any_worker()
        if transport not in self._workers:
            self._workers[transport] = self.cluster.any_worker()
        return self._workers[transport]

    def sever(self, node: Node, spared: object = None) -> None:
        """Break every connection that this node had, but for one."""
        for transport in [held for held, worker in self._workers.items() if worker.node is node]:
            del self._workers[transport]
            if transport is not spared:
                sever(transport)

    def writes(self, request: web.Request) -> Writes:
        return Writes(self.store, self.worker(request).node.index)

    # --- finding ---

    def parents(self, request: web.Request, kind: Kind, above: Kind | None) -> dict[str, Row]:
        """The parent that a nested path names."""
        if above is None:
            return {}
        field = next(field for field, parent in kind.parents.items() if parent == above.name)
        return {field: self.required(above, request.match_info["above"])}

    def find(self, kind: Kind, key: str, parents: Mapping[str, Row] | None = None) -> Row | None:
        """The entity with this id or key, below these parents."""
        check = CHECKS.get(kind.name, {}).get(kind.key)
        if is_uuid(key):
            found = self.store.get(kind, key.lower())
        elif kind.own_id_only and not parents:
            raise invalid_primary_key()
        elif check is not None and kind is not TARGETS and (why := check(key)):
            raise invalid_unique(kind.key, str(why))
        else:
            above = (
                {field: {"id": row["id"]} for field, row in (parents or {}).items()} if kind in (TARGETS, ACLS) else {}
            )
            found = self.store.find(kind, {kind.key: key, **above})
        if found and any(found[field] != {"id": row["id"]} for field, row in (parents or {}).items()):
            return None
        return found

    def required(self, kind: Kind, key: str, parents: Mapping[str, Row] | None = None) -> Row:
        found = self.find(kind, key, parents)
        if found is None:
            raise missing(kind, key)
        return found

    # --- entity paths ---

    def listed(self, kind: Kind, above: Kind | None) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            rows = self.store.all(kind, self.parents(request, kind, above))
            if "tags" in request.query:
                rows = tagged(rows, request.query["tags"])
            if kind is TARGETS:
                rows.sort(key=lambda row: (-row["created_at"], row["id"]))
                return self.paged(request, by_position(rows, request.query), with_size=False)
            return self.paged(request, by_id(rows, request.query))

        return handle

    def paged(self, request: web.Request, page: Page, with_size: bool = True) -> web.Response:
        body: Row = {"data": [self.store.shown(row) for row in page.rows], "next": None}
        if page.offset is not None:
            size = f"&size={request.query['size']}" if with_size and "size" in request.query else ""
            tags = f"&tags={request.query['tags']}" if "tags" in request.query else ""
            body |= {"offset": page.offset, "next": f"{request.path}?offset={page.offset}{size}{tags}"}
        return answer(body)

    def post(self, kind: Kind, above: Kind | None) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            given = await body_of(request, kind)
            given |= {field: {"id": row["id"]} for field, row in self.parents(request, kind, above).items()}
            return answer(self.store.shown(self.writes(request).create(kind, given)), 201)

        return handle

    def get(self, kind: Kind, above: Kind | None) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            parents = self.parents(request, kind, above)
            return answer(self.store.shown(self.required(kind, request.match_info["key"], parents)))

        return handle

    def put(self, kind: Kind, above: Kind | None) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            given, key = await body_of(request, kind), request.match_info["key"]
            parents = self.parents(request, kind, above)
            old = self.find(kind, key, parents)
            if kind is TARGETS:
                if old is None:
                    raise not_found()
                return answer(self.writes(request).merge(kind, given, old))
            given |= {field: {"id": row["id"]} for field, row in parents.items()}
            return answer(self.store.shown(self.writes(request).replace(kind, given, key, old)))

        return handle

    def patch(self, kind: Kind, above: Kind | None) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            given, key = await body_of(request, kind), request.match_info["key"]
            parents = self.parents(request, kind, above)
            old = self.find(kind, key, parents)
            if old is None:
                raise absent(kind, key)
            given |= {field: {"id": row["id"]} for field, row in parents.items()}
            return answer(self.store.shown(self.writes(request).merge(kind, given, old)))

        return handle

    def delete(self, kind: Kind, above: Kind | None) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            key = request.match_info["key"]
            found = self.find(kind, key, self.parents(request, kind, above))
            if found is not None:
                self.writes(request).remove(kind, found)
            elif above is not None:
                raise missing(kind, key)
            return web.Response(status=204)

        return handle

    def parent(self, kind: Kind, field: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            reference = self.required(kind, request.match_info["key"])[field]
            if reference is None:
                raise not_found()
            return answer(self.required(KINDS[kind.parents[field]], reference["id"]))

        return handle

    def routes(self) -> list[web.RouteDef]:
        """Every entity path: collections and single entities, top level and below their parents."""
        found = []
        for kind in KINDS.values():
            places: list[tuple[str, Kind | None]] = [(f"/{kind.path}", None)] if kind.path else []
            places += [(f"/{KINDS[parent].path}/{{above}}/{segment}", KINDS[parent]) for parent, segment in nests(kind)]
            for path, above in places:
                found += [web.get(path, self.listed(kind, above)), web.post(path, self.post(kind, above))]
                one = path + "/{key}"
                found += [web.get(one, self.get(kind, above)), web.put(one, self.put(kind, above))]
                found += [web.patch(one, self.patch(kind, above)), web.delete(one, self.delete(kind, above))]
            if kind.path:
                found += [web.get(f"/{kind.path}/{{key}}/{field}", self.parent(kind, field)) for field in kind.parents]
        return found


def nests(kind: Kind) -> list[tuple[str, str]]:
    return list((kind.nested or {}).items())


def missing(kind: Kind, key: str) -> Refusal:
    """A plain miss; the ACL plugin's own endpoint adds the request's id when asked by group."""
    refusal = not_found()
    if kind is ACLS and not is_uuid(key):
        refusal.body["request_id"] = uuid.uuid4().hex
    return refusal


# --- request bodies ---------------------------------------------------------------------------------------------------


async def body_of(request: web.Request, kind: Kind | None = None) -> Row:
    """The request's object, from JSON or from a form."""
    raw = await request.read()
    form = request.content_type == "application/x-www-form-urlencoded"
    if not raw:
        return {}
    if form:
        fields = schema_of(kind.name).fields if kind else {}
        return typed_form(fields, parse_qsl(raw.decode(), keep_blank_values=True))
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text=UNSUPPORTED, content_type="text/html")
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refusal(400, {"message": "Cannot parse JSON body"}) from None
    if not isinstance(body, dict):
        raise Refusal(400, {"message": "Cannot parse JSON body"})
    return body


def typed_form(fields: Mapping[str, Rule], pairs: list[tuple[str, str]]) -> Row:
    """A form's texts as the types that the schema asks for: `config.minute=5`, `paths[]=/a`, `service.id=...`."""
    whole: Row = {}
    for name, text in pairs:
        *parents, last = re.sub(r"\[\d*\]$", "", name).split(".")
        place, known = whole, dict(fields)
        for parent in parents:
            place = place.setdefault(parent, {})
            known = named(known.get(parent, {}).get("fields", []))
        rule = known.get(last, {"type": "string"})
        if rule["type"] in ("set", "array"):
            place.setdefault(last, []).append(typed(rule["elements"], text))
        else:
            place[last] = typed(rule, text)
    return whole


def typed(rule: Rule, text: str) -> Json:
    if rule["type"] in ("integer", "number") and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text) if "." in text else int(text)
    if rule["type"] == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


# --- the application --------------------------------------------------------------------------------------------------


@web.middleware
async def kong_manners(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors in Kong's words, and the headers that every answer carries."""
    started = time.monotonic()
    try:
        response = await handler(request)
    except Refusal as refusal:
        response = answer(refusal.body, refusal.status)
    except web.HTTPMethodNotAllowed as error:
        response = allowed(error) if request.method == "OPTIONS" else answer(not_allowed().body, 405)
    except web.HTTPNotFound:
        response = answer(not_found().body, 404)
    except web.HTTPUnsupportedMediaType as error:
        response = web.Response(status=415, text=error.text, content_type="text/html")
    response.headers["Server"] = SERVER
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers[LATENCY] = str(int((time.monotonic() - started) * 1000))
    return response


def allowed(error: web.HTTPMethodNotAllowed) -> web.Response:
    methods = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
    return web.Response(status=204, headers={"Allow": methods, "Access-Control-Allow-Methods": methods})
