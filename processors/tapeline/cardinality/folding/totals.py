"""What every kind of total can do, so that the folder's rules are written once."""

from collections.abc import Sequence
from typing import Any, Protocol

from tapeline.cardinality.folding.outcome import FoldOutcome
from tapeline.cardinality.folding.streams import Streams

__all__ = ["Total"]


class Total(Protocol):
    """The value behind one output. A method that refuses a point has changed nothing."""

    @property
    def starts_matter(self) -> bool:
        """Say whether a first value counts only if its stream's start is known to be new."""

    def read(self, point: bytes) -> tuple[int, int, Any, Sequence[bytes]]:
        """Return start, time, value (None: not recorded) and encoded exemplars of a data point.

        Times are Unix nanoseconds, 0 where absent; the value is what the other methods take.
        Raises RefusedPointError.
        """

    def add(self, value: Any) -> None:
        """Count a cumulative stream's value whole. Raises RefusedPointError."""

    def add_delta(self, value: Any) -> None:
        """Count a delta. Raises RefusedPointError."""

    def begin(self, streams: Streams, slot: int, value: Any, *, is_counted: bool) -> None:
        """Remember a cumulative stream's first value; `is_counted`: it was given to `add`."""

    def advance(
        self,
        streams: Streams,
        slot: int,
        time_unix_nano: int,
        value: Any,
        *,
        is_new_start: bool,
    ) -> FoldOutcome:
        """Count what a known cumulative stream's next value adds. Raises RefusedPointError."""

    def withdraw(self, streams: Streams, slot: int) -> bool:
        """Take out what goes with its stream; say whether the total changed."""

    def encode(self, streams: Streams, start_unix_nano: int, time_unix_nano: int) -> bytes | None:
        """Return a data point without attributes and exemplars, or None where there is none."""

    def dump(self) -> list[Any]:
        """Return the total as plain data, for a snapshot."""

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` returned."""
