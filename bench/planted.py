"""Loads with secrets in none, one in a hundred or all of their records, of trading telemetry.

Each secret is made up when the bench starts, differs from all others, and opens nothing. It begins
and ends with a marker of its kind, by which the sink sees whether any of it has come through.
"""

import base64
import random
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from types import MappingProxyType
from typing import Any, Final

from bench.payloads import LOG_RECORD_BYTES, Load, attribute, load_of, request_of
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import encode_varint
from tapeline.pipeline.batch import REQUEST_TYPES

__all__ = [
    "KINDS",
    "PLANTED_BATCHES",
    "Share",
    "as_collector",
    "leaks_in",
    "masks_in",
    "planted_load",
]

PLANTED_BATCHES: Final = 32  # so that no cache of texts on the way answers for the work
_MASKS: Final = (b"[REDACTED:", b"****")
_ALNUM: Final = string.ascii_letters + string.digits
_REPLACED: Final = "thread.name"
"""The attribute of every record that makes room for one with a secret in it."""

MESSAGE: Final = "exception.message"
"""The attribute in which a span has what a log record says in its body."""


class Share(StrEnum):
    """How many records have a secret."""

    NONE = "clean"
    ONE_PERCENT = "1 %"
    ALL = "every"

    @property
    def every(self) -> int:
        """One record in so many has a secret; 0: none has."""
        return {Share.NONE: 0, Share.ONE_PERCENT: 100, Share.ALL: 1}[self]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of secret: the attribute it stands in, or none where it stands in the body.

    `text` has `@@` where the secret stands, `make` makes one up between its two markers.
    """

    key: str
    text: str
    make: Callable[[random.Random, str, str], str]
    head: str
    tail: str

    def secret(self, generator: random.Random) -> str:
        """Return the whole text with a new secret in it."""
        return self.text.replace("@@", self.make(generator, self.head, self.tail))


def _random(alphabet: str, length: int) -> Callable[[random.Random, str, str], str]:
    """Return a maker of secrets of so many characters, markers included."""

    def make(generator: random.Random, head: str, tail: str) -> str:
        middle = generator.choices(alphabet, k=length - len(head) - len(tail))
        return f"{head}{''.join(middle)}{tail}"

    return make


def _jwt(generator: random.Random, head: str, tail: str) -> str:
    parts = (b'{"alg":"HS256"}', b'{"sub":"d%04d"}' % generator.randrange(10_000))
    told = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    return f"{told}.{_random(_ALNUM + '-_', 43)(generator, head, tail)}"


_UPPER: Final = string.ascii_uppercase + "234567"
_HEX: Final = "0123456789abcdef"

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "password": Kind("", "login desk password=@@ ok", _random(_ALNUM, 24), "Zq7pwX", "Gwp5kN"),
        "bearer": Kind("authorization", "Bearer @@", _random(_ALNUM, 40), "Zq7beX", "Geb5kN"),
        "aws key": Kind("", "s3 AK" + "IA@@ denied", _random(_UPPER, 16), "ZQ7WX", "BH3KD"),
        "jwt in url": Kind("url.full", "wss://feed/md?t=@@", _jwt, "Zq7jwX", "Gwj5kN"),
        "binance signature": Kind(
            "url.query",
            "symbol=ETHUSDT&signature=@@",
            _random(_HEX, 64),
            "5ec7e7a15b",
            "b51a7e7ce5",
        ),
        "postgres dsn": Kind(
            "", "dial postgres" + "://oms:@@@db/oms failed", _random(_ALNUM, 18), "Zq7pgX", "Ggp5kN"
        ),
        "x-mbx-apikey": Kind("x-mbx-apikey", "@@", _random(_ALNUM, 64), "Zq7mbX", "Gbm5kN"),
        "slack webhook": Kind(
            "",
            "POST https://hooks.slack" + ".com/services/T02A7BQX9/B03C8DRY4/@@ 500",
            _random(_ALNUM, 24),
            "Zq7slX",
            "Gls5kN",
        ),
    }
)
_MARKER: Final = re.compile("|".join(f"{k.head}|{k.tail}" for k in KINDS.values()).encode())
_NAME_OF_MARKER: Final = {
    marker.encode(): name for name, kind in KINDS.items() for marker in (kind.head, kind.tail)
}


def leaks_in(payload: bytes) -> dict[str, int]:
    """Return how many secrets of each kind have come through, whole or with one of their ends."""
    found: dict[bytes, int] = {}
    for marker in _MARKER.findall(payload):
        found[marker] = found.get(marker, 0) + 1
    leaks: dict[str, int] = {}
    for marker, number in found.items():
        name = _NAME_OF_MARKER[marker]
        leaks[name] = max(leaks.get(name, 0), number)
    return leaks


def masks_in(payload: bytes) -> int:
    """Return how many masks stand in a payload, the gate's or the stock processor's."""
    return sum(payload.count(mask) for mask in _MASKS)


def planted_load(signal: Signal, share: Share, batches: int = PLANTED_BATCHES) -> Load:
    """Return a load of logs or spans; the same on every machine."""
    if share is Share.NONE:
        return load_of(signal, batches)
    generator = random.Random(f"bench/{signal}/{share}")  # noqa: S311 - opens nothing
    kinds = count()
    names = tuple(KINDS)
    payloads, planted = [], 0
    for _ in range(batches):
        request = request_of(signal, generator)
        records = _records(signal, request)
        for record in records[:: share.every]:
            _plant(signal, record, KINDS[names[next(kinds) % len(names)]], generator)
        planted = len(records[:: share.every])
        payloads.append(request.SerializeToString())
    return Load(signal, tuple(payloads), len(records), planted)


def as_collector(load: Load) -> Load:
    """Return a load as the collector writes it: each message's fields from the last to the first.

    SDKs write forwards. For protobuf the two are the same; for who reads the bytes they are not.
    """
    request = REQUEST_TYPES[load.signal]
    batches = tuple(_backwards(request.FromString(batch)) for batch in load.batches)
    return replace(load, batches=batches)


def _backwards(message: Message) -> bytes:
    parts: list[bytes] = []
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            each = value if field.is_repeated else (value,)
            parts.append(b"".join(_length_delimited(field.number, _backwards(one)) for one in each))
            continue
        alone = type(message)()
        if field.is_repeated:
            getattr(alone, field.name).extend(value)
        else:
            setattr(alone, field.name, value)
        parts.append(alone.SerializeToString())
    return b"".join(reversed(parts))


def _length_delimited(number: int, content: bytes) -> bytes:
    return encode_varint(number << 3 | 2) + encode_varint(len(content)) + content


def _records(signal: Signal, request: Any) -> Any:
    if signal is Signal.LOGS:
        return request.resource_logs[0].scope_logs[0].log_records
    return request.resource_spans[0].scope_spans[0].spans


def _plant(signal: Signal, record: Any, kind: Kind, generator: random.Random) -> None:
    """Put a secret into a record in place of other text: a log record stays as long as it was."""
    text = kind.secret(generator)
    if signal is Signal.LOGS and not kind.key:
        record.body.string_value = f"{text}, queue depth "
    else:
        position = next(n for n, each in enumerate(record.attributes) if each.key == _REPLACED)
        record.attributes[position].CopyFrom(attribute(kind.key or MESSAGE, text))
        if signal is not Signal.LOGS:
            return
        record.body.string_value = "queue depth "
    missing = LOG_RECORD_BYTES - record.ByteSize()
    if missing < 0:
        raise ValueError(f"a log record with a secret came out {-missing} bytes too long")
    record.body.string_value += "".join(generator.choices(string.digits, k=missing))
    if record.ByteSize() != LOG_RECORD_BYTES:
        raise ValueError(f"a log record came out {record.ByteSize()} bytes long")
