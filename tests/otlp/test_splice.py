"""Splicing, against the same change made on the parsed request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from plain_requests import AnyMessage, PlainRecord, plain_records, without_unknown
from strategies import REQUEST_TYPES, messages, payloads, requests, texts, varint
from tapeline.otlp.index import RecordIndex, index_records
from tapeline.otlp.layout import SliceKind
from tapeline.otlp.signals import Signal
from tapeline.otlp.splice import splice

SIGNALS = st.sampled_from(Signal)


REQUEST_FIELDS = {Signal.LOGS: "logs", Signal.TRACES: "spans", Signal.METRICS: "metrics"}
FIELD_NAMES = {
    SliceKind.RESOURCE: "resource",
    SliceKind.RESOURCE_SCHEMA_URL: "schema_url",
    SliceKind.SCOPE: "scope",
    SliceKind.SCOPE_SCHEMA_URL: "schema_url",
    SliceKind.METRIC_NAME: "name",
    SliceKind.METRIC_DESCRIPTION: "description",
    SliceKind.METRIC_UNIT: "unit",
    SliceKind.METRIC_METADATA: "metadata",
}


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def record_contents(payload: bytes, index: RecordIndex) -> list[bytes]:
    """Return the bytes of each record."""
    places = zip(index.record_begins, index.record_ends, strict=True)
    return [payload[begin:end] for begin, end in places]


def header_contents(payload: bytes, index: RecordIndex) -> list[bytes]:
    """Return the bytes of each header."""
    return [payload[header.begin : header.end] for header in index.headers]


def metadata_position(index: RecordIndex, number: int) -> int:
    """Return the place of a metadata header among those of its metric."""
    of_metric = [
        other
        for other in index.headers_of(index.headers[number].container)
        if index.headers[other].kind is SliceKind.METRIC_METADATA
    ]
    return of_metric.index(number)


def parsed_containers(signal: Signal, request: AnyMessage) -> list[AnyMessage]:
    """Return the messages that enclose records, outer before inner, as the index numbers them."""
    containers: list[AnyMessage] = []
    for resource in getattr(request, f"resource_{REQUEST_FIELDS[signal]}"):
        containers.append(resource)
        for scope in getattr(resource, f"scope_{REQUEST_FIELDS[signal]}"):
            containers.append(scope)
            for metric in scope.metrics if signal is Signal.METRICS else ():
                containers.append(metric)
                if kind := metric.WhichOneof("data"):
                    containers.append(getattr(metric, kind))
    return containers


def subsets(count: int) -> st.SearchStrategy[list[int]]:
    """Draw some of the numbers below `count`."""
    if count == 0:
        return st.just([])
    return st.lists(st.sampled_from(range(count)), unique=True)


@given(SIGNALS, st.data())
def test_replaced_records_are_the_only_change(signal: Signal, data: DataObject) -> None:
    """The result parses to the request with those records replaced, whatever their sizes."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    request = REQUEST_TYPES[signal].FromString(payload)
    plain = plain_records(signal, request)
    replacements: dict[int, bytes | None] = {}
    for number in data.draw(subsets(len(index))):
        record = data.draw(messages(type(plain[number].record)))
        plain[number].record.CopyFrom(record)
        replacements[number] = record.SerializeToString()

    spliced = splice(payload, index, records=replacements)

    assert without_unknown(REQUEST_TYPES[signal].FromString(spliced)) == without_unknown(request)


@given(SIGNALS, st.data())
def test_records_are_taken_out(signal: Signal, data: DataObject) -> None:
    """A record given as None is gone; all others are there, under what they were under."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    gone = data.draw(subsets(len(index)))

    spliced = splice(payload, index, records=dict.fromkeys(gone))

    def surroundings(of: PlainRecord) -> list[bytes]:
        name = b"" if of.metric is None else of.metric.name.encode()
        parts = (of.record, of.resource.resource, of.scope.scope)
        return [name, *(without_unknown(part) for part in parts)]

    before = plain_records(signal, REQUEST_TYPES[signal].FromString(payload))
    after = plain_records(signal, REQUEST_TYPES[signal].FromString(spliced))
    left = [of for number, of in enumerate(before) if number not in gone]
    assert [surroundings(of) for of in after] == [surroundings(of) for of in left]
    assert len(index_records(signal, spliced).containers) == len(index.containers)


@given(SIGNALS, st.data())
def test_headers_are_replaced_and_taken_out(signal: Signal, data: DataObject) -> None:
    """Resources, scopes, schema URLs and metric headers change as on the parsed request."""
    request = data.draw(requests(signal))
    payload = request.SerializeToString()
    index = index_records(signal, payload)
    containers = parsed_containers(signal, request)
    replacements: dict[int, bytes | None] = {}
    # From the last to the first, so that metadata before the one taken out keeps its place.
    for number in sorted(data.draw(subsets(len(index.headers))), reverse=True):
        header = index.headers[number]
        around = containers[header.container]
        field = FIELD_NAMES[header.kind]
        value = getattr(around, field)
        if data.draw(st.booleans()):
            replacements[number] = None
            if header.kind is SliceKind.METRIC_METADATA:
                del value[metadata_position(index, number)]
            else:
                around.ClearField(field)
        elif isinstance(value, str):
            text = data.draw(texts())
            setattr(around, field, text)
            replacements[number] = text.encode()
        else:
            if header.kind is SliceKind.METRIC_METADATA:
                value = value[metadata_position(index, number)]
            value.CopyFrom(data.draw(messages(type(value))))
            replacements[number] = value.SerializeToString()

    spliced = splice(payload, index, headers=replacements)

    assert without_unknown(REQUEST_TYPES[signal].FromString(spliced)) == without_unknown(request)


@given(SIGNALS, st.data())
def test_untouched_slices_keep_their_bytes(signal: Signal, data: DataObject) -> None:
    """Records and headers that aren't named come out byte for byte, unknown fields included."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    records = {number: data.draw(st.binary()) for number in data.draw(subsets(len(index)))}
    known = [
        number
        for number, header in enumerate(index.headers)
        if header.kind is not SliceKind.UNKNOWN
    ]
    headers = {known[at]: data.draw(st.binary()) for at in data.draw(subsets(len(known)))}

    spliced = splice(payload, index, records=records, headers=headers)

    after = index_records(signal, spliced)
    expected = {**dict(enumerate(record_contents(payload, index))), **records}
    assert dict(enumerate(record_contents(spliced, after))) == expected
    expected = {**dict(enumerate(header_contents(payload, index))), **headers}
    assert dict(enumerate(header_contents(spliced, after))) == expected


@given(SIGNALS, st.data())
def test_splicing_the_old_contents_back_restores_the_bytes(
    signal: Signal, data: DataObject
) -> None:
    """Of a request as serialisers write it, a change and its reverse leave the same bytes."""
    payload = data.draw(requests(signal)).SerializeToString()
    index = index_records(signal, payload)
    old = record_contents(payload, index)
    records = {
        number: data.draw(st.sampled_from([b"", b"x" * 150, b"y" * 20_000]))
        for number in data.draw(subsets(len(index)))
    }

    changed = splice(payload, index, records=records)
    restored = splice(
        changed, index_records(signal, changed), records={number: old[number] for number in records}
    )

    assert restored == payload


@given(SIGNALS, st.data())
def test_contents_of_the_same_size_change_nothing_around_them(
    signal: Signal, data: DataObject
) -> None:
    """Where no length changes, every byte outside of the record stays, however it was written."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    expected = bytearray(payload)
    records = {}
    for number in data.draw(subsets(len(index))):
        begin, end = index.record_begins[number], index.record_ends[number]
        records[number] = bytes(255 - byte for byte in payload[begin:end])
        expected[begin:end] = records[number]

    assert splice(payload, index, records=records) == expected


@given(SIGNALS, st.data())
def test_without_a_change_the_same_object_comes_back(signal: Signal, data: DataObject) -> None:
    """Replacing contents by themselves, or nothing at all, returns the payload that was given."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    same = dict(enumerate(record_contents(payload, index)))

    assert splice(payload, index) is payload
    assert splice(payload, index, records=same) is payload


@given(SIGNALS, st.data())
def test_unknown_fields_are_taken_out(signal: Signal, data: DataObject) -> None:
    """Without its unknown slices a request means the same and has none left."""
    payload = data.draw(payloads(signal))
    index = index_records(signal, payload)
    unknown = [
        number for number, header in enumerate(index.headers) if header.kind is SliceKind.UNKNOWN
    ]

    spliced = splice(payload, index, headers=dict.fromkeys(unknown))

    before, after = (REQUEST_TYPES[signal].FromString(each) for each in (payload, spliced))
    assert without_unknown(after) == without_unknown(before)
    left = [header.kind for header in index_records(signal, spliced).headers]
    assert SliceKind.UNKNOWN not in left


def test_lengths_may_take_more_bytes_and_fewer() -> None:
    """A record that grows past 127 bytes lengthens the lengths around it, and back."""
    payload = field(1, field(2, field(2, b"small") + field(2, b"next")))
    index = index_records(Signal.LOGS, payload)

    grown = splice(payload, index, records={0: b"g" * 200})
    shrunk = splice(grown, index_records(Signal.LOGS, grown), records={0: b""})

    assert grown == field(1, field(2, field(2, b"g" * 200) + field(2, b"next")))
    assert shrunk == field(1, field(2, field(2, b"") + field(2, b"next")))


def test_unknown_fields_can_not_be_replaced() -> None:
    """A slice of unknown fields has no content of its own, and the error says what to do."""
    payload = field(77, b"unknown")
    index = index_records(Signal.LOGS, payload)

    with pytest.raises(ValueError, match="give None"):
        splice(payload, index, headers={0: b"other"})
    assert splice(payload, index, headers={0: None}) == b""


@pytest.mark.parametrize("number", [-1, 1])
def test_numbers_that_the_index_does_not_have_are_refused(number: int) -> None:
    """A negative number does not count from the end: it is a mistake like one too high."""
    payload = field(1, field(1, b"") + field(2, field(2, b"record")))
    index = index_records(Signal.LOGS, payload)

    with pytest.raises(IndexError, match="has 1 record"):
        splice(payload, index, records={number: b""})
    with pytest.raises(IndexError, match="has 1 header"):
        splice(payload, index, headers={number: b""})
