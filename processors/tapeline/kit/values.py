"""Values of attributes and bodies: OTLP's AnyValue as Python has it, and back.

Lists and maps are read as tuples and read-only mappings: a change in one of them would be lost, so
Python says that it can't be done.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValueList

__all__ = [
    "MAX_DEPTH",
    "Settable",
    "Value",
    "any_value",
    "python_value",
    "replace_value",
    "text_of",
]

Value: TypeAlias = (
    "str | bool | int | float | bytes | tuple[Value, ...] | Mapping[str, Value] | None"
)
"""What a value is when read. None: there is none."""
Settable: TypeAlias = (
    "str | bool | int | float | bytes | list[Any] | tuple[Any, ...] | Mapping[str, Any]"
)
"""What a value may be set to; lists and maps hold values again."""

MAX_DEPTH: Final = 32
"""Levels of lists and maps that are read or written."""


def _array(value: AnyValue, depth: int) -> Value:
    return tuple(python_value(each, depth + 1) for each in value.array_value.values)


def _map(value: AnyValue, depth: int) -> Value:
    pairs = value.kvlist_value.values
    return MappingProxyType({pair.key: python_value(pair.value, depth + 1) for pair in pairs})


_READERS: Final[dict[str | None, Callable[[AnyValue, int], Value]]] = {
    "string_value": lambda value, _: value.string_value,
    "int_value": lambda value, _: value.int_value,
    "bool_value": lambda value, _: value.bool_value,
    "double_value": lambda value, _: value.double_value,
    "bytes_value": lambda value, _: value.bytes_value,
    "array_value": _array,
    "kvlist_value": _map,
}


def python_value(value: AnyValue, depth: int = 0) -> Value:
    """Return a value as Python has it; None where it is unset, or of a kind that OTLP added since.

    Raises ValueError where it nests deeper than MAX_DEPTH.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"a value nests deeper than {MAX_DEPTH} levels")
    read = _READERS.get(value.WhichOneof("value"))
    return None if read is None else read(value, depth)


_SCALARS: Final[tuple[tuple[type, str], ...]] = (
    (str, "string_value"),
    (bool, "bool_value"),  # before int: in Python, True is an int
    (int, "int_value"),
    (float, "double_value"),
    (bytes, "bytes_value"),
)


def any_value(value: Settable, depth: int = 0) -> AnyValue:
    """Return OTLP's form of a value.

    Raises TypeError for what OTLP has no form of, ValueError for what is too large or too deep.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"a value nests deeper than {MAX_DEPTH} levels")
    for kind, field in _SCALARS:
        if isinstance(value, kind):
            message = AnyValue()
            setattr(message, field, value)
            return message
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[any_value(v, depth + 1) for v in value]))
    if isinstance(value, Mapping):
        return _map_value(value, depth)
    raise TypeError(
        f"a value of OTLP is a text, number, bool, bytes, list or map, and not of type"
        f" {type(value).__name__}: convert it, say by str() or float()"
    )


def text_of(value: AnyValue) -> str | None:
    """Return a value that is a text, else None."""
    text = value.string_value
    return text if text or value.HasField("string_value") else None


_EXACT: Final[dict[type, str]] = {
    str: "string_value",
    bool: "bool_value",
    int: "int_value",
    bytes: "bytes_value",
}
"""Types whose values `==` tells apart; to it, NaN is not itself and 0.0 is -0.0."""


def replace_value(target: AnyValue, value: Settable) -> bool:
    """Let a value be another one; tell whether it was not that already. Raises as `any_value`."""
    field = _EXACT.get(type(value))
    if field is not None:
        if target.HasField(field) and getattr(target, field) == value:  # type: ignore[arg-type] # one of four
            return False
        setattr(target, field, value)
        return True
    encoded = any_value(value)
    if target.SerializeToString() == encoded.SerializeToString():
        return False
    target.CopyFrom(encoded)
    return True


def _map_value(value: Mapping[str, Any], depth: int) -> AnyValue:
    whole = AnyValue(kvlist_value=KeyValueList())
    for key, each in value.items():
        pair = whole.kvlist_value.values.add(key=key)
        pair.value.CopyFrom(any_value(each, depth + 1))
    return whole
