"""The limits on cardinality as a step of the chain."""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tapeline.cardinality.config import SPAN_NAME, CardinalityConfig
from tapeline.cardinality.keeper import STATE_VERSION, Keeper
from tapeline.cardinality.limiter import MetricsLimiter
from tapeline.cardinality.metrics import REFUSED, CardinalityMetrics, metrics_on
from tapeline.cardinality.page import PAGE
from tapeline.cardinality.report import LimitsState, Report, figures_of, prepare_report
from tapeline.cardinality.snapshot import SnapshotFile
from tapeline.cardinality.snapshot_format import Plain
from tapeline.cardinality.text_labels import LimitedTexts, TextLabels
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import Processor, Result
from tapeline.pipeline.registry import ProcessorContext, ProcessorFactory

__all__ = ["FACTORY", "CardinalityProcessor", "build"]

_OFFLINE_SEED: Final = 0x7461_7065_6C69_6E65
"""Offline the same input must give the same bytes; there is no attacker to keep it from."""
_GAUGES_PERIOD_NANO: Final = 5_000_000_000


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

    def dump(self) -> Plain:
        """Return the state as plain data."""
        metrics: Any = self.metrics.dump()
        return {"metrics": metrics, "texts": self.texts.dump()}

    def load(self, data: Any, *, is_clean: bool) -> None:
        """Take over what was dumped, before the first batch."""
        self.metrics.load(data["metrics"], is_clean=is_clean)
        self.texts.load(data["texts"])

    def forget(self, *, was_lost: bool) -> None:
        """Begin without state."""
        self.metrics, self.texts = self._new(was_lost=was_lost)

    def state(self, refused: Mapping[str, int]) -> LimitsState:
        """Return what the report and the gauges show; points were `refused` by reason."""
        limiter = self.metrics
        return LimitsState(
            mode=self._config.mode.value,
            metrics=limiter.metric_states(),
            global_limit=limiter.global_limit,
            counts={"outputs": limiter.output_count, **self.evictions()},
            refused=dict(refused),
            state_bytes=limiter.state_bytes,
            texts=self.texts.states(),
        )

    def evictions(self) -> Counter[str]:
        """Return what was forgotten so far, by kind."""
        limiter = self.metrics
        return Counter(
            series=limiter.evicted_series,
            folded_stream=limiter.evicted_streams,
            label_value=limiter.router.evicted + self.texts.evicted,
        )


class CardinalityProcessor:
    """Holds metrics, Loki's labels and span names to their limits."""

    name = "cardinality"

    def __init__(self, limits: Limits, keeper: Keeper, metrics: CardinalityMetrics) -> None:
        self._limits = limits
        self._keeper = keeper
        self._metrics = metrics
        self._counted: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._gauges_due_unix_nano = 0

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Return the batch within the limits: the same object where nothing had to change.

        Raises MalformedRequestError where what has to be read does not parse.
        """
        self._keeper.begin()
        if batch.signal is not Signal.METRICS:
            limited = self._limits.texts.process(batch, now_unix_nano)
            self._count_texts(batch, limited)
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
            self._gauges_due_unix_nano = now_unix_nano + _GAUGES_PERIOD_NANO
            self._show()
        return ()

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        """Write the last state; emit nothing."""
        del now_unix_nano
        self._keeper.close()
        return ()

    def take_over(self, predecessor: Processor) -> None:
        """Go on with what a predecessor admitted and folded, at a reload."""
        if isinstance(predecessor, CardinalityProcessor) and predecessor._keeper.has_begun:  # noqa: SLF001 - of its own kind
            self._keeper.inherit(predecessor._limits.dump())  # noqa: SLF001

    def report(self) -> Callable[[], Report]:
        """Look at the state now; what is returned makes the report of it, in any thread."""
        return prepare_report(self._limits.state(self._refused), self._limits.metrics.demand)

    def _show(self) -> None:
        state = self._limits.state(self._refused)
        figures = figures_of(state, self._limits.metrics.demand)
        self._metrics.show(figures, global_limit=state.global_limit, state_bytes=state.state_bytes)
        evictions = self._limits.evictions()
        for kind, count in (evictions - self._counted).items():
            self._metrics.count_evictions(kind, count)
        self._counted = evictions

    def _count_texts(self, batch: Batch, limited: LimitedTexts) -> None:
        kinds: Counter[str] = Counter()
        for (label, _), count in limited.rewritten.items():
            kinds[_kind_of(batch.signal, label)] += count
        for kind, count in kinds.items():
            self._metrics.count_texts(kind, count, count)


def _kind_of(signal: Signal, label: str) -> str:
    if signal is Signal.LOGS:
        return "log_label"
    return "span_name" if label == SPAN_NAME else "span_attribute"


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
