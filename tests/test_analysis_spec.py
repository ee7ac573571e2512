"""What a rollout and its analyses may be asked for: every refusal by its path in the stack config, in a sentence."""

from typing import Any

import pytest
from pydantic import SecretStr

from bluegreen.settings import Settings
from tests.test_settings import colour, refusal, settings

ERRORS = {"name": "errors", "kong": {}, "thresholdRange": {"max": 1}}
QUEUE = {"name": "queue", "sql": {"query": "select 1"}, "thresholdRange": {"max": 5}}


def rollout(**given: Any) -> str:
    """What is said of this rollout."""
    return refusal(rollout=given)


def analysis(*metrics: dict[str, Any], **given: Any) -> str:
    return rollout(stepAnalysis={"metrics": list(metrics), **given})


def metric(**changes: Any) -> str:
    """What is said of this metric, without what an omitted key (None) would add."""
    given = {key: value for key, value in {**ERRORS, **changes}.items() if value is not None}
    return analysis(given)


def said(where: str, what: str) -> str:
    return f"The config of stack test does not fit: shop:rollout.{where}: {what}."


@pytest.mark.parametrize(
    ("step", "given"),
    [
        ({}, "none"),
        ({"setWeight": 5, "pause": "1m"}, "setWeight and pause"),
        ({"gate": "1h", "analysis": {}}, "analysis and gate"),
        ({"setWeight": 5, "pause": "1m", "analysis": {}, "gate": "1m"}, "setWeight and pause and analysis and gate"),
    ],
)
def test_a_step_is_one_thing(step: dict[str, Any], given: str) -> None:
    what = f"a step is one of setWeight, pause, analysis and gate, and this is {given}"
    assert rollout(steps=[step]) == said("steps[0]", what)


@pytest.mark.parametrize(
    ("weight", "what"),
    [
        (0, "Input should be greater than or equal to 1"),
        (101, "Input should be less than or equal to 100"),
        ("5", "Input should be a valid integer"),
    ],
)
def test_a_share_lies_between_1_and_100(weight: object, what: str) -> None:
    assert rollout(steps=[{"setWeight": weight}]) == said("steps[0].setWeight", what)


@pytest.mark.parametrize("weights", [(25, 5), (5, 5), (5, 100, 50)])
def test_shares_ascend(weights: tuple[int, ...]) -> None:
    what = f"setWeight goes {', '.join(map(str, weights))}, and has to ascend"
    assert rollout(steps=[{"setWeight": weight} for weight in weights]) == said("steps", what)


def test_steps_that_set_no_weight_would_see_nothing() -> None:
    what = "no step sets a weight, so nothing would be seen. Begin with setWeight"
    assert rollout(steps=[{"pause": "1m"}]) == said("steps", what)


def test_what_comes_after_all_of_it_belongs_to_the_last_analysis() -> None:
    what = "what comes after setWeight 100 belongs to postPromotionAnalysis"
    assert rollout(steps=[{"setWeight": 100}, {"pause": "1m"}]) == said("steps", what)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"steps": [{"setWeight": 5}, {"pause": "11m"}]}, "660"),
        ({"steps": [{"setWeight": 5}, {"gate": "2h"}]}, "7200"),
        ({"steps": [{"setWeight": 5}, {"analysis": {"duration": "601s"}}]}, "601"),
        ({"steps": [{"setWeight": 5}, {"setWeight": 50}], "stepAnalysis": {"duration": "301s"}}, "602"),
        ({"prePromotionAnalysis": {"duration": "301s"}, "postPromotionAnalysis": {"duration": "300s"}}, "601"),
    ],
)
def test_steps_and_analyses_fit_in_the_deadline(given: dict[str, Any], seconds: str) -> None:
    what = (
        f"one app's steps and analyses take up to {seconds} s, and progressDeadlineSeconds is 600. "
        "Raise it, or shorten them"
    )
    assert rollout(**given) == f"The config of stack test does not fit: shop:rollout: {what}."


def test_no_analysis_follows_all_of_it_so_none_is_counted() -> None:
    given = {"steps": [{"setWeight": 50}, {"setWeight": 100}], "stepAnalysis": {"duration": "600s"}}
    assert settings(rollout=given).rollout.steps[1].set_weight == 100


@pytest.mark.parametrize(
    ("given", "where", "what"),
    [
        ({"progressDeadlineSeconds": 9}, "progressDeadlineSeconds", "Input should be greater than or equal to 10"),
        (
            {"progressDeadlineSeconds": 86_401},
            "progressDeadlineSeconds",
            "Input should be less than or equal to 86400",
        ),
        ({"freezeOverride": ""}, "freezeOverride", "String should have at least 1 character"),
        ({"stepAnalyses": {}}, "stepAnalyses", "unknown key"),
        (
            {"rollbackWindow": {"revisions": -1}},
            "rollbackWindow.revisions",
            "Input should be greater than or equal to 0",
        ),
    ],
)
def test_a_rollout_is_refused_by_its_path(given: dict[str, Any], where: str, what: str) -> None:
    assert rollout(**given) == said(where, what)


def test_a_step_that_is_no_span_of_time_is_refused_with_how_to_write_one() -> None:
    what = "'soon' is not a span of time. Write it as 45s, 10m, 72h or 1h30m"
    assert rollout(steps=[{"setWeight": 5}, {"pause": "soon"}]) == said("steps[1].pause", what)


@pytest.mark.parametrize(
    ("bar", "what"),
    [
        ({}, "give min, max or both: without a bar everything would pass"),
        ({"min": 3, "max": 2}, "min 3 is above max 2: nothing could pass"),
    ],
)
def test_a_bar_bars_something_and_lets_something_pass(bar: dict[str, Any], what: str) -> None:
    assert metric(thresholdRange=bar) == said("stepAnalysis.metrics[0].thresholdRange", what)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"kong": None},
            "names no source. Name exactly one of probe, kong, prometheus, http, sql, command",
        ),
        (
            {"probe": {}},
            "names probe and kong. Name exactly one of probe, kong, prometheus, http, sql, command",
        ),
        ({"measures": "value"}, "kong measures errors, latency or overhead"),
        (
            {"kong": None, "sql": {"query": "select 1"}, "measures": "errors"},
            "sql answers a number: leave `measures` out",
        ),
        ({"kong": None, "probe": {}, "measures": "overhead"}, "only kong knows Kong's overhead"),
        ({"thresholdRange": {"min": 1}}, "errors and latencies have a max and no min"),
        ({"thresholdRange": {"min": 0, "max": 1}}, "errors and latencies have a max and no min"),
        (
            {"allowedIncrease": 2},
            "kong cannot tell colours apart, so there is nothing to compare: leave allowedIncrease out",
        ),
        ({"thresholdRange": {"max": 0}}, "max is in percent, between 0 and 100"),
        ({"thresholdRange": {"max": 100}}, "max is in percent, between 0 and 100"),
    ],
)
def test_a_metric_that_makes_no_sense_is_refused_in_a_sentence(changes: dict[str, Any], what: str) -> None:
    assert metric(**changes) == said("stepAnalysis.metrics[0]", what)


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"thresholdRange": None}, "thresholdRange", "missing"),
        ({"percentile": 100}, "percentile", "Input should be less than 100"),
        ({"failureLimit": -1}, "failureLimit", "Input should be greater than or equal to 0"),
        ({"surprise": 1}, "surprise", "unknown key"),
        ({"kong": None, "probe": {"rps": 0}}, "probe.rps", "Input should be greater than 0"),
        ({"kong": None, "probe": {"rps": 201}}, "probe.rps", "Input should be less than or equal to 200"),
        ({"kong": None, "sql": {"query": ""}}, "sql.query", "String should have at least 1 character"),
        ({"kong": None, "http": {"url": "https://m.example/n"}}, "http.path", "missing"),
        ({"kong": {"since": 1}}, "kong.since", "unknown key"),
    ],
)
def test_a_metric_is_refused_by_its_path(changes: dict[str, Any], where: str, what: str) -> None:
    assert metric(**changes) == said(f"stepAnalysis.metrics[0].{where}", what)


def test_an_url_is_one() -> None:
    source = {"url": "m.example", "query": "up"}
    assert metric(kong=None, prometheus=source).startswith(
        "The config of stack test does not fit: shop:rollout.stepAnalysis.metrics[0].prometheus.url: "
    )


@pytest.mark.parametrize("source", [("prometheus", "query", "up"), ("http", "path", "a")])
@pytest.mark.parametrize("url", ["http://ann:hunter2@m.example/x", "https://hunter2@m.example?y", "http://a:hunter2@m"])
def test_credentials_in_an_url_are_refused_and_not_shown(source: tuple[str, str, str], url: str) -> None:
    name, key, value = source
    assert metric(kong=None, **{name: {"url": url, key: value}}) == said(
        f"stepAnalysis.metrics[0].{name}.url",
        "holds credentials, which anybody may read here. Put a header into secrets.metrics.<name> instead",
    )


def test_an_at_sign_behind_the_host_is_no_credentials() -> None:
    given = {**QUEUE, "sql": None, "http": {"url": "https://m.example/@x?of=a@b#@", "path": "a"}}
    parsed = settings(rollout={"stepAnalysis": {"metrics": [given]}}).rollout.step_analysis
    assert parsed is not None
    assert parsed.metrics[0].source == "http"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"metrics": [ERRORS, QUEUE, ERRORS]}, "metrics: errors is named twice"),
        ({"interval": "0s"}, "interval has to be more than no time, and duration at least one interval"),
        (
            {"duration": "5s", "interval": "6s"},
            "interval has to be more than no time, and duration at least one interval",
        ),
        (
            {"duration": "30s", "metrics": [{**ERRORS, "name": "asked", "kong": None, "probe": {"rps": 5}}]},
            "metric asked sees 150 requests in 30 s and needs 300 (minRequests). "
            "Raise probe.rps or duration, or lower minRequests",
        ),
    ],
)
@pytest.mark.parametrize("where", ["prePromotionAnalysis", "stepAnalysis", "postPromotionAnalysis"])
def test_an_analysis_that_cannot_be_answered_is_refused(where: str, given: dict[str, Any], what: str) -> None:
    assert rollout(**{where: given}) == said(where, what)


def test_a_percentile_needs_enough_samples_beyond_it() -> None:
    slow = {"name": "slow", "probe": {}, "measures": "latency", "percentile": 99.9, "thresholdRange": {"max": 500}}
    what = "metric slow sees 600 requests in 30 s, and percentile 99.9 needs 10000. Raise probe.rps or duration"
    assert analysis(slow, duration="30s") == said("stepAnalysis", what)


def test_an_analysis_in_a_step_is_refused_by_its_path() -> None:
    steps = [{"setWeight": 5}, {"analysis": {"minRequests": 0}}]
    what = "Input should be greater than or equal to 1"
    assert rollout(steps=steps) == said("steps[1].analysis.minRequests", what)


@pytest.mark.parametrize(
    "source",
    [
        {"prometheus": {"url": "https://p.example", "query": "up"}},
        {"http": {"url": "https://m.example/n", "path": "data.0.value"}},
        {"sql": {"query": "select 1"}},
        {"command": {"run": ["./measure"]}},
    ],
)
def test_a_source_that_answers_a_number_needs_no_word_for_what_it_measures(source: dict[str, Any]) -> None:
    given = {"name": "queue", **source, "thresholdRange": {"min": 1}}
    parsed = settings(rollout={"stepAnalysis": {"metrics": [given]}}).rollout.step_analysis
    assert parsed is not None
    assert (parsed.metrics[0].measures, parsed.metrics[0].source) == ("value", next(iter(source)))


def armed(**more: Any) -> Settings:
    steps = [{"setWeight": 5}, {"analysis": {"metrics": [QUEUE]}}]
    return settings(
        rollout={"steps": steps, "postPromotionAnalysis": {"metrics": [QUEUE, ERRORS]}},
        secrets={"metrics": {"queue": "Bearer abc"}},
        **more,
    )


def test_a_metrics_secret_reaches_it_wherever_it_is_asked_and_no_other() -> None:
    rollout = armed().traffic().rollout
    assert rollout.post_promotion_analysis is not None
    within = rollout.steps[1].analysis
    assert within is not None
    asked = [*within.metrics, *rollout.post_promotion_analysis.metrics]
    assert [each.authorization for each in asked] == [SecretStr("Bearer abc"), SecretStr("Bearer abc"), None]


def test_a_metrics_secret_is_in_no_text() -> None:
    traffic = armed().traffic()
    assert "Bearer abc" not in f"{traffic!r} {traffic} {traffic.model_dump_json()}"


def test_what_an_analysis_asks_are_the_apps_own_checks_by_get() -> None:
    check = {"app": "backend", "path": "/api/users", "expect": {"status": 200}}
    checks = [{**check, "name": "users"}, {**check, "name": "post", "method": "POST", "writes": True}]
    probe = settings(checks=checks).lanes()["backend"].probe
    assert [question.path for question in probe.questions] == ["/api/users"]


@pytest.mark.parametrize(
    ("kind", "sticky", "whole"), [("api", {}, False), ("web", {}, True), ("web", {"sticky": {"cookie": "side"}}, False)]
)
def test_a_web_app_is_split_only_where_a_cookie_keeps_its_pages_together(
    kind: str, sticky: dict[str, Any], whole: bool
) -> None:
    app = {"kind": kind, "live": "blue", "blue": colour(), **sticky}
    assert settings(apps={"backend": app}).lanes()["backend"].whole == whole
