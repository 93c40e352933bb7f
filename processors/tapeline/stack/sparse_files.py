"""Files with holes, as Jaeger's are: gigabytes long, and a few megabytes of it written."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Final

__all__ = ["Extents", "extents_of", "parse_extents", "written_text"]

_BLOCK: Final = 1 << 20
_EXTENTS_MAX: Final = 1_000_000
_STAT_BLOCK_BYTES: Final = 512  # stat(2): st_blocks, whatever the file system's own blocks are


def extents_of(handle: int, size_bytes: int) -> tuple[tuple[int, int], ...]:
    """Return offset and length of each part of a file that is written (lseek(2), SEEK_DATA).

    One part, the whole file, where the file system does not tell. What is written through a
    mapping goes to the file system first, so that no such page counts as a hole.
    """
    if os.fstat(handle).st_blocks * _STAT_BLOCK_BYTES < size_bytes:
        os.fsync(handle)
    found: list[tuple[int, int]] = []
    position = 0
    while position < size_bytes:
        try:
            begin = os.lseek(handle, position, os.SEEK_DATA)
        except OSError:
            break  # ENXIO: nothing but a hole up to the end
        end = min(os.lseek(handle, begin, os.SEEK_HOLE), size_bytes)
        found.append((begin, end - begin))
        position = end
    return tuple(found)


def written_text(extents: Iterable[tuple[int, int]]) -> str:
    """Return extents as a text for an archive's header."""
    return " ".join(f"{offset}+{length}" for offset, length in extents)


def parse_extents(text: str, size_bytes: int) -> tuple[tuple[int, int], ...]:
    """Return what `written_text` wrote; raises ValueError for parts that don't fit the file."""
    found: list[tuple[int, int]] = []
    at = 0
    for part in text.split():
        offset, _, length = part.partition("+")
        begin, count = int(offset), int(length)
        if begin < at or count < 0 or begin + count > size_bytes or len(found) > _EXTENTS_MAX:
            raise ValueError(f"the part {part!r} does not fit a file of {size_bytes} bytes")
        found.append((begin, count))
        at = begin + count
    return tuple(found)


@dataclass
class Extents:
    """Reads the written parts of a file one after the other, as if there were no holes."""

    file: IO[bytes]
    extents: tuple[tuple[int, int], ...]
    _blocks: Iterator[bytes] = field(init=False)
    _rest: bytes = b""

    def __post_init__(self) -> None:
        """Begin at the first part."""
        self._blocks = self._read()

    @property
    def size_bytes(self) -> int:
        """How much there is to read."""
        return sum(length for _, length in self.extents)

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes more: fewer only at the end."""
        parts, missing = [], count
        while missing:
            if not self._rest:
                self._rest = next(self._blocks, b"")
                if not self._rest:
                    break
            parts.append(self._rest[:missing])
            self._rest = self._rest[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def _read(self) -> Iterator[bytes]:
        for offset, length in self.extents:
            self.file.seek(offset)
            missing = length
            while missing and (block := self.file.read(min(_BLOCK, missing))):
                missing -= len(block)
                yield block
