"""Keeps the state of the limits: over restarts in a file, over reloads by handing it on.

The file is read before the first batch and not when the processor is built: at a reload the old
processor still works then, and writes its last state only when it is closed.
"""

import logging
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from tapeline.cardinality.metrics import CardinalityMetrics
from tapeline.cardinality.snapshot import ReadOutcome, SnapshotFile
from tapeline.cardinality.snapshot_format import Plain

__all__ = ["BROKEN", "STATE_VERSION", "Keeper", "Limits"]

logger = logging.getLogger(__name__)

STATE_VERSION: Final = 2
"""Of the layout of what `Limits.dump` returns. A file of another version is set aside."""

BROKEN: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    DecodeError,
)
"""What loading raises for data of another layout: whatever does not fit there."""
_NANO: Final = 1_000_000_000


class Limits(Protocol):
    """What is kept."""

    def dump(self, *, with_totals: bool = True) -> Plain:
        """Return the state as plain data. Without totals it is good for a start after a crash."""

    def load(self, data: Any, *, is_clean: bool) -> None:
        """Take over what was dumped; raises one of the errors of broken data."""

    def forget(self, *, was_lost: bool) -> None:
        """Begin without state. `was_lost` says that there was some, and that it is not known."""


class Keeper:
    """Restores the limits once, before they are first used, and writes their state at times."""

    def __init__(
        self,
        limits: Limits,
        file: SnapshotFile | None,
        metrics: CardinalityMetrics,
        period_s: float,
    ) -> None:
        """Touch nothing yet. Without a file nothing is kept over a restart."""
        self._limits = limits
        self._file = file
        self._metrics = metrics
        self._period_nano = int(period_s * _NANO)
        self._next_unix_nano = 0
        self._has_begun = False

    @property
    def has_begun(self) -> bool:
        """Whether the limits are in use: with their old state, or with none."""
        return self._has_begun

    def begin(self) -> None:
        """Restore the state from the file, at the first call."""
        if self._has_begun:
            return
        self._has_begun = True
        if self._file is None:
            return
        reading = self._file.read()
        self._metrics.count_read(reading.outcome)
        if reading.outcome in {ReadOutcome.CLEAN, ReadOutcome.UNCLEAN}:
            self._load(reading.data, is_clean=reading.outcome is ReadOutcome.CLEAN)
        elif reading.outcome is not ReadOutcome.ABSENT:
            self._limits.forget(was_lost=True)
        # From here on a file stands without its mark, so that even a crash before the first period
        # is seen as one.
        self._write()

    def inherit(self, data: Plain) -> None:
        """Go on with a predecessor's state, as it was when it was closed."""
        self._has_begun = True
        self._load(data, is_clean=True)
        if self._file is not None and self._file.claim():
            self._write()

    def tick(self, now_unix_nano: int) -> None:
        """Write the state where that is due."""
        if self._file is None or not self._has_begun or now_unix_nano < self._next_unix_nano:
            return
        if self._next_unix_nano:
            self._write()
        self._next_unix_nano = now_unix_nano + self._period_nano

    def close(self) -> None:
        """Write the last state, marked as such, and let go of the file."""
        if self._file is None:
            return
        if self._has_begun:
            self._write(clean=True)
        self._file.close()

    def _load(self, data: Any, *, is_clean: bool) -> None:
        try:
            self._limits.load(data, is_clean=is_clean)
        except BROKEN as error:
            # The file was whole, so this is a bug or another build's file; limits must hold anyway.
            logger.error(  # noqa: TRY400 - a trace may show data
                "the state of the limits can't be used (%s): they begin anew", type(error).__name__
            )
            self._limits.forget(was_lost=True)

    def _write(self, *, clean: bool = False) -> None:
        if self._file is not None:
            # Batches wait meanwhile; what only a clean end is restored from can be left out.
            data = self._limits.dump(with_totals=clean)
            outcome = self._file.write(data, clean=clean)
            self._metrics.count_written(outcome)
