"""Single values of OTLP/JSON: each scalar type of protobuf, read and written."""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, isinf, nan
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

__all__ = ["Converter", "UnfitValueError", "converter_for"]

_INTEGER: Final = re.compile("-?[0-9]{1,20}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][-+]?[0-9]{1,9})?")
_NAMED_DOUBLES: Final = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
# What protobuf's JSON mapping has as base64, OTLP has in hexadecimal.
_HEX_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_URL_SAFE: Final = str.maketrans("-_", "+/")

_T = FieldDescriptor
_INT32: Final = (-(1 << 31), (1 << 31) - 1)
_UINT32: Final = (0, (1 << 32) - 1)
_INT64: Final = (-(1 << 63), (1 << 63) - 1)
_UINT64: Final = (0, (1 << 64) - 1)
_RANGES: Final = {
    _T.TYPE_INT32: _INT32,
    _T.TYPE_SINT32: _INT32,
    _T.TYPE_SFIXED32: _INT32,
    _T.TYPE_UINT32: _UINT32,
    _T.TYPE_FIXED32: _UINT32,
    _T.TYPE_INT64: _INT64,
    _T.TYPE_SINT64: _INT64,
    _T.TYPE_SFIXED64: _INT64,
    _T.TYPE_UINT64: _UINT64,
    _T.TYPE_FIXED64: _UINT64,
}


class UnfitValueError(ValueError):
    """A JSON value that its field can't hold; `path` says which, from the line inwards."""

    def __init__(self, complaint: str) -> None:
        super().__init__(complaint)
        self.complaint = complaint
        self.path = ""

    def enclose(self, step: str) -> None:
        """Put a field's name, or an item's `[number]`, before the path."""
        joint = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{step}{joint}{self.path}"


@dataclass(frozen=True, slots=True)
class Converter:
    """Reads a scalar from its JSON value (or raises UnfitValueError), and writes it."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def converter_for(field: Any) -> Converter:
    """Return the converter for a field of no message type, by its protobuf descriptor."""
    if field.type in _RANGES:
        low, high = _RANGES[field.type]
        is_wide = high > _UINT32[1]
        return Converter(_integer_reader(low, high), str if is_wide else int)
    if field.type == _T.TYPE_ENUM:
        return Converter(_enum_reader(dict(field.enum_type.values_by_name)), int)
    if field.type == _T.TYPE_BYTES and field.name in _HEX_FIELDS:
        return Converter(_read_hex, bytes.hex)
    return _BY_TYPE[field.type]


def _integer_reader(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = _to_integer(value)
        if not low <= number <= high:
            raise UnfitValueError(f"must be from {low} to {high}")
        return number

    return read


def _to_integer(value: Any) -> int:
    # A JSON true is an int to isinstance.
    if type(value) is int:
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise UnfitValueError("must be an integer")


def _enum_reader(values_by_name: dict[str, Any]) -> Callable[[Any], int]:
    read_number = _integer_reader(*_INT32)

    def read(value: Any) -> int:
        if isinstance(value, str) and value in values_by_name:
            return int(values_by_name[value].number)
        return read_number(value)

    return read


def _read_hex(value: Any) -> bytes:
    if not isinstance(value, str):
        raise UnfitValueError("must be a string of hexadecimal digits")
    try:
        return binascii.unhexlify(value)
    except ValueError as error:
        raise UnfitValueError("must be an even number of hexadecimal digits") from error


def _read_base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise UnfitValueError("must be a string in base64")
    padded = value.translate(_URL_SAFE).rstrip("=")
    padded += "=" * (-len(padded) % 4)
    try:
        return b64decode(padded, validate=True)
    except ValueError as error:
        raise UnfitValueError("must be in base64") from error


def _read_double(value: Any) -> float:
    if isinstance(value, str):
        if value in _NAMED_DOUBLES:
            return _NAMED_DOUBLES[value]
        if not _NUMBER.fullmatch(value):
            raise UnfitValueError("must be a number")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise UnfitValueError("must be a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise UnfitValueError("is too large for a double") from error
    if isinf(number):
        raise UnfitValueError("is too large for a double")
    return number


def _write_double(value: float) -> float | str:
    if isfinite(value):
        return value
    if isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "NaN"


def _read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnfitValueError("must be true or false")
    return value


def _read_string(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitValueError("must be a string")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UnfitValueError("holds half of a surrogate pair, which is no text") from error
    return value


def _write_base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


_BY_TYPE: Final = {
    _T.TYPE_STRING: Converter(_read_string, str),
    _T.TYPE_BYTES: Converter(_read_base64, _write_base64),
    _T.TYPE_DOUBLE: Converter(_read_double, _write_double),
    _T.TYPE_BOOL: Converter(_read_bool, bool),
}
