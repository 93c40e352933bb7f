"""The signals' series in this process: what an addition costs, and what an emission.

Usage: signals_series.py POSITIONS. Run in a process of its own, on a core of its own, it prints
JSON. Times are CPU time, the best of several rounds of additions and the median of emissions.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from tapeline.pipeline.garbage import settle_garbage
from tapeline.signals.emission import Emitter
from tapeline.signals.points import Exemplar, GaugePoint, attributes_of
from tapeline.signals.series import Histogram, SeriesSet

__all__ = ["main", "measure"]

ROUNDS: Final = 7
ADDITIONS: Final = 100_000
ACCOUNTS: Final = 50
STRATEGIES: Final = 7
SECOND_NS: Final = 1_000_000_000
START_NS: Final = 1_600_000_000 * SECOND_NS
NOW_NS: Final = 1_700_000_000 * SECOND_NS
PERIOD_NS: Final = 5 * SECOND_NS
AMOUNT: Final = Decimal("123.456789")
BPS: Final = Decimal("1.234567890123456789012345678901234")
EVENT: Final = Exemplar(
    (NOW_NS, 4, 0, 8, "trade-17", "XNAS", "account-1", "INSTRUMENT-1"),
    NOW_NS,
    AMOUNT,
    bytes(range(16)),
    bytes(range(8)),
)


def base_of(number: int) -> dict[str, str]:
    """Return the base attributes of a position."""
    return {
        "account": f"account-{number % ACCOUNTS}",
        "strategy": f"strategy-{number % STRATEGIES}",
        "instrument": f"INSTRUMENT-{number}",
    }


def gauges_of(positions: int, change: int) -> list[GaugePoint]:
    """Return the six gauges of each position, all other ones than with another `change`."""
    points = []
    for number in range(positions):
        base = base_of(number)
        plain, money = attributes_of(**base), attributes_of(**base, currency="USD")
        source = attributes_of(**base, currency="USD", price_source="mark")
        named = {
            "position.quantity": plain,
            "position.average_price": money,
            "position.value": money,
            "pnl.realized": money,
            "pnl.net": money,
            "pnl.unrealized": source,
        }
        value = number * 1.25 + change
        points += [
            GaugePoint(f"trading.{name}", attributes, value) for name, attributes in named.items()
        ]
    return points


def histograms_of(series: SeriesSet, count: int) -> list[Histogram]:
    """Return so many histograms of slippage."""
    return [
        series.histogram(
            "trading.slippage_bps",
            attributes_of(**base_of(number), venue="XNAS", side="buy", benchmark="arrival"),
        )
        for number in range(count)
    ]


def cpu_ms(action: Callable[[], object]) -> float:
    """Return the CPU time of an action."""
    began_s = time.process_time()
    action()
    return (time.process_time() - began_s) * 1e3


def nanoseconds_each(add: Callable[[Decimal, Exemplar], None], value: Decimal) -> float:
    """Return what one addition takes, the call included."""

    def additions() -> None:
        for _ in range(ADDITIONS):
            add(value, EVENT)

    return min(cpu_ms(additions) for _ in range(ROUNDS)) * 1e6 / ADDITIONS


def emissions_ms(emissions: Sequence[Callable[[], object]]) -> dict[str, float]:
    """Return what the first of some emissions took, and the median of the others."""
    first_ms, *others_ms = [cpu_ms(emission) for emission in emissions]
    return {"first_ms": first_ms, "median_ms": statistics.median(others_ms)}


def measure_gauges(positions: int) -> dict[str, float]:
    """Return what it takes to emit the gauges of all positions when each has changed."""
    emitter, series = Emitter(START_NS, {"service.name": "bench"}), SeriesSet()
    made = [gauges_of(positions, change) for change in range(ROUNDS)]
    return emissions_ms(
        [
            lambda number=number, points=points: emitter.emit(  # type: ignore[misc]
                NOW_NS + number * PERIOD_NS, series, points
            )
            for number, points in enumerate(made)
        ]
    )


def measure_histograms(count: int, event: Exemplar | None) -> dict[str, float]:
    """Return what it takes to emit so many histograms when each has changed."""
    emitter, series = Emitter(START_NS, {"service.name": "bench"}), SeriesSet()
    held = histograms_of(series, count)
    taken_ms = []
    for number in range(ROUNDS):
        for histogram in held:
            histogram.observe(BPS, event)
        now_ns = NOW_NS + number * PERIOD_NS
        taken_ms.append(cpu_ms(lambda now_ns=now_ns: emitter.emit(now_ns, series, ())))  # type: ignore[misc]
    return {"first_ms": taken_ms[0], "median_ms": statistics.median(taken_ms[1:])}


def measure(positions: int) -> dict[str, Any]:
    """Return all figures; there are twice as many histograms as positions."""
    series = SeriesSet()
    cost = series.sum("trading.slippage.cost", attributes_of(**base_of(0), currency="USD"))
    (histogram,) = histograms_of(series, 1)
    return {
        "add_ns": nanoseconds_each(cost.add, AMOUNT),
        "observe_ns": nanoseconds_each(histogram.observe, BPS),
        "positions": positions,
        "gauges": measure_gauges(positions),
        "histograms": measure_histograms(2 * positions, None),
        "histograms_with_exemplars": measure_histograms(2 * positions, EVENT),
    }


def main(positions: int) -> None:
    """Print all figures as JSON."""
    settle_garbage()  # As the gate does before its first batch.
    print(json.dumps(measure(positions), indent=2))


if __name__ == "__main__":
    main(int(sys.argv[1]))
