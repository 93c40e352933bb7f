"""The table of every OTLP field that can carry text: logs, traces and metrics.

Whatever must look at all text of a request (redaction, the value limit) iterates over this table
and knows no field by itself. A test walks the protobuf descriptors of the three Export requests
and fails on any field that is neither in `FIELDS` nor in `NOT_TEXT`, so a new OTLP field has to
be decided before it can pass through unseen.

Source: opentelemetry-proto, collector/{logs,trace,metrics}/v1 and what they import.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Final

from tapeline.otlp.signals import Signal

__all__ = ["FIELDS", "MAX_ANY_VALUE_DEPTH", "NOT_TEXT", "Field", "FieldClass", "Kind", "Step"]

MAX_ANY_VALUE_DEPTH: Final = 30
"""Levels of AnyValue, the outermost counted as 1, that are looked at; deeper is malformed.

A key-value list takes 3 message levels for each of its own, an exemplar's attribute stands 8 deep,
and protobuf's parsers refuse more than 100 levels: 30 is the depth that parses wherever in a
request the value stands, so that one rule holds for all fields.
"""


class Kind(StrEnum):
    """What a field holds, and so how its text is reached."""

    TEXT = "text"
    TEXT_LIST = "text list"
    ANY_VALUE = "any value"
    ATTRIBUTES = "attributes"


class FieldClass(StrEnum):
    """What a field is to its reader. The same class may occur in several signals and paths."""

    RESOURCE_ATTRIBUTE = "resource_attribute"
    RESOURCE_SCHEMA_URL = "resource_schema_url"
    ENTITY_TYPE = "entity_type"
    ENTITY_KEY = "entity_key"
    ENTITY_SCHEMA_URL = "entity_schema_url"
    SCOPE_NAME = "scope_name"
    SCOPE_VERSION = "scope_version"
    SCOPE_ATTRIBUTE = "scope_attribute"
    SCOPE_SCHEMA_URL = "scope_schema_url"
    LOG_BODY = "log_body"
    LOG_ATTRIBUTE = "log_attribute"
    SEVERITY_TEXT = "severity_text"
    LOG_EVENT_NAME = "log_event_name"
    SPAN_NAME = "span_name"
    SPAN_ATTRIBUTE = "span_attribute"
    TRACE_STATE = "trace_state"
    STATUS_MESSAGE = "status_message"
    EVENT_NAME = "event_name"
    EVENT_ATTRIBUTE = "event_attribute"
    LINK_TRACE_STATE = "link_trace_state"
    LINK_ATTRIBUTE = "link_attribute"
    METRIC_NAME = "metric_name"
    METRIC_DESCRIPTION = "metric_description"
    METRIC_UNIT = "metric_unit"
    METRIC_METADATA = "metric_metadata"
    DATA_POINT_ATTRIBUTE = "data_point_attribute"
    EXEMPLAR_ATTRIBUTE = "exemplar_attribute"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: a protobuf field's name, and whether it is repeated."""

    name: str
    is_repeated: bool


@dataclass(frozen=True)
class Field:
    """One row of the table.

    `path` names the protobuf fields from the Export request on, joined by dots; `[]` follows a
    repeated one. `is_identity` says that two metric points which differ in this field belong to
    two series, so that replacing two values by the same text would merge them.
    """

    signal: Signal
    path: str
    field_class: FieldClass
    kind: Kind
    is_identity: bool = False

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The path, taken apart."""
        return tuple(
            Step(name.removesuffix("[]"), name.endswith("[]")) for name in self.path.split(".")
        )


_RESOURCES: Final = MappingProxyType(
    {
        Signal.LOGS: "resource_logs[]",
        Signal.TRACES: "resource_spans[]",
        Signal.METRICS: "resource_metrics[]",
    }
)
_SCOPES: Final = MappingProxyType(
    {
        Signal.LOGS: "resource_logs[].scope_logs[]",
        Signal.TRACES: "resource_spans[].scope_spans[]",
        Signal.METRICS: "resource_metrics[].scope_metrics[]",
    }
)
_LOG: Final = "resource_logs[].scope_logs[].log_records[]"
_SPAN: Final = "resource_spans[].scope_spans[].spans[]"
_METRIC: Final = "resource_metrics[].scope_metrics[].metrics[]"
_POINT_KINDS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_POINT_KINDS_WITH_EXEMPLARS: Final = _POINT_KINDS[:-1]


def _enclosing(signal: Signal) -> tuple[Field, ...]:
    """Return the fields around the records, which are the same in every signal."""
    resource, scope = _RESOURCES[signal], _SCOPES[signal]
    entity = f"{resource}.resource.entity_refs[]"
    identity = signal is Signal.METRICS
    text, text_list, attributes = Kind.TEXT, Kind.TEXT_LIST, Kind.ATTRIBUTES
    one = FieldClass
    return (
        Field(
            signal,
            f"{resource}.resource.attributes[]",
            one.RESOURCE_ATTRIBUTE,
            attributes,
            is_identity=identity,
        ),
        Field(signal, f"{entity}.schema_url", one.ENTITY_SCHEMA_URL, text),
        Field(signal, f"{entity}.type", one.ENTITY_TYPE, text, is_identity=identity),
        # These name resource attributes, so they are rewritten in the same way as those keys.
        Field(signal, f"{entity}.id_keys[]", one.ENTITY_KEY, text_list, is_identity=identity),
        Field(
            signal, f"{entity}.description_keys[]", one.ENTITY_KEY, text_list, is_identity=identity
        ),
        Field(signal, f"{resource}.schema_url", one.RESOURCE_SCHEMA_URL, text),
        Field(signal, f"{scope}.scope.name", one.SCOPE_NAME, text, is_identity=identity),
        Field(signal, f"{scope}.scope.version", one.SCOPE_VERSION, text, is_identity=identity),
        Field(
            signal,
            f"{scope}.scope.attributes[]",
            one.SCOPE_ATTRIBUTE,
            attributes,
            is_identity=identity,
        ),
        Field(signal, f"{scope}.schema_url", one.SCOPE_SCHEMA_URL, text),
    )


_LOG_FIELDS: Final = (
    Field(Signal.LOGS, f"{_LOG}.severity_text", FieldClass.SEVERITY_TEXT, Kind.TEXT),
    Field(Signal.LOGS, f"{_LOG}.body", FieldClass.LOG_BODY, Kind.ANY_VALUE),
    Field(Signal.LOGS, f"{_LOG}.attributes[]", FieldClass.LOG_ATTRIBUTE, Kind.ATTRIBUTES),
    Field(Signal.LOGS, f"{_LOG}.event_name", FieldClass.LOG_EVENT_NAME, Kind.TEXT),
)

_TRACE_FIELDS: Final = (
    Field(Signal.TRACES, f"{_SPAN}.trace_state", FieldClass.TRACE_STATE, Kind.TEXT),
    Field(Signal.TRACES, f"{_SPAN}.name", FieldClass.SPAN_NAME, Kind.TEXT),
    Field(Signal.TRACES, f"{_SPAN}.attributes[]", FieldClass.SPAN_ATTRIBUTE, Kind.ATTRIBUTES),
    Field(Signal.TRACES, f"{_SPAN}.events[].name", FieldClass.EVENT_NAME, Kind.TEXT),
    Field(
        Signal.TRACES,
        f"{_SPAN}.events[].attributes[]",
        FieldClass.EVENT_ATTRIBUTE,
        Kind.ATTRIBUTES,
    ),
    Field(Signal.TRACES, f"{_SPAN}.links[].trace_state", FieldClass.LINK_TRACE_STATE, Kind.TEXT),
    Field(
        Signal.TRACES,
        f"{_SPAN}.links[].attributes[]",
        FieldClass.LINK_ATTRIBUTE,
        Kind.ATTRIBUTES,
    ),
    Field(Signal.TRACES, f"{_SPAN}.status.message", FieldClass.STATUS_MESSAGE, Kind.TEXT),
)

_METRIC_FIELDS: Final = (
    Field(Signal.METRICS, f"{_METRIC}.name", FieldClass.METRIC_NAME, Kind.TEXT, is_identity=True),
    Field(Signal.METRICS, f"{_METRIC}.description", FieldClass.METRIC_DESCRIPTION, Kind.TEXT),
    Field(Signal.METRICS, f"{_METRIC}.unit", FieldClass.METRIC_UNIT, Kind.TEXT, is_identity=True),
    Field(Signal.METRICS, f"{_METRIC}.metadata[]", FieldClass.METRIC_METADATA, Kind.ATTRIBUTES),
    *(
        Field(
            Signal.METRICS,
            f"{_METRIC}.{kind}.data_points[].attributes[]",
            FieldClass.DATA_POINT_ATTRIBUTE,
            Kind.ATTRIBUTES,
            is_identity=True,
        )
        for kind in _POINT_KINDS
    ),
    *(
        Field(
            Signal.METRICS,
            f"{_METRIC}.{kind}.data_points[].exemplars[].filtered_attributes[]",
            FieldClass.EXEMPLAR_ATTRIBUTE,
            Kind.ATTRIBUTES,
        )
        for kind in _POINT_KINDS_WITH_EXEMPLARS
    ),
)

FIELDS: Final[tuple[Field, ...]] = (
    *_enclosing(Signal.LOGS),
    *_LOG_FIELDS,
    *_enclosing(Signal.TRACES),
    *_TRACE_FIELDS,
    *_enclosing(Signal.METRICS),
    *_METRIC_FIELDS,
)
"""Every field that can carry text, outermost first within each signal."""

_IDENTIFIER: Final = "an identifier of fixed length: receivers refuse any other length"
_DICTIONARY_INDEX: Final = (
    "an index into the dictionary of a profiles request; the other signals have no dictionary, so"
    " it names no text there"
)

NOT_TEXT: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"{_LOG}.trace_id": _IDENTIFIER,
        f"{_LOG}.span_id": _IDENTIFIER,
        f"{_SPAN}.trace_id": _IDENTIFIER,
        f"{_SPAN}.span_id": _IDENTIFIER,
        f"{_SPAN}.parent_span_id": _IDENTIFIER,
        f"{_SPAN}.links[].trace_id": _IDENTIFIER,
        f"{_SPAN}.links[].span_id": _IDENTIFIER,
        **{
            f"{_METRIC}.{kind}.data_points[].exemplars[].{name}": _IDENTIFIER
            for kind in _POINT_KINDS_WITH_EXEMPLARS
            for name in ("trace_id", "span_id")
        },
        "AnyValue.string_value_strindex": _DICTIONARY_INDEX,
        "KeyValue.key_strindex": _DICTIONARY_INDEX,
    }
)
"""Fields that look like text and are none, each with the reason. The last two are named by their
message, because they occur wherever a value does."""
