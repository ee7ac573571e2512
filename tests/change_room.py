"""Files that are planned and applied on a database of their own: what the tests of a change share."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from bluegreen.postgres import ledger
from bluegreen.postgres.change import Change
from bluegreen.postgres.plan import Plan
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import Backups, MigrationSpec
from tests.database import database
from tests.postgres_room import OWNER, Context, ask, folder, read, wanted

T = TypeVar("T")
TEAMS = "create table public.teams (id bigint primary key);\nalter table public.teams enable row level security;\n"
ANN = "00000000-0000-0000-0000-00000000000a"
# A row on the database, and none on a copy: sign-up makes the user too.
SIGN_UP = f"insert into auth.users (id, email) values ('{ANN}', 'ann@people.test')"

# A copy has no rows, so there the schema is made.
UNLIKE = """
-- bluegreen:allow opaque-code it is short
do $$ begin
    if not exists (select from public.users) then
        execute 'create schema notes';
    end if;
end $$;
"""


@dataclass
class Watcher(Context):
    """A context whose passing states are heard too."""

    on_status: Callable[[str], None] = field(default=lambda text: None)

    async def status(self, text: str) -> None:
        self.states.append(text)
        self.on_status(text)


@dataclass
class Room:
    """One database, one folder of migrations, and where reports and backups of them go."""

    at: Path
    url: str = field(default_factory=database)

    @property
    def files(self) -> Path:
        return self.at / "migrations"

    def write(self, **scripts: str) -> None:
        folder(self.files, **scripts)

    def beside(self, name: str, text: str) -> None:
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def spec(self, version: str = "011", target: str = "011", **more: Any) -> MigrationSpec:
        (file,) = (file for file in read(self.files, target) if file.version == version)
        told = {"reports": str(self.at / "reports"), "backup": Backups(folder=str(self.at / "backups")), **more}
        return file.spec(OWNER, wanted(target)).model_copy(update=told)

    def change(self, ctx: Context | None = None, version: str = "011", target: str = "011", **more: Any) -> Change:
        (file,) = (file for file in read(self.files, target) if file.version == version)
        return Change(Database(self.url), file, self.spec(version, target, **more), ctx or Context())

    async def plans(self, change: Change, **how: bool) -> Plan:
        return await change.planned(await ledger.look(change.database), **how)

    def planned(self, version: str = "011", target: str = "011", **more: Any) -> Plan:
        return run(self.plans(self.change(None, version, target, **more)))

    def points(self) -> list[Path]:
        """Every backup point that there is."""
        return sorted((self.at / "backups").glob("*/*/*"))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return ask(self.url, query)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def never(upstream: str) -> datetime | None:
    """Traffic that never moved."""
    return None
