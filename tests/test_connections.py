"""Where a connection's values come from, and that none is needed before it is used."""

import asyncio
import json
from pathlib import Path

import pytest

from bluegreen.connections import KEYS, Connections, connect, variable
from bluegreen.handler import Refused
from bluegreen.journal import Told, whole


def test_the_environment_wins_over_the_config_and_the_config_over_the_arguments() -> None:
    config = {"kongAdminUrl": "from config", "kongProxyUrl": "from config"}  # as the engine hands it to a plugin
    environment = {"BLUEGREEN_KONG_ADMIN_URL": "from environment", "PULUMI_CONFIG": json.dumps(config)}
    arguments = dict.fromkeys(("kongAdminUrl", "kongProxyUrl", "previewKey"), "from arguments")
    assert connect(arguments, environment).values == {
        "kongAdminUrl": "from environment",
        "kongProxyUrl": "from config",
        "previewKey": "from arguments",
    }


def test_every_key_has_an_environment_variable_of_its_own() -> None:
    assert variable("kongAdminKeyHeader") == "BLUEGREEN_KONG_ADMIN_KEY_HEADER"
    assert len({variable(key) for key in KEYS}) == len(KEYS)


def test_a_missing_address_says_how_to_give_it() -> None:
    with pytest.raises(Refused) as refused:
        connect({}, {}).kong()
    assert str(refused.value) == (
        "The address of Kong's Admin API is not configured. Nothing was changed. "
        "Set bluegreen:kongAdminUrl in the stack config, or the environment variable BLUEGREEN_KONG_ADMIN_URL."
    )


def test_a_rollback_needs_no_railway_token() -> None:
    assert connect({}, {}).railway() is not None


@pytest.mark.parametrize(("said", "kind"), [({}, "project"), ({"railwayTokenKind": "workspace"}, "workspace")])
def test_the_kind_of_the_railway_token_is_said_in_the_config(said: dict[str, str], kind: str) -> None:
    assert connect({}, {"PULUMI_CONFIG": json.dumps(said)}).railway().kind == kind


def test_a_kind_of_token_that_there_is_not_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        connect({}, {"BLUEGREEN_RAILWAY_TOKEN_KIND": "team"}).railway()
    assert str(refused.value) == (
        "bluegreen:railwayTokenKind is 'team', neither project nor workspace. Nothing was changed. "
        "Write workspace for a workspace's or an account's token, project for an environment's."
    )


def test_teardown_and_offline_are_said_in_the_environment() -> None:
    plain, told = connect({}, {}), connect({}, {"BLUEGREEN_TEARDOWN": "1", "BLUEGREEN_OFFLINE": "1"})
    assert [(c.teardown, c.offline) for c in (plain, told)] == [(False, False), (True, True)]


def test_what_nothing_may_show_is_every_secret_and_the_password_by_itself() -> None:
    url = "postgresql://me:hu%40sh-hush@db.test:5432/shop"
    known = Connections(
        {"databaseUrl": url, "railwayToken": "token-of-a-kind", "kongAdminKey": "k", "kongAdminUrl": "http://kong"}
    )
    assert set(known.secrets) == {url, "hu@sh-hush", "token-of-a-kind"}


def test_reports_go_into_the_folder_that_is_named_and_into_reports_otherwise(tmp_path: Path) -> None:
    named = connect({}, {"BLUEGREEN_REPORTS": str(tmp_path)})
    assert (Path("reports"), tmp_path) == (connect({}, {}).reports, named.reports)
    assert (tmp_path, "test") == (named.bundles("test").root, named.bundles("test").stack)


def test_what_nothing_may_show_is_in_no_record(tmp_path: Path) -> None:
    secrets = {"BLUEGREEN_PREVIEW_KEY": "planted-preview", "BLUEGREEN_KONG_ADMIN_KEY": "planted-admin"}
    connections = connect({}, {"BLUEGREEN_REPORTS": str(tmp_path), **secrets})

    async def written() -> str:
        journal = connections.journal("test", ["planted-metric"])
        journal.note(Told(text="planted-preview, planted-admin, planted-metric"), {"backend": "r"})
        return await journal.settle()

    assert "" == asyncio.run(written())
    connections.bundles("test").bundle(whole({"backend": "r"})).write_text("report.md", "planted-admin")
    texts = [file.read_text(encoding="utf-8") for file in tmp_path.rglob("*") if file.is_file()]
    assert 3 == len(texts)
    assert [] == [text for text in texts if "planted" in text]
