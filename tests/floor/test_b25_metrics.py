"""b25's metrics: what the rules ask for is there, with the plan's types, labels and buckets."""

import re
from collections.abc import Callable
from functools import cache

import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from tapeline.floor.b25 import (
    account_monitor_metrics,
    config_service_metrics,
    dashboard_server_metrics,
    host_metrics,
    market_data_metrics,
    order_execution_metrics,
    risk_manager_metrics,
    strategy_engine_metrics,
)
from tapeline.stack.binaries import SOURCE_ROOT

MAKERS: tuple[Callable[[CollectorRegistry], object], ...] = (
    account_monitor_metrics.make_metrics,
    config_service_metrics.make_metrics,
    dashboard_server_metrics.make_metrics,
    host_metrics.make_metrics,
    market_data_metrics.make_metrics,
    order_execution_metrics.make_metrics,
    risk_manager_metrics.make_metrics,
    strategy_engine_metrics.make_metrics,
)

# What the plan's panels and alerts use, with the labels that they name.
OF_THE_PLAN: tuple[tuple[type[MetricWrapperBase], str, frozenset[str]], ...] = (
    (Counter, "http_requests_total", frozenset({"status"})),
    (Histogram, "http_request_duration_seconds", frozenset()),
    (Histogram, "market_data_websocket_latency_ms", frozenset()),
    (Histogram, "market_data_message_latency_ms", frozenset()),
    (Gauge, "market_data_websocket_connected", frozenset({"exchange", "status"})),
    (Gauge, "market_data_orderbook_depth_levels", frozenset({"side", "symbol"})),
    (Counter, "market_data_messages_processed_total", frozenset()),
    (Counter, "market_data_reconnections_total", frozenset()),
    (Counter, "market_data_gaps_detected_total", frozenset()),
    (Histogram, "order_execution_latency_ms", frozenset({"exchange", "symbol", "order_type"})),
    (Histogram, "order_execution_submission_latency_ms", frozenset()),
    (Counter, "order_execution_orders_total", frozenset({"status", "type"})),
    (Counter, "order_execution_filled_orders_total", frozenset()),
    (Counter, "order_execution_submitted_orders_total", frozenset()),
    (Counter, "order_execution_volume_usd_total", frozenset()),
    (Counter, "order_execution_rate_limited_total", frozenset()),
    (Gauge, "order_execution_circuit_breaker_state", frozenset()),
    (Gauge, "order_execution_queue_depth", frozenset()),
    (Counter, "strategy_engine_signals_generated_total", frozenset({"strategy_id"})),
    (Histogram, "strategy_engine_signal_to_order_latency_ms", frozenset()),
    (Gauge, "strategy_engine_active_strategies", frozenset()),
    (Gauge, "account_monitor_balance_usd", frozenset()),
    (Gauge, "account_monitor_realized_pnl_usd", frozenset({"symbol"})),
    (Gauge, "account_monitor_unrealized_pnl_usd", frozenset({"symbol"})),
    (Gauge, "account_monitor_position_size", frozenset({"symbol"})),
    (Gauge, "account_monitor_position_entry_price", frozenset({"symbol"})),
    (Gauge, "account_monitor_position_limit", frozenset({"symbol"})),
    (Gauge, "account_monitor_fees_paid_usd", frozenset({"type"})),
    (Gauge, "account_monitor_sharpe_ratio", frozenset()),
    (Gauge, "account_monitor_max_drawdown_pct", frozenset()),
    (Counter, "account_monitor_winning_trades_total", frozenset()),
    (Gauge, "account_monitor_total_trades_total", frozenset()),
    (Counter, "account_monitor_maker_orders_total", frozenset()),
    (Gauge, "account_monitor_total_orders_total", frozenset()),
    (Counter, "risk_manager_limit_violations_total", frozenset()),
    (Counter, "node_cpu_seconds_total", frozenset({"mode"})),
    (Gauge, "node_memory_MemAvailable_bytes", frozenset()),
    (Gauge, "node_memory_MemTotal_bytes", frozenset()),
    (Gauge, "node_filesystem_avail_bytes", frozenset({"mountpoint"})),
    (Gauge, "node_filesystem_size_bytes", frozenset({"mountpoint"})),
    (Counter, "node_network_receive_errs_total", frozenset({"device"})),
    (Counter, "node_network_receive_bytes_total", frozenset({"device"})),
    (Counter, "node_network_transmit_bytes_total", frozenset({"device"})),
)
SELECTOR = re.compile(r"\b([a-z][a-zA-Z0-9_]*_[a-zA-Z0-9_]+)\{([^}]*)\}")
# Labels that scraping adds, and metrics that are another process's.
TARGET_LABELS = frozenset({"job", "instance", "service", "tier", "le"})
ELSEWHERE = re.compile(r"otelcol_.+|process_.+")


@cache
def instruments() -> dict[str, MetricWrapperBase]:
    """Return every instrument of b25 by the name under which it is exposed."""
    found: dict[str, MetricWrapperBase] = {}
    for make in MAKERS:
        registry = CollectorRegistry()
        make(registry)
        for each in registry._collector_to_names:
            assert isinstance(each, MetricWrapperBase)
            total = "_total" if isinstance(each, Counter) else ""
            found[each._name + total] = each
    return found


def labels_of(instrument: MetricWrapperBase) -> frozenset[str]:
    """Return the names of its labels."""
    return frozenset(instrument._labelnames)


@pytest.mark.parametrize(("kind", "name", "labels"), OF_THE_PLAN, ids=str)
def test_a_metric_of_the_plan_is_there(
    kind: type[MetricWrapperBase], name: str, labels: frozenset[str]
) -> None:
    """Under its exact name, of its type, with at least the labels that the plan uses."""
    instrument = instruments()[name]
    assert isinstance(instrument, kind)
    assert labels <= labels_of(instrument)


def test_latencies_have_the_plan_s_buckets() -> None:
    """From 0.1 to 10 ms in steps that tell apart; above them for what goes wrong."""
    found = [each for name, each in instruments().items() if name.endswith("_latency_ms")]
    assert len(found) == 5
    for each in found:
        assert isinstance(each, Histogram)
        bounds = each._upper_bounds
        assert {0.1, 0.5, 1.0, 5.0, 10.0} <= set(bounds)
        assert max(bound for bound in bounds if bound != float("inf")) == 5000


def test_the_response_time_alert_can_fire() -> None:
    """A quantile never passes the top finite bucket: there must be one above the threshold."""
    durations = instruments()["http_request_duration_seconds"]
    assert isinstance(durations, Histogram)
    finite = [each for each in durations._upper_bounds if each != float("inf")]
    assert 1.0 in finite
    assert max(finite) > 1.0


def test_what_the_rules_select_is_there() -> None:
    """Each metric with matchers in rules/b25.yml exists, and has the labels that are matched."""
    document = yaml.safe_load(
        (SOURCE_ROOT / "config/prometheus/rules/b25.yml").read_text(encoding="utf-8")
    )
    expressions = " ".join(rule["expr"] for group in document["groups"] for rule in group["rules"])
    selected = [
        (name, re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        for name, matchers in SELECTOR.findall(expressions)
        if not ELSEWHERE.fullmatch(name)
    ]
    assert len(selected) > 20
    for name, labels in selected:
        instrument = instruments()[name.removesuffix("_bucket")]
        assert set(labels) - TARGET_LABELS <= labels_of(instrument) | {"module"}, name
