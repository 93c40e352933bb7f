"""Puts a text into any field of the table, so that tests can be made from the table's rows."""

from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tapeline.otlp.fields import FIELDS, Field, Kind
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import REQUEST_TYPES, Batch

__all__ = [
    "batch_of",
    "field_id",
    "nested_lists",
    "only_field",
    "plant_attribute",
    "plant_text",
    "request_of",
]


def field_id(field: Field) -> str:
    """Name a row in a test's id."""
    return f"{field.signal}-{field.path}"


def request_of(signal: Signal) -> Any:
    """Return an empty request."""
    return REQUEST_TYPES[signal]()


def batch_of(signal: Signal, request: Message) -> Batch:
    """Return the batch of a request."""
    return Batch(signal, request.SerializeToString())


def only_field(signal: Signal, field_class: str) -> Field:
    """Return the first row of a class."""
    return next(row for row in FIELDS if row.signal is signal and row.field_class == field_class)


def _parent(request: Any, field: Field) -> Any:
    """Add a message of each kind on the way to a field; return the innermost."""
    message = request
    for step in field.steps[:-1]:
        message = getattr(message, step.name)
        if step.is_repeated:
            message = message.add()
        else:
            message.SetInParent()
    return message


def plant_text(request: Any, field: Field, text: str) -> None:
    """Put a text into a field: as it is, as the whole value, or as an attribute's value."""
    parent, name = _parent(request, field), field.steps[-1].name
    match field.kind:
        case Kind.TEXT:
            setattr(parent, name, text)
        case Kind.TEXT_LIST:
            getattr(parent, name).append(text)
        case Kind.ANY_VALUE:
            getattr(parent, name).string_value = text
        case Kind.ATTRIBUTES:
            getattr(parent, name).add(key="note", value=AnyValue(string_value=text))


def plant_attribute(request: Any, field: Field, key: str, value: AnyValue) -> None:
    """Put a key and a value into a field of attributes, or into the list that is a log's body."""
    parent, name = _parent(request, field), field.steps[-1].name
    if field.kind is Kind.ANY_VALUE:
        getattr(parent, name).kvlist_value.values.add(key=key, value=value)
    else:
        getattr(parent, name).add(key=key, value=value)


def nested_lists(value: AnyValue, levels: int, key: str = "") -> AnyValue:
    """Return the value inside `levels` arrays, or key-value lists where a key is given."""
    for _ in range(levels):
        outer = AnyValue()
        if key:
            outer.kvlist_value.values.add(key=key, value=value)
        else:
            outer.array_value.values.add().CopyFrom(value)
        value = outer
    return value
