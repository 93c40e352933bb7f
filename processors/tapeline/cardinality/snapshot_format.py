"""State as bytes and back: plain data only, versioned, and no damage goes unnoticed. Pure.

A snapshot is a magic word, a BLAKE2b digest of all that follows, the version of this format, the
version of what is in it, the machine's byte order (arrays are kept as their memory), and the data.
Nothing in it is ever run, as a pickle would be.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

__all__ = [
    "DIGEST_BYTES",
    "MAX_DEPTH",
    "DamagedSnapshotError",
    "OtherVersionError",
    "Plain",
    "decode",
    "digest_of",
    "encode",
]

Plain: TypeAlias = (
    "bool | int | float | str | bytes | list[Plain] | dict[str | int | bytes, Plain] | None"
)
"""What can be kept. Integers of any size; tuples, bytearrays and memoryviews are not taken."""

MAX_DEPTH: Final = 20
"""Lists and dictionaries within each other."""
DIGEST_BYTES: Final = 32

_MAGIC: Final = b"TLCARD\r\n"
_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<HI?")
_LENGTH: Final = struct.Struct("<Q")
_DOUBLE: Final = struct.Struct("<d")
_IS_LITTLE_ENDIAN: Final = struct.pack("=H", 1) == struct.pack("<H", 1)
_BODY_AT: Final = len(_MAGIC) + DIGEST_BYTES
_NONE, _FALSE, _TRUE, _INT, _FLOAT, _TEXT, _BYTES, _LIST, _DICT = b"NFTifsbld"
_CONSTANTS: Final[Mapping[int, bool | None]] = MappingProxyType(
    {_NONE: None, _FALSE: False, _TRUE: True}
)


class DamagedSnapshotError(ValueError):
    """The bytes are not a snapshot, or not as they were written; the message says which."""


class OtherVersionError(ValueError):
    """A whole snapshot, but of another version or machine; the message says what was found."""


def encode(data: Plain, version: int) -> bytes:
    """Return a snapshot of data whose layout has this version, 0 to 2^32 - 1.

    Raises TypeError for what is not Plain, ValueError for what nests deeper than MAX_DEPTH.
    """
    body = bytearray(_HEADER.pack(_FORMAT, version, _IS_LITTLE_ENDIAN))
    _write(body, data, 0)
    return b"".join((_MAGIC, _digest(body), body))


def digest_of(snapshot: bytes) -> bytes:
    """Return what tells a snapshot from every other one."""
    return snapshot[len(_MAGIC) : _BODY_AT]


def decode(snapshot: bytes, version: int) -> Plain:
    """Return the data of a snapshot.

    Raises DamagedSnapshotError, and OtherVersionError where the version is not the one expected.
    """
    if snapshot[: len(_MAGIC)] != _MAGIC:
        raise DamagedSnapshotError("it does not begin as a snapshot does")
    body = memoryview(snapshot)[_BODY_AT:]
    if digest_of(snapshot) != _digest(body) or len(body) < _HEADER.size:
        raise DamagedSnapshotError("its checksum is wrong")
    found_format, found_version, is_little_endian = _HEADER.unpack_from(body)
    if (found_format, found_version) != (_FORMAT, version):
        raise OtherVersionError(
            f"it has version {found_format}.{found_version}, and this is {_FORMAT}.{version}"
        )
    if is_little_endian != _IS_LITTLE_ENDIAN:
        raise OtherVersionError("it was written on a machine of another byte order")
    reader = _Reader(body, _HEADER.size)
    data = reader.value(0)
    if reader.at != len(body):
        raise DamagedSnapshotError(f"{len(body) - reader.at} bytes too many")
    return data


def _digest(body: bytes | bytearray | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


def _write(out: bytearray, value: Plain, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"a snapshot nests at most {MAX_DEPTH} levels")
    match value:
        case None | bool():
            out.append(_NONE if value is None else _TRUE if value else _FALSE)
        case int():
            size = value.bit_length() // 8 + 1  # and its sign
            _write_sized(out, _INT, value.to_bytes(size, "little", signed=True))
        case float():
            out.append(_FLOAT)
            out += _DOUBLE.pack(value)
        case str():
            _write_sized(out, _TEXT, value.encode("utf-8", "surrogatepass"))
        case bytes():
            _write_sized(out, _BYTES, value)
        case list() | dict():
            _write_items(out, value, depth + 1)
        case _:
            raise TypeError(f"a snapshot can't hold a {type(value).__name__}")


def _write_items(
    out: bytearray, items: list[Plain] | dict[str | int | bytes, Plain], depth: int
) -> None:
    out.append(_DICT if isinstance(items, dict) else _LIST)
    out += _LENGTH.pack(len(items))
    if isinstance(items, dict):
        for key, item in items.items():
            _write(out, _key(key), depth)
            _write(out, item, depth)
        return
    for item in items:
        _write(out, item, depth)


def _write_sized(out: bytearray, kind: int, content: bytes) -> None:
    out.append(kind)
    out += _LENGTH.pack(len(content))
    out += content


def _key(key: Plain) -> str | int | bytes:
    if isinstance(key, bool) or not isinstance(key, str | int | bytes):
        raise TypeError(f"a {type(key).__name__} can't be a key in a snapshot")
    return key


class _Reader:
    """Reads one value after the other. The digest was right, so errors here mean a bug."""

    def __init__(self, body: memoryview, at: int) -> None:
        self._body = body
        self.at = at

    def value(self, depth: int) -> Plain:
        if depth > MAX_DEPTH:
            raise DamagedSnapshotError(f"it nests deeper than {MAX_DEPTH} levels")
        kind = self._take(1)[0]
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind == _FLOAT:
            number: float = _DOUBLE.unpack(self._take(_DOUBLE.size))[0]
            return number
        length: int = _LENGTH.unpack(self._take(_LENGTH.size))[0]
        if kind == _LIST:
            return [self.value(depth + 1) for _ in range(self._checked(length))]
        if kind == _DICT:
            return self._dictionary(self._checked(length), depth + 1)
        read = _SCALARS.get(kind)
        if read is None:
            raise DamagedSnapshotError(f"byte {self.at} says nothing known")
        try:
            return read(self._take(length))
        except UnicodeDecodeError as error:
            raise DamagedSnapshotError("a text is none") from error

    def _dictionary(self, length: int, depth: int) -> dict[str | int | bytes, Plain]:
        found: dict[str | int | bytes, Plain] = {}
        for _ in range(length):
            try:
                key = _key(self.value(depth))
            except TypeError as error:
                raise DamagedSnapshotError(str(error)) from error
            found[key] = self.value(depth)
        return found

    def _take(self, length: int) -> bytes:
        if length > len(self._body) - self.at:
            raise DamagedSnapshotError("it ends too early")
        self.at += length
        return bytes(self._body[self.at - length : self.at])

    def _checked(self, count: int) -> int:
        if count > len(self._body) - self.at:  # each item takes a byte at least
            raise DamagedSnapshotError("it ends too early")
        return count


_SCALARS: Final[Mapping[int, Callable[[bytes], int | str | bytes]]] = MappingProxyType(
    {
        _INT: lambda content: int.from_bytes(content, "little", signed=True),
        _TEXT: lambda content: content.decode("utf-8", "surrogatepass"),
        _BYTES: lambda content: content,
    }
)
