"""Outputs that OTLP tells apart and Prometheus does not.

Of a resource the collector's Prometheus exporter keeps `service.namespace`, `service.name` and
`service.instance.id` (as job and instance). Of two outputs that differ in other attributes of the
resource alone, or in unit or monotonicity, it shows the one that came last (measured). So they are
counted. Pure.
"""

from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tapeline.cardinality.folding.outputs import OutputIdentity

__all__ = ["Conflicts"]

MAX_WATCHED: Final = 20_000
_KEPT: Final = frozenset({"service.namespace", "service.name", "service.instance.id"})


class Conflicts:
    """Counts outputs that collide with another one; knows at most MAX_WATCHED of them."""

    def __init__(self, max_watched: int = MAX_WATCHED) -> None:
        self._first: dict[int, int] = {}
        self._max_watched = max_watched
        self.count = 0
        """Outputs that collided with an earlier one, since the start."""

    def note(self, output: OutputIdentity) -> bool:
        """Take a new output; return whether it collides with an earlier one."""
        seen_as = hash(
            (
                _job_and_instance(output.resource),
                output.scope,
                output.metric.name,
                output.metric.kind,
                frozenset(output.pairs),
            )
        )
        itself = hash(
            (output.resource, output.metric.unit, output.metric.is_monotonic, output.scope)
        )
        if seen_as not in self._first and len(self._first) >= self._max_watched:
            return False
        collides = self._first.setdefault(seen_as, itself) != itself
        self.count += collides
        return collides


def _job_and_instance(content: bytes) -> tuple[tuple[str, bytes], ...]:
    try:
        resource = Resource.FromString(content)
    except DecodeError:
        return (("", content),)
    return tuple(
        sorted(
            (pair.key, pair.value.SerializeToString())
            for pair in resource.attributes
            if pair.key in _KEPT
        )
    )
