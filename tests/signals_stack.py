"""Trading events for the signals sidecar of a real stack, and the figures that they must give.

The figures are the engine's own, in this process; a scrape of the real thing is compared with them.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
from prometheus_client.parser import text_string_to_metric_families

from backends import fetch
from tapeline.demo.events import (
    Event,
    cash_event,
    execution_event,
    mark_event,
    order_event,
    quote_event,
    revision_event,
)
from tapeline.demo.tape import Step, decide, respond, steps
from tapeline.otlp.json_lines import request_from_json
from tapeline.otlp.signals import Signal
from tapeline.signals.config import SignalsConfig
from tapeline.signals.config_files import settings_of
from tapeline.signals.emission import Emitter
from tapeline.signals.engine import Engine
from tapeline.signals.intake import Intake
from tapeline.signals.metric_table import METRICS, Kind
from tapeline.stack.ports import HOST
from tapeline.stack.runner import Stack
from trading_requests import AnyMessage, add_pairs, batch

SECOND_NS = 1_000_000_000
DEPOSIT = Decimal(1_000_000)
MARK_EVERY = 10  # steps
RESOURCE = {"service.name": "trading-test"}
_ADDRESSES = """\
server: {listen: "${env:TAPELINE_SIGNALS_LISTEN:-127.0.0.1:4329}"}
downstream: {endpoint: "${env:TAPELINE_DOWNSTREAM:-127.0.0.1:14317}"}
admin: {listen: "${env:TAPELINE_SIGNALS_ADMIN:-127.0.0.1:8091}"}
chain: {logs: [signals], traces: [signals], metrics: []}
"""

Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float | None]


@dataclass(frozen=True)
class Trading:
    """An event of the convention with its time, and the trace and span that it belongs to."""

    event: Event
    time_ns: int
    trace_id: bytes = b""
    span_id: bytes = b""


@dataclass(frozen=True)
class Setting:
    """A `signals` section: as a file for a sidecar, and for an engine in this process."""

    section: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path, workers: int = 1) -> Path:
        """Write a sidecar's whole configuration; addresses and state come from the stack."""
        # No time of the clock's: what is compared must depend on events alone.
        waiting = {"state": "${env:TAPELINE_SIGNALS_STATE}", "period": "1s", "idle_timeout": "6h"}
        document = yaml.safe_load(_ADDRESSES)
        document["server"]["workers"] = workers
        document["signals"] = {**waiting, **self.section}
        path.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
        return path

    def engine_of(self, requests: Iterable[AnyMessage]) -> Engine:
        """Return an engine that has taken what these requests hold."""
        settings = settings_of(SignalsConfig.model_validate(dict(self.section)))
        intake = Intake(settings.engine.instruments, settings.mappings)
        engine = Engine(settings.engine)
        for request in requests:
            taken = intake.read(batch(request), None)
            assert not taken.refused
            engine.apply(taken.events, taken.greatest_time_ns)
        return engine


def demo_session(
    seed: int, count: int, begin_ns: int, step_ns: int, accounts: Sequence[str] = ("demo",)
) -> list[Trading]:
    """Return what the demo's services say of some steps of its market, in order of time.

    Every order has a trace of its own, and one of the accounts in turn.
    """
    session = [
        Trading(_of(cash_event(f"r-{account}", DEPOSIT), account), begin_ns) for account in accounts
    ]
    for step in itertools.islice(steps(seed), count):
        now_ns = begin_ns + step.number * step_ns
        for quote in step.quotes:
            session.append(Trading(quote_event(quote, step.number), now_ns))
            if step.number % MARK_EVERY == 0:
                session.append(Trading(mark_event(quote, step.number), now_ns))
        trace_id = seed.to_bytes(8, "big") + step.number.to_bytes(8, "big")
        moments = itertools.count(now_ns + 1, step_ns // 20)
        account = accounts[step.number % len(accounts)]
        session += [
            Trading(_of(event, account), time_ns, trace_id, span_id_of(position))
            for position, (event, time_ns) in enumerate(zip(_order(seed, step), moments))  # noqa: B905 - moments never end
        ]
    return session


def span_id_of(number: int) -> bytes:
    """Return the id of the n-th span of a trace."""
    return (number + 1).to_bytes(8, "big")


def _order(seed: int, step: Step) -> Iterator[Event]:
    """Yield an order's life."""
    decision = decide(seed, step)
    outcome = respond(seed, decision)
    yield order_event("r", decision, "decided")
    yield order_event("r", decision, "submitted")
    if outcome.reject_reason is not None:
        yield order_event("r", decision, "rejected", reject_reason=outcome.reject_reason)
        return
    yield order_event("r", decision, "acknowledged")
    if decision.replacement_price is not None:
        yield order_event("r", decision, "replaced")
    for position, fill in enumerate(outcome.fills):
        yield execution_event("r", decision, position, fill)
    if outcome.revision is not None:
        yield revision_event("r", decision, outcome.revision, outcome.revised)
    if outcome.remainder is not None:
        yield order_event("r", decision, outcome.remainder)


def _of(event: Event, account: str) -> Event:
    return Event(event.name, {**event.attributes, "trading.account": account})


def in_logs(events: Iterable[Trading]) -> ExportLogsServiceRequest:
    """Return a request with a log record for each event."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    add_pairs(group.resource.attributes, RESOURCE.items())
    records = group.scope_logs.add().log_records
    for each in events:
        record = records.add(
            event_name=each.event.name,
            time_unix_nano=each.time_ns,
            observed_time_unix_nano=each.time_ns,
            trace_id=each.trace_id,
            span_id=each.span_id,
        )
        add_pairs(record.attributes, each.event.attributes.items())
    return request


def in_spans(events: Iterable[Trading]) -> ExportTraceServiceRequest:
    """Return a request with a span for each event, named after it, that ends when it happened."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    add_pairs(group.resource.attributes, RESOURCE.items())
    spans = group.scope_spans.add().spans
    for each in events:
        span = spans.add(
            name=each.event.name,
            start_time_unix_nano=each.time_ns - 1,
            end_time_unix_nano=each.time_ns,
            trace_id=each.trace_id,
            span_id=each.span_id,
        )
        add_pairs(span.attributes, each.event.attributes.items())
    return request


def in_span_events(events: Sequence[Trading]) -> ExportTraceServiceRequest:
    """Return a request with a span for each trace, and its events on that."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    add_pairs(group.resource.attributes, RESOURCE.items())
    spans = group.scope_spans.add().spans
    for trace_id, found in itertools.groupby(events, lambda each: each.trace_id):
        of_trace = list(found)
        span = spans.add(
            name="trade",
            start_time_unix_nano=of_trace[0].time_ns,
            end_time_unix_nano=of_trace[-1].time_ns,
            trace_id=trace_id,
            span_id=span_id_of(0),
        )
        for each in of_trace:
            event = span.events.add(name=each.event.name, time_unix_nano=each.time_ns)
            add_pairs(event.attributes, each.event.attributes.items())
    return request


def passed(time_ns: int) -> ExportLogsServiceRequest:
    """Return a quote of nothing that is traded: it lets every worker know what time it is."""
    attributes: dict[str, str | int] = {
        "trading.instrument": "CLOCK",
        "trading.quote.bid": "1",
        "trading.quote.ask": "1",
    }
    return in_logs([Trading(Event("trading.quote", attributes), time_ns)])


def shown_by(engine: Engine) -> Samples:
    """Return what Prometheus must show of an engine."""
    found: Samples = {}
    emitter = Emitter(1, {"service.name": "expected"})
    for payload in emitter.emit(2, engine.series, engine.gauges()):
        found |= exposed_of(ExportMetricsServiceRequest.FromString(payload))
    return found


def exposed_after(lines: Iterable[bytes]) -> Samples:
    """Return what Prometheus must show after OTLP/JSON lines of metrics, in their order."""
    found: Samples = {}
    for line in lines:
        signal, payload = request_from_json(line)
        assert signal is Signal.METRICS
        found |= exposed_of(ExportMetricsServiceRequest.FromString(payload))
    return {key: value for key, value in found.items() if value is not None}


def exposed_of(request: ExportMetricsServiceRequest) -> Samples:
    """Return the samples that the collector's Prometheus exporter makes of a request.

    One that ends is None.
    """
    found: Samples = {}
    for group in request.resource_metrics:
        for metric in itertools.chain.from_iterable(each.metrics for each in group.scope_metrics):
            name = metric.name.replace(".", "_") + ("_seconds" if metric.unit == "s" else "")
            if metric.HasField("histogram"):
                for point in metric.histogram.data_points:
                    found |= _histogram(name, point)
                continue
            is_counter = METRICS[metric.name].kind is Kind.COUNTER
            of_metric = metric.gauge if metric.HasField("gauge") else metric.sum
            for number in of_metric.data_points:
                key = (f"{name}_total" if is_counter else name, _labels(number))
                has_value = not number.flags & DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
                found[key] = number.as_double if has_value else None
    return found


def _histogram(name: str, point: Any) -> Samples:
    labels = _labels(point)
    found = {(f"{name}_sum", labels): point.sum, (f"{name}_count", labels): float(point.count)}
    edges = (*point.explicit_bounds, float("inf"))
    below = itertools.accumulate(point.bucket_counts)
    for edge, count in zip(edges, below, strict=True):
        found[f"{name}_bucket", labels | {("le", repr(float(edge)))}] = float(count)
    return found


def _labels(point: Any) -> Labels:
    return frozenset(
        (each.key.replace(".", "_"), each.value.string_value) for each in point.attributes
    )


def shown_labels(labels: Mapping[str, str]) -> Labels:
    """Return of a scraped series' labels those that are the signals' own."""
    own = {name: value for name, value in labels.items() if name.startswith("trading_")}
    if "le" in labels:
        own["le"] = repr(float(labels["le"]))
    return frozenset(own.items())


def scraped(stack: Stack) -> Samples:
    """Return what the collector's exporter shows of the signals now."""
    url = f"http://{HOST}:{stack.ports.prometheus_exporter}/metrics"
    families = text_string_to_metric_families(fetch(url).decode())
    return {
        (sample.name, shown_labels(sample.labels)): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("trading_")
    }


def differences(found: Samples, expected: Samples, at_most: int = 5) -> list[str]:
    """Return some of the samples that are missing, too many, or not the same to the last bit."""
    wrong = [key for key in expected.keys() | found.keys() if found.get(key) != expected.get(key)]
    return [
        f"{name} {dict(labels)}: {found.get((name, labels))} instead of"
        f" {expected.get((name, labels))}"
        for name, labels in sorted(wrong, key=repr)[:at_most]
    ]


def own_count(stack: Stack, name: str, **labels: str) -> float:
    """Return the sum of a metric of the sidecar's own; 0 where there is no such series."""
    text = fetch(f"http://{HOST}:{stack.ports.signals_admin}/metrics").decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def chunks(events: Sequence[Trading], size: int) -> Iterator[Sequence[Trading]]:
    """Yield events some at a time."""
    for begin in range(0, len(events), size):
        yield events[begin : begin + size]
