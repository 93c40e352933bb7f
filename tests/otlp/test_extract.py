"""Elements taken out of a request, worked on, and put back: as if the whole had been worked on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plain_requests import plain_records, without_unknown
from strategies import REQUEST_TYPES, payloads
from tapeline.otlp.extract import Extract, changes, extract
from tapeline.otlp.index import RecordIndex, index_records
from tapeline.otlp.layout import SliceKind
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice


def _put_back(payload: bytes, index: RecordIndex, taken: Extract, worked: bytes) -> bytes:
    records, headers = changes(index, taken, worked)
    return splice(payload, index, records=records, headers=headers)


def _mark(record: Any) -> None:
    """Change a record in a way that shows: every kind has this field."""
    record.attributes.add(key="marked")


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_extracted_records_are_the_records(signal: Signal, data: st.DataObject) -> None:
    """Each record of the small request has the bytes of its original, and its kind."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    wanted = data.draw(st.sets(st.integers(0, len(index) - 1)) if len(index) else st.just(set()))

    small = extract(payload, index, wanted)

    inner = index_records(signal, small.payload)
    assert sorted(small.records) == sorted(wanted)
    for number, original in enumerate(small.records):
        begin, end = inner.record_begins[number], inner.record_ends[number]
        assert (
            small.payload[begin:end]
            == payload[index.record_begins[original] : index.record_ends[original]]
        )
    parsed = plain_records(signal, REQUEST_TYPES[signal].FromString(small.payload))
    kinds = [type(record.record).__name__ for record in parsed]
    assert len(kinds) == len(wanted)


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_working_on_an_extract_is_working_on_those_records(
    signal: Signal, data: st.DataObject
) -> None:
    """Marked in the small request, marked in the large one, and nothing else has changed."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    parsed = REQUEST_TYPES[signal].FromString(payload)
    plain = plain_records(signal, parsed)
    if len(plain) != len(index):
        return  # A later kind of data hides points of an earlier one from the parser.
    wanted = data.draw(st.sets(st.integers(0, len(index) - 1)) if len(index) else st.just(set()))

    small = extract(payload, index, wanted)
    worked = REQUEST_TYPES[signal].FromString(small.payload)
    for record in plain_records(signal, worked):
        _mark(record.record)
    result = _put_back(payload, index, small, worked.SerializeToString())

    for number in wanted:
        _mark(plain[number].record)
    assert without_unknown(REQUEST_TYPES[signal].FromString(result)) == without_unknown(parsed)


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_headers_keep_their_kind_and_content(signal: Signal, data: st.DataObject) -> None:
    """A scope stays a scope, a metric's unit its unit."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    known = [n for n, h in enumerate(index.headers) if h.kind is not SliceKind.UNKNOWN]

    small = extract(payload, index, [], known)

    inner = index_records(signal, small.payload)
    assert [(h.kind, small.payload[h.begin : h.end]) for h in inner.headers] == [
        (index.headers[n].kind, payload[index.headers[n].begin : index.headers[n].end])
        for n in known
    ]


@pytest.mark.parametrize("signal", list(Signal))
@given(data=st.data())
def test_nothing_changed_puts_back_the_same_object(signal: Signal, data: st.DataObject) -> None:
    """Whatever was taken out."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    known = [n for n, h in enumerate(index.headers) if h.kind is not SliceKind.UNKNOWN]

    small = extract(payload, index, range(len(index)), known)

    assert _put_back(payload, index, small, small.payload) is payload


def test_other_elements_than_were_taken_out_are_refused() -> None:
    """Results of a wrong request must not land on records that they don't belong to."""
    payload = b"\x0a\x04\x12\x02\x12\x00"
    index = index_records(Signal.LOGS, payload)

    with pytest.raises(ValueError, match="more or fewer elements"):
        changes(index, extract(payload, index, [0]), b"")


def test_unknown_fields_can_not_be_taken_out() -> None:
    """No parser could judge them."""
    payload = b"\x0a\x03\x7a\x01x"
    index = index_records(Signal.LOGS, payload)

    with pytest.raises(ValueError, match="unknown fields"):
        extract(payload, index, [], [0])
