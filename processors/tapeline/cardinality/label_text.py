"""Label values as text for a person: short, and whole or cut, whatever their type.

What is encoded may be cut anywhere, so this reads as far as it gets and never raises. Pure.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tapeline.otlp.wire import MalformedRequestError, read_varint

__all__ = ["CUT_MARK", "MAX_CHARACTERS", "MAX_NAME_CHARACTERS", "name_text", "value_text"]

MAX_CHARACTERS: Final = 80
MAX_NAME_CHARACTERS: Final = 256
CUT_MARK: Final = "…"
"""What ends a text that was cut."""
_VALUE_TAG: Final = 0x12
_STRING_TAG: Final = 0x0A


def value_text(encoded: bytes) -> str:
    """Return what stands in the value of an encoded KeyValue, whose key has been taken off.

    Strings as they are, numbers and booleans in JSON's spelling, anything else by its kind. At most
    MAX_CHARACTERS.
    """
    text = _string(encoded)
    if text is None:
        text = _other(encoded)
    return _shown(text, MAX_CHARACTERS)


def name_text(name: str) -> str:
    """Return a name as it can be shown: at most MAX_NAME_CHARACTERS, and valid UTF-8."""
    return _shown(name, MAX_NAME_CHARACTERS)


def _shown(text: str, max_characters: int) -> str:
    if len(text) > max_characters:
        text = text[: max_characters - 1] + CUT_MARK
    # Bytes that were no UTF-8 may stand in it as lone surrogates, which nothing can encode.
    return text.encode(errors="replace").decode()


def _string(encoded: bytes) -> str | None:
    """Return a string value, also one whose end is missing; None where there is none."""
    try:
        if not encoded or encoded[0] != _VALUE_TAG:
            return None
        length, start = read_varint(encoded, 1, len(encoded))
        if length == 0 or start >= len(encoded) or encoded[start] != _STRING_TAG:
            return None
        length, start = read_varint(encoded, start + 1, len(encoded))
    except MalformedRequestError:
        return None
    text = encoded[start : start + length].decode(errors="replace")
    return text if start + length <= len(encoded) else text.rstrip("\ufffd") + CUT_MARK


def _other(encoded: bytes) -> str:
    try:
        value = KeyValue.FromString(encoded).value
    except DecodeError:
        return "(a long value)"
    kind = value.WhichOneof("value")
    read = _TEXTS.get(kind or "")
    return read(value) if read is not None else "(a list)"


_TEXTS: Final[Mapping[str, Callable[[AnyValue], str]]] = MappingProxyType(
    {
        "": lambda _: "(empty)",
        "string_value": lambda value: value.string_value,
        "bool_value": lambda value: "true" if value.bool_value else "false",
        "int_value": lambda value: str(value.int_value),
        "double_value": lambda value: repr(value.double_value),
        "bytes_value": lambda value: f"({len(value.bytes_value)} bytes)",
    }
)
