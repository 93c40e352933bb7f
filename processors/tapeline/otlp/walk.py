"""Visits every text of a parsed Export request, by the field table, and lets it be rewritten.

Pure: what is to be rewritten, and how, is the callback's business.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tapeline.otlp.fields import FIELDS, MAX_ANY_VALUE_DEPTH, Field, Kind
from tapeline.otlp.signals import Signal
from tapeline.otlp.wire import MalformedRequestError

__all__ = ["NestingError", "Place", "Rewriter", "Role", "rewrite_request"]


class NestingError(MalformedRequestError):
    """A value nests deeper than MAX_ANY_VALUE_DEPTH, so it can't be looked at in full."""


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
    """

    field: Field
    role: Role
    keys: tuple[str, ...] = ()


class Rewriter(Protocol):
    """What to do with each text. Returning an equal text changes nothing."""

    def rewrite_text(self, place: Place, text: str) -> str:
        """Return what shall stand there instead.

        A bytes value arrives decoded as UTF-8, with bytes that are none as lone surrogates (the
        `surrogateescape` error handler), and is encoded back in the same way.
        """

    def replace_value(self, place: Place, value: AnyValue) -> str | None:
        """Return the text that replaces a value of any type under a key; None to go on into it.

        It is asked for every value that stands directly under a key, before what is in it.
        """


def rewrite_request(signal: Signal, request: Message, rewriter: Rewriter) -> bool:
    """Pass every text of the request to the rewriter, in place; return whether one changed.

    Raises NestingError where a value is nested too deeply. The request is then half rewritten,
    and must be thrown away.
    """
    return _walk(_ROOTS[signal], request, rewriter)


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
            for element in getattr(message, name):
                changed |= _walk(child, element, rewriter)
        elif message.HasField(name):
            changed |= _walk(child, getattr(message, name), rewriter)
    return changed


def _rewrite_field(row: Field, message: Any, rewriter: Rewriter) -> bool:
    name = row.steps[-1].name
    match row.kind:
        case Kind.TEXT:
            text = getattr(message, name)
            rewritten = rewriter.rewrite_text(Place(row, Role.TEXT), text) if text else text
            if rewritten == text:
                return False
            setattr(message, name, rewritten)
            return True
        case Kind.TEXT_LIST:
            return _rewrite_list(row, getattr(message, name), rewriter)
        case Kind.ANY_VALUE:
            if not message.HasField(name):
                return False
            return _rewrite_value(row, getattr(message, name), (), rewriter, 1)
        case Kind.ATTRIBUTES:
            return _rewrite_pairs(row, getattr(message, name), (), rewriter, 1)


def _rewrite_list(row: Field, texts: Any, rewriter: Rewriter) -> bool:
    place = Place(row, Role.TEXT)
    changed = False
    for position, text in enumerate(texts):
        rewritten = rewriter.rewrite_text(place, text)
        if rewritten != text:
            texts[position] = rewritten
            changed = True
    return changed


def _rewrite_pairs(
    row: Field,
    pairs: Iterable[KeyValue],
    keys: tuple[str, ...],
    rewriter: Rewriter,
    depth: int,
) -> bool:
    key_place = Place(row, Role.KEY, keys)
    changed = False
    for pair in pairs:
        key = rewriter.rewrite_text(key_place, pair.key)
        if key != pair.key:
            pair.key = key
            changed = True
        if not pair.HasField("value"):
            continue
        value_keys = (*keys, key)
        replacement = rewriter.replace_value(Place(row, Role.VALUE, value_keys), pair.value)
        if replacement is None:
            changed |= _rewrite_value(row, pair.value, value_keys, rewriter, depth)
        elif _is_other(pair.value, replacement):
            pair.value.Clear()
            pair.value.string_value = replacement
            changed = True
    return changed


def _is_other(value: AnyValue, text: str) -> bool:
    return value.WhichOneof("value") != "string_value" or value.string_value != text


def _rewrite_value(
    row: Field, value: AnyValue, keys: tuple[str, ...], rewriter: Rewriter, depth: int
) -> bool:
    """Walk one value. The recursion ends at MAX_ANY_VALUE_DEPTH."""
    if depth > MAX_ANY_VALUE_DEPTH:
        raise NestingError(
            f"a value of {row.path} ({row.signal}) is nested more than {MAX_ANY_VALUE_DEPTH}"
            " levels deep; flatten it where it is made"
        )
    match value.WhichOneof("value"):
        case "string_value":
            text = rewriter.rewrite_text(Place(row, Role.VALUE, keys), value.string_value)
            if text == value.string_value:
                return False
            value.string_value = text
            return True
        case "bytes_value":
            return _rewrite_bytes(row, value, keys, rewriter)
        case "array_value":
            elements: Sequence[AnyValue] = value.array_value.values
            changed = False
            for element in elements:
                changed |= _rewrite_value(row, element, keys, rewriter, depth + 1)
            return changed
        case "kvlist_value":
            return _rewrite_pairs(row, value.kvlist_value.values, keys, rewriter, depth + 1)
        case _:
            return False


def _rewrite_bytes(row: Field, value: AnyValue, keys: tuple[str, ...], rewriter: Rewriter) -> bool:
    text = value.bytes_value.decode("utf-8", "surrogateescape")
    rewritten = rewriter.rewrite_text(Place(row, Role.VALUE, keys), text)
    if rewritten == text:
        return False
    value.bytes_value = rewritten.encode("utf-8", "surrogateescape")
    return True
