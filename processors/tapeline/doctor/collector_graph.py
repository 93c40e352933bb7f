"""A collector's configuration as a graph: receivers, pipelines, connectors, exporters."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tapeline.pipeline.loader import ConfigError, Document, read_document

__all__ = [
    "DEFAULT_GRPC_PORT",
    "CollectorGraph",
    "Pipeline",
    "component_type",
    "port_of",
    "read_collector",
]

DEFAULT_GRPC_PORT: Final = 4317
_DEFAULT_PORTS: Final = {"grpc": DEFAULT_GRPC_PORT, "http": 4318}
"""Where the collector's otlp receiver listens when no endpoint is set."""
_PORT: Final = re.compile(r":(\d{1,5})(?:/.*)?$")
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline of `service.pipelines`."""

    name: str
    receivers: tuple[str, ...]
    processors: tuple[str, ...]
    exporters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CollectorGraph:
    """The merged configuration of one collector process, and where each part of it stands."""

    data: Mapping[str, Any]
    pipelines: tuple[Pipeline, ...]
    documents: tuple[Document, ...] = field(repr=False)

    def place(self, *path: str | int) -> str:
        """Return `file:line` of a path; the last file that has it wins, as in the collector."""
        for length in range(len(path), 0, -1):
            for document in reversed(self.documents):
                if path[:length] in document.lines:
                    return document.place(path[:length])
        return self.documents[-1].place(())

    def section(self, *path: str) -> Mapping[str, Any]:
        """Return the mapping at a path; empty where there is none."""
        current: Any = self.data
        for part in path:
            current = current.get(part) if isinstance(current, Mapping) else None
        return current if isinstance(current, Mapping) else {}

    def value(self, *path: str) -> Any:
        """Return the value at a path; None where there is none."""
        return self.section(*path[:-1]).get(path[-1])

    @property
    def connectors(self) -> frozenset[str]:
        """The names of the connectors."""
        return frozenset(self.section("connectors"))

    def reached_from(self, receivers: Iterable[str]) -> tuple[Pipeline, ...]:
        """Return the pipelines that data of these receivers passes, connectors followed."""
        sources = set(receivers)
        reached: dict[str, Pipeline] = {}
        grew = True
        while grew:
            grew = False
            for pipeline in self.pipelines:
                if pipeline.name in reached or sources.isdisjoint(pipeline.receivers):
                    continue
                reached[pipeline.name] = pipeline
                sources.update(self.connectors.intersection(pipeline.exporters))
                grew = True
        return tuple(reached.values())

    def receivers_on_port(self, ports: frozenset[int]) -> frozenset[str]:
        """Return the receivers in use that listen on one of the ports."""
        used = {name for pipeline in self.pipelines for name in pipeline.receivers}
        return frozenset(
            name
            for name in used - self.connectors
            if any(port in ports for port in self._ports_of(name))
        )

    def _ports_of(self, receiver: str) -> Iterator[int]:
        yield from _ports_within(self.section("receivers", receiver))
        protocols = self.section("receivers", receiver, "protocols")
        if component_type(receiver) == "otlp":
            for name, config in protocols.items():
                endpoint = config.get("endpoint") if isinstance(config, Mapping) else None
                if endpoint is None and name in _DEFAULT_PORTS:
                    yield _DEFAULT_PORTS[name]

    def source_receivers(self) -> frozenset[str]:
        """Return the receivers in use that are not connectors."""
        used = {name for pipeline in self.pipelines for name in pipeline.receivers}
        return frozenset(used - self.connectors)


def read_collector(paths: Sequence[Path]) -> CollectorGraph:
    """Read the files of one collector process and merge them as `--config A --config B` does.

    Raises ConfigError where a file can't be read, or has no pipelines once all are merged.
    """
    documents = tuple(read_document(path, unset_is_empty=True) for path in paths)
    merged: dict[str, Any] = {}
    for document in documents:
        merged = _merge(merged, document.data)
    pipelines = tuple(_pipelines(merged))
    if not pipelines:
        names = ", ".join(document.name for document in documents)
        raise ConfigError([f"{names}: no service.pipelines: is this a collector's configuration?"])
    return CollectorGraph(merged, pipelines, documents)


def component_type(name: str) -> str:
    """Return the type of a component: `otlp_grpc` of `otlp_grpc/gate`."""
    return name.partition("/")[0]


def port_of(endpoint: object) -> int | None:
    """Return the port of `host:port` or of a URL; None where there is none."""
    match = _PORT.search(endpoint) if isinstance(endpoint, str) else None
    return int(match.group(1)) if match else None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both_maps = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(below, value) if both_maps and below is not None else value
    return merged


def _pipelines(data: Mapping[str, Any]) -> Iterator[Pipeline]:
    service = data.get("service")
    pipelines = service.get("pipelines") if isinstance(service, Mapping) else None
    if not isinstance(pipelines, Mapping):
        return
    for name, parts in pipelines.items():
        if isinstance(parts, Mapping):
            yield Pipeline(name, *(_names(parts, key) for key in _PARTS))


_PARTS: Final = ("receivers", "processors", "exporters")


def _names(parts: Mapping[str, Any], key: str) -> tuple[str, ...]:
    listed = parts.get(key)
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def _ports_within(section: Mapping[str, Any]) -> Iterator[int]:
    pending: list[Any] = [section]
    while pending:
        current = pending.pop()
        if not isinstance(current, Mapping):
            continue
        port = port_of(current.get("endpoint"))
        if port is not None:
            yield port
        pending.extend(current.values())
