"""An OTLP/gRPC endpoint inside the test process that keeps every request it got."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tapeline.otlp.signals import SERVICES, Service, Signal


class OtlpSink:
    """Acknowledges everything; a context manager. `endpoint` is for the SDK's environment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._payloads: dict[Signal, list[bytes]] = {signal: [] for signal in Signal}
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        self._server.add_generic_rpc_handlers(tuple(self._handler(each) for each in SERVICES))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def endpoint(self) -> str:
        """The endpoint as OTEL_EXPORTER_OTLP_ENDPOINT takes it."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(grace=1.0).wait()

    def raw(self) -> bytes:
        """All requests' bytes, one after the other, to search in."""
        with self._lock:
            return b"\n".join(each for payloads in self._payloads.values() for each in payloads)

    def spans(self) -> list[tuple[str, Span]]:
        """Every span with the name of the service that it is from."""
        return [
            (_service(resource.resource.attributes), span)
            for payload in self._of(Signal.TRACES)
            for resource in ExportTraceServiceRequest.FromString(payload).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def logs(self) -> list[tuple[str, LogRecord]]:
        """Every log record with the name of the service that it is from."""
        return [
            (_service(resource.resource.attributes), record)
            for payload in self._of(Signal.LOGS)
            for resource in ExportLogsServiceRequest.FromString(payload).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def metrics(self) -> list[tuple[str, Metric]]:
        """Every metric of every export with the name of the service that it is from."""
        return [
            (_service(resource.resource.attributes), metric)
            for payload in self._of(Signal.METRICS)
            for resource in ExportMetricsServiceRequest.FromString(payload).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def _of(self, signal: Signal) -> list[bytes]:
        with self._lock:
            return list(self._payloads[signal])

    def _handler(self, service: Service) -> grpc.GenericRpcHandler:
        def export(payload: bytes, _: grpc.ServicerContext) -> bytes:
            with self._lock:
                self._payloads[service.signal].append(payload)
            return b""

        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(export)
        return grpc.method_handlers_generic_handler(service.name, {"Export": method})


class HasAttributes(Protocol):
    """A record, span, span event, data point or resource."""

    @property
    def attributes(self) -> Iterable[KeyValue]:
        """Its attributes on the wire."""


def attributes_of(message: HasAttributes) -> dict[str, object]:
    """Return the attributes of a record, span, point or resource: each value as it was set."""
    return {each.key: _value(each) for each in message.attributes}


def _value(attribute: KeyValue) -> object:
    kind = attribute.value.WhichOneof("value")
    return None if kind is None else getattr(attribute.value, kind)


def _service(attributes: Iterable[KeyValue]) -> str:
    return {each.key: each.value.string_value for each in attributes}["service.name"]
