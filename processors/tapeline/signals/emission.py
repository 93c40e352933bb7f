"""What is sent when: changed points at once, unchanged ones now and then, ends once.

Every exporter on the way may forget a series that is silent (Prometheus after 5 minutes), so all
are repeated each minute. A gauge that is given no more ends with a point that says so. That point
stands in a metric of its own, since the collector's Prometheus exporter overlooks what follows one
within a metric. Sans I/O: time is an argument.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from operator import attrgetter
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from tapeline.signals.metric_table import METRICS, Kind, Metric
from tapeline.signals.metric_wire import (
    HistogramLayout,
    MetricFrame,
    RequestWriter,
    SumLayout,
    ended_point,
    gauge_body,
    gauge_head,
    resource_bytes,
)
from tapeline.signals.points import Attributes, GaugePoint, PositionPoint
from tapeline.signals.position_series import STEP_NS, WRITTEN_AT_ONCE, PositionSeries
from tapeline.signals.series import Histogram, SeriesSet, Sum

__all__ = ["REPEAT_NS", "Emitter"]

REPEAT_NS: Final = 60 * 1_000_000_000
"""How long an unchanged series is silent."""
SCOPE_NAME: Final = "tapeline.signals"
"""Without a version: it would be a label in Prometheus, and a new one ends every series."""

_BY_ATTRIBUTES: Final = attrgetter("attributes")


class _Moment(NamedTuple):
    """When an emission takes place."""

    now_ns: int
    repeat_ns: int
    start_time_ns: int


class _Series(Protocol):
    @property
    def attributes(self) -> Attributes: ...
    @property
    def is_changed(self) -> bool: ...
    def settle(self) -> None: ...


_S = TypeVar("_S", bound=_Series)
_S_contra = TypeVar("_S_contra", contravariant=True)


class _Layout(Protocol[_S_contra]):
    def head(self, attributes: Attributes) -> bytes: ...
    def point(self, head: bytes, series: _S_contra, start_time_ns: int, time_ns: int) -> bytes: ...


class _Told(Generic[_S]):
    """A series, and when it was sent."""

    __slots__ = ("attributes", "sent_ns", "series", "time_ns")

    def __init__(self, series: _S, time_ns: int) -> None:
        self.series = series
        self.attributes = series.attributes
        self.sent_ns = 0
        self.time_ns = time_ns


class _Cumulative(Generic[_S]):
    """All series of a sum or a histogram, sorted by attributes."""

    def __init__(self, metric: Metric, layout: _Layout[_S]) -> None:
        self._frame = MetricFrame(metric)
        self._layout = layout
        self.told: list[_Told[_S]] = []

    def learn(self, of_metric: Mapping[Attributes, _S], floor_ns: int) -> None:
        """Take the series of the metric that are new; none of them ever goes."""
        if len(of_metric) != len(self.told):
            for series in islice(of_metric.values(), len(self.told), None):
                self.told.append(_Told(series, floor_ns))
            self.told.sort(key=_BY_ATTRIBUTES)

    def emit(self, moment: _Moment, writer: RequestWriter) -> None:
        """Write what is due of all series of the metric."""
        layout = self._layout
        points: list[bytes] = []
        writer.begin(self._frame)
        now_ns, repeat_ns, start_time_ns = moment
        for told in self.told:
            series = told.series
            if not series.is_changed and 0 <= now_ns - told.sent_ns < repeat_ns:
                continue
            told.time_ns = now_ns if now_ns > told.time_ns else told.time_ns + STEP_NS
            told.sent_ns = now_ns
            head = layout.head(told.attributes)  # Kept, it would be most of what a series takes.
            points.append(layout.point(head, series, start_time_ns, told.time_ns))
            series.settle()
            if len(points) == WRITTEN_AT_ONCE:
                writer.add(points)
                points = []
        writer.add(points)

    def times_ns(self) -> Iterable[int]:
        """Return the times of the last points."""
        return (told.time_ns for told in self.told)


class _GaugeTold:
    """A gauge that was given at the last emission, and what was sent of it."""

    __slots__ = ("attributes", "head", "round", "sent_ns", "sent_value", "time_ns", "value")

    def __init__(self, attributes: Attributes, time_ns: int) -> None:
        self.attributes = attributes
        self.head = gauge_head(attributes)
        self.value = 0.0
        self.round = 0
        self.sent_value: float | None = None
        self.sent_ns = 0
        self.time_ns = time_ns


class _Gauges:
    """All gauges of a metric that were told of: by attributes, and sorted by them."""

    def __init__(self, metric: Metric) -> None:
        self._frame = MetricFrame(metric)
        self.told: dict[Attributes, _GaugeTold] = {}
        self._sorted: list[_GaugeTold] = []

    def emit(self, this_round: int, moment: _Moment, writer: RequestWriter) -> int:
        """Write the ends of what was not given in this round, then what is due.

        Return the time of the last end, or 0.
        """
        now_ns, repeat_ns, *_ = moment
        ended_ns = self._end(this_round, now_ns, writer)
        points = []
        for told in self._sorted:
            value = told.value
            if value == told.sent_value and 0 <= now_ns - told.sent_ns < repeat_ns:
                continue
            told.time_ns = now_ns if now_ns > told.time_ns else told.time_ns + STEP_NS
            told.sent_value = value
            told.sent_ns = now_ns
            points.append(told.head + gauge_body(told.time_ns, value))
        writer.begin(self._frame)
        writer.add(points)
        return ended_ns

    def times_ns(self) -> Iterable[int]:
        """Return the times of the last points."""
        return (told.time_ns for told in self.told.values())

    def _end(self, this_round: int, now_ns: int, writer: RequestWriter) -> int:
        if len(self.told) != len(self._sorted):
            self._sorted = sorted(self.told.values(), key=_BY_ATTRIBUTES)
        ended = [told for told in self._sorted if told.round != this_round]
        if not ended:
            return 0
        for told in ended:
            del self.told[told.attributes]
            told.time_ns = now_ns if now_ns > told.time_ns else told.time_ns + STEP_NS
            writer.begin(self._frame)
            writer.add([ended_point(told.attributes, told.time_ns)])
        self._sorted = [told for told in self._sorted if told.round == this_round]
        return max(told.time_ns for told in ended)


class Emitter:
    """Turns series and gauges into OTLP requests.

    A series' points have the time of their emission, or, where the clock did not advance, 1 ms more
    than the point before. Sums and histograms are cumulative from `start_time_ns`.
    """

    def __init__(
        self,
        start_time_ns: int,
        resource: Mapping[str, str],
        *,
        repeat_ns: int = REPEAT_NS,
        metrics: Mapping[str, Metric] = METRICS,
    ) -> None:
        self._start_time_ns = start_time_ns
        self._resource = resource_bytes(resource)
        self._repeat_ns = repeat_ns
        self._round = 0
        self._floor_ns = start_time_ns
        """Points of a series that is new here come after this time: it may have ended before."""
        self._contents: object = None
        self._gauges: dict[str, _Gauges] = {}
        self._positions = PositionSeries(metrics)
        self._sums: dict[str, _Cumulative[Sum]] = {}
        self._histograms: dict[str, _Cumulative[Histogram]] = {}
        self._names = sorted(metrics)
        for name in self._names:
            metric = metrics[name]
            if metric.kind is Kind.GAUGE:
                self._gauges[name] = _Gauges(metric)
            elif metric.kind is Kind.HISTOGRAM:
                layout = HistogramLayout(metric.bounds)
                self._histograms[name] = _Cumulative(metric, layout)
            else:
                self._sums[name] = _Cumulative(metric, SumLayout())

    def emit(
        self, now_ns: int, series: SeriesSet, gauges: Iterable[GaugePoint | PositionPoint]
    ) -> list[bytes]:
        """Return requests with all that is due, by name, then attributes; ends of a metric first.

        `gauges` are all that have a value now; one of no metric in the table raises KeyError. What
        was changed in `series` counts as sent.
        """
        self._take(gauges)
        if self._contents is not series.sums:
            self._forget_series()
            self._contents = series.sums
        moment = _Moment(now_ns, self._repeat_ns, self._start_time_ns)
        self._prepare(series)
        writer = RequestWriter(self._resource, SCOPE_NAME)
        for name in self._names:
            if name in self._gauges:
                ended_ns = self._gauges[name].emit(self._round, moment, writer)
                of_positions_ns = self._positions.emit(name, now_ns, self._repeat_ns, writer)
                self._floor_ns = max(self._floor_ns, ended_ns, of_positions_ns)
            elif name in self._sums:
                self._sums[name].emit(moment, writer)
            else:
                self._histograms[name].emit(moment, writer)
        self._positions.finish()
        return writer.take()

    @property
    def time_ns(self) -> int:
        """The greatest time of any point, or the start where there was none: see `resume`."""
        times = [gauges.times_ns() for gauges in self._gauges.values()]
        times += [sums.times_ns() for sums in self._sums.values()]
        times += [histograms.times_ns() for histograms in self._histograms.values()]
        times.append(self._positions.times_ns())
        return max(self._floor_ns, *(max(of_metric, default=0) for of_metric in times))

    def resume(self, time_ns: int, gauges: Iterable[GaugePoint | PositionPoint]) -> None:
        """Go on after another emitter: points come after its `time_ns`.

        `gauges` are those that it may have sent and not ended, for instance those of the restored
        state at that time: they end where they are given no more.
        """
        self._floor_ns = max(self._floor_ns, time_ns)
        for point in gauges:
            if isinstance(point, PositionPoint):
                self._positions.resume(point, self._floor_ns)
                continue
            name, attributes, _ = point
            self._gauges[name].told[attributes] = _GaugeTold(attributes, self._floor_ns)

    def _take(self, gauges: Iterable[GaugePoint | PositionPoint]) -> None:
        self._round += 1
        self._positions.begin()
        by_name = self._gauges
        for point in gauges:
            if isinstance(point, PositionPoint):
                self._positions.take(point, self._floor_ns)
                continue
            name, attributes, value = point
            of_metric = by_name[name].told
            told = of_metric.get(attributes)
            if told is None:
                told = of_metric[attributes] = _GaugeTold(attributes, self._floor_ns)
            told.value = value
            told.round = self._round

    def _prepare(self, series: SeriesSet) -> None:
        """Make what stays before anything is written.

        Made on the way, it would stand between requests, whose memory could not be given back.
        """
        self._positions.order()
        for name, sums in self._sums.items():
            sums.learn(series.sums[name], self._floor_ns)
        for name, histograms in self._histograms.items():
            histograms.learn(series.histograms[name], self._floor_ns)

    def _forget_series(self) -> None:
        """Begin with series that are others than those that were sent."""
        self._floor_ns = self.time_ns
        for sums in self._sums.values():
            sums.told = []
        for histograms in self._histograms.values():
            histograms.told = []
