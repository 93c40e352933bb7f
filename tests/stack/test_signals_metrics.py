"""What the signals emit, through the real collector's exporter into a real Prometheus."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.request import ProxyHandler, Request, build_opener

import grpc
import pytest

from backends import Prometheus
from tapeline.otlp.signals import EXPORT_METHODS, Signal
from tapeline.signals.emission import Emitter
from tapeline.signals.metric_table import METRICS, Kind, Metric
from tapeline.signals.points import Attributes, Exemplar, GaugePoint, attributes_of
from tapeline.signals.series import SeriesSet
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

NET = "trading.pnl.net"
TYPES = {
    Kind.GAUGE: "gauge",
    Kind.COUNTER: "counter",
    Kind.SUM: "gauge",
    Kind.HISTOGRAM: "histogram",
}
_OPENER = build_opener(ProxyHandler({}))


@dataclass
class Emitting:
    """An emitter whose requests go where the gate sends them, and what comes of them."""

    stack: Stack
    emitter: Emitter
    series: SeriesSet = field(default_factory=SeriesSet)
    gauges: dict[tuple[str, Attributes], float] = field(default_factory=dict)

    @property
    def prometheus(self) -> Prometheus:
        """The Prometheus that scrapes the collector."""
        return Prometheus(self.stack.url("prometheus"))

    def emit(self) -> None:
        """Send all that is due."""
        points = [GaugePoint(*key, value) for key, value in self.gauges.items()]
        with grpc.insecure_channel(f"{HOST}:{self.stack.ports.egress}") as channel:
            call: Callable[..., bytes] = channel.unary_unary(EXPORT_METHODS[Signal.METRICS])
            for payload in self.emitter.emit(time.time_ns(), self.series, points):
                call(payload, timeout=10)

    def exposed(self) -> list[str]:
        """Return the lines of the collector's exporter, as Prometheus gets them."""
        url = f"http://{HOST}:{self.stack.ports.prometheus_exporter}/metrics"
        openmetrics = {"Accept": "application/openmetrics-text;version=1.0.0"}
        with _OPENER.open(Request(url, headers=openmetrics), timeout=10) as answer:
            text: str = answer.read().decode()
        return text.splitlines()

    def lines(self, name: str, label: str = "") -> list[str]:
        """Return the samples of a name in the exporter with a text among their labels."""
        return [line for line in self.exposed() if line.startswith(f"{name}{{") and label in line]

    def value(self, selector: str) -> float:
        """Return the one value of a selector in Prometheus."""
        (sample,) = self.prometheus.query(selector)
        return sample.value


@pytest.fixture(scope="module")
def emitting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emitting]:
    """Start collector and Prometheus, and an emitter."""
    folder = tmp_path_factory.mktemp("signals")
    servers = ("collector", "prometheus")
    overrides = Overrides(scrape_interval_s=1)
    with Stack(folder / "run", Ports.free(), servers=servers, overrides=overrides) as stack:
        yield Emitting(stack, Emitter(time.time_ns() - 10**9, {"service.name": "tapeline"}))


def attributes(account: str, metric: Metric, values: Mapping[str, str] | None = None) -> Attributes:
    """Return all attributes of a metric."""
    texts = {name.replace(".", "__"): f"some_{name}" for name in metric.attributes}
    return attributes_of(**{**texts, "account": account, **(values or {})})


def exposed_name(metric: Metric) -> str:
    """Return the name that Prometheus shall see, without `_bucket` and its like."""
    name = metric.name.replace(".", "_")
    if metric.unit == "s":
        name += "_seconds"
    return f"{name}_total" if metric.kind is Kind.COUNTER else name


def test_every_metric_comes_out_as_the_convention_says(emitting: Emitting) -> None:
    """Name, type, help and labels: no unit in a name but seconds, `_total` on what only grows."""
    for metric in METRICS.values():
        series = attributes("names", metric)
        if metric.kind is Kind.GAUGE:
            emitting.gauges[metric.name, series] = 1.25
        elif metric.kind is Kind.HISTOGRAM:
            emitting.series.observe(metric.name, series, Decimal("1.25"))
        else:
            emitting.series.add(metric.name, series, Decimal("1.25"))
    emitting.emit()

    lines = emitting.exposed()
    for metric in METRICS.values():
        name = exposed_name(metric)
        family = name.removesuffix("_total")
        assert f"# TYPE {family} {TYPES[metric.kind]}" in lines
        assert f"# HELP {family} {metric.description}" in lines
        sample = f"{name}_sum" if metric.kind is Kind.HISTOGRAM else name
        (found,) = emitting.lines(sample, 'trading_account="names"')
        assert found.endswith("} 1.25"), found
        for attribute in metric.attributes:
            assert f"trading_{attribute.replace('.', '_')}=" in found
    # Nothing else came out, and the ratio is named but once.
    families = {line.split(" ")[2] for line in lines if line.startswith("# TYPE trading_")}
    assert families == {exposed_name(each).removesuffix("_total") for each in METRICS.values()}
    assert "trading_fill_ratio" in families
    (labels,) = eventually(
        lambda: emitting.prometheus.series('trading_fill_ratio{trading_account="names"}')
    )
    assert labels["job"] == "tapeline"
    assert labels["otel_scope_name"] == "tapeline.signals"


def test_sums_below_zero_come_through(emitting: Emitting) -> None:
    """Of a histogram that has more gains than costs, and of fees that are rebates."""
    bps = METRICS["trading.slippage_bps"]
    cost = attributes("negative", bps)
    for value in ("-120.5", "-100", "-7.25", "0", "3"):
        emitting.series.observe(bps.name, cost, Decimal(value))
    fees = attributes("negative", METRICS["trading.fees"])
    for amount in ("0.1", "0.2", "-1.0"):
        emitting.series.add("trading.fees", fees, Decimal(amount))
    emitting.emit()

    own = 'trading_account="negative"'
    eventually(lambda: emitting.prometheus.query(f"trading_fees{{{own}}}"))
    assert emitting.value(f"trading_slippage_bps_sum{{{own}}}") == -224.75
    assert emitting.value(f"trading_slippage_bps_count{{{own}}}") == 5
    buckets = {
        float(sample.labels["le"]): sample.value
        for sample in emitting.prometheus.query(f"trading_slippage_bps_bucket{{{own}}}")
    }
    assert buckets == {float(edge): _below(edge) for edge in (*bps.bounds, Decimal("Infinity"))}
    # The nearest double to the exact sum; doubles would add up to -0.7 and a bit.
    assert emitting.value(f"trading_fees{{{own}}}") == -0.7

    emitting.series.add("trading.fees", fees, Decimal("0.3"))
    emitting.emit()
    eventually(lambda: emitting.value(f"trading_fees{{{own}}}") == -0.4)


def _below(edge: Decimal) -> int:
    return sum(Decimal(value) <= edge for value in ("-120.5", "-100", "-7.25", "0", "3"))


def test_an_ended_gauge_goes_at_once_and_alone(emitting: Emitting) -> None:
    """Others of its metric, before and behind it, show their new values from the same emission."""
    metric = METRICS[NET]
    keys = {name: (NET, attributes(f"end-{name}", metric)) for name in "abcdef"}
    emitting.gauges.update(dict.fromkeys(keys.values(), 1.0))
    emitting.emit()
    own = 'trading_pnl_net{trading_account=~"end-.*"}'
    eventually(lambda: len(emitting.prometheus.query(own)) == 6)

    for name in "bcf":
        del emitting.gauges[keys[name]]
    for name in "ade":
        emitting.gauges[keys[name]] = 2.0
    emitting.emit()

    shown = emitting.lines("trading_pnl_net", 'trading_account="end-')
    assert sorted(line.split('trading_account="end-')[1][0] for line in shown) == ["a", "d", "e"]
    assert all(line.endswith((" 2", " 2.0")) for line in shown), shown
    eventually(lambda: len(emitting.prometheus.query(own)) == 3, timeout_s=10)

    # One that begins again is there again.
    emitting.gauges[keys["b"]] = 3.0
    emitting.emit()
    assert emitting.lines("trading_pnl_net", 'trading_account="end-b"')


def test_exemplars_arrive_with_their_traces(emitting: Emitting) -> None:
    """Of a bucket and of a counter, with the value of the sample and the time of the event."""
    bps, volume = METRICS["trading.slippage_bps"], METRICS["trading.volume"]
    now_ns = time.time_ns()
    costly = Exemplar((now_ns,), now_ns, Decimal(0), b"\xab" * 16, b"\xcd" * 8)
    gaining = costly._replace(trace_id=b"\x12" * 16)
    emitting.series.observe(bps.name, attributes("traced", bps), Decimal("60.5"), costly)
    emitting.series.observe(bps.name, attributes("traced", bps), Decimal("-3.5"), gaining)
    emitting.series.add(volume.name, attributes("traced", volume), Decimal("2.5"), costly)
    emitting.emit()

    own = 'trading_account="traced"'
    found = eventually(
        lambda: (
            (
                emitting.prometheus.exemplars(f"trading_slippage_bps_bucket{{{own}}}"),
                emitting.prometheus.exemplars(f"trading_volume_total{{{own}}}"),
            )
            if len(emitting.prometheus.exemplars(f"trading_slippage_bps_bucket{{{own}}}")) == 2
            else None
        )
    )
    shown = {
        (series["seriesLabels"].get("le"), exemplar["labels"]["trace_id"], float(exemplar["value"]))
        for of_metric in found
        for series in of_metric
        for exemplar in series["exemplars"]
    }
    assert shown == {
        ("100.0", "ab" * 16, 60.5),
        ("-2.0", "12" * 16, -3.5),
        (None, "ab" * 16, 2.5),
    }
    (exemplar,) = found[1][0]["exemplars"]
    assert exemplar["labels"]["span_id"] == "cd" * 8
    assert exemplar["timestamp"] == pytest.approx(now_ns / 1e9, abs=0.002)
