"""A redaction processor for Rotel, which loads this file into its own interpreter.

It does what the bench's other peers do: key names and value patterns over resource and record
attributes, and value patterns over log bodies. The patterns come as JSON in BENCH_PATTERNS.
"""

import json
import os
import re
from typing import Any

_PATTERNS = json.loads(os.environ.get("BENCH_PATTERNS", '{"values": [], "keys": []}'))
_VALUES = tuple(re.compile(pattern) for pattern in _PATTERNS["values"])
_KEYS = tuple(re.compile(pattern) for pattern in _PATTERNS["keys"])
_MASK = "****"


def _redacted(text: str) -> str:
    for pattern in _VALUES:
        text = pattern.sub(_MASK, text)
    return text


def _redact_value(holder: Any) -> None:
    value = holder.value
    if isinstance(value, str):
        redacted = _redacted(value)
        if redacted != value:
            holder.string_value = redacted


def _redact_attributes(attributes: Any) -> None:
    for attribute in attributes:
        if any(pattern.search(attribute.key) for pattern in _KEYS):
            attribute.value.string_value = _MASK
        else:
            _redact_value(attribute.value)


def process_logs(resource_logs: Any) -> None:
    """Redact the log records of one resource; Rotel calls it."""
    _redact_attributes(resource_logs.resource.attributes)
    for scope_logs in resource_logs.scope_logs:
        for record in scope_logs.log_records:
            _redact_value(record.body)
            _redact_attributes(record.attributes)


def process_spans(resource_spans: Any) -> None:
    """Redact the spans of one resource; Rotel calls it."""
    _redact_attributes(resource_spans.resource.attributes)
    for scope_spans in resource_spans.scope_spans:
        for span in scope_spans.spans:
            _redact_attributes(span.attributes)


def process_metrics(resource_metrics: Any) -> None:
    """Redact the data points of one resource; Rotel calls it."""
    _redact_attributes(resource_metrics.resource.attributes)
    for scope_metrics in resource_metrics.scope_metrics:
        for metric in scope_metrics.metrics:
            for point in metric.data[0].data_points:
                _redact_attributes(point.attributes)
