"""Identities that Tapeline writes itself, what stands behind them, and who feeds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from tapeline.cardinality.folding.exemplars import Exemplars, field
from tapeline.cardinality.folding.totals import Total

__all__ = [
    "GaugeFold",
    "MetricIdentity",
    "Output",
    "OutputIdentity",
    "PointKind",
    "Producer",
    "Temporality",
]

# The field of the attributes in the points of each kind (metrics.proto).
_ATTRIBUTE_FIELDS: Final[Mapping[int, int]] = {5: 7, 7: 7, 9: 9, 10: 1, 11: 7}

_REMEMBERED: Final = (
    "seen_since_unix_nano",
    "last_seen_unix_nano",
    "last_eviction_unix_nano",
    "evicted_up_to_unix_nano",
    "fold_evicted_up_to_unix_nano",
    "first_forgotten_part",
)


class PointKind(IntEnum):
    """The kind of a metric's points: the field number of its data in `Metric` (metrics.proto)."""

    GAUGE = 5
    SUM = 7
    HISTOGRAM = 9
    EXPONENTIAL_HISTOGRAM = 10
    SUMMARY = 11


class Temporality(IntEnum):
    """Whether a value counts since its start or since the last one (metrics.proto)."""

    UNSPECIFIED = 0
    DELTA = 1
    CUMULATIVE = 2


class GaugeFold(StrEnum):
    """What the gauges of an output become; all but `last` are over those seen in 5 minutes."""

    LAST = "last"
    MIN = "min"
    MAX = "max"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class MetricIdentity:
    """A metric as its producer names it; gauges and summaries have temporality 0.

    `metadata` are the encoded fields of that name.
    """

    name: str
    unit: str
    kind: int
    temporality: int = 0
    is_monotonic: bool = False
    description: str = ""
    metadata: bytes = b""


@dataclass(frozen=True, slots=True)
class OutputIdentity:
    """The identity that an output is written under.

    `resource` and `scope` are the contents of the messages as they came. The metric's temporality
    is that of what leaves: cumulative, also where deltas are folded.
    """

    resource: bytes
    resource_schema_url: bytes
    scope: bytes
    scope_schema_url: bytes
    metric: MetricIdentity
    pairs: tuple[bytes, ...]
    gauge: GaugeFold = GaugeFold.LAST


class Producer:
    """One metric of one resource and scope, as far as folding has to know it.

    Times are Unix nanoseconds; 0 is never. `key` names it in a snapshot. A synthetic one stands
    for many beyond a limit, so it never proves that a stream is new.
    `evicted_up_to_unix_nano`: streams that began until then may have been counted before.
    `first_forgotten_part` is the number of the part of `Forgotten` in which it first had a key, 0
    where it had none. `stand_ins` are the synthetic ones that may have had its streams before: what
    they forgot it may have had.
    """

    __slots__ = (
        "evicted_up_to_unix_nano",
        "first_forgotten_part",
        "fold_evicted_up_to_unix_nano",
        "index",
        "is_delta",
        "is_monotonic",
        "is_synthetic",
        "key",
        "kind",
        "last_eviction_unix_nano",
        "last_seen_unix_nano",
        "seen_since_unix_nano",
        "stand_ins",
        "streams",
        "temporality",
    )

    def __init__(
        self, key: int, metric: MetricIdentity, now_unix_nano: int, *, is_synthetic: bool = False
    ) -> None:
        """Take its name in a snapshot, what its points are, and that it is seen now."""
        self.key = key
        self.kind = metric.kind
        self.temporality = metric.temporality
        self.is_delta = metric.temporality == Temporality.DELTA
        self.is_monotonic = metric.is_monotonic
        self.is_synthetic = is_synthetic
        self.seen_since_unix_nano = now_unix_nano
        self.last_seen_unix_nano = now_unix_nano
        self.last_eviction_unix_nano = 0
        self.evicted_up_to_unix_nano = 0
        self.fold_evicted_up_to_unix_nano = 0
        self.first_forgotten_part = 0
        self.stand_ins: tuple[Producer, ...] = ()
        # Owned by the folder: its place in the table of producers with folded streams.
        self.index = -1
        self.streams = 0

    def see(self, now_unix_nano: int, warmup_ns: int) -> None:
        """Note that it sends, once a batch: one that was away for a warm-up begins anew."""
        if now_unix_nano - self.last_seen_unix_nano > warmup_ns:
            self.seen_since_unix_nano = now_unix_nano
        self.last_seen_unix_nano = now_unix_nano

    def is_warm(self, now_unix_nano: int, warmup_ns: int) -> bool:
        """Say whether it was seen for a warm-up in which none of its streams was evicted."""
        return (
            not self.is_synthetic
            and now_unix_nano - self.seen_since_unix_nano >= warmup_ns
            and all(
                now_unix_nano - one.last_eviction_unix_nano >= warmup_ns
                for one in (self, *self.stand_ins)
            )
        )

    @property
    def counted_up_to_unix_nano(self) -> int:
        """Up to when streams of it that were forgotten may have been counted, by whomever."""
        return max(one.evicted_up_to_unix_nano for one in (self, *self.stand_ins))

    @property
    def folded_up_to_unix_nano(self) -> int:
        """Up to when streams of it that were forgotten may have been folded; 0: none was."""
        return max(one.fold_evicted_up_to_unix_nano for one in (self, *self.stand_ins))

    def is_all_known(self, oldest_part: int) -> bool:
        """Say whether the keys of all forgotten streams are known, where those parts are kept."""
        return all(
            not one.first_forgotten_part or one.first_forgotten_part >= oldest_part
            for one in (self, *self.stand_ins)
        )

    def absorb(self, gone: "set[Producer]") -> None:
        """Take for its own what those of its stand-ins know that are forgotten themselves."""
        for one in gone.intersection(self.stand_ins):
            self.raise_floor(one.evicted_up_to_unix_nano, one.last_eviction_unix_nano)
            self.fold_evicted_up_to_unix_nano = max(
                self.fold_evicted_up_to_unix_nano, one.fold_evicted_up_to_unix_nano
            )
            parts = (self.first_forgotten_part, one.first_forgotten_part)
            self.first_forgotten_part = min(filter(None, parts), default=0)
        self.stand_ins = tuple([one for one in self.stand_ins if one not in gone])

    @property
    def counts_since_start(self) -> bool:
        """Whether its points count up since their start, so that they might count twice."""
        if self.kind == PointKind.SUM:
            return self.is_monotonic and self.temporality == Temporality.CUMULATIVE
        if self.kind == PointKind.SUMMARY:
            return True
        return self.kind != PointKind.GAUGE and self.temporality == Temporality.CUMULATIVE

    def dump(self) -> list[int]:
        """Return what it remembers as plain data, for a snapshot."""
        return [getattr(self, name) for name in _REMEMBERED]

    def restore(self, data: list[int]) -> None:
        """Take over what `dump` returned."""
        for name, value in zip(_REMEMBERED, data, strict=True):
            setattr(self, name, value)

    def raise_floor(self, last_time_unix_nano: int, now_unix_nano: int) -> None:
        """Remember that a stream was evicted whose last point is of that time."""
        self.last_eviction_unix_nano = max(self.last_eviction_unix_nano, now_unix_nano)
        self.evicted_up_to_unix_nano = max(self.evicted_up_to_unix_nano, last_time_unix_nano)


class Output:
    """One series that Tapeline writes: its total, since when, and what it wrote last.

    `floor_unix_nano` is the time up to which an unseen stream may have been counted before.
    """

    __slots__ = (
        "attributes",
        "exemplars",
        "floor_unix_nano",
        "generation",
        "identity",
        "index",
        "is_dirty",
        "is_gone",
        "is_monotonic",
        "key",
        "kind",
        "last_emitted_unix_nano",
        "newest_unix_nano",
        "start_unix_nano",
        "streams",
        "total",
    )

    def __init__(
        self, key: int, identity: OutputIdentity, total: Total, start_unix_nano: int
    ) -> None:
        """Take an empty total that begins at `start_unix_nano`."""
        self.key = key
        self.identity = identity
        self.total = total
        self.kind = identity.metric.kind
        self.is_monotonic = identity.metric.is_monotonic
        self.start_unix_nano = start_unix_nano
        self.floor_unix_nano = 0
        # So the first point comes out after the start.
        self.last_emitted_unix_nano = start_unix_nano
        self.newest_unix_nano = 0
        self.exemplars = Exemplars()
        number = _ATTRIBUTE_FIELDS[self.kind]
        self.attributes = b"".join(field(number, pair) for pair in identity.pairs)
        self.generation = 0
        # Of the folder: whether it folded anything since its last point, its place in the
        # table of outputs with streams, and how many those are.
        self.is_dirty = False
        self.is_gone = False
        self.index = -1
        self.streams = 0
