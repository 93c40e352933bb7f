"""A difference in words: one line a record, one line a changed field."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tapeline.otlp.signals import Signal
from tapeline.pipeline.time_text import iso_from_unix_nano
from tapeline.recording.comparison import ABSENT, Change, Difference
from tapeline.recording.records import Marked, Record, Value

__all__ = ["Line", "Sort", "describe", "difference_to_json", "title", "value_text"]

_MAX_TEXT: Final = 120
"""Characters of a value that a line shows; of the longer, where they begin to differ."""
_NOUNS: Final = {Signal.LOGS: "log", Signal.TRACES: "span", Signal.METRICS: "point"}


class Sort(StrEnum):
    """What a line tells of."""

    REMOVED = "removed"
    ADDED = "added"
    CHANGED = "changed"
    BEFORE = "before"
    AFTER = "after"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, and what it tells of, which decides about its colour."""

    sort: Sort
    text: str


def describe(difference: Difference, limit: int = 50) -> Iterator[Line]:
    """Yield the lines of a difference, of at most so many records, and a sum at the end."""
    shown = 0
    for change in difference.changed[:limit]:
        yield Line(Sort.CHANGED, f"~ {title(change.before)}")
        yield from _changed_fields(change)
        shown += 1
    for mark, sort, records in (
        ("-", Sort.REMOVED, difference.removed),
        ("+", Sort.ADDED, difference.added),
    ):
        listed = records[: max(0, limit - shown)]
        shown += len(listed)
        yield from (Line(sort, f"{mark} {title(record)}") for record in listed)
    total = len(difference.changed) + len(difference.removed) + len(difference.added)
    if total > shown:
        yield Line(Sort.NOTE, f"… and {total - shown} more")
    if not difference.is_matched:
        yield Line(
            Sort.NOTE, "so many records differ that none was matched: a changed one counts as two"
        )
    yield Line(
        Sort.NOTE,
        f"{difference.equal} equal, {len(difference.changed)} changed,"
        f" {len(difference.removed)} removed, {len(difference.added)} added",
    )


def title(record: Record) -> str:
    """Return what a person knows a record by: signal, service, name or body, time."""
    parts = [_NOUNS[record.signal]]
    service = record.resource_attributes.get("service.name")
    if service is not None:
        parts.append(str(service))
    if record.name:
        parts.append(record.name)
    if record.body is not None:
        parts.append(value_text(record.body))
    if record.signal is Signal.METRICS:
        parts.append(value_text(record.attributes))
        if record.value is not None:
            parts.append(f"= {value_text(record.value)}")
    if record.time_unix_nano:
        parts.append(f"at {iso_from_unix_nano(record.time_unix_nano)}")
    return " ".join(parts)


def value_text(value: Value, limit: int = _MAX_TEXT) -> str:
    """Return a value such that its type can be told: texts in quotes, bytes as hex."""
    text = _text(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def difference_to_json(difference: Difference) -> dict[str, Any]:
    """Return the whole difference as plain data that is JSON as it is."""
    return {
        "same": difference.is_same,
        "equal": difference.equal,
        "matched": difference.is_matched,
        "changed": [
            {
                "signal": change.before.signal.value,
                "before": _json(change.before.tree),
                "after": _json(change.after.tree),
                "fields": [
                    {"path": field.path}
                    | ({} if field.before is ABSENT else {"before": _json(field.before)})
                    | ({} if field.after is ABSENT else {"after": _json(field.after)})
                    for field in change.fields
                ],
            }
            for change in difference.changed
        ],
        "removed": [_record_json(record) for record in difference.removed],
        "added": [_record_json(record) for record in difference.added],
    }


def _changed_fields(change: Change) -> Iterator[Line]:
    for field in change.fields:
        yield Line(Sort.NOTE, f"    {field.path}")
        before, after = _text(field.before), _text(field.after)
        begin = _first_difference(before, after)
        yield Line(Sort.BEFORE, f"      - {_around(before, begin)}")
        yield Line(Sort.AFTER, f"      + {_around(after, begin)}")


def _first_difference(before: str, after: str) -> int:
    pairs = zip(before, after, strict=False)
    same = next((place for place, (one, other) in enumerate(pairs) if one != other), None)
    return min(len(before), len(after)) if same is None else same


def _around(text: str, place: int) -> str:
    """Return a text, or of a long one the part around a place."""
    if len(text) <= _MAX_TEXT:
        return text
    begin = max(0, place - _MAX_TEXT // 3)
    part = text[begin : begin + _MAX_TEXT]
    before, after = "…" if begin else "", "…" if begin + _MAX_TEXT < len(text) else ""
    return f"{before}{part}{after}"


def _text(value: Value) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_text(value[key])}' for key in sorted(value))}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Marked):
        return f"{value.mark}{_text(value.values)}"
    scalar = _SCALARS.get(type(value), repr)
    return scalar(value)


def _character(character: str) -> str:
    if character == '"':
        return '\\"'
    return character if character.isprintable() else repr(character)[1:-1]


_SCALARS: Final[Mapping[type, Callable[[Any], str]]] = {
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    str: lambda value: f'"{"".join(map(_character, value))}"',
    bytes: lambda value: f"hex {value.hex()}",
}


def _record_json(record: Record) -> dict[str, Any]:
    return {"signal": record.signal.value, **_json(record.tree)}


def _json(value: Value) -> Any:
    """Return a value that is JSON: integers beyond 53 bits as they are, bytes as hex."""
    if isinstance(value, Mapping):
        return {key: _json(value[key]) for key in sorted(value)}
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if isinstance(value, Marked):
        return {value.mark: _json(value.values)}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float) and value - value != 0.0:  # Infinite, or no number.
        return repr(value)
    return value
