"""Spans and figures of a FastAPI app's requests: FastAPI's own, where they say what is asked for.

They cost about half of what OpenTelemetry's instrumentation does. What they lack: the names of
attributes before the conventions were stable, and captured headers.
"""

import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider

__all__ = ["with_fastapis_own_spans"]

_NAMES: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
_HEADERS: Final = (
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
)
_EXCLUDED: Final = "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS"
_ACTIVE_REQUESTS: Final = "http.server.active_requests"

_AS_MADE: Final[Mapping[str, object]] = {
    "tracer_provider": None,
    "meter_provider": None,
    "logger_provider": None,
    "tracing": True,
    "metrics": True,
    "logs": True,
    "operation_spans": True,
    "exclude": None,
}
"""The options (fastapi.telemetry.TelemetryConfig) of an app whose author chose none."""

Scope = MutableMapping[str, Any]


def with_fastapis_own_spans(
    app: object, environment: Mapping[str, str], *, active_requests: bool = False
) -> bool:
    """Have FastAPI make one span for each request, and say so; False where it can't, or not all.

    `active_requests` asks for `http.server.active_requests`, too, which the conventions leave to
    choice. An app whose author chose other options keeps them.
    """
    names = {each.strip() for each in environment.get(_NAMES, "").split(",")}
    if "http" not in names or "http/dup" in names or any(map(environment.get, _HEADERS)):
        return False
    # The options of an app that is made already have no public name. Without them, as before
    # FastAPI had any, or with others, there is OpenTelemetry's instrumentation.
    options = getattr(app, "_telemetry", None)
    if not isinstance(options, dict) or not _AS_MADE.keys() <= options.keys():
        return False
    if all(options[name] is value for name, value in _AS_MADE.items()):
        options.update(
            # A request is one span: how FastAPI divides it is not for its reader.
            operation_spans=False,
            exclude=_excluding(environment.get(_EXCLUDED, "")),
            # Exporters are set up already; FastAPI would add them once more.
            auto_configure=False,
            # Those that it would find itself, at each request and for all three signals.
            tracer_provider=trace.get_tracer_provider(),
            meter_provider=_meters(active_requests=active_requests),
            logger_provider=get_logger_provider(),
        )
    return bool(options["tracing"])


def _meters(*, active_requests: bool) -> object:
    provider = metrics.get_meter_provider()
    if active_requests or isinstance(provider, metrics.NoOpMeterProvider):
        return provider
    return _DurationsOnly(provider)


@dataclass(frozen=True, slots=True)
class _DurationsOnly:
    """FastAPI's meters without the count of requests under way, which is added to twice in each.

    By a view it would be dropped as well, but only after it was measured.
    """

    _provider: metrics.MeterProvider

    def get_meter(self, *names: Any, **more: Any) -> "_DurationMeter":
        return _DurationMeter(self._provider.get_meter(*names, **more))

    def __getattr__(self, name: str) -> Any:
        # An error here would be one of the user's request: another FastAPI may ask for more.
        return getattr(self._provider, name)


@dataclass(frozen=True, slots=True)
class _DurationMeter:
    _meter: metrics.Meter

    def create_up_down_counter(self, name: str, *more: Any, **named: Any) -> metrics.UpDownCounter:
        if name == _ACTIVE_REQUESTS:
            return metrics.NoOpUpDownCounter(name)
        return self._meter.create_up_down_counter(name, *more, **named)

    def __getattr__(self, name: str) -> Any:
        # All else, and what another FastAPI may ask for: an error would be the user's request's.
        return getattr(self._meter, name)


def _excluding(urls: str) -> Callable[[Scope], bool] | None:
    """Return what says that a request is not for traces, by a list of regular expressions.

    They are searched in its URL without the query, as OpenTelemetry's instrumentation does.
    """
    expressions = [each.strip() for each in urls.split(",") if each.strip()]
    if not expressions:
        return None
    search = re.compile("|".join(expressions)).search

    def exclude(scope: Scope) -> bool:
        host = b""
        for name, value in scope["headers"]:  # Plain: each request pays for it.
            if name == b"host":
                host = value
                break
        url = f"{scope.get('scheme', 'http')}://{host.decode('latin-1')}{scope['path']}"
        return search(url) is not None

    return exclude
