"""What became of one folded point: how it counted, or why it was refused."""

from enum import StrEnum
from typing import Final

__all__ = ["REFUSALS", "FoldOutcome", "RefusedPointError"]


class FoldOutcome(StrEnum):
    """What a point did to its output; the value is the word that metrics show."""

    ADDED = "added"
    """Its increase (or, of a gauge, its value) is in the output."""
    BASELINE = "baseline"
    """First of its stream, and when it began can't be trusted: only later increases count."""
    RESET_AT_UNKNOWN_TIME = "reset_at_unknown_time"
    """Lower than before without a new start: counted whole, as Prometheus would."""
    LATE = "late"
    """Not after the stream's last point: a duplicate or late, adds nothing."""
    BELOW_FLOOR = "below_floor"
    """Of an unknown stream, from before an eviction or a lost state: adds nothing, remembers
    nothing."""
    NO_RECORDED_VALUE = "no_recorded_value"
    """Says that the stream has no value now; never seen on the output."""

    CONFLICTING_KIND = "conflicting_kind"
    """The output is of another kind (gauge, sum, histogram …) or monotonicity."""
    UNSPECIFIED_TEMPORALITY = "unspecified_temporality"
    """Neither delta nor cumulative: what the value means can't be known."""
    MALFORMED = "malformed"
    """The point's bytes are no data point of its kind."""
    NO_VALUE = "no_value"
    """A number point with neither an integer nor a double."""
    NOT_A_NUMBER = "not_a_number"
    """A value, sum, bound or threshold is NaN."""
    INFINITE = "infinite"
    """A value or sum is infinite."""
    NEGATIVE = "negative"
    """A monotonic sum, or a threshold, below zero."""
    TIME_ZERO = "time_zero"
    """No time: whether it is new can't be known."""
    START_AFTER_TIME = "start_after_time"
    """It began after it was taken."""
    TIME_IN_FUTURE = "time_in_future"
    """Further ahead of now than allowed; it would hold its output's time there."""
    MISMATCHED_COUNTS = "mismatched_counts"
    """Bucket counts fit neither the bounds nor the count."""
    UNSORTED_BOUNDS = "unsorted_bounds"
    """Histogram bounds do not increase, or are infinite."""
    ABSURD_SCALE = "absurd_scale"
    """An exponential histogram's scale is above 20, or so low that no backend shows it."""
    ABSURD_BUCKETS = "absurd_buckets"
    """Too many buckets, or at places where no double lies."""
    TOO_LARGE = "too_large"
    """With it the output's total would not fit its type."""


REFUSALS: Final = frozenset(
    {
        FoldOutcome.CONFLICTING_KIND,
        FoldOutcome.UNSPECIFIED_TEMPORALITY,
        FoldOutcome.MALFORMED,
        FoldOutcome.NO_VALUE,
        FoldOutcome.NOT_A_NUMBER,
        FoldOutcome.INFINITE,
        FoldOutcome.NEGATIVE,
        FoldOutcome.TIME_ZERO,
        FoldOutcome.START_AFTER_TIME,
        FoldOutcome.TIME_IN_FUTURE,
        FoldOutcome.MISMATCHED_COUNTS,
        FoldOutcome.UNSORTED_BOUNDS,
        FoldOutcome.ABSURD_SCALE,
        FoldOutcome.ABSURD_BUCKETS,
        FoldOutcome.TOO_LARGE,
    }
)
"""The outcomes of a point that is bad in itself: it changed nothing, and its output saw nothing."""


class RefusedPointError(ValueError):
    """A point can't be folded; `outcome` says why. It never leaves this folder."""

    def __init__(self, outcome: FoldOutcome) -> None:
        """Take the reason."""
        super().__init__(outcome.value)
        self.outcome = outcome
