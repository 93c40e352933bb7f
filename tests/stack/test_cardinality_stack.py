"""A label that floods, through the real collector into a real Prometheus: bounded, and exact."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends import Prometheus
from growing_counter import CONTROL, GROWING, GrowingCounter
from otlp_client import histogram, send
from tapeline.stack.ports import HOST, Ports
from tapeline.stack.runner import Stack
from tapeline.stack.topology import Overrides
from waiting import eventually

pytestmark = pytest.mark.stack

SERVERS = ("collector", "gate", "prometheus")
LIMIT = 10
TOLERANCE = 0.005
CONFIG = """\
server: {{listen: "${{env:TAPELINE_LISTEN}}"}}
downstream: {{endpoint: "${{env:TAPELINE_DOWNSTREAM}}"}}
admin: {{listen: "${{env:TAPELINE_ADMIN}}"}}
chain: {{logs: [], traces: [], metrics: [redaction, cardinality]}}
cardinality:
  warmup: {warmup_s}s
  metrics: [{{match: {growing}, limit: {limit}}}]
"""


@dataclass(frozen=True)
class Flooded:
    """A running stack, and the service that floods it."""

    prometheus: Prometheus
    counter: GrowingCounter

    def value(self, expression: str) -> float:
        """Return the one value of an expression."""
        (sample,) = self.prometheus.query(expression)
        return sample.value

    def series(self) -> int:
        """Return how many series the growing metric has now."""
        found = self.prometheus.query(f"count({GROWING}_total)")
        return int(found[0].value) if found else 0


@contextmanager
def flooded(folder: Path, warmup_s: int, *, is_new: bool) -> Iterator[Flooded]:
    """Start the servers and the flood.

    A new gate has not seen when the service began, so it adds first values after the warm-up only;
    one that was there before the service adds them at once.
    """
    config = folder / "gate.yaml"
    config.write_text(CONFIG.format(warmup_s=warmup_s, growing=GROWING, limit=LIMIT))
    overrides = Overrides(gate_config=config, scrape_interval_s=1)
    with Stack(folder / "run", Ports.free(), servers=SERVERS, overrides=overrides) as stack:
        address = f"{HOST}:{stack.ports.otlp_grpc}"
        prometheus = Prometheus(stack.url("prometheus"))
        if not is_new:
            send(address, histogram("earlier", 1.0, bytes(range(16)), {"service.name": "earlier"}))
            eventually(lambda: prometheus.query("{__name__=~'earlier.*'}"), timeout_s=60)
        with GrowingCounter(address) as counter:
            yield Flooded(prometheus, counter)


def check_rates(flood: Flooded, window_s: int) -> None:
    """Let the rate over a window settle, and compare it with the metric that has no ids."""
    eventually(lambda: flood.series() == LIMIT + 1, timeout_s=60)
    # Prometheus takes no first value of a new series for an increase: a window and a fifth later
    # none is in sight any more. This wait is the test's own condition, not a guess.
    settled = time.monotonic() + window_s * 1.2
    eventually(lambda: time.monotonic() > settled, timeout_s=window_s * 1.2 + 5, poll_s=1)

    for _ in range(3):
        expressions = (f"sum(rate({name}_total[{window_s}s]))" for name in (GROWING, CONTROL))
        growing, control = map(flood.value, expressions)
        assert control > 1
        assert growing == pytest.approx(control, rel=TOLERANCE)
        scrapes = flood.counter.exports
        eventually(lambda before=scrapes: flood.counter.exports > before + 1)  # type: ignore[misc]

    assert flood.series() == LIMIT + 1
    assert flood.counter.ids > 2 * LIMIT
    resets = f"max(resets({{__name__=~'({GROWING}|{CONTROL})_total'}}[{window_s * 2}s]))"
    assert flood.value(resets) == 0
    assert not flood.counter.failures


def test_a_flood_of_ids_stays_bounded_and_its_rate_right(tmp_path: Path) -> None:
    """Ten series and the overflow; their rate is that of the same increments without ids."""
    with flooded(tmp_path, warmup_s=3, is_new=True) as flood:
        check_rates(flood, window_s=30)


@pytest.mark.acceptance
@pytest.mark.timeout(900)
def test_a_flood_of_ids_over_five_minute_rates(tmp_path: Path) -> None:
    """The same with the defaults, six minutes after the service began: five-minute rates."""
    with flooded(tmp_path, warmup_s=120, is_new=False) as flood:
        check_rates(flood, window_s=300)
