"""Visits every text of a parsed Export request, by the field table, and lets it be rewritten.

Pure: what is to be rewritten, and how, is the callback's business.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Final, Protocol

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tapeline.otlp.fields import FIELDS, MAX_ANY_VALUE_DEPTH, Field, Kind
from tapeline.otlp.named import VALUES, name_in_list, name_in_pairs
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError

__all__ = [
    "RECORD_NAMES",
    "Drop",
    "NestingError",
    "Place",
    "Rewriter",
    "Role",
    "delete_records",
    "rewrite_request",
]


RECORD_NAMES: Final = frozenset({"data_points", "log_records", "spans"})
"""Fields of records: what a backend stores one by one."""


class NestingError(MalformedRequestError):
    """A value nests deeper than MAX_ANY_VALUE_DEPTH, so it can't be looked at in full."""


class Drop(Enum):
    """What a rewriter returns in place of a text to have something taken out."""

    PAIR = "pair"
    """The innermost key and value that the text is part of."""


class Role(StrEnum):
    """What a text is within its field."""

    TEXT = "text"
    KEY = "key"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands.

    `keys` are the key names above it, outermost first and as already rewritten: of a value the
    last one is the name it stands under; of a key they are those of the lists that hold its own.
    They are empty for a plain text field and for a log body that is no key-value list.
    `beside` is a text next to it that may name it all the same: `API_SECRET` in a list of
    `{name, value}`, or the option before it in a list of arguments. Attributes have none.
    """

    field: Field
    role: Role
    keys: tuple[str, ...] = ()
    beside: str = ""


class Rewriter(Protocol):
    """What to do with each text. Returning an equal text changes nothing."""

    def rewrite_text(self, place: Place, text: str) -> str | Drop:
        """Return what shall stand there instead; Drop.PAIR only of a key or of what is under one.

        A bytes value arrives decoded as UTF-8, with bytes that are none as lone surrogates (the
        `surrogateescape` error handler), and is encoded back in the same way.
        """

    def replace_value(self, place: Place, value: AnyValue) -> str | Drop | None:
        """Return the text that replaces a value of any type under a key; None to go on into it.

        It is asked for every value that stands directly under a key, before what is in it.
        """

    def end_record(self) -> None:
        """Hear that a log record, span or data point was walked: its texts were the last ones."""


def rewrite_request(signal: Signal, request: Message, rewriter: Rewriter) -> bool:
    """Pass every text of the request to the rewriter, in place; return whether one changed.

    Raises NestingError where a value is nested too deeply. The request is then half rewritten,
    and must be thrown away.
    """
    return _walk(_ROOTS[signal], request, rewriter)


def delete_records(signal: Signal, request: Message, numbers: Collection[int]) -> None:
    """Take records out of a request, by their numbers in the order in which they are walked."""
    if numbers:
        _delete_records(_ROOTS[signal], request, numbers, 0)


def _delete_records(node: "_Node", message: Any, numbers: Collection[int], first: int) -> int:
    """Delete below one message; return the number of the record after its last."""
    for (name, is_repeated), child in node.children.items():
        if name in RECORD_NAMES:
            records = getattr(message, name)
            count = len(records)
            for position in reversed(range(count)):
                if first + position in numbers:
                    del records[position]
            first += count
        elif is_repeated:
            for element in getattr(message, name):
                first = _delete_records(child, element, numbers, first)
        elif message.HasField(name):
            first = _delete_records(child, getattr(message, name), numbers, first)
    return first


@dataclass(slots=True)
class _Node:
    """The fields of one message type on the way to text: those with text, and those between."""

    fields: list[Field] = field(default_factory=list)
    children: dict[tuple[str, bool], "_Node"] = field(default_factory=dict)


def _root(signal: Signal) -> _Node:
    root = _Node()
    for row in FIELDS:
        if row.signal is not signal:
            continue
        node = root
        for step in row.steps[:-1]:
            node = node.children.setdefault((step.name, step.is_repeated), _Node())
        node.fields.append(row)
    return root


_ROOTS: Final = {signal: _root(signal) for signal in Signal}


def _walk(node: _Node, message: Any, rewriter: Rewriter) -> bool:
    """Walk one message. The recursion is as deep as the longest path of the table."""
    changed = False
    for row in node.fields:
        changed |= _rewrite_field(row, message, rewriter)
    for (name, is_repeated), child in node.children.items():
        if is_repeated:
            is_record = name in RECORD_NAMES
            for element in getattr(message, name):
                changed |= _walk(child, element, rewriter)
                if is_record:
                    rewriter.end_record()
        elif message.HasField(name):
            changed |= _walk(child, getattr(message, name), rewriter)
    return changed


def _rewrite_field(row: Field, message: Any, rewriter: Rewriter) -> bool:
    name = row.steps[-1].name
    match row.kind:
        case Kind.TEXT:
            text = getattr(message, name)
            if text:
                setattr(
                    message, name, _kept(row, rewriter.rewrite_text(Place(row, Role.TEXT), text))
                )
            return bool(getattr(message, name) != text)
        case Kind.TEXT_LIST:
            return _rewrite_list(row, getattr(message, name), rewriter)
        case Kind.ANY_VALUE:
            if not message.HasField(name):
                return False
            return _rewrite_value(Place(row, Role.VALUE), getattr(message, name), rewriter, 1)
        case Kind.ATTRIBUTES:
            return _rewrite_pairs(row, getattr(message, name), (), rewriter, 1)


def _rewrite_list(row: Field, texts: Any, rewriter: Rewriter) -> bool:
    place = Place(row, Role.TEXT)
    changed = False
    for position, text in enumerate(texts):
        rewritten = _kept(row, rewriter.rewrite_text(place, text))
        if rewritten != text:
            texts[position] = rewritten
            changed = True
    return changed


class _DroppedPairError(Exception):
    """Leads from a text to the pair that shall go. Nobody outside this module sees it."""


def _kept(row: Field, text: str | Drop) -> str:
    """Return a text that can't be taken out, since it is no part of a pair."""
    if isinstance(text, Drop):
        raise TypeError(f"{row.path} ({row.signal}) holds no key and value that could be taken out")
    return text


def _rewrite_pairs(
    row: Field,
    pairs: Any,
    keys: tuple[str, ...],
    rewriter: Rewriter,
    depth: int,
) -> bool:
    key_place = Place(row, Role.KEY, keys)
    changed = False
    dropped: list[int] = []
    # Attributes are looked at one by one; what is in them is not.
    name = name_in_pairs(pairs) if depth > 1 else ""
    for position, pair in enumerate(pairs):
        try:
            beside = name if pair.key.lower() in VALUES else ""
            changed |= _rewrite_pair(pair, key_place, beside, rewriter, depth)
        except _DroppedPairError:
            dropped.append(position)
    for position in reversed(dropped):
        del pairs[position]
    return changed or bool(dropped)


def _rewrite_pair(
    pair: KeyValue, key_place: Place, beside: str, rewriter: Rewriter, depth: int
) -> bool:
    changed = False
    key = rewriter.rewrite_text(key_place, pair.key)
    if isinstance(key, Drop):
        raise _DroppedPairError
    if key != pair.key:
        pair.key = key
        changed = True
    if not pair.HasField("value"):
        return changed
    place = Place(key_place.field, Role.VALUE, (*key_place.keys, key), beside)
    replacement = rewriter.replace_value(place, pair.value)
    if isinstance(replacement, Drop):
        raise _DroppedPairError
    if replacement is None:
        changed |= _rewrite_value(place, pair.value, rewriter, depth)
    elif _is_other(pair.value, replacement):
        pair.value.Clear()
        pair.value.string_value = replacement
        changed = True
    return changed


def _is_other(value: AnyValue, text: str) -> bool:
    return value.WhichOneof("value") != "string_value" or value.string_value != text


def _rewrite_value(place: Place, value: AnyValue, rewriter: Rewriter, depth: int) -> bool:
    """Walk one value. The recursion ends at MAX_ANY_VALUE_DEPTH."""
    row, keys = place.field, place.keys
    if depth > MAX_ANY_VALUE_DEPTH:
        raise NestingError(
            f"a value of {row.path} ({row.signal}) is nested more than {MAX_ANY_VALUE_DEPTH}"
            " levels deep; flatten it where it is made"
        )
    match value.WhichOneof("value"):
        case "string_value":
            text = _in_pair(place, rewriter, value.string_value)
            if text == value.string_value:
                return False
            value.string_value = text
            return True
        case "bytes_value":
            return _rewrite_bytes(place, value, rewriter)
        case "array_value":
            elements: Sequence[AnyValue] = value.array_value.values
            changed = False
            for position, element in enumerate(elements):
                beside = name_in_list(elements, position) or place.beside
                inner = Place(row, Role.VALUE, keys, beside)
                changed |= _rewrite_value(inner, element, rewriter, depth + 1)
            return changed
        case "kvlist_value":
            return _rewrite_pairs(row, value.kvlist_value.values, keys, rewriter, depth + 1)
        case _:
            return False


def _rewrite_bytes(place: Place, value: AnyValue, rewriter: Rewriter) -> bool:
    text = value.bytes_value.decode("utf-8", "surrogateescape")
    rewritten = _in_pair(place, rewriter, text)
    if rewritten == text:
        return False
    value.bytes_value = rewritten.encode("utf-8", "surrogateescape")
    return True


def _in_pair(place: Place, rewriter: Rewriter, text: str) -> str:
    rewritten = rewriter.rewrite_text(place, text)
    if isinstance(rewritten, Drop) and place.keys:
        raise _DroppedPairError
    return _kept(place.field, rewritten)
