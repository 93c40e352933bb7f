"""Watches for loops: acknowledged records that keep coming back.

A loop (egress wired to the gate again) can't be marked: call metadata does not survive the
collector, and a marker in the data would change resource identity. So this only looks. A retry is
of something that was not acknowledged; a record that was acknowledged and comes back again and
again within minutes goes in circles, or is sent by somebody who ignores our answers.

The fingerprint is of one record a batch, the first: batches are merged on their way round, but the
first record of a batch stays the first of something. Which records are sampled depends on their
bytes alone, so that the same record is looked at on each of its rounds.

Pure: time is an argument.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

__all__ = ["LoopWatch", "first_record"]

_LENGTH_DELIMITED: Final = 2
_WIRE_TYPE_MASK: Final = 7
_VARINT_MORE: Final = 0x80
_MAX_VARINT_BYTES: Final = 10  # protobuf's encoding: 64 bits in groups of 7
_MAX_FIELDS_SKIPPED: Final = 16
"""Fields looked at in one message before giving up: a resource and a scope stand in front."""

# Field numbers from an Export request to its records, the same in all three signals
# (opentelemetry-proto 1.x): resource, scope, then log record, span or metric. A metric stands for
# its data points, since those of two metrics may be equal.
_PATH: Final = (1, 2, 2)
_FINGERPRINT_BYTES: Final = 4096


def first_record(payload: bytes) -> bytes | None:
    """Return the bytes of the first log record, span or metric of a well-formed request.

    None where the first resource and scope hold none, or the bytes are not what they should be:
    what is not understood is not watched.
    """
    start, end = 0, len(payload)
    for number in _PATH:
        found = _first_field(payload, start, end, number)
        if found is None:
            return None
        start, end = found
    return payload[start:end]


def _first_field(payload: bytes, start: int, end: int, number: int) -> tuple[int, int] | None:
    """Return where the first field `number` of a message begins and ends; only strings count."""
    wanted = number << 3 | _LENGTH_DELIMITED
    position = start
    for _ in range(_MAX_FIELDS_SKIPPED):
        if position >= end:
            return None
        tag = payload[position]  # Field numbers up to 15 take one byte; no OTLP level has more.
        position += 1
        if tag & _WIRE_TYPE_MASK != _LENGTH_DELIMITED or tag & _VARINT_MORE:
            return None
        length, shift = 0, 0
        for _ in range(_MAX_VARINT_BYTES):
            if position >= end:
                return None
            byte = payload[position]
            position += 1
            length |= (byte & ~_VARINT_MORE) << shift
            shift += 7
            if not byte & _VARINT_MORE:
                break
        if position + length > end:
            return None
        if tag == wanted:
            return position, position + length
        position += length
    return None


@dataclass(slots=True)
class _Sighting:
    first_s: float
    count: int


@dataclass(slots=True)
class LoopWatch:
    """Counts how often the same acknowledged record comes back.

    `sample_one_in` records are looked at (by their fingerprint), at most `capacity` are
    remembered, for `window_s` seconds each. Refuses nothing: it is a statistical guess.
    """

    returns_suspicious: int = 3
    window_s: float = 300.0
    sample_one_in: int = 4
    capacity: int = 4096
    _seen: OrderedDict[int, _Sighting] = field(default_factory=OrderedDict)

    def acknowledged(self, payload: bytes, now_s: float) -> bool:
        """Take note of a request that was answered OK; tell whether its record goes in circles.

        Call it only for acknowledged requests: what was refused is expected back.
        """
        record = first_record(payload)
        if not record:
            return False
        checksum = crc32(record[:_FINGERPRINT_BYTES])
        if checksum % self.sample_one_in:
            return False
        fingerprint = checksum << 32 | len(record)
        sighting = self._seen.get(fingerprint)
        if sighting is None or now_s - sighting.first_s > self.window_s:
            self._remember(fingerprint, now_s)
            return False
        sighting.count += 1
        return sighting.count > self.returns_suspicious

    def _remember(self, fingerprint: int, now_s: float) -> None:
        self._seen.pop(fingerprint, None)
        self._seen[fingerprint] = _Sighting(now_s, 1)
        if len(self._seen) > self.capacity:
            self._seen.popitem(last=False)
