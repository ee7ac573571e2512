"""A baseline file in a scratch server: the schema as somebody wrote it down, where the real database is out of reach.

It runs as the owner, who is no superuser. Of a file that pg_dump wrote, or one that makes roles, the superuser runs
what makes or grants something and runs no code of the file's, since nobody else may. Roles that it names and does not
make are made first, what Supabase brings too if it speaks of it. An extension that is not installed here is left out
and named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bluegreen.handler import Refused
from bluegreen.postgres.scratch import platform, shims
from bluegreen.postgres.scratch.laying import laid
from bluegreen.postgres.scratch.people import bare
from bluegreen.postgres.scratch.plain import is_setting, layable, quiet
from bluegreen.postgres.scratch.server import Scratch
from bluegreen.postgres.session import NOTHING, Session, SqlError
from bluegreen.postgres.statements import Unparsable, place, split

DUMPED = "-- PostgreSQL database dump"
PSQL = ("\\restrict", "\\unrestrict", "\\connect")
SPECIAL = frozenset({"public", "current_user", "session_user", "current_role"})
THERE = "select rolname::text from pg_catalog.pg_roles"
AVAILABLE = "select name::text from pg_catalog.pg_available_extensions"


@dataclass(frozen=True)
class Script:
    """A file and what its statements say that they need and make."""

    path: Path
    text: str

    @cached_property
    def parsed(self) -> list[tuple[Any, str, int]]:
        """Each statement: its tree, its text, and where it begins."""
        from pglast.parser import parse_sql

        return [
            (raw.stmt, statement.text, statement.at)
            for raw, statement in zip(parse_sql(self.text), split(self.text), strict=True)
        ]

    @property
    def dumped(self) -> bool:
        return DUMPED in self.text

    @cached_property
    def schemas(self) -> frozenset[str]:
        return frozenset(tree.schemaname for tree, _, _ in self.parsed if type(tree).__name__ == "CreateSchemaStmt")

    @cached_property
    def roles(self) -> frozenset[str]:
        """Those that it makes."""
        return frozenset(tree.role for tree, _, _ in self.parsed if type(tree).__name__ == "CreateRoleStmt")

    @cached_property
    def named(self) -> frozenset[str]:
        """Those that it grants something to, or lets own something."""
        found = {name for tree, _, _ in self.parsed for name in _roles(tree)}
        return frozenset(found - SPECIAL - self.roles)

    def extension(self, tree: Any) -> str | None:
        """The extension that a statement makes or comments on."""
        if type(tree).__name__ == "CreateExtensionStmt":
            return str(tree.extname)
        if type(tree).__name__ == "CommentStmt" and tree.objtype.name == "OBJECT_EXTENSION":
            return str(tree.object.sval)
        return None


async def lay_file(scratch: Scratch, path: Path, name: str) -> list[str]:
    """A new database `name` with what the file makes; answers what is left out.

    Raises:
        Refused: it cannot be read, or does not go through.
    """
    script = _read(path)
    async with scratch.superuser().session() as session:
        there = frozenset(role for (role,) in await session.rows(THERE))
        extensions = frozenset(extension for (extension,) in await session.rows(AVAILABLE))
        known = there | script.roles | set(platform.CREATED)
        await laid(session, bare(sorted(script.named), known))
    database = await scratch.database(name)
    async with scratch.superuser(name).session() as session:
        if platform.needed(script.text):
            await session.run(platform.script(there, script.roles, script.schemas))
        lost = [extension for tree, _, _ in script.parsed if (extension := script.extension(tree))]
        lost = sorted({extension for extension in lost if extension not in extensions})
        await laid(session, shims.of_known(lost, "extensions" if platform.needed(script.text) else "public"))
    async with scratch.superuser(name).session("baseline") as top, database.session("baseline") as own:
        for tree, text, at in script.parsed:
            if script.extension(tree) not in lost:
                try:
                    for session in _who(script, tree, top, own):
                        await session.rows(text)
                except SqlError as problem:
                    raise _unfit(script, at, problem) from problem
    return [f"extension {extension}" for extension in lost]


def _who(script: Script, tree: Any, top: Session, own: Session) -> Sequence[Session]:
    """Who runs a statement; a setting is for both."""
    if is_setting(tree):
        return (top, own)
    above = (script.dumped or script.roles) and layable([tree]) and quiet([tree])
    return (top,) if above else (own,)


def _read(path: Path) -> Script:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        script = Script(path, "\n".join("" if line.startswith(PSQL) else line for line in lines))
        split(script.text)
    except (OSError, UnicodeDecodeError, Unparsable) as problem:
        raise Refused(
            f"The baseline {path} cannot be read: {problem}.",
            world=NOTHING,
            next="Write the schema there with pg_dump --schema-only, or name the database itself.",
        ) from problem
    return script


def _unfit(script: Script, at: int, problem: SqlError) -> Refused:
    index = at + (problem.position or 1) - 1
    return Refused(
        f"The baseline {script.path} fails at {place(script.text, index)}: {problem.message} ({problem.code}).",
        world=NOTHING,
        next="Correct the file, or name the database itself instead of it.",
    )


def _roles(tree: Any) -> set[str]:
    from pglast import ast
    from pglast.visitors import Visitor

    found: set[str] = set()

    class Named(Visitor):
        def visit_RoleSpec(self, ancestors: Any, node: ast.RoleSpec) -> None:
            if node.rolename:
                found.add(str(node.rolename))

    Named()(tree)
    return found
