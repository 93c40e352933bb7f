"""The OpenTelemetry SDK of a demo service, set up as a user's service would set it up.

Where to send, how often and with what limits come from the SDK's standard environment variables.
"""

import logging
import os
import time
import warnings
from dataclasses import dataclass
from typing import Final

try:
    from opentelemetry import metrics, trace
    from opentelemetry._logs import Logger, SeverityNumber, set_logger_provider
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
    from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError as error:
    raise ImportError(
        f"the demo services need the OpenTelemetry SDK ({error}): pip install 'tapeline[demo]'"
    ) from error

from tapeline.demo.events import Event

__all__ = ["DEFAULT_ENDPOINT", "ENVIRONMENT_DEFAULTS", "Telemetry", "start_telemetry"]

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:4317"

# A demo should show its data within seconds; the SDK's own defaults are 5 s and 60 s. Capturing
# the authorization header is a mistake that real services make: it is one of the planted leaks.
ENVIRONMENT_DEFAULTS: Final[dict[str, str]] = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": DEFAULT_ENDPOINT,
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_BLRP_SCHEDULE_DELAY": "500",
    "OTEL_METRIC_EXPORT_INTERVAL": "2000",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "authorization",
}

# The loggers whose records go to OTLP: not the root, or the exporter's own complaints about an
# unreachable endpoint would be exported to it.
_EXPORTED_LOGGERS: Final = ("tapeline.demo", "aiohttp.access", "aiohttp.server")


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The instruments of one service, and the providers that `stop` flushes."""

    tracer: trace.Tracer
    meter: metrics.Meter
    log: logging.Logger
    _events: Logger
    _traces: TracerProvider
    _metrics: MeterProvider
    _logs: LoggerProvider

    def emit(self, event: Event) -> None:
        """Send a business event as a log record of the current trace, with the time of now."""
        self._events.emit(
            timestamp=time.time_ns(),
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=event.name,
            event_name=event.name,
            attributes=event.attributes,
        )

    def stop(self) -> None:
        """Send what is still held, and stop the exporters."""
        self._traces.shutdown()
        self._logs.shutdown()
        self._metrics.shutdown()


def start_telemetry(service: str, run: str) -> Telemetry:
    """Set up traces, metrics and logs of a process, and instrument aiohttp; once a process.

    `service` becomes `service.name`; `run` makes `service.instance.id` unique, without which two
    processes would overwrite each other's series in Prometheus.
    """
    for name, value in ENVIRONMENT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    resource = Resource.create(
        {
            "service.name": service,
            "service.namespace": "tapeline.demo",
            "service.instance.id": f"{service}-{run}",
        }
    )
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(traces)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    meters = MeterProvider(resource=resource, metric_readers=[reader])
    metrics.set_meter_provider(meters)
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    set_logger_provider(logs)
    _export_logging(logs)
    AioHttpClientInstrumentor().instrument()
    AioHttpServerInstrumentor().instrument()
    name = f"tapeline.demo.{service}"
    return Telemetry(
        tracer=traces.get_tracer(name),
        meter=meters.get_meter(name),
        log=logging.getLogger(name),
        _events=logs.get_logger(f"{name}.events"),
        _traces=traces,
        _metrics=meters,
        _logs=logs,
    )


def _export_logging(provider: LoggerProvider) -> None:
    """Send the records of the demo's loggers through the SDK's logging handler."""
    with warnings.catch_warnings():
        # The SDK points to the same handler in a further package, which nothing else here needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        handler = LoggingHandler(level=logging.INFO, logger_provider=provider)
    for name in _EXPORTED_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False  # to OTLP, not to the terminal as well
