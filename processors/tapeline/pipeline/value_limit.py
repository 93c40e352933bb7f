"""Cuts values that are too long for a backend.

A value that a backend refuses with a retryable answer would be sent for ever. So the chain cuts
it at last, after every processor has seen it whole: a secret is redacted before it can be cut.
"""

from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tapeline.otlp.walk import Place, rewrite_request
from tapeline.pipeline.batch import Batch

__all__ = ["MIN_VALUE_BYTES", "limit_values"]

MIN_VALUE_BYTES: Final = 64
"""The least limit that can be set: the mark alone takes up to 46 bytes."""


@dataclass(slots=True)
class _Cutter:
    """Cuts texts longer than the limit, in UTF-8 bytes, and counts them."""

    max_value_bytes: int
    cut: int = 0

    def rewrite_text(self, place: Place, text: str) -> str:
        """Return the text, cut if it is too long. Where it stands makes no difference."""
        del place
        # No character takes more than 4 bytes: most texts need not be encoded to be judged.
        if len(text) * 4 <= self.max_value_bytes:
            return text
        encoded = text.encode("utf-8", "surrogateescape")
        if len(encoded) <= self.max_value_bytes:
            return text
        self.cut += 1
        mark = f"…[cut by tapeline: {len(encoded)} bytes]"
        room_bytes = self.max_value_bytes - len(mark.encode())
        return _cut(encoded, room_bytes).decode("utf-8", "surrogateescape") + mark

    def replace_value(self, place: Place, value: AnyValue) -> None:
        """Replace nothing whole."""

    def end_record(self) -> None:
        """Do nothing: one record is as good as another."""


def limit_values(batch: Batch, max_value_bytes: int) -> tuple[Batch, int]:
    """Return the batch with every text of at most `max_value_bytes`, and how many were cut.

    Text means every field of the field table, attribute keys and bytes values included. What is
    cut ends on a character boundary and with a mark that names the original size; the mark is
    within the limit. A batch that needs no cut comes back as the same object.

    Raises ValueError where the limit is below MIN_VALUE_BYTES, and MalformedRequestError where
    the request does not parse or nests too deeply.
    """
    if max_value_bytes < MIN_VALUE_BYTES:
        raise ValueError(
            f"max_value_bytes is {max_value_bytes}, but must be at least {MIN_VALUE_BYTES}"
        )
    if batch.framing.longest_bytes <= max_value_bytes:
        return batch, 0
    # The batch's own view is read-only, so a copy is cut. Any: the type differs by signal.
    request: Any = type(batch.request)()
    request.CopyFrom(batch.request)
    cutter = _Cutter(max_value_bytes)
    rewrite_request(batch.signal, request, cutter)
    if cutter.cut == 0:
        return batch, 0
    return batch.with_payload(request.SerializeToString()), cutter.cut


def _cut(encoded: bytes, room_bytes: int) -> bytes:
    """Return at most `room_bytes` of UTF-8, without a character that would be cut in two."""
    end = room_bytes
    # A character has at most 3 continuation bytes; more of them in a row are no UTF-8 at all.
    for _ in range(3):
        if encoded[end] & 0xC0 != 0x80:  # noqa: PLR2004 - the mask and form of a continuation byte
            break
        end -= 1
    return encoded[:end]
