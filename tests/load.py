"""A client under load that remembers exactly what it was told OK for.

It behaves as an SDK with patience would: what was not acknowledged is sent again until it is, and
what is refused for good is noted, never dropped in silence.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from backends import Backends, Jaeger, Loki, Prometheus
from otlp_client import Span, key_values, logs, traces
from tapeline.otlp.signals import EXPORT_METHODS, Signal
from waiting import eventually

__all__ = ["Load", "Missing", "Told", "arrived", "missing", "missing_logs", "missing_traces"]

LOGS_EACH = 50  # records a request
SPANS_EACH = 20  # a request, of one trace
SERIES = 5
_TIMEOUT_S = 5.0
_RETRY_PAUSE_S = 0.05
_END_TIMEOUT_S = 60.0
# What the OTLP specification (1.11, "Failures") calls retryable, and what gRPC says of a broken
# connection.
_RETRYABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@dataclass
class Told:
    """What was acknowledged: ids with the time (monotonic) of their OK, and the last counts.

    `traces` counts `SPANS_EACH` spans for each id. `refused` has what was refused for good,
    `retries` how often something had to be sent again, and `retried` of which signals.
    """

    logs: dict[str, float] = field(default_factory=dict)
    traces: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    retries: int = 0
    retried: set[str] = field(default_factory=set)

    @property
    def requests(self) -> int:
        """How many requests of logs and spans were acknowledged."""
        return len(self.logs) // LOGS_EACH + len(self.traces)


class Load:
    """Sends logs, spans and cumulative counters until it is stopped; a context manager."""

    def __init__(
        self, address: str, service: str, pause_s: float = 0.02, record_bytes: int = 200
    ) -> None:
        self.service = service
        self._pad = "x" * record_bytes
        self.told = Told()
        self._address = address
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._give_up_at = float("inf")
        # A request of each signal at a time, as an SDK's three exporters send.
        self._threads = [
            threading.Thread(target=self._run, args=(signal, step), daemon=True)
            for signal, step in (
                (Signal.LOGS, self._next_logs),
                (Signal.TRACES, self._next_trace),
                (Signal.METRICS, self._next_counts),
            )
        ]
        self._ids = random.Random(service)  # noqa: S311 - trace ids

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send what is under way until it is acknowledged, then end."""
        self._give_up_at = time.monotonic() + _END_TIMEOUT_S
        self._ended.set()
        for thread in self._threads:
            thread.join(_END_TIMEOUT_S + 2 * _TIMEOUT_S)
        assert not any(thread.is_alive() for thread in self._threads)

    def proceed(self, requests: int, timeout_s: float = 60.0) -> None:
        """Wait until so many more requests were acknowledged."""
        target = self.told.requests + requests
        eventually(lambda: self.told.requests >= target, timeout_s=timeout_s, poll_s=0.01)

    def _run(self, signal: Signal, step: Callable[[int], tuple[bytes, Callable[[], None]]]) -> None:
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
        ]
        with grpc.insecure_channel(self._address, options=options) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                EXPORT_METHODS[signal]
            )
            number = 0
            while not self._ended.is_set():
                payload, note = step(number)
                if self._sent(signal, call, payload):
                    note()
                number += 1
                self._ended.wait(self._pause_s)

    def _sent(
        self, signal: Signal, call: "grpc.UnaryUnaryMultiCallable[bytes, bytes]", payload: bytes
    ) -> bool:
        """Send until it is acknowledged; tell whether it was."""
        while time.monotonic() < self._give_up_at:
            try:
                call(payload, timeout=_TIMEOUT_S)
            except grpc.RpcError as error:
                code = error.code()
                if code not in _RETRYABLE:
                    self.told.refused.append(f"{code}: {error}")
                    return False
                self.told.retries += 1
                self.told.retried.add(signal.value)
                time.sleep(_RETRY_PAUSE_S)
            else:
                return True
        self.told.refused.append("not acknowledged at the end")
        return False

    def _next_logs(self, number: int) -> tuple[bytes, Callable[[], None]]:
        ids = [f"{self.service}-{number}-{each} {self._pad}" for each in range(LOGS_EACH)]
        payload = logs(ids, {"service.name": self.service}).SerializeToString()
        return payload, lambda: self.told.logs.update(dict.fromkeys(ids, time.monotonic()))

    def _next_trace(self, number: int) -> tuple[bytes, Callable[[], None]]:
        trace_id = self._ids.randbytes(16)
        spans = [
            # Failed: tail sampling keeps every trace of this load.
            Span(
                trace_id,
                f"{number}",
                {"pad": self._pad},
                failed=True,
                span_id=(each + 1).to_bytes(8, "big"),
            )
            for each in range(SPANS_EACH)
        ]
        payload = traces(spans, {"service.name": self.service}).SerializeToString()
        return payload, lambda: self.told.traces.update({trace_id.hex(): time.monotonic()})

    def _next_counts(self, number: int) -> tuple[bytes, Callable[[], None]]:
        counts = {str(each): (number + 1) * (each + 1) for each in range(SERIES)}
        request = ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        resource = {"service.name": self.service, "service.instance.id": "1"}
        group.resource.attributes.extend(key_values(resource))
        metric = group.scope_metrics.add().metrics.add(name="load.done")
        metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.is_monotonic = True
        now = time.time_ns()
        for series, count in counts.items():
            metric.sum.data_points.add(
                start_time_unix_nano=now - 10**9 * (number + 1),
                time_unix_nano=now,
                as_int=count,
                attributes=key_values({"series": series}),
            )
        return request.SerializeToString(), lambda: self.told.counts.update(counts)


@dataclass(frozen=True)
class Missing:
    """What was acknowledged and is not there: log ids, trace ids, and counts (told, found)."""

    logs: frozenset[str]
    traces: frozenset[str]
    counts: dict[str, tuple[int, float]]

    @property
    def total(self) -> int:
        """How many are missing in all."""
        return len(self.logs) + len(self.traces) + len(self.counts)

    def __str__(self) -> str:
        return f"{len(self.logs)} logs, {len(self.traces)} traces, counts {self.counts}"


def missing_logs(loki: Loki, load: Load) -> frozenset[str]:
    """Return the acknowledged log records that Loki does not have."""
    return frozenset(load.told.logs.keys() - loki.lines(load.service))


def missing_traces(jaeger: Jaeger, load: Load) -> frozenset[str]:
    """Return the acknowledged traces that Jaeger does not have whole."""
    spans = {trace["traceID"]: len(trace["spans"]) for trace in jaeger.traces(load.service)}
    return frozenset(each for each in load.told.traces if spans.get(each, 0) < SPANS_EACH)


def wrong_counts(prometheus: Prometheus, load: Load) -> dict[str, tuple[int, float]]:
    """Return the counters whose value of now is not the last that was acknowledged."""
    samples = prometheus.query(f'load_done_total{{job="{load.service}"}}')
    found = {sample.labels["series"]: sample.value for sample in samples}
    return {
        series: (count, found.get(series, 0.0))
        for series, count in load.told.counts.items()
        if found.get(series) != count
    }


def missing(backends: Backends, load: Load) -> Missing:
    """Return what of a load is not in the backends now."""
    return Missing(
        missing_logs(backends.loki, load),
        missing_traces(backends.jaeger, load),
        wrong_counts(backends.prometheus, load),
    )


def arrived(backends: Backends, load: Load, timeout_s: float = 60.0) -> None:
    """Wait until all that was acknowledged is in its backend; fail with what is missing."""
    assert load.told.refused == []

    def look() -> bool:
        left = missing(backends, load)
        assert left.total == 0, f"missing: {left}"
        return True

    eventually(look, timeout_s=timeout_s, poll_s=0.5)
