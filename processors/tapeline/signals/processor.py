"""The signals as the end of a chain: telemetry in, metrics of what it says about trading out."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.processor import NotNowError, Processor, Report, Result
from tapeline.pipeline.registry import ProcessorContext, ProcessorFactory
from tapeline.signals.config import SignalsConfig
from tapeline.signals.config_files import settings_of
from tapeline.signals.emission import Emitter
from tapeline.signals.intake import Intake, Refused, Taken
from tapeline.signals.metrics import SignalsMetrics, metrics_on
from tapeline.signals.opening import open_store
from tapeline.signals.page_files import PAGE
from tapeline.signals.recorder import Recorder
from tapeline.signals.report import prepare_report
from tapeline.signals.store_memory import MemoryStore

__all__ = ["FACTORY", "SignalsProcessor"]

_NANO: Final = 1_000_000_000


class SignalsProcessor:
    """Makes metrics of trading events. Logs and traces end here; metrics pass."""

    name = "signals"

    def __init__(
        self,
        intake: Intake,
        recorder: Recorder,
        metrics: SignalsMetrics,
        *,
        period_ns: int,
        idle_timeout_ns: int,
        is_live: bool,
    ) -> None:
        self._intake = intake
        self._recorder = recorder
        self._metrics = metrics
        self._period_ns = period_ns
        self._idle_timeout_ns = idle_timeout_ns
        self._is_live = is_live
        self.trace_url: str | None = None
        """Where a trace is shown, for links in the report."""
        self._emitter: Emitter | None = None
        self._next_emission_ns = 0
        self._last_input_ns = 0
        self.refused: Counter[Refused] = Counter()
        self.unknown_instruments = 0

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        """Take the events of a batch, and consume it.

        Raises MalformedRequestError, and NotNowError where the state can't be written.
        """
        if batch.signal is Signal.METRICS:
            return Result(batch)
        taken = self._intake.read(batch, now_unix_nano if self._is_live else None)
        self._begin(now_unix_nano if self._is_live else _earliest_ns(taken, now_unix_nano))
        self._recorder.take(taken.events, taken.greatest_time_ns)
        self._last_input_ns = now_unix_nano
        # What was refused counts when the rest is taken: a batch that is sent again counts once.
        self.refused.update(taken.refused)
        self.unknown_instruments += taken.unknown_instruments.total()
        return Result(None)

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit what is due. Without input for long, time goes on by the clock."""
        is_too_early = not self._is_live and not self._recorder.has_begun
        if is_too_early or now_unix_nano < self._next_emission_ns:
            return ()
        self._next_emission_ns = now_unix_nano + self._period_ns
        emitted: Sequence[Batch] = ()
        try:
            self._begin(now_unix_nano)
            self._recorder.settle(self._idle_watermark_ns(now_unix_nano))
            emitted = self._emit(now_unix_nano)
            if self._is_live:
                self._recorder.checkpoint_if_due(now_unix_nano)
        except NotNowError:
            # It was counted and said. What was committed before is as true as it was.
            emitted = self._emit(now_unix_nano)
        self._show(now_unix_nano)
        return emitted

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        """Emit what is left, and let go of the state. Offline, all input has come."""
        emitted: Sequence[Batch] = ()
        if self._recorder.has_begun:
            if not self._is_live:
                self._recorder.engine.end()
            emitted = self._emit(now_unix_nano)
            self._show(now_unix_nano)
        self._recorder.close()
        return emitted

    def take_over(self, predecessor: Processor) -> None:
        """Go on, at a reload, from a state that is in no store."""
        if not isinstance(predecessor, SignalsProcessor):
            return
        before, emitter = predecessor._recorder, predecessor._emitter  # noqa: SLF001 - of its own kind
        self.refused, self.unknown_instruments = (
            predecessor.refused,
            predecessor.unknown_instruments,
        )
        self._last_input_ns = predecessor._last_input_ns  # noqa: SLF001 - as above
        self._recorder.inherit(before)
        if self._recorder.has_begun:
            self._start_emitter()
            if emitter is not None and self._emitter is not None:
                self._emitter.resume(emitter.time_ns, self._recorder.engine.told_gauges())

    def report(self) -> Callable[[], Report]:
        """Look at the state now; what is returned makes the report of it."""
        recorder = self._recorder
        return prepare_report(recorder.engine, trace_url=self.trace_url, trouble=recorder.trouble)

    def _begin(self, now_ns: int) -> None:
        if not self._recorder.has_begun:
            self._recorder.begin(now_ns)
            self._start_emitter()
            if self._emitter is not None and not self._recorder.is_new:
                # Where its last points were is not known: the clock, unless it went back, is after.
                self._emitter.resume(now_ns, self._recorder.engine.told_gauges())

    def _start_emitter(self) -> None:
        self._emitter = Emitter(self._recorder.start_time_ns, {"service.name": "tapeline-signals"})

    def _idle_watermark_ns(self, now_ns: int) -> int:
        is_idle = self._last_input_ns and now_ns - self._last_input_ns >= self._idle_timeout_ns
        return now_ns - self._idle_timeout_ns if self._is_live and is_idle else 0

    def _emit(self, now_ns: int) -> Sequence[Batch]:
        engine = self._recorder.engine
        if self._emitter is None:
            return ()
        payloads = self._emitter.emit(now_ns, engine.series, engine.told_gauges())
        return [Batch(Signal.METRICS, payload) for payload in payloads]

    def _show(self, now_ns: int) -> None:
        # Before there was input a watermark that stands is no sign of anything.
        has_clock = self._is_live and self._last_input_ns > 0
        self._metrics.show(
            self._recorder, self.refused, self.unknown_instruments, now_ns if has_clock else 0
        )


def _earliest_ns(taken: Taken, now_ns: int) -> int:
    """Return where series begin that no clock has seen begin: just before the first event."""
    return min((event.time_ns for event in taken.events), default=now_ns) - 1


def build(config: SignalsConfig, context: ProcessorContext) -> Processor:
    """Make the processor. Its state is read at its first batch."""
    settings = settings_of(config)
    store = open_store(config.state, context.worker_index) if context.live else MemoryStore()
    processor = SignalsProcessor(
        Intake(settings.engine.instruments, settings.mappings),
        Recorder(replace(settings.engine, workers=context.worker_count), store),
        metrics_on(context.registry),
        period_ns=round(config.period * _NANO),
        idle_timeout_ns=round(config.idle_timeout * _NANO),
        is_live=context.live,
    )
    processor.trace_url = config.trace_url
    return processor


FACTORY: Final = ProcessorFactory(
    name="signals", config_model=SignalsConfig, build=build, page=PAGE
)
