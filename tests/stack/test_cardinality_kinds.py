"""Every kind of metric with a growing label, through the real collector into a real Prometheus."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from backends import Prometheus
from flooding import CALM, Flood, Kind
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

LIMIT = 10
WINDOW_S = 20
TOLERANCE = 0.005
METRICS = {
    "counted": Kind.COUNTER,
    "changed": Kind.DELTA,
    "spread": Kind.HISTOGRAM,
    "scaled": Kind.EXPONENTIAL,
}
CONFIG = f"""\
server: {{listen: "${{env:TAPELINE_LISTEN}}"}}
downstream: {{endpoint: "${{env:TAPELINE_DOWNSTREAM}}"}}
admin: {{listen: "${{env:TAPELINE_ADMIN}}"}}
chain: {{logs: [], traces: [], metrics: [redaction, cardinality]}}
cardinality:
  default_limit: 10000
  metrics: [{{match: {list(METRICS)}, limit: {LIMIT}}}]
"""
# One series of each metric: what stands for it in a count.
ONE_EACH = {
    "counted": "counted_total",
    "changed": "changed_total",
    "spread": "spread_count",
    "scaled": "scaled",
}
# Per second, with NAME for the metric or its control and W for the window.
RATES = {
    "counted": ("sum(rate(NAME_total[W]))",),
    "changed": ("sum(rate(NAME_total[W]))",),
    "spread": (
        "sum(rate(NAME_sum[W]))",
        "sum(rate(NAME_count[W]))",
        "histogram_quantile(0.5, sum by (le) (rate(NAME_bucket[W])))",
        "histogram_quantile(0.9, sum by (le) (rate(NAME_bucket[W])))",
    ),
    "scaled": (
        "histogram_sum(sum(rate(NAME[W])))",
        "histogram_count(sum(rate(NAME[W])))",
        "histogram_quantile(0.5, sum(rate(NAME[W])))",
        "histogram_quantile(0.9, sum(rate(NAME[W])))",
    ),
}


@dataclass(frozen=True)
class Flooded:
    """A running stack that is being flooded, every metric beyond its limit."""

    prometheus: Prometheus
    flood: Flood

    def value(self, expression: str) -> float:
        """Return the one value of an expression."""
        (sample,) = self.prometheus.query(expression)
        return sample.value

    def series(self, name: str) -> int:
        """Return how many series of a metric there are now."""
        found = self.prometheus.query(f"count({ONE_EACH[name]})")
        return int(found[0].value) if found else 0


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flooded]:
    """Start the servers and the flood; wait until no first value is in sight of a rate."""
    folder = tmp_path_factory.mktemp("kinds")
    config = folder / "gate.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    changed = Overrides(gate_config=config, scrape_interval_s=1)
    servers = ("collector", "gate", "prometheus")
    with Stack(folder / "run", Ports.free(), servers=servers, overrides=changed) as stack:
        scrape_native_histograms(stack)
        with Flood(f"{HOST}:{stack.ports.otlp_grpc}", METRICS) as flood:
            found = Flooded(Prometheus(stack.url("prometheus")), flood)
            for name in METRICS:
                eventually(lambda name=name: found.series(name) == LIMIT + 1)  # type: ignore[misc]
            settled = time.monotonic() + WINDOW_S * 1.2
            eventually(lambda: time.monotonic() > settled, timeout_s=WINDOW_S * 1.2 + 5, poll_s=1)
            yield found


def scrape_native_histograms(stack: Stack) -> None:
    """Let Prometheus scrape in the format that has them; others than the text have no scale."""
    path = stack.directory.path / "config" / "prometheus.yml"
    text = path.read_text(encoding="utf-8")
    more = "    scrape_native_histograms: true\n    scrape_protocols: [PrometheusProto]\n"
    assert text.count("job_name: telemetry\n") == 1
    path.write_text(text.replace("job_name: telemetry\n", f"job_name: telemetry\n{more}"))
    stack.restart("prometheus")


@pytest.mark.parametrize("name", METRICS)
def test_rates_and_quantiles_are_those_of_the_control(flooded: Flooded, name: str) -> None:
    """Ten series and the overflow say together what the same values say without ids."""
    for template in RATES[name]:
        expressions = [
            template.replace("NAME", each).replace("W", f"{WINDOW_S}s")
            for each in (name, name + CALM)
        ]
        growing, control = map(flooded.value, expressions)
        assert control > 1, expressions
        assert growing == pytest.approx(control, rel=TOLERANCE), expressions

    assert flooded.series(name) == LIMIT + 1
    assert len(flooded.flood.ids) > 2 * LIMIT
    assert not flooded.flood.failures


@pytest.mark.parametrize("name", METRICS)
def test_nothing_was_reset(flooded: Flooded, name: str) -> None:
    """No total fell, and the overflow's label is as the specification has it."""
    series = ONE_EACH[name]
    assert flooded.value(f"max(resets({series}[{2 * WINDOW_S}s]))") == 0
    (overflow,) = flooded.prometheus.series(f'{series}{{otel_metric_overflow="true"}}')
    assert not {"order_id", "venue"} & overflow.keys()


def test_a_series_that_ends_takes_no_other_with_it(flooded: Flooded) -> None:
    """No recorded value for an admitted and a folded id: the one goes, all the rest stays exact."""
    flood = flooded.flood
    first = flooded.prometheus.query("counted_total{order_id!=''}")[0].labels["order_id"]
    admitted = {each.labels.get("order_id") for each in flooded.prometheus.query("counted_total")}
    folded = next(order for order in flood.ids if order not in admitted)
    flood.end([first, folded])

    for name in METRICS:
        eventually(lambda name=name: flooded.series(name) == LIMIT)  # type: ignore[misc]
    exports = flood.exports
    eventually(lambda: flood.exports > exports + 4)
    with flood.paused():
        expected = flood.total - flood.total_of(first)
        for total in (
            "sum(counted_total)",
            "sum(changed_total)",
            "sum(spread_sum)",
            "histogram_sum(sum(scaled))",
        ):
            eventually(
                lambda total=total: flooded.value(total) == pytest.approx(expected),  # type: ignore[misc]
                timeout_s=10,
            )
    for name in METRICS:
        assert flooded.series(name) == LIMIT
    assert not flood.failures
