"""What the program itself says of a stack's config under the real engine, before anything is declared."""

from collections.abc import Iterator

import pytest

from tests.box import Box, box

PASSWORD = "pa55word+of/a?registry"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with box(tmp_path_factory.mktemp("warned")) as made:
        yield made


def _set(here: Box, half: str, value: str) -> None:
    path = f'velro:secrets.registries["registry.sandbox"].{half}={value}'
    run = here.stack.run("config", "set-all", "--path", "--secret", path)
    assert run.code == 0, run.output
    here.stack.reload()


def test_what_may_lose_requests_is_warned_of_and_half_of_a_registrys_credentials_is_refused(here: Box) -> None:
    here.stack.config["velro:apps"]["backend"]["blue"] |= {"overlapSeconds": 0, "startCommand": "npm start"}
    here.stack.write()
    _set(here, "username", "robot")
    half = here.stack.run("preview")
    _set(here, "password", PASSWORD)
    whole = here.stack.run("preview")
    assert (half.code, whole.code) == (1, 0)
    assert "error: secrets.registries of registry.sandbox needs both a username and a password." in half.output
    told = whole.output.partition("Diagnostics:")[2].splitlines()
    assert [line.strip() for line in told if "warning:" in line] == [
        "warning: apps.backend.blue.overlapSeconds is 0: the deployment before ends while requests are still sent to"
        " it. Write 20.",
        "warning: apps.backend.blue.startCommand is 'npm start', and npm does not hand SIGTERM on, so requests that are"
        " still being answered are cut off. Write the command itself, such as node server.js.",
    ]
    assert PASSWORD not in half.output + whole.output
