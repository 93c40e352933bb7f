"""A service that puts an id into a metric's label: new series for ever, and a control without."""

import random
import threading
import time
import uuid
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    ScopeMetrics,
)

from otlp_client import key_values, send

__all__ = ["CONTROL", "GROWING", "GrowingCounter"]

GROWING = "fills_by_order"
CONTROL = "fills"
_NEW_A_SECOND = 2
_MORE_A_SECOND = 5


class GrowingCounter(AbstractContextManager["GrowingCounter"]):
    """Counts the same increments under an id and without, and exports both each second.

    As an SDK does: cumulative, every series in every export, all with the start of the process.
    """

    def __init__(self, address: str, seed: int = 7) -> None:
        self._address = address
        self._random = random.Random(seed)  # noqa: S311 - a test's traffic
        self._start_unix_nano = time.time_ns()
        self._totals: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
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
    def ids(self) -> int:
        """How many ids there were so far: what the growing metric would have in series."""
        return len(self._totals)

    @property
    def total(self) -> int:
        """The sum of all increments so far."""
        return sum(self._totals.values())

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            for _ in range(_NEW_A_SECOND):
                self._totals[str(uuid.UUID(int=self._random.getrandbits(128), version=4))] = 1
            for order in self._random.choices(list(self._totals), k=_MORE_A_SECOND):
                self._totals[order] += self._random.randrange(1, 4)
            try:
                send(self._address, self._request())
            except Exception as error:  # noqa: BLE001 - shown by the test that reads it
                self.failures.append(repr(error))
            self.exports += 1

    def _request(self) -> ExportMetricsServiceRequest:
        request = ExportMetricsServiceRequest()
        group = request.resource_metrics.add()
        group.resource.attributes.extend(
            key_values({"service.name": "fills", "service.instance.id": "1"})
        )
        scoped = group.scope_metrics.add()
        scoped.scope.name = "growing"
        now_unix_nano = time.time_ns()
        self._counter(scoped, CONTROL, {"": self.total}, now_unix_nano)
        self._counter(scoped, GROWING, self._totals, now_unix_nano)
        return request

    def _counter(
        self, scoped: ScopeMetrics, name: str, values: dict[str, int], now_unix_nano: int
    ) -> None:
        metric = scoped.metrics.add(name=name)
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        for order, value in values.items():
            labels = {"venue": "XEUR", "order_id": order} if order else {"venue": "XEUR"}
            metric.sum.data_points.add(
                start_time_unix_nano=self._start_unix_nano,
                time_unix_nano=now_unix_nano,
                as_int=value,
                attributes=key_values(labels),
            )
