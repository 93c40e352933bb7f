"""What the signals count about themselves, shown as it was at the last emission.

Totals are those of the state, so they go on over restarts where the state does.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tapeline.signals.intake import Refused
from tapeline.signals.recorder import Recorder

__all__ = ["SignalsMetrics", "metrics_on"]

_PREFIX: Final = "tapeline_signals"
_NS_PER_S: Final = 1e9
_EVENT_KINDS: Final = ("quote", "mark", "cash", "order", "trade", "correct", "bust")
_LATE_KINDS: Final = ("quote", "mark", "cash", "order", "execution")


class SignalsMetrics(Collector):
    """The figures of a recorder and its engine."""

    def __init__(self) -> None:
        self._families: list[Metric] = _families(None, Counter(), 0, 0)

    def collect(self) -> Iterator[Metric]:
        """Yield what was shown last."""
        yield from self._families

    def show(
        self, recorder: Recorder, refused: Counter[Refused], unknown: int, now_ns: int
    ) -> None:
        """Take the figures of now; `now_ns` 0: there is no clock to lag behind."""
        self._families = _families(recorder, refused, unknown, now_ns)


_ON: WeakKeyDictionary[CollectorRegistry, SignalsMetrics] = WeakKeyDictionary()


def metrics_on(registry: CollectorRegistry) -> SignalsMetrics:
    """Return the metrics of a registry: the same ones after a reload."""
    found = _ON.get(registry)
    if found is None:
        found = _ON[registry] = SignalsMetrics()
        registry.register(found)
    return found


def _families(
    recorder: Recorder | None, refused: Counter[Refused], unknown: int, now_ns: int
) -> list[Metric]:
    figures = _Figures(recorder, now_ns)
    rejected = CounterMetricFamily(
        f"{_PREFIX}_rejected_events",
        "Events that were not taken, by what was wrong, where, and the mapping that made them.",
        labels=("reason", "attribute", "mapping"),
    )
    for reason, count in sorted(refused.items()):
        rejected.add_metric((reason.reason, reason.attribute, reason.mapping), count)
    return [
        _labelled("events", "Events that were taken.", "kind", figures.events),
        _labelled("late_events", "Events that the watermark had passed.", "kind", figures.late),
        _labelled(
            "duplicate_events", "Events that came again, and changed nothing.", "kind",
            figures.duplicates,
        ),
        _labelled(
            "conflicting_events", "Events that contradict one of the same identity.", "kind",
            figures.conflicts,
        ),
        rejected,
        _labelled(
            "without_effect", "Events that were taken and change no figure, by why.", "reason",
            figures.without_effect,
        ),
        _labelled("missing_samples", "Samples that lacked an input.", "reason", figures.missing),
        _labelled("limit_hits", "What found no room, by the limit.", "limit", figures.limits),
        _labelled(
            "store_failures", "What the store refused; the sender is told to retry.", "reason",
            figures.failures,
        ),
        _counter("store_commits", "Rows that were committed.", figures.commits),
        _counter("checkpoints", "Checkpoints that were written.", figures.checkpoints),
        _counter("damaged_pieces", "Pieces of the state that could not be read.", figures.damaged),
        _counter("revised_samples", "Trades whose histogram sample no longer counts.",
                 figures.revised),
        _counter("missing_rates", "Amounts that lacked a rate.", figures.missing_rates),
        _counter("unknown_instruments", "Events of instruments that are not listed.", unknown),
        GaugeMetricFamily(f"{_PREFIX}_open_orders", "Orders that are open.", figures.open_orders),
        GaugeMetricFamily(
            f"{_PREFIX}_watermark_lag_seconds", "The clock less the watermark.", figures.lag_s
        ),
        GaugeMetricFamily(f"{_PREFIX}_series", "Sums and histograms that are kept.",
                          figures.series),
        GaugeMetricFamily(f"{_PREFIX}_positions", "Positions that are kept.", figures.positions),
        GaugeMetricFamily(f"{_PREFIX}_held_executions", "Executions in the revision window.",
                          figures.executions),
        GaugeMetricFamily(f"{_PREFIX}_waiting_events", "Events that wait for the watermark.",
                          figures.waiting),
        GaugeMetricFamily(f"{_PREFIX}_state_bytes", "What the state takes in its store.",
                          figures.state_bytes),
    ]  # fmt: skip


class _Figures:
    """The figures by what they are; zeros where there is no engine yet."""

    def __init__(self, recorder: Recorder | None, now_ns: int) -> None:
        self.events: Mapping[str, int] = dict.fromkeys(_EVENT_KINDS, 0)
        self.late: Mapping[str, int] = dict.fromkeys(_LATE_KINDS, 0)
        self.duplicates = dict.fromkeys(("execution", "order", "cash"), 0)
        self.conflicts = dict(self.duplicates)
        self.without_effect: Mapping[str, int] = {}
        self.missing: Mapping[str, int] = {}
        self.limits: Mapping[str, int] = {}
        self.failures: Mapping[str, int] = {}
        self.commits = self.checkpoints = self.damaged = self.revised = self.missing_rates = 0
        self.open_orders = self.series = self.positions = self.executions = self.waiting = 0
        self.state_bytes, self.lag_s = 0, 0.0
        if recorder is not None:
            self._of_recorder(recorder)
            self._of_engine(recorder, now_ns)

    def _of_recorder(self, recorder: Recorder) -> None:
        self.failures = recorder.failures
        self.commits, self.checkpoints = recorder.commits, recorder.checkpoints
        self.damaged = recorder.damaged
        self.state_bytes = recorder.size_bytes() if recorder.has_begun else 0

    def _of_engine(self, recorder: Recorder, now_ns: int) -> None:
        engine = recorder.engine
        sampled, live, market = engine.sampled, engine.live, engine.market
        held = live.ledger.executions
        self.events = {**self.events, **engine.events}
        self.late = {**self.late, **engine.late}
        self.duplicates = {
            "execution": held.events.duplicate_count,
            "order": sampled.orders.duplicate_count,
            "cash": live.cash.events.duplicate_count,
        }
        self.conflicts = {
            "execution": held.events.conflict_count,
            "order": sampled.orders.conflict_count,
            "cash": live.cash.events.conflict_count,
        }
        self.without_effect = {
            "unmatched_reference": held.unmatched_count,
            "after_bust": held.after_bust_count,
            "side_flip": held.side_flip_count,
            "revision_too_late": live.ledger.too_late_count,
            "order_too_late": sampled.too_late_count,
            "quote_too_late": market.quotes.too_late_count + market.marks.too_late_count,
            "negative_latency": sampled.book.negative_latency_count,
            "circle_of_orders": sampled.book.circle_count,
        }
        missing: Counter[str] = Counter()
        for (name, reason), count in sampled.samples.missing.items():
            missing[f"{name.removeprefix('trading.')}: {reason.value}"] += count
        for (benchmark, reason), count in sampled.bookkeeper.missing.items():
            missing[f"slippage_bps {benchmark.value}: {reason.value}"] += count
        self.missing = missing
        self.limits = {
            "series": engine.series.faults.refused_count,
            "positions": live.refused_count,
            "accounts": sampled.accounts.refused_count,
            "orders": sampled.book.evicted_count,
            "order_events": sampled.book.refused_count,
            "executions": engine.shortened_count,
            "pending": sampled.forced_count,
            "waiting": sampled.horizons.refused_count,
            "quotes": market.quotes.forgotten_count + market.marks.forgotten_count,
            "instruments": market.quotes.refused_count + market.latest.refused_count,
        }
        self.revised, self.missing_rates = (
            sampled.bookkeeper.revised_count, market.missing_rate_count,
        )  # fmt: skip
        self.open_orders, self.series = sampled.book.open_count(), len(engine.series)
        self.positions, self.executions = len(live.ledger.positions), len(held.events)
        self.waiting = sampled.waiting_count()
        if now_ns and engine.watermark_ns > 0:
            self.lag_s = (now_ns - engine.watermark_ns) / _NS_PER_S


def _labelled(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=(label,))
    for value in sorted(values):
        family.add_metric((value,), values[value])
    return family


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", text, value=value)
