"""Searches what servers keep on disk for texts, through every compression that they use.

A plain search of a data folder proves nothing: Loki's chunks, Jaeger's tables and the write-ahead
log of Prometheus are compressed, and a text in them is not found. So each file is looked at as it
is, and as each of the streams that can be decompressed from it. Whoever searches for what must not
be there searches for something that must be there as well.
"""

import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard

__all__ = ["Hit", "search", "snappy_block"]

_GZIP = re.compile(rb"\x1f\x8b\x08")
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd")
# The stream identifier of the framing format (google/snappy, framing_format.txt, 4.1).
_SNAPPY_STREAM = re.compile(rb"\xff\x06\x00\x00sNaPpY")
_WAL_PAGE_BYTES = 32 * 1024
_WAL_HEADER_BYTES = 7
_STREAM_BYTES_MAX = 256 * 1024 * 1024


@dataclass(frozen=True)
class Hit:
    """A text that was found: in which file, and as what the file had to be read."""

    text: str
    path: Path
    form: str


def search(folder: Path, texts: Sequence[str]) -> list[Hit]:
    """Return where texts occur in the files of a folder, decompressed in every known way."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files, f"there is nothing in {folder}"
    needles = [(text, text.encode()) for text in texts]
    hits = []
    for path in files:
        content = _read(path)
        for form, view in _views(path, content):
            hits += [Hit(text, path, form) for text, needle in needles if needle in view]
    return hits


def _read(path: Path) -> bytes:
    """Return a file's content without its holes: badger's files are sparse, of gigabytes."""
    parts = []
    with path.open("rb") as file:
        descriptor, size = file.fileno(), path.stat().st_size
        position = 0
        while position < size:
            try:
                begin = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError:
                break  # Nothing but a hole from here on (ENXIO, lseek(2)).
            position = os.lseek(descriptor, begin, os.SEEK_HOLE)
            file.seek(begin)
            parts.append(file.read(position - begin))
    return b"".join(parts)


def _views(path: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "plain", content
    yield from _streams("", content)
    if path.suffix == ".sst":
        yield "badger table", b"".join(_snappy_sequence(content))
    if "wal" in path.parts:
        # Only in whole records, put together from their fragments, are Loki's chunks whole.
        records = b"\n".join(_wal_records(content))
        yield "write-ahead log", records
        yield from _streams("write-ahead log, ", records)


def _streams(prefix: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    for match in _GZIP.finditer(content):
        yield f"{prefix}gzip", _inflated(content[match.start() :])
    for match in _ZSTD.finditer(content):
        yield f"{prefix}zstd", _zstd(content[match.start() :])
    for match in _SNAPPY_STREAM.finditer(content):
        yield f"{prefix}snappy stream", b"".join(_snappy_stream(content, match.end()))


def _inflated(content: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=31)
    try:
        return decompressor.decompress(content, _STREAM_BYTES_MAX)
    except zlib.error:
        return b""  # Three bytes that happened to look like the magic number.


def _zstd(content: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(content)
    except zstandard.ZstdError:
        return b""  # As above.


def _snappy_stream(content: bytes, position: int) -> Iterator[bytes]:
    """Yield the chunks of a framed stream: type, length of 3 bytes, checksum of 4, data."""
    while position + 8 <= len(content):
        kind = content[position]
        length = int.from_bytes(content[position + 1 : position + 4], "little")
        data = content[position + 8 : position + 4 + length]
        position += 4 + length
        if kind == 0:
            try:
                yield snappy_block(data)[0]
            except (ValueError, IndexError):
                return  # Cut: a chunk that a write-ahead log has spread over pages
        elif kind == 1:
            yield data
        elif kind not in {0xFE, 0xFF}:
            return


def _snappy_sequence(content: bytes) -> Iterator[bytes]:
    """Yield the blocks of a badger table: they stand one behind the other from its beginning."""
    position = 0
    while position < len(content):
        try:
            block, used = snappy_block(content[position:])
        except (ValueError, IndexError):
            return  # The table's index and checksum, which hold no values
        if not used:
            return
        yield block
        position += used


def _wal_records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a Prometheus write-ahead log (tsdb/docs/format/wal.md).

    Pages of 32 KiB hold fragments: type and flags, length (2 bytes), checksum (4), data. Types 1
    to 4 are full, first, middle, last; flag 8 is snappy, 16 zstd.
    """
    record = b""
    for page in range(0, len(content), _WAL_PAGE_BYTES):
        position, end = page, min(page + _WAL_PAGE_BYTES, len(content))
        while position + _WAL_HEADER_BYTES <= end:
            flags, length = struct.unpack_from(">BH", content, position)
            kind = flags & 7
            if kind == 0:
                break  # The rest of the page is padding.
            position += _WAL_HEADER_BYTES
            fragment = content[position : position + length]
            record = fragment if kind in {1, 2} else record + fragment
            position += length
            if kind in {1, 4}:
                yield _unpacked(record, flags)


def _unpacked(record: bytes, flags: int) -> bytes:
    if flags & 8:
        try:
            return snappy_block(record)[0]
        except (ValueError, IndexError):
            return b""  # Another server's file of the same folder name, or a torn record
    if flags & 16:
        return _zstd(record)
    return record


def snappy_block(content: bytes) -> tuple[bytes, int]:
    """Decompress one raw block; return it and how many bytes of `content` it took.

    google/snappy, format_description.txt. Raises ValueError or IndexError for what is no block.
    """
    size, position = _varint(content)
    if size > _STREAM_BYTES_MAX:
        raise ValueError("larger than any block")
    out = bytearray()
    while len(out) < size:
        tag = content[position]
        position += 1
        if tag & 3 == 0:
            length, position = _literal_length(content, tag, position)
            if position + length > len(content):
                raise ValueError("a literal beyond the end")
            out += content[position : position + length]
            position += length
            continue
        length, offset, position = _copy(content, tag, position)
        if not 0 < offset <= len(out):
            raise ValueError("a copy from before the beginning")
        start = len(out) - offset
        if length <= offset:
            out += out[start : start + length]
        else:  # It overlaps itself: a run.
            pattern = bytes(out[start:])
            out += (pattern * (length // offset + 1))[:length]
    if len(out) != size:
        raise ValueError("longer than it says")
    return bytes(out), position


def _varint(content: bytes) -> tuple[int, int]:
    value = 0
    for position in range(5):
        byte = content[position]
        value |= (byte & 0x7F) << (7 * position)
        if not byte & 0x80:
            return value, position + 1
    raise ValueError("a length of more than 32 bits")


def _literal_length(content: bytes, tag: int, position: int) -> tuple[int, int]:
    length = tag >> 2
    if length < 60:
        return length + 1, position
    width = length - 59
    return int.from_bytes(content[position : position + width], "little") + 1, position + width


def _copy(content: bytes, tag: int, position: int) -> tuple[int, int, int]:
    """Return length, offset and the position behind a copy element."""
    if tag & 3 == 1:
        return 4 + (tag >> 2 & 7), (tag >> 5) << 8 | content[position], position + 1
    width = 2 if tag & 3 == 2 else 4
    offset = int.from_bytes(content[position : position + width], "little")
    return 1 + (tag >> 2), offset, position + width
