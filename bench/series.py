"""Metric requests for the section on cardinality, as SDKs write them and as the collector does.

The bytes are laid out here and not by a serialiser: the collector fills its buffer from the end, so
that its messages have their fields in another order, and Python's serialisers only write forwards.
`tests/bench` holds both orders to a real parse, and the backward one to the collector's own bytes.
"""

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Final

from bench.payloads import BATCH_RECORDS, FIRST_NANO, MARK, MARK_DIGITS, METRICS_PER_BATCH, Load

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import encode_varint

__all__ = ["OVER_STREAMS", "ROOM", "Encoding", "Mix", "Mixture", "admitted_load"]

ROOM: Final = 1_000
"""Series that a metric of the bench has room for: all that the admitted half has."""
OVER_STREAMS: Final = 20_000
"""Streams beyond the limit that come again and again."""
POINTS: Final = BATCH_RECORDS // METRICS_PER_BATCH
STEP_NANO: Final = 10_000_000
DISTINCT_BATCHES: Final = 8

_VENUES: Final = ("XNAS", "XNYS", "XLON", "XPAR", "XETR")
_INSTRUMENTS: Final = ("BTC-USD", "ETH-USD", "SOL-USD", "EURUSD", "ESZ6")


class Encoding(StrEnum):
    """Who wrote a request."""

    FORWARDS = "sdk"
    BACKWARDS = "collector"


class Mix(StrEnum):
    """Which streams a batch has: half of them may be beyond the limit, known ones or new ones."""

    ADMITTED = "all admitted"
    REPEATING = f"half over, {OVER_STREAMS:,} streams"
    NEW = "half over, every one new"


@dataclass(frozen=True, slots=True)
class _Wire:
    """One way to write: the order of the fields in each message."""

    encoding: Encoding

    def message(self, *fields: bytes) -> bytes:
        """Return a message of encoded fields, which are given in the order of declaration."""
        return b"".join(fields if self.encoding is Encoding.FORWARDS else reversed(fields))

    def text(self, key: str, value: str) -> bytes:
        """Return the content of an attribute with a text."""
        return self.message(
            _field(1, key.encode()), _field(2, self.message(_field(1, value.encode())))
        )

    def point(self, attributes: bytes, start: int, time: int, value: int) -> bytes:
        """Return the content of a number point with an integer.

        NumberDataPoint declares attributes (7) first, then start, time and value (2, 3, 6).
        """
        if self.encoding is Encoding.FORWARDS:
            return struct.pack("<BQBQBq", 0x11, start, 0x19, time, 0x31, value) + attributes
        return struct.pack("<BqBQBQ", 0x31, value, 0x19, time, 0x11, start) + attributes


def _field(number: int, content: bytes) -> bytes:
    return encode_varint(number << 3 | 2) + encode_varint(len(content)) + content


class Mixture:
    """Makes batches of 1,000 points with 5 labels one after the other; times go up."""

    def __init__(self, encoding: Encoding, seed: int = 1) -> None:
        self._wire = _Wire(encoding)
        self._random = random.Random(f"bench/series/{seed}")  # noqa: S311 - data, not a secret
        self._numbers = count()
        self._admitted = [self._attributes(f"s{number:05d}") for number in range(ROOM)]
        over = OVER_STREAMS // METRICS_PER_BATCH
        self._over = [self._attributes(f"o{number:05d}") for number in range(over)]
        self.now_unix_nano = FIRST_NANO

    def batches(self, mix: Mix, number: int) -> Iterator[bytes]:
        """Yield so many batches; those with all admitted streams go through all that have room."""
        for _ in range(number):
            yield self._batch(mix)

    def _batch(self, mix: Mix) -> bytes:
        number = next(self._numbers)
        self.now_unix_nano += STEP_NANO
        wire, now = self._wire, self.now_unix_nano
        metrics = []
        for position in range(METRICS_PER_BATCH):
            points = b"".join(
                _field(1, wire.point(attributes, FIRST_NANO, now, number + place))
                for place, attributes in enumerate(self._streams(mix, number))
            )
            # Cumulative and monotonic.
            data = wire.message(points, b"\x10\x02", b"\x18\x01")
            # The mark, by which the sink tells batches apart, stands where no identity is made of
            # it. Their lengths differ, so that the sink need not parse a batch that it has seen.
            mark = MARK + b"0" * MARK_DIGITS + b"." * (number % DISTINCT_BATCHES)
            metrics.append(
                wire.message(
                    _field(1, b"engine.messages.%d" % position),
                    _field(2, mark if position == 0 else b"Messages that were taken."),
                    _field(3, b"{message}"),
                    _field(7, data),
                )
            )
        scope = _field(1, _field(1, b"execution.engine"))
        scoped = wire.message(scope, b"".join(_field(2, metric) for metric in metrics))
        return _field(1, wire.message(_field(1, self._resource()), _field(2, scoped)))

    def _streams(self, mix: Mix, number: int) -> Sequence[bytes]:
        if mix is Mix.ADMITTED:
            return _turn(self._admitted, number, POINTS)
        half = POINTS // 2
        admitted = _turn(self._admitted, number, half)
        if mix is Mix.REPEATING:
            return [*admitted, *_turn(self._over, number, half)]
        bits = self._random.getrandbits
        return [*admitted, *(self._attributes(f"{bits(64):016x}") for _ in range(half))]

    def _attributes(self, session: str) -> bytes:
        choice = self._random.choice
        pairs = {
            "trading.instrument": choice(_INSTRUMENTS),
            "trading.venue": choice(_VENUES),
            "session": session,
            "direction": choice(("in", "out")),
            "thread.name": f"worker-{self._random.randrange(8)}",
        }
        return b"".join(_field(7, self._wire.text(key, value)) for key, value in pairs.items())

    def _resource(self) -> bytes:
        pairs = {
            "service.name": "execution-engine",
            "service.instance.id": "engine-7f9c",
            "deployment.environment.name": "production",
        }
        return b"".join(_field(1, self._wire.text(key, value)) for key, value in pairs.items())


def _turn(streams: Sequence[bytes], number: int, size: int) -> Sequence[bytes]:
    begin = number * size % len(streams)
    return streams[begin : begin + size]


def admitted_load(encoding: Encoding) -> Load:
    """Return batches of which every point is of a series that has room."""
    payloads = tuple(Mixture(encoding).batches(Mix.ADMITTED, DISTINCT_BATCHES))
    if len({len(payload) for payload in payloads}) != len(payloads):
        raise ValueError("two batches came out with the same length")
    return Load(Signal.METRICS, payloads, BATCH_RECORDS)
