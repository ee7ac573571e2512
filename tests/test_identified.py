"""What a release is, read off the stack's file by the provider: names of what is hidden, values of the rest."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from bluegreen import VERSION
from bluegreen.evidence.identity import Identity
from bluegreen.evidence.who import Who
from bluegreen.identified import identified
from bluegreen.journal import Began, LegTold, whole

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
IMAGE = "ghcr.io/acme/backend@sha256:"
CONFIG = f"""config:
  shop:railway: {{projectId: p, environmentId: e}}
  shop:apps:
    backend:
      kind: api
      live: green
      blue: {{image: "{IMAGE}{"a" * 64}", replicas: {{us-west2: 1}}}}
      green:
        image: "{IMAGE}{"b" * 64}"
        replicas: {{us-west2: 1}}
        schemaMin: "011"
        variables: {{LOG_LEVEL: debug-planted, ADDRESS: planted-address}}
  shop:secrets:
    backend: {{green: {{API_TOKEN: {{secure: v1:planted}}}}}}
    previewKey: planted-key
  shop:checks:
    - {{name: hello, app: backend, path: /api/hello}}
  bluegreen:kongAdminUrl: http://127.0.0.1:1
"""
BEGAN = Began(releases={"backend": "r-green"}, legs=(LegTold(app="backend", goal="green"),), by="ann", commit="c0ffee")


def found(folder: Path, began: Began = BEGAN, text: str = CONFIG, **environment: str) -> Identity | None:
    (folder / "Pulumi.test.yaml").write_text(text, encoding="utf-8")
    return identified("shop.test", environment, began, Who("somebody", "why", "other"), NOW)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_release_is_what_the_file_says_and_what_the_move_brings(tmp_path: Path) -> None:
    identity = found(tmp_path)
    assert identity is not None
    assert ("shop.test", "test", whole(BEGAN.releases)) == (identity.owner, identity.stack, identity.release)
    backend = identity.apps["backend"]
    assert ("green", "r-green", f"{IMAGE}{'b' * 64}", "011") == (
        backend.colour,
        backend.release,
        backend.image,
        backend.schema_min,
    )
    assert ("ann", "c0ffee", NOW, VERSION) == (
        identity.by,
        identity.commit,
        identity.at,
        identity.versions["bluegreen"],
    )


def test_nothing_of_a_secret_and_no_variables_value_is_in_it(tmp_path: Path) -> None:
    identity = found(tmp_path)
    assert identity is not None
    text = identity.model_dump_json()
    assert "planted" not in text
    assert "secrets" not in identity.config
    variables = identity.config["apps"]["backend"]["green"]["variables"]
    assert {"ADDRESS", "LOG_LEVEL"} == variables.keys()


def test_the_file_that_an_update_was_made_with_is_read_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(CONFIG.replace("LOG_LEVEL", "OTHER"), encoding="utf-8")
    identity = found(tmp_path, BLUEGREEN_CONFIG_FILE="other.yaml")
    assert identity is not None
    assert "OTHER" in identity.config["apps"]["backend"]["green"]["variables"]


OTHERS: Mapping[str, tuple[Began, str]] = {
    "another colour": (BEGAN.model_copy(update={"legs": (LegTold(app="backend", goal="blue"),)}), CONFIG),
    "another app": (BEGAN.model_copy(update={"releases": {"frontend": "r"}}), CONFIG),
    "no YAML": (BEGAN, "config: ["),
    "no config": (BEGAN, "config: 3"),
    "a config that does not fit": (BEGAN, CONFIG.replace("kind: api", "kind: none")),
    "a file that is too large": (BEGAN, CONFIG + "#" * (1 << 20)),
}


@pytest.mark.parametrize("which", OTHERS)
def test_a_file_that_wants_something_else_or_cannot_be_read_says_nothing(which: str, tmp_path: Path) -> None:
    began, text = OTHERS[which]
    assert found(tmp_path, began, text) is None


def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "Pulumi.test.yaml")
    said: list[Identity | None] = []
    asking = Thread(target=lambda: said.append(identified("shop.test", {}, BEGAN, Who(), NOW)), daemon=True)
    asking.start()
    asking.join(30)
    assert [None] == said


def test_without_a_file_nothing_is_known() -> None:
    assert identified("shop.test", {}, BEGAN, Who(), NOW) is None
