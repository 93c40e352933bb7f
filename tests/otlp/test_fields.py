"""The field table is complete: every field of the Export requests is in it or ruled out."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from planting import field_id
from tapeline.otlp.fields import FIELDS, NOT_TEXT, Field, Kind
from tapeline.otlp.signals import Signal
from tapeline.pipeline.batch import REQUEST_TYPES

TEXT_TYPES = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}


def _kind(field: FieldDescriptor) -> Kind | None:
    """Say what a field of the protobuf schema holds; None: no text by itself."""
    if field.message_type is AnyValue.DESCRIPTOR:
        return Kind.ANY_VALUE
    if field.message_type is KeyValue.DESCRIPTOR:
        return Kind.ATTRIBUTES
    if field.type in TEXT_TYPES:
        return Kind.TEXT_LIST if field.is_repeated else Kind.TEXT
    return None


def _paths(message: Any, prefix: str = "") -> Iterator[tuple[str, Kind]]:
    """Yield the path and the kind of every text of a message, whatever the table says."""
    for field in message.fields:
        path = f"{prefix}{field.name}{'[]' if field.is_repeated else ''}"
        kind = _kind(field)
        if kind is not None:
            yield path, kind
        elif field.message_type is not None:
            yield from _paths(field.message_type, f"{path}.")


def _undecided(signal: Signal) -> set[tuple[str, Kind]]:
    listed = {(row.path, row.kind) for row in FIELDS if row.signal is signal}
    in_schema = set(_paths(REQUEST_TYPES[signal].DESCRIPTOR))
    return {(path, kind) for path, kind in in_schema - listed if path not in NOT_TEXT}


@pytest.mark.parametrize("signal", Signal)
def test_every_text_of_the_schema_is_decided(signal: Signal) -> None:
    """A string, bytes, AnyValue or KeyValue field is in the table or ruled out with a reason."""
    assert _undecided(signal) == set()


def test_a_field_missing_from_the_table_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The completeness check itself works: without a row, it names that row's field."""
    missing = FIELDS[0]
    monkeypatch.setitem(_undecided.__globals__, "FIELDS", FIELDS[1:])

    assert _undecided(missing.signal) == {(missing.path, missing.kind)}


@pytest.mark.parametrize("field", FIELDS, ids=field_id)
def test_every_row_names_a_field_of_the_schema(field: Field) -> None:
    """No row outlives the field that it describes, and its kind is the field's."""
    assert (field.path, field.kind) in set(_paths(REQUEST_TYPES[field.signal].DESCRIPTOR))


def test_no_field_is_listed_twice() -> None:
    """A field that two rows name would be rewritten twice."""
    paths = [(row.signal, row.path) for row in FIELDS]

    assert len(paths) == len(set(paths))


def test_nothing_is_both_text_and_ruled_out() -> None:
    """A field can't be in the table and excluded from it."""
    assert {row.path for row in FIELDS}.isdisjoint(NOT_TEXT)


def test_every_exclusion_names_a_field_that_exists() -> None:
    """An exclusion that fits nothing would silently excuse a later field of that name."""
    in_schema = {path for signal in Signal for path, _ in _paths(REQUEST_TYPES[signal].DESCRIPTOR)}
    of_values = {
        f"{message.name}.{field.name}"
        for message in (AnyValue.DESCRIPTOR, KeyValue.DESCRIPTOR)
        for field in message.fields
    }

    assert set(NOT_TEXT) <= in_schema | of_values


def test_every_member_of_a_value_is_decided() -> None:
    """The walker knows each alternative of AnyValue and each member of KeyValue."""
    walked = {
        "AnyValue": {"string_value", "bytes_value", "array_value", "kvlist_value"},
        "KeyValue": {"key", "value"},
    }
    numbers = {"bool_value", "int_value", "double_value"}

    for message in (AnyValue.DESCRIPTOR, KeyValue.DESCRIPTOR):
        excluded = {name.split(".")[1] for name in NOT_TEXT if name.startswith(f"{message.name}.")}
        assert {field.name for field in message.fields} - numbers - excluded == walked[message.name]
