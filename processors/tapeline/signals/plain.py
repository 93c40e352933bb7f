"""Plain state as bytes and back, exactly: what a checkpoint holds.

JSON, since its reader is the fastest that the standard library has and nothing in it is ever run.
A decimal is a number with a point or an exponent (an integer has neither), so the reader makes it
without a look at each value. What JSON lacks stands in an object with one key that begins with a
tilde; a state without any such is read without a look at its objects. Pure.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final, TypeAlias

from tapeline.signals.codec import CodecError, packed, unpacked

__all__ = ["Plain", "PlainKey", "decode_state", "encode_state"]

PlainKey: TypeAlias = str | int | bytes
Plain: TypeAlias = (
    "bool | int | float | str | bytes | Decimal | Sequence[Plain] | Mapping[Any, Plain] | None"
)
"""What can be kept: also dictionaries (with PlainKey as keys), lists, tuples and named tuples.

Tuples come back as lists; all else comes back as it was, decimals to the last zero.
"""

_STATE: Final = b"S"
_STATE_VERSION: Final = 1
_TILDE: Final = "~"
_BROKEN: Final = (ArithmeticError, RecursionError, TypeError, ValueError)


def encode_state(state: Plain, *, compressed: bool = True) -> bytes:
    """Return state as bytes.

    Raises TypeError for what is not Plain, and ValueError for a decimal that is no number or for
    what nests too deep to be read again: each is a bug.
    """
    try:
        text = _text(state)
    except RecursionError as error:
        raise ValueError("the state nests too deep") from error
    return packed(_STATE, _STATE_VERSION, text, compressed=compressed)


def decode_state(body: bytes) -> Any:
    """Return the state that was encoded; raises CodecError for anything else."""
    text = unpacked(_STATE, _STATE_VERSION, body)
    hook = _special if f'"{_TILDE}' in text else None
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refused, object_hook=hook)
    except _BROKEN as error:
        raise CodecError(f"they can't be read as state: {type(error).__name__}") from error


def _text(value: Any) -> str:
    write = _WRITERS.get(type(value))
    if write is not None:
        return write(value)
    if isinstance(value, tuple | dict):
        return _list(value) if isinstance(value, tuple) else _dict(value)
    raise TypeError(f"state can't hold a {type(value).__name__}")


def _list(values: Iterable[Any]) -> str:
    # As `_text`, without a call for each value: nearly all are of a kind that has a writer.
    try:
        return f"[{','.join([_WRITERS[type(value)](value) for value in values])}]"
    except KeyError:
        return f"[{','.join(map(_text, values))}]"


def _dict(values: dict[Any, Any]) -> str:
    items = [f"{_key(key)}:{_text(value)}" for key, value in values.items()]
    return f"{{{','.join(items)}}}"


def _key(key: Any) -> str:
    kind = type(key)
    if kind is str:
        return encode_basestring(f"~s{key}" if key[:1] == _TILDE else key)
    if kind is int:
        return f'"~i{key}"'
    if kind is bytes:
        return f'"~b{key.hex()}"'
    raise TypeError(f"a {kind.__name__} can't be a key in state")


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("state can't hold a decimal that is no number")
    text = str(value)
    return text if "." in text or "E" in text else f"{text}e0"


def _float(value: float) -> str:
    return f'{{"~f":"{value.hex() if math.isfinite(value) else value}"}}'


def _special(values: dict[str, Any]) -> Any:
    if len(values) == 1:
        ((key, value),) = values.items()
        if key == "~":
            return bytes.fromhex(value)
        if key == "~f":
            return float.fromhex(value)
    if any(key[:1] == _TILDE for key in values):
        return {_key_of(key): value for key, value in values.items()}
    return values


def _key_of(text: str) -> PlainKey:
    if text[:1] != _TILDE:
        return text
    kind, rest = text[1:2], text[2:]
    if kind == "s":
        return rest
    return int(rest) if kind == "i" else bytes.fromhex(rest)


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no number")


_WRITERS: Final[dict[type[Any], Callable[[Any], str]]] = {
    str: encode_basestring,
    int: int.__repr__,
    Decimal: _decimal,
    list: _list,
    tuple: _list,
    dict: _dict,
    bytes: lambda value: f'{{"~":"{value.hex()}"}}',
    float: _float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _value: "null",
}
