"""What is documented is what there is: every key, every verb, every exit code that can happen."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from bluegreen.cli.__main__ import VERBS
from bluegreen.config import App, Gateway, Model, Secrets
from bluegreen.connections import KEYS
from bluegreen.railway.spec import Release
from bluegreen.rollout.spec import Rollout
from bluegreen.settings import Settings
from sandbox.demo_story import scenes

ROOT = Path(__file__).parent.parent
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def keys(model: type[BaseModel], *but: str) -> Iterator[str]:
    return (field.alias or name for name, field in model.model_fields.items() if name not in but)


@pytest.mark.parametrize(
    "key",
    [
        *keys(Settings, "owner"),
        *keys(App),
        *keys(Release),
        *keys(Rollout),
        *keys(Gateway),
        *keys(Model),
        *keys(Secrets),
        *KEYS,
    ],
)
def test_every_config_key_is_documented(key: str) -> None:
    assert re.search(rf"\b{key}\b", CONFIGURATION)


def test_every_environment_variable_in_the_code_is_documented() -> None:
    sources = [*(ROOT / "bluegreen").rglob("*.py"), *(ROOT / "toolchain").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    used = {name for name in re.findall(r'"(BLUEGREEN_[A-Z_]+)"', text) if not name.endswith("_")}
    of_a_release = {"BLUEGREEN_OWNER", "BLUEGREEN_RELEASE", "BLUEGREEN_COLOUR", "BLUEGREEN_SECRETS"}
    assert sorted(used - of_a_release - set(re.findall(r"BLUEGREEN_[A-Z_]+", CONFIGURATION))) == []


def test_every_verb_is_in_the_readme() -> None:
    assert [verb.__name__ for verb in VERBS if f"bluegreen {verb.__name__}" not in README + CONFIGURATION] == []


def test_the_readme_begins_with_the_two_commands() -> None:
    first = README.partition("```")[2].partition("```")[0]
    assert [line.split("#")[0].strip() for line in first.strip().splitlines()] == ["make demo", "make test"]


def test_the_transcript_in_the_readme_has_every_scene_of_the_demo() -> None:
    shown = [line for line in README.splitlines() if line.startswith("▶ ")]
    assert shown == ["▶ bootstrap", *(f"▶ {scene.name}" for scene in scenes())]


def test_no_page_names_a_file_that_is_not_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    missing = [
        (page.name, link)
        for page in pages
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert missing == []
