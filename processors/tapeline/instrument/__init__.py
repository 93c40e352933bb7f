"""The instrumentation kit: traces, metrics and logs of a service of your own, in one call.

telemetry = setup("orders-api", version="1.4.2", app=app)

It stands beside Tapeline, not on it: a service that uses it needs the extra `instrument` and none
of the gate. What the OpenTelemetry SDK has is used and not written again; see README.md.
"""

from typing import TYPE_CHECKING, Any

try:
    import opentelemetry.sdk as _sdk  # noqa: F401  # Asked for here, so that its absence is told.
except ImportError as error:
    raise ImportError(
        f"tapeline.instrument needs the OpenTelemetry SDK ({error}): "
        "pip install 'tapeline[instrument]'"
    ) from error

from tapeline.instrument.exemplars import trace_exemplar
from tapeline.instrument.log_context import add_trace_ids, trace_ids
from tapeline.instrument.operations import (
    log_operation_complete,
    log_operation_failed,
    log_operation_start,
)
from tapeline.instrument.setup import SetupError, Telemetry, setup
from tapeline.instrument.spans import add_error_context, add_span_attribute, span, traced

if TYPE_CHECKING:
    from tapeline.instrument.health import Check, health_routes

__all__ = [
    "Check",
    "SetupError",
    "Telemetry",
    "add_error_context",
    "add_span_attribute",
    "add_trace_ids",
    "health_routes",
    "log_operation_complete",
    "log_operation_failed",
    "log_operation_start",
    "setup",
    "span",
    "trace_exemplar",
    "trace_ids",
    "traced",
]


def __getattr__(name: str) -> Any:
    """Import the health endpoints when they are asked for: they need FastAPI, the rest does not."""
    if name in {"Check", "health_routes"}:
        from tapeline.instrument import health  # noqa: PLC0415  # See above.

        return getattr(health, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
