"""The state of the limiter of metrics as plain data, for the snapshot, and back."""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, Final

from tapeline.cardinality.admission import Group
from tapeline.cardinality.decisions import Decider, Promoted
from tapeline.cardinality.folding.folder import Folder
from tapeline.cardinality.folding.outputs import MetricIdentity, Producer
from tapeline.cardinality.series_keys import KeyOrder, KeyOrders
from tapeline.cardinality.source import Source
from tapeline.cardinality.sources import Sources

__all__ = ["dump_decider", "dump_sources", "load_decider", "load_sources"]

_PRODUCER_FIELDS: Final = (
    "seen_since_unix_nano",
    "last_seen_unix_nano",
    "last_eviction_unix_nano",
    "evicted_up_to_unix_nano",
    "fold_evicted_up_to_unix_nano",
    "first_forgotten_part",
)


def dump_sources(sources: Sources, *, with_producers: bool) -> dict[str, Any]:
    """Return resources, metrics, admitted series and producers."""
    known = (*sources.resources.values(), *sources.stand_ins.values())
    keys = {one.key for one in known}
    # A resource goes when it is idle, also where a source of it stays for its folded streams.
    gone = {
        source.resource.key: source.resource
        for source in sources.by_key.values()
        if with_producers and source.resource.key not in keys
    }
    return {
        "resources": [
            [one.view.content, one.schema_url, one.generation, one.key in sources.stand_ins]
            for one in known
        ],
        "resources_gone": [
            [one.view.content, one.schema_url, one.generation] for one in gone.values()
        ],
        "metrics": [
            [name, [[list(order.keys), order.value_first] for order in state.orders.dump()]]
            for name, state in sources.metrics.items()
        ],
        "groups": [_dump_group(group) for group in sources.admission.groups.values()],
        "sources": [_dump_source(source) for source in sources.by_key.values() if with_producers],
        "fold_evicted_up_to": sources.fold_evicted_up_to_unix_nano,
    }


def load_sources(
    sources: Sources,
    data: dict[str, Any],
    *,
    with_series: Callable[[str], bool],
    with_producers: bool,
) -> list[set[int]]:
    """Take over what `dump_sources` returned, into sources that know nothing yet.

    The series of a metric stay admitted where `with_series` says so of its name; return the others.
    """
    dropped = []
    for content, schema_url, generation, is_stand_in in data["resources"]:
        sources.restore_resource(content, schema_url, generation, is_stand_in=is_stand_in)
    for name, orders in data["metrics"]:
        kept = (KeyOrder(tuple(keys), value_first) for keys, value_first in orders)
        sources.metric_state(name).orders = KeyOrders(kept)
    for row in data["groups"]:
        if with_series(row[0]):
            _load_group(sources, row)
        else:
            *_, current, older = row
            dropped += [
                _unpacked(packed) for packed in (current, *(packed for _, packed, _ in older))
            ]
    if with_producers:
        gone = [
            sources.restore_resource(content, schema_url, generation, is_stand_in=False)
            for content, schema_url, generation in data["resources_gone"]
        ]
        for row in data["sources"]:
            _load_source(sources, row)
        for row in data["sources"]:
            _load_stand_ins(sources, row)
        for key in gone:
            sources.remove_resource(key)
        sources.fold_evicted_up_to_unix_nano = data["fold_evicted_up_to"]
    return dropped


def _dump_group(group: Group) -> list[Any]:
    return [
        group.metric,
        group.tenant,
        group.generation,
        group.lead_nano,
        _packed(group.current),
        [[one.generation, _packed(one.keys), one.until_unix_nano] for one in group.older],
    ]


def _load_group(sources: Sources, row: list[Any]) -> None:
    metric, tenant, generation, lead_nano, current, older = row
    group = sources.group(metric, tenant)
    group.generation = generation
    group.lead_nano = lead_nano
    group.current = _unpacked(current)
    group.take(len(group.current))
    for seen, packed, until_unix_nano in older:
        keys = _unpacked(packed)
        group.restore(seen, keys, until_unix_nano)


def _packed(keys: Iterable[int]) -> bytes:
    return array("Q", keys).tobytes()


def _unpacked(packed: bytes) -> set[int]:
    return set(array("Q", packed))


def _dump_source(source: Source) -> list[Any]:
    return [
        [getattr(source.metric, field.name) for field in fields(MetricIdentity)],
        source.resource.key,
        source.scope,
        source.scope_key,
        source.scope_schema_url,
        source.generation,
        _dump_producer(source.producer),
        None if source.synthetic is None else _dump_producer(source.synthetic),
        [source.key, *(one.key for one in source.producer.stand_ins)],
    ]


def _dump_producer(producer: Producer) -> list[int]:
    return [getattr(producer, name) for name in _PRODUCER_FIELDS]


def _load_source(sources: Sources, row: list[Any]) -> None:
    metric, resource_key, scope, scope_key, schema_url, generation, own, synthetic, _ = row
    source = sources.restore_source(
        MetricIdentity(*metric), resource_key, (scope, scope_key, schema_url), generation
    )
    _load_producer(source.producer, own)
    if synthetic is not None:
        _load_producer(sources.synthetic_of(source), synthetic)


def _load_stand_ins(sources: Sources, row: list[Any]) -> None:
    key, *stand_ins = row[-1]
    found = (sources.producer_of(stand_in) for stand_in in stand_ins)
    sources.by_key[key].producer.stand_ins = tuple(one for one in found if one is not None)


def _load_producer(producer: Producer, row: list[int]) -> None:
    for name, value in zip(_PRODUCER_FIELDS, row, strict=True):
        setattr(producer, name, value)


def dump_decider(decider: Decider) -> dict[str, Any]:
    """Return promoted streams, and which outputs count as series."""
    return {
        "promoted": [
            [
                key,
                one.last_time_unix_nano,
                None if one.output is None else one.output.key,
                [one.group.metric, one.group.tenant],
                one.since,
                one.seen,
            ]
            for key, one in decider.promoted.items()
        ],
        "outputs": [
            [key, group.metric, group.tenant] for key, group in decider.output_groups.items()
        ],
    }


def load_decider(decider: Decider, folder: Folder, sources: Sources, data: dict[str, Any]) -> None:
    """Take over what `dump_decider` returned, when the sources and the folder are loaded."""
    for key, last_time_unix_nano, output_key, group_name, since, seen in data["promoted"]:
        group = sources.group(*group_name)
        group.take(1)
        output = folder.outputs.get(output_key)
        decider.promoted[key] = Promoted(last_time_unix_nano, output, group, since, seen)
    for key, metric, tenant in data["outputs"]:
        if key in folder.outputs:
            decider.output_groups[key] = sources.group(metric, tenant)
    decider.looker.must_read_times = bool(decider.promoted)
    for output in folder.outputs.values():
        decider.conflicts.note(output.identity)
