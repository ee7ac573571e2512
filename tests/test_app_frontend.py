"""The demo frontend: its page, its hashed files, and the files of the releases before it."""

import json
import re

import pytest

from sandbox.frontend.assets import bundle, served
from tests.app_room import App, app

API = {"PUBLIC_API_URL": "https://api.example.com/", "PUBLIC_API_KEY": "public</script><script>alert(1)"}
LINKED = re.compile(r'(?:src|href)="(/assets/[^"]+)"')


def linked(one: App) -> list[str]:
    """The files that the page loads."""
    return LINKED.findall(one.ask("GET", "/").body)


def test_a_page_loads_a_script_and_a_stylesheet_named_by_their_content() -> None:
    with app("v3", "frontend") as one:
        page = one.ask("GET", "/")
        files = {path: one.ask("GET", path) for path in linked(one)}
    assert (page.headers["content-type"], page.headers["cache-control"]) == ("text/html; charset=utf-8", "no-cache")
    assert [re.sub(r"[0-9a-f]{12}", "#", path) for path in files] == ["/assets/app-#.css", "/assets/app-#.js"]
    kinds = {answer.headers["content-type"].partition(";")[0] for answer in files.values()}
    assert ({answer.status for answer in files.values()}, kinds) == ({200}, {"text/css", "text/javascript"})
    assert {answer.headers["cache-control"] for answer in files.values()} == {"public, max-age=31536000, immutable"}


def test_the_same_image_has_the_same_files_in_either_colour_and_another_version_others() -> None:
    with (
        app("v3", "frontend") as blue,
        app("v3", "frontend", BLUEGREEN_COLOUR="green", BLUEGREEN_RELEASE="later") as green,
        app("v4", "frontend") as newer,
    ):
        assert linked(blue) == linked(green)
        assert set(linked(blue)) & set(linked(newer)) == set()


def test_a_page_loaded_before_a_switch_finds_its_files_after_it() -> None:
    with app("v3", "frontend") as before, app("v4", "frontend") as after:
        old = linked(before)
        assert [after.ask("GET", path).body for path in old] == [before.ask("GET", path).body for path in old]
        assert [after.ask("GET", path).status for path in old] == [200, 200]


@pytest.mark.parametrize(("version", "carried"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 3, 4]), (9, [6, 7, 8, 9])])
def test_a_release_carries_the_files_of_the_three_before_it(version: int, carried: list[int]) -> None:
    names = {f"/assets/{asset.name}" for one in carried for asset in (bundle(one).script, bundle(one).style)}
    assert set(served(version)) == names


def test_a_file_of_a_release_to_come_is_not_found() -> None:
    with app("v3", "frontend") as one:
        assert one.ask("GET", f"/assets/{bundle(4).script.name}").status == 404
        assert one.ask("GET", "/assets/../app_setup.py").status == 404


def test_release_1_shows_no_teams_and_release_2_does() -> None:
    assert [path in bundle(1).script.text for path in ("/api/projects", "/api/teams")] == [True, False]
    assert [path in bundle(2).script.text for path in ("/api/projects", "/api/teams")] == [True, True]


def test_the_page_says_where_the_api_is_and_cannot_be_broken_out_of() -> None:
    with app("v2", "frontend", **API) as one:
        page = one.ask("GET", "/projects/7")
    config = re.search(r'<script type="application/json" id="config">(.*?)</script>', page.body)
    assert config is not None
    assert json.loads(config[1]) == {
        "apiUrl": "https://api.example.com",
        "apiKey": API["PUBLIC_API_KEY"],
        "release": "r-v2",
        "colour": "blue",
    }
    assert "connect-src 'self' https://api.example.com;" in page.headers["content-security-policy"]


def test_a_browser_runs_nothing_but_the_releases_own_scripts() -> None:
    with app("v2", "frontend") as one:
        page = one.ask("GET", "/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self' 'sha256-" in policy
    assert "unsafe" not in policy
    assert (len(re.findall(r"<script>", page.body)), page.body.count("style=")) == (1, 0)


def test_the_api_is_not_the_frontends() -> None:
    with app("v2", "frontend") as one:
        assert (one.ask("GET", "/api/projects").status, one.ask("POST", "/", b"x").status) == (404, 405)
