"""The table of how requests nest, against opentelemetry-proto's own descriptors."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from plain_requests import without_unknown
from strategies import REQUEST_TYPES, disguise, requests
from tapeline.otlp.layout import LEVELS, SliceKind
from tapeline.otlp.signals import Signal

# Messages, strings and bytes: what a slice can be.
_LENGTH_DELIMITED = {9, 11, 12}
_VARINT = {8, 14}


def descriptors_by_level(signal: Signal) -> list[list[Any]]:
    """Return the message types of each level: one, but for the five kinds of a metric's data."""
    found: list[list[Any]] = [[REQUEST_TYPES[signal].DESCRIPTOR]]
    for level in LEVELS[signal][:-1]:
        inner = [
            descriptor.fields_by_number[number].message_type
            for descriptor in found[-1]
            for number, kind in level.slices.items()
            if kind is SliceKind.CONTAINER
        ]
        found.append(inner)
    return found


@pytest.mark.parametrize("signal", Signal)
def test_the_table_names_every_field_around_the_records(signal: Signal) -> None:
    """A field that opentelemetry-proto adds beside the records has to be added to the table."""
    for level, descriptors in zip(LEVELS[signal], descriptors_by_level(signal), strict=True):
        fields = [field for descriptor in descriptors for field in descriptor.fields]
        slices = {field.number for field in fields if field.type in _LENGTH_DELIMITED}
        numbers = {field.number << 3 for field in fields if field.type in _VARINT}
        assert slices == set(level.slices), level.name
        assert numbers == set(level.numbers), level.name
        assert {field.type for field in fields} <= _LENGTH_DELIMITED | _VARINT


@given(st.sampled_from(Signal), st.data(), st.integers(1, 2**32))
def test_disguised_requests_mean_the_same(signal: Signal, data: DataObject, seed: int) -> None:
    """The unusual forms that other tests are fed with parse to the request they are made of."""
    request = data.draw(requests(signal))

    payload = disguise(request, Random(seed))  # noqa: S311 - a failure must be repeatable

    assert without_unknown(REQUEST_TYPES[signal].FromString(payload)) == without_unknown(request)
