"""response-transformer in the stand-in: headers come and go on the app's answers and on Kong's own."""

import asyncio
from collections.abc import Mapping, Sequence

from tests.kong_room import application, room

Shown = Mapping[str, Sequence[str]]


def shown(config: Mapping[str, Mapping[str, Sequence[str]]], *plugins: Mapping[str, object]) -> tuple[int, Shown]:
    """Status and the headers of one answer behind the transformer and these plugins."""

    async def play() -> tuple[int, Shown]:
        async with application("blue") as app, room() as here:
            await here.routed({app.target: 100})
            for plugin in ({"name": "response-transformer", "config": config}, *plugins):
                await here.made("POST", "/routes/api/plugins", plugin)
            here.kong.cluster.settle()
            async with here.request("/api") as answer:
                names = {name.lower() for name in answer.headers}
                return answer.status, {name: answer.headers.getall(name) for name in names}

    return asyncio.run(play())


def test_a_header_is_added_unless_the_app_sends_it() -> None:
    status, headers = shown({"add": {"headers": ["X-Preview:backend-green", "X-Colour:mine"]}})
    assert (status, headers["x-preview"], headers["x-colour"]) == (200, ["backend-green"], ["blue"])


def test_kong_s_own_refusal_is_marked_like_the_app_s_answers() -> None:
    status, headers = shown({"add": {"headers": ["X-Preview:backend-green"]}}, {"name": "key-auth"})
    assert (status, headers["x-preview"]) == (401, ["backend-green"])


def test_headers_are_removed_renamed_replaced_and_appended_in_this_order() -> None:
    config = {"remove": {"headers": ["Via-App"]}, "rename": {"headers": ["X-Colour:X-Slot"]}}
    more = {"replace": {"headers": ["X-Slot:green", "X-None:never"]}, "append": {"headers": ["X-Slot:again"]}}
    _, headers = shown({**config, **more})
    assert (headers["x-slot"], "x-colour" in headers, "x-none" in headers) == (["green", "again"], False, False)


def test_a_removed_header_is_gone() -> None:
    assert "x-colour" not in shown({"remove": {"headers": ["x-colour"]}})[1]
