"""Dashboards and rules: every query is PromQL about a series that somebody writes, every threshold is the config's own.

Where promtool is on PATH it judges the same rules, and plays the alarms on made-up series; the parser judges always.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bluegreen.observe import series
from bluegreen.observe.alert import span
from bluegreen.observe.bars import bars
from bluegreen.observe.dashboard import dashboard
from bluegreen.observe.panel import KINDS, UNITS, WIDE
from bluegreen.observe.written import dashboard_text, rules_text
from bluegreen.settings import Settings
from tests.observe_room import block, config, parsed, settings

DOCS = Path(__file__).resolve().parents[1] / "docs"
RECORDED = Path(__file__).resolve().parent / "recorded"
GRAFANA = {"$__rate_interval": "5m", "$__interval": "15s"}
ONLY_ALERTS = {"ALERTS"}  # Prometheus' own


def rules(of: Settings, **jobs: str) -> list[dict[str, Any]]:
    found = yaml.safe_load(rules_text(of, **jobs))
    return [rule for group in found["groups"] for rule in group["rules"]]


def rule(of: Settings, name: str, **labels: str) -> dict[str, Any]:
    found = [
        each
        for each in rules(of)
        if each["alert"] == name and all(each["labels"].get(key) == value for key, value in labels.items())
    ]
    assert len(found) == 1, [each["labels"] for each in found]
    return found[0]


def panels(of: Settings) -> list[dict[str, Any]]:
    return [panel for panel in dashboard(of)["panels"] if panel["type"] != "row"]


def asked(of: Settings, **jobs: str) -> Iterator[str]:
    """Every expression, as Prometheus would get it."""
    drawn = dashboard(of, **jobs)
    for panel in drawn["panels"]:
        yield from (_filled(target["expr"]) for target in panel.get("targets", ()))
    yield from (_filled(each["expr"]) for each in drawn["annotations"]["list"])
    yield from (each["expr"] for each in rules(of, **jobs))


def selectors(expr: str) -> list[tuple[str, dict[str, str]]]:
    """Every series that an expression names, with what it asks of the labels."""
    found: list[tuple[str, dict[str, str]]] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name or "", {matcher.name: matcher.value for matcher in node.matchers.matchers}))

    promql_parser.walk(promql_parser.parse(expr), visit)
    return found


def _filled(expr: str) -> str:
    for name, value in GRAFANA.items():
        expr = expr.replace(name, value)
    return expr


# Queries


def test_every_query_is_promql() -> None:
    expressions = [*asked(settings()), *asked(settings(), kong_job="kong", postgres_job="db")]
    assert len(expressions) > 100
    for expr in expressions:
        promql_parser.parse(expr)


def test_every_query_asks_for_a_series_that_somebody_writes() -> None:
    named = {name for expr in asked(settings()) for name, _ in selectors(expr)}
    assert set() == named - series.KNOWN - ONLY_ALERTS


def test_kongs_series_and_their_labels_are_those_of_a_real_kong() -> None:
    recorded: dict[str, set[str]] = {}
    for family in text_string_to_metric_families((RECORDED / "kong_metrics.txt").read_text(encoding="utf-8")):
        for sample in family.samples:
            recorded.setdefault(sample.name, set()).update(sample.labels)
    asked_for = [one for expr in asked(settings()) for one in selectors(expr) if one[0].startswith("kong_")]
    assert len(asked_for) > 20
    for name, labels in asked_for:
        assert set(labels) <= recorded[name], name


def test_every_series_of_the_exporter_is_drawn_or_alarmed_about() -> None:
    named = {name for expr in asked(settings()) for name, _ in selectors(expr)}
    assert {series.PROBE_STATUS, series.PULSES} == set(series.MEANINGS) - named


def test_every_query_says_which_stack_or_which_services_it_is_about() -> None:
    ours = {*series.MEANINGS, *ONLY_ALERTS}
    for expr in asked(settings(), kong_job="kong-a", postgres_job="db-a"):
        for name, labels in selectors(expr):
            if name in ours:
                assert "shop.test" == labels["stack"], expr
            else:
                assert ("db-a" if name.startswith("pg_") else "kong-a") == labels["job"], expr
            if name.startswith(("kong_http", "kong_request", "kong_kong", "kong_upstream_latency")):
                assert labels["service"], expr


def test_without_a_job_no_query_asks_for_one() -> None:
    assert not any("job" in labels for expr in asked(settings()) for _, labels in selectors(expr))


def test_the_apps_and_models_of_the_config_are_what_is_asked_for() -> None:
    services = {
        labels["service"] for expr in asked(settings()) for _, labels in selectors(expr) if labels.get("service")
    }
    each = {"pages", "orders"}  # a latency has a panel for each app
    assert {"pages|orders", "ai-painter", "pages-blue|pages-green|orders-blue|orders-green", *each} == services


def test_a_stack_without_models_and_database_asks_for_neither() -> None:
    lean = parsed({key: value for key, value in config().items() if key not in ("shop:gateway", "shop:migrations")})
    text = rules_text(lean) + dashboard_text(lean)
    assert not re.search(r"\bai-|\bpg_|BluegreenModel|BluegreenDatabase", text)


# Bars


def test_bars_come_from_the_analyses_and_the_critical_one_from_nobody() -> None:
    found = [(bar.name, bar.measures, bar.most, bar.percentile, bar.severity) for bar in bars(settings())]
    assert [
        ("errors", "errors", 5.0, 95, "critical"),
        ("errors", "errors", 2, 95, "warning"),
        ("slow", "latency", 750, 95, "warning"),
        ("overhead", "overhead", 50.0, 95, "warning"),
        ("aim", "latency", 400, 99, "info"),
    ] == found


def test_without_analyses_the_defaults_of_every_analysis_are_the_bars() -> None:
    plain = settings(**{"shop:rollout": {}})
    found = [(bar.measures, bar.most, bar.severity) for bar in bars(plain)]
    assert [
        ("errors", 5.0, "critical"),
        ("errors", 1, "warning"),
        ("latency", 2000, "warning"),
        ("overhead", 50.0, "warning"),
    ] == found


def test_an_error_bar_that_is_laxer_than_the_critical_one_makes_no_second_alarm() -> None:
    lax = [{"name": "errors", "probe": {}, "thresholdRange": {"max": 20}}]
    of = settings(**{"shop:rollout": {"postPromotionAnalysis": {"metrics": lax}}})
    assert ["critical"] == [bar.severity for bar in bars(of) if bar.measures == "errors"]


# Rules


def test_every_alarm_has_a_severity_its_stack_three_beats_and_a_heading_in_the_docs() -> None:
    page = (DOCS / "observe.md").read_text(encoding="utf-8").lower()
    for each in rules(settings()):
        assert each["labels"]["severity"] in ("critical", "warning", "info")
        assert "shop.test" == each["labels"]["stack"]
        assert each["annotations"]["description"].startswith(each["annotations"]["summary"])
        assert each["annotations"]["description"].count(". ") >= 2, each["annotations"]
        assert f"docs/observe.md#{each['alert'].lower()}" == each["annotations"]["runbook"]
        assert f"### {each['alert'].lower()}\n" in page, each["alert"]


def test_the_page_explains_no_alarm_that_there_is_not() -> None:
    page = (DOCS / "observe.md").read_text(encoding="utf-8")
    everything = {"metrics": [
        {"name": f"{measures}-{name}", source: {}, "measures": measures, "thresholdRange": {"max": 4}, "dryRun": dry}
        for name, dry in (("bar", False), ("aim", True))
        for measures, source in (("errors", "probe"), ("latency", "probe"), ("overhead", "kong"))
    ]}  # fmt: skip
    of = settings(**{"shop:rollout": {"postPromotionAnalysis": everything}})
    assert {each["alert"] for each in rules(of)} == set(re.findall(r"^### (Bluegreen\w+)$", page, re.MULTILINE))


def test_no_two_alarms_are_one() -> None:
    keys = [(each["alert"], *sorted(each["labels"].items())) for each in rules(settings())]
    assert sorted(set(keys)) == sorted(keys)


def test_an_app_that_is_stopped_while_idle_has_no_alarm_on_its_idle_colour() -> None:
    whole = config()
    whole["shop:apps"]["orders"]["idle"] = "stopped"
    named = {(each["alert"], each["labels"].get("app")) for each in rules(parsed(whole))}
    assert ("BluegreenTargetUnhealthy", "orders") in named
    assert ("BluegreenIdleUnhealthy", "orders") not in named
    assert ("BluegreenIdleUnhealthy", "pages") in named


def test_times_follow_from_the_config() -> None:
    of = settings()
    assert "15m" == rule(of, "BluegreenBothColours")["for"] == rule(of, "BluegreenDrift")["for"]
    assert " < 21600 " in rule(of, "BluegreenRollbackEnds")["expr"]
    short = settings(**{"shop:rollout": {"rollbackWindow": {"duration": "10m"}}})
    assert " < 300 " in rule(short, "BluegreenRollbackEnds")["expr"]


def test_rules_are_the_same_before_and_after_a_release() -> None:
    whole = config()
    whole["shop:apps"]["pages"]["green"] = block("green")
    whole["shop:apps"]["pages"]["live"] = "green"
    assert rules_text(settings()) == rules_text(parsed(whole))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (45, "45s"), (600, "10m"), (5400, "1h30m"), (90_061, "1d1h1m1s")]
)
def test_a_span_is_written_as_prometheus_reads_it(seconds: int, text: str) -> None:
    assert text == span(seconds)


# The dashboard


def test_panels_have_ids_of_their_own_a_place_of_their_own_and_room_in_the_grid() -> None:
    drawn = dashboard(settings())["panels"]
    assert list(range(1, len(drawn) + 1)) == [panel["id"] for panel in drawn]
    taken: set[tuple[int, int]] = set()
    for panel in drawn:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < WIDE, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_asks_something_of_the_chosen_prometheus_in_a_unit_that_grafana_has() -> None:
    for panel in panels(settings()):
        assert panel["type"] in KINDS
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["targets"]
        letters = [target["refId"] for target in panel["targets"]]
        assert sorted(set(letters)) == letters
        for target in panel["targets"]:
            assert {"type": "prometheus", "uid": "${datasource}"} == target["datasource"] == panel["datasource"]
            assert target["expr"]
            assert target["legendFormat"]


def test_every_name_in_a_legend_is_a_label_that_its_query_leaves() -> None:
    known = {
        "app", "colour", "version", "level", "metric", "share", "reason", "result", "endpoint", "way", "phase",
        "service", "route", "code", "source", "state", "mode",
    }  # fmt: skip
    for panel in panels(settings()):
        for target in panel["targets"]:
            names = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert names <= known
            kept = re.match(r"(?:100 \* )?(?:sum|avg|max) by \(([^)]*)\)", target["expr"])
            if kept:
                assert names <= {name.strip() for name in kept[1].split(",")}, target


def test_thresholds_ascend_from_one_without_a_value() -> None:
    for panel in panels(settings()):
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        later = [step["value"] for step in steps[1:]]
        assert sorted(set(later)) == later


def test_the_lines_in_the_panels_are_the_bars_of_the_alarms() -> None:
    drawn = {panel["title"]: panel["fieldConfig"]["defaults"] for panel in panels(settings())}
    assert [None, 2, 5] == [step["value"] for step in drawn["Error share"]["thresholds"]["steps"]]
    assert [None, 750] == [step["value"] for step in drawn["Latency of orders"]["thresholds"]["steps"]]
    assert [None, 50] == [step["value"] for step in drawn["Kong's own time"]["thresholds"]["steps"]]


def test_it_can_be_imported_and_provisioned_alike() -> None:
    drawn = dashboard(settings())
    inputs = drawn["__inputs"]
    (variable,) = drawn["templating"]["list"]
    assert [("DS_PROMETHEUS", "datasource", "prometheus")] == [
        (each["name"], each["type"], each["pluginId"]) for each in inputs
    ]
    assert "${DS_PROMETHEUS}" == variable["current"]["value"]
    assert "datasource" == variable["name"]
    kinds = {panel["type"] for panel in panels(settings())}
    assert kinds <= {each["id"] for each in drawn["__requires"] if each["type"] == "panel"}


def test_its_uid_follows_from_the_stack_alone() -> None:
    other = Settings.parse("shop", "other", {key: json.dumps(value) for key, value in config().items()})
    first = dashboard(settings())["uid"]
    assert first == dashboard(settings(**{"shop:rollout": {}}))["uid"]
    assert first != dashboard(other)["uid"]
    assert re.fullmatch(r"[a-z0-9-]{1,40}", first)


def test_moves_rollbacks_and_alarms_are_marked_in_every_panel() -> None:
    assert ["Moves", "Rollbacks", "Alarms"] == [each["name"] for each in dashboard(settings())["annotations"]["list"]]


def test_equal_settings_make_equal_text() -> None:
    assert dashboard_text(settings()) == dashboard_text(settings())
    assert rules_text(settings()) == rules_text(settings())


# By promtool, where there is one


OWNED = 'stack="shop.test"'
ORDERS = f'{OWNED}, app="orders"'
CALM = {
    "kong_datastore_reachable": "1x60",
    f"bluegreen_last_pulse_timestamp_seconds{{{OWNED}}}": "0+60x60",
    "pg_up": "1x60",
}
CALM_WEIGHTS = {
    f'bluegreen_weight{{{ORDERS}, colour="blue"}}': "100x60",
    f'bluegreen_weight{{{ORDERS}, colour="green"}}': "0x60",
    f'bluegreen_wanted_weight{{{ORDERS}, colour="blue"}}': "100x60",
    f'bluegreen_wanted_weight{{{ORDERS}, colour="green"}}': "0x60",
}
REQUESTS = 'kong_http_requests_total{service="orders", route="api", code="%s", source="service"}'
BLUE = 'kong_upstream_target_health{upstream="orders", target="orders-blue.railway.internal:8000", state="%s"}'
GREEN = BLUE.replace("blue", "green")


def _buckets(family: str, *, fast: int, slow: int) -> dict[str, str]:
    """So many requests a minute within 25 ms, and so many between two and five seconds."""
    way = 'service="orders", route="api"'
    return {
        f'{family}_bucket{{{way}, le="25"}}': f"0+{fast}x60",
        f'{family}_bucket{{{way}, le="2000"}}': f"0+{fast}x60",
        f'{family}_bucket{{{way}, le="5000"}}': f"0+{fast + slow}x60",
        f'{family}_bucket{{{way}, le="+Inf"}}': f"0+{fast + slow}x60",
    }


CASES: dict[str, tuple[dict[str, str], set[str]]] = {
    "calm": ({REQUESTS % "200": "0+600x60", BLUE % "healthy": "1x60"}, set()),
    "6 % errors": (
        {REQUESTS % "200": "0+94x60", REQUESTS % "503": "0+6x60"}, {"BluegreenErrorsHigh", "BluegreenErrors"}
    ),
    "3 % errors": ({REQUESTS % "200": "0+97x60", REQUESTS % "503": "0+3x60"}, {"BluegreenErrors"}),
    "4xx are no errors": ({REQUESTS % "200": "0+50x60", REQUESTS % "404": "0+50x60"}, set()),
    "one of three requests": ({REQUESTS % "200": "0 0 0 2x57", REQUESTS % "503": "0 0 0 1x57"}, set()),
    "slow": (
        _buckets("kong_request_latency_ms", fast=90, slow=10), {"BluegreenSlow", "BluegreenSlowMissAim"}
    ),
    "Kong is slow": (_buckets("kong_kong_latency_ms", fast=90, slow=10), {"BluegreenKongSlow"}),
    "the live target is unwell": ({BLUE % "unhealthy": "1x60"}, {"BluegreenTargetUnhealthy"}),
    "the idle target is unwell": ({GREEN % "dns_error": "1x60"}, {"BluegreenIdleUnhealthy"}),
    "an endpoint fails": (
        {f'probe_success{{{ORDERS}, endpoint="health", way="users"}}': "0x60"}, {"BluegreenEndpointFails"}
    ),
    "the idle colour's endpoint fails": (
        {f'probe_success{{{ORDERS}, endpoint="health", way="green"}}': "0x60"}, set()
    ),
    "weights do not add up": (
        {f'bluegreen_weight{{{ORDERS}, colour="blue"}}': "60x60"}, {"BluegreenWeightsOff"}
    ),
    "two monitors see the same": (
        {key.replace('stack=', 'instance="b", stack='): value for key, value in CALM_WEIGHTS.items()},
        set(),
    ),
    "both colours": (
        {
            f'bluegreen_weight{{{ORDERS}, colour="blue"}}': "60x60",
            f'bluegreen_weight{{{ORDERS}, colour="green"}}': "40x60",
        },
        {"BluegreenBothColours"},
    ),
    "the other colour": (
        {
            f'bluegreen_weight{{{ORDERS}, colour="blue"}}': "0x60",
            f'bluegreen_weight{{{ORDERS}, colour="green"}}': "100x60",
        },
        {"BluegreenDrift"},
    ),
    "a step of a move": ({f'bluegreen_weight{{{ORDERS}, colour="green"}}': "0x19 25 0x40"}, set()),
    "a rollback failed": (
        {f'bluegreen_rollbacks_total{{{ORDERS}, reason="errors", result="failed"}}': "_x40 1x20"},
        {"BluegreenRollbackFailed"},
    ),
    "the way back ends": (
        {f"bluegreen_rollback_deadline_timestamp_seconds{{{ORDERS}}}": "7200x60"}, {"BluegreenRollbackEnds"}
    ),
    "no monitor": ({f"bluegreen_last_pulse_timestamp_seconds{{{OWNED}}}": "0x60"}, {"BluegreenMonitorAbsent"}),
    "a certificate ends in ten days": (
        {f'probe_ssl_earliest_cert_expiry{{{OWNED}, endpoint="api"}}': "864000x60"}, {"BluegreenCertificateExpires"}
    ),
    "Kong without its database": ({"kong_datastore_reachable": "0x60"}, {"BluegreenKongDatabaseAway"}),
    "Kong is not seen": ({"kong_datastore_reachable": "_x60"}, {"BluegreenKongUnseen"}),
    "the model fails": (
        {(REQUESTS % "502").replace("orders", "ai-painter"): "0+30x60"}, {"BluegreenModelErrors"}
    ),
    "the database is away": ({"pg_up": "0x60"}, {"BluegreenDatabaseDown"}),
    "the database is full": (
        {"pg_stat_activity_count": "90x60", "pg_settings_max_connections": "100x60"}, {"BluegreenDatabaseFull"}
    ),
    "a transaction stays": ({"pg_stat_activity_max_tx_duration": "900x60"}, {"BluegreenDatabaseLongTransaction"}),
}  # fmt: skip


def test_alarms_ring_for_what_they_are_for_and_for_nothing_else(tmp_path: Path) -> None:
    """By promtool where it is on PATH; that every alarm has a case is asserted everywhere."""
    of = settings()
    text = rules_text(of)
    every = {each["alert"] for each in rules(of)}
    assert every == set().union(*(ringing for _, ringing in CASES.values()))
    for expr in asked(of):
        promql_parser.parse(expr)
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    (tmp_path / "rules.yml").write_text(text, encoding="utf-8")
    tests = [_played(name, made, ringing) for name, (made, ringing) in CASES.items()]
    (tmp_path / "tests.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}), encoding="utf-8"
    )
    for arguments in (["check", "rules", "--lint=all", "--lint-fatal", "rules.yml"], ["test", "rules", "tests.yml"]):
        done = subprocess.run([promtool, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _played(name: str, made: dict[str, str], ringing: set[str]) -> dict[str, Any]:
    """One case for promtool: which alarms there are after 45 minutes is all that is asked, not their words."""
    whole = {**CALM, **CALM_WEIGHTS, **made}
    rings = [{"labels": f'{{alertname="{alarm}"}}', "value": 1} for alarm in sorted(ringing)]
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in whole.items()],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "45m",
                "exp_samples": rings,
            }
        ],
    }
