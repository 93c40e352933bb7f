"""The gauges of positions as they were sent, packed: there may be hundreds of thousands. Pure.

A position is one row. What was sent of each gauge stands in arrays by the number of the row, and
attributes are written from the position's own texts whenever a point is due.
"""

import math
from array import array
from collections.abc import Iterator, Mapping
from typing import Final

from tapeline.signals.metric_table import Metric
from tapeline.signals.metric_wire import (
    MetricFrame,
    RequestWriter,
    ended_point,
    gauge_body,
    position_head,
)
from tapeline.signals.points import Attributes, GaugePoint, PositionPoint, attributes_of
from tapeline.signals.positions import PositionKey

__all__ = ["POSITION_GAUGES", "STEP_NS", "WRITTEN_AT_ONCE", "PositionSeries", "gauges_of"]

STEP_NS: Final = 1_000_000
"""How much later a point is at least than the one before it in its series, whatever the clock."""

_PLAIN, _MONEY, _BASE, _SOURCE = range(4)
"""Which attributes there are besides the position's own: none; the currency of the P&L; the base
currency; the currency of the P&L and the source of the price."""
POSITION_GAUGES: Final = {
    "trading.position.quantity": _PLAIN,
    "trading.position.average_price": _MONEY,
    "trading.position.value": _MONEY,
    "trading.pnl.realized": _MONEY,
    "trading.pnl.net": _BASE,
    "trading.pnl.unrealized": _SOURCE,
}
"""In the order of the values of a `PositionPoint`."""
_UNREALIZED: Final = 5
_ABSENT: Final = math.nan
"""No figure is: decimals are finite."""
WRITTEN_AT_ONCE: Final = 1_000
"""Points that stand beside each other before they are part of a request."""
_LONG_AGO_NS: Final = -(1 << 62)

_Labels = tuple[str, ...]
"""Account, currency, instrument, source and strategy: in the order of their names."""


def gauges_of(point: PositionPoint) -> Iterator[GaugePoint]:
    """Yield the gauges of a position, each on its own."""
    row = _Row(point, 0)
    for (name, shape), value in zip(POSITION_GAUGES.items(), point.values, strict=True):
        if value is not None:
            yield GaugePoint(name, _attributes(row.labels(shape)), value)


class _Row:
    """A position of which something was sent, or is to be."""

    __slots__ = ("base_currency", "currency", "key", "number", "round", "source")

    def __init__(self, point: PositionPoint, number: int) -> None:
        self.key: PositionKey = point.key
        self.currency = point.currency
        self.base_currency = point.base_currency
        self.source = point.source
        self.number = number
        self.round = 0

    def labels(self, shape: int) -> _Labels:
        account, strategy, instrument = self.key
        if shape == _PLAIN:
            return (account, "", instrument, "", strategy)
        if shape == _BASE:
            return (account, self.base_currency, instrument, "", strategy)
        source = self.source if shape == _SOURCE else ""
        return (account, self.currency, instrument, source, strategy)


class _Gauge:
    """One gauge of all positions, by the numbers of their rows."""

    __slots__ = ("ended", "frame", "sent_ns", "sent_values", "shape", "times_ns", "values")

    def __init__(self, metric: Metric, shape: int) -> None:
        self.frame = MetricFrame(metric)
        self.shape = shape
        self.values = array("d")
        """Of this round."""
        self.sent_values = array("d")
        self.sent_ns = array("q")
        self.times_ns = array("q")
        self.ended: list[tuple[_Labels, int]] = []
        """Series that end in this round, and the times of their last points."""

    def take(self, number: int, value: float, floor_ns: int) -> None:
        self.values[number] = value
        sent_value: float = self.sent_values[number]
        if sent_value != sent_value:  # noqa: PLR0124 - absent
            self.times_ns[number] = floor_ns

    def end(self, number: int, labels: _Labels) -> None:
        self.sent_values[number] = _ABSENT
        self.ended.append((labels, self.times_ns[number]))


class PositionSeries:
    """All gauges of positions."""

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self._gauges = {
            name: _Gauge(metrics[name], shape)
            for name, shape in POSITION_GAUGES.items()
            if name in metrics
        }
        self._in_order = list(self._gauges.values())
        self._rows: dict[PositionKey, _Row] = {}
        self._free: list[int] = []
        self._sorted: dict[int, list[_Row]] = {}
        """The rows by shape, in the order of their labels; made anew where a row came or went."""
        self._round = 0
        self._given_count = 0

    def begin(self) -> None:
        """Begin a round: nothing is given yet."""
        self._round += 1
        self._given_count = 0
        for gauge in self._in_order:
            gauge.values = array("d", [_ABSENT]) * len(gauge.values)

    def take(self, point: PositionPoint, floor_ns: int) -> None:
        """Take what a position has now; points of a new series come after `floor_ns`."""
        row = self._row(point)
        row.round = self._round
        self._given_count += 1
        number, gauges = row.number, self._in_order
        if point.unrealized is not None and point.source != row.source:
            of_source = gauges[_UNREALIZED]
            sent_value: float = of_source.sent_values[number]
            if sent_value == sent_value:  # noqa: PLR0124 - it was sent
                of_source.end(number, row.labels(_SOURCE))
            row.source = point.source
            self._sorted.pop(_SOURCE, None)
        for place, value in enumerate(point.values):
            if value is not None:
                gauges[place].take(number, value, floor_ns)

    def resume(self, point: PositionPoint, floor_ns: int) -> None:
        """Know that what a position has may have been sent by another emitter."""
        number = self._row(point).number
        for gauge, value in zip(self._in_order, point.values, strict=True):
            if value is not None:
                gauge.sent_values[number] = value
                gauge.sent_ns[number] = _LONG_AGO_NS
                gauge.times_ns[number] = floor_ns

    def order(self) -> None:
        """Sort the positions."""
        for shape in range(_SOURCE + 1):
            self._ordered(shape)

    def emit(self, name: str, now_ns: int, repeat_ns: int, writer: RequestWriter) -> int:
        """Write the ends of a metric, then what is due; return the time of the last end, or 0."""
        gauge = self._gauges.get(name)
        if gauge is None or not self._rows:
            return 0
        points: list[bytes] = []
        shape, values, sent_values = gauge.shape, gauge.values, gauge.sent_values
        sent_ns, times_ns = gauge.sent_ns, gauge.times_ns
        rows = self._ordered(shape)
        for row in rows:
            number = row.number
            gone: float = sent_values[number]
            if values[number] != values[number] and gone == gone:  # noqa: PLR0124 - absent, was sent
                gauge.end(number, row.labels(shape))
        ended_ns = _write_ends(gauge, now_ns, writer)
        writer.begin(gauge.frame)
        for row in rows:
            number = row.number
            value: float = values[number]
            sent_value: float = sent_values[number]
            if value != value:  # noqa: PLR0124 - absent
                continue
            if value == sent_value and 0 <= now_ns - sent_ns[number] < repeat_ns:
                continue
            time_ns = _after(times_ns[number], now_ns)
            times_ns[number] = time_ns
            sent_values[number] = value
            sent_ns[number] = now_ns
            points.append(position_head(row.labels(shape)) + gauge_body(time_ns, value))
            if len(points) == WRITTEN_AT_ONCE:
                writer.add(points)
                points = []
        writer.add(points)
        return ended_ns

    def finish(self) -> None:
        """Drop the positions that were not given in this round: all of theirs has ended."""
        if self._given_count == len(self._rows):
            return
        for row in [row for row in self._rows.values() if row.round != self._round]:
            del self._rows[row.key]
            self._free.append(row.number)
        self._sorted.clear()

    def times_ns(self) -> Iterator[int]:
        """Yield the greatest time of each gauge."""
        for gauge in self._in_order:
            yield max(gauge.times_ns, default=0)

    def _row(self, point: PositionPoint) -> _Row:
        found = self._rows.get(point.key)
        if found is None:
            number = self._free.pop() if self._free else len(self._rows)
            found = self._rows[point.key] = _Row(point, number)
            self._sorted.clear()
            for gauge in self._in_order:
                if number == len(gauge.values):
                    gauge.values.append(_ABSENT)
                    gauge.sent_values.append(_ABSENT)
                    gauge.sent_ns.append(0)
                    gauge.times_ns.append(0)
        return found

    def _ordered(self, shape: int) -> list[_Row]:
        found = self._sorted.get(shape)
        if found is None:
            found = sorted(self._rows.values(), key=lambda row: row.labels(shape))
            self._sorted[shape] = found
        return found


def _write_ends(gauge: _Gauge, now_ns: int, writer: RequestWriter) -> int:
    """Write each in a metric of its own; return the time of the last, or 0 where there is none."""
    ended, gauge.ended = gauge.ended, []
    last_ns = 0
    for labels, before_ns in sorted(ended):
        time_ns = _after(before_ns, now_ns)
        last_ns = max(last_ns, time_ns)
        writer.begin(gauge.frame)
        writer.add([ended_point(_attributes(labels), time_ns)])
    return last_ns


def _attributes(labels: _Labels) -> Attributes:
    account, currency, instrument, source, strategy = labels
    return attributes_of(
        account=account,
        currency=currency,
        instrument=instrument,
        price_source=source,
        strategy=strategy,
    )


def _after(before_ns: int, now_ns: int) -> int:
    return now_ns if now_ns > before_ns else before_ns + STEP_NS
