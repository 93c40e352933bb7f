"""py_rt's instruments are those of its document, and its rules' numbers those of its limits."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Histogram

from tapeline.floor.py_rt import (
    execution_engine_metrics,
    limits,
    market_data_metrics,
    risk_manager_metrics,
    signal_bridge_metrics,
)
from tapeline.stack.binaries import SOURCE_ROOT

SERVICES: Mapping[str, Callable[[CollectorRegistry], object]] = {
    "market_data": market_data_metrics.make_metrics,
    "signal_bridge": signal_bridge_metrics.make_metrics,
    "risk_manager": risk_manager_metrics.make_metrics,
    "execution_engine": execution_engine_metrics.make_metrics,
}

# Name without `_total`: type, labels, buckets. Where the document's top bucket is a threshold there
# is one more above it.
NAMED: Mapping[str, tuple[str, str, str]] = {
    "market_data_websocket_latency_us": (
        "histogram",
        "exchange message_type symbol",
        "1 5 10 25 50 100 250 500 1000 5000",
    ),
    "market_data_orderbook_update_latency_us": (
        "histogram",
        "symbol update_type",
        "1 2 5 10 25 50 100",
    ),
    "market_data_zmq_publish_latency_us": ("histogram", "topic", "10 25 50 100 250 500 1000"),
    "signal_bridge_inference_latency_us": (
        "histogram",
        "model_name input_features_count",
        "10 25 50 100 250 500 1000 5000",
    ),
    "signal_bridge_feature_computation_us": (
        "histogram",
        "feature_set",
        "5 10 25 50 100 250 500",
    ),
    "signal_bridge_signal_generation_latency_us": (
        "histogram",
        "symbol signal_type",
        "50 100 250 500 1000 2500 5000 10000",
    ),
    "risk_manager_pretrade_check_latency_us": (
        "histogram",
        "check_type",
        "5 10 25 50 100 250 500 1000",
    ),
    "risk_manager_position_update_latency_us": (
        "histogram",
        "symbol",
        "10 25 50 100 250 500",
    ),
    "risk_manager_pnl_calculation_latency_us": (
        "histogram",
        "calculation_type",
        "10 25 50 100 250 500 1000",
    ),
    "execution_engine_order_submission_latency_us": (
        "histogram",
        "exchange order_type",
        "25 50 100 250 500 1000 2500 5000 10000",
    ),
    "execution_engine_routing_latency_us": ("histogram", "routing_strategy", "5 10 25 50 100 250"),
    "execution_engine_api_call_latency_ms": (
        "histogram",
        "endpoint method status_code",
        "10 25 50 100 250 500 1000 2500",
    ),
    "execution_engine_retry_delay_ms": (
        "histogram",
        "retry_attempt",
        "100 250 500 1000 2500 5000",
    ),
    "market_data_messages_processed": ("counter", "message_type symbol exchange", ""),
    "signal_bridge_signals_generated": ("counter", "signal_type symbol confidence_bucket", ""),
    "execution_engine_orders_submitted": ("counter", "order_type status exchange", ""),
    "risk_manager_checks_performed": ("counter", "check_type result", ""),
    "zmq_messages_published": ("counter", "service topic", ""),
    "market_data_websocket_connection_failures": ("counter", "exchange error_type", ""),
    "execution_engine_order_rejections": ("counter", "rejection_reason symbol", ""),
    "risk_manager_risk_failures": ("counter", "failure_type symbol", ""),
    "execution_engine_api_failures": ("counter", "endpoint status_code error_message", ""),
    "signal_bridge_inference_errors": ("counter", "error_type model_name", ""),
    "trading_position_value_usd": ("gauge", "symbol side", ""),
    "trading_realized_pnl_usd": ("gauge", "symbol strategy", ""),
    "trading_unrealized_pnl_usd": ("gauge", "symbol", ""),
    "trading_portfolio_value_usd": ("gauge", "", ""),
    "trading_open_positions_count": ("gauge", "", ""),
    "trading_daily_volume_usd": ("gauge", "symbol", ""),
    "trading_slippage_bps": ("histogram", "symbol order_type", "0 1 5 10 25 50 100 250"),
    "trading_order_fill_rate": ("gauge", "symbol order_type", ""),
    "system_cpu_usage_percent": ("gauge", "service", ""),
    "system_memory_usage_mb": ("gauge", "service", ""),
    "system_connection_pool_size": ("gauge", "service pool_type", ""),
    "system_zmq_queue_depth": ("gauge", "service queue", ""),
    "system_tokio_workers_active": ("gauge", "service", ""),
}


def instruments() -> dict[str, list[Any]]:
    """Return the instruments of all four services by name: some are in more than one."""
    found: dict[str, list[Any]] = {}
    for make in SERVICES.values():
        registry = CollectorRegistry()
        make(registry)
        for instrument in registry._collector_to_names:
            found.setdefault(instrument._name, []).append(instrument)  # type: ignore[attr-defined]
    return found


def test_there_is_each_metric_and_no_other() -> None:
    """The four services together have the names of the document."""
    assert set(instruments()) == set(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_a_metric_has_its_type_labels_and_buckets(name: str) -> None:
    """In every service that has it."""
    kind, labels, buckets = NAMED[name]
    for instrument in instruments()[name]:
        assert instrument._type == kind
        assert instrument._labelnames == tuple(labels.split())
        if isinstance(instrument, Histogram):
            bounds = [float(each) for each in buckets.split()]
            assert instrument._upper_bounds == [*bounds, float("inf")]


def test_rules_name_the_limits_that_the_services_have() -> None:
    """A limit that is changed in one place only is a rule that never fires, or always."""
    path = SOURCE_ROOT / "config" / "prometheus" / "rules" / "py_rt.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    expressions = {
        rule["alert"]: rule["expr"]
        for group in document["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    for alert, end in {
        "PyRtMaxDailyLossExceeded": f"< -{limits.MAX_DAILY_LOSS_USD:.0f}",
        "PyRtPositionTooLarge": f"> {limits.MAX_POSITION_USD:.0f}",
        "PyRtTooManyOpenPositions": f"> {limits.MAX_OPEN_POSITIONS}",
        "PyRtPortfolioDrawdown": f"< {limits.CAPITAL_USD:.0f} * 0.95",
    }.items():
        assert expressions[alert].endswith(end)
    assert limits.MESSAGES_PER_SYMBOL_PER_S > 100
