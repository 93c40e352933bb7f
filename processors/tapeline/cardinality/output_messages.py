"""The request that leaves: without the points that don't, and with outputs at its end."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tapeline.cardinality.folding.outputs import MetricIdentity, Output
from tapeline.cardinality.metric_reader import MetricView
from tapeline.otlp.index import NO_CONTAINER, RecordIndex
from tapeline.otlp.wire import LONG_VARINT, WireType, encode_varint, read_tag, skip_value

__all__ = ["Staying", "encode_outputs", "rewrite"]

_LENGTH: Final = WireType.LENGTH_DELIMITED
_DESCRIPTION: Final = 2
# Where a metric's fields stand: request, resource, scope, metric.
_METRIC_DEPTH: Final = 4


class Staying(NamedTuple):
    """The points of a metric that stay: record numbers, in order.

    Each of `apart` gets a metric of its own behind this one, with the same header.
    """

    view: MetricView
    records: Sequence[int]
    apart: Sequence[int] = ()


def rewrite(payload: bytes, index: RecordIndex, metrics: Iterable[Staying]) -> bytes:
    """Return the request with only some of the points of some metrics.

    Whatever else a metric's data holds stays; messages that have lost their last point, metric or
    scope go.
    """
    containers = index.containers
    # The new content of each container that changes, by what stands around it; None: it goes.
    edits: dict[int, list[_Edit]] = {}
    for view, records, apart in metrics:
        content = _with_points(payload, index, view, records)
        edits.setdefault(containers[view.data].parent, []).append(_Edit(view.data, content))
        if apart:
            behind = b"".join([_metric_of_one(payload, index, view, record) for record in apart])
            metric = containers[view.data].parent
            edits.setdefault(containers[metric].parent, []).append(_Edit(metric, None, behind))
    if not edits:
        return payload
    children: dict[int, int] = {}
    for container in containers:
        children[container[4]] = children.get(container[4], 0) + 1
    # Outer containers have lower numbers, so all edits of one are known when it is its turn.
    while True:
        number = max(edits)
        changes = edits.pop(number)
        if number == NO_CONTAINER:
            return _replace(payload, index, (0, len(payload)), changes)
        around = containers[number]
        gone = sum(edit.content is None and not edit.behind for edit in changes)
        changed = None
        if gone < children[number]:
            changed = _replace(payload, index, (around.begin, around.end), changes)
        edits.setdefault(around.parent, []).append(_Edit(number, changed))


class _Edit(NamedTuple):
    """A container gets this content, or goes (None); or something comes behind it instead."""

    container: int
    content: bytes | None
    behind: bytes = b""


def _with_points(
    payload: bytes, index: RecordIndex, view: MetricView, records: Sequence[int]
) -> bytes | None:
    if not records:
        return None
    around = index.containers[view.data]
    fields, ends = index.record_fields, index.record_ends
    pieces = [payload[around.begin : fields[view.first]]]
    if fields[view.first + 1 : view.stop] != ends[view.first : view.stop - 1]:
        between = range(view.first, view.stop - 1)
        pieces += [payload[ends[record] : fields[record + 1]] for record in between]
    pieces += [payload[fields[record] : ends[record]] for record in records]
    pieces.append(payload[ends[view.stop - 1] : around.end])
    return b"".join(pieces)


def _metric_of_one(payload: bytes, index: RecordIndex, view: MetricView, record: int) -> bytes:
    """Return a field of a scope: the metric with one point, without description."""
    before, first, after, behind = view.header
    point = payload[index.record_fields[record] : index.record_ends[record]]
    header = _without_description(before) + _without_description(behind)
    return _field(2, header + _field(view.kind, first + point + after))


def _without_description(fields: bytes) -> bytes:
    pieces = []
    position = 0
    while position < len(fields):
        begin = position
        tag, position = read_tag(fields, position, len(fields))
        position = skip_value(fields, tag, position, len(fields), _METRIC_DEPTH)
        if tag >> 3 != _DESCRIPTION:
            pieces.append(fields[begin:position])
    return b"".join(pieces)


def _replace(
    payload: bytes, index: RecordIndex, span: tuple[int, int], changes: Iterable[_Edit]
) -> bytes:
    """Return what stands in the span, with new contents for some of the containers in it."""
    pieces = []
    position, end = span
    # What comes behind a container is sorted behind its new content.
    for number, content, behind in sorted(changes, key=lambda edit: (edit[0], edit[2])):
        container = index.containers[number]
        if position < container.end:
            pieces.append(payload[position : container.field])
            if behind:
                pieces.append(payload[container.field : container.end])
        position = container.end
        if content is not None:
            tag_end = container.field + 1
            while payload[tag_end - 1] >= LONG_VARINT:
                tag_end += 1
            pieces.append(payload[container.field : tag_end])
            pieces.append(encode_varint(len(content)))
            pieces.append(content)
        pieces.append(behind)
    pieces.append(payload[position:end])
    return b"".join(pieces)


def encode_outputs(emitted: Sequence[tuple[Output, bytes]]) -> bytes:
    """Return ResourceMetrics fields of a request, one for each resource and scope, with the points.

    Each metric of a producer is one Metric, with the points of all its outputs.
    """
    grouped: dict[tuple[bytes, bytes, bytes], dict[MetricIdentity, list[bytes]]] = {}
    heads: dict[tuple[bytes, bytes, bytes], Output] = {}
    for output, point in emitted:
        identity = output.identity
        place = (identity.resource, identity.scope, identity.scope_schema_url)
        heads.setdefault(place, output)
        grouped.setdefault(place, {}).setdefault(identity.metric, []).append(point)
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
    pieces.append(metric.metadata)
    return b"".join(pieces)


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | _LENGTH,)) + encode_varint(len(content)) + content
