"""The release from before teams keeps every promise, before 011 is applied beneath it and after, in one process."""

from collections.abc import Sequence
from typing import Any

from tests.app_room import Person, app, migrate, sign_up
from tests.database import database
from tests.release_checks import V1, V1_ALONE, V2, Done, faults, run

NAMES = ("ann", "bob", "cleo")


def people(url: str, time: int) -> dict[str, Person]:
    """Ann, Bob and Cleo, with new accounts."""
    signed = sign_up(url, *(f"{name}-{time}" for name in NAMES))
    return {name: signed[f"{name}-{time}"] for name in NAMES}


def told(done: Sequence[Done]) -> list[tuple[str, int, Any]]:
    return [(one.step.says, one.status, one.told) for one in done]


def test_release_1_answers_the_same_before_and_after_011() -> None:
    url = database()
    with app("v1", owner_url=url) as one:
        before = run(one.send, people(url, 1), (*V1, *V1_ALONE))
        migrate(url)
        after = run(one.send, people(url, 2), (*V1, *V1_ALONE))
        ready = one.ask("GET", "/ready").status
    assert faults(before) == []
    assert (told(after), ready) == (told(before), 200)


def test_release_1_answers_the_same_while_teams_refer_to_its_rows() -> None:
    url = database()
    with app("v1", owner_url=url) as old:
        before = run(old.send, people(url, 1), V1)
        migrate(url)
        with app("v2", owner_url=url) as new:
            who = people(url, 2)
            run(new.send, who, [step for step in V2 if step.method != "DELETE"])  # team, shares and history stay
            [shared] = new.ask("GET", "/api/shared/projects", who=who["ann"]).body
            assert old.ask("GET", f"/api/projects/{shared['id']}", who=who["ann"]).status == 404
            assert old.ask("DELETE", f"/api/projects/{shared['id']}", who=who["bob"]).status == 204
            assert new.ask("GET", "/api/shared/projects", who=who["ann"]).body == []
        after = run(old.send, people(url, 3), V1)
    assert told(after) == told(before)


def test_release_2_keeps_the_promises_of_release_1_and_its_own() -> None:
    url = database()
    migrate(url)
    with app("v2", owner_url=url) as one:
        assert faults(run(one.send, people(url, 1), (*V1, *V2))) == []


def test_both_releases_answer_a_project_alike() -> None:
    url = database()
    migrate(url)
    with app("v1", owner_url=url) as old, app("v2", owner_url=url) as new:
        first, second = run(old.send, people(url, 1), V1), run(new.send, people(url, 2), V1)
    assert [_unsigned(step) for step in told(first)] == [_unsigned(step) for step in told(second)]


def _unsigned(step: tuple[str, int, Any]) -> tuple[str, int, Any]:
    """Without what a process says of itself."""
    says, status, body = step
    if isinstance(body, dict):
        body = {key: value for key, value in body.items() if key not in ("release", "pid")}
    return says, status, body


def test_a_promise_that_is_not_kept_is_found() -> None:
    with app("v2-broken") as one:
        found = faults(run(one.send, {name: Person(name) for name in NAMES}, V1[:2]))
    assert found == [
        "it says hello: GET /api/hello answered 500, not 200",
        "it can be slow: GET /api/slow?seconds=0.01 answered 500, not 200",
    ]
