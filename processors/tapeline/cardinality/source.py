"""What a source of points is: a metric of one resource and scope, and what the limits say of it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tapeline.cardinality.admission import Group, Room
from tapeline.cardinality.folding.outputs import MetricIdentity, Producer
from tapeline.cardinality.route import ResourceView
from tapeline.cardinality.rules import MetricRule
from tapeline.cardinality.series_keys import KeyOrders

__all__ = ["MetricState", "Resource", "Scope", "Source"]

_BYTES_A_SOURCE: Final = 900


@dataclass(slots=True, eq=False)
class Resource:
    """A resource: its content, and who it belongs to.

    `is_known` is False of one that came when there were `max_resources` others.
    """

    key: int
    view: ResourceView
    schema_url: bytes
    tenant: str
    generation: int
    is_known: bool


@dataclass(slots=True, eq=False)
class MetricState:
    """What all sources of one metric name share.

    `evictions` are series that went because they were idle, and `refused` points that could not be
    folded, by why not.
    """

    rule: MetricRule
    room: Room
    orders: KeyOrders
    evictions: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, eq=False)
class Source:
    """One metric of one resource and scope. `key` is the seed of its series' keys.

    `output_seed` is that of the series which Tapeline writes in its place: they are cumulative.
    `overflow_key` is the key of its overflow series, once that was asked for. `stand_in` is the
    source whose overflow takes everything, where the resource is one too many; `synthetic` is,
    of such a source, the producer of all that it takes.
    """

    key: int
    metric: MetricIdentity
    output_metric: MetricIdentity
    resource: Resource
    scope: bytes
    scope_key: int
    scope_schema_url: bytes
    state: MetricState
    group: Group
    producer: Producer
    generation: int
    output_seed: int
    attribute_tag: int
    stand_in: "Source | None" = None
    synthetic: Producer | None = None
    overflow_key: int = 0

    @property
    def producers(self) -> tuple[Producer, ...]:
        """Its own producer, and the one that stands for those beyond limits."""
        return (self.producer,) if self.synthetic is None else (self.producer, self.synthetic)

    @property
    def identity_bytes(self) -> int:
        """About what it holds in memory by itself."""
        metric = self.metric
        texts = len(metric.name) + len(metric.unit) + len(metric.description)
        return _BYTES_A_SOURCE + texts + len(self.scope)


class Scope:
    """A scope of a resource as it stood on the wire, and the sources found in it so far."""

    __slots__ = ("content", "key", "resource", "schema_url", "sources")

    def __init__(self, resource: Resource, key: int, content: bytes, schema_url: bytes) -> None:
        self.resource = resource
        self.key = key
        self.content = content
        self.schema_url = schema_url
        self.sources: dict[tuple[int, tuple[bytes, bytes, bytes, bytes]], Source | None] = {}
