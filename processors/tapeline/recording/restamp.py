"""A recorded batch made a new one: other times, other trace and span ids. Pure."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from tapeline.otlp.stamps import replace_ids, shift_times
from tapeline.pipeline.batch import Batch

__all__ = ["Restamp", "id_key"]

_MAX_ID_BYTES: Final = blake2b.MAX_DIGEST_SIZE


def id_key(seed: str, pass_number: int) -> bytes:
    """Return the key of a pass: the same seed gives the same ids, each pass others."""
    return blake2b(f"{pass_number}:{seed}".encode(errors="surrogateescape")).digest()


@dataclass(frozen=True, slots=True)
class Restamp:
    """What is done to each batch. `key` empty: ids stay.

    A new id is a keyed hash of the old one. So the same id becomes the same one in every place,
    in spans, links, logs and exemplars, without a table that would grow with the recording.
    """

    shift_nanoseconds: int = 0
    key: bytes = b""

    def apply(self, batch: Batch) -> Batch:
        """Return the new batch; raises MalformedRequestError where it can't be read."""
        payload = batch.payload
        if self.shift_nanoseconds:
            payload = shift_times(batch.signal, payload, self.shift_nanoseconds)
        if self.key:
            payload = replace_ids(batch.signal, payload, self._renamed)
        return batch.with_payload(payload, batch.framing)

    def _renamed(self, old: bytes) -> bytes:
        # OTLP's ids have 16 and 8 bytes; of another length, nobody would take them.
        if len(old) > _MAX_ID_BYTES:
            return old
        return blake2b(old, digest_size=len(old), key=self.key).digest()
