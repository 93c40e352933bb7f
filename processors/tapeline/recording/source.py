"""A recording as it is opened for reading, with what its metadata knows of it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tapeline.otlp.signals import Signal
from tapeline.recorded.metadata import Metadata, MetadataError, read_metadata
from tapeline.recorded.reader import Flaw, RecordedBatch, read_recording

__all__ = ["Source"]


class Source:
    """Reads an open recording from where it stands.

    The metadata beside the file, where there is any, settles the signal of messages that don't
    tell it themselves, and the checksum of a recording that was closed is held against what was
    read. Neither stops the reading: `complaint` says what was wrong.
    """

    def __init__(self, file: BinaryIO, path: Path | None, assumed: Signal | None = None) -> None:
        """`path` None: there is nothing beside it, as with standard input."""
        self.complaint = ""
        metadata = None if path is None else self._metadata(path)
        if assumed is None and metadata is not None:
            assumed = metadata.only_signal
        self._assumed = assumed
        self._expected = metadata if metadata is not None and metadata.closed else None
        self._file: BinaryIO = file
        if self._expected is not None:
            self._file = cast("BinaryIO", _Hashed(file))

    def _metadata(self, path: Path) -> Metadata | None:
        try:
            return read_metadata(path)
        except MetadataError as error:
            self.complaint = str(error)
        except OSError as error:
            self.complaint = f"its metadata can't be read: {error.strerror}"
        return None

    def items(self) -> Iterator[RecordedBatch | Flaw]:
        """Yield what is in it; raises OSError."""
        yield from read_recording(self._file, signal=self._assumed)
        if self._expected is None:
            return
        hashed = cast("_Hashed", self._file)
        # Beyond a damaged place nothing was read: the checksum is of all of it.
        while hashed.read1(1 << 20):
            pass
        if hashed.digest.hexdigest() != self._expected.sha256:
            self.complaint = (
                "its content is not what its metadata has the checksum of: it was changed, or a"
                " part of it is missing"
            )


class _Hashed:
    """A file of which what is read is hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self._read = getattr(file, "read1", file.read)
        self.digest = hashlib.sha256()

    def read1(self, size: int) -> bytes:
        piece: bytes = self._read(size)
        self.digest.update(piece)
        return piece

    read = read1
