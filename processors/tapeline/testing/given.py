"""Records written short become OTLP requests: the way back from what `views` shows.

`{"log": {"body": "x", "severity": "WARN", "resource": {"service.name": "orders"}}}`; likewise
`span` and `metric`, a metric with the fields of one point. Names are those of a golden, and OTLP's
own work too. `at: 5s` is a time since the start; what gives no time stands at the start.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber

from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import Batch
from tapeline.pipeline.durations import parse_duration_s
from tapeline.pipeline.loader import suggestion
from tapeline.pipeline.time_text import unix_nano_from_iso
from tapeline.testing.views import NAMES

__all__ = ["DEFAULT_START_UNIX_NANO", "BadRecordError", "batch_of"]

DEFAULT_START_UNIX_NANO: Final = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z."""
_MAX_DEPTH: Final = 30
_NANO: Final = 1_000_000_000

# Generated messages and descriptors of many types: what is done here is by reflection.
AnyMessage = Any
Path = tuple[str | int, ...]

_ENUM_PREFIXES: Final = {
    "kind": "SPAN_KIND_",
    "code": "STATUS_CODE_",
    "aggregation_temporality": "AGGREGATION_TEMPORALITY_",
}
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_OTLP_NAMES: Final = {short: name for name, short in NAMES.items()}
_METRIC_FIELDS: Final = ("name", "unit", "description", "metadata")
_KIND_FIELDS: Final = ("aggregation_temporality", "is_monotonic")
_TEMPORAL: Final = frozenset({"sum", "histogram", "exponential_histogram"})
_TYPES: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_PLACES: Final = ("resource", "scope")
_TIME_OF: Final = {"log": "time_unix_nano", "span": "start_time_unix_nano"}
_POINT_TIME: Final = "time_unix_nano"


class BadRecordError(ValueError):
    """A record that can't be built; `path` says which of its keys is wrong."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path


def batch_of(
    item: Mapping[str, Any],
    start_unix_nano: int = DEFAULT_START_UNIX_NANO,
    resource: Mapping[str, Any] | None = None,
) -> Batch:
    """Return a batch of the one record that an item describes; raises BadRecordError.

    `resource` has attributes that a record's resource has if it does not say otherwise.
    """
    builder = _Builder(start_unix_nano)
    match list(item.items()):
        case [(str(kind), Mapping() as fields)] if kind in {"log", "span", "metric"}:
            return builder.batch(kind, fields, resource or {})
        case [(str(kind), _)] if kind in {"log", "span", "metric"}:
            raise BadRecordError((kind,), "must be a map of the record's fields")
    raise BadRecordError((), "must be one of log: {…}, span: {…} and metric: {…}")


@dataclass(frozen=True, slots=True)
class _Builder:
    """Builds requests; times are counted from its start."""

    start_unix_nano: int

    def batch(self, kind: str, fields: Mapping[str, Any], resource: Mapping[str, Any]) -> Batch:
        request, signal = _REQUESTS[kind]
        built: AnyMessage = request()
        outer, middle, inner = _ENCLOSING[kind]
        resource_part = getattr(built, outer).add()
        scope_part = getattr(resource_part, middle).add()
        own = {name: value for name, value in fields.items() if not _is_place(name)}
        placed = {name: value for name, value in fields.items() if _is_place(name)}
        self._place("resource", resource_part, placed, (kind,), resource)
        self._place("scope", scope_part, placed, (kind,), {})
        record = getattr(scope_part, inner).add()
        if kind == "metric":
            self._metric(record, own, (kind,))
        else:
            self._record(record, own, (kind,), _TIME_OF[kind])
        return Batch(signal, built.SerializeToString())

    def _place(
        self,
        name: str,
        enclosing: AnyMessage,
        given: Mapping[str, Any],
        path: Path,
        defaults: Mapping[str, Any],
    ) -> None:
        message = getattr(enclosing, name)
        attributes = given.get("resource", {}) if name == "resource" else {}
        if not isinstance(attributes, Mapping):
            raise BadRecordError((*path, "resource"), "must be a map of attributes")
        _add_attributes(message.attributes, {**defaults, **attributes}, (*path, name))
        if name == "scope" and "scope" in given:
            message.name = _text(given["scope"], (*path, "scope"))
        for key, value in given.items():
            if not key.startswith(f"{name}_"):
                continue
            field = key.removeprefix(f"{name}_")
            holder = enclosing if field == "schema_url" else message
            self._field(holder, field, value, (*path, key))

    def _record(
        self, message: AnyMessage, fields: Mapping[str, Any], path: Path, time_field: str
    ) -> None:
        own = dict(fields)
        moment = self._moment(own.pop("at"), (*path, "at")) if "at" in own else None
        duration = own.pop("duration", None)
        names = {_OTLP_NAMES.get(key, key) for key in own}
        if time_field not in names:
            setattr(message, time_field, self.start_unix_nano if moment is None else moment)
        for key, value in own.items():
            self._field(message, key, value, (*path, key))
        if duration is not None:
            begin = getattr(message, time_field)
            message.end_time_unix_nano = begin + _nanos(duration, (*path, "duration"))

    def _metric(self, message: AnyMessage, fields: Mapping[str, Any], path: Path) -> None:
        own = {_OTLP_NAMES.get(key, key): (key, value) for key, value in fields.items()}
        _, kind = own.pop("type", ("type", "gauge"))
        if kind not in _TYPES:
            raise BadRecordError((*path, "type"), f"must be one of {', '.join(_TYPES)}")
        for name in _METRIC_FIELDS:
            if name in own:
                key, value = own.pop(name)
                self._field(message, name, value, (*path, key))
        holder = getattr(message, kind)
        if kind in _TEMPORAL:
            own.setdefault("aggregation_temporality", ("temporality", "cumulative"))
        for name in _KIND_FIELDS:
            if name in own:
                key, value = own.pop(name)
                self._field(holder, name, value, (*path, key))
        point = holder.data_points.add()
        value = own.pop("value", None)
        if value is not None and "as_int" in point.DESCRIPTOR.fields_by_name:
            _set_number(point, value[1], (*path, "value"))
        elif value is not None:
            raise BadRecordError((*path, "value"), f"a point of a {kind} has no value")
        rest = dict(own.values())
        self._record(point, rest, path, _POINT_TIME)

    def _field(self, message: AnyMessage, key: str, value: Any, path: Path) -> None:
        field = _field_named(message, key, path)
        name = field.name
        inner = field.message_type
        if name.endswith("_unix_nano"):
            setattr(message, name, self._moment(value, path))
        elif inner is None and field.is_repeated:
            items = _listed(value, path)
            try:
                getattr(message, name).extend(items)
            except (TypeError, ValueError) as error:
                raise BadRecordError(path, "must be a list of numbers") from error
        elif inner is None:
            _set_scalar(message, field, value, path)
        elif inner.name == "KeyValue":
            _add_attributes(getattr(message, name), value, path)
        elif inner.name == "AnyValue":
            _set_any(getattr(message, name), value, path, 0)
        elif field.is_repeated:
            for number, item in enumerate(_listed(value, path)):
                self._inner(getattr(message, name).add(), item, (*path, number))
        elif name == "status" and isinstance(value, str):
            _set_scalar(message.status, _field_named(message.status, "code", path), value, path)
        else:
            self._inner(getattr(message, name), value, path)

    def _inner(self, message: AnyMessage, fields: Any, path: Path) -> None:
        if not isinstance(fields, Mapping):
            raise BadRecordError(path, "must be a map")
        message.SetInParent()
        own = dict(fields)
        has_time = _POINT_TIME in message.DESCRIPTOR.fields_by_name
        if "value" in own and "as_int" in message.DESCRIPTOR.fields_by_name:
            _set_number(message, own.pop("value"), (*path, "value"))
        if has_time:
            self._record(message, own, path, _POINT_TIME)
            return
        for key, value in own.items():
            self._field(message, key, value, (*path, key))

    def _moment(self, value: Any, path: Path) -> int:
        """Return a time in nanoseconds: ISO 8601, nanoseconds, or how long after the start."""
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        try:
            if isinstance(value, str) and "-" in value:
                return unix_nano_from_iso(value)
            return self.start_unix_nano + _nanos(value, path)
        except ValueError as error:
            if isinstance(error, BadRecordError):
                raise
            raise BadRecordError(path, str(error)) from error


_REQUESTS: Final[Mapping[str, tuple[Any, Signal]]] = {
    "log": (ExportLogsServiceRequest, Signal.LOGS),
    "span": (ExportTraceServiceRequest, Signal.TRACES),
    "metric": (ExportMetricsServiceRequest, Signal.METRICS),
}
_ENCLOSING: Final = {
    "log": ("resource_logs", "scope_logs", "log_records"),
    "span": ("resource_spans", "scope_spans", "spans"),
    "metric": ("resource_metrics", "scope_metrics", "metrics"),
}


def _is_place(name: str) -> bool:
    return any(name == place or name.startswith(f"{place}_") for place in _PLACES)


def _field_named(message: AnyMessage, key: str, path: Path) -> Any:
    """Return the descriptor of a field by its short name or OTLP's."""
    fields = message.DESCRIPTOR.fields_by_name
    for name in (_OTLP_NAMES.get(key, key), key):
        if name in fields:
            return fields[name]
    if key == "attributes" and "filtered_attributes" in fields:
        return fields["filtered_attributes"]
    known = [NAMES.get(name, name) for name in fields]
    raise BadRecordError(path, f"no field {key!r}{suggestion(str(key), known)}")


def _set_scalar(message: AnyMessage, field: Any, value: Any, path: Path) -> None:
    name = field.name
    try:
        if name in _IDS:
            setattr(message, name, bytes.fromhex(_text(value, path)))
        elif name == "severity_number" and isinstance(value, str):
            message.severity_number = SeverityNumber.Value(f"SEVERITY_NUMBER_{value}")
        elif name in _ENUM_PREFIXES and isinstance(value, str):
            names = field.enum_type.values_by_name
            setattr(message, name, names[f"{_ENUM_PREFIXES[name]}{value.upper()}"].number)
        elif isinstance(value, bool) and field.type != field.TYPE_BOOL:
            raise BadRecordError(path, "must not be true or false")
        else:
            setattr(message, name, value)
    except KeyError as error:
        known = [known.removeprefix(_ENUM_PREFIXES[name]) for known in names]
        raise BadRecordError(path, f"{value!r} is none of {', '.join(known)}") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, BadRecordError):
            raise
        raise BadRecordError(path, f"does not fit: {error}") from error


def _set_number(message: AnyMessage, value: Any, path: Path) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecordError(path, "must be a number: 5 is an integer, 5.0 a double")
    try:
        if isinstance(value, int):
            message.as_int = value
        else:
            message.as_double = value
    except ValueError as error:
        raise BadRecordError(path, f"does not fit: {error}") from error


def _add_attributes(pairs: Any, attributes: Any, path: Path) -> None:
    if not isinstance(attributes, Mapping):
        raise BadRecordError(path, "must be a map of attributes")
    for key, value in attributes.items():
        pair = pairs.add()
        pair.key = _text(key, path)
        _set_any(pair.value, value, (*path, key), 0)


def _set_any(message: AnyMessage, value: Any, path: Path, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise BadRecordError(path, f"nests deeper than {_MAX_DEPTH} levels")
    if isinstance(value, Mapping) and set(value) == {"$hex"}:
        value = bytes.fromhex(_text(value["$hex"], path))
    message.SetInParent()
    try:
        _set_member(message, value, path, depth)
    except ValueError as error:
        if isinstance(error, BadRecordError):
            raise
        raise BadRecordError(path, f"does not fit: {error}") from error


def _set_member(message: AnyMessage, value: Any, path: Path, depth: int) -> None:
    if type(value) in _MEMBERS:
        setattr(message, _MEMBERS[type(value)], value)
    elif isinstance(value, Mapping):
        message.kvlist_value.SetInParent()
        for key, inner in value.items():
            pair = message.kvlist_value.values.add()
            pair.key = _text(key, path)
            _set_any(pair.value, inner, (*path, key), depth + 1)
    elif isinstance(value, Sequence):
        message.array_value.SetInParent()
        for number, inner in enumerate(value):
            _set_any(message.array_value.values.add(), inner, (*path, number), depth + 1)
    elif value is not None:
        raise BadRecordError(path, f"OTLP has no values of the type {type(value).__name__}")


_MEMBERS: Final[Mapping[type, str]] = {
    bool: "bool_value",
    int: "int_value",
    float: "double_value",
    str: "string_value",
    bytes: "bytes_value",
}


def _listed(value: Any, path: Path) -> Iterable[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise BadRecordError(path, "must be a list")
    return value


def _text(value: Any, path: Path) -> str:
    if not isinstance(value, str):
        raise BadRecordError(path, f"must be a text: put {value!r} in quotes")
    return value


def _nanos(value: Any, path: Path) -> int:
    try:
        return round(parse_duration_s(value) * _NANO)
    except ValueError as error:
        raise BadRecordError(path, str(error)) from error
