"""Attributes as identity: one spelling of each, one order of each key set, one 64-bit key."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from xxhash import xxh3_64_intdigest

from tapeline.otlp.wire import LONG_VARINT, MalformedRequestError, encode_varint

__all__ = [
    "MAX_KEY_ORDERS",
    "KeyOrder",
    "KeyOrders",
    "Spelling",
    "Spellings",
    "attribute_bytes",
    "series_key",
]

_KEY_TAG: Final = 0x0A
_VALUE_TAG: Final = 0x12
_STRING_TAG: Final = 0x0A
_SHORTEST_STRING_PAIR: Final = 6

MAX_SPELLINGS: Final = 1 << 14
MAX_SPELLING_BYTES: Final = 256
MAX_KEY_ORDERS: Final = 64
"""Key sets of one metric whose first order is remembered."""
MAX_KEY_BYTES: Final = 4096


class Spelling(NamedTuple):
    """An attribute: its key, and its KeyValue in the shortest encoding, in both orders of fields.

    The collector writes a message's fields from the last to the first, SDKs from the first.
    """

    key: bytes
    key_first: bytes
    value_first: bytes


class Spellings(dict[bytes, Spelling]):
    """The spelling of KeyValue contents, by the contents as they arrived.

    A bounded memory of what `_spell` found: most labels of a flood are old acquaintances.
    """

    def __missing__(self, content: bytes) -> Spelling:
        spelled = _spell(content)
        if len(content) <= MAX_SPELLING_BYTES:
            if len(self) >= MAX_SPELLINGS:
                self.clear()
            self[content] = spelled
        return spelled


def _spell(content: bytes) -> Spelling:
    """Return how a KeyValue is spelled, without unknown fields.

    Raises MalformedRequestError where it does not parse.
    """
    key_bytes = _plain_key_bytes(content)
    if not key_bytes:
        try:
            pair = KeyValue.FromString(content)
        except DecodeError as error:
            raise MalformedRequestError(f"a data point's attribute: {error}") from error
        pair.DiscardUnknownFields()
        content = pair.SerializeToString(deterministic=True)
        key = pair.key.encode()
        key_bytes = len(key) + 1 + len(encode_varint(len(key))) if key else 0
        return Spelling(key, content, content[key_bytes:] + content[:key_bytes])
    if key_bytes > 0:
        value, key = content[key_bytes:], content[2:key_bytes]
        return Spelling(key, content, value + content[:key_bytes])
    value, key = content[:key_bytes], content[key_bytes + 2 :]
    return Spelling(key, content[key_bytes:] + value, content)


def _plain_key_bytes(content: bytes) -> int:
    """Return the size of the key field of a string in one of the encodings of serialisers.

    It is negative where the value comes first, and 0 says that it needs a closer look: only
    lengths of one byte are understood here.
    """
    size = len(content)
    if size < _SHORTEST_STRING_PAIR or content[1] >= LONG_VARINT:
        return 0
    second = 2 + content[1]
    if second + 2 > size or content[second + 1] >= LONG_VARINT:
        return 0
    if second + 2 + content[second + 1] != size:
        return 0
    key_at, value_at = (0, second) if content[0] == _KEY_TAG else (second, 0)
    length = content[value_at + 1] - 2
    if (
        content[key_at] != _KEY_TAG
        or content[value_at] != _VALUE_TAG
        or not content[key_at + 1]
        or length < 0
        or content[value_at + 2] != _STRING_TAG
        or content[value_at + 3] != length
    ):
        return 0
    text = value_at + 4
    try:
        content[key_at + 2 : key_at + 2 + content[key_at + 1]].decode()
        content[text : text + length].decode()
    except UnicodeDecodeError:
        return 0
    return second if key_at == 0 else second - size


class KeyOrder(NamedTuple):
    """How the attributes of one key set are hashed: the order of keys, and of a pair's fields."""

    keys: tuple[bytes, ...]
    value_first: bool


class KeyOrders:
    """The canonical order of each set of attribute keys of a metric: the first that was seen.

    So the attributes of most series are hashed as they stand. For further key sets than
    MAX_KEY_ORDERS it is the sorted order. An order is never changed and never forgotten, or a
    stream would change its key and be counted twice.
    """

    __slots__ = ("_orders",)

    def __init__(self, orders: Iterable[KeyOrder] = ()) -> None:
        self._orders = {frozenset(order.keys): order for order in orders}

    def dump(self) -> list[KeyOrder]:
        """Return the orders, for the constructor."""
        return list(self._orders.values())

    def arrange(self, contents: tuple[bytes, ...], spelled: list[Spelling]) -> tuple[bytes, ...]:
        """Return a point's attributes as they are hashed; equal ones become one."""
        keys = tuple([spelling[0] for spelling in spelled])
        key_set = frozenset(keys)
        if len(key_set) != len(keys):
            # Illegal in OTLP, and no reason to let a series through twice.
            spelled = list(dict.fromkeys(spelled))
            keys = tuple([spelling[0] for spelling in spelled])
            contents = ()
            if len(key_set) != len(keys):
                return tuple(sorted([spelling[1] for spelling in spelled]))
        order = self._orders.get(key_set)
        if order is None:
            order = self._new_order(key_set, keys, contents, spelled)
        form = 2 if order[1] else 1
        if order[0] == keys:
            return tuple([spelling[form] for spelling in spelled])
        by_key = {spelling[0]: spelling[form] for spelling in spelled}
        return tuple([by_key[key] for key in order[0]])

    def _new_order(
        self,
        key_set: frozenset[bytes],
        keys: tuple[bytes, ...],
        contents: tuple[bytes, ...],
        spelled: list[Spelling],
    ) -> KeyOrder:
        if len(self._orders) >= MAX_KEY_ORDERS or sum(map(len, keys)) > MAX_KEY_BYTES:
            return KeyOrder(tuple(sorted(keys)), value_first=False)
        value_first = bool(contents) and contents[0] != spelled[0].key_first
        order = KeyOrder(keys, value_first and contents[0] == spelled[0].value_first)
        self._orders[key_set] = order
        return order


def attribute_bytes(tag: int, contents: Sequence[bytes]) -> bytes:
    """Return KeyValue contents as fields with this tag, as they stand in a point."""
    pieces = []
    for content in contents:
        size = len(content)
        if size < LONG_VARINT:
            pieces.append(bytes((tag, size)))
        else:
            pieces.append(bytes((tag,)) + encode_varint(size))
        pieces.append(content)
    return b"".join(pieces)


def series_key(tag: int, contents: Sequence[bytes], seed: int) -> int:
    """Return the key of a series: a hash of its attributes as `KeyOrders` arranged them.

    `seed` is the producer's, so equal attributes of two producers are two series.
    """
    return xxh3_64_intdigest(attribute_bytes(tag, contents), seed)
