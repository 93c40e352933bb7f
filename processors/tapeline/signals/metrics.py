"""What the signals count about themselves, shown as it was at the last emission.

Totals are those of the state, so they go on over restarts where the state does. Counters begin at
0: a rate over one that begins with its first event hides that event.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tapeline.signals.engine import Engine
from tapeline.signals.engine_settings import EngineSettings
from tapeline.signals.event_set import EventSet
from tapeline.signals.intake import Refused
from tapeline.signals.recorder import SETTINGS_CHANGED, UNREADABLE, Recorder
from tapeline.signals.slippage import Benchmark, Missing
from tapeline.signals.store import StoreFault

__all__ = [
    "EVENT_KINDS",
    "FIGURES",
    "LATE_KINDS",
    "MISSING",
    "STORE_FAILURES",
    "SignalsMetrics",
    "metrics_on",
]

_PREFIX: Final = "tapeline_signals"
_NS_PER_S: Final = 1e9
EVENT_KINDS: Final = ("quote", "mark", "cash", "order", "trade", "correct", "bust")
LATE_KINDS: Final = ("quote", "mark", "cash", "order", "execution", "trade_before_window")
STORE_FAILURES: Final = (*StoreFault, SETTINGS_CHANGED, UNREADABLE)
_OF_SLIPPAGE: Final = {each: f"slippage_{each.value}" for each in Benchmark}
_OF_SAMPLES: Final = {
    "trading.effective_spread_bps": "effective_spread",
    "trading.realized_spread_bps": "realized_spread",
    "trading.markout_bps": "markout",
    "trading.shortfall_bps": "shortfall",
}
_ROUND_TRIP: Final = ("round_trip", "no_rate")
_PERIOD: Final = ("period_return", "no_equity")
FIGURES: Final = (*_OF_SLIPPAGE.values(), *_OF_SAMPLES.values(), _ROUND_TRIP[0], _PERIOD[0])
MISSING: Final = (*Missing, _ROUND_TRIP[1], _PERIOD[1])


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
    """Return the metrics of a registry, which has them once."""
    found = _ON.get(registry)
    if found is None:
        found = _ON[registry] = SignalsMetrics()
        registry.register(found)
    return found


def _families(
    recorder: Recorder | None, refused: Counter[Refused], unknown: int, now_ns: int
) -> list[Metric]:
    engine = Engine(EngineSettings()) if recorder is None else recorder.engine
    rejected = {
        (reason.reason, reason.attribute, reason.mapping): count
        for reason, count in refused.items()
    }
    return [
        *_of_events(engine),
        _labelled(
            "rejected_events",
            "Events that were not taken, by what was wrong, where, and the mapping that made them.",
            ("reason", "attribute", "mapping"),
            rejected,
        ),
        _counted("unknown_instruments", "Events of instruments that are not listed.", unknown),
        *_of_samples(engine),
        _labelled("limit_hits", "What found no room, by the limit.", ("limit",), _limits(engine)),
        *_sizes(engine, now_ns),
        *_of_store(recorder),
    ]


def _of_events(engine: Engine) -> Iterator[Metric]:
    taken: dict[str, int] = dict.fromkeys(EVENT_KINDS, 0)
    late: dict[str, int] = dict.fromkeys(LATE_KINDS, 0)
    taken |= engine.events
    late |= engine.late
    late["trade_before_window"] = engine.live.ledger.late_trade_count
    sets: dict[str, EventSet[Any]] = {
        "execution": engine.live.ledger.executions.events,
        "order": engine.sampled.orders,
        "cash": engine.live.cash.events,
    }
    twice = {kind: events.duplicate_count for kind, events in sets.items()}
    contradicting = {kind: events.conflict_count for kind, events in sets.items()}
    yield _labelled("events", "Events that were taken.", ("kind",), taken)
    yield _labelled("late_events", "Events that the watermark had passed.", ("kind",), late)
    yield _labelled(
        "duplicate_events", "Events that came again, and changed nothing.", ("kind",), twice
    )
    yield _labelled(
        "conflicting_events",
        "Events that contradict one of the same identity.",
        ("kind",),
        contradicting,
    )
    text = "Events that were taken and change no figure, by why."
    yield _labelled("without_effect", text, ("reason",), _without_effect(engine))


def _without_effect(engine: Engine) -> dict[str, int]:
    held, sampled, market = engine.live.ledger.executions, engine.sampled, engine.market
    return {
        "unmatched_reference": held.unmatched_count,
        "after_bust": held.after_bust_count,
        "side_flip": held.side_flip_count,
        "revision_too_late": engine.live.ledger.too_late_count,
        "order_too_late": sampled.too_late_count,
        "quote_too_late": market.quotes.too_late_count + market.marks.too_late_count,
        "negative_latency": sampled.book.negative_latency_count,
        "circle_of_orders": sampled.book.circle_count,
    }


def _limits(engine: Engine) -> dict[str, int]:
    sampled, market = engine.sampled, engine.market
    return {
        "series": engine.series.faults.refused_count,
        "positions": engine.live.refused_count,
        "accounts": sampled.accounts.refused_count,
        "orders": sampled.book.evicted_count,
        "order_events": sampled.book.refused_count,
        "executions": engine.shortened_count,
        "pending": sampled.forced_count,
        "waiting": sampled.horizons.refused_count,
        "quotes": market.quotes.forgotten_count + market.marks.forgotten_count,
        "instruments": market.quotes.refused_count + market.latest.refused_count,
    }


def _of_samples(engine: Engine) -> Iterator[Metric]:
    missing: dict[tuple[str, str], int] = dict.fromkeys((_ROUND_TRIP, _PERIOD), 0)
    sampled = engine.sampled
    for (name, reason), count in sampled.samples.missing.items():
        missing[_OF_SAMPLES[name], reason] = count
    for (benchmark, reason), count in sampled.bookkeeper.missing.items():
        missing[_OF_SLIPPAGE[benchmark], reason] = count
    missing[_ROUND_TRIP] = sum(tally.unknown for tally in sampled.trips.tallies.values())
    missing[_PERIOD] = sum(each.returns.unknown_count for _, each in sampled.accounts.items())
    yield _labelled(
        "missing_samples", "Samples that lacked an input.", ("figure", "reason"), missing
    )
    text = "Revisions of trades whose histogram sample stays as it was."
    yield _counted("revised_samples", text, sampled.bookkeeper.revised_count)
    text = "Amounts that lacked a rate, each time they were asked for."
    yield _counted("missing_rates", text, engine.market.missing_rate_count)


def _sizes(engine: Engine, now_ns: int) -> Iterator[Metric]:
    held, sampled = engine.live.ledger.executions, engine.sampled
    yield _gauge("open_orders", "Orders that are open.", sampled.book.open_count())
    lag_s = (now_ns - engine.watermark_ns) / _NS_PER_S if now_ns and engine.watermark_ns > 0 else 0
    yield _gauge("watermark_lag_seconds", "The clock less the watermark.", lag_s)
    yield _gauge("series", "Sums and histograms that are kept.", len(engine.series))
    yield _gauge("positions", "Positions that are kept.", len(engine.live.ledger.positions))
    yield _gauge("held_executions", "Executions in the revision window.", len(held.events))
    text = "Corrections and busts that wait for what they refer to."
    yield _gauge("parked_references", text, held.parked_count)
    yield _gauge("waiting_events", "Events that wait for the watermark.", sampled.waiting_count())


def _of_store(recorder: Recorder | None) -> Iterator[Metric]:
    failures: dict[str, int] = dict.fromkeys(STORE_FAILURES, 0)
    commits = checkpoints = damaged = size_bytes = 0
    if recorder is not None:
        # First, since it may be one of those that fail.
        size_bytes = recorder.size_bytes() if recorder.has_begun else 0
        failures |= recorder.failures
        commits, checkpoints = recorder.commits, recorder.checkpoints
        damaged = recorder.damaged
    text = "What the store refused; the sender is told to retry."
    yield _labelled("store_failures", text, ("reason",), failures)
    yield _counted("store_commits", "Rows that were committed.", commits)
    yield _counted("checkpoints", "Checkpoints that were written.", checkpoints)
    yield _counted("damaged_pieces", "Pieces of the state that could not be read.", damaged)
    yield _gauge("state_bytes", "What the state takes in its store.", size_bytes)


def _labelled(
    name: str,
    text: str,
    labels: tuple[str, ...],
    values: Mapping[Any, int],
) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric((key,) if isinstance(key, str) else key, value)
    return family


def _counted(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)
