"""Who lays a schema: a role of no rights of its own that may become anybody but a superuser, gone when it is done.

What production's schema holds is code of whoever may write there: an index, a check or a materialized view can call a
function while it is made. As superuser that function could start programs on the machine of whoever deploys; as this
role it cannot. What belongs to a superuser is made by this role as well and handed over at the end, which runs nothing.
The superuser himself lays what runs nothing either (schemas, grants, extensions of this machine), and what the role may
not lay, if the grammar says that it is quiet.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from bluegreen.postgres.scratch.laying import ACL, HEADER, OWNER_OF, Piece, laid
from bluegreen.postgres.scratch.plain import new_owner
from bluegreen.postgres.scratch.server import Scratch, quoted
from bluegreen.postgres.session import Session
from bluegreen.postgres.statements import split

OWNED = "pg_database_owner"  # whoever owns the database
OWNER = """
select r.rolname::text from pg_catalog.pg_database d join pg_catalog.pg_roles r on r.oid = d.datdba
where d.datname = current_database()
"""
# Up to Postgres 15 whoever may make roles may give himself those that start programs.
BELOW = """
select r.rolname::text from pg_catalog.pg_roles r where r.rolname !~ '^pg_' and not exists (
    select from pg_catalog.pg_roles s where pg_catalog.pg_has_role(r.oid, s.oid, 'member')
        and (s.rolsuper or s.rolcreaterole and current_setting('server_version_num')::int < 160000))
"""
OPTIONS_SINCE = 16


class Layer:
    """Lays pieces in one database, as whoever may; keeps what is handed over at the end."""

    def __init__(self, own: Session, top: Session, name: str, below: frozenset[str]) -> None:
        self._own, self._top, self._name, self._below = own, top, name, below
        self._later: list[Piece] = []

    async def lay(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Lay the pieces in their order; answers those that are refused.

        Raises:
            Lost: no answer came.
        """
        refused: list[Piece] = []
        batch: list[Piece] = []
        for whose, piece in ((self._whose(piece), piece) for piece in pieces):
            if whose == "later":
                self._later.append(piece)
            elif whose == "role":
                batch.append(self._kept(piece, self._below))
            else:
                refused += await laid(self._own, batch, self._otherwise)
                batch = []
                refused += await self._superuser(piece)
                if whose == "both":
                    refused += await laid(self._own, [piece])
        return [*refused, *await laid(self._own, batch, self._otherwise)]

    async def handed_over(self) -> list[Piece]:
        """What belongs to others becomes theirs, and then they grant what they did; answers what is refused."""
        later, self._later = self._later, []
        later.sort(key=lambda piece: piece.kind.endswith(ACL))
        return await laid(self._top, [piece for piece in later if piece.quiet])

    def _whose(self, piece: Piece) -> str:
        """Who lays it: a setting is for whatever follows, and who granted what is told when everybody has his own."""
        if piece.kind.endswith(ACL) and not piece.name.startswith("SCHEMA "):
            return "later"
        return {HEADER: "both", "SCHEMA": "superuser", ACL: "superuser", "EXTENSION": "superuser"}.get(
            piece.kind, "role"
        )

    async def _superuser(self, piece: Piece) -> list[Piece]:
        if not piece.quiet:
            return [piece]
        if piece.kind == "SCHEMA":
            granted = f"grant create, usage on schema {quoted(piece.name)} to {quoted(self._name)}"
            return await laid(self._top, [replace(piece, sql=f"{piece.sql};\n{granted}")])
        return await laid(self._top, [piece])

    async def _otherwise(self, piece: Piece) -> list[Piece]:
        """What the role may not lay: it may at least make what it may not give away, or it is quiet."""
        kept = self._kept(piece, frozenset())
        if kept is not piece and not await laid(self._own, [kept]):
            return []
        return await laid(self._top, [piece]) if piece.quiet else [piece]

    def _kept(self, piece: Piece, givable: frozenset[str]) -> Piece:
        """The piece without what says that it belongs to anybody else than these; that is said at the end."""
        parts = piece.parts or split(piece.sql)
        over = [part for part in parts if (who := new_owner(part.parsed)) and who not in givable]
        if not over:
            return piece
        self._later += [replace(piece, kind=OWNER_OF, sql=part.text, parts=(part,)) for part in over]
        kept = tuple(part for part in parts if part not in over)
        return replace(piece, sql=";\n".join(part.text for part in kept), parts=kept)


@asynccontextmanager
async def layer(scratch: Scratch, name: str) -> AsyncIterator[Layer]:
    """The one who lays in this database, for as long as the block lasts."""
    who = f"bluegreen_layer_{secrets.token_hex(4)}"
    async with scratch.superuser(name).session() as top:
        below = frozenset(role for (role,) in await top.rows(BELOW))
        options = " with inherit true, set true" if scratch.major >= OPTIONS_SINCE else ""
        await scratch.guest(who)
        try:
            await top.run(
                "".join(f"grant {quoted(role)} to {who}{options};" for role in sorted(below))
                + f"grant create on database {quoted(name)} to {who}; grant create, usage on schema public to {who}"
            )
            ((owner,),) = await top.rows(OWNER)
            async with scratch.at(name, who).session() as own:
                yield Layer(own, top, who, below | ({OWNED} if owner in below else set()))
        finally:
            await top.run(f"reassign owned by {who} to current_user; drop owned by {who}; drop role {who}")
