"""Attributes as identity: one spelling of each, one order of each key set, one 64-bit key."""

from collections.abc import Callable, Iterable, Sequence
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
    "plain_pair",
    "series_key",
]

_KEY_TAG: Final = 0x0A
_VALUE_TAG: Final = 0x12
_STRING_TAG: Final = 0x0A
_SHORTEST_STRING_FIELD: Final = 4
_SHORTEST_STRING_PAIR: Final = 6
_NO_KEY: Final = 2
# References into a dictionary, which only profiles have: elsewhere they mean nothing.
_OTHER_FIELDS: Final = tuple(
    field.name for field in KeyValue.DESCRIPTOR.fields if field.name not in ("key", "value")
)

MAX_SPELLINGS: Final = 1 << 12
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

    def __init__(self) -> None:
        super().__init__()
        self.key_first_keys = CanonicalKeys(value_first=False)
        self.value_first_keys = CanonicalKeys(value_first=True)

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
    try:
        pair = KeyValue.FromString(content)
    except DecodeError as error:
        raise MalformedRequestError(f"a data point's attribute: {error}") from error
    content = plain_pair(pair)
    key = pair.key.encode()
    key_bytes = 1 + len(encode_varint(len(key))) + len(key) if key else 0
    return Spelling(key, content, content[key_bytes:] + content[:key_bytes])


def plain_pair(pair: KeyValue) -> bytes:
    """Return an attribute's shortest encoding, key first, with its key and value and no more.

    `pair` is changed.
    """
    pair.DiscardUnknownFields()
    for name in _OTHER_FIELDS:
        pair.ClearField(name)  # type: ignore[arg-type]
    return pair.SerializeToString(deterministic=True)


class CanonicalKeys(dict[bytes, bytes | None]):
    """The keys of KeyValue contents that are spelled canonically in one order of fields.

    None of those that are not, or that would need a closer look: a bounded memory, as `Spellings`.
    """

    def __init__(self, *, value_first: bool) -> None:
        super().__init__()
        self._plain_key = _plain_key_behind if value_first else _plain_key

    def __missing__(self, content: bytes) -> bytes | None:
        key = self._plain_key(content)
        if len(content) <= MAX_SPELLING_BYTES:
            if len(self) >= MAX_SPELLINGS:
                self.clear()
            self[content] = key
        return key


def _plain_key(content: bytes) -> bytes | None:
    """Return the key if a KeyValue is a short ASCII string, key first, as serialisers write it."""
    size = len(content)
    if size < _SHORTEST_STRING_PAIR or content[0] != _KEY_TAG or not content.isascii():
        return None
    # In ASCII no byte is above 127, so all lengths are of one byte.
    value = content[1] + 2
    rest = size - value
    if (
        rest < _SHORTEST_STRING_FIELD
        or value == _NO_KEY
        or content[value] != _VALUE_TAG
        or content[value + 1] != rest - 2
        or content[value + 2] != _STRING_TAG
        or content[value + 3] != rest - 4
    ):
        return None
    return content[2:value]


def _plain_key_behind(content: bytes) -> bytes | None:
    """Return the key if a KeyValue is a short ASCII string, as the collector writes it."""
    size = len(content)
    if size < _SHORTEST_STRING_PAIR or content[0] != _VALUE_TAG or not content.isascii():
        return None
    key = content[1] + 2
    rest = size - key
    if (
        rest <= _NO_KEY
        or key < _SHORTEST_STRING_FIELD
        or content[key] != _KEY_TAG
        or content[key + 1] != rest - 2
        or content[2] != _STRING_TAG
        or content[3] != key - 4
    ):
        return None
    return content[key + 2 :]


_KEY_FIRST: Final = 1
_VALUE_FIRST: Final = 2


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

    __slots__ = ("_by_keys", "_orders", "_value_first")

    def __init__(self, orders: Iterable[KeyOrder] = ()) -> None:
        self._orders: dict[frozenset[bytes], KeyOrder] = {}
        self._by_keys: dict[tuple[bytes | None, ...], bool] = {}
        self._value_first = False
        for order in orders:
            self._take(order)

    def dump(self) -> list[KeyOrder]:
        """Return the orders, for the constructor."""
        return list(self._orders.values())

    def canonical_test(self, spellings: "Spellings") -> Callable[[tuple[bytes, ...]], bool]:
        """Return what tells whether attributes are hashed as they stand; False may be a guess."""
        value_first = self._value_first
        canonical = spellings.value_first_keys if value_first else spellings.key_first_keys
        key_of, by_keys = canonical.__getitem__, self._by_keys.get

        def is_canonical(contents: tuple[bytes, ...]) -> bool:
            return by_keys(tuple(map(key_of, contents))) is value_first

        return is_canonical

    def arrange(self, contents: tuple[bytes, ...], spelled: list[Spelling]) -> tuple[bytes, ...]:
        """Return a point's attributes as they are hashed; equal ones become one."""
        keys = tuple([spelling[0] for spelling in spelled])
        key_set = frozenset(keys)
        if len(key_set) != len(keys):
            # Illegal in OTLP, and no reason to let a series through twice.
            spelled = list(dict.fromkeys(spelled))
            keys = tuple([spelling[0] for spelling in spelled])
            contents = tuple([spelling[1] for spelling in spelled])
            if len(key_set) != len(keys):
                return tuple(sorted(contents))
        order = self._orders.get(key_set) or self._new_order(keys, contents, spelled)
        form = _VALUE_FIRST if order.value_first else _KEY_FIRST
        by_key = {spelling[0]: spelling[form] for spelling in spelled}
        return tuple([by_key[key] for key in order.keys])

    def _new_order(
        self, keys: tuple[bytes, ...], contents: tuple[bytes, ...], spelled: list[Spelling]
    ) -> KeyOrder:
        if len(self._orders) >= MAX_KEY_ORDERS or sum(map(len, keys)) > MAX_KEY_BYTES:
            return KeyOrder(tuple(sorted(keys)), value_first=False)
        value_first = bool(keys) and contents[0] != spelled[0].key_first
        order = KeyOrder(keys, value_first and contents[0] == spelled[0].value_first)
        self._take(order)
        return order

    def _take(self, order: KeyOrder) -> None:
        self._orders[frozenset(order.keys)] = order
        self._by_keys[order.keys] = order.value_first
        if len(self._by_keys) == 1:
            # One sender's form is most likely all others', too.
            self._value_first = order.value_first


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
