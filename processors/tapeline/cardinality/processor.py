"""The limits on cardinality as a step of the chain."""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tapeline.cardinality.config import SPAN_NAME, CardinalityConfig
from tapeline.cardinality.keeper import STATE_VERSION, Keeper
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.cardinality.metrics import REFUSED, CardinalityMetrics, metrics_on
from tapeline.cardinality.page import PAGE
from tapeline.cardinality.report import MAX_METRICS, LimitsState, Report, figures_of, prepare_report
from tapeline.cardinality.route import Reason
from tapeline.cardinality.snapshot import SnapshotFile
from tapeline.cardinality.snapshot_format import Plain
from tapeline.cardinality.text_labels import (
    LOG_LABEL,
    SPAN_ATTRIBUTE,
    SPAN_NAME_KIND,
    LimitedTexts,
    TextLabels,
)
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor, Result
from tapeline.pipeline.registry import ProcessorContext, ProcessorFactory

__all__ = ["FACTORY", "CardinalityProcessor", "build"]

_OFFLINE_SEED: Final = 0x7461_7065_6C69_6E65
"""Offline the same input must give the same bytes; there is no attacker to keep it from."""
_GAUGES_PERIOD_NANO: Final = 5_000_000_000
_METRICS_A_PERIOD: Final = 5_000


class Limits:
    """The limits on metrics and on texts, with all that they hold."""

    def __init__(self, config: CardinalityConfig, context: ProcessorContext) -> None:
        """Begin without state."""
        self._config = config
        self._context = context
        self.metrics, self.texts = self._new(was_lost=False)

    def _new(self, *, was_lost: bool) -> tuple[MetricsLimiter, TextLabels]:
        limiter = MetricsLimiter(
            self._config,
            seed=secrets.randbits(64) if self._context.live else _OFFLINE_SEED,
            worker_index=self._context.worker_index,
            worker_count=self._context.worker_count,
            state_was_lost=was_lost,
        )
        return limiter, TextLabels(self._config)

    def dump(self, *, with_totals: bool = True) -> Plain:
        """Return the state as plain data."""
        metrics: Any = self.metrics.dump(with_totals=with_totals)
        return {"metrics": metrics, "texts": self.texts.dump(), "idle_ttl": self._config.idle_ttl}

    def load(self, data: Any, *, is_clean: bool) -> None:
        """Take over what was dumped, before the first batch."""
        self.metrics.load(data["metrics"], is_clean=is_clean)
        # Their ages are counted in parts of it. No sum depends on them.
        if data["idle_ttl"] == self._config.idle_ttl:
            self.texts.load(data["texts"])

    def forget(self, *, was_lost: bool) -> None:
        """Begin without state."""
        self.metrics, self.texts = self._new(was_lost=was_lost)

    def state(self, refused: Mapping[str, int]) -> LimitsState:
        """Return what the report and the gauges show; points were `refused` by reason."""
        limiter = self.metrics
        metrics, rest = limiter.nearest_metrics(MAX_METRICS)
        return LimitsState(
            mode=self._config.mode.value,
            metrics=metrics,
            rest=rest,
            global_limit=limiter.global_limit,
            counts={"outputs": limiter.output_count, **self.evictions()},
            refused=dict(refused),
            state_bytes=limiter.state_bytes,
            texts=self.texts.states(),
        )

    def evictions(self) -> Counter[str]:
        """Return what was forgotten so far, by kind."""
        return self.metrics.evicted + Counter(label_value=self.texts.evicted)

    def bound_hits(self) -> Counter[str]:
        """Return what found no room so far, by the bound."""
        return self.metrics.bound_hits + Counter(label_values=self.texts.bound_hits)

    def totals(self) -> "Totals":
        """Return what counted up so far."""
        return Totals(self.evictions(), self.bound_hits(), self.metrics.conflicts)


class Totals(NamedTuple):
    """What the limits count themselves. It may go on from an earlier run."""

    evictions: Counter[str]
    bound_hits: Counter[str]
    conflicts: int


class CardinalityProcessor:
    """Holds metrics, Loki's labels and span names to their limits."""

    name = "cardinality"

    def __init__(self, limits: Limits, keeper: Keeper, metrics: CardinalityMetrics) -> None:
        self._limits = limits
        self._keeper = keeper
        self._metrics = metrics
        self._counted = limits.totals()
        self._refused: Counter[str] = Counter()
        self._gauges_due_unix_nano = 0

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Return the batch within the limits: the same object where nothing had to change.

        Raises MalformedRequestError where what has to be read does not parse.
        """
        if not self._keeper.has_begun:
            self._keeper.begin()
            self._counted = self._limits.totals()
        if batch.signal is not Signal.METRICS:
            limited = self._limits.texts.process(batch, now_unix_nano)
            self._count_texts(batch.signal, limited)
            return Result(limited.batch)
        outcome = self._limits.metrics.process(batch, now_unix_nano)
        results: Counter[str] = Counter()
        for (_, result), count in outcome.tally.results.items():
            results[result] += count
        results["admitted"] += outcome.tally.admitted.total()
        self._metrics.count_points(results)
        self._refused.update({name: results[name] for name in REFUSED if name in results})
        reasons: Counter[str] = Counter()
        for (_, reason), count in outcome.tally.reasons.items():
            reasons[reason] += count
        self._metrics.count_limited(reasons)
        return Result(outcome.batch)

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit nothing: an output leaves with the batch that changed it. Write the state."""
        if not self._keeper.has_begun:
            return ()
        self._keeper.tick(now_unix_nano)
        if now_unix_nano >= self._gauges_due_unix_nano:
            self._show()
            # Batches wait meanwhile, so with very many metrics it is done less often.
            share = 1 + len(self._limits.metrics.sources.metrics) // _METRICS_A_PERIOD
            self._gauges_due_unix_nano = now_unix_nano + share * _GAUGES_PERIOD_NANO
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        """Write the last state; emit nothing."""
        del now_unix_nano
        self._count_totals()
        self._keeper.close()
        return ()

    def take_over(self, predecessor: Processor) -> None:
        """Go on with what a predecessor admitted and folded, at a reload."""
        if isinstance(predecessor, CardinalityProcessor) and predecessor._keeper.has_begun:  # noqa: SLF001 - of its own kind
            # Which labels are the worst is told by streams when they are new, so it can't be
            # learned anew from those that are known.
            self._limits.metrics.demand = predecessor._limits.metrics.demand  # noqa: SLF001
            self._keeper.inherit(predecessor._limits.dump())  # noqa: SLF001
            self._counted = self._limits.totals()
            self._show()

    def report(self) -> Callable[[], Report]:
        """Look at the state now; what is returned makes the report of it, in any thread."""
        return prepare_report(self._limits.state(self._refused), self._limits.metrics.demand)

    def _show(self) -> None:
        state = self._limits.state(self._refused)
        figures = figures_of(state, self._limits.metrics.demand)
        self._metrics.show(
            figures,
            rest=state.rest,
            global_limit=state.global_limit,
            state_bytes=state.state_bytes,
        )
        self._count_totals()

    def _count_totals(self) -> None:
        """Count what was added to the limits' own totals since it was last asked."""
        before, now = self._counted, self._limits.totals()
        for kind, count in (now.evictions - before.evictions).items():
            self._metrics.count_evictions(kind, count)
        for bound, count in (now.bound_hits - before.bound_hits).items():
            self._metrics.count_bound_hits(bound, count)
        self._metrics.count_conflicts(now.conflicts - before.conflicts)
        self._counted = now

    def _count_texts(self, signal: Signal, limited: LimitedTexts) -> None:
        replaced: Counter[str] = Counter()
        for (label, reason), count in limited.rewritten.items():
            if reason == Reason.LABEL_LIMIT:
                replaced[_kind_of(signal, label)] += count
        for kind, read in limited.read.items():
            self._metrics.count_texts(kind, read, replaced[kind])


def _kind_of(signal: Signal, label: str) -> str:
    if signal is Signal.LOGS:
        return LOG_LABEL
    return SPAN_NAME_KIND if label == SPAN_NAME else SPAN_ATTRIBUTE


def build(config: CardinalityConfig, context: ProcessorContext) -> Processor:
    """Make the processor. Its state is read at its first batch."""
    metrics = metrics_on(context.registry)
    limits = Limits(config, context)
    file = None
    if context.live and config.state is not None:
        file = SnapshotFile.of_worker(config.state, context.worker_index, version=STATE_VERSION)
    keeper = Keeper(limits, file, metrics, config.snapshot_period)
    return CardinalityProcessor(limits, keeper, metrics)


FACTORY: Final = ProcessorFactory(
    name="cardinality", config_model=CardinalityConfig, build=build, page=PAGE
)
