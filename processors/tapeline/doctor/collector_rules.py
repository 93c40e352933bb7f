"""The mistakes in a collector's configuration that lose, leak or loop data, each as one rule.

Each rule was seen to do its harm with the real collector at v0.159; `docs/collector.md` says how.
"""

from collections.abc import Callable, Iterator
from typing import Final

from tapeline.doctor.collector_graph import CollectorGraph, component_type
from tapeline.doctor.findings import Finding, Severity
from tapeline.doctor.gate_facts import GateFacts, nested, target_ports, used_exporters
from tapeline.doctor.signals_rules import signals_branch
from tapeline.pipeline.durations import parse_duration_s
from tapeline.pipeline.loader import ConfigError

__all__ = ["RULES", "check_collector"]

_MIB: Final = 1024 * 1024
_COLLECTOR_RECEIVE_MIB: Final = 4
"""gRPC's own default, which the collector's receiver keeps when nothing is set."""
_COLLECTOR_BODY_BYTES: Final = 20 * _MIB
"""The collector's default for a request by HTTP (confighttp)."""
_COLLECTOR_TIMEOUT_S: Final = 5.0
_COLLECTOR_RETRY_S: Final = 300.0
_BATCH_TIMEOUT_S: Final = 0.2
_LOOPBACK: Final = ("127.", "localhost", "[::1]", "::1")
_PULLED: Final = frozenset({"prometheus", "debug", "nop", "file"})
"""Exporters that have no queue to lose: they are scraped, or write at once."""
_OLD_NAMES: Final = {
    "otlp": "otlp_grpc",
    "otlphttp": "otlp_http",
    "loadbalancing": "load_balancing",
    "prometheusremotewrite": "prometheus_remote_write",
}


Rule = Callable[[CollectorGraph, GateFacts], Iterator[Finding]]


def check_collector(graph: CollectorGraph, gate: GateFacts) -> tuple[Finding, ...]:
    """Return every finding of every rule once, errors first."""
    found = dict.fromkeys(finding for rule in RULES for finding in rule(graph, gate))
    return tuple(sorted(found, key=lambda finding: finding.severity != Severity.ERROR))


def _gate_exporters(graph: CollectorGraph, gate: GateFacts) -> frozenset[str]:
    return frozenset(
        name
        for name, config in used_exporters(graph)
        if gate.listen_ports.intersection(target_ports(config))
    )


def _egress_receivers(graph: CollectorGraph, gate: GateFacts) -> frozenset[str]:
    return graph.receivers_on_port(frozenset({gate.downstream_port}))


def _ingress_receivers(graph: CollectorGraph, gate: GateFacts) -> frozenset[str]:
    return graph.source_receivers() - _egress_receivers(graph, gate)


def _hops(graph: CollectorGraph, gate: GateFacts) -> Iterator[Finding]:
    """Something must reach the gate, and something must take what it returns."""
    ports = ", ".join(map(str, sorted(gate.listen_ports)))
    ingress = graph.reached_from(_ingress_receivers(graph, gate))
    used = {name for pipeline in ingress for name in pipeline.exporters}
    if _ingress_receivers(graph, gate) and used.isdisjoint(_gate_exporters(graph, gate)):
        yield Finding(
            "gate-not-reached",
            Severity.ERROR,
            graph.place("exporters"),
            f"no ingress pipeline exports to the gate (port {ports})",
            "add an otlp_grpc exporter with the gate's address to the ingress pipelines",
        )


def _loop(graph: CollectorGraph, gate: GateFacts) -> Iterator[Finding]:
    """What the gate returns must never reach the gate again."""
    exporters = _gate_exporters(graph, gate)
    for pipeline in graph.reached_from(_egress_receivers(graph, gate)):
        for name in exporters.intersection(pipeline.exporters):
            yield Finding(
                "loop",
                Severity.ERROR,
                graph.place("service", "pipelines", pipeline.name, "exporters"),
                f"the pipeline {pipeline.name} takes what the gate returns and sends it to the"
                f" gate again by {name}: the same data would circle for ever",
                f"take {name} out of {pipeline.name}",
            )


def _raw_leak(graph: CollectorGraph, gate: GateFacts) -> Iterator[Finding]:
    """Before the gate, nothing but the gate and connectors may take data."""
    allowed = _gate_exporters(graph, gate) | graph.connectors
    for pipeline in graph.reached_from(_ingress_receivers(graph, gate)):
        for name in pipeline.exporters:
            if name in allowed or component_type(name) == "nop":
                continue
            yield Finding(
                "raw-leak",
                Severity.ERROR,
                graph.place("service", "pipelines", pipeline.name, "exporters"),
                f"the ingress pipeline {pipeline.name} exports to {name} before the gate has"
                " removed secrets",
                "export to the gate there, and to the backend behind the egress receiver",
            )


def _egress_memory_limiter(graph: CollectorGraph, gate: GateFacts) -> Iterator[Finding]:
    """On the way back it would refuse exactly when a full queue needs draining."""
    for pipeline in graph.reached_from(_egress_receivers(graph, gate)):
        for name in pipeline.processors:
            if component_type(name) == "memory_limiter":
                yield Finding(
                    "egress-memory-limiter",
                    Severity.ERROR,
                    graph.place("service", "pipelines", pipeline.name, "processors"),
                    f"{name} on the return path ({pipeline.name}) blocks the drain exactly when"
                    " memory is short",
                    "keep memory_limiter on the ingress pipelines only",
                )


def _ingress_memory_limiter(graph: CollectorGraph, gate: GateFacts) -> Iterator[Finding]:
    """Without one in front, a burst ends in the kernel's out-of-memory killer."""
    ingress = _ingress_receivers(graph, gate)
    for pipeline in graph.pipelines:
        if ingress.isdisjoint(pipeline.receivers):
            continue
        if not any(component_type(name) == "memory_limiter" for name in pipeline.processors[:1]):
            yield Finding(
                "no-memory-limiter",
                Severity.WARNING,
                graph.place("service", "pipelines", pipeline.name),
                f"the ingress pipeline {pipeline.name} does not begin with memory_limiter",
                "make memory_limiter its first processor",
            )


def _queues(graph: CollectorGraph, _gate: GateFacts) -> Iterator[Finding]:
    """Each exporter that pushes needs a persistent queue that is allowed to try for ever."""
    for name, config in used_exporters(graph):
        if component_type(name) in _PULLED:
            continue
        queue = config.get("sending_queue")
        queue = queue if isinstance(queue, dict) else {}
        place = graph.place("exporters", name, "sending_queue")
        if queue.get("enabled") is False:
            continue  # In line: the answer goes back to the sender, who retries.
        if not queue.get("storage"):
            yield Finding(
                "no-persistent-queue",
                Severity.ERROR,
                place,
                f"the queue of {name} is in memory: a restart loses what was acknowledged",
                "set sending_queue.storage to a file_storage extension",
            )
        retry = config.get("retry_on_failure")
        retry = retry if isinstance(retry, dict) else {}
        limit = ("exporters", name, "retry_on_failure", "max_elapsed_time")
        if retry.get("enabled") is False or _seconds(graph, _COLLECTOR_RETRY_S, *limit) != 0:
            yield Finding(
                "retry-gives-up",
                Severity.ERROR,
                graph.place("exporters", name, "retry_on_failure"),
                f"{name} gives up retrying: a longer outage loses data",
                "set retry_on_failure: {enabled: true, max_elapsed_time: 0s}",
            )


def _queue_sizes(graph: CollectorGraph, _gate: GateFacts) -> Iterator[Finding]:
    """A file_storage that fills up loses data while it drains; half of it is safe."""
    for name, config in used_exporters(graph):
        queue = config.get("sending_queue")
        if not isinstance(queue, dict) or queue.get("sizer") != "bytes":
            continue
        storage = graph.section("extensions", str(queue.get("storage")))
        size, limit = queue.get("queue_size"), storage.get("max_size")
        if isinstance(size, int) and isinstance(limit, int) and limit and size * 2 > limit:
            yield Finding(
                "queue-fills-storage",
                Severity.ERROR,
                graph.place("exporters", name, "sending_queue", "queue_size"),
                f"the queue of {name} may hold {size} bytes, more than half of the {limit} bytes"
                " of its storage; a full storage loses data while it drains",
                f"set queue_size to at most {limit // 2}, or raise the storage's max_size",
            )


def _inner_queue(graph: CollectorGraph, _gate: GateFacts) -> Iterator[Finding]:
    """The inner queue of load_balancing acknowledges into memory."""
    for name, config in used_exporters(graph):
        if component_type(name) not in {"load_balancing", "loadbalancing"}:
            continue
        inner = nested(config, "protocol", "otlp")
        for key in ("sending_queue", "retry_on_failure"):
            part = inner.get(key)
            if not isinstance(part, dict) or part.get("enabled") is not False:
                yield Finding(
                    "inner-queue",
                    Severity.ERROR,
                    graph.place("exporters", name, "protocol", "otlp"),
                    f"{name} keeps its inner {key} on: it loses acknowledged data on a kill",
                    f"set protocol.otlp.{key}: {{enabled: false}} and keep the outer one",
                )


def _compression(graph: CollectorGraph, _gate: GateFacts) -> Iterator[Finding]:
    """On loopback compression costs more than the network."""
    for name, config in used_exporters(graph):
        endpoint = str(config.get("endpoint", "")).removeprefix("http://")
        pushes = component_type(name) in {"otlp_grpc", "otlp_http", *_OLD_NAMES}
        if pushes and endpoint.startswith(_LOOPBACK) and config.get("compression") != "none":
            yield Finding(
                "compression-on-loopback",
                Severity.WARNING,
                graph.place("exporters", name),
                f"{name} compresses (gzip is the default) for an address on this machine",
                "set compression: none",
            )


def _message_limits(graph: CollectorGraph, gate: GateFacts) -> Iterator[Finding]:
    """Receiver ≤ batch ≤ gate ≤ egress receiver, or single requests are dropped for good."""
    for name in sorted(_egress_receivers(graph, gate)):
        yield from _egress_limit(graph, gate, name)
    for name in sorted(_gate_exporters(graph, gate)):
        queue = nested(graph.section("exporters", name), "sending_queue")
        if queue.get("enabled") is False:
            # In line: what a receiver takes goes to the gate as it came.
            yield from _ingress_limits(graph, gate, gate.max_message_mib * _MIB)
            continue
        batch = nested(queue, "batch")
        place = graph.place("exporters", name, "sending_queue", "batch")
        size = batch.get("max_size")
        if not isinstance(size, int) or batch.get("sizer") != "bytes" or size == 0:
            yield Finding(
                "batch-not-sized",
                Severity.WARNING,
                place,
                f"{name} has no batch limit in bytes: one large batch is refused for good",
                f"set sending_queue.batch: {{sizer: bytes, max_size: {16 * _MIB}}}",
            )
            continue
        if size > gate.max_message_mib * _MIB:
            yield Finding(
                "batch-over-gate-limit",
                Severity.ERROR,
                place,
                f"{name} makes batches of up to {size} bytes; the gate refuses more than"
                f" {gate.max_message_mib} MiB, and what it refuses is dropped",
                "lower max_size, or raise server.max_message_mib",
            )
        yield from _ingress_limits(graph, gate, size)


def _egress_limit(graph: CollectorGraph, gate: GateFacts, name: str) -> Iterator[Finding]:
    limit_mib = _receive_limit_mib(graph, name)
    if limit_mib < gate.max_message_mib:
        yield Finding(
            "egress-limit",
            Severity.ERROR,
            graph.place("receivers", name, "protocols", "grpc"),
            f"{name} takes {limit_mib} MiB, the gate sends up to {gate.max_message_mib} MiB;"
            " what is refused there is dropped",
            f"set max_recv_msg_size_mib: {gate.max_message_mib}",
        )


def _ingress_limits(graph: CollectorGraph, gate: GateFacts, batch_bytes: int) -> Iterator[Finding]:
    for name in sorted(_ingress_receivers(graph, gate)):
        if component_type(name) != "otlp":
            continue
        yield from _http_limit(graph, name, batch_bytes)
        limit_mib = _receive_limit_mib(graph, name)
        if limit_mib * _MIB > batch_bytes:
            yield Finding(
                "receiver-over-batch-limit",
                Severity.ERROR,
                graph.place("receivers", name, "protocols", "grpc"),
                f"{name} takes {limit_mib} MiB, the batches behind it hold {batch_bytes} bytes:"
                " a single larger record is acknowledged and then dropped",
                f"set max_recv_msg_size_mib to at most {batch_bytes // _MIB}",
            )


def _http_limit(graph: CollectorGraph, name: str, batch_bytes: int) -> Iterator[Finding]:
    path = ("receivers", name, "protocols", "http")
    if "http" not in graph.section(*path[:-1]):
        return
    limit = graph.value(*path, "max_request_body_size")
    limit_bytes = limit if isinstance(limit, int) and limit > 0 else _COLLECTOR_BODY_BYTES
    if limit_bytes > batch_bytes:
        yield Finding(
            "receiver-over-batch-limit",
            Severity.ERROR,
            graph.place(*path),
            f"{name} takes {limit_bytes} bytes by HTTP, the batches behind it hold {batch_bytes}:"
            " a single larger record is acknowledged and then dropped",
            f"set max_request_body_size to at most {batch_bytes}",
        )


def _timeouts(graph: CollectorGraph, gate: GateFacts) -> Iterator[Finding]:
    """An exporter that gives up before the gate does sends everything twice."""
    for name in sorted(_gate_exporters(graph, gate)):
        timeout_s = _seconds(graph, _COLLECTOR_TIMEOUT_S, "exporters", name, "timeout")
        if timeout_s <= gate.downstream_timeout_s:
            yield Finding(
                "timeout-under-gate",
                Severity.WARNING,
                graph.place("exporters", name, "timeout"),
                f"{name} waits {timeout_s:g} s, the gate {gate.downstream_timeout_s:g} s for its"
                " own downstream: slow batches are sent twice",
                f"set timeout above {gate.downstream_timeout_s:g}s",
            )


def _file_log(graph: CollectorGraph, _gate: GateFacts) -> Iterator[Finding]:
    """file_log drops what the pipeline refuses unless told to retry."""
    for name in sorted(graph.source_receivers()):
        if component_type(name) not in {"file_log", "filelog"}:
            continue
        config = graph.section("receivers", name)
        retry = config.get("retry_on_failure")
        if not isinstance(retry, dict) or retry.get("enabled") is not True:
            yield Finding(
                "file-log-drops",
                Severity.ERROR,
                graph.place("receivers", name),
                f"{name} drops lines that a full queue refuses",
                "set retry_on_failure: {enabled: true, max_elapsed_time: 0s}",
            )
        if not config.get("storage"):
            yield Finding(
                "file-log-forgets",
                Severity.ERROR,
                graph.place("receivers", name),
                f"{name} does not keep its position: a restart loses or repeats lines",
                "set storage to a file_storage extension",
            )


def _batch_processor(graph: CollectorGraph, gate: GateFacts) -> Iterator[Finding]:
    """The batch processor acknowledges before the export; with nothing to hold it is a fuse."""
    reached = (
        *graph.reached_from(_ingress_receivers(graph, gate)),
        *graph.reached_from(_egress_receivers(graph, gate)),
    )
    for pipeline in dict.fromkeys(reached):
        for name in pipeline.processors:
            config = graph.section("processors", name)
            if component_type(name) != "batch":
                continue
            timeout_s = _seconds(graph, _BATCH_TIMEOUT_S, "processors", name, "timeout")
            if timeout_s != 0 or config.get("send_batch_size") != 0:
                yield Finding(
                    "batch-acknowledges-early",
                    Severity.ERROR,
                    graph.place("service", "pipelines", pipeline.name, "processors"),
                    f"{name} in {pipeline.name} acknowledges what it still holds in memory",
                    "batch in the exporter instead: sending_queue.batch",
                )


def _old_names(graph: CollectorGraph, _gate: GateFacts) -> Iterator[Finding]:
    """The old spellings still work, with a warning in the collector's log."""
    for name, _ in used_exporters(graph):
        new = _OLD_NAMES.get(component_type(name))
        if new is not None:
            yield Finding(
                "old-name",
                Severity.WARNING,
                graph.place("exporters", name),
                f"the exporter type {component_type(name)} is a deprecated alias",
                f"write {new}",
            )


RULES: Final[tuple[Rule, ...]] = (
    _hops,
    _loop,
    _raw_leak,
    _egress_memory_limiter,
    _ingress_memory_limiter,
    _queues,
    _queue_sizes,
    _inner_queue,
    _compression,
    _message_limits,
    _timeouts,
    _file_log,
    _batch_processor,
    signals_branch,
    _old_names,
)


def _receive_limit_mib(graph: CollectorGraph, name: str) -> int:
    grpc = graph.section("receivers", name, "protocols", "grpc")
    limit = grpc.get("max_recv_msg_size_mib")
    return limit if isinstance(limit, int) else _COLLECTOR_RECEIVE_MIB


def _seconds(graph: CollectorGraph, default: float, *path: str) -> float:
    """Return the duration at a path; raises ConfigError with its place where it is none."""
    value = graph.value(*path)
    if value is None:
        return default
    try:
        return parse_duration_s(value)
    except ValueError as error:
        raise ConfigError([f"{graph.place(*path)}: {error}"]) from error
