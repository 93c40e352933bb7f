"""What an emission must hold, built plainly with protobuf: the oracle for the signals' emitter."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK,
)

from otlp_client import key_values
from tapeline.signals.metric_table import METRICS, Kind
from tapeline.signals.points import Attributes, Exemplar, values_of

Key = tuple[str, Attributes]
HISTOGRAMS = (Kind.HISTOGRAM,)
SUMS = (Kind.COUNTER, Kind.SUM)
REPEAT_NS = 60 * 10**9


class Sample(NamedTuple):
    """One addition to a sum or a histogram."""

    name: str
    attributes: Attributes
    value: Decimal
    exemplar: Exemplar | None

    @property
    def key(self) -> Key:
        """Return its series."""
        return self.name, self.attributes

    @property
    def is_taken(self) -> bool:
        """Tell whether it changes its series: not an amount of 0, nor one that a counter refuses.

        Any sample makes the series that it is the first of.
        """
        kind = METRICS[self.name].kind
        return kind in HISTOGRAMS or self.value > 0 or (kind is Kind.SUM and self.value != 0)


class PlainEmitter:
    """Looks through all samples there ever were at each emission. The clock only advances."""

    def __init__(self, start_time_ns: int, resource: Mapping[str, str]) -> None:
        self._start_time_ns = start_time_ns
        self._resource = resource
        self._samples: list[Sample] = []
        self._emitted = 0
        # What was last sent of each series that has not ended, and when.
        self._sent: dict[Key, tuple[int, float | None]] = {}

    def emit(
        self, now_ns: int, samples: Sequence[Sample], gauges: Mapping[Key, float]
    ) -> ExportMetricsServiceRequest:
        """Return all that is due in one request; it is empty where nothing is."""
        self._samples += samples
        request = ExportMetricsServiceRequest()
        around = request.resource_metrics.add()
        around.resource.attributes.extend(key_values(dict(sorted(self._resource.items()))))
        scoped = around.scope_metrics.add()
        scoped.scope.name = "tapeline.signals"
        for name in sorted(METRICS):
            if METRICS[name].kind is Kind.GAUGE:
                self._gauges(name, now_ns, gauges, scoped)
            else:
                self._cumulative(name, now_ns, scoped)
        self._emitted = len(self._samples)
        return request if scoped.metrics else ExportMetricsServiceRequest()

    def _gauges(self, name: str, now_ns: int, gauges: Mapping[Key, float], scoped: Any) -> None:
        for key in sorted(key for key in self._sent if key[0] == name and key not in gauges):
            point = _metric(name, scoped).gauge.data_points.add(
                attributes=key_values(values_of(key[1])), time_unix_nano=now_ns
            )
            point.flags = DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
            del self._sent[key]
        due = [
            key
            for key in sorted(gauges)
            if key[0] == name
            and (self._is_silent(key, now_ns) or self._sent[key][1] != gauges[key])
        ]
        if due:
            points = _metric(name, scoped).gauge.data_points
            for key in due:
                attributes = key_values(values_of(key[1]))
                points.add(attributes=attributes, time_unix_nano=now_ns, as_double=gauges[key])
                self._sent[key] = (now_ns, gauges[key])

    def _cumulative(self, name: str, now_ns: int, scoped: Any) -> None:
        new = [each for each in self._samples[self._emitted :] if each.is_taken]
        keys = sorted({each.key for each in self._samples if each.name == name})
        changed = {each.key for each in new}
        due = [key for key in keys if key in changed or self._is_silent(key, now_ns)]
        if not due:
            return
        metric = _metric(name, scoped)
        data = metric.histogram if METRICS[name].kind in HISTOGRAMS else metric.sum
        data.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        if METRICS[name].kind is Kind.COUNTER:
            metric.sum.is_monotonic = True
        for key in due:
            point = data.data_points.add(attributes=key_values(values_of(key[1])))
            point.start_time_unix_nano = self._start_time_ns
            point.time_unix_nano = now_ns
            taken = [each for each in self._samples if each.key == key and each.is_taken]
            total = float(_exact_sum(each.value for each in taken))
            fresh = [each for each in new if each.key == key]
            if METRICS[name].kind in HISTOGRAMS:
                _fill_histogram(point, METRICS[name].bounds, taken, fresh)
                point.sum = total
            else:
                point.as_double = total
                _show_latest(point, fresh)
            self._sent[key] = (now_ns, None)

    def _is_silent(self, key: Key, now_ns: int) -> bool:
        return key not in self._sent or now_ns - self._sent[key][0] >= REPEAT_NS


def _metric(name: str, scoped: Any) -> Any:
    metric = METRICS[name]
    return scoped.metrics.add(name=name, description=metric.description, unit=metric.unit)


def _exact_sum(values: Iterable[Decimal]) -> Decimal:
    """Return a sum of numbers with at most 20 decimals."""
    return Decimal(sum(int(value.scaleb(20)) for value in values)).scaleb(-20)


def _fill_histogram(
    point: Any, bounds: Sequence[Decimal], taken: Sequence[Sample], fresh: Sequence[Sample]
) -> None:
    edges = [Decimal("-Infinity"), *bounds, Decimal("Infinity")]
    point.explicit_bounds.extend(map(float, bounds))
    point.count = len(taken)
    for low, high in pairwise(edges):
        point.bucket_counts.append(sum(low < each.value <= high for each in taken))
        _show_latest(point, [each for each in fresh if low < each.value <= high])


def _show_latest(point: Any, fresh: Sequence[Sample]) -> None:
    """Add the exemplar of the sample with the greatest key; of several the last."""
    shown = [each for each in fresh if each.exemplar is not None]
    latest = max(reversed(shown), key=_order_key, default=None)
    if latest is not None and latest.exemplar is not None:
        point.exemplars.add(
            time_unix_nano=latest.exemplar.time_ns,
            as_double=float(latest.value),
            trace_id=latest.exemplar.trace_id,
            span_id=latest.exemplar.span_id,
        )


def _order_key(sample: Sample) -> tuple[Any, ...]:
    return () if sample.exemplar is None else sample.exemplar.key
