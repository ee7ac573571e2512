"""The exporter: what a monitor sees is on the page while it is so, and no longer; and the port is free afterwards."""

import re
import socket
import subprocess
import sys
from datetime import UTC, datetime
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bluegreen.handler import Refused
from bluegreen.journal import Alert, Beat, Looked, Pulse, RulingTold, Told, Weighed
from bluegreen.observe import series
from bluegreen.observe.exporter import Exporter
from sandbox.stack import ROOT

AT = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
GOOD = Beat(endpoint="health", app="orders", way="blue", status=200, ms=12.5, release="r1")
BAD = Beat(endpoint="hello", app="orders", way="users", status=503, ms=3.0, fault="answered 503")
DEAD = Beat(endpoint="health", app="orders", way="green", fault="no answer in 2 s")
PULSE = Pulse(
    at=AT,
    number=1,
    beats=(GOOD, BAD, DEAD),
    weights={"orders": {"blue": 100, "green": 0}},
    alerts=(Alert(level="warning", subject="orders", text="p95 2400 ms"),),
)
Sample = tuple[str, dict[str, str], float]


def exporter(port: int = 0) -> Exporter:
    return Exporter("shop.test", {"orders": "blue"}, port=port)


def samples(page: str, name: str) -> list[Sample]:
    """Of one family, without the stack's own label, which every one has to carry."""
    found = [
        sample for family in text_string_to_metric_families(page) for sample in family.samples if sample.name == name
    ]
    assert all(sample.labels["stack"] == "shop.test" for sample in found)
    return [(sample.name, {k: v for k, v in sample.labels.items() if k != "stack"}, sample.value) for sample in found]


def values(page: str, name: str, label: str) -> dict[str, float]:
    return {labels[label]: value for _, labels, value in samples(page, name)}


def test_a_page_is_fetched_over_http_while_the_block_lasts_and_not_after_it() -> None:
    with exporter() as shown:
        shown.pulse(PULSE)
        with urlopen(shown.url) as answer:
            page = answer.read().decode()
            assert answer.headers["Content-Type"].startswith("text/plain")
        url = shown.url
    assert shown.text() == page
    with pytest.raises(URLError):
        urlopen(url)


def test_it_listens_on_loopback_alone() -> None:
    with exporter() as shown:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", shown.url)


def test_a_port_that_is_taken_is_one_sentence_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused) as refused, exporter(port):
            pass
    expected = (
        f"Nobody can listen on 127.0.0.1:{port}: Address already in use. Nothing was changed, and nothing is "
        "monitored. Name another port after --listen, or 0 for any that is free."
    )
    assert expected == str(refused.value)


def test_a_port_that_cannot_be_one_is_refused_too() -> None:
    with pytest.raises(Refused, match="there is no such port"), exporter(70_000):
        pass


def test_a_port_is_free_again_after_the_block() -> None:
    with exporter() as first:
        port = int(first.url.rpartition(":")[2].partition("/")[0])
    with exporter(port) as second:
        assert f"http://127.0.0.1:{port}/metrics" == second.url


def test_every_look_of_the_monitor_is_there_in_blackbox_exporters_words() -> None:
    shown = exporter()
    shown.pulse(PULSE)
    page = shown.text()
    of = {"app": "orders", "endpoint": "health", "way": "blue"}
    assert (series.PROBE_SUCCESS, of, 1.0) in samples(page, "probe_success")
    assert {"blue": 1.0, "users": 0.0, "green": 0.0} == values(page, "probe_success", "way")
    assert {"blue": 0.0125, "users": 0.003} == values(page, "probe_duration_seconds", "way")
    assert {"blue": 200.0, "users": 503.0, "green": 0.0} == values(page, "probe_http_status_code", "way")


def test_nothing_of_an_answer_but_its_names_is_on_the_page() -> None:
    shown = exporter()
    shown.pulse(PULSE)
    assert "answered 503" not in shown.text()
    assert "p95 2400 ms" not in shown.text()


def test_a_second_pulse_replaces_the_first_whole() -> None:
    shown = exporter()
    shown.pulse(PULSE)
    shown.pulse(Pulse(at=AT, number=2, beats=(BAD,), weights={}))
    page = shown.text()
    assert {"users": 0.0} == values(page, "probe_success", "way")
    assert [] == samples(page, "bluegreen_weight")
    assert [("bluegreen_pulses_total", {}, 2.0)] == samples(page, "bluegreen_pulses_total")


def test_weights_stand_beside_those_that_the_config_wants() -> None:
    shown = exporter()
    shown.pulse(Pulse(at=AT, weights={"orders": {"blue": 40, "green": 60}}))
    page = shown.text()
    assert {"blue": 40.0, "green": 60.0} == values(page, "bluegreen_weight", "colour")
    assert {"blue": 100.0, "green": 0.0} == values(page, "bluegreen_wanted_weight", "colour")
    assert [] == samples(page, "bluegreen_active_info")


def test_the_colour_with_all_traffic_is_active_with_the_release_that_it_answered() -> None:
    shown = exporter()
    shown.pulse(PULSE)
    active = {"app": "orders", "colour": "blue", "version": "r1"}
    assert [("bluegreen_active_info", active, 1.0)] == samples(shown.text(), "bluegreen_active_info")


def test_an_answer_on_the_way_of_users_names_a_release_only_while_one_colour_serves() -> None:
    shown, users = exporter(), Beat(endpoint="e", app="orders", way="users", status=200, release="r2")
    shown.pulse(Pulse(at=AT, beats=(users,), weights={"orders": {"blue": 50, "green": 50}}))
    shown.pulse(Pulse(at=AT, weights={"orders": {"blue": 100, "green": 0}}))
    assert {"": 1.0} == values(shown.text(), "bluegreen_active_info", "version")
    shown.pulse(Pulse(at=AT, beats=(users,), weights={"orders": {"blue": 100, "green": 0}}))
    assert {"r2": 1.0} == values(shown.text(), "bluegreen_active_info", "version")


def test_alerts_that_are_open_are_counted_by_level_and_none_is_a_zero() -> None:
    shown = exporter()
    shown.pulse(PULSE, ["warning", "warning"])
    assert {"critical": 0.0, "warning": 2.0} == values(shown.text(), "bluegreen_alerts", "level")
    shown.pulse(PULSE)  # what was raised in a round is over when it is resolved, not with the round
    assert {"critical": 0.0, "warning": 0.0} == values(shown.text(), "bluegreen_alerts", "level")


def test_entries_of_a_record_show_their_numbers_and_the_rest_is_passed_over() -> None:
    shown = exporter()
    rulings = (RulingTold(app="orders", metric="errors", value=0.5), RulingTold(app="orders", metric="queue"))
    for entry in (Looked(share="25 %", rulings=rulings), Weighed(app="orders", weights={"green": 25}), Told(text="x")):
        shown.note(entry, {"orders": "r1"})
    page = shown.text()
    judged = {"app": "orders", "metric": "errors", "share": "25 %"}
    assert [("bluegreen_analysis_value", judged, 0.5)] == samples(page, "bluegreen_analysis_value")
    assert {"green": 25.0} == values(page, "bluegreen_weight", "colour")


def test_times_of_certificates_and_ways_back_are_unix_times() -> None:
    shown = exporter()
    shown.certificate("api.test", AT)
    shown.deadline("orders", AT)
    page = shown.text()
    assert {"api.test": AT.timestamp()} == values(page, "probe_ssl_earliest_cert_expiry", "endpoint")
    assert {"orders": AT.timestamp()} == values(page, "bluegreen_rollback_deadline_timestamp_seconds", "app")
    shown.deadline("orders", None)
    assert [] == samples(shown.text(), "bluegreen_rollback_deadline_timestamp_seconds")


def test_rollbacks_are_counted_by_what_broke_and_how_they_ended() -> None:
    shown = exporter()
    for result in ("passed", "failed", "passed"):
        shown.rolled_back("orders", "errors", result)
    assert {"passed": 2.0, "failed": 1.0} == values(shown.text(), "bluegreen_rollbacks_total", "result")


def test_the_page_of_a_monitor_that_has_not_looked_yet_says_so_by_silence() -> None:
    page = exporter().text()
    assert [] == samples(page, "bluegreen_last_pulse_timestamp_seconds")
    assert [("bluegreen_pulses_total", {}, 0.0)] == samples(page, "bluegreen_pulses_total")


def test_nothing_is_paid_for_it_before_it_listens() -> None:
    """Every `bluegreen monitor` imports it, and few are fetched by a Prometheus."""
    asked = "import sys, bluegreen.observe.exporter; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "False\n" == done.stdout


def test_every_name_on_the_page_is_explained_and_known_to_the_panels() -> None:
    shown = exporter()
    shown.pulse(PULSE)
    families = {family.name: family for family in text_string_to_metric_families(shown.text())}
    told = {name if family.type != "counter" else f"{name}_total" for name, family in families.items()}
    assert set(series.MEANINGS) == told
    assert all(family.documentation for family in families.values())
