"""Kong as a gateway, over the wire against the stand-in: what a write may assume, and what a proof is worth."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluegreen.gateway import Moved, MoveTag, Slot, Split, Unproven
from bluegreen.handler import Refused
from bluegreen.http import ApiError, Client, LostReply
from bluegreen.kong.api import Kong
from bluegreen.kong.gateway import KongGateway, _slot, _tags
from bluegreen.spec import COLOURS
from tests.kong_room import Room, room

SOON = timedelta(seconds=0.4)
BLUE = Slot("blue", "127.0.0.1:9001", 100, owner="shop.test", release="r-blue")
GREEN = Slot("green", "127.0.0.1:9002", 0, owner="shop.test", release="r-green")
Scene = Callable[[KongGateway, Room], Awaitable[None]]


def play(scene: Scene, *, workers: int = 2, nodes: int = 1) -> None:
    """Run a scene on a fresh Kong whose upstream `backend` has blue live and green beside it."""

    async def run() -> None:
        async with room(workers=workers, nodes=nodes) as here:
            client = Client("Kong's Admin API", f"http://127.0.0.1:{here.kong.admin_port}")
            gateway = KongGateway(Kong(client))
            await here.made("PUT", "/upstreams/backend", {})
            await gateway.put("backend", BLUE, seen=None)
            await gateway.put("backend", GREEN, seen=None)
            here.kong.cluster.settle()
            async with client:
                await scene(gateway, here)

    asyncio.run(run())


def test_a_move_under_way_may_still_go_back_however_old_the_one_before_is() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        long_ago, mark = datetime(2026, 1, 1, tzinfo=UTC), MoveTag("m1", "blue", datetime(2026, 1, 2, tzinfo=UTC))
        blue, green = [(await gateway.split("backend")).slots[colour] for colour in COLOURS]
        await gateway.put("backend", replace(green, weight=100, move=mark), seen=green)
        await gateway.put("backend", replace(blue, weight=0, since=long_ago), seen=blue)
        moved = await gateway.moved("backend")
        assert moved is not None
        assert moved > datetime.now(UTC) - timedelta(minutes=1)
        green = (await gateway.split("backend")).slots["green"]
        await gateway.put("backend", replace(green, move=None, since=long_ago), seen=green)
        assert await gateway.moved("backend") == long_ago

    play(scene)


def test_a_slot_is_read_as_it_was_written() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        slots = (await gateway.split("backend")).slots
        assert {colour: replace(slots[colour], row=None) for colour in COLOURS} == {"blue": BLUE, "green": GREEN}

    play(scene)


@given(
    slot=st.builds(
        Slot,
        colour=st.sampled_from(COLOURS),
        address=st.just("127.0.0.1:9001"),
        weight=st.integers(0, 100),
        owner=st.none() | st.from_regex(r"[a-z]{1,8}\.[a-z,/% ]{1,8}", fullmatch=True),
        release=st.none() | st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
        since=st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
        move=st.none()
        | st.builds(
            MoveTag,
            id=st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
            origin=st.none() | st.sampled_from(COLOURS),
            deadline=st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
        ),
        rejected=st.booleans(),
    )
)
def test_everything_about_a_slot_survives_in_tags(slot: Slot) -> None:
    row = {"id": None, "target": slot.address, "weight": slot.weight, "tags": _tags(slot)}
    assert _slot(row) == slot
    assert not any(forbidden in tag for tag in _tags(slot) for forbidden in ",/\t\n")


def test_a_proof_has_met_every_worker_of_every_node() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        proof = await gateway.prove(await gateway.split("backend"), within=timedelta(seconds=20), nodes=2)
        assert proof.nodes == 2
        assert proof.answers >= 6

    play(scene, workers=3, nodes=2)


def test_weights_that_one_worker_does_not_know_are_unproven() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        await here.made("PUT", "/__faults/lag", {"effect": {"kind": "lag", "seconds": 3600}})
        split = await gateway.split("backend")
        await gateway.put("backend", replace(split.slots["green"], weight=100), seen=split.slots["green"])
        with pytest.raises(Unproven) as unproven:
            await gateway.prove(await gateway.split("backend"), within=SOON, nodes=1)
        assert "1 of 2 Kong workers do not serve blue 100 / green 100" in unproven.value.what
        assert not unproven.value.unseen

    play(scene)


def test_a_node_that_never_answers_is_unseen_not_in_disagreement() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        with pytest.raises(Unproven) as unproven:
            await gateway.prove(await gateway.split("backend"), within=SOON, nodes=2)
        assert unproven.value.unseen

    play(scene)


def test_a_proof_never_comes_from_an_admin_api_that_fails() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        fault = {"where": {"path": "/upstreams/*/health", "times": None}, "effect": {"kind": "answer", "status": 500}}
        await here.made("PUT", "/__faults/broken", fault)
        with pytest.raises(Unproven) as unproven:
            await gateway.prove(await gateway.split("backend"), within=SOON, nodes=1)
        assert "Kong gave no answer that could prove" in unproven.value.what
        assert not unproven.value.unseen

    play(scene)


def test_a_slot_that_changed_since_it_was_read_is_not_written() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        seen = (await gateway.split("backend")).slots["green"]
        await here.made("PATCH", f"/upstreams/backend/targets/{seen.row}", {"weight": 7})
        with pytest.raises(Moved):
            await gateway.put("backend", replace(seen, weight=100), seen=seen)
        assert (await gateway.split("backend")).slots["green"].weight == 7

    play(scene)


def test_a_row_that_somebody_made_anew_is_fenced_off() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        seen = (await gateway.split("backend")).slots["green"]
        await here.made("DELETE", f"/upstreams/backend/targets/{seen.row}")
        await gateway.put("backend", GREEN, seen=None)
        for write in (gateway.put("backend", replace(seen, weight=100), seen=seen), gateway.drop("backend", seen)):
            with pytest.raises(Moved):
                await write
        assert (await gateway.split("backend")).slots["green"].weight == 0

    play(scene)


def test_a_slot_that_appeared_meanwhile_is_not_made_twice() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        with pytest.raises(Moved):
            await gateway.put("backend", GREEN, seen=None)

    play(scene)


def test_a_lost_reply_is_looked_up_and_not_sent_again() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        lost = {"where": {"method": "PATCH"}, "effect": {"kind": "lost"}}
        await here.made("PUT", "/__faults/lost", lost)
        seen = (await gateway.split("backend")).slots["green"]
        await gateway.put("backend", replace(seen, weight=100), seen=seen)
        assert (await gateway.split("backend")).slots["green"].weight == 100
        assert (await here.made("GET", "/__faults/lost"))["hits"] == 1

    play(scene)


def test_a_foreign_target_that_carries_traffic_is_refused() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        await here.made("POST", "/upstreams/backend/targets", {"target": "10.0.0.1:80", "weight": 5})
        with pytest.raises(Refused) as refused:
            await gateway.split("backend")
        assert refused.value.what == "Kong's upstream backend holds 10.0.0.1:80 with weight 5, not ours."

    play(scene)


def test_an_upstream_that_does_not_exist_holds_nothing() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        assert await gateway.split("nobody") == Split("nobody", {})

    play(scene)


def test_the_budget_follows_from_kongs_own_frequencies() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        assert await gateway.budget() == timedelta(seconds=3600 + 3600 + 1)

    play(scene)


def test_a_mark_tells_origin_and_deadline() -> None:
    deadline = datetime(2026, 3, 1, 3, 10, tzinfo=UTC)

    async def scene(gateway: KongGateway, _: Room) -> None:
        seen = (await gateway.split("backend")).slots["green"]
        await gateway.put("backend", replace(seen, move=MoveTag("abc", "blue", deadline)), seen=seen)
        assert (await gateway.split("backend")).slots["green"].move == MoveTag("abc", "blue", deadline)

    play(scene)


def test_a_write_that_leaves_the_weight_alone_does_not_send_one() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        seen = (await gateway.split("backend")).slots["blue"]
        slow = {"where": {"method": "PATCH"}, "effect": {"kind": "slow", "seconds": 0.2}}
        await here.made("PUT", "/__faults/slow", slow)
        sealing = asyncio.create_task(gateway.put("backend", replace(seen, release="r-new"), seen=seen))
        while not (await here.made("GET", "/__faults/slow"))["hits"]:
            continue
        await here.made("PATCH", f"/upstreams/backend/targets/{seen.row}", {"weight": 0})
        await sealing
        assert (await gateway.split("backend")).slots["blue"].weight == 0

    play(scene)


def test_a_missing_upstream_is_told_as_such() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        with pytest.raises(Refused) as refused:
            await gateway.put("nobody", BLUE, seen=None)
        assert refused.value.what == "Kong has no upstream nobody."

    play(scene)


def test_a_write_whose_answer_got_lost_cannot_land_later() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        await here.made("PUT", "/__faults/reset", {"where": {"method": "PATCH"}, "effect": {"kind": "reset"}})
        seen = (await gateway.split("backend")).slots["green"]
        await gateway.put("backend", replace(seen, weight=100), seen=seen)
        assert (await gateway.split("backend")).slots["green"].weight == 100
        assert (await here.admin("PATCH", f"/upstreams/backend/targets/{seen.row}", {"weight": 0}))[0] == 404

    play(scene)


def test_an_unanswered_write_to_the_only_carrier_is_not_fenced_but_told() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        await here.made("PUT", "/__faults/reset", {"where": {"method": "PATCH"}, "effect": {"kind": "reset"}})
        seen = (await gateway.split("backend")).slots["blue"]
        with pytest.raises(LostReply):
            await gateway.put("backend", replace(seen, release="r-new"), seen=seen)
        assert (await gateway.split("backend")).slots["blue"] == seen

    play(scene)


def test_more_nodes_than_were_told_of_prove_nothing() -> None:
    async def scene(gateway: KongGateway, _: Room) -> None:
        with pytest.raises(Unproven) as unproven:
            await gateway.prove(await gateway.split("backend"), within=SOON, nodes=1)
        # How many it has met by then is luck; one too many is enough.
        answer = "backend: {} Kong nodes answer, and gateway.nodes in the stack config is 1."
        assert unproven.value.what in [answer.format(met) for met in (2, 3)]

    play(scene, nodes=3)


def test_a_row_that_lost_its_tags_is_taken_up_again() -> None:
    async def scene(gateway: KongGateway, here: Room) -> None:
        row = (await gateway.split("backend")).slots["green"].row
        await here.made("PATCH", f"/upstreams/backend/targets/{row}", {"tags": None})
        await gateway.put("backend", GREEN, seen=None)
        assert replace((await gateway.split("backend")).slots["green"], row=None) == GREEN

    play(scene)


def test_another_server_is_not_taken_for_a_kong_that_lost_everything() -> None:
    async def run() -> None:
        async with room() as here:
            client = Client("Kong's Admin API", f"http://127.0.0.1:{here.kong.proxy_port}")
            async with client:
                with pytest.raises(ApiError) as wrong:
                    await KongGateway(Kong(client)).split("backend")
        assert "is not Kong's Admin API" in wrong.value.what

    asyncio.run(run())
