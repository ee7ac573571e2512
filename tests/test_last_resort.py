"""A fault of bluegreen itself: one sentence without a traceback or a secret, and the traceback for whoever asks."""

from pathlib import Path

import pytest

from tests.gateway_room import Here, play

SECRET = "hunter2-in-an-answer"
SILLY = f'{{"data":["{SECRET}"]}}'  # no Kong answers so, and no verb is made for it


async def shown(here: Here, *options: str, **environment: str) -> tuple[int | None, str, str]:
    here.fault({"kind": "answer", "status": 200, "body": SILLY}, path="*/targets", times=None)
    here.shop.environment |= environment
    process = await here.shop.command("hold", "show", *options)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_fault_of_our_own_is_one_sentence_in_three_beats(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, out, err = play(tmp_path, lambda here: shown(here, *options))
    assert (1, "") == (code, err)
    assert 1 == len(out.splitlines())
    assert "hold met a fault of bluegreen itself: " in out
    assert "Nothing more is known of the world." in out
    assert "Run it again with BLUEGREEN_DEBUG=1, which shows the traceback, and report that." in out
    assert ("Traceback" in out, SECRET in out) == (False, False)


def test_the_traceback_is_shown_to_whoever_asks_for_it(tmp_path: Path) -> None:
    code, out, err = play(tmp_path, lambda here: shown(here, BLUEGREEN_DEBUG="1"))
    assert (1, "") == (code, out)
    assert err.startswith("Traceback (most recent call last):")
