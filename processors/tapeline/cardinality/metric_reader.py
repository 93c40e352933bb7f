"""The metrics of a raw request: which points each has, and the slices that say whose they are.

What is not a point is taken as it stands on the wire, so that who has seen the same slices before
need not read them.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

from tapeline.otlp.index import NO_CONTAINER, Container, RecordIndex

__all__ = ["SEVERAL_KINDS", "MetricView", "RequestView", "read_metrics"]

SEVERAL_KINDS: Final = 0
"""The kind of a metric that has data more than once: parsers differ in what it means."""

# Half the cost of calling the named tuple: there may be a metric for each point.
_new: Final = tuple.__new__


class MetricView(NamedTuple):
    """The points of one metric: the records from `first` to before `stop`.

    `data` and `scope` are numbers of containers. `header` has what encloses the points: the
    metric's fields before its data, the data's before (and between) the points and after them, and
    the metric's fields after the data.
    """

    data: int
    scope: int
    kind: int
    first: int
    stop: int
    header: tuple[bytes, bytes, bytes, bytes]


class RequestView(NamedTuple):
    """All metrics with points, in the order of the wire.

    `scopes` has what a scope's message holds beside its metrics, and the number of its resource;
    `resources` what a resource's message holds beside its scopes. Both by number of container.
    """

    resources: dict[int, bytes]
    scopes: dict[int, tuple[int, bytes]]
    metrics: list[MetricView]


def read_metrics(payload: bytes, index: RecordIndex) -> RequestView:
    """Return what stands around the points of a metrics request."""
    view = RequestView({}, {}, [])
    containers = index.containers
    # The numbers of the containers that enclose the one at hand.
    resource = scope = metric = NO_CONTAINER
    scopes: list[Container] = []
    metrics: list[Container] = []
    first = 0
    for number, container in enumerate(containers):
        parent = container[4]
        if parent == NO_CONTAINER:
            _close(payload, containers, view, (resource, scopes), (scope, metrics))
            resource, scope, metric = number, NO_CONTAINER, NO_CONTAINER
            scopes, metrics = [], []
        elif parent == resource:
            _close_scope(payload, containers, view, resource, (scope, metrics))
            scope, metric = number, NO_CONTAINER
            scopes.append(container)
            metrics = []
        elif parent == scope:
            metric = number
            metrics.append(container)
        else:
            first = _read_data(payload, index, view.metrics, (number, scope, metric, first))
    _close(payload, containers, view, (resource, scopes), (scope, metrics))
    return view


def _close(
    payload: bytes,
    containers: list[Container],
    view: RequestView,
    resource: tuple[int, list[Container]],
    scope: tuple[int, list[Container]],
) -> None:
    number, scopes = resource
    if number == NO_CONTAINER:
        return
    _close_scope(payload, containers, view, number, scope)
    view.resources[number] = b"".join(_between(payload, containers[number], scopes))


def _close_scope(
    payload: bytes,
    containers: list[Container],
    view: RequestView,
    resource: int,
    scope: tuple[int, list[Container]],
) -> None:
    number, metrics = scope
    if number != NO_CONTAINER:
        header = b"".join(_between(payload, containers[number], metrics))
        view.scopes[number] = (resource, header)


def _between(payload: bytes, around: Container, inner: list[Container]) -> Iterator[bytes]:
    """Yield what a container holds beside some of the containers in it."""
    position = around[1]
    for container in inner:
        if container[0] != position:
            yield payload[position : container[0]]
        position = container[2]
    yield payload[position : around[2]]


def _read_data(
    payload: bytes, index: RecordIndex, metrics: list[MetricView], place: tuple[int, int, int, int]
) -> int:
    """Add a metric's data to the others; return the first record behind it."""
    number, scope, metric, first = place
    field, begin, end, kind, _ = index.containers[number]
    fields = index.record_fields
    record_ends = index.record_ends
    stop = bisect_left(fields, end, first)
    if number > metric + 1:
        # Not the metric's first data: the one before it may have been empty, or this one may be.
        kind = SEVERAL_KINDS
        if metrics and index.containers[metrics[-1][0]][4] == metric:
            metrics[-1] = metrics[-1]._replace(kind=SEVERAL_KINDS)
    if stop == first:
        return first
    _, metric_begin, metric_end, _, _ = index.containers[metric]
    before_points = payload[begin : fields[first]]
    if stop - first > 1 and fields[first + 1 : stop] != record_ends[first : stop - 1]:
        before_points += b"".join(
            [payload[record_ends[record] : fields[record + 1]] for record in range(first, stop - 1)]
        )
    header = (
        payload[metric_begin:field],
        before_points,
        payload[record_ends[stop - 1] : end],
        payload[end:metric_end],
    )
    metrics.append(_new(MetricView, (number, scope, kind, first, stop, header)))
    return stop
