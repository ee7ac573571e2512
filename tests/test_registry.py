"""The sandbox's image registry: tags, digests, behaviours."""

import re
import subprocess
import sys

import pytest

from sandbox.registry import Behaviour, UnknownImage, behaviour, by_digest, image, main, resolve


def test_a_tag_is_pinned_by_a_digest() -> None:
    pinned = resolve("registry.sandbox/backend:v42")
    assert re.fullmatch(r"registry\.sandbox/backend@sha256:[0-9a-f]{64}", pinned)


def test_a_pinned_reference_stays_as_it_is() -> None:
    pinned = resolve("registry.sandbox/frontend:v7-slow")
    assert resolve(pinned) == pinned


def test_another_process_derives_the_same_digest() -> None:
    command = [sys.executable, "-m", "sandbox.registry", "resolve", "registry.sandbox/backend:v42-failing"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert told.stdout.strip() == resolve("registry.sandbox/backend:v42-failing")


@pytest.mark.parametrize("does", list(Behaviour))
def test_a_digest_leads_back_to_its_tag_and_behaviour(does: Behaviour) -> None:
    tag = "v42" if does is Behaviour.GOOD else f"v42-{does.value}"
    found = image(resolve(f"registry.sandbox/backend:{tag}"))
    assert (found.app, found.tag, found.behaviour) == ("backend", tag, does)
    assert behaviour(found.pinned) is does


def test_no_two_images_share_a_digest() -> None:
    assert len(by_digest()) == 2 * 999 * len(Behaviour)


@pytest.mark.parametrize(
    "reference",
    [
        "registry.sandbox/backend",
        "registry.sandbox/backend:latest",
        "registry.sandbox/backend:v0",
        "registry.sandbox/backend:v1000",
        "registry.sandbox/backend:v1-good",
        "registry.sandbox/backend:v1-sleepy",
        "registry.sandbox/database:v1",
        "ghcr.io/velro/backend:v1",
        "registry.sandbox/backend@sha256:" + "0" * 64,
    ],
)
def test_what_the_registry_does_not_serve_is_refused_by_name(reference: str) -> None:
    with pytest.raises(UnknownImage) as refused:
        resolve(reference)
    assert reference in str(refused.value)


def test_a_digest_of_another_app_is_refused() -> None:
    digest = resolve("registry.sandbox/frontend:v1").partition("@")[2]
    with pytest.raises(UnknownImage):
        resolve(f"registry.sandbox/backend@{digest}")


def test_the_command_line_says_what_is_wrong_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resolve", "registry.sandbox/backend:latest"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("registry.sandbox/backend:latest does not exist.")


def test_the_command_line_describes_a_digest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", resolve("registry.sandbox/backend:v42-crash-later")]) == 0
    assert capsys.readouterr().out == "registry.sandbox/backend:v42-crash-later crash-later\n"
