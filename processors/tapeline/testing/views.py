"""Records and series as people write them: what goldens show, and what tests expect.

Names are shorter than OTLP's, times are texts, and what encloses a record stands beside it:
`resource` is the resource's attributes, `scope` the scope's name.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from tapeline.pipeline.time_text import iso_from_unix_nano
from tapeline.recording.records import Fields, Marked, Record, Value
from tapeline.testing.series import Series

__all__ = [
    "NAMES",
    "Moment",
    "place_view",
    "record_view",
    "series_view",
    "whole_view",
]

NAMES: Final = {
    "time_unix_nano": "time",
    "observed_time_unix_nano": "observed_time",
    "start_time_unix_nano": "start",
    "end_time_unix_nano": "end",
    "severity_number": "severity",
    "aggregation_temporality": "temporality",
    "is_monotonic": "monotonic",
    "filtered_attributes": "attributes",
}
"""What OTLP's fields are called here; those that are not listed keep their names."""
_TIMES: Final = frozenset(name for name in NAMES if name.endswith("_unix_nano"))
_NESTED: Final = frozenset(
    {"events", "links", "exemplars", "quantile_values", "status", "positive", "negative"}
)
_ORDER: Final = (
    "time", "observed_time", "name", "type", "temporality", "monotonic", "unit", "description",
    "kind", "start", "end", "status", "severity", "severity_text", "event_name", "body", "value",
    "count", "sum", "min", "max", "explicit_bounds", "bucket_counts", "scale", "zero_count",
    "zero_threshold", "positive", "negative", "quantile_values", "attributes",
)  # fmt: skip
_POSITIONS: Final = {name: position for position, name in enumerate(_ORDER)}
_SEVERITIES: Final = {
    number: name.removeprefix("SEVERITY_NUMBER_") for name, number in SeverityNumber.items()
}


class Moment(str):
    """A point in time as text. In YAML it has no quotes: those tell a text that looks like one."""

    __slots__ = ()


def record_view(record: Record) -> dict[str, Value]:
    """Return a record's own fields, in the order in which one reads them."""
    return _view(record.content)


def series_view(series: Series) -> dict[str, Value]:
    """Return what a series is and what its points make, without the time of the last one."""
    view = _view({**series.identity, **series.final})
    view.pop("time", None)
    return view


def place_view(resource: Fields, scope: Fields) -> dict[str, Value]:
    """Return what encloses records: resource and scope, each field under a name of its own."""
    view: dict[str, Value] = {"resource": _sorted(resource.get("attributes", {}))}
    view |= _prefixed("resource", resource, without="attributes")
    if "name" in scope:
        view["scope"] = scope["name"]
    return view | _prefixed("scope", scope, without="name")


def whole_view(record: Record) -> dict[str, Value]:
    """Return a record beside what encloses it."""
    return place_view(record.resource, record.scope) | record_view(record)


def _prefixed(place: str, fields: Fields, without: str) -> dict[str, Value]:
    return {f"{place}_{name}": _sorted(fields[name]) for name in sorted(fields) if name != without}


def _view(fields: Fields) -> dict[str, Value]:
    view = {NAMES.get(name, name): _field(name, value) for name, value in fields.items()}
    return dict(sorted(view.items(), key=_position))


def _position(item: tuple[str, Value]) -> tuple[int, str]:
    return (_POSITIONS.get(item[0], len(_POSITIONS)), item[0])


def _field(name: str, value: Value) -> Value:
    if name in _TIMES:
        return Moment(iso_from_unix_nano(value))
    if name == "severity_number":
        return _SEVERITIES.get(value, value)
    if name == "aggregation_temporality":
        return str(value).lower()
    if name in _NESTED and isinstance(value, Mapping):
        return _view(value)
    if name in _NESTED and isinstance(value, Iterable):
        return tuple(_view(item) for item in value)
    return _sorted(value)


def _sorted(value: Value) -> Value:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, tuple):
        return tuple(map(_sorted, value))
    if isinstance(value, Marked):
        return Marked(value.mark, tuple(map(_sorted, value.values)))
    return value
