"""The three OTLP signals that Tapeline carries, and how each is named on the wire."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["EXPORT_METHODS", "SERVICES", "Service", "Signal"]


class Signal(StrEnum):
    """An OTLP signal. Profiles are not carried: OTLP still calls them unstable."""

    LOGS = "logs"
    TRACES = "traces"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True)
class Service:
    """The gRPC service that takes a signal's Export requests (opentelemetry-proto, collector/)."""

    signal: Signal
    name: str

    @property
    def export_method(self) -> str:
        """The full method path, as it stands in the HTTP/2 `:path` header."""
        return f"/{self.name}/Export"


SERVICES: Final[tuple[Service, ...]] = (
    Service(Signal.LOGS, "opentelemetry.proto.collector.logs.v1.LogsService"),
    Service(Signal.TRACES, "opentelemetry.proto.collector.trace.v1.TraceService"),
    Service(Signal.METRICS, "opentelemetry.proto.collector.metrics.v1.MetricsService"),
)

EXPORT_METHODS: Final[dict[Signal, str]] = {
    service.signal: service.export_method for service in SERVICES
}
