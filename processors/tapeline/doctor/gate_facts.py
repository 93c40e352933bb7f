"""What the rules know of the sidecars, and how they find them in a collector's configuration."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tapeline.doctor.collector_graph import DEFAULT_GRPC_PORT, CollectorGraph, port_of

__all__ = ["GateFacts", "nested", "target_ports", "used_exporters"]

SIGNALS_PORTS: Final = frozenset({4329})
"""Where config/signals.yaml lets the signals sidecar listen."""


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What the rules need to know of the gate, and of the signals sidecar.

    Ports identify them: host names differ by network.
    """

    listen_ports: frozenset[int]
    downstream_port: int
    max_message_mib: int
    downstream_timeout_s: float
    signals_ports: frozenset[int] = SIGNALS_PORTS


def target_ports(config: dict[str, Any]) -> Iterator[int]:
    """Yield the ports that an exporter sends to, behind any resolver."""
    direct = port_of(config.get("endpoint"))
    if direct is not None:
        yield direct
    for kind, resolver in nested(config, "resolver").items():
        if not isinstance(resolver, dict):
            continue
        if kind == "static":
            names = resolver.get("hostnames")
            for name in names if isinstance(names, list) else ():
                yield port_of(name) or DEFAULT_GRPC_PORT
            continue
        # dns and aws_cloud_map have one port, k8s has a list.
        ports = resolver.get("ports") if kind == "k8s" else [resolver.get("port")]
        for port in ports if isinstance(ports, list) else (None,):
            yield port_of(f":{port}") or DEFAULT_GRPC_PORT


def used_exporters(graph: CollectorGraph) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and configuration of each exporter that is in a pipeline and no connector."""
    used = {name for pipeline in graph.pipelines for name in pipeline.exporters}
    for name in sorted(used - graph.connectors):
        config = graph.section("exporters").get(name)
        yield name, config if isinstance(config, dict) else {}


def nested(config: Any, *path: str) -> dict[str, Any]:
    """Return the mapping at a path; empty where there is none."""
    current = config
    for part in path:
        current = current.get(part) if hasattr(current, "get") else None
    return current if isinstance(current, dict) else {}
