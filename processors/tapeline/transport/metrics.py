"""The sidecar's own metrics. `metadata.yaml` lists them; a test holds the two equal.

Children of labelled metrics are made once, at start: a lookup per request would cost more than the
counting. It also makes every series exist, at 0, before the first failure, so that a rate over it
is right.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from tapeline.otlp.signals import Signal
from tapeline.transport.answers import Code, Event
from tapeline.transport.record_metrics import RecordMetrics

__all__ = ["OVERSIZE_OR_GONE", "TransportMetrics", "ValueCuts"]

OVERSIZE_OR_GONE: Final = "oversize_or_gone"
"""The reason of requests that gRPC ended before they had arrived: it refused them as too large by
itself, or the client went away. It does not say which."""

# Seconds. A batch of 1,000 logs takes about a millisecond; ten seconds is past every deadline.
_LATENCY_BUCKETS_S: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
_REFUSALS: Final = tuple(
    event.value for event in Event if event not in {Event.ACKNOWLEDGED, Event.EMPTY}
)


@dataclass(frozen=True, slots=True)
class ForSignal:
    """The series of one signal."""

    answers: dict[Code, Counter]
    records_in: Counter
    records_out: Counter
    bytes_in: Counter
    bytes_out: Counter
    forward_attempts: Counter
    rejected_records: Counter
    quarantined: Counter
    chain_seconds: Histogram
    forward_seconds: Histogram


class AuthenticationMetrics:
    """Checks of tokens and client names, and TLS handshakes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = _counter(
            registry,
            "tapeline_authentication_attempts",
            "Requests whose token or client name was checked.",
        )
        self.failures = _labelled(
            registry,
            "tapeline_authentication_failures",
            "Requests with a missing or wrong token, or with a client name not listed.",
            "reason",
            ("missing_token", "wrong_token", "client_name"),
        )
        self.tls_handshakes = _counter(
            registry,
            "tapeline_tls_handshakes",
            "TLS handshakes begun by clients; gRPC does not tell which of them failed.",
        )


class FailureMetrics:
    """What the chain fails on, and what becomes of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.chain = _counter(
            registry,
            "tapeline_chain_failures",
            "Requests on which the chain raised something else than malformed input.",
        )
        self.forgotten = _counter(
            registry,
            "tapeline_attempts_forgotten",
            "Failing payloads whose attempts were forgotten because too many fail at once.",
        )
        self.quarantine_writes = _counter(
            registry, "tapeline_quarantine_writes", "Attempts to write a payload into quarantine."
        )
        self.quarantine_problems = _labelled(
            registry,
            "tapeline_quarantine_failures",
            "Payloads given up that quarantine took without content, or not at all.",
            "reason",
            ("full", "not_redacted", "write_error"),
        )


class EmissionMetrics:
    """What processors emit by themselves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.emitted = _counter(
            registry, "tapeline_emissions", "Batches that processors emitted by themselves."
        )
        self.attempts = _counter(
            registry,
            "tapeline_emission_attempts",
            "Attempts to forward a batch that a processor emitted by itself.",
        )
        self.failures = _counter(
            registry,
            "tapeline_emission_failures",
            "Attempts to forward an emitted batch that failed; it is kept if they may pass.",
        )
        self.dropped = _labelled(
            registry,
            "tapeline_emissions_dropped",
            "Emitted batches that were lost.",
            "reason",
            ("buffer_full", "malformed", "refused", "shutdown"),
        )
        self.waiting = Gauge(
            "tapeline_emissions_waiting",
            "Emitted batches that wait to be forwarded.",
            registry=registry,
        )
        self.ticks = _counter(registry, "tapeline_ticks", "Times the chain was asked to emit.")
        self.tick_failures = _counter(
            registry, "tapeline_tick_failures", "Times the chain raised when asked to emit."
        )


class TransportMetrics:
    """All of the transport's metrics, registered in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.signals = _per_signal(registry)
        self.authentication = AuthenticationMetrics(registry)
        self.failures = FailureMetrics(registry)
        self.emissions = EmissionMetrics(registry)
        self.record = RecordMetrics(registry)
        self.in_flight = Gauge(
            "tapeline_in_flight_requests", "Requests being worked on now.", registry=registry
        )
        self.refused = _labelled(
            registry,
            "tapeline_refused_requests",
            "Requests that were not answered OK.",
            "reason",
            (*_REFUSALS, OVERSIZE_OR_GONE),
        )
        self.forward_failures = _labelled(
            registry,
            "tapeline_forward_failures",
            "Attempts to send a batch downstream that failed, by the gRPC code.",
            "code",
            tuple(code.name for code in Code if code is not Code.OK),
        )
        self.forward_retries = _counter(
            registry, "tapeline_forward_retries", "Attempts downstream after the first one."
        )
        self.loop_checks = _counter(
            registry, "tapeline_loop_checks", "Acknowledged requests looked at for loops."
        )
        self.loop_suspicions = _counter(
            registry,
            "tapeline_loop_suspicions",
            "Acknowledged requests whose first record had been acknowledged again and again.",
        )
        self.reloads = _labelled(
            registry,
            "tapeline_reloads",
            "Reloads of the configuration; a refused one keeps the old.",
            "result",
            ("applied", "refused"),
        )
        self.ready = Gauge(
            "tapeline_ready",
            "1 where the chain is built and downstream answers.",
            registry=registry,
        )
        self.value_cuts = ValueCuts()
        registry.register(self.value_cuts)


def _counter(registry: CollectorRegistry, name: str, text: str) -> Counter:
    return Counter(name, text, registry=registry)


def _labelled(
    registry: CollectorRegistry, name: str, text: str, label: str, values: Iterable[str]
) -> dict[str, Counter]:
    counter = Counter(name, text, [label], registry=registry)
    return {value: counter.labels(value) for value in values}


def _per_signal(registry: CollectorRegistry) -> dict[Signal, ForSignal]:
    def counter(name: str, text: str) -> Counter:
        return Counter(name, text, ["signal"], registry=registry)

    def seconds(name: str, text: str) -> Histogram:
        return Histogram(name, text, ["signal"], registry=registry, buckets=_LATENCY_BUCKETS_S)

    answers = Counter(
        "tapeline_requests",
        "Export requests by the gRPC code of their answer.",
        ["signal", "answer"],
        registry=registry,
    )
    records_in = counter("tapeline_received_records", "Records of well-formed requests.")
    records_out = counter("tapeline_forwarded_records", "Records that downstream acknowledged.")
    bytes_in = counter("tapeline_received_bytes", "Bytes of requests, decompressed.")
    bytes_out = counter("tapeline_forwarded_bytes", "Bytes that downstream acknowledged.")
    attempts = counter("tapeline_forward_attempts", "Attempts to send a batch downstream.")
    rejected = counter(
        "tapeline_rejected_records",
        "Records that downstream took and rejected (partial success). They are lost.",
    )
    quarantined = counter("tapeline_quarantined_requests", "Requests given up after max_attempts.")
    chain = seconds("tapeline_chain_duration_seconds", "Time in the chain, framing included.")
    forward = seconds("tapeline_forward_duration_seconds", "Time until downstream answered.")
    return {
        signal: ForSignal(
            answers={code: answers.labels(signal.value, code.name) for code in Code},
            records_in=records_in.labels(signal.value),
            records_out=records_out.labels(signal.value),
            bytes_in=bytes_in.labels(signal.value),
            bytes_out=bytes_out.labels(signal.value),
            forward_attempts=attempts.labels(signal.value),
            rejected_records=rejected.labels(signal.value),
            quarantined=quarantined.labels(signal.value),
            chain_seconds=chain.labels(signal.value),
            forward_seconds=forward.labels(signal.value),
        )
        for signal in Signal
    }


class ValueCuts(Collector):
    """Values cut for their length. The chain counts them; a reload must not set them back."""

    def __init__(self) -> None:
        self.of_former_chains = 0
        self.of_this_chain = 0

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Yield the one counter."""
        yield CounterMetricFamily(
            "tapeline_values_cut",
            "Values cut to server.max_value_bytes after the chain.",
            value=self.of_former_chains + self.of_this_chain,
        )
