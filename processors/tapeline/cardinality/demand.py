"""How many streams and label values are asked for, whatever the limits let through.

Counting exactly would need the memory that the limits exist to save. So distinct streams and values
are counted by HyperLogLog, and the values that most new streams hold are found by a frequent-items
sketch; both are bounded a label, and the numbers of metrics and labels are bounded too.

Time is cut into periods. The sketches of the last whole period are kept beside those of the present
one, and an estimate is the larger of the two: it does not fall when a period begins, and it does
fall when demand does. Pure: the caller says when a period ends.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeVar

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tapeline.cardinality.label_text import CUT_MARK, value_text
from tapeline.cardinality.sketches import DistinctCount, FrequentItems

__all__ = ["Demand", "DemandLimits", "LabelDemand", "Look", "MetricDemand", "Offender"]

_T = TypeVar("_T")

_KEY_TAG: Final = 0x0A
_VALUE_TAG: Final = 0x12
_LONGEST_SHORT: Final = 127  # the longest length that is written in one byte
_VALUE_BYTES: Final = 100
"""Offenders and samples are told apart by so many bytes of their encoded value."""

_SHORTEST_PAIR: Final = 2
_CUT: Final = CUT_MARK.encode()
_BYTES_A_METRIC: Final = 600
_BYTES_A_LABEL: Final = 900
_ASKED: Final = 100


@dataclass(frozen=True, slots=True)
class DemandLimits:
    """How much is watched in a period; two are kept.

    A label holds about 1 KB a period, and at most 16 KB where its values are many and long.
    """

    max_metrics: int = 1000
    max_labels: int = 2000
    max_labels_a_metric: int = 32


@dataclass(frozen=True, slots=True)
class Offender:
    """A label's value, as text, and how many new streams held it, at least."""

    value: str
    streams: int


@dataclass(frozen=True, slots=True)
class LabelDemand:
    """What is known of one label of a metric; values as text, cut where they are long."""

    key: str
    distinct_values: int
    samples: tuple[str, ...]
    offenders: tuple[Offender, ...]


@dataclass(frozen=True, slots=True)
class MetricDemand:
    """What is known of one metric: streams refused by a limit, and each label, worst first."""

    metric: str
    new_streams: int
    refused_streams: int
    labels: tuple[LabelDemand, ...]


class _Label:
    """One label in one period. The methods of its sketches are at hand for the hot loop."""

    __slots__ = ("distinct", "first", "frequent", "note_frequent", "note_value")

    def __init__(self, first: bytes) -> None:
        self.distinct = DistinctCount()
        self.frequent = FrequentItems()
        self.note_value = self.distinct.add
        self.note_frequent = self.frequent.add
        self.first = first[:_VALUE_BYTES]


@dataclass(slots=True)
class _Metric:
    """One metric in one period; labels by their encoded key field."""

    new_streams: int = 0
    refused: DistinctCount = field(default_factory=DistinctCount)
    labels: dict[bytes, _Label] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a metric, with its sketches still to be read."""

    metric: str
    new_streams: int
    refused_streams: int
    labels: dict[bytes, list[_Label]]

    def read(self, top: int) -> MetricDemand:
        """Read the sketches. They may have gone on meanwhile; each is read in one piece."""
        demands = [_label_demand(key, periods, top) for key, periods in self.labels.items()]
        return MetricDemand(
            self.metric,
            new_streams=self.new_streams,
            refused_streams=self.refused_streams,
            labels=tuple(sorted(demands, key=lambda one: (-one.distinct_values, one.key))),
        )


class Demand:
    """Watches new streams of every metric, within limits; each limit hit is counted."""

    def __init__(self, limits: DemandLimits | None = None) -> None:
        self._limits = limits or DemandLimits()
        self._present: dict[str, _Metric] = {}
        self._last: dict[str, _Metric] = {}
        self._label_count = 0
        self.streams_not_watched = 0
        """New streams whose metric was one too many."""
        self.values_not_watched = 0
        """Distinct label values, a batch at a time, whose label was one too many or unreadable."""

    def note_new(self, metric: str, pairs: Sequence[tuple[bytes, ...]]) -> None:
        """Take the attributes of new streams of a metric, admitted or not.

        A stream's attributes are encoded KeyValue messages. Call it once a batch and metric.
        """
        watched = self._watched(metric)
        if watched is None:
            self.streams_not_watched += len(pairs)
            return
        watched.new_streams += len(pairs)
        labels = watched.labels
        # Most labels have few values, so that few are left of each batch.
        for pair, count in Counter(chain.from_iterable(pairs)).items():
            if len(pair) < _SHORTEST_PAIR:
                self._note_rare(labels, pair, count)
                continue
            # SDKs write the key first, the collector's exporter the value.
            cut = pair[1] + 2
            if pair[0] == _VALUE_TAG:
                key, value = pair[cut:], pair[:cut]
            else:
                key, value = pair[:cut], pair[cut:]
            label = labels.get(key)
            if label is None:
                self._note_rare(labels, pair, count)
                continue
            label.note_value(hash(value))
            label.note_frequent(value[:_VALUE_BYTES], count)

    def note_refused(self, metric: str, stream_keys: Iterable[int]) -> None:
        """Take the keys of streams that the limit on series keeps out, known or new.

        To be told of each time that they come: what is not told of for two periods is forgotten.
        """
        watched = self._watched(metric)
        if watched is not None:
            watched.refused.add_keys(stream_keys)

    def rotate(self) -> None:
        """End the present period: what was in the last one is forgotten. Every idle_ttl."""
        self._last, self._present = self._present, {}
        self._label_count = 0

    def refused_streams(self, metric: str) -> int:
        """Return about how many different streams of a metric a limit refused in a period."""
        return max(
            (period[metric].refused.estimate for period in self._periods if metric in period),
            default=0,
        )

    def look_at(self, metric: str) -> "Look":
        """Return a view of a metric that can be read later, and while more is noted."""
        found = [period[metric] for period in self._periods if metric in period]
        labels: dict[bytes, list[_Label]] = {}
        for one in found:
            for key, label in one.labels.items():
                labels.setdefault(key, []).append(label)
        return Look(
            metric,
            new_streams=max((one.new_streams for one in found), default=0),
            refused_streams=self.refused_streams(metric),
            labels=labels,
        )

    def of_metric(self, metric: str, *, top: int = 5) -> MetricDemand:
        """Return what is known of a metric, with so many samples and offenders of each label."""
        return self.look_at(metric).read(top)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are watched."""
        return tuple(dict.fromkeys(chain(self._present, self._last)))

    @property
    def size_bytes(self) -> int:
        """About what it all holds in memory: some of the sketches are asked, for all."""
        metrics = [one for period in self._periods for one in period.values()]
        labels = [label for one in metrics for label in one.labels.values()]
        of_labels = _scaled(labels, lambda one: one.distinct.size_bytes + one.frequent.size_bytes)
        return (
            len(metrics) * _BYTES_A_METRIC
            + _scaled(metrics, lambda one: one.refused.size_bytes)
            + len(labels) * _BYTES_A_LABEL
            + of_labels
        )

    @property
    def _periods(self) -> tuple[dict[str, _Metric], dict[str, _Metric]]:
        return self._present, self._last

    def _watched(self, metric: str) -> _Metric | None:
        watched = self._present.get(metric)
        if watched is None and len(self._present) < self._limits.max_metrics:
            watched = self._present[metric] = _Metric()
        return watched

    def _note_rare(self, labels: dict[bytes, _Label], pair: bytes, count: int) -> None:
        """Take a pair whose label is new, or whose encoding is none of the usual."""
        try:
            key, value = _fields(pair)
        except DecodeError:
            self.values_not_watched += 1
            return
        label = labels.get(key)
        if label is None:
            if (
                len(labels) >= self._limits.max_labels_a_metric
                or self._label_count >= self._limits.max_labels
            ):
                self.values_not_watched += 1
                return
            self._label_count += 1
            label = labels[key] = _Label(value)
        label.note_value(hash(value))
        label.note_frequent(value[:_VALUE_BYTES], count)


def _scaled(things: Sequence[_T], size_bytes: Callable[[_T], int]) -> int:
    """Return the size of all things, as that of up to _ASKED of them tells."""
    if not things:
        return 0
    asked = things[:: len(things) // _ASKED + 1]
    return sum(map(size_bytes, asked)) * len(things) // len(asked)


def _fields(pair: bytes) -> tuple[bytes, bytes]:
    """Return the key field and the value field of a KeyValue, however it is encoded.

    A key of more than 127 bytes is cut to what fits, with a mark. Raises DecodeError.
    """
    parsed = KeyValue.FromString(pair)
    key = parsed.key.encode()
    if len(key) > _LONGEST_SHORT:
        key = key[: _LONGEST_SHORT - len(_CUT)] + _CUT
    parsed.ClearField("key")
    return bytes((_KEY_TAG, len(key))) + key, parsed.SerializeToString()


def _label_demand(key: bytes, periods: Sequence[_Label], top: int) -> LabelDemand:
    worst = max(periods, key=lambda label: label.distinct.estimate)
    some = [value for label in periods for value in (*label.frequent.some(top), label.first)]
    frequent = worst.frequent.top(top)
    return LabelDemand(
        key=key[2:].decode(errors="replace"),
        distinct_values=worst.distinct.estimate,
        samples=tuple(dict.fromkeys(map(value_text, some)))[:top],
        offenders=tuple(Offender(value_text(value), count) for value, count in frequent),
    )
