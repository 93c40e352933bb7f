"""A processor of the signals for tests: built as the gate builds it, with all that it shows."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client import CollectorRegistry

from tapeline.pipeline.batch import Batch
from tapeline.pipeline.registry import ProcessorContext
from tapeline.signals.config import SignalsConfig
from tapeline.signals.processor import FACTORY, SignalsProcessor
from trading_requests import EXECUTION, SECOND_NS, START_NS, batch, log

CONFIG: Final[dict[str, Any]] = {
    "state": "memory",
    "instruments": {"BTCUSDT": {"base_currency": "BTC", "quote_currency": "USD"}},
}


def built(
    section: Mapping[str, Any] | None = None,
    *,
    registry: CollectorRegistry | None = None,
    is_live: bool = True,
    workers: int = 1,
) -> SignalsProcessor:
    """Return a processor of a configuration, `CONFIG` where it says nothing else."""
    config = SignalsConfig.model_validate({**CONFIG, **(section or {})})
    context = ProcessorContext(registry or CollectorRegistry(), worker_count=workers, live=is_live)
    processor = FACTORY.build(config, context)
    assert isinstance(processor, SignalsProcessor)
    return processor


def on_disk(folder: Path, **section: Any) -> dict[str, Any]:
    """Return a section with a state in a folder."""
    return {"state": f"sqlite:///{folder}/signals.db", **section}


def at(second: float) -> int:
    """Return a time, from a start that all tests have in common."""
    return START_NS + round(second * SECOND_NS)


def fill(name: str, second: float = 0, **changed: Any) -> Batch:
    """Return a batch with one trade; attributes by their last word, as `price="7"`."""
    attributes: dict[str, Any] = {**EXECUTION, "trading.execution.id": name}
    for key, value in changed.items():
        attributes[KEYS.get(key, f"trading.execution.{key}")] = value
    return batch(log("trading.execution", attributes, time_ns=at(second)))


KEYS: Final = {
    "instrument": "trading.instrument",
    "side": "trading.side",
    "account": "trading.account",
    "strategy": "trading.strategy",
    "venue": "trading.venue",
    "order_id": "trading.order.id",
    "sequence": "trading.sequence",
}


def event(name: str, second: float = 0, **attributes: Any) -> Batch:
    """Return a batch with one event; of its attributes `__` is a dot, without `trading.`."""
    named = {f"trading.{key.replace('__', '.')}": value for key, value in attributes.items()}
    return batch(log(f"trading.{name}", named, time_ns=at(second)))


def other(second: float = 0) -> Batch:
    """Return a batch with a log that is no event."""
    return batch(log("", {"http.route": "/"}, time_ns=at(second), body="hello"))


def points(emitted: Iterable[Batch]) -> dict[tuple[str, ...], float]:
    """Return the values of an emission by metric and attribute values; of a histogram its count."""
    found: dict[tuple[str, ...], float] = {}
    for metric in _metrics(emitted):
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            attributes = tuple(pair.value.string_value for pair in point.attributes)
            key = (metric.name, *attributes)
            assert key not in found
            if kind == "histogram":
                found[key] = point.count
            elif not point.flags & 1:
                found[key] = point.as_double
    return found


def ends(emitted: Iterable[Batch]) -> set[tuple[str, ...]]:
    """Return the gauges that end in an emission, by metric and attribute values."""
    return {
        (metric.name, *(pair.value.string_value for pair in point.attributes))
        for metric in _metrics(emitted)
        if metric.WhichOneof("data") == "gauge"
        for point in metric.gauge.data_points
        if point.flags & 1
    }


def totals(emitted: Iterable[Batch]) -> dict[str, float]:
    """Return the sum over all points of each metric."""
    found: dict[str, float] = {}
    for (name, *_), value in points(emitted).items():
        found[name] = found.get(name, 0) + value
    return found


def start_times(emitted: Iterable[Batch]) -> set[int]:
    """Return the start times of all sums and histograms."""
    return {
        point.start_time_unix_nano
        for metric in _metrics(emitted)
        if metric.WhichOneof("data") != "gauge"
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    }


def samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Return the own metrics by name without prefix, and label values."""
    return {
        (sample.name.removeprefix("tapeline_signals_"), *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def _metrics(emitted: Iterable[Batch]) -> Iterable[Any]:
    for each in emitted:
        request = ExportMetricsServiceRequest.FromString(each.payload)
        for of_resource in request.resource_metrics:
            for of_scope in of_resource.scope_metrics:
                yield from of_scope.metrics


def sums_of_samples(emitted: Iterable[Batch]) -> dict[tuple[str, ...], float]:
    """Return the sums of histograms by metric and attribute values."""
    return {
        (metric.name, *(pair.value.string_value for pair in point.attributes)): point.sum
        for metric in _metrics(emitted)
        if metric.WhichOneof("data") == "histogram"
        for point in metric.histogram.data_points
    }
