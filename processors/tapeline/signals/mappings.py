"""Mappings: records with other names become events. Compiled once; pure.

Every mapping that matches a record makes one event of it. What a mapping's fields leave open is
looked up as for any event, so an account on the resource counts.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tapeline.otlp.signals import Signal
from tapeline.signals.events import NO_TRACE, Trace
from tapeline.signals.mapping_paths import Expression, TimeExpression, Tree, look_up
from tapeline.signals.records import any_value, attributes_of, without_doubles

__all__ = [
    "MAX_BODY_CHARACTERS",
    "MAX_BODY_DEPTH",
    "Condition",
    "EventMapping",
    "MappingFault",
    "Source",
    "as_text",
    "valid_trace",
]

MAX_BODY_CHARACTERS: Final = 65_536
"""A longer body is not read as JSON."""
MAX_BODY_DEPTH: Final = 32
"""Levels of a JSON body; one with more is not read."""
_MAX_INTEGER_DIGITS: Final = 64
"""A longer integer stays a text, which no number is read from either."""
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8


class MappingFault(StrEnum):
    """Why a body can't be looked into although a mapping asks for it."""

    BODY_TOO_LONG = "body_too_long"
    BODY_TOO_DEEP = "body_too_deep"


@dataclass(frozen=True, slots=True)
class Condition:
    """A value under a key that must be, as a text, one of some."""

    key: str
    wanted: frozenset[str]

    def holds(self, tree: Tree) -> bool:
        """Say whether it does; what has two values, or none, is never one of some."""
        found = look_up(tree, self.key)
        return found is not None and as_text(found) in self.wanted


def as_text(value: Any) -> str | None:
    """Return a value as conditions spell it: `true`, `5`, `0.5`; None of what is no scalar."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


class Source:
    """A record as mappings see it: each part is read when first asked for, once."""

    __slots__ = (
        "_attributes",
        "_body",
        "_body_parts",
        "_is_body_read",
        "_is_json_read",
        "_pairs",
        "_span",
        "_span_pairs",
        "event_name",
        "fault",
        "resource",
        "scope",
        "span_name",
    )

    def __init__(  # noqa: PLR0913 - a record has that many parts
        self,
        pairs: Iterable[bytes],
        scope: Tree,
        resource: Tree,
        *,
        event_name: str = "",
        span_name: str = "",
        body: Iterable[bytes] = (),
        span_pairs: Iterable[bytes] = (),
    ) -> None:
        self.event_name = event_name
        self.span_name = span_name
        self.scope = scope
        self.resource = resource
        self.fault: MappingFault | None = None
        """Why the body could not be looked into, when it was asked for."""
        self._pairs = pairs
        self._span_pairs = span_pairs
        self._body_parts = body
        self._attributes: Tree | None = None
        self._span: Tree | None = None
        self._body: Any = None
        self._is_body_read = False
        self._is_json_read = False

    @property
    def attributes(self) -> Tree:
        """All attributes of the record."""
        if self._attributes is None:
            self._attributes = attributes_of(self._pairs)
        return self._attributes

    def tree(self, root: str) -> Tree:
        """Return the attributes that one of ROOTS stands for."""
        if root == "attributes":
            return self.attributes
        if root == "span":
            if self._span is None:
                self._span = attributes_of(self._span_pairs)
            return self._span
        return self.scope if root == "scope" else self.resource

    @property
    def raw_body(self) -> Any:
        """The body as it was sent."""
        if not self._is_body_read:
            self._is_body_read = True
            self._body = any_value(self._body_parts)
        return self._body

    @property
    def body(self) -> Any:
        """The body; a mapping where its text is JSON of one."""
        body = self.raw_body
        if isinstance(body, str) and not self._is_json_read:
            self._is_json_read = True
            if body.lstrip(" \t\r\n").startswith("{"):
                self._body = body = self._parsed(body)
        return body

    def _parsed(self, body: str) -> Any:
        if len(body) > MAX_BODY_CHARACTERS:
            self.fault = MappingFault.BODY_TOO_LONG
            return body
        try:
            parsed = _DECODER.decode(body)
        except RecursionError:
            self.fault = MappingFault.BODY_TOO_DEEP
            return body
        except ValueError:
            return body
        if body.count("{") + body.count("[") > MAX_BODY_DEPTH and _is_too_deep(parsed):
            self.fault = MappingFault.BODY_TOO_DEEP
            return body
        return parsed


def _integer(text: str) -> Any:
    return int(text) if len(text) <= _MAX_INTEGER_DIGITS else text


# Numbers never go through a double: what is no integer stays the text that it is written as.
_DECODER: Final = json.JSONDecoder(
    parse_float=str, parse_int=_integer, parse_constant=str, object_pairs_hook=without_doubles
)


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_BODY_DEPTH):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner
    return any(isinstance(item, dict | list) for item in level)


@dataclass(frozen=True, slots=True)
class EventMapping:
    """One mapping. Without conditions of a kind, that kind matches anything."""

    name: str
    signal: Signal
    event: str
    fields: tuple[tuple[str, Expression], ...]
    time: TimeExpression | None = None
    """None: the record's own time."""
    trace_id: Expression | None = None
    span_id: Expression | None = None
    resource: tuple[Condition, ...] = ()
    scope: tuple[Condition, ...] = ()
    event_names: frozenset[str] = frozenset()
    """Of logs; in traces, names of span events: without any, the span itself is the record."""
    span_names: frozenset[str] = frozenset()
    attributes: tuple[Condition, ...] = ()
    span: tuple[Condition, ...] = ()
    """On the attributes of a span event's span."""
    bodies: frozenset[str] = frozenset()
    """Texts of which a log's body has to be one."""
    body: tuple[Condition, ...] = ()
    reads_body: bool = False
    """Whether an expression looks into the body."""

    def fits_around(self, resource: Tree, scope: Tree) -> bool:
        """Say whether it may match records of this resource and scope."""
        return all(condition.holds(resource) for condition in self.resource) and all(
            condition.holds(scope) for condition in self.scope
        )

    def matches(self, source: Source) -> bool:
        """Say whether it matches a record of a resource and scope that it fits."""
        if self.event_names and source.event_name not in self.event_names:
            return False
        if self.span_names and source.span_name not in self.span_names:
            return False
        if not all(condition.holds(source.attributes) for condition in self.attributes):
            return False
        if not all(condition.holds(source.tree("span")) for condition in self.span):
            return False
        if self.bodies and not self._is_one_of_bodies(source.raw_body):
            return False
        return not self.body or self._matches_body(source)

    def _is_one_of_bodies(self, body: Any) -> bool:
        return isinstance(body, str) and body in self.bodies

    def _matches_body(self, source: Source) -> bool:
        body = source.raw_body
        if isinstance(body, str):
            # What JSON escapes is not found as it is; without a backslash nothing is escaped.
            if "\\" not in body and not all(
                any(text in body for text in condition.wanted) for condition in self.body
            ):
                return False
            body = source.body
            if source.fault is not None:
                # What the body says is not known; who counts refusals has to hear of it.
                return True
        return isinstance(body, dict) and all(condition.holds(body) for condition in self.body)

    def fault(self, source: Source) -> MappingFault | None:
        """Return why a record that matches can't be read."""
        if not self.body and not self.reads_body:
            return None
        _ = source.body
        return source.fault

    def values(self, source: Source) -> dict[str, Any]:
        """Return what the fields are in a record; what has no value there is left out."""
        found = ((name, expression(source)) for name, expression in self.fields)
        return {name: value for name, value in found if value is not None and value != ""}

    def trace(self, source: Source, own: Trace) -> Trace:
        """Return the trace that a record belongs to: what the mapping names, else its own."""
        if self.trace_id is None:
            return own
        span_id = None if self.span_id is None else self.span_id(source)
        named = valid_trace(_from_hex(self.trace_id(source)), _from_hex(span_id))
        return named if named.trace_id else own


def _from_hex(value: Any) -> bytes:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""


def valid_trace(trace_id: bytes, span_id: bytes) -> Trace:
    """Return a trace; NO_TRACE where the id is none (W3C Trace Context: 16 bytes, not all zero)."""
    if len(trace_id) != _TRACE_BYTES or not any(trace_id):
        return NO_TRACE
    return Trace(trace_id, span_id if len(span_id) == _SPAN_BYTES and any(span_id) else b"")
