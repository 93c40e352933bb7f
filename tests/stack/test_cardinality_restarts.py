"""Outages and restarts in the middle of a flood: what is sent again is not counted again."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends import Prometheus
from flooding import CALM, Flood, History, Kind, captured_sums
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

LIMIT = 10
NAME = "counted"
DELTAS = "changed"
OVERFLOW = frozenset({("otel.metric.overflow", "True")})
CONFIG = """\
server: {{listen: "${{env:TAPELINE_LISTEN}}"}}
downstream: {{endpoint: "${{env:TAPELINE_DOWNSTREAM}}"}}
admin: {{listen: "${{env:TAPELINE_ADMIN}}"}}
chain: {{logs: [], traces: [], metrics: [cardinality]}}
cardinality:
  metrics: [{{match: [{name}, {deltas}], limit: {limit}}}]
  state: {state}
  snapshot_period: 1s
"""
# The tests' own file of what egress took, which outlives its restarts.
CAPTURE = """\
exporters:
  file/metrics: {{path: "{path}", flush_interval: 100ms, append: true}}
service: {{pipelines: {{metrics/egress: {{exporters: [prometheus, file/metrics]}}}}}}
"""


@dataclass(frozen=True)
class Flooded:
    """A running stack with its two halves apart, and the service that floods it."""

    stack: Stack
    flood: Flood
    captured: Path

    def history(self) -> History:
        """Return every point that egress took so far."""
        return captured_sums(self.captured)

    def series(self, name: str) -> History:
        """Return the history of a metric's series."""
        return {key: points for key, points in self.history().items() if key[0] == name}

    def total(self, name: str) -> int:
        """Return the sum of the last values of a metric's series."""
        return sum(points[-1][1] for points in self.series(name).values())

    def proceed(self, exports: int) -> None:
        """Let the flood go on for so many exports."""
        until = self.flood.exports + exports
        eventually(lambda: self.flood.exports >= until)

    def arrived(self) -> None:
        """Wait until the newest export of the control is at egress; the flood is paused."""
        eventually(lambda: self.total(NAME + CALM) == self.flood.total)


@pytest.fixture
def flooded(tmp_path: Path) -> Iterator[Flooded]:
    """Start everything, and wait until both metrics are beyond their limit."""
    captured = tmp_path / "metrics.jsonl"
    egress, gate = tmp_path / "capture.yaml", tmp_path / "gate.yaml"
    egress.write_text(CAPTURE.format(path=captured), encoding="utf-8")
    values = {"name": NAME, "deltas": DELTAS, "limit": LIMIT, "state": tmp_path / "state"}
    gate.write_text(CONFIG.format(**values), encoding="utf-8")
    changed = Overrides(
        gate_config=gate, egress_files=(egress,), two_collectors=True, scrape_interval_s=1
    )
    servers = ("collector", "gate", "prometheus")
    metrics = {NAME: Kind.COUNTER, DELTAS: Kind.DELTA}
    ports = Ports.free()
    with (
        Stack(tmp_path / "run", ports, servers=servers, overrides=changed) as stack,
        Flood(f"{HOST}:{ports.otlp_grpc}", metrics) as flood,
    ):
        found = Flooded(stack, flood, captured)
        for name in metrics:
            eventually(lambda name=name: len(found.series(name)) == LIMIT + 1)  # type: ignore[misc]
        yield found


def check_no_total_fell(flooded: Flooded) -> None:
    """Check that a value is lower than the one before it only where the start is later."""
    history = flooded.series(NAME) | {(DELTAS, OVERFLOW): flooded.series(DELTAS)[DELTAS, OVERFLOW]}
    assert len(history) == LIMIT + 2
    for series, points in history.items():
        for before, after in itertools.pairwise(points):
            assert after >= before, (series, before, after)
    # And the metrics never had other series than these.
    assert len(flooded.series(DELTAS)) == LIMIT + 1
    assert not flooded.flood.failures


def starts(flooded: Flooded, name: str = NAME) -> list[int]:
    """Return the starts of a metric's overflow series, in the order of their arrival."""
    points = flooded.series(name)[name, OVERFLOW]
    return list(dict.fromkeys(start for start, _ in points))


def counted(flooded: Flooded) -> int:
    """Return the sum of what every series counted in all its epochs."""
    last = {
        (series, start): value
        for series, points in flooded.series(NAME).items()
        for start, value in points
    }
    return sum(last.values())


def resets(flooded: Flooded, selector: str) -> float:
    """Return how often Prometheus saw the one of some series fall that fell most often."""
    prometheus = Prometheus(flooded.stack.url("prometheus"))
    (sample,) = prometheus.query(f"max(resets({selector}[5m]))")
    return sample.value


def test_an_outage_and_a_clean_restart_lose_and_double_nothing(flooded: Flooded) -> None:
    """Egress is down for seconds, then the gate ends and starts: the total stays exact."""
    flooded.stack.terminate("collector-egress")
    flooded.proceed(6)
    flooded.stack.restart("collector-egress")
    with flooded.flood.paused():
        flooded.arrived()
        assert flooded.total(NAME) == flooded.flood.total

    flooded.proceed(2)
    assert flooded.stack.terminate("gate") == 0
    flooded.proceed(4)
    flooded.stack.restart("gate")
    flooded.proceed(4)
    with flooded.flood.paused():
        flooded.arrived()
        assert flooded.total(NAME) == flooded.flood.total

    check_no_total_fell(flooded)
    for name in (NAME, DELTAS):
        assert len(starts(flooded, name)) == 1
    assert resets(flooded, "counted_total") == 0
    assert resets(flooded, 'changed_total{otel_metric_overflow="true"}') == 0


def test_a_killed_gate_begins_a_new_epoch(flooded: Flooded) -> None:
    """Its totals are not known any more: they begin anew with a later start, too low if wrong."""
    # So many that no scrape can find the new total above the old one.
    flooded.proceed(16)
    flooded.stack.kill("gate")
    flooded.proceed(4)
    flooded.stack.restart("gate")
    eventually(lambda: len(starts(flooded)) == 2)
    flooded.proceed(4)
    with flooded.flood.paused():
        flooded.arrived()
        total, expected = flooded.total(NAME), flooded.flood.total
        assert 0 < total < expected
        assert counted(flooded) <= expected
    flooded.proceed(6)
    with flooded.flood.paused():
        flooded.arrived()
        # From here on all is exact again: what was not known is a baseline.
        assert flooded.total(NAME) - total == flooded.flood.total - expected

    check_no_total_fell(flooded)
    assert len(starts(flooded)) == len(starts(flooded, DELTAS)) == 2
    # The series that were admitted are so still, and none of them fell.
    assert resets(flooded, 'counted_total{order_id!=""}') == 0
    assert resets(flooded, 'counted_total{otel_metric_overflow="true"}') == 1


@pytest.mark.acceptance
@pytest.mark.timeout(900)
def test_nothing_counts_twice_over_many_kills_and_outages(flooded: Flooded) -> None:
    """Kills, clean restarts and outages at random: no total falls or is too high, in any epoch."""
    source = random.Random(20261121)  # noqa: S311 - victims and moments
    kills = 0
    for _ in range(20):
        flooded.proceed(source.randrange(1, 8))
        end = source.choice((flooded.stack.kill, flooded.stack.terminate))
        victim = source.choice(("gate", "gate", "collector-egress"))
        kills += (victim, end) == ("gate", flooded.stack.kill)
        end(victim)
        flooded.proceed(source.randrange(1, 6))
        flooded.stack.restart(victim)
    assert kills > 2

    flooded.proceed(6)
    with flooded.flood.paused():
        flooded.arrived()
        total, expected = flooded.total(NAME), flooded.flood.total
    flooded.proceed(6)
    with flooded.flood.paused():
        flooded.arrived()
        assert flooded.total(NAME) - total == flooded.flood.total - expected
        assert 0 < counted(flooded) <= flooded.flood.total
    check_no_total_fell(flooded)
    for name in (NAME, DELTAS):
        assert len(starts(flooded, name)) <= kills + 1
    assert resets(flooded, 'counted_total{order_id!=""}') == 0
