"""The resource Migration: what a preview tells, what state keeps, and that the ledger is believed and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from bluegreen.handler import Held, Refused
from bluegreen.postgres.migration import MigrationHandler
from bluegreen.postgres.session import Database
from bluegreen.postgres.spec import MigrationSpec, MigrationState
from bluegreen.provider.protos import provider_pb2, provider_pb2_grpc
from bluegreen.provider.server import Servicer
from tests.database import as_superuser, database
from tests.postgres_room import OWNER, WAITING, Context, ask, folder, halted, read, until, wanted
from tests.provider_engine import failure, plain, struct, who

TOKEN = "bluegreen:postgres:Migration"
TEAMS = "create table public.teams (id bigint primary key);\nalter table public.teams enable row level security;\n"
CONTRACT = "-- bluegreen:phase contract\n-- bluegreen:requires-schemaMin 011\ndrop table public.teams;\n"
NOWHERE = "postgresql://me:hush@127.0.0.1:1/shop"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports and backups go to where nobody looks."""
    monkeypatch.chdir(tmp_path_factory.mktemp("project"))


def spec(at: Path, version: str = "011", target: str = "011") -> MigrationSpec:
    (found,) = (file.spec(OWNER, wanted(target)) for file in read(at, target) if file.version == version)
    return found.model_copy(update={"dry_run": "skip"})


def handler(url: str) -> MigrationHandler:
    return MigrationHandler(lambda: Database(url), never)


def create(url: str, new: MigrationSpec) -> Held[MigrationState]:
    return asyncio.run(handler(url).create(Context(), new))


def previewed(url: str, new: MigrationSpec, old: Held[MigrationState] | None = None) -> tuple[str, MigrationState]:
    ctx = Context()
    state = asyncio.run(handler(url).preview(ctx, new, old))
    return " ".join(ctx.milestones), state


async def never(upstream: str) -> datetime | None:
    """Traffic that never moved."""
    return None


def no_database() -> Database:
    raise Refused("The address of the database is not configured.", world="Nothing was changed.", next="Set it.")


def test_a_preview_of_a_pending_file_says_what_it_is(tmp_path: Path) -> None:
    new = spec(folder(tmp_path, _011_teams=TEAMS))
    said, state = previewed(database(), new)
    assert said == (
        "011_teams: pending, 2 statements, expand; not tried on a copy. migrations.dryRun is skip, so there is no "
        "backup either (reports/test/migrations/011_teams/plan.md)"
    )
    assert state == MigrationState(version="011", name="teams", phase="expand", sha256=new.sha256)


def test_a_preview_of_a_contract_says_what_every_colour_must_have_declared(tmp_path: Path) -> None:
    at = folder(tmp_path, _011_teams=TEAMS, _012_gone=CONTRACT)
    said, _ = previewed(database(), spec(at, "012", "012"))
    assert said.startswith("012_gone: pending, 1 statement, contract; not tried on a copy")
    assert "; every colour must declare schemaMin 011. " in said


def test_a_preview_of_what_the_ledger_has_tells_when_it_was_applied(tmp_path: Path) -> None:
    url, new = database(), spec(folder(tmp_path, _011_teams=TEAMS))
    held = create(url, new)
    said, state = previewed(url, new)
    assert said == f"011_teams: applied on {held.state.applied_at:%Y-%m-%d at %H:%M} UTC for shop.test"
    assert state == held.state


def test_a_preview_without_a_database_goes_on_and_says_so(tmp_path: Path) -> None:
    new = spec(folder(tmp_path, _011_teams=TEAMS))
    said, state = previewed(NOWHERE, new)
    assert said == (
        "011_teams: pending, 2 statements, expand; not tried on a copy. "
        "Postgres cannot be reached at 127.0.0.1:1/shop: Connection refused"
    )
    assert state.applied_at is None


def test_a_preview_does_without_a_configured_database_where_it_is_offline_only(tmp_path: Path) -> None:
    new, ctx = spec(folder(tmp_path, _011_teams=TEAMS)), Context()
    asyncio.run(MigrationHandler(no_database, never, offline=True).preview(ctx, new, None))
    assert ctx.milestones == [
        "011_teams: pending, 2 statements, expand; not tried on a copy. The address of the database is not configured"
    ]
    assert halted(MigrationHandler(no_database, never).preview(Context(), new, None)).next == "Set it."


def test_an_edited_file_is_refused_in_a_preview(tmp_path: Path) -> None:
    url = database()
    held = create(url, spec(folder(tmp_path, _011_teams=TEAMS)))
    edited = spec(folder(tmp_path, _011_teams=f"{TEAMS}-- more\n"))
    for old in (None, held):
        halt = halted(handler(url).preview(Context(), edited, old))
        assert halt.what.startswith("011_teams was edited: ")
    assert halted(handler(url).update(Context(), edited, held)).what.startswith("011_teams was edited: ")


def test_a_preview_takes_it_that_what_comes_before_is_applied_by_then(tmp_path: Path) -> None:
    at = folder(tmp_path, _011_teams=TEAMS, _012_more="select 1")
    assert previewed(database(), spec(at, "012", "012"))[0].startswith("012_more: pending, 1 statement, expand; ")


def test_a_file_after_a_pending_contract_is_refused_in_a_preview(tmp_path: Path) -> None:
    at = folder(tmp_path, _011_teams=TEAMS, _012_gone=CONTRACT, _013_more="select 1")
    url = database()
    halt = halted(handler(url).preview(Context(), spec(at, "013", "013"), None))
    assert halt.what == (
        "013_more cannot be applied before 012, which this database has not seen. "
        "It is a contract, so a release of its own has to apply it first."
    )
    for version in ("011", "012"):
        create(url, spec(at, version, "013"))
    assert previewed(url, spec(at, "013", "013"))[0].startswith("013_more: pending, 1 statement, expand; ")


def test_an_update_that_has_applied_a_contract_applies_nothing_after_it(tmp_path: Path) -> None:
    at = folder(tmp_path, _011_teams=TEAMS, _012_gone=CONTRACT, _013_more="select 1")
    url = database()
    create(url, spec(at, "011", "013"))

    async def one_update() -> None:
        process = handler(url)
        await process.create(Context(), spec(at, "012", "013"))
        await process.create(Context(), spec(at, "013", "013"))

    halt = halted(one_update())
    assert (halt.what, halt.world) == (
        "013_more comes after the contract 012, which this very update has applied.",
        "Nothing was changed. 012 stays applied.",
    )
    assert create(url, spec(at, "013", "013")).id == "013"


def test_a_file_that_changed_since_its_preview_is_refused(tmp_path: Path) -> None:
    url, new = database(), spec(folder(tmp_path, _011_teams=TEAMS))
    now = spec(folder(tmp_path, _011_teams=f"{TEAMS}-- more\n"))
    halt = halted(handler(url).create(Context(), new))
    assert str(halt) == (
        f"{tmp_path}/011_teams.sql is not what was declared: its sha256 is {now.sha256[:12]}…, not "
        f"{new.sha256[:12]}…. Nothing was changed. It was changed meanwhile: preview again, then run pulumi up."
    )
    assert ask(url, "select to_regclass('public.teams')") == [(None,)]


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    new = spec(folder(tmp_path, _011_teams=TEAMS))
    (tmp_path / "011_teams.sql").unlink()
    halt = halted(handler(database()).create(Context(), new))
    assert halt.what == f"{tmp_path}/011_teams.sql does not fit: it cannot be read (No such file or directory)."


def test_a_create_says_what_it_did_and_keeps_what_the_ledger_holds(tmp_path: Path) -> None:
    url, ctx = database(), Context()
    new = spec(folder(tmp_path, _011_teams=f"-- bluegreen:verify select true\n{TEAMS}"))
    held = asyncio.run(handler(url).create(ctx, new))
    assert (held.id, held.state.sha256, held.state.applied_by, held.state.attempts) == (
        "011",
        new.sha256,
        "postgres",
        1,
    )
    assert held.state.took_ms is not None
    assert ctx.milestones == [
        f"011_teams: applied, 2 statements in {held.state.took_ms / 1000:.2f} s, 1 check true",
    ]


def test_a_create_takes_what_is_applied_as_it_is(tmp_path: Path) -> None:
    url, new, ctx = database(), spec(folder(tmp_path, _011_teams=TEAMS)), Context()
    first = create(url, new)
    again = asyncio.run(handler(url).create(ctx, new))
    assert again == first
    assert ctx.milestones == [
        f"011_teams: already applied on {first.state.applied_at:%Y-%m-%d at %H:%M} UTC for shop.test"
    ]


def test_a_read_finds_what_the_ledger_holds_and_nothing_else(tmp_path: Path) -> None:
    url, new = database(), spec(folder(tmp_path, _011_teams=TEAMS))
    assert asyncio.run(handler(url).read(Context(), "011", None)) is None
    held = create(url, new)
    assert asyncio.run(handler(url).read(Context(), "011", held)) == held
    assert asyncio.run(handler(url).read(Context(), "012", None)) is None
    ask(url, "delete from bluegreen.migrations")
    assert asyncio.run(handler(url).read(Context(), "011", held)) is None


def test_a_refresh_without_a_database_is_told(tmp_path: Path) -> None:
    halt = halted(handler(NOWHERE).read(Context(), "011", None))
    assert halt.what == "Postgres cannot be reached at 127.0.0.1:1/shop: Connection refused."


def test_an_update_applies_what_no_ledger_has(tmp_path: Path) -> None:
    url, new = database(), spec(folder(tmp_path, _011_teams=TEAMS))
    nothing = Held("011", new.model_dump(mode="json", by_alias=True), MigrationState())
    state = asyncio.run(handler(url).update(Context(), new, nothing))
    assert (state.version, state.attempts) == ("011", 1)
    assert asyncio.run(handler(url).update(Context(), new, Held("011", nothing.inputs, state))) == state


def test_a_migration_never_becomes_another_one(tmp_path: Path) -> None:
    at = folder(tmp_path, _011_teams=TEAMS, _012_more="select 1")
    held = Held("011", {}, MigrationState(version="011"))
    for asked in (handler(NOWHERE).preview, handler(NOWHERE).update):
        halt = halted(asked(Context(), spec(at, "012", "012"), held))
        assert halt.what == "Migration 011 cannot become 012."


def test_a_delete_keeps_the_schema_and_says_so(tmp_path: Path) -> None:
    url, ctx = database(), Context()
    held = create(url, spec(folder(tmp_path, _011_teams=TEAMS)))
    asyncio.run(handler(url).delete(ctx, held))
    assert ctx.milestones == ["011_teams is no longer looked after; its schema and its row in the ledger stay"]
    assert ask(url, "select to_regclass('public.teams')::text, count(*) from bluegreen.migrations") == [("teams", 1)]


# Through the engine's door.


class Opened:
    """What the provider's handlers are made from here: a database."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def close(self) -> None:
        return None


@asynccontextmanager
async def provider(url: str) -> AsyncIterator[Any]:
    """A provider of migrations that is served, as the engine's client sees it."""
    table: Mapping[str, Callable[[Opened], MigrationHandler]] = {
        TOKEN: lambda opened: MigrationHandler(lambda: Database(opened.url), never)
    }
    servicer = Servicer[Opened](table, lambda values: Opened(url), blank=lambda: Opened(url))
    server = grpc.aio.server()
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        await stub.Configure(provider_pb2.ConfigureRequest())
        yield stub
    await servicer.close()
    await server.stop(grace=None)


def bag(new: MigrationSpec) -> dict[str, Any]:
    return new.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_the_engine_previews_applies_reads_and_finds_no_difference(tmp_path: Path) -> None:
    news = bag(spec(folder(tmp_path, _011_teams=TEAMS)))

    async def inside() -> None:
        async with provider(database()) as stub:
            checked = await stub.Check(provider_pb2.CheckRequest(**who(TOKEN), news=struct(news)))
            assert (plain(checked.inputs), list(checked.failures)) == (news, [])
            asked = {**who(TOKEN), "properties": struct(news)}
            expected = await stub.Create(provider_pb2.CreateRequest(**asked, preview=True))
            assert plain(expected.properties)["sha256"] == news["sha256"]
            made = await stub.Create(provider_pb2.CreateRequest(**asked))
            assert (made.id, plain(made.properties)["appliedBy"]) == ("011", "postgres")
            imported = await stub.Read(provider_pb2.ReadRequest(**who(TOKEN), id="011"))
            assert plain(imported.properties) == plain(made.properties)
            diff = await stub.Diff(
                provider_pb2.DiffRequest(
                    **who(TOKEN), id="011", old_inputs=imported.inputs, olds=imported.properties, news=struct(news)
                )
            )
            assert dict(diff.detailedDiff) == {}

    asyncio.run(inside())


@pytest.mark.parametrize("sql", ["select * from nowhere", "-- bluegreen:verify select false\nselect 1"])
def test_the_engine_is_told_in_one_sentence_and_state_stays_as_it_was(tmp_path: Path, sql: str) -> None:
    news = bag(spec(folder(tmp_path, _011_teams=sql)))

    async def inside() -> tuple[grpc.StatusCode, str, Any]:
        async with provider(database()) as stub:
            return await failure(stub.Create(provider_pb2.CreateRequest(**who(TOKEN), properties=struct(news))))

    code, told, held = asyncio.run(inside())
    assert (code, held) == (grpc.StatusCode.FAILED_PRECONDITION, None)
    assert told.startswith("011_teams ")
    assert told.endswith("so it may still change), then run this again.")


def test_an_engine_that_cancels_gets_the_transaction_rolled_back(tmp_path: Path) -> None:
    url = database()
    news = bag(spec(folder(tmp_path, _011_teams=f"{TEAMS}{WAITING}select pg_sleep(60);")))
    sleeping = "select exists (select from pg_stat_activity where wait_event = 'PgSleep' and datname = '{}')"

    async def inside() -> tuple[grpc.StatusCode, str, Any]:
        async with provider(url) as stub:
            work = asyncio.ensure_future(
                failure(stub.Create(provider_pb2.CreateRequest(**who(TOKEN), properties=struct(news))))
            )
            await until(as_superuser(url), sleeping.format(url.rpartition("/")[2]))
            await stub.Cancel(Empty())
            return await work

    code, told, held = asyncio.run(inside())
    assert (code, held) == (grpc.StatusCode.FAILED_PRECONDITION, None)
    assert told.startswith("011_teams was asked to stop, and was not applied.")
    assert ask(url, "select to_regclass('public.teams')") == [(None,)]


def moving(url: str, ago: timedelta | None) -> MigrationHandler:
    """A handler beside an app that moved so long ago and could go back; None: there is nothing to go back to."""

    async def moved(upstream: str) -> datetime | None:
        assert upstream == "backend"
        return None if ago is None else datetime.now(UTC) - ago

    return MigrationHandler(lambda: Database(url), moved)


def contract(tmp_path: Path) -> MigrationSpec:
    at = folder(tmp_path, _011_gone=CONTRACT.replace("drop table public.teams", "select 1"))
    (file,) = read(at, "011")
    return file.spec(OWNER, wanted("011"), ["backend"], timedelta(hours=72))


def test_a_contract_waits_until_no_rollback_can_come_any_more(tmp_path: Path) -> None:
    url, new = database(), contract(tmp_path)
    young = moving(url, timedelta(hours=71))
    for refused in (halted(young.create(Context(), new)), halted(young.preview(Context(), new, None))):
        assert refused.what.startswith("011_gone is a contract, and backend moved at ")
        assert (
            refused.next == "Apply it after that in an update of its own, or take the other colour's block out first."
        )
    asyncio.run(moving(url, timedelta(hours=73)).create(Context(), new))


def test_a_contract_does_not_wait_where_there_is_nothing_to_go_back_to_nor_once_it_is_applied(tmp_path: Path) -> None:
    url, new = database(), contract(tmp_path)
    held = asyncio.run(moving(url, None).create(Context(), new))
    again = asyncio.run(moving(url, timedelta(hours=1)).update(Context(), new, held))
    assert again == held.state
