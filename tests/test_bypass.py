"""`bluegreen bypass`: a way past the gateway is only what was made beforehand and answers as the serving release."""

import asyncio
from pathlib import Path

from bluegreen.cli.bypass import Way, bypass
from bluegreen.cli.verb import Exit, Outcome
from tests.gateway_room import Here, play


def past(here: Here, path: str = "") -> None:
    """The config names blue's own address."""
    here.shop.config["shop:gateway"] = {"bypass": {"backend": {"blue": f"http://127.0.0.1:{here.app.port}{path}"}}}


def test_without_a_domain_there_is_no_way_and_it_says_what_to_make(tmp_path: Path) -> None:
    outcome = play(tmp_path, lambda here: here.do(bypass, "backend"))
    assert Exit.REFUSED == outcome.exit
    assert (
        "There is no way to backend past the gateway: gateway.bypass.backend.blue is not in the config." == outcome.what
    )
    assert outcome.next.startswith("Make a domain for backend-blue on Railway before it is needed")


def test_a_domain_that_answers_as_the_serving_release_is_told(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, str, int]:
        past(here)
        return await here.do(bypass, "backend"), here.release, here.app.port

    outcome, release, port = play(tmp_path, scene)
    assert isinstance(outcome.facts, Way)
    assert (Exit.OK, "blue", release) == (outcome.exit, outcome.facts.colour, outcome.facts.release)
    assert f"backend answers past the gateway at http://127.0.0.1:{port}, as release {release} on blue." == outcome.what


def test_a_domain_on_which_another_release_answers_is_no_way(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, str]:
        past(here)
        serving, here.release = here.release, "of-yesterday"
        return await here.do(bypass, "backend"), serving

    outcome, serving = play(tmp_path, scene)
    assert Exit.REFUSED == outcome.exit
    assert f"answered 200 by release of-yesterday, not {serving}." in outcome.what


def test_a_domain_that_nobody_answers_on_is_no_way(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[int | None, str]:
        closed = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = closed.sockets[0].getsockname()[1]
        closed.close()
        here.shop.config["shop:gateway"] = {"bypass": {"backend": {"blue": f"http://127.0.0.1:{port}"}}}
        process = await here.shop.command("bypass", "backend")
        said = (await process.communicate())[0].decode()
        return process.returncode, said

    code, said = play(tmp_path, scene)
    assert (15, True) == (code, said.startswith("backend-blue did not answer GET /health: ")), said
    assert "Look at that domain on Railway." in said


def test_while_kong_does_not_answer_the_config_says_who_serves(tmp_path: Path) -> None:
    async def scene(here: Here) -> tuple[Outcome, list[str]]:
        past(here)
        here.fault({"kind": "answer", "status": 503}, path="*", times=None)
        return await here.do(bypass, "backend"), here.shop.clock.milestones

    outcome, told = play(tmp_path, scene)
    assert Exit.OK == outcome.exit, outcome.what
    assert [True] == [line.endswith("Taken from the config: blue is live.") for line in told]


def test_an_app_that_is_none_is_refused(tmp_path: Path) -> None:
    outcome = play(tmp_path, lambda here: here.do(bypass, "shop"))
    assert (Exit.REFUSED, "There is no app 'shop'.") == (outcome.exit, outcome.what)
