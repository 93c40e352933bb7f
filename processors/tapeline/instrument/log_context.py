"""The trace that a line belongs to, for lines that do not leave through the SDK.

Records of the standard library get `otelTraceID`, `otelSpanID` and `otelServiceName` from
OpenTelemetry's own instrumentation, which `setup` turns on.
"""

from collections.abc import MutableMapping
from typing import Any

from opentelemetry import trace

__all__ = ["add_trace_ids", "trace_ids"]


def trace_ids() -> dict[str, str]:
    """Return `trace_id` and `span_id` of the current span in hex; empty outside of spans."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


def add_trace_ids(
    _logger: Any, _method: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Give a structlog event `trace_id` and `span_id`; a processor, put before the renderer."""
    event_dict.update(trace_ids())
    return event_dict
