"""One call that sets up the OpenTelemetry SDK of a process: traces, metrics and logs."""

import atexit
import importlib
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
)
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, Sampler

from tapeline.instrument.deadline import PreparedCalls, all_within
from tapeline.instrument.environment import (
    additions,
    deployment_environment,
    is_enabled,
    wants_console,
)
from tapeline.instrument.exporters import load_exporters
from tapeline.instrument.request_spans import with_fastapis_own_spans
from tapeline.instrument.secret_filter import SecretFreeLogs, SecretFreeSpans

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["SetupError", "Telemetry", "setup"]

_OWN_COMPLAINTS: Final = "opentelemetry"
"""The SDK's loggers. What they say of an endpoint that can't be reached is not sent there."""

_LINE: Final = (
    "%(asctime)s %(levelname)s [%(name)s] "
    "[trace_id=%(otelTraceID)s span_id=%(otelSpanID)s] - %(message)s"
)
"""A line on stderr; its fields are those that OpenTelemetry's instrumentation of logging sets."""

_Provider = TracerProvider | MeterProvider | LoggerProvider

_LOG = logging.getLogger(__name__)
_current: "Telemetry | None" = None


class SetupError(RuntimeError):
    """The process can't be set up (again) as it was asked for."""


@dataclass(slots=True)
class Telemetry:
    """The instruments of a process. `shutdown` sends what is still held; so does the exit."""

    service_name: str
    tracer: trace.Tracer
    meter: metrics.Meter
    log: logging.Logger
    enabled: bool
    _providers: tuple[_Provider, ...]
    _ends: PreparedCalls
    _apps: list[Any] = field(default_factory=list)
    _ended: bool = False

    def instrument_app(self, app: "FastAPI", *, active_requests: bool = False) -> None:
        """Give each request of a FastAPI app a span; once, however often it is asked for.

        `active_requests` has those counted that are under way, besides the duration of each.
        """
        instrumentation = _instrumentation("fastapi")
        if not self.enabled or instrumentation is None or any(app is each for each in self._apps):
            return
        self._apps.append(app)
        if with_fastapis_own_spans(app, os.environ, active_requests=active_requests):
            return
        # A request has one span, and not three: of receive and send nothing is to be learnt.
        instrumentation.FastAPIInstrumentor.instrument_app(
            app,
            excluded_urls=os.environ.get("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS"),
            exclude_spans=["receive", "send"],
        )

    def flush(self, timeout_ms: int = 10_000) -> bool:
        """Send what is held now; say whether all of it went within the time."""
        if not self.enabled:
            return True
        flushes = [partial(provider.force_flush, timeout_ms) for provider in self._providers]
        return all_within(flushes, timeout_ms / 1000)

    def shutdown(self, timeout_ms: int = 10_000) -> None:
        """Send what is still held, and stop; a second call does nothing.

        What has not gone within the time is lost, and said to be.
        """
        if self._ended:
            return
        self._ended = True
        logs = _instrumentation("logging")
        if self.enabled and logs is not None:
            logs.LoggingInstrumentor().uninstrument()
        if not self._ends.within(timeout_ms / 1000):
            _LOG.warning("telemetry did not go within %s ms; what was held is lost", timeout_ms)

    def _prepare_end(self) -> None:
        """Start the threads of the end, which the exit can't; in a fork anew."""
        if self.enabled and not self._ended:
            self._ends.start_threads()


def setup(  # noqa: PLR0913  # Choices by keyword, each with a default.
    service_name: str,
    *,
    version: str | None = None,
    environment: str | None = None,
    app: "FastAPI | None" = None,
    attributes: Mapping[str, str] | None = None,
    sample_ratio: float | None = None,
    log_level: int = logging.INFO,
    log_to_stderr: bool = True,
) -> Telemetry:
    """Set up traces, metrics and logs; instrument httpx, logging and `app` where they are there.

    `attributes` are further ones of the resource. `sample_ratio` (0 to 1) is the share of new
    traces that is kept, a caller's decision goes before; without it OTEL_TRACES_SAMPLER says, and
    by default all are. `log_level` is set at the root logger. A second call with the same name
    returns what the first one made, and instruments its `app`.

    Raises ValueError for a setting that can't be, ExporterError (one of those) for an exporter
    that isn't there, and SetupError where the process is set up for another service already.
    """
    global _current  # noqa: PLW0603  # OpenTelemetry's providers are one a process, and so is this.
    if _current is None:
        sampler = _sampler(sample_ratio)
        enabled = is_enabled(os.environ)
        os.environ.update(additions(os.environ))
        if not enabled:
            os.environ["OTEL_SDK_DISABLED"] = "true"
        resource = _resource(service_name, version, environment, attributes or {})
        _current = _start(service_name, version, resource, sampler, enabled=enabled)
        _current._prepare_end()  # noqa: SLF001  # Its own module's.
        os.register_at_fork(after_in_child=_current._prepare_end)  # noqa: SLF001  # As above.
        atexit.register(_current.shutdown)
        _instrument_libraries(_current, log_level, log_to_stderr=log_to_stderr)
    elif _current.service_name != service_name or _current._ended:  # noqa: SLF001  # Its own module's.
        raise SetupError(
            f"this process is set up as {_current.service_name!r}"
            f"{' and was shut down' if _current._ended else ''}:"  # noqa: SLF001  # As above.
            " OpenTelemetry's providers can be set once a process"
        )
    if app is not None:
        _current.instrument_app(app)
    return _current


def _sampler(ratio: float | None) -> Sampler | None:
    if ratio is None:
        return None
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"sample_ratio is {ratio}: a share, from 0 to 1")
    return ParentBasedTraceIdRatio(ratio)


def _resource(
    service_name: str, version: str | None, environment: str | None, more: Mapping[str, str]
) -> Resource:
    """Return who sends; OTEL_RESOURCE_ATTRIBUTES adds to it, and says the less certain."""
    if not service_name:
        raise ValueError("service_name is empty: name the service, as in 'orders-api'")
    known: dict[str, str] = {"service.name": service_name, **more}
    deployment = environment or deployment_environment(os.environ)
    if version is not None:
        known["service.version"] = version
    if deployment is not None:
        # The name of the conventions now, and the one of before, which older queries ask for.
        known["deployment.environment.name"] = deployment
        known["deployment.environment"] = deployment
    return Resource.create(dict(known))


def _start(
    service_name: str,
    version: str | None,
    resource: Resource,
    sampler: Sampler | None,
    *,
    enabled: bool,
) -> Telemetry:
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        raise SetupError(
            "a tracer provider is set already (by opentelemetry-instrument, or code of your own):"
            " leave that out, or do without setup()"
        )
    # The exit is ours to bound.
    traces = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
    readers: list[MetricReader] = []
    if enabled:
        for exporter in load_exporters("traces", os.environ):
            traces.add_span_processor(BatchSpanProcessor(SecretFreeSpans(exporter)))
        if wants_console(os.environ):
            traces.add_span_processor(SimpleSpanProcessor(SecretFreeSpans(ConsoleSpanExporter())))
        logs.add_log_record_processor(SecretFreeLogs())
        for exporter in load_exporters("logs", os.environ):
            logs.add_log_record_processor(BatchLogRecordProcessor(exporter))
        readers = [_reader(each) for each in load_exporters("metrics", os.environ)]
    # Measured for nobody, each request would pay for it: without a reader nothing is measured.
    measuring = (
        [MeterProvider(resource=resource, metric_readers=readers, shutdown_on_exit=False)]
        if readers
        else []
    )
    meters = measuring[0] if measuring else metrics.NoOpMeterProvider()
    trace.set_tracer_provider(traces)
    metrics.set_meter_provider(meters)
    set_logger_provider(logs)
    providers: tuple[_Provider, ...] = (traces, *measuring, logs)
    return Telemetry(
        service_name=service_name,
        tracer=traces.get_tracer(service_name, version),
        meter=meters.get_meter(service_name, version),
        log=logging.getLogger(service_name),
        enabled=enabled,
        _providers=providers,
        _ends=PreparedCalls([provider.shutdown for provider in providers]),
    )


def _reader(exporter_or_reader: Any) -> MetricReader:
    """Return a reader: some packages register one, and not an exporter."""
    if isinstance(exporter_or_reader, MetricReader):
        return exporter_or_reader
    return PeriodicExportingMetricReader(exporter_or_reader)


def _instrument_libraries(telemetry: Telemetry, log_level: int, *, log_to_stderr: bool) -> None:
    root = logging.getLogger()
    root.setLevel(log_level)
    telemetry.log.setLevel(log_level)  # Its own, should something else set the root's later.
    if log_to_stderr:
        terminal = logging.StreamHandler(sys.stderr)
        unset = {"otelTraceID": "0", "otelSpanID": "0"}  # Before setup, and after shutdown.
        terminal.setFormatter(logging.Formatter(_LINE, defaults=unset))
        logging.basicConfig(handlers=[terminal])  # Unless the service has handlers of its own.
    else:
        logging.getLogger(_OWN_COMPLAINTS).addHandler(logging.StreamHandler(sys.stderr))
    # Its line for each request holds the whole URL, and the span says the same.
    logging.getLogger("httpx").setLevel(max(log_level, logging.WARNING))
    logs = _instrumentation("logging")
    if not telemetry.enabled:
        return
    if logs is not None:
        before = list(root.handlers)
        logs.LoggingInstrumentor().instrument(inject_trace_context=True)
        added: list[Any] = [handler for handler in root.handlers if handler not in before]
        for handler in added:
            handler.addFilter(_not_own_complaint)
            # Its flush starts a thread, which the exit can't from Python 3.12 on, where logging
            # looks at this. What it took has gone by then.
            handler.flushOnClose = False
    client = _instrumentation("httpx")
    if client is not None:
        client.HTTPXClientInstrumentor().instrument()


def _not_own_complaint(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] != _OWN_COMPLAINTS


def _instrumentation(name: str) -> Any | None:
    """Return OpenTelemetry's instrumentation of a package; None if either is not installed."""
    try:
        return importlib.import_module(f"opentelemetry.instrumentation.{name}")
    except ImportError:
        return None
