"""The checks of b25's own plan (its chapter on testing), against the real servers.

Goal: what b25's operators would try by hand holds on the floor. Method: b25 alone, with real
durations; each test is one of the plan's. Alerts from end to end and dashboards are tested for all
systems together (test_floor.py, test_floor_scenarios.py).
"""

import json
import time
from collections.abc import Iterator

import pytest
import yaml

import backends
from floor_stack import ROOT, FloorRun, running_floor
from tapeline.floor.catalog import services_of
from waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SHOWS_TIMEOUT_S = 120.0
QUERY_LIMIT_S = 0.1
SCRAPE_LIMIT_S = 1.0
SERIES_LIMIT = 1_000_000


@pytest.fixture(scope="module", name="floor")
def _floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FloorRun]:
    folder = tmp_path_factory.mktemp("b25")
    with running_floor(folder, systems=("b25",), time_scale=1) as floor:
        yield floor


def test_all_targets_are_up(floor: FloorRun) -> None:
    """8.1: each job is there, and 1; the plan's labels are on it."""

    def up() -> bool:
        found = {
            each.labels["job"]: each
            for each in floor.backends.prometheus.query('up{job=~"b25-.+|node-exporter"}')
        }
        assert set(found) == {each.job for each in services_of(["b25"])}
        assert all(each.value == 1 for each in found.values())
        assert found["b25-market-data"].labels["tier"] == "critical"
        assert found["b25-strategy-engine"].labels["tier"] == "core"
        assert found["b25-config-service"].labels["tier"] == "support"
        assert found["b25-config-service"].labels["service"] == "config-service"
        assert found["b25-config-service"].labels["environment"] == "production"
        assert found["node-exporter"].labels["instance"] == "trading-server-01"
        return True

    eventually(up, timeout_s=SHOWS_TIMEOUT_S, poll_s=1)


@pytest.mark.parametrize(
    "metric",
    [
        "market_data_websocket_latency_ms_bucket",
        "order_execution_orders_total",
        "strategy_engine_signals_generated_total",
        "account_monitor_balance_usd",
        "node_cpu_seconds_total",
        "http_requests_total",
    ],
)
def test_the_services_own_metrics_are_there(floor: FloorRun, metric: str) -> None:
    """8.1, 8.7: those that the plan's script asks for."""
    eventually(lambda: floor.backends.prometheus.query(metric), timeout_s=SHOWS_TIMEOUT_S, poll_s=1)


def test_endpoints_are_probed(floor: FloorRun) -> None:
    """4.1, 9.5: five services by HTTP and the database by TCP, in job blackbox."""

    def probed() -> bool:
        found = floor.backends.prometheus.query('probe_success{job="blackbox"}')
        assert sorted(each.labels["module"] for each in found) == ["http_2xx"] * 5 + ["tcp_connect"]
        assert all(each.value == 1 for each in found)
        urls = [each.labels["instance"] for each in found if each.labels["module"] == "http_2xx"]
        assert all(url.startswith("http://") and url.endswith("/health") for url in urls)
        codes = floor.backends.prometheus.query('probe_http_status_code{job="blackbox"}')
        assert {each.value for each in codes} == {200}
        return True

    eventually(probed, timeout_s=SHOWS_TIMEOUT_S, poll_s=1)


def test_rules_are_loaded_and_evaluated(floor: FloorRun) -> None:
    """8.2: every alert of the file is known to Prometheus, with no error in its evaluation."""
    document = yaml.safe_load(
        (ROOT / "config/prometheus/rules/b25.yml").read_text(encoding="utf-8")
    )
    wanted = {
        rule["alert"] for group in document["groups"] for rule in group["rules"] if "alert" in rule
    }

    def evaluated() -> bool:
        url = f"{floor.stack.url('prometheus').rstrip('/')}/api/v1/rules?type=alert"
        groups = json.loads(backends.fetch(url))["data"]["groups"]
        rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
        assert wanted <= set(rules)
        ill = [name for name in wanted if rules[name]["health"] != "ok"]
        assert not ill, ill
        return True

    eventually(evaluated, timeout_s=SHOWS_TIMEOUT_S, poll_s=1)


def test_logs_are_labelled(floor: FloorRun) -> None:
    """8.4: by service, with level, environment and trace; each line is the message."""

    def labelled() -> bool:
        loki = floor.backends.loki
        wanted = {each.name for each in services_of(["b25"])}
        assert wanted <= set(loki.label_values("service_name"))
        (entry, *_) = loki.entries('{service_name="b25-order-execution"} | status="success"')
        assert entry.line == "order acknowledged"
        assert entry.labels["level"] == "info"
        assert entry.labels["environment"] == "production"
        assert floor.backends.jaeger.trace(entry.labels["trace_id"]) is not None
        return True

    eventually(labelled, timeout_s=SHOWS_TIMEOUT_S, poll_s=1)


def test_one_trace_crosses_five_services(floor: FloorRun) -> None:
    """2.5: the trace id is a correlation id, from the quote to the fill."""

    def crosses() -> bool:
        for trace in floor.backends.jaeger.traces("b25-market-data"):
            names = {process["serviceName"] for process in trace["processes"].values()}
            if len(names) == 5:
                return True
        return False

    eventually(crosses, timeout_s=SHOWS_TIMEOUT_S, poll_s=1)


def test_a_simple_query_is_quick(floor: FloorRun) -> None:
    """8.5: below 100 ms, the plan's own bound; the best of twenty, since others use the machine."""

    def once() -> float:
        began = time.perf_counter()
        floor.backends.prometheus.query("rate(http_requests_total[5m])")
        return time.perf_counter() - began

    assert min(once() for _ in range(20)) < QUERY_LIMIT_S


def test_queries_have_the_plan_s_limits(floor: FloorRun) -> None:
    """2.2: samples, time, and how many at once."""
    url = f"{floor.stack.url('prometheus').rstrip('/')}/api/v1/status/flags"
    flags = json.loads(backends.fetch(url))["data"]
    assert flags["query.max-samples"] == "50000000"
    assert flags["query.timeout"] == "2m"
    assert flags["query.max-concurrency"] == "20"


def test_scrapes_are_quick(floor: FloorRun) -> None:
    """8.5: below a second each, the plan's own bound; the best of the last five minutes."""

    def quick() -> bool:
        found = floor.backends.prometheus.query(
            'min_over_time(scrape_duration_seconds{job=~"b25-.+|node-exporter"}[5m])'
        )
        assert len(found) == len(services_of(["b25"]))
        assert all(each.value < SCRAPE_LIMIT_S for each in found)
        return True

    eventually(quick, timeout_s=SHOWS_TIMEOUT_S, poll_s=1)


def test_series_are_few(floor: FloorRun) -> None:
    """2.2, 8.5: below a million in all; the size of the symbol table is told."""
    prometheus = floor.backends.prometheus

    def told() -> bool:
        (series,) = prometheus.query("prometheus_tsdb_head_series")
        assert 1_000 < series.value < SERIES_LIMIT
        (symbols,) = prometheus.query("prometheus_tsdb_symbol_table_size_bytes")
        assert symbols.value >= 0
        return True

    eventually(told, timeout_s=SHOWS_TIMEOUT_S, poll_s=1)


@pytest.mark.parametrize(
    ("server", "path"),
    [("prometheus", "/-/healthy"), ("alertmanager", "/-/healthy"), ("loki", "/ready")],
)
def test_servers_say_that_they_are_well(floor: FloorRun, server: str, path: str) -> None:
    """7.4: under the plan's paths."""
    url = floor.stack.url(server).rstrip("/")
    eventually(lambda: backends.fetch(f"{url}{path}"), timeout_s=SHOWS_TIMEOUT_S)
