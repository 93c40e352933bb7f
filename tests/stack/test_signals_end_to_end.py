"""Trading events through collector, gate and signals into Prometheus, and their traces in Jaeger.

All figures are the engine's own, to the last bit of a double.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest

from backends import Jaeger, Prometheus
from otlp_client import send
from signals_stack import (
    SECOND_NS,
    Samples,
    Setting,
    Trading,
    demo_session,
    differences,
    in_logs,
    in_span_events,
    in_spans,
    own_count,
    passed,
    scraped,
    shown_by,
    shown_labels,
)
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

SERVERS = ("collector", "signals", "gate", "prometheus", "jaeger")
SETTING = Setting(
    {
        # Batches overtake each other on their way through the gate, and traces the logs.
        "max_lateness": "10m",
        "risk": {"period": "5s"},
        "accounts": {"desk-b": {"starting_equity": "250000.50"}},
    }
)
STEPS, SEED = 120, 11


@dataclass(frozen=True)
class Traded:
    """A stack that has taken a session of trading, and what it must show of it."""

    stack: Stack
    session: list[Trading]
    expected: Samples

    @property
    def prometheus(self) -> Prometheus:
        """The Prometheus of the stack."""
        return Prometheus(self.stack.url("prometheus"))


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traded]:
    """Send a session as logs, spans and span events, and wait until its last sample is due."""
    folder = tmp_path_factory.mktemp("signals_end_to_end")
    begin_ns = time.time_ns() - 60 * SECOND_NS
    session = demo_session(SEED, STEPS, begin_ns, SECOND_NS // 4, ("desk-a", "desk-b"))
    traceless = [each for each in session if not each.trace_id]
    orders = [each for each in session if each.trace_id]
    of_fills = [each for each in orders if each.event.name == "trading.execution"]
    odd = [each for each in orders if each.trace_id[-1] % 2]
    # Fills as spans; of the rest, every other order as span events, the others as logs.
    requests = [
        in_logs(traceless),
        in_logs([each for each in orders if each not in of_fills and each not in odd]),
        in_span_events([each for each in odd if each not in of_fills]),
        in_spans(of_fills),
    ]
    end = passed(session[-1].time_ns + 1200 * SECOND_NS)
    config = SETTING.write(folder / "signals.yaml")
    changed = Overrides(
        signals_config=config,
        scrape_interval_s=1,
        environment={"collector": {"TAPELINE_DECISION_WAIT": "1s"}},
    )
    with Stack(folder / "run", Ports.free(), servers=SERVERS, overrides=changed) as stack:
        for request in requests:
            send(f"{HOST}:{stack.ports.otlp_grpc}", request)
        eventually(lambda: own_count(stack, "tapeline_signals_events_total") == len(session))
        send(f"{HOST}:{stack.ports.otlp_grpc}", end)
        engine = SETTING.engine_of([*requests, end])
        assert not sum(engine.late.values())
        yield Traded(stack, session, shown_by(engine))


def test_every_figure_in_prometheus_is_the_engines_own(traded: Traded) -> None:
    """Each series of each metric, to the last bit, and none besides."""
    eventually(lambda: not differences(scraped(traded.stack), traded.expected))

    def stored() -> Samples:
        samples = traded.prometheus.query('{__name__=~"trading_.+"}')
        return {
            (each.labels["__name__"], shown_labels(each.labels)): each.value for each in samples
        }

    eventually(lambda: _same(stored(), traded.expected))
    names = {name for name, _ in traded.expected}
    for wanted in (
        "trading_slippage_bps_bucket", "trading_slippage_cost_total", "trading_shortfall_bps_sum",
        "trading_pnl_realized", "trading_pnl_unrealized", "trading_pnl_net", "trading_risk_sharpe",
        "trading_portfolio_equity", "trading_markout_bps_count", "trading_fees",
    ):  # fmt: skip
        assert wanted in names


def _same(found: Samples, expected: Samples) -> bool:
    wrong = differences(found, expected)
    assert not wrong, wrong
    return True


def test_an_exemplar_of_slippage_opens_the_trace_of_its_execution(traded: Traded) -> None:
    """Its value is the slippage of a fill that is in that trace in Jaeger, at the fill's time."""
    fills = {
        (each.trace_id.hex(), each.span_id.hex()): each
        for each in traded.session
        if each.event.name == "trading.execution"
    }
    selector = 'trading_slippage_bps_bucket{trading_benchmark="limit"}'
    found = eventually(lambda: traded.prometheus.exemplars(selector))
    jaeger = Jaeger(traded.stack.url("jaeger"))
    opened = 0
    for series in found:
        for exemplar in series["exemplars"]:
            labels = exemplar["labels"]
            fill = fills[labels["trace_id"], labels["span_id"]]
            trace = eventually(lambda labels=labels: jaeger.trace(labels["trace_id"]))  # type: ignore[misc]
            (span,) = [each for each in trace["spans"] if each["spanID"] == labels["span_id"]]
            tags = {tag["key"]: tag["value"] for tag in span["tags"]}
            assert span["operationName"] == "trading.execution"
            assert tags["trading.execution.id"] == fill.event.attributes["trading.execution.id"]
            assert exemplar["timestamp"] == pytest.approx(fill.time_ns / 1e9, abs=0.002)
            assert float(exemplar["value"]) == slippage_to_limit(traded.session, fill)
            opened += 1
    assert opened >= 3


def slippage_to_limit(session: list[Trading], fill: Trading) -> float:
    """Return the slippage of a fill against the limit in force, by the formula."""
    limits = [
        each.event.attributes["trading.order.limit_price"]
        for each in session
        if each.event.name == "trading.order"
        and each.trace_id == fill.trace_id
        and each.time_ns <= fill.time_ns
    ]
    limit = Decimal(limits[-1])
    sign = 1 if fill.event.attributes["trading.side"] == "buy" else -1
    price = Decimal(fill.event.attributes["trading.execution.price"])
    return float(10_000 * sign * (price - limit) / limit)


def test_the_sidecar_is_watched_and_its_metrics_come_back_once(traded: Traded) -> None:
    """Prometheus scrapes it, no metric was sent to it, and the doctor's addresses answer."""
    (up,) = eventually(lambda: traded.prometheus.query('up{job="signals"} == 1'))
    assert up.value == 1
    received = "tapeline_received_records_total"
    assert own_count(traded.stack, received, signal="logs") > 0
    assert own_count(traded.stack, received, signal="traces") > 0
    assert own_count(traded.stack, received, signal="metrics") == 0
