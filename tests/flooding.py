"""A service that puts ids into a label of every kind of metric, with a control beside each.

Each value is observed twice: under an id, and without one in `NAME_calm`. So the sum over all ids
is known at any time, and so is what Prometheus must say of it.
"""

import itertools
import json
import math
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    DataPointFlags,
    ScopeMetrics,
)

from otlp_client import key_values, send

__all__ = ["CALM", "Flood", "History", "Kind", "captured_sums"]

CALM: Final = "_calm"
_BOUNDS: Final = (5.0, 25.0, 100.0, 250.0)
_SCALE: Final = 3
_MORE_AN_EXPORT: Final = 5
_NO_VALUE: Final = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK

History: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], list[tuple[int, int]]]
"""Start and value of every point of a series, in the order of their arrival."""


class Kind(Enum):
    """What a metric of the flood is."""

    COUNTER = auto()
    DELTA = auto()
    HISTOGRAM = auto()
    EXPONENTIAL = auto()


@dataclass
class _Stream:
    """What was observed under one id. `reported` is how much of it the last delta told."""

    start_unix_nano: int
    values: list[int] = field(default_factory=list)
    reported: int = 0
    last_unix_nano: int = 0


class Flood(AbstractContextManager["Flood"]):
    """Exports all series twice a second, with two new ids each time, until it ends.

    A new series starts when it is first observed, as newer SDKs have it, so nothing has to be
    assumed about its first value.
    """

    def __init__(
        self, address: str, metrics: Mapping[str, Kind], *, period_s: float = 0.5, seed: int = 7
    ) -> None:
        self._address = address
        self._metrics = metrics
        self._period_s = period_s
        self._random = random.Random(seed)  # noqa: S311 - a test's traffic
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._control = _Stream(time.time_ns())
        self._streams: dict[str, _Stream] = {}
        self._ending: set[str] = set()
        self.ended: set[str] = set()
        self.exports = 0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=15)

    @property
    def ids(self) -> list[str]:
        """The ids so far, the oldest first."""
        return list(self._streams)

    @property
    def total(self) -> int:
        """The sum of all values so far."""
        return sum(self._control.values)

    def total_of(self, order: str) -> int:
        """Return the sum of the values under one id."""
        return sum(self._streams[order].values)

    def end(self, orders: Sequence[str]) -> None:
        """Let these ids end: a point without a recorded value each, before all others."""
        with self._lock:
            self._ending |= set(orders)

    @contextmanager
    def paused(self) -> Iterator[Self]:
        """Export nothing meanwhile; what was exported was acknowledged before."""
        with self._lock:
            yield self

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            with self._lock:
                self._observe()
                try:
                    send(self._address, self._request())
                except Exception as error:  # noqa: BLE001 - shown by the test that reads it
                    self.failures.append(repr(error))
                self.exports += 1

    def _observe(self) -> None:
        for _ in range(2):
            order = f"{self._random.getrandbits(64):016x}"
            self._streams[order] = _Stream(time.time_ns())
            self._add(order)
        living = [order for order in self._streams if order not in self.ended | self._ending]
        for order in self._random.choices(living, k=_MORE_AN_EXPORT):
            self._add(order)

    def _add(self, order: str) -> None:
        value = self._random.randrange(1, 400)
        self._streams[order].values.append(value)
        self._control.values.append(value)

    def _request(self) -> ExportMetricsServiceRequest:
        request = ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        group.resource.attributes.extend(
            key_values({"service.name": "flood", "service.instance.id": "1"})
        )
        scoped = group.scope_metrics.add()
        scoped.scope.name = "flood"
        now_unix_nano = time.time_ns()
        ending = {order: self._streams[order] for order in self._ending}
        # In no order: who was admitted must not follow from who comes first.
        orders = self._random.sample(list(self._streams), len(self._streams))
        living = {
            order: self._streams[order]
            for order in orders
            if order not in self._ending | self.ended
        }
        for name, kind in self._metrics.items():
            _write(scoped, name + CALM, kind, {"": self._control}, now_unix_nano)
            _write(scoped, name, kind, {**ending, **living}, now_unix_nano, no_value=self._ending)
        for stream in (self._control, *self._streams.values()):
            stream.reported = len(stream.values)
            stream.last_unix_nano = now_unix_nano
        self.ended |= self._ending
        self._ending = set()
        return request


def _write(
    scoped: ScopeMetrics,
    name: str,
    kind: Kind,
    streams: Mapping[str, _Stream],
    now_unix_nano: int,
    no_value: set[str] | None = None,
) -> None:
    metric = scoped.metrics.add(name=name)
    data: Any = {
        Kind.COUNTER: metric.sum,
        Kind.DELTA: metric.sum,
        Kind.HISTOGRAM: metric.histogram,
        Kind.EXPONENTIAL: metric.exponential_histogram,
    }[kind]
    is_delta = kind is Kind.DELTA
    data.aggregation_temporality = (
        AGGREGATION_TEMPORALITY_DELTA if is_delta else AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    if kind in {Kind.COUNTER, Kind.DELTA}:
        data.is_monotonic = True
    for order, stream in streams.items():
        start = (stream.last_unix_nano if is_delta else 0) or stream.start_unix_nano
        labels = {"venue": "XEUR", "order_id": order} if order else {"venue": "XEUR"}
        point = data.data_points.add(
            start_time_unix_nano=start,
            time_unix_nano=now_unix_nano,
            attributes=key_values(labels),
        )
        if no_value and order in no_value:
            point.flags = _NO_VALUE
        elif kind in {Kind.COUNTER, Kind.DELTA}:
            point.as_int = sum(stream.values[stream.reported if is_delta else 0 :])
        else:
            point.count, point.sum = len(stream.values), sum(stream.values)
            (_fill_buckets if kind is Kind.HISTOGRAM else _fill_exponential)(point, stream.values)


def _fill_buckets(point: Any, values: Sequence[int]) -> None:
    found = Counter(sum(value > bound for bound in _BOUNDS) for value in values)
    point.explicit_bounds.extend(_BOUNDS)
    point.bucket_counts.extend(found[number] for number in range(len(_BOUNDS) + 1))


def _fill_exponential(point: Any, values: Sequence[int]) -> None:
    # Index i holds base**i < value <= base**(i + 1), base = 2**(2**-scale): OTLP, metrics.proto.
    found = Counter(math.ceil(math.log2(value) * 2**_SCALE) - 1 for value in values)
    first, last = min(found), max(found)
    point.scale = _SCALE
    point.positive.offset = first
    point.positive.bucket_counts.extend(found[number] for number in range(first, last + 1))


def captured_sums(path: Path) -> History:
    """Return every point of a sum that egress wrote to its file, whole lines only."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found: History = defaultdict(list)
    for line in text.rpartition("\n")[0].splitlines():
        groups = json.loads(line)["resourceMetrics"]
        scopes = itertools.chain.from_iterable(group["scopeMetrics"] for group in groups)
        for metric in itertools.chain.from_iterable(scoped["metrics"] for scoped in scopes):
            for point in metric.get("sum", {}).get("dataPoints", ()):
                labels = frozenset(
                    (each["key"], str(next(iter(each["value"].values()))))
                    for each in point.get("attributes", ())
                )
                start = int(point.get("startTimeUnixNano", 0))
                found[metric["name"], labels].append((start, int(point["asInt"])))
    return found
