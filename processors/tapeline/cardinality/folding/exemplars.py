"""A bounded sample of the exemplars that an output's points carried."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar

from tapeline.otlp.wire import encode_varint

__all__ = ["MAX_EXEMPLARS", "Exemplars", "field", "usable_exemplars"]

MAX_EXEMPLARS: Final = 8
"""How many exemplars one output point carries at most: the newest."""
# Exemplar.filtered_attributes is field 7 (metrics.proto).
_FILTERED_ATTRIBUTES: Final = 7


def usable_exemplars(exemplars: Iterable[Exemplar]) -> list[bytes]:
    """Return the newest of a point's exemplars, encoded; those that are no number are left out."""
    encoded = [
        exemplar.SerializeToString() for exemplar in exemplars if not math.isnan(exemplar.as_double)
    ]
    return encoded[-MAX_EXEMPLARS:]


class Exemplars:
    """The newest exemplars since the last point; each says what was removed from its series."""

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: deque[bytes] = deque(maxlen=MAX_EXEMPLARS)

    def keep(self, exemplars: Sequence[bytes], removed: Iterable[bytes]) -> None:
        """Keep encoded exemplars; `removed` are the contents of their point's KeyValues."""
        filtered = b"".join(field(_FILTERED_ATTRIBUTES, pair) for pair in removed)
        self._newest.extend(exemplar + filtered for exemplar in exemplars)

    def take(self, field_number: int) -> bytes:
        """Return them as fields of a data point, and begin anew."""
        encoded = b"".join(field(field_number, exemplar) for exemplar in self._newest)
        self._newest.clear()
        return encoded


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field on the wire; `number` must be below 16."""
    return bytes((number << 3 | 2,)) + encode_varint(len(content)) + content
