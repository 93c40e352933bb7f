"""The mistakes in the branch of the signals sidecar: it gets copies, in order, and nothing back."""

from collections.abc import Iterator

from tapeline.doctor.collector_graph import CollectorGraph, Pipeline, component_type
from tapeline.doctor.findings import Finding, Severity
from tapeline.doctor.gate_facts import GateFacts, nested, target_ports, used_exporters

__all__ = ["signals_branch"]


def signals_branch(graph: CollectorGraph, gate: GateFacts) -> Iterator[Finding]:
    """A copy of logs and traces, in order, whose full queue is nobody else's trouble."""
    for name, config in used_exporters(graph):
        if gate.signals_ports.isdisjoint(target_ports(config)):
            continue
        for pipeline in graph.pipelines:
            if name in pipeline.exporters:
                yield from _pipeline(graph, pipeline, name)
        queue = nested(config, "sending_queue")
        if queue.get("enabled") is not False and queue.get("num_consumers") != 1:
            yield Finding(
                "signals-out-of-order",
                Severity.WARNING,
                graph.place("exporters", name, "sending_queue"),
                f"{name} has several consumers: events overtake each other, and some are late",
                "set sending_queue.num_consumers: 1",
            )


def _pipeline(graph: CollectorGraph, pipeline: Pipeline, name: str) -> Iterator[Finding]:
    place = graph.place("service", "pipelines", pipeline.name)
    if component_type(pipeline.name) == "metrics":
        yield Finding(
            "signals-loop",
            Severity.ERROR,
            place,
            f"the pipeline {pipeline.name} sends metrics to the signals sidecar, which hands them"
            " on: its own would circle for ever",
            f"take {name} out of {pipeline.name}",
        )
    if not any(component_type(each) == "batch" for each in pipeline.processors):
        yield Finding(
            "signals-not-apart",
            Severity.ERROR,
            place,
            f"a full queue of {name} refuses what {pipeline.name} got: the gate sends all of it"
            " again, and the backends get it twice",
            "give the branch a pipeline with batch: {timeout: 0s, send_batch_size: 0}",
        )
