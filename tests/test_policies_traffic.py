"""The policy rules about how traffic moves: weights, steps, analyses, windows; and about protection."""

from dataclasses import replace
from typing import Any

import pytest

from tests.policies_room import lane, said, service, traffic

DRY = {"metrics": [{"name": "aim", "dryRun": True}]}
COUNTS = {"metrics": [{"name": "aim", "dryRun": True}, {"name": "errors"}]}


@pytest.mark.parametrize("live", ["blue", "green"])
def test_traffic_that_leads_everybody_to_one_colour_is_whole(live: str) -> None:
    assert said("traffic-weights", traffic({"backend": lane(live)})) == []


def test_weights_that_the_provider_has_yet_to_fill_in_are_none_of_ours() -> None:
    assert said("traffic-weights", traffic({"backend": lane(weights=None)})) == []


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"live": "purple"}, "live is 'purple', which is no colour"),
        ({"live": None}, "live is missing, which is no colour"),
        (
            {"addresses": {"green": "g:1"}},
            "live is blue, which has no address: its users would be led nowhere",
        ),
        (
            {"weights": {"blue": 0, "green": 0}},
            "weights are {blue: 0, green: 0}: nobody is served, and it has to be 100",
        ),
        ({"weights": {"blue": 60, "green": 30}}, "weights are {blue: 60, green: 30}: they add up to 90, and it has to"),
        ({"weights": {"blue": 101, "green": -1}}, "weights are {blue: 101, green: -1}, and each has to be between 0"),
        ({"weights": {"blue": True}}, "weights are {blue: True}, and each has to be between 0 and 100"),
        ({"weights": [100]}, "weights are [100], and each has to be between 0 and 100"),
        ({"weights": {"blue": 0, "green": 100}}, "weights are {blue: 0, green: 100}, and blue is to be live"),
        ({"weights": {"blue": 60, "teal": 40}}, "weights are {blue: 60, teal: 40}, and teal has no address"),
        (
            {"whole": True, "weights": {"blue": 60, "green": 40}},
            "weights are {blue: 60, green: 40}, and its traffic must",
        ),
    ],
)
def test_weights_that_leave_users_out_are_refused(wrong: dict[str, Any], fault: str) -> None:
    [sentence] = said("traffic-weights", traffic({"backend": lane(**wrong)}))
    assert sentence.startswith(f"traffic: backend: {fault}")
    assert sentence.endswith(
        "traffic is left as it is. Name a colour that has a block in apps.backend.live, and nothing else."
    )


def test_an_app_that_must_not_be_split_is_told_to_traffic_as_whole() -> None:
    lanes = {"backend": lane(), "frontend": lane(whole=True)}
    assert said("traffic-weights", traffic(lanes), whole=["frontend", "elsewhere"]) == []
    [sentence] = said("traffic-weights", traffic(lanes), whole=["backend"])
    assert sentence.startswith("traffic: backend may be split between two releases, and is named in `whole`")


# traffic-steps


@pytest.mark.parametrize(
    "rollout",
    [
        {"steps": [{"setWeight": 25}]},
        {"steps": [{"setWeight": 5}, {"pause": "1m"}, {"setWeight": 100}]},
        {"steps": [{"setWeight": 5}, {"analysis": {}}, {"setWeight": 50}, {"analysis": COUNTS}], "stepAnalysis": None},
        {"steps": [{"setWeight": 5}], "stepAnalysis": COUNTS},
    ],
)
def test_steps_that_ascend_and_are_judged_are_content(rollout: dict[str, Any]) -> None:
    assert said("traffic-steps", traffic(**rollout)) == []


@pytest.mark.parametrize("weights", [[25, 5], [5, 5], [0, 5], [5, 101], ["5"]])
def test_steps_that_do_not_ascend_are_refused_in_every_stack(weights: list[Any]) -> None:
    steps = [{"setWeight": weight} for weight in weights]
    [sentence] = said("traffic-steps", traffic(on="staging", steps=steps))
    assert sentence == (
        f"traffic: rollout.steps set the weights {', '.join(map(repr, weights))}, which do not ascend from 1 to 100. "
        "traffic is left as it is. Write every setWeight above the one before it."
    )


@pytest.mark.parametrize(("steps", "first"), [([], 100), ([{"setWeight": 26}], 26), ([{"setWeight": 100}], 100)])
def test_a_first_step_that_is_too_large_is_refused(steps: list[Any], first: int) -> None:
    assert said("traffic-steps", traffic(steps=steps)) == [
        f"traffic: the first step of a rollout sends {first} % of the users of stack production to a release that "
        "nobody has judged, and 25 % is the most. traffic is left as it is. Begin rollout.steps with a setWeight of 25 "
        "or less."
    ]
    assert said("traffic-steps", traffic(steps=steps), first=100) == []
    assert said("traffic-steps", traffic(on="staging", steps=steps)) == []


@pytest.mark.parametrize(
    ("steps", "usual", "unjudged"),
    [
        ([{"setWeight": 5}, {"setWeight": 50}], None, "5 %, 50 %"),
        ([{"setWeight": 5}, {"setWeight": 50}], DRY, "5 %, 50 %"),
        ([{"setWeight": 5}, {"analysis": {}}, {"setWeight": 50}], None, "50 %"),
        ([{"setWeight": 5}, {"setWeight": 50}, {"analysis": {}}], None, "5 %"),
        ([{"setWeight": 5}, {"analysis": DRY}], None, "5 %"),
        ([{"setWeight": 5}, {"gate": "1h"}], None, "5 %"),
    ],
)
def test_a_step_that_nobody_judges_is_refused(steps: list[Any], usual: Any, unjudged: str) -> None:
    assert said("traffic-steps", traffic(steps=steps, stepAnalysis=usual)) == [
        f"traffic: nothing judges a release at {unjudged} before more users follow. traffic is left as it is. Write "
        "stepAnalysis: {} into rollout, or an analysis after each of these steps."
    ]


# production-analysis


def test_an_analysis_after_the_last_step_is_content() -> None:
    assert said("production-analysis", traffic(postPromotionAnalysis=COUNTS)) == []
    assert said("production-analysis", traffic(on="staging", postPromotionAnalysis=None)) == []


@pytest.mark.parametrize(("analysis", "how"), [(None, "is missing"), (DRY, "has no metric that counts (dryRun)")])
def test_a_rollout_that_nobody_judges_at_the_end_is_refused(analysis: Any, how: str) -> None:
    assert said("production-analysis", traffic(postPromotionAnalysis=analysis)) == [
        f"traffic: rollout.postPromotionAnalysis {how} in stack production, so a bad release stays until somebody "
        "notices. traffic is left as it is. Write postPromotionAnalysis: {} for the usual bars, or metrics of your own."
    ]


def test_which_analyses_a_rollout_needs_is_configurable() -> None:
    [sentence] = said("production-analysis", traffic(), analyses=["prePromotionAnalysis"])
    assert "rollout.prePromotionAnalysis is missing in stack production" in sentence


# production-windows


@pytest.mark.parametrize(
    "rollout",
    [
        {},
        {"progressDeadlineSeconds": 900, "rollbackWindow": {"revisions": 1, "duration": "1d"}},
        {"rollbackWindow": {"duration": "23h60m"}},
    ],
)
def test_windows_that_are_wide_and_the_defaults_are_content(rollout: dict[str, Any]) -> None:
    assert said("production-windows", traffic(**rollout)) == []


@pytest.mark.parametrize(
    ("rollout", "fault"),
    [
        ({"progressDeadlineSeconds": 599}, "rollout.progressDeadlineSeconds is 599, and stack production needs 600 or"),
        ({"rollbackWindow": {"revisions": 0}}, "rollout.rollbackWindow.revisions is 0, and stack production needs 1"),
        ({"rollbackWindow": {"duration": "23h"}}, "rollout.rollbackWindow.duration is '23h', and stack production"),
        ({"rollbackWindow": {"duration": "a day"}}, "rollout.rollbackWindow.duration is 'a day', and stack production"),
        ({"rollbackWindow": {"duration": 86400}}, "rollout.rollbackWindow.duration is 86400, and stack production"),
    ],
)
def test_windows_that_are_too_short_are_refused(rollout: dict[str, Any], fault: str) -> None:
    [sentence] = said("production-windows", traffic(**rollout))
    assert sentence.startswith(f"traffic: {fault}")
    assert said("production-windows", traffic(on="staging", **rollout)) == []


def test_how_wide_the_windows_are_is_configurable() -> None:
    assert len(said("production-windows", traffic(), deadlineSeconds=601, revisions=4, hours=73)) == 3


# production-protected


def test_what_is_protected_is_content_and_what_is_not_is_refused() -> None:
    assert [said("production-protected", one) for one in (service(), traffic())] == [[], []]
    assert said("production-protected", [replace(service(), protect=False), replace(traffic(), protect=False)]) == [
        f"{name}: is not protected in stack production, so an update that no longer names it deletes it. {name} is "
        "left as it is. Write protect: true in the stack config."
        for name in ("backend-blue", "traffic")
    ]


def test_a_stack_that_serves_no_users_may_be_deleted() -> None:
    assert said("production-protected", replace(service("staging"), protect=False)) == []
