"""The end of every row: acknowledges each request, and counts its records exactly.

Usage: sink.py LISTEN. A request is counted by parsing it, not by believing the sender. Requests
that are byte for byte one that was counted before (a relay's are) are recognised by comparing all
their bytes, so that the sink stays faster than what it measures. In what arrives it also looks for
the secrets that the bench planted, and for masks.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import grpc
from bench.payloads import MARK, MARK_DIGITS
from bench.planted import leaks_in, masks_in
from bench.wire import (
    AWAIT_METHOD,
    AWAIT_S,
    OPTIONS,
    RESET_METHOD,
    SINK_SERVICE,
    STATE_METHOD,
    RawHandler,
)
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tapeline.otlp.signals import SERVICES, Signal

KNOWN_MAX: Final = 128
TAIL_BYTES: Final = 64  # random in every batch: enough to find its like


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request held: records, secrets by their kind, and masks."""

    records: int
    leaks: Mapping[str, int]
    masks: int


class Sink:
    """Counts records by signal, and notes when marked batches arrived."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._known: dict[tuple[Signal, int, bytes], tuple[bytes, Seen]] = {}
        self._records = dict.fromkeys(Signal, 0)
        self._leaks: Counter[str] = Counter()
        self._masks = 0
        self._arrivals_ns: dict[int, int] = {}
        self._last_arrival_ns = 0

    def take(self, signal: Signal, payload: bytes) -> None:
        """Count one request."""
        arrived_ns = time.monotonic_ns()
        seen = self._look(signal, payload)
        number = _mark_of(payload)
        with self._lock:
            self._records[signal] += seen.records
            self._leaks.update(seen.leaks)
            self._masks += seen.masks
            self._last_arrival_ns = max(self._last_arrival_ns, arrived_ns)
            if number:
                self._arrivals_ns.setdefault(number, arrived_ns)
                self._lock.notify_all()

    def await_mark(self, number: int) -> bytes:
        """Return when the batch of this mark arrived (nanoseconds), empty where it does not."""
        with self._lock:
            self._lock.wait_for(lambda: number in self._arrivals_ns, timeout=AWAIT_S)
            arrived_ns = self._arrivals_ns.get(number)
        return b"" if arrived_ns is None else b"%d" % arrived_ns

    def state(self) -> bytes:
        """Return what was counted, as JSON."""
        with self._lock:
            return json.dumps(
                {
                    "records": self._records,
                    "leaks": self._leaks,
                    "masks": self._masks,
                    "last_arrival_ns": self._last_arrival_ns,
                }
            ).encode()

    def reset(self) -> bytes:
        """Begin to count anew."""
        with self._lock:
            self._records = dict.fromkeys(Signal, 0)
            self._leaks.clear()
            self._masks = 0
            self._arrivals_ns = {}
            self._last_arrival_ns = 0
        return b""

    def _look(self, signal: Signal, payload: bytes) -> Seen:
        key = (signal, len(payload), payload[-TAIL_BYTES:])
        known = self._known.get(key)
        if known is not None and known[0] == payload:
            return known[1]
        seen = Seen(count_records(signal, payload), leaks_in(payload), masks_in(payload))
        if len(self._known) < KNOWN_MAX and not _mark_of(payload):
            self._known[key] = (payload, seen)
        return seen


def count_records(signal: Signal, payload: bytes) -> int:
    """Return how many log records, spans or data points a request holds, by parsing it."""
    if signal is Signal.LOGS:
        logs = ExportLogsServiceRequest.FromString(payload)
        return sum(len(s.log_records) for r in logs.resource_logs for s in r.scope_logs)
    if signal is Signal.TRACES:
        traces = ExportTraceServiceRequest.FromString(payload)
        return sum(len(s.spans) for r in traces.resource_spans for s in r.scope_spans)
    metrics = ExportMetricsServiceRequest.FromString(payload)
    return sum(
        len(getattr(metric, kind).data_points)
        for resource in metrics.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if (kind := metric.WhichOneof("data")) is not None
    )


def _mark_of(payload: bytes) -> int:
    begin = payload.find(MARK)
    if begin < 0:
        return 0
    begin += len(MARK)
    return int(payload[begin : begin + MARK_DIGITS])


def main(listen: str) -> None:
    """Serve until killed."""
    sink = Sink()
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=OPTIONS)
    for service in SERVICES:

        def export(payload: bytes, _: Any, signal: Signal = service.signal) -> bytes:
            sink.take(signal, payload)
            return b""

        _add(server, service.name, {"Export": export})
    _add(
        server,
        SINK_SERVICE,
        {
            STATE_METHOD.rsplit("/", 1)[1]: lambda _payload, _context: sink.state(),
            RESET_METHOD.rsplit("/", 1)[1]: lambda _payload, _context: sink.reset(),
            AWAIT_METHOD.rsplit("/", 1)[1]: lambda payload, _context: sink.await_mark(int(payload)),
        },
    )
    server.add_insecure_port(listen)
    server.start()
    server.wait_for_termination()


def _add(
    server: grpc.Server, service: str, methods: dict[str, Callable[[bytes, Any], bytes]]
) -> None:
    handlers: dict[str, RawHandler] = {
        name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


if __name__ == "__main__":
    main(*sys.argv[1:])
