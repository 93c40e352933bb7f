"""The request that leaves: without the points that don't, and with outputs at its end."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tapeline.cardinality.folding.outputs import MetricIdentity, Output
from tapeline.otlp.index import NO_CONTAINER, RecordIndex
from tapeline.otlp.wire import LONG_VARINT, WireType, encode_varint

__all__ = ["encode_outputs", "rewrite"]

_LENGTH: Final = WireType.LENGTH_DELIMITED


def rewrite(payload: bytes, index: RecordIndex, kept: Mapping[int, Sequence[int]]) -> bytes:
    """Return the request with only some of the points of some metrics, in the order given.

    `kept` has the numbers of records by that of their container. Whatever else a metric's data
    holds stays; messages that have lost their last point, metric or scope go.
    """
    if not kept:
        return payload
    children: dict[int, int] = {}
    for container in index.containers:
        parent = container[4]
        children[parent] = children.get(parent, 0) + 1
    # The new content of each container that changes, by what stands around it; None: it goes.
    edits: dict[int, list[tuple[int, bytes | None]]] = {}
    for number, records in kept.items():
        content = _with_points(payload, index, number, records)
        edits.setdefault(index.containers[number].parent, []).append((number, content))
    # Outer containers have lower numbers, so all edits of one are known when it is its turn.
    while True:
        number = max(edits)
        changes = edits.pop(number)
        if number == NO_CONTAINER:
            return _replace(payload, index, (0, len(payload)), changes)
        around = index.containers[number]
        gone = sum(content is None for _, content in changes)
        changed = None
        if gone < children[number]:
            changed = _replace(payload, index, (around.begin, around.end), changes)
        edits.setdefault(around.parent, []).append((number, changed))


def _with_points(
    payload: bytes, index: RecordIndex, number: int, records: Sequence[int]
) -> bytes | None:
    if not records:
        return None
    around = index.containers[number]
    fields, ends = index.record_fields, index.record_ends
    whole = index.records_of(number)
    pieces = [payload[around.begin : fields[whole.start]]]
    pieces += [
        payload[ends[record] : fields[record + 1]]
        for record in whole[:-1]
        if ends[record] != fields[record + 1]
    ]
    pieces += [payload[fields[record] : ends[record]] for record in records]
    pieces.append(payload[ends[whole[-1]] : around.end])
    return b"".join(pieces)


def _replace(
    payload: bytes,
    index: RecordIndex,
    span: tuple[int, int],
    changes: Iterable[tuple[int, bytes | None]],
) -> bytes:
    """Return what stands in the span, with new contents for some of the containers in it."""
    pieces = []
    position, end = span
    for number, content in sorted(changes, key=lambda change: change[0]):
        container = index.containers[number]
        pieces.append(payload[position : container.field])
        if content is not None:
            after_tag = container.field
            while payload[after_tag] >= LONG_VARINT:
                after_tag += 1
            pieces.append(payload[container.field : after_tag + 1])
            pieces.append(encode_varint(len(content)))
            pieces.append(content)
        position = container.end
    pieces.append(payload[position:end])
    return b"".join(pieces)


def encode_outputs(emitted: Sequence[tuple[Output, bytes]]) -> bytes:
    """Return ResourceMetrics fields of a request, one for each resource and scope, with the points.

    Each metric of a producer is one Metric, with the points of all its outputs.
    """
    grouped: dict[tuple[bytes, ...], dict[MetricIdentity, list[bytes]]] = {}
    heads: dict[tuple[bytes, ...], Output] = {}
    for output, point in emitted:
        identity = output.identity
        place = (identity.resource, identity.scope, identity.scope_schema_url)
        heads.setdefault(place, output)
        grouped.setdefault(place, {}).setdefault(output.identity.metric, []).append(point)
    pieces = []
    for place, metrics in grouped.items():
        identity = heads[place].identity
        scope = [_field(1, identity.scope)] if identity.scope else []
        scope += [_field(2, _metric(metric, points)) for metric, points in metrics.items()]
        if identity.scope_schema_url:
            scope.append(_field(3, identity.scope_schema_url))
        resource = [_field(1, identity.resource), _field(2, b"".join(scope))]
        if identity.resource_schema_url:
            resource.append(_field(3, identity.resource_schema_url))
        pieces.append(_field(1, b"".join(resource)))
    return b"".join(pieces)


def _metric(metric: MetricIdentity, points: Iterable[bytes]) -> bytes:
    data = [_field(1, point) for point in points]
    if metric.temporality:
        data.append(bytes((2 << 3, metric.temporality)))
    if metric.is_monotonic:
        data.append(bytes((3 << 3, 1)))
    texts = ((1, metric.name), (2, metric.description), (3, metric.unit))
    pieces = [_field(number, text.encode()) for number, text in texts if text]
    pieces.append(_field(metric.kind, b"".join(data)))
    return b"".join(pieces)


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | _LENGTH,)) + encode_varint(len(content)) + content
