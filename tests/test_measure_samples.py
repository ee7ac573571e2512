"""Every request of a probe for the record: once, with its colour, its time and what was wrong with it."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from aiohttp import web

from bluegreen.analysis import Sample
from bluegreen.measure import sampler
from bluegreen.measure.meter import Sampling
from tests.measure_room import PATIENT, Answering, colour_of, door, metric, watched, well

PROBE = metric(probe={"rps": 10.0})


async def green_is_ill(request: web.Request) -> web.StreamResponse:
    return well(request, 503) if colour_of(request) == "green" else well(request)


def after_two_looks(answer: Answering) -> list[tuple[Mapping[str, Sequence[Sample]], int]]:
    """What each of two looks has to say of ten probes a second, one second after another."""

    async def measured() -> list[tuple[Mapping[str, Sequence[Sample]], int]]:
        found = []
        async with (
            door(answer) as gateway,
            watched(Sampling(gateway.client, patience=PATIENT), PROBE) as (clock, watch),
        ):
            for sent in (11, 21):
                await clock.move(1)
                (look,) = await watch.look()
                while look.candidate.requests < sent or (look.live is not None and look.live.requests < sent):
                    (look,) = await watch.look()
                found.append((watch.samples(), watch.dropped()))
            found.append((watch.samples(), watch.dropped()))
        return found

    return asyncio.run(measured())


def test_every_request_is_told_once_with_what_was_wrong_with_it() -> None:
    first, second, third = after_two_looks(green_is_ill)
    assert [11 * 2, 10 * 2, 0] == [len(samples["shop"]) for samples, _ in (first, second, third)]
    assert {("blue", ""), ("green", "answered 503")} == {(each[1], each[3]) for each in first[0]["shop"]}
    assert all(each[2] is not None and each[2] >= 0 for each in first[0]["shop"])
    assert [0, 0, 0] == [dropped for _, dropped in (first, second, third)]


def test_a_request_is_told_by_the_seconds_since_the_look_before_it() -> None:
    first, second, _ = after_two_looks(green_is_ill)
    tenths = [round(at / 10, 1) for at in range(11)]
    assert tenths == sorted(each[0] for each in first[0]["shop"] if each[1] == "blue")
    assert tenths[1:] == sorted(each[0] for each in second[0]["shop"] if each[1] == "blue")


def test_what_is_too_much_to_be_kept_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "KEPT", 5)
    first, second, third = after_two_looks(green_is_ill)
    assert [5, 5, 0] == [len(samples["shop"]) for samples, _ in (first, second, third)]
    assert [22 - 5, 20 - 5, 0] == [dropped for _, dropped in (first, second, third)]
