"""The chain: order, refusal, derived batches, emissions."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tapeline.otlp.framing import MalformedRequestError
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.chain import MAX_DERIVATION_DEPTH, Chain, DerivationDepthError
from tapeline.pipeline.processor import Processor, Result

Step = Callable[[Batch], Result]


@dataclass
class Recorder:
    """A processor that notes what it was given and answers by a function."""

    name: str
    step: Step = Result
    ticks: Sequence[Batch] = ()
    seen: list[Batch] = field(default_factory=list)
    closed: int = 0

    def process(self, batch: Batch, now_unix_nano: int) -> Result:
        del now_unix_nano
        self.seen.append(batch)
        return self.step(batch)

    def tick(self, now_unix_nano: int) -> Sequence[Batch]:
        del now_unix_nano
        return self.ticks

    def close(self, now_unix_nano: int) -> Sequence[Batch]:
        del now_unix_nano
        self.closed += 1
        return self.ticks


def _logs(body: str = "hello") -> Batch:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.body.string_value = body
    return Batch(Signal.LOGS, request.SerializeToString())


def _metrics(name: str = "m") -> Batch:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    metric.gauge.data_points.add(as_int=1)
    return Batch(Signal.METRICS, request.SerializeToString())


def _chain(*logs: Processor, metrics: Sequence[Processor] = ()) -> Chain:
    return Chain({Signal.LOGS: logs, Signal.METRICS: metrics})


def test_processors_run_in_order_and_each_gets_what_the_one_before_made() -> None:
    """The second processor sees the first one's output."""
    changed = _logs("changed")
    first = Recorder("first", step=lambda _: Result(changed))
    second = Recorder("second")

    outputs = _chain(first, second).process(_logs(), 0)

    assert outputs == (changed,)
    assert second.seen == [changed]


def test_an_unchanged_batch_is_the_same_object() -> None:
    """Nothing is copied when nothing changes."""
    batch = _logs()

    (output,) = _chain(Recorder("only")).process(batch, 0)

    assert output is batch


def test_a_consumed_batch_goes_no_further() -> None:
    """None ends the way of a batch; later processors don't see it."""
    later = Recorder("later")

    outputs = _chain(Recorder("eater", step=lambda _: Result(None)), later).process(_logs(), 0)

    assert outputs == ()
    assert later.seen == []


def test_broken_framing_is_refused_even_with_no_processor_at_all() -> None:
    """The chain checks the framing before anything else."""
    with pytest.raises(MalformedRequestError):
        _chain().process(Batch(Signal.LOGS, b"\x0a\xff"), 0)


def test_an_empty_request_is_accepted_and_nothing_goes_downstream() -> None:
    """OTLP: an empty request should succeed."""
    assert _chain().process(Batch(Signal.LOGS, b""), 0) == ()


def test_what_a_processor_raises_refuses_the_batch() -> None:
    """Fail closed: no output at all."""

    def fail(_: Batch) -> Result:
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        _chain(Recorder("failing", step=fail)).process(_logs(), 0)


def test_a_derived_batch_runs_through_the_chain_of_its_own_signal() -> None:
    """What a logs processor derives as metrics is seen by the metrics processors."""
    derived = _metrics()
    guard = Recorder("guard")
    deriving = Recorder("deriving", step=lambda batch: Result(batch, (derived,)))

    outputs = _chain(deriving, metrics=[guard]).process(_logs(), 0)

    assert outputs[1] is derived
    assert guard.seen == [derived]


def test_a_derived_batch_skips_the_processor_that_made_it_but_no_other() -> None:
    """A processor in front of the redaction can't bypass it by deriving."""
    derived = _logs("derived")
    redaction = Recorder("redaction")
    deriving = Recorder("deriving", step=lambda batch: Result(batch, (derived,)))

    _chain(deriving, redaction).process(_logs(), 0)

    assert derived in redaction.seen
    assert derived not in deriving.seen


def test_processors_that_derive_from_each_other_for_ever_are_stopped() -> None:
    """The depth has a limit, and the error says what to do."""
    one = Recorder("one", step=lambda batch: Result(batch, (_logs("from one"),)))
    two = Recorder("two", step=lambda batch: Result(batch, (_logs("from two"),)))

    with pytest.raises(DerivationDepthError, match=f"more than {MAX_DERIVATION_DEPTH} times"):
        _chain(one, two).process(_logs(), 0)


def test_a_tick_emission_runs_through_the_other_processors() -> None:
    """What is emitted by time is guarded like what is derived."""
    emitted = _metrics()
    guard = Recorder("guard")

    outputs = _chain(Recorder("emitting", ticks=[emitted]), metrics=[guard]).tick(0)

    assert outputs == (emitted,)
    assert guard.seen == [emitted]


def test_close_emits_once_and_ticks_end_with_it() -> None:
    """A second close is harmless: shutdown and reload may meet."""
    emitted = _metrics()
    processor = Recorder("emitting", ticks=[emitted])
    chain = _chain(processor)

    assert chain.close(0) == (emitted,)
    assert chain.close(0) == ()
    assert chain.tick(0) == ()
    assert processor.closed == 1


def test_a_processor_that_serves_two_signals_ticks_once() -> None:
    """It is one object with one state."""
    processor = Recorder("both", ticks=[_metrics()])
    chain = Chain({Signal.LOGS: [processor], Signal.TRACES: [processor]})

    assert len(chain.tick(0)) == 1


def test_processors_are_never_entered_by_two_threads_at_once() -> None:
    """Processors need no locks of their own."""
    inside = 0
    overlaps = 0
    gate = threading.Event()

    def step(batch: Batch) -> Result:
        nonlocal inside, overlaps
        inside += 1
        gate.wait(0.01)
        overlaps += inside > 1
        inside -= 1
        return Result(batch)

    chain = _chain(Recorder("slow", step=step))
    threads = [threading.Thread(target=chain.process, args=(_logs(), 0)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert overlaps == 0


@dataclass
class HeirRecorder(Recorder):
    """A processor with state, which notes from whom it took over."""

    predecessors: list[Processor] = field(default_factory=list)

    def take_over(self, predecessor: Processor) -> None:
        self.predecessors.append(predecessor)


def test_a_processor_with_state_takes_over_from_the_one_of_its_name() -> None:
    """At a reload state goes on; whoever has none, or no predecessor, is left alone."""
    old = HeirRecorder("counting")
    new, other = HeirRecorder("counting"), HeirRecorder("other")

    _chain(new, Recorder("plain"), other).take_over([old, Recorder("plain")])

    assert new.predecessors == [old]
    assert other.predecessors == []
