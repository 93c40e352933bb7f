"""Whose points they are: resources, scopes and metrics, found by the slices that name them.

A source is a producer with what the limits say of it: one metric of one resource and scope. The
same slices give the same source without being read again; other slices that mean the same do too.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from xxhash import xxh3_64_intdigest

from tapeline.cardinality.admission import (
    BYTES_A_GROUP,
    BYTES_A_SERIES,
    GENERATIONS_KEPT,
    Admission,
    Group,
    Room,
)
from tapeline.cardinality.config import OTHER
from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.folding.outputs import MetricIdentity, Producer, Temporality
from tapeline.cardinality.key_values import key_of, key_prefix, string_value, text_of_pair
from tapeline.cardinality.metric_reader import MetricView, RequestView
from tapeline.cardinality.point_layout import EXPONENTIAL_HISTOGRAM, HISTOGRAM, KINDS, SUM
from tapeline.cardinality.route import ResourceView, resource_content
from tapeline.cardinality.rules import Rules
from tapeline.cardinality.series_keys import KeyOrders, plain_pair
from tapeline.cardinality.source import MetricState, Resource, Scope, Source
from tapeline.otlp.wire import MalformedRequestError, encode_varint

__all__ = ["MAX_SOURCES", "SourceLimits", "Sources"]

MAX_SOURCES: Final = 200_000
"""Producers that are known at a time; points of further ones are refused and counted."""
MAX_SOURCES_OF_A_NAME: Final = 32
"""Scopes, units and types that one metric name may come with in one resource. Each has an overflow
series of its own, outside of the limit, so a flood of them would be one of series."""

_MAX_IDENTITY_BYTES: Final = 256 << 20
# Slices that were read before: when they are more, all are read anew.
_MAX_SLICE_BYTES: Final = 64 << 20
_BYTES_A_SLICE: Final = 300
_MAX_DESCRIPTION: Final = 1024

_SERVICE_NAME: Final = b"service.name"
_OTHER_SERVICE: Final = key_prefix("service.name") + string_value(OTHER)
_SYNTHETIC_BIT: Final = 1 << 63
_WITH_TEMPORALITY: Final = frozenset({SUM, HISTOGRAM, EXPONENTIAL_HISTOGRAM})
_DATA_NAMES: Final = {
    5: "gauge",
    7: "sum",
    9: "histogram",
    10: "exponential_histogram",
    11: "summary",
}


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """How many resources are kept apart, who owns a series, and how many series there may be."""

    max_resources: int
    tenant_by: str
    global_limit: int


class Sources:
    """Finds the source of every metric in a request, and forgets those that are idle."""

    def __init__(self, rules: Rules, limits: SourceLimits, seed: int) -> None:
        self.admission = Admission()
        self.global_room = Room(limits.global_limit)
        self.by_key: dict[int, Source] = {}
        self.resources: dict[int, Resource] = {}
        self.metrics: dict[str, MetricState] = {}
        self.tenants: dict[str, Room] = {}
        self.folder: Folder
        self.fold_evicted_up_to_unix_nano = 0
        self.evicted_resources = 0
        self.evicted_producers = 0
        self.bound_hits: Counter[str] = Counter()
        self._of_name: Counter[tuple[int, str]] = Counter()
        self._rules = rules
        self._limits = limits
        self._tenant_key = limits.tenant_by.encode()
        self.seed = seed
        self.stand_ins: dict[int, Resource] = {}
        self._scopes: dict[tuple[bytes, bytes], Scope] = {}
        self._slice_bytes = 0
        self._identity_bytes = 0
        self._now_unix_nano = 0
        self._generation = 0

    def scopes_of(self, view: RequestView, generation: int, now_unix_nano: int) -> dict[int, Scope]:
        """Return the scopes of a request by the number of their container.

        Raises MalformedRequestError where a resource or a scope does not parse.
        """
        self._generation = generation
        self._now_unix_nano = now_unix_nano
        found = {}
        for number, (resource, header) in view.scopes.items():
            slices = (view.resources[resource], header)
            scope = self._scopes.get(slices) or self._read_scope(slices)
            scope.resource.generation = generation
            found[number] = scope
        return found

    def source_of(self, scope: Scope, view: MetricView) -> Source | None:
        """Return the source of a metric's points; None where there are too many already.

        Raises MalformedRequestError where the metric does not parse.
        """
        slices = (view.kind, view.header)
        source = scope.sources.get(slices)
        if source is None:
            source = self._read_metric(scope, view)
            if source is None:
                return None
            if source.stand_in is None:
                scope.sources[slices] = source
                self._note_slices(sum(map(len, view.header)))
        if source.generation != self._generation:
            source.generation = self._generation
        return source

    def beside(self, source: Source, content: bytes) -> Source | None:
        """Return the source that is the same but for its resource, which has this content."""
        resource = self._resource_of(ResourceMetrics(resource=ResourceMessage.FromString(content)))
        scope = Scope(resource, source.scope_key, source.scope, source.scope_schema_url)
        return self._source(scope, source.metric)

    def remove_idle(self, generation: int) -> None:
        """Forget resources and sources that were not seen for four whole generations."""
        oldest = generation - GENERATIONS_KEPT
        for known in (self.resources, self.stand_ins):
            for key in [key for key, one in known.items() if one.generation < oldest]:
                self.evicted_resources += 1
                self._identity_bytes -= len(known.pop(key).view.content)
        gone: set[Producer] = set()
        for source in [source for source in self.by_key.values() if source.generation < oldest]:
            synthetic = source.synthetic
            has_streams = source.producer.streams or (synthetic and synthetic.streams)
            if has_streams or len(source.group):
                continue
            del self.by_key[source.key]
            self._identity_bytes -= source.identity_bytes
            self._of_name[source.resource.key, source.metric.name] -= 1
            # Nobody will know up to when its series were counted, so all new sources are told.
            gone.update(source.producers)
            for producer in source.producers:
                self.evicted_producers += 1
                self.folder.remember(producer)
                self.fold_evicted_up_to_unix_nano = max(
                    self.fold_evicted_up_to_unix_nano, producer.fold_evicted_up_to_unix_nano
                )
        producers = {one for source in self.by_key.values() for one in source.producers}
        for producer in producers:
            if producer.stand_ins:
                producer.absorb(gone)
        self.admission.remove_empty(producers)
        metrics = {source.metric.name for source in self.by_key.values()}
        self.metrics = {name: state for name, state in self.metrics.items() if name in metrics}
        tenants = {group.tenant for group in self.admission.groups.values()}
        self.tenants = {name: room for name, room in self.tenants.items() if name in tenants}
        self._of_name = +self._of_name
        self._forget_slices()

    @property
    def state_bytes(self) -> int:
        """About what it all holds in memory."""
        series = BYTES_A_SERIES * self.global_room.admitted
        groups = BYTES_A_GROUP * len(self.admission.groups)
        return self._slice_bytes + self._identity_bytes + series + groups

    def _note_slices(self, size_bytes: int) -> None:
        self._slice_bytes += size_bytes + _BYTES_A_SLICE
        if self._slice_bytes > _MAX_SLICE_BYTES:
            self._forget_slices()

    def _forget_slices(self) -> None:
        self._scopes.clear()
        self._slice_bytes = 0

    def _read_scope(self, slices: tuple[bytes, bytes]) -> Scope:
        try:
            around = ResourceMetrics.FromString(slices[0])
            within = ScopeMetrics.FromString(slices[1])
        except DecodeError as error:
            raise MalformedRequestError(f"a resource or scope does not parse: {error}") from error
        resource = self._resource_of(around)
        own = within.scope
        attributes = sorted(set(_pairs(own.attributes)))
        schema_url = within.schema_url.encode()
        key = self._digest((own.name.encode(), own.version.encode(), schema_url, *attributes))
        scope = Scope(resource, key, own.SerializeToString(deterministic=True), schema_url)
        if resource.is_known:
            self._scopes[slices] = scope
            self._note_slices(len(slices[0]) + len(slices[1]))
        return scope

    def _resource_of(self, around: ResourceMetrics) -> Resource:
        pairs = _pairs(around.resource.attributes)
        key = self._digest(sorted(set(pairs)))
        known = self.resources.get(key)
        if known is not None:
            known.generation = self._generation
            return known
        content = around.resource.SerializeToString(deterministic=True)
        resource = Resource(
            key=key,
            view=ResourceView(content, pairs),
            schema_url=around.schema_url.encode(),
            tenant=self._tenant_of(pairs),
            generation=self._generation,
            is_known=len(self.resources) < self._limits.max_resources,
        )
        if resource.is_known:
            self.resources[key] = resource
            self._identity_bytes += len(content)
        else:
            self.bound_hits["resources"] += 1
        return resource

    def _tenant_of(self, pairs: Iterable[bytes]) -> str:
        return next((text_of_pair(pair) for pair in pairs if key_of(pair) == self._tenant_key), "")

    def _has_room(self, resource: Resource, name: str, most: int = MAX_SOURCES_OF_A_NAME) -> bool:
        return (
            len(self.by_key) < MAX_SOURCES
            and self._identity_bytes < _MAX_IDENTITY_BYTES
            and self._of_name[resource.key, name] < most
        )

    def _read_metric(self, scope: Scope, view: MetricView) -> Source | None:
        before, first, after, behind = view.header
        data = first + after
        name = _DATA_NAMES[view.kind]
        try:
            outer = Metric.FromString(before + behind)
            held = Metric.FromString(bytes((view.kind << 3 | 2,)) + encode_varint(len(data)) + data)
        except DecodeError as error:
            raise MalformedRequestError(f"a metric does not parse: {error}") from error
        temporality, is_monotonic = 0, False
        if view.kind in _WITH_TEMPORALITY:
            inner = getattr(held, name)
            temporality = inner.aggregation_temporality
            is_monotonic = view.kind == SUM and inner.is_monotonic
        identity = MetricIdentity(
            outer.name,
            outer.unit,
            view.kind,
            temporality,
            is_monotonic,
            outer.description[:_MAX_DESCRIPTION],
            _metadata(outer),
        )
        return self._source(scope, identity)

    def _source(self, scope: Scope, metric: MetricIdentity) -> Source | None:
        resource = scope.resource
        seed = self._seed_of(resource, scope, metric)
        source = self.by_key.get(seed) if resource.is_known else None
        if source is not None:
            source.resource = resource
            return source
        if resource.is_known and self._has_room(resource, metric.name):
            return self._keep(self._new_source(scope, metric, seed, None))
        stand_in = self._stand_in(resource, metric)
        if resource.is_known or stand_in is None:
            self.bound_hits["producers"] += 1
        if stand_in is None or stand_in.key == seed:
            return stand_in
        return self._new_source(scope, metric, seed, stand_in)

    def _keep(self, source: Source) -> Source:
        self.by_key[source.key] = source
        self._identity_bytes += source.identity_bytes
        self._of_name[source.resource.key, source.metric.name] += 1
        source.group.producers.add(source.producer)
        return source

    def _new_source(
        self, scope: Scope, metric: MetricIdentity, seed: int, stand_in: Source | None
    ) -> Source:
        resource = scope.resource
        output_metric, output_seed = metric, seed
        if metric.temporality == Temporality.DELTA:
            output_metric = replace(metric, temporality=Temporality.CUMULATIVE)
            output_seed = self._seed_of(resource, scope, output_metric)
        state = self.metric_state(metric.name)
        return Source(
            key=seed,
            metric=metric,
            output_metric=output_metric,
            resource=resource,
            scope=scope.content,
            scope_key=scope.key,
            scope_schema_url=scope.schema_url,
            state=state,
            group=(
                self._group_beyond(metric.name, resource.tenant, stand_in)
                if stand_in
                else self.group(metric.name, resource.tenant)
            ),
            producer=self._producer(resource, metric, seed, stand_in),
            generation=self._generation,
            output_seed=output_seed,
            attribute_tag=KINDS[metric.kind].attributes,
            stand_in=stand_in,
        )

    def _producer(
        self, resource: Resource, metric: MetricIdentity, seed: int, stand_in: Source | None
    ) -> Producer:
        if seed in self.by_key:
            # It lost its place, but not all of its series yet: nobody knows more of them.
            return self.by_key[seed].producer
        if stand_in is not None:
            return self.synthetic_of(stand_in)
        producer = self._new_producer(seed, metric, is_synthetic=False)
        producer.stand_ins = self._former_stand_ins(resource, metric)
        return producer

    def _former_stand_ins(self, resource: Resource, metric: MetricIdentity) -> tuple[Producer, ...]:
        """Return the producers that took a new one's streams if it had no place until now."""
        scope_key = self._digest((b"", b"", b""))
        keys = [self._digest(pairs) for pairs in (_service_name(resource), [_OTHER_SERVICE])]
        sources = [self.by_key.get(self._seed(key, scope_key, metric)) for key in keys]
        return tuple(dict.fromkeys([one.synthetic for one in sources if one and one.synthetic]))

    def _new_producer(self, key: int, metric: MetricIdentity, *, is_synthetic: bool) -> Producer:
        now = self._now_unix_nano
        producer = self.folder.producer(key, metric, now, is_synthetic=is_synthetic)
        producer.fold_evicted_up_to_unix_nano = self.fold_evicted_up_to_unix_nano
        return producer

    def _stand_in(self, resource: Resource, metric: MetricIdentity) -> Source | None:
        """Return the source of the resource that has nothing but the service's name.

        None where it is not known yet, and there are too many to begin with it.
        """
        known = self._stand_in_resource(_service_name(resource))
        if known is None:
            known = self._stand_in_resource([_OTHER_SERVICE])
        if known is None:
            return None
        known.generation = self._generation
        scope = Scope(known, self._digest((b"", b"", b"")), b"", b"")
        source = self.by_key.get(self._seed_of(known, scope, metric))
        if source is None:
            # It may be the very resource that has no room for more.
            if not self._has_room(known, metric.name, 2 * MAX_SOURCES_OF_A_NAME):
                return None
            seed = self._seed_of(known, scope, metric)
            source = self._keep(self._new_source(scope, metric, seed, None))
        source.generation = self._generation
        self.synthetic_of(source)
        return source

    def synthetic_of(self, source: Source) -> Producer:
        """Return the producer of what comes from beyond the limits to a source."""
        if source.synthetic is None:
            key = source.key ^ _SYNTHETIC_BIT
            source.synthetic = self._new_producer(key, source.metric, is_synthetic=True)
            source.group.producers.add(source.synthetic)
        return source.synthetic

    def of_producer(self, key: int) -> Source | None:
        """Return the source whose own or synthetic producer has this key."""
        return self.by_key.get(key) or self.by_key.get(key ^ _SYNTHETIC_BIT)

    def producer_of(self, key: int) -> Producer | None:
        """Return a producer by its key, for a folder that is loaded."""
        source = self.of_producer(key)
        if source is None:
            return None
        return source.producer if source.key == key else self.synthetic_of(source)

    def restore_resource(
        self, content: bytes, schema_url: bytes, generation: int, *, is_stand_in: bool
    ) -> int:
        """Take a resource of a snapshot; return its key."""
        pairs = _pairs(ResourceMessage.FromString(content).attributes)
        key = self._digest(sorted(set(pairs)))
        view = ResourceView(content, pairs)
        tenant = self._tenant_of(pairs)
        resource = Resource(key, view, schema_url, tenant, generation, is_known=True)
        (self.stand_ins if is_stand_in else self.resources)[key] = resource
        self._identity_bytes += len(content)
        return key

    def remove_resource(self, key: int) -> None:
        """Forget a resource that is kept apart; its sources stay as they are."""
        self._identity_bytes -= len(self.resources.pop(key).view.content)

    def restore_source(
        self,
        metric: MetricIdentity,
        resource_key: int,
        scope: tuple[bytes, int, bytes],
        generation: int,
    ) -> Source:
        """Take a source of a snapshot, whose resource is there; raises KeyError if it is not."""
        resource = self.resources.get(resource_key) or self.stand_ins[resource_key]
        content, scope_key, schema_url = scope
        around = Scope(resource, scope_key, content, schema_url)
        seed = self._seed_of(resource, around, metric)
        source = self._keep(self._new_source(around, metric, seed, None))
        source.generation = generation
        return source

    def _stand_in_resource(self, pairs: list[bytes]) -> Resource | None:
        key = self._digest(pairs)
        known = self.resources.get(key) or self.stand_ins.get(key)
        if known is None:
            is_last = pairs == [_OTHER_SERVICE]
            if len(self.stand_ins) >= self._limits.max_resources and not is_last:
                return None
            known = Resource(
                key=key,
                view=ResourceView(resource_content(pairs), tuple(pairs)),
                schema_url=b"",
                tenant=self._tenant_of(pairs),
                generation=self._generation,
                is_known=True,
            )
            self.stand_ins[key] = known
            self._identity_bytes += len(known.view.content)
        return known

    def metric_state(self, name: str) -> MetricState:
        """Return what all sources of a metric share, made where it is new."""
        state = self.metrics.get(name)
        if state is None:
            rule = self._rules.for_metric(name)
            state = MetricState(rule, Room(rule.limit), KeyOrders())
            self.metrics[name] = state
        return state

    def group(self, metric: str, tenant: str) -> Group:
        """Return the series of a metric and tenant, made where there are none yet."""
        group = self.admission.groups.get((metric, tenant))
        if group is None:
            rooms = [self.metric_state(metric).room, self.global_room]
            limit = self._rules.tenant_limit(tenant)
            if limit is not None:
                rooms.append(self.tenants.setdefault(tenant, Room(limit)))
            group = self.admission.add(metric, tenant, rooms)
        return group

    def _group_beyond(self, metric: str, tenant: str, stand_in: Source) -> Group:
        group = self.admission.groups.get((metric, tenant))
        if group is None:
            return stand_in.group
        if stand_in.synthetic is not None:
            # Where it loses series, the overflow that takes its points must know of that.
            group.producers.add(stand_in.synthetic)
        return group

    def _seed_of(self, resource: Resource, scope: Scope, metric: MetricIdentity) -> int:
        return self._seed(resource.key, scope.key, metric)

    def _seed(self, resource_key: int, scope_key: int, metric: MetricIdentity) -> int:
        return self._digest(
            (
                resource_key.to_bytes(8, "little"),
                scope_key.to_bytes(8, "little"),
                metric.name.encode(),
                metric.unit.encode(),
                bytes((metric.kind, metric.temporality & 0xFF, metric.is_monotonic)),
            )
        )

    def _digest(self, parts: Iterable[bytes]) -> int:
        """Return a key of some texts, which no other texts have."""
        framed = b"".join([len(part).to_bytes(8, "little") + part for part in parts])
        return xxh3_64_intdigest(framed, self.seed)


def _metadata(metric: Metric) -> bytes:
    fields = Metric(metadata=metric.metadata).SerializeToString(deterministic=True)
    return fields if len(fields) <= _MAX_DESCRIPTION else b""


def _service_name(resource: Resource) -> list[bytes]:
    """Return what the resource that stands in for another has."""
    return [pair for pair in resource.view.pairs if key_of(pair) == _SERVICE_NAME][:1]


def _pairs(attributes: Iterable[KeyValue]) -> tuple[bytes, ...]:
    return tuple([plain_pair(attribute) for attribute in attributes])
