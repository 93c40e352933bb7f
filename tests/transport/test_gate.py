"""The gate answers from the table, whatever bytes it is given."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from otlp_client import Span as SpanToSend
from otlp_client import histogram, logs, traces
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import REQUEST_TYPES, Batch
from tapeline.pipeline.chain import Chain
from tapeline.transport.answers import Code, Failure
from tapeline.transport.forwarder import DiscardForwarder
from tapeline.transport.gate import ChainSlot, Gate
from tapeline.transport.metrics import TransportMetrics

SAMPLES = {
    Signal.LOGS: logs(["order accepted", "order filled"]).SerializeToString(),
    Signal.TRACES: traces([SpanToSend(b"t" * 16)]).SerializeToString(),
    Signal.METRICS: histogram("latency", 0.5, b"t" * 16).SerializeToString(),
}


def made_gate(max_attempts: int = 5) -> Gate:
    """Return a gate with an empty chain that acknowledges and drops."""
    metrics = TransportMetrics(CollectorRegistry())
    slot = ChainSlot(metrics)
    slot.swap(Chain({}), 0)
    return Gate(
        slot, DiscardForwarder(metrics), metrics, max_attempts=max_attempts, forward_timeout_s=8.0
    )


GATE = made_gate()


@st.composite
def mutated_requests(draw: st.DrawFn) -> tuple[Signal, bytes]:
    """Return a real request with some bytes replaced, inserted or cut off."""
    signal = draw(st.sampled_from(list(Signal)))
    payload = bytearray(SAMPLES[signal])
    for _ in range(draw(st.integers(0, 3))):
        position = draw(st.integers(0, len(payload)))
        cut = draw(st.integers(0, 4))
        payload[position : position + cut] = draw(st.binary(max_size=4))
    return signal, bytes(payload)


@given(mutated_requests())
def test_every_request_is_ok_or_invalid_argument(request_: tuple[Signal, bytes]) -> None:
    """With nothing in the chain nothing else can be the matter: never a crash or UNKNOWN."""
    signal, payload = request_

    answer = GATE.export(signal, payload)

    assert answer.code in {Code.OK, Code.INVALID_ARGUMENT}
    if answer.code is Code.INVALID_ARGUMENT:
        assert "order filled" not in answer.message


@given(st.sampled_from(list(Signal)))
def test_what_parses_is_ok(signal: Signal) -> None:
    """The other half of the property above: it does not refuse everything."""
    assert REQUEST_TYPES[signal].FromString(SAMPLES[signal]) is not None
    assert GATE.export(signal, SAMPLES[signal]).code is Code.OK


class _Refusing(DiscardForwarder):
    """Says what the gate sent, and refuses one signal."""

    def __init__(self, metrics: TransportMetrics, refused: Signal) -> None:
        super().__init__(metrics)
        self.refused = refused
        self.seen: list[Signal] = []

    def forward(self, batch: Batch, timeout_s: float) -> Failure | None:
        self.seen.append(batch.signal)
        assert timeout_s > 0
        return Failure(Code.UNAVAILABLE) if batch.signal is self.refused else None


def test_no_time_is_spent_on_the_rest_of_a_request_that_comes_again() -> None:
    """After a failure that may pass, everything is sent again anyway."""
    gate = made_gate()
    forwarder = _Refusing(gate.metrics, Signal.LOGS)
    gate.forwarder = forwarder

    class Deriving(Chain):
        def process(self, batch: Batch, now_unix_nano: int) -> tuple[Batch, ...]:
            derived = Batch(Signal.METRICS, SAMPLES[Signal.METRICS])
            return (*super().process(batch, now_unix_nano), derived)

    gate.slot.swap(Deriving({}), 0)

    assert gate.export(Signal.LOGS, SAMPLES[Signal.LOGS]).code is Code.UNAVAILABLE
    assert forwarder.seen == [Signal.LOGS]


def test_broken_bytes_from_a_processor_never_leave() -> None:
    """That is the processor's failure, not downstream's refusal nor the sender's mistake."""
    gate = made_gate(max_attempts=2)
    forwarder = _Refusing(gate.metrics, Signal.TRACES)
    gate.forwarder = forwarder

    class Breaking(Chain):
        def process(self, batch: Batch, now_unix_nano: int) -> tuple[Batch, ...]:
            assert now_unix_nano > 0
            return (batch.with_payload(b"\xff"),)

    gate.slot.swap(Breaking({}), 0)

    codes = [gate.export(Signal.LOGS, SAMPLES[Signal.LOGS]).code for _ in range(2)]
    assert codes == [Code.UNAVAILABLE, Code.INTERNAL]
    assert forwarder.seen == []
