"""What is documented is what there is: every key, every verb, every exit code that can happen."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from bluegreen.cli.__main__ import VERBS
from bluegreen.config import App, Gateway, Model, Secrets
from bluegreen.connections import KEYS
from bluegreen.kong import dns
from bluegreen.railway.endings import LEAVES_TEMPLATE, SENTENCES
from bluegreen.railway.retention import KEEPS
from bluegreen.railway.spec import Observed, Release
from bluegreen.rollout.spec import Rollout
from bluegreen.settings import Settings
from sandbox.demo_story import scenes

ROOT = Path(__file__).parent.parent
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
RAILWAY = (ROOT / "docs" / "railway.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def keys(model: type[BaseModel], *but: str) -> Iterator[str]:
    return (field.alias or name for name, field in model.model_fields.items() if name not in but)


@pytest.mark.parametrize(
    "key",
    [
        *keys(Settings, "owner"),
        *keys(App),
        *keys(Release),
        *keys(Observed),
        *keys(Rollout),
        *keys(Gateway),
        *keys(Model),
        *keys(Secrets),
        *KEYS,
    ],
)
def test_every_config_key_is_documented(key: str) -> None:
    assert re.search(rf"\b{key}\b", CONFIGURATION)


def test_every_end_of_a_deployment_is_documented_with_its_next_step_and_what_is_put_back() -> None:
    rows = [tuple(cell.strip() for cell in line.split("|")[1:4]) for line in RAILWAY.splitlines() if line[:1] == "|"]
    shown = {what: (next_, back[:2] == "no") for what, next_, back in (row for row in rows if len(row) == 3)}
    for how, (what, next_) in SENTENCES.items():
        told = re.sub(r"\{\w+\}", "…", what.replace("{name}", "backend-green"))
        assert shown.get(told) == (next_, how in LEAVES_TEMPLATE)


def test_what_kongs_names_may_cost_is_documented_as_it_is_told() -> None:
    configuration = {"dns_stale_ttl": 3600, "dns_order": ["LAST", "SRV", "A", "CNAME"]}
    defaults = dns.names({"configuration": configuration})
    told = (*dns.late(defaults, "backend-blue", 1), *dns.unfound(defaults))
    assert (len(told), [risk for risk in told if risk not in RAILWAY]) == (2, [])


def test_how_long_an_image_is_kept_is_documented() -> None:
    hours = {plan: round(kept.total_seconds() / 3600) for plan, kept in KEEPS.items()}
    said = f"{hours['free']} hours on Free (taken for Trial too), {hours['hobby']} on Hobby, {hours['pro']} on Pro"
    assert said in RAILWAY.replace("\n", " ")


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
